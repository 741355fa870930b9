"""The recogniser: every form of a picture gives the same prediction; errors are raised or yielded."""

import io
import json
import pickle
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

import strokewise
from strokewise import recogniser
from strokewise.errors import ModelError, PictureError
from strokewise.loading import REFERENCE_MODEL
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
    assert len({str(prediction.to_dict()) for prediction in predictions}) == 1
    assert model.predict(path) == model.predict([path]) == model.predict(scene())
    assert model.predict(scene())[0].scores == pytest.approx(predictions[3].scores, abs=1e-6)


ONE_SOURCE: dict[str, Callable[[Path], Any]] = {
    "text path": str,
    "pure path": lambda path: PurePosixPath(path),
    "bytes": Path.read_bytes,
    "bytearray": lambda path: bytearray(path.read_bytes()),
    "memoryview": lambda path: memoryview(path.read_bytes()),
    "open file": lambda path: io.BytesIO(path.read_bytes()),
    "PIL picture": Image.open,
    "PIL palette": lambda path: Image.open(path).convert("P"),
    "PIL CMYK": lambda path: Image.open(path).convert("RGB").convert("CMYK"),
    "PIL bits": lambda path: Image.open(path).convert("1"),
    "array": lambda path: np.asarray(Image.open(path)),
    "tensor": lambda path: torch.from_numpy(np.array(Image.open(path))),
    "list": lambda path: [path],
    "generator": lambda path: (one for one in [path]),
}


@pytest.mark.parametrize("kind", ONE_SOURCE)
def test_anything_that_holds_a_picture_is_read(kind: str, model: recogniser.Recogniser, tmp_path: Path) -> None:
    path = tmp_path / "drawing.png"
    Image.fromarray(scene()).save(path)
    (prediction,) = model.predict(ONE_SOURCE[kind](path))
    assert prediction.scores == pytest.approx(model.predict(path)[0].scores, abs=0.02)  # rounded colours of CMYK


NO_PICTURES: dict[str, tuple[Any, str]] = {
    "None": (None, "a NoneType is no picture"),
    "number": (3.5, "a float is no picture"),
    "object": (object(), "a object is no picture"),
    "list of None": ([None], "a NoneType is no picture"),
    "empty dictionary": ({}, "there are no strokes"),
    "array without axes": (np.array(5), r"an array of shape \(\) is no picture"),
    "array of objects": (np.array([None]), "is no picture"),
    "open text": (io.StringIO("x"), "not in binary mode"),
    "empty path": ("", "is no file"),
    "no bytes": (b"", "the file is empty"),
}


@pytest.mark.parametrize("kind", NO_PICTURES)
def test_anything_else_raises_picture_error(kind: str, model: recogniser.Recogniser) -> None:
    source, message = NO_PICTURES[kind]
    with pytest.raises(PictureError, match=message):
        model.predict(source)


def test_truncated_pil_picture_and_closed_file_raise_picture_error(
    model: recogniser.Recogniser, tmp_path: Path
) -> None:
    path = tmp_path / "drawing.png"
    Image.effect_noise((200, 200), 90).save(path)
    cut = io.BytesIO(path.read_bytes()[:5000])
    with pytest.raises(PictureError, match="the PIL picture cannot be read"):
        model.predict(Image.open(cut))
    closed = io.BytesIO(b"x")
    closed.close()
    with pytest.raises(PictureError, match="the open file cannot be read"):
        model.predict(closed)


def test_strokes_of_a_file_with_any_name_are_read(model: recogniser.Recogniser, tmp_path: Path) -> None:
    path = tmp_path / "board.excalidraw"
    path.write_text('{"elements": [{"type": "ellipse", "x": 5, "y": 7, "width": 30, "height": 30}]}')
    assert model.predict(path)[0].scores == pytest.approx(model.predict(path.read_bytes())[0].scores)


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


def test_prediction_is_the_name_with_its_scores(model: recogniser.Recogniser) -> None:
    (prediction,) = model.predict(scene())
    assert prediction == prediction.shape == max(prediction.scores, key=prediction.scores.__getitem__)
    assert prediction.confidence == max(prediction.scores.values())
    assert pickle.loads(pickle.dumps(prediction)).to_dict() == prediction.to_dict()  # noqa: S301 - our own
    assert json.loads(json.dumps(prediction.to_dict()))["shape"] == prediction


def test_rejected_prediction_is_other_with_its_score(model: recogniser.Recogniser) -> None:
    (prediction,) = model.predict(scene(), reject_below=1.0)
    assert (prediction, prediction.confidence) == ("other", prediction.scores["other"])


def test_predict_proba_has_a_row_a_picture_and_a_column_a_class(model: recogniser.Recogniser) -> None:
    scenes = np.stack([scene(radius) for radius in (10, 15, 20)])
    rows = model.predict_proba(scenes)
    assert (rows.shape, rows.dtype) == ((3, 3), np.float32)
    assert model.classes_.tolist() == list(model.shapes)
    for row, prediction in zip(rows, model.predict(scenes), strict=True):
        assert dict(zip(model.classes_, row.tolist(), strict=True)) == pytest.approx(prediction.scores)
    assert model.predict_proba(scenes[..., 0]) == pytest.approx(rows)  # a stack of grey pictures
    assert model.predict_proba([]).shape == (0, 3)
    with pytest.raises(PictureError):
        model.predict_proba([scene(), np.full((40, 40), 255, np.uint8)])


def test_scikit_learn_takes_it_for_a_fitted_classifier(model: recogniser.Recogniser) -> None:
    from sklearn import metrics
    from sklearn.base import is_classifier
    from sklearn.utils.validation import check_is_fitted

    scenes, labels = [scene(radius) for radius in (10, 15, 20)], ["circle", "cross", "other"]
    check_is_fitted(model.fit(scenes, labels))
    assert is_classifier(model)
    assert metrics.log_loss(labels, model.predict_proba(scenes), labels=model.classes_) > 0
    assert 0 <= metrics.accuracy_score(labels, model.predict(scenes)) <= 1
    assert metrics.get_scorer("accuracy")(model, scenes, labels) == metrics.accuracy_score(
        labels, model.predict(scenes)
    )
    display = metrics.ConfusionMatrixDisplay.from_estimator(model, scenes, labels, labels=model.classes_)
    assert display.confusion_matrix.sum() == 3


@pytest.mark.slow
def test_several_processes_give_the_same_answers_in_order(model: recogniser.Recogniser, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "drawing.png"), scene())
    one: list[Any] = [
        tmp_path / "drawing.png",
        scene(14),
        b"rubbish",
        [[(0, 0), (9, 9), (0, 9)]],
        tmp_path / "none.png",
    ]
    sources = [io.BytesIO((tmp_path / "drawing.png").read_bytes()), *one * 40]
    answers = list(model.stream(sources, num_processes=2))
    sources[0] = tmp_path / "drawing.png"
    expected = list(model.stream(sources))
    assert [str(answer) for answer in answers] == [str(answer) for answer in expected]
    for answer, alone in zip(answers, expected, strict=True):
        if isinstance(alone, recogniser.Prediction):
            assert isinstance(answer, recogniser.Prediction)
            assert answer.scores == pytest.approx(alone.scores, abs=1e-6)


@pytest.mark.parametrize(
    "error", [RecursionError("deep"), MemoryError(), cv2.error("bad"), KeyError("x"), OSError(5, "io")]
)
def test_failure_of_one_picture_leaves_the_others_their_answers(
    error: Exception, model: recogniser.Recogniser, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = recogniser.preprocess_with_ink

    def fail_once(source: Any, image_size: int) -> Any:
        if isinstance(source, bytes):
            raise error
        return read(source, image_size)

    monkeypatch.setattr(recogniser, "preprocess_with_ink", fail_once)
    before, failed, after = model.stream([scene(), b"it", scene(14)])
    assert isinstance(failed, PictureError)
    assert [before, after] == model.predict([scene(), scene(14)])


@pytest.fixture(scope="module")
def snapper() -> recogniser.Recogniser:
    return recogniser.Recogniser(REFERENCE_MODEL)


CLOSED_BOX = [[(-30.0, 5.0), (10.0, 5.0), (10.0, 30.0), (-30.0, 30.0), (-30.0, 5.0)]]


def test_snap_gives_the_geometry_in_the_units_of_the_strokes(snapper: recogniser.Recogniser) -> None:
    (answer,) = snapper.predict(CLOSED_BOX, snap=True)
    assert answer == "rectangle"
    assert answer.geometry is not None
    assert answer.geometry.shape == "rectangle"
    assert answer.geometry.parameters["centre"] == pytest.approx([-10, 17.5], abs=0.4)
    assert sorted(answer.geometry.parameters["size"]) == pytest.approx([25, 40], abs=0.8)
    assert pickle.loads(pickle.dumps(answer)).geometry == answer.geometry  # noqa: S301 - our own bytes
    assert json.loads(json.dumps(answer.to_dict()))["geometry"]["variant"] == answer.geometry.variant
    (plain,) = snapper.predict(CLOSED_BOX)
    assert (plain.geometry, plain.no_geometry) == (None, "")
    assert "geometry" not in plain.to_dict()


@pytest.mark.parametrize("side", [60, 300, 5000])
def test_snap_of_a_picture_agrees_with_its_strokes_at_any_size(snapper: recogniser.Recogniser, side: int) -> None:
    strokes = np.array([(0.2, 0.3), (0.8, 0.4), (0.7, 0.8), (0.2, 0.3)]) * side
    page = np.full((side, int(1.3 * side)), 255, np.uint8)
    cv2.polylines(page, [strokes.round().astype(np.int32)], True, 0, max(1, side // 40), cv2.LINE_AA)
    drawn, of_strokes = snapper.predict([page, strokes.tolist()], snap=True)
    assert drawn.geometry is not None
    assert of_strokes.geometry is not None
    for name in ("centre", "size"):
        one, other = drawn.geometry.parameters[name], of_strokes.geometry.parameters[name]
        assert one == pytest.approx(other, abs=0.03 * side)
    vertices = np.array(drawn.geometry.parameters["vertices"])
    assert np.hypot(*np.moveaxis(vertices[:, None] - strokes[:3], 2, 0)).min(axis=1).max() < 0.03 * side


def test_snap_says_why_there_is_no_geometry(snapper: recogniser.Recogniser) -> None:
    spiral = [[(t * np.cos(t), t * np.sin(t)) for t in np.linspace(0, 25, 200)]]
    noise, rejected, bounded = (
        snapper.predict(spiral, snap=True)[0],
        snapper.predict(CLOSED_BOX, reject_below=0.999, snap=True)[0],
        snapper.predict(CLOSED_BOX, max_misfit=0.0, snap=True)[0],
    )
    assert noise.geometry is rejected.geometry is bounded.geometry is None
    assert noise.no_geometry
    assert rejected.no_geometry == "" or "has a confidence below 0.999" in rejected.no_geometry
    assert "no outline of it explains the ink" in bounded.no_geometry
    assert bounded.to_dict()["geometry"] is None


@pytest.mark.parametrize("bound", [-0.1, 1.5, float("nan")])
def test_misfit_out_of_range_raises_model_error(snapper: recogniser.Recogniser, bound: float) -> None:
    with pytest.raises(ModelError, match="give a number between 0 and 1"):
        snapper.predict(CLOSED_BOX, snap=True, max_misfit=bound)


def test_model_without_outlines_cannot_snap(model: recogniser.Recogniser) -> None:
    with pytest.raises(ModelError, match="carries no outlines to snap to"):
        model.predict(scene(), snap=True)


@pytest.mark.slow
def test_several_processes_snap_alike(snapper: recogniser.Recogniser) -> None:
    sources = [scene(radius) for radius in (10, 15, 20)] + [CLOSED_BOX, b"no picture"]
    alone, together = (list(snapper.stream(sources, snap=True, num_processes=n)) for n in (1, 2))
    for one, other in zip(alone, together, strict=True):
        assert str(one) == str(other)
        if isinstance(one, recogniser.Prediction):
            assert isinstance(other, recogniser.Prediction)
            assert one.to_dict() == other.to_dict()
