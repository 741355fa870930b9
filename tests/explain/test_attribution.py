"""Why this shape: against models whose answer is known, and against the axiom that attributions sum up."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from strokewise.explain import activations, attribution
from strokewise.model.cnn import CNN
from strokewise.model.inference import predict_proba, to_tensor

Pictures = NDArray[np.uint8]


def corner(pictures: Pictures) -> NDArray[np.float32]:
    """A model that only looks at the ink in the top left quarter."""
    side = pictures.shape[1] // 4
    ink = pictures[:, :side, :side].mean(axis=(1, 2)) / 255
    return np.stack([ink, 1 - ink], axis=1).astype(np.float32)


def test_covering_finds_the_place_that_the_answer_hangs_on() -> None:
    picture = np.full((32, 32), 255, np.uint8)
    found = attribution.occlude(corner, picture)
    assert found.answer == 0
    assert found.box == (0, 0, 8, 8)
    assert found.before.tolist() == [1, 0]
    assert found.after.tolist() == [0, 1]
    assert found.loss[0, 0] == 1
    assert not found.loss[16:].any()
    assert (found.picture == 0).sum() == 64


def test_every_pixel_is_covered_once_whatever_the_grid() -> None:
    for grid in (16, 30, 37, 64):
        assert np.isfinite(attribution.occlude(corner, np.full((grid, grid), 255, np.uint8)).loss).all()


def test_the_scores_after_are_those_of_the_covered_picture(plain: CNN, pictures: Pictures) -> None:
    found = attribution.occlude(lambda asked: predict_proba(plain, asked), pictures[0])
    assert found.before == pytest.approx(predict_proba(plain, pictures[:1])[0], abs=1e-6)
    assert found.after == pytest.approx(predict_proba(plain, found.picture[np.newaxis])[0], abs=1e-6)


def test_attributions_sum_to_what_the_picture_adds_to_the_logit(network: CNN, pictures: Pictures) -> None:
    blank = np.zeros_like(pictures[0])
    with torch.no_grad():
        logits = network(to_tensor(np.stack([pictures[0], blank])))[:, 1]
    added = float(logits[0] - logits[1])
    share = attribution.integrated_gradients(network, pictures[0], 1)
    assert share.sum() == pytest.approx(added, abs=0.05 * max(1, abs(added)))
    assert not share[pictures[0] == 0].any(), "bare paper has no share"


def test_attribution_leaves_no_trace(plain: CNN, pictures: Pictures) -> None:
    plain.train()
    frozen = next(plain.parameters())
    frozen.requires_grad_(False)
    before = {name: value.clone() for name, value in plain.state_dict().items()}
    attribution.integrated_gradients(plain, pictures[0], 0)
    assert plain.training
    assert [parameter.requires_grad for parameter in plain.parameters()].count(False) == 1
    assert all(parameter.grad is None for parameter in plain.parameters())
    assert all(torch.equal(value, before[name]) for name, value in plain.state_dict().items())
    assert not any(module._forward_hooks for module in plain.modules())


def test_the_stencil_shows_the_weights_of_a_model_that_has_some() -> None:
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, 256, (600, 6, 6), dtype=np.uint8)
    labels = (drawn[:, 1, 2].astype(int) - drawn[:, 4, 4] > 0).astype(int)
    fitted = LogisticRegression().fit(drawn.reshape(600, -1) / 255, labels)
    found = attribution.ink_correlation(lambda asked: fitted.predict_proba(asked.reshape(len(asked), -1) / 255), drawn)
    assert np.unravel_index(found[1].argmax(), (6, 6)) == (1, 2)
    assert np.unravel_index(found[1].argmin(), (6, 6)) == (4, 4)
    assert found[0] == pytest.approx(-found[1], abs=1e-5)
    weights = fitted.coef_.reshape(6, 6)
    assert np.corrcoef(found[1].ravel(), weights.ravel())[0, 1] > 0.95


def test_a_pixel_that_never_changes_says_nothing() -> None:
    drawn = np.random.default_rng(1).integers(0, 256, (50, 16, 16), dtype=np.uint8)
    drawn[:, 15, 15] = 7
    found = attribution.ink_correlation(corner, drawn)
    assert np.isfinite(found).all()
    assert found[0, 15, 15] == 0


def test_shifted_pictures_lose_nothing_but_their_right_edge(pictures: Pictures) -> None:
    moved = attribution.shift_right(pictures, 5)
    assert (moved[:, :, 5:] == pictures[:, :, :-5]).all()
    assert not moved[:, :, :5].any()


def test_the_mode_survives_a_model_that_fails(plain: CNN) -> None:
    plain.train()
    with pytest.raises(RuntimeError), activations.eval_mode(plain):
        raise RuntimeError
    assert plain.training
