"""Small networks of every make, and strokes to show them."""

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from strokewise.model.cnn import CNN
from strokewise.params import NetworkParams as Settings
from strokewise.params import Params

MAKES = {
    "default": {},
    "fixed lines, valid padding": {"lines": "fixed", "padding": "valid", "depth": 2},
    "strided, group norm, leaky": {"pooling": "strided", "normalisation": "group", "activation": "leaky"},
    "bare": {"normalisation": "none", "pooling": "average", "kernel": 5, "depth": 1, "extra": 0, "hidden": 8},
}


@pytest.fixture(scope="session")
def settings() -> Settings:
    """A network small enough to be made anew for every test."""
    return Params.load().network.model_copy(update={"grid": 32, "width": 8, "extra": 3, "hidden": 16})


@pytest.fixture(params=MAKES)
def network(request: pytest.FixtureRequest, settings: Settings) -> CNN:
    """An untrained network of one make after the other; its normalisation has seen some pictures."""
    return made(settings, MAKES[request.param])


@pytest.fixture
def plain(settings: Settings) -> CNN:
    """An untrained network of the default make."""
    return made(settings, {})


@pytest.fixture(scope="session")
def pictures() -> NDArray[np.uint8]:
    """Eight pictures (32, 32) of four strokes each."""
    rng = np.random.default_rng(5)
    drawn = np.zeros((8, 32, 32), np.uint8)
    for picture in drawn:
        cv2.polylines(picture, [rng.integers(3, 29, (5, 2), dtype=np.int32)], False, 255, 1, cv2.LINE_AA)
    return drawn


def made(settings: Settings, changes: dict[str, object]) -> CNN:
    torch.manual_seed(3)
    network = CNN(("cross", "ellipse", "other"), settings.model_copy(update=changes))
    network.train()
    with torch.no_grad():
        network(torch.rand(16, 1, settings.image_size, settings.image_size))
    return network.eval()
