"""A model and a drawing for the commands, in a working directory of their own."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from strokewise.model.cnn import CNN
from strokewise.model.model_files import save_model
from strokewise.params import Params


@pytest.fixture(scope="session")
def model(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder of an untrained network."""
    folder = tmp_path_factory.mktemp("model") / "model"
    network = Params.load(root / "params.yaml", ["network.image_size=32", "network.base_channels=8"]).network
    outline = '<svg xmlns="http://www.w3.org/2000/svg" data-fit="box"><path d="M0 0 L9 0 L9 9 Z"/></svg>'
    outlines = {"circle": {"angular": outline}}
    save_model(CNN(("circle", "other"), network), folder, {"fingerprint": "0" * 64}, outlines)
    return folder


@pytest.fixture
def drawing(tmp_path: Path) -> Path:
    """A picture of a circle, the only file of its folder."""
    scene = np.full((90, 70, 3), 255, np.uint8)
    cv2.circle(scene, (35, 45), 20, (0, 0, 0), 2)
    path = tmp_path / "drawings" / "circle.png"
    path.parent.mkdir()
    cv2.imwrite(str(path), scene)
    return path


@pytest.fixture(autouse=True)
def _in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
