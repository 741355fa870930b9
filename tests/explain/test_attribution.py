"""Attributions against models whose answer is known, and integrated gradients against their completeness axiom."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from strokewise.explain import attribution
from strokewise.model.cnn import CNN
from strokewise.model.inference import predict_proba, to_tensor

Pictures = NDArray[np.uint8]


def corner_model(pictures: Pictures) -> NDArray[np.float32]:
    """A model that only looks at the ink in the top left quarter of width and height."""
    side = pictures.shape[1] // 4
    ink = pictures[:, :side, :side].mean(axis=(1, 2)) / 255
    return np.stack([ink, 1 - ink], axis=1).astype(np.float32)


def test_occlusion_finds_the_place_that_the_score_depends_on() -> None:
    picture = np.full((32, 32), 255, np.uint8)
    occlusion = attribution.occlude(corner_model, picture)
    assert occlusion.predicted == 0
    assert occlusion.box == (0, 0, 8, 8)
    assert occlusion.before.tolist() == [1, 0]
    assert occlusion.after.tolist() == [0, 1]
    assert occlusion.loss[0, 0] == 1
    assert not occlusion.loss[16:].any()
    assert (occlusion.picture == 0).sum() == 64


def test_every_pixel_is_covered_for_any_image_size() -> None:
    for side in (16, 30, 37, 64):
        occlusion = attribution.occlude(corner_model, np.full((side, side), 255, np.uint8))
        assert np.isfinite(occlusion.loss).all()


def test_scores_after_occlusion_are_those_of_the_covered_picture(default_cnn: CNN, pictures: Pictures) -> None:
    occlusion = attribution.occlude(lambda given: predict_proba(default_cnn, given), pictures[0])
    assert occlusion.before == pytest.approx(predict_proba(default_cnn, pictures[:1])[0], abs=1e-6)
    assert occlusion.after == pytest.approx(predict_proba(default_cnn, occlusion.picture[np.newaxis])[0], abs=1e-6)


def test_integrated_gradients_sum_to_the_change_of_the_logit(cnn: CNN, pictures: Pictures) -> None:
    blank = np.zeros_like(pictures[0])
    with torch.no_grad():
        logits = cnn(to_tensor(np.stack([pictures[0], blank])))[:, 1]
    change = float(logits[0] - logits[1])
    shares = attribution.integrated_gradients(cnn, pictures[0], 1)
    assert shares.sum() == pytest.approx(change, abs=0.05 * max(1, abs(change)))
    assert not shares[pictures[0] == 0].any(), "bare paper has no share"


def test_integrated_gradients_leave_the_cnn_unchanged(default_cnn: CNN, pictures: Pictures) -> None:
    default_cnn.train()
    frozen = next(default_cnn.parameters())
    frozen.requires_grad_(False)
    before = {name: value.clone() for name, value in default_cnn.state_dict().items()}
    attribution.integrated_gradients(default_cnn, pictures[0], 0)
    assert default_cnn.training
    assert [parameter.requires_grad for parameter in default_cnn.parameters()].count(False) == 1
    assert all(parameter.grad is None for parameter in default_cnn.parameters())
    assert all(torch.equal(value, before[name]) for name, value in default_cnn.state_dict().items())
    assert not any(module._forward_hooks for module in default_cnn.modules())


def test_ink_correlation_shows_the_weights_of_a_linear_model() -> None:
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (600, 6, 6), dtype=np.uint8)
    labels = (pictures[:, 1, 2].astype(int) - pictures[:, 4, 4] > 0).astype(int)
    fitted = LogisticRegression().fit(pictures.reshape(600, -1) / 255, labels)
    maps = attribution.ink_correlation(
        lambda given: fitted.predict_proba(given.reshape(len(given), -1) / 255), pictures
    )
    assert np.unravel_index(maps[1].argmax(), (6, 6)) == (1, 2)
    assert np.unravel_index(maps[1].argmin(), (6, 6)) == (4, 4)
    assert maps[0] == pytest.approx(-maps[1], abs=1e-5)
    weights = fitted.coef_.reshape(6, 6)
    assert np.corrcoef(maps[1].ravel(), weights.ravel())[0, 1] > 0.95


def test_ink_correlation_of_a_constant_pixel_is_zero() -> None:
    pictures = np.random.default_rng(1).integers(0, 256, (50, 16, 16), dtype=np.uint8)
    pictures[:, 15, 15] = 7
    maps = attribution.ink_correlation(corner_model, pictures)
    assert np.isfinite(maps).all()
    assert maps[0, 15, 15] == 0


def test_shift_right_loses_nothing_but_the_right_edge(pictures: Pictures) -> None:
    shifted = attribution.shift_right(pictures, 5)
    assert (shifted[:, :, 5:] == pictures[:, :, :-5]).all()
    assert not shifted[:, :, :5].any()
