"""Probabilities with test-time augmentation."""

from typing import Any

import numpy as np
import pytest
import torch

from strokewise.errors import ModelError
from strokewise.model.cnn import CNN
from strokewise.model.inference import predict_proba, rotate, to_tensor
from strokewise.model.tta import TTA_ANGLES

SHAPES = ("circle", "line", "other")


@pytest.fixture
def cnn(network_params: Any) -> CNN:
    torch.manual_seed(0)
    return CNN(SHAPES, network_params()).eval()


def test_probabilities_do_not_depend_on_the_batch(cnn: CNN) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (7, 32, 32), dtype=np.uint8)
    together = predict_proba(cnn, pictures)
    assert together.dtype == np.float32
    assert together.sum(1) == pytest.approx(np.ones(7))
    alone = np.concatenate([predict_proba(cnn, pictures[i : i + 1]) for i in range(7)])
    assert together == pytest.approx(alone, abs=1e-6)
    assert together == pytest.approx(predict_proba(cnn, pictures, batch_size=3), abs=1e-6)
    assert predict_proba(cnn, pictures[:0]).shape == (0, 3)


def test_probabilities_are_the_mean_over_rotations(cnn: CNN) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (3, cnn.image_size, cnn.image_size), np.uint8)
    with torch.inference_mode():
        each = [cnn(rotate(to_tensor(pictures), degrees)).softmax(1).numpy() for degrees in (-10.0, 25.0)]
    assert predict_proba(cnn, pictures, angles=(-10.0, 25.0)) == pytest.approx(np.mean(each, 0), abs=1e-6)
    assert not np.allclose(*each)
    assert np.array_equal(predict_proba(cnn, pictures), predict_proba(cnn, pictures, angles=TTA_ANGLES))


def test_rotate_turns_clockwise_about_the_centre() -> None:
    pictures = 255 * np.random.default_rng(0).integers(0, 2, (2, 32, 32), np.uint8)
    rotated = rotate(to_tensor(pictures), 90.0)[:, 0]
    np.testing.assert_allclose(rotated, np.rot90(pictures / 255, -1, axes=(1, 2)), atol=1e-4)
    assert torch.equal(rotate(to_tensor(pictures), 0.0), to_tensor(pictures))


@pytest.mark.parametrize("degrees", TTA_ANGLES)
def test_rotate_keeps_thin_lines_dark(degrees: float) -> None:
    line = np.zeros((1, 32, 32), np.uint8)
    line[0, :, 15] = 255  # a pixel wide
    darkest = rotate(to_tensor(line), degrees)[0, 0, 4:28].amax(1)
    assert darkest.mean() > 0.95
    assert darkest.max() <= 1


def test_pictures_of_another_size_raise_model_error(cnn: CNN) -> None:
    message = r"shape \(2, 8, 8\) do not fit a network of image_size 32; give \(N, 32, 32\)"
    with pytest.raises(ModelError, match=message):
        predict_proba(cnn, np.zeros((2, 8, 8), np.uint8))
