"""The recogniser: every form of a picture gives the same prediction; errors are raised or yielded."""

from pathlib import Path

import cv2
import numpy as np
import pytest

import strokewise
from strokewise import recogniser
from strokewise.errors import ModelError, PictureError
from strokewise.model.cnn import CNN
from strokewise.model.model_files import save_model
from strokewise.params import Params


@pytest.fixture(scope="module")
def model(root: Path, tmp_path_factory: pytest.TempPathFactory) -> recogniser.Recogniser:
    folder = tmp_path_factory.mktemp("model") / "model"
    network_params = Params.load(root / "params.yaml", ["network.image_size=32", "network.base_channels=8"]).network
    save_model(CNN(("circle", "cross", "other"), network_params), folder, {"fingerprint": "0" * 64})
    return strokewise.load(folder)


def scene(radius: int = 20) -> "np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]":
    page = np.full((90, 70, 3), 255, np.uint8)
    cv2.circle(page, (35, 45), radius, (0, 0, 0), 2)
    return page


def test_path_bytes_and_array_give_the_same_prediction(model: recogniser.Recogniser, tmp_path: Path) -> None:
    path = tmp_path / "drawing.png"
    cv2.imwrite(str(path), scene())
    predictions = model.predict([path, str(path), path.read_bytes(), scene()])
    assert len({str(prediction) for prediction in predictions}) == 1
    assert model.predict(path) == model.predict([path]) == model.predict(scene())
    assert model.predict(scene())[0].scores == pytest.approx(predictions[3].scores, abs=1e-6)


def test_batch_and_single_pictures_agree(model: recogniser.Recogniser) -> None:
    scenes = [scene(radius) for radius in range(5, 30)] * 20
    batch = model.predict(scenes)
    for picture, prediction in list(zip(scenes, batch, strict=True))[:25]:
        single = model.predict(picture)[0]
        assert single.shape == prediction.shape
        assert single.scores == pytest.approx(prediction.scores, abs=1e-6)
        assert sum(prediction.scores.values()) == pytest.approx(1, abs=1e-5)
    assert len(batch) == len(scenes)
    for index, prediction in enumerate(batch):  # more pictures than are read at a time
        assert prediction.scores == pytest.approx(batch[index % 25].scores, abs=1e-6)


def test_unreadable_picture_is_raised_by_predict_and_yielded_by_stream(model: recogniser.Recogniser) -> None:
    blank = np.full((40, 40), 255, np.uint8)
    with pytest.raises(PictureError):
        model.predict([scene(), blank])
    predictions = list(model.stream([blank, scene(), b"rubbish"]))
    assert [isinstance(prediction, PictureError) for prediction in predictions] == [True, False, True]


def test_missing_model_raises_model_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match=r"no model in .*nowhere"):
        strokewise.load(tmp_path / "nowhere")
    with pytest.raises(ModelError, match="no champion is registered and there is no data/model here; run `make repro`"):
        strokewise.load()
