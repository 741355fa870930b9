"""Behaviour that users rely on, with a small network trained on paintings and a few imported drawings.

The predicted shape stays the same when a drawing is thicker, elsewhere, larger, turned a little or light on dark; and
import, training, prediction and the server get the same picture from the same file.
"""

import base64
import http.client
import json
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

import strokewise
from strokewise.cli.app import app
from strokewise.data import human_drawings, training_set
from strokewise.errors import PictureError
from strokewise.preprocessing.preprocess import preprocess
from strokewise.recogniser import Recogniser
from strokewise.support.paths import TRAIN_DRAWINGS_DIR

pytestmark = pytest.mark.slow
SHAPES = ("ellipse", "rectangle", "star", "triangle")
SMALL_OVERRIDES = [
    *("generate.train=400", "generate.validation=48", "generate.test=24", "generate.imprecision=0.5"),
    *("network.image_size=32", "train.epochs=20", "train.batch_size=64", "train.threads=1", "train.device=cpu"),
]
MIN_UNCHANGED = 0.95  # minimum share of drawings whose predicted shape stays the same under a change
CORNER_COUNTS = {"rectangle": 4, "star": 10, "triangle": 3}


@dataclass(frozen=True)
class Drawing:
    """An exact drawing: position (0 to 1 across the image), size and pen width in pixels, turn in degrees."""

    shape: str
    stretch: float = 1.0
    x: float = 0.5
    y: float = 0.5
    size: float = 60.0
    pen: int = 3
    turn: float = 0.0
    inverted: bool = False

    def image(self) -> NDArray[np.uint8]:
        """Render it: uint8 (256, 256), dark on light unless inverted."""
        count = CORNER_COUNTS.get(self.shape, 64)
        angles = np.arange(count) / count * 2 * np.pi
        angles += np.pi / 4 if self.shape == "rectangle" else -np.pi / 2
        radius = np.where(np.arange(len(angles)) % 2, 0.4, 1.0) if self.shape == "star" else np.ones(len(angles))
        points = radius[:, None] * np.stack([np.cos(angles) * self.stretch, np.sin(angles)], 1) * self.size
        sine, cosine = np.sin(np.radians(self.turn)), np.cos(np.radians(self.turn))
        points = points @ np.array([[cosine, sine], [-sine, cosine]]) + 256 * np.array([self.x, self.y])
        paper = np.full((256, 256), 255, np.uint8)
        cv2.polylines(paper, [np.rint(points * 16).astype(np.int32)], True, 0, self.pen, cv2.LINE_AA, 4)
        return 255 - paper if self.inverted else paper


DRAWINGS = [
    Drawing(shape, stretch, turn=turn) for shape in SHAPES for stretch in (0.7, 0.85, 1.2) for turn in (-3, 0, 3)
]
CHANGES = {
    "thinner": {"pen": 1},
    "thicker": {"pen": 8},
    "to the left": {"x": 0.33},
    "to the corner": {"x": 0.65, "y": 0.65},
    "smaller": {"size": 20.0, "pen": 2},
    "larger": {"size": 85.0},
    "inverted": {"inverted": True},
}


@pytest.fixture(scope="module")
def workdir(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project with four shapes and an imported training drawing of each, after `generate` and `train`."""
    folder = tmp_path_factory.mktemp("behaviour")
    for shape in SHAPES:
        shutil.copytree(root / "data" / "outlines" / shape, folder / "data" / "outlines" / shape)
    shutil.copy(root / "params.yaml", folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for number, drawing in enumerate(DRAWINGS[::9]):
            path = Path("learn", drawing.shape, f"{number}.png")
            path.parent.mkdir(parents=True)
            cv2.imwrite(str(path), drawing.image())
        assert CliRunner().invoke(app, ["import", "learn", "--train"]).exit_code == 0
        options = [word for override in SMALL_OVERRIDES for word in ("--set", override)]
        for stage in ("generate", "train"):
            command = [sys.executable, "-m", "strokewise", stage, *options]
            subprocess.run(command, check=True, capture_output=True)
        yield folder


@pytest.fixture(scope="module")
def recogniser(workdir: Path) -> Recogniser:
    return strokewise.load(workdir / "data" / "model")


@pytest.fixture(scope="module")
def unchanged_shapes(recogniser: Recogniser) -> list[str]:
    """The predicted shape of each of `DRAWINGS`, before any change."""
    shapes = [prediction.shape for prediction in recogniser.predict([drawing.image() for drawing in DRAWINGS])]
    accuracy = np.mean([shape == drawing.shape for shape, drawing in zip(shapes, DRAWINGS, strict=True)])
    assert accuracy >= MIN_UNCHANGED, "exact drawings are the easiest there are"
    return shapes


def share_unchanged(drawings: list[Drawing], recogniser: Recogniser, unchanged_shapes: list[str]) -> float:
    predictions = recogniser.predict([drawing.image() for drawing in drawings])
    return float(np.mean([new.shape == old for new, old in zip(predictions, unchanged_shapes, strict=True)]))


@pytest.mark.parametrize("change", CHANGES)
def test_shape_is_invariant_to_change(change: str, recogniser: Recogniser, unchanged_shapes: list[str]) -> None:
    changed = [replace(drawing, **CHANGES[change]) for drawing in DRAWINGS]
    assert share_unchanged(changed, recogniser, unchanged_shapes) >= MIN_UNCHANGED


@pytest.mark.parametrize("degrees", [-8, 8])
def test_shape_is_invariant_to_small_turn(degrees: int, recogniser: Recogniser, unchanged_shapes: list[str]) -> None:
    turned = [replace(drawing, turn=drawing.turn + degrees) for drawing in DRAWINGS]
    assert share_unchanged(turned, recogniser, unchanged_shapes) >= MIN_UNCHANGED


@pytest.mark.parametrize("shade", [0, 128, 255])
def test_blank_image_raises_picture_error(shade: int, recogniser: Recogniser) -> None:
    with pytest.raises(PictureError, match="blank"):
        recogniser.predict(np.full((256, 256), shade, np.uint8))


def test_scores_are_probabilities_and_independent_of_the_batch(recogniser: Recogniser) -> None:
    images = [drawing.image() for drawing in DRAWINGS]
    for image, in_batch in zip(images, recogniser.predict(images), strict=True):
        assert min(in_batch.scores.values()) >= 0
        assert sum(in_batch.scores.values()) == pytest.approx(1, abs=1e-6)
        assert in_batch.confidence == max(in_batch.scores.values()) == in_batch.scores[in_batch.shape]
        (alone,) = recogniser.predict(image)
        assert alone.shape == in_batch.shape
        assert alone.scores == pytest.approx(in_batch.scores, abs=1e-6)


def test_import_prediction_and_server_agree_on_a_file(workdir: Path, recogniser: Recogniser) -> None:
    file = workdir / "learn" / DRAWINGS[0].shape / "0.png"
    (prediction,) = recogniser.predict(file)
    assert [prediction] in [recogniser.predict(path) for path in human_drawings.drawing_paths(TRAIN_DRAWINGS_DIR)]
    result = CliRunner().invoke(app, ["predict", str(file), "--model", str(workdir / "data" / "model"), "--json"])
    assert json.loads(result.output)["scores"] == pytest.approx(prediction.scores, abs=1e-6)
    with running_server(workdir) as port:
        answer = request_prediction(port, file)
    assert answer["shape"] == prediction.shape
    assert answer["scores"] == pytest.approx(prediction.scores, abs=1e-6)


def test_training_gets_preprocessed_imported_drawings(workdir: Path) -> None:
    expected = [preprocess(path, 32) for path in sorted((workdir / "learn").rglob("*.png"))]
    training = training_set.load_training_set(32).split
    assert len(training.labels) == 400 + len(expected)
    assert sorted(map(bytes, training.pictures[-len(expected) :])) == sorted(map(bytes, expected))


@contextmanager
def running_server(workdir: Path) -> Iterator[int]:
    """Run `strokewise serve` with the trained model on a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "strokewise", "serve", "--model", "data/model", "--port", str(port)]
    process = subprocess.Popen(command, cwd=workdir, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    try:
        assert any("answers at" in line for line in process.stdout)
        yield port
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)


def request_prediction(port: int, picture: Path) -> Any:
    """The server's prediction for a picture file."""
    body = json.dumps({"inputs": [base64.b64encode(picture.read_bytes()).decode()]})
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", "/invocations", body, {"Content-Type": "application/json"})
    with closing(connection):
        response = connection.getresponse()
        assert response.status == 200
        return json.loads(response.read())["predictions"][0]
