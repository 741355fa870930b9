"""Any pictures -> shapes, in any of the forms that a program has them in, the same answer."""

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
def loaded(root: Path, tmp_path_factory: pytest.TempPathFactory) -> recogniser.Recogniser:
    folder = tmp_path_factory.mktemp("model") / "model"
    settings = Params.load(root / "params.yaml", ["network.image_size=32", "network.base_channels=8"]).network
    save_model(CNN(("circle", "cross", "other"), settings), folder, {"fingerprint": "0" * 64})
    return strokewise.load(folder)


def scene(radius: int = 20) -> "np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]":
    paper = np.full((90, 70, 3), 255, np.uint8)
    cv2.circle(paper, (35, 45), radius, (0, 0, 0), 2)
    return paper


def test_a_path_bytes_and_an_array_give_the_same_answer(loaded: recogniser.Recogniser, tmp_path: Path) -> None:
    path = tmp_path / "drawing.png"
    cv2.imwrite(str(path), scene())
    answers = loaded.predict([path, str(path), path.read_bytes(), scene()])
    assert len({str(answer) for answer in answers}) == 1
    assert loaded.predict(path) == loaded.predict([path]) == loaded.predict(scene())
    assert loaded.predict(scene())[0].scores == pytest.approx(answers[3].scores, abs=1e-6)


def test_a_batch_and_single_pictures_agree(loaded: recogniser.Recogniser) -> None:
    scenes = [scene(radius) for radius in range(5, 30)] * 20
    together = loaded.predict(scenes)
    for picture, answer in list(zip(scenes, together, strict=True))[:25]:
        alone = loaded.predict(picture)[0]
        assert alone.shape == answer.shape
        assert alone.scores == pytest.approx(answer.scores, abs=1e-6)
        assert sum(answer.scores.values()) == pytest.approx(1, abs=1e-5)
    assert len(together) == len(scenes)
    for place, answer in enumerate(together):  # also beyond the batch that is read ahead
        assert answer.scores == pytest.approx(together[place % 25].scores, abs=1e-6)


def test_a_bad_picture_is_raised_by_predict_and_passed_by_stream(loaded: recogniser.Recogniser) -> None:
    blank = np.full((40, 40), 255, np.uint8)
    with pytest.raises(PictureError):
        loaded.predict([scene(), blank])
    answers = list(loaded.stream([blank, scene(), b"rubbish"]))
    assert [isinstance(answer, PictureError) for answer in answers] == [True, False, True]


def test_a_model_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match=r"no model in .*nowhere"):
        strokewise.load(tmp_path / "nowhere")
    with pytest.raises(ModelError, match="no champion is registered and there is no data/model here; run `make repro`"):
        strokewise.load()
