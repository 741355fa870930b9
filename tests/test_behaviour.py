"""What a user may rely on, seen on a small network that was trained on paintings and a few imported drawings.

A drawing keeps its shape when it is drawn thicker, elsewhere, larger, turned a little or light on dark; and import,
training, prediction, evaluation and the server see the same picture in the same file.
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
SMALL = [
    *("generate.train=400", "generate.validation=48", "generate.test=24", "generate.imprecision=0.5"),
    *("network.image_size=32", "train.epochs=20", "train.batch_size=64", "train.threads=1", "train.device=cpu"),
]
KEEP = 0.95  # of the drawings, at least, that a change must leave what they are
CORNERS = {"rectangle": 4, "star": 10, "triangle": 3}


@dataclass(frozen=True)
class Drawing:
    """A drawing by ruler: where it lies (0 to 1 across the page), how large, how thick the pen (pixels), how turned."""

    shape: str
    stretch: float = 1.0
    x: float = 0.5
    y: float = 0.5
    size: float = 60.0
    pen: int = 3
    turn: float = 0.0
    inverted: bool = False

    def page(self) -> NDArray[np.uint8]:
        """Uint8 (256, 256): dark on light, unless inverted."""
        angles = np.arange(CORNERS.get(self.shape, 64)) / CORNERS.get(self.shape, 64) * 2 * np.pi
        angles += np.pi / 4 if self.shape == "rectangle" else -np.pi / 2
        radius = np.where(np.arange(len(angles)) % 2, 0.4, 1.0) if self.shape == "star" else np.ones(len(angles))
        points = radius[:, None] * np.stack([np.cos(angles) * self.stretch, np.sin(angles)], 1) * self.size
        sine, cosine = np.sin(np.radians(self.turn)), np.cos(np.radians(self.turn))
        points = points @ np.array([[cosine, sine], [-sine, cosine]]) + 256 * np.array([self.x, self.y])
        paper = np.full((256, 256), 255, np.uint8)
        cv2.polylines(paper, [np.rint(points * 16).astype(np.int32)], True, 0, self.pen, cv2.LINE_AA, 4)
        return 255 - paper if self.inverted else paper


PLAIN = [Drawing(shape, stretch, turn=turn) for shape in SHAPES for stretch in (0.7, 0.85, 1.2) for turn in (-3, 0, 3)]
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
def yard(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project with four shapes and a drawing of each that was imported to learn from, painted and trained."""
    folder = tmp_path_factory.mktemp("behaviour")
    for shape in SHAPES:
        shutil.copytree(root / "data" / "outlines" / shape, folder / "data" / "outlines" / shape)
    shutil.copy(root / "params.yaml", folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for number, drawing in enumerate(PLAIN[::9]):
            path = Path("learn", drawing.shape, f"{number}.png")
            path.parent.mkdir(parents=True)
            cv2.imwrite(str(path), drawing.page())
        assert CliRunner().invoke(app, ["import", "learn", "--train"]).exit_code == 0
        words = [word for change in SMALL for word in ("--set", change)]
        for stage in ("generate", "train"):
            command = [sys.executable, "-m", "strokewise", stage, *words]
            subprocess.run(command, check=True, capture_output=True)
        yield folder


@pytest.fixture(scope="module")
def loaded(yard: Path) -> Recogniser:
    return strokewise.load(yard / "data" / "model")


@pytest.fixture(scope="module")
def plain(loaded: Recogniser) -> list[str]:
    """What the network says of the drawings as they are."""
    said = [answer.shape for answer in loaded.predict([drawing.page() for drawing in PLAIN])]
    right = np.mean([answer == drawing.shape for answer, drawing in zip(said, PLAIN, strict=True)])
    assert right >= KEEP, "drawings by ruler are the easiest there are"
    return said


@pytest.mark.parametrize("change", CHANGES)
def test_a_drawing_keeps_its_shape(change: str, loaded: Recogniser, plain: list[str]) -> None:
    changed = loaded.predict([replace(drawing, **CHANGES[change]).page() for drawing in PLAIN])
    assert np.mean([answer.shape == before for answer, before in zip(changed, plain, strict=True)]) >= KEEP


@pytest.mark.parametrize("degrees", [-8, 8])
def test_a_drawing_turned_a_little_keeps_its_shape(degrees: int, loaded: Recogniser, plain: list[str]) -> None:
    turned = loaded.predict([replace(drawing, turn=drawing.turn + degrees).page() for drawing in PLAIN])
    assert np.mean([answer.shape == before for answer, before in zip(turned, plain, strict=True)]) >= KEEP


@pytest.mark.parametrize("shade", [0, 128, 255])
def test_a_blank_page_is_refused(shade: int, loaded: Recogniser) -> None:
    with pytest.raises(PictureError, match="blank"):
        loaded.predict(np.full((256, 256), shade, np.uint8))


def test_scores_are_probabilities_in_a_batch_as_alone(loaded: Recogniser) -> None:
    pages = [drawing.page() for drawing in PLAIN]
    for page, together in zip(pages, loaded.predict(pages), strict=True):
        assert min(together.scores.values()) >= 0
        assert sum(together.scores.values()) == pytest.approx(1, abs=1e-6)
        assert together.confidence == max(together.scores.values()) == together.scores[together.shape]
        (alone,) = loaded.predict(page)
        assert alone.shape == together.shape
        assert alone.scores == pytest.approx(together.scores, abs=1e-6)


def test_a_file_is_the_same_picture_for_import_prediction_and_the_server(yard: Path, loaded: Recogniser) -> None:
    """One file, and everyone sees the same picture in it and says the same of it."""
    given = yard / "learn" / PLAIN[0].shape / "0.png"
    (answer,) = loaded.predict(given)
    assert [answer] in [loaded.predict(path) for path in human_drawings.drawing_paths(TRAIN_DRAWINGS_DIR)]
    typed = CliRunner().invoke(app, ["predict", str(given), "--model", str(yard / "data" / "model"), "--json"])
    assert json.loads(typed.output)["scores"] == pytest.approx(answer.scores, abs=1e-6)
    with served(yard) as port:
        said = ask(port, given)
    assert said["shape"] == answer.shape
    assert said["scores"] == pytest.approx(answer.scores, abs=1e-6)


def test_training_sees_an_imported_drawing_as_the_door_does(yard: Path) -> None:
    seen = [preprocess(path, 32) for path in sorted((yard / "learn").rglob("*.png"))]
    learned = training_set.load_training_set(32).split
    assert len(learned.labels) == 400 + len(seen)
    assert sorted(map(bytes, learned.pictures[-len(seen) :])) == sorted(map(bytes, seen))


@contextmanager
def served(yard: Path) -> Iterator[int]:
    """`strokewise serve` with the model just trained, on a port of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "strokewise", "serve", "--model", "data/model", "--port", str(port)]
    process = subprocess.Popen(command, cwd=yard, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    try:
        assert any("answers at" in line for line in process.stdout)
        yield port
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)


def ask(port: int, picture: Path) -> Any:
    """What the server says of a picture's file."""
    body = json.dumps({"inputs": [base64.b64encode(picture.read_bytes()).decode()]})
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", "/invocations", body, {"Content-Type": "application/json"})
    with closing(connection):
        answer = connection.getresponse()
        assert answer.status == 200
        return json.loads(answer.read())["predictions"][0]
