"""A project with two shapes and `other`, a collection of three drawings, and `strokewise import` run in it."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from strokewise.cli.app import app
from strokewise.data import human_drawings
from strokewise.support.paths import DRAWINGS_DIR


def draw(number: int) -> np.ndarray:
    page = np.full((60, 60), 255, np.uint8)
    points = np.random.default_rng(number).integers(8, 52, (5, 2)).astype(np.int32)
    cv2.polylines(page, [points], True, 0, 2, cv2.LINE_AA)
    return page


def encode(number: int) -> bytes:
    return cv2.imencode(".png", draw(number))[1].tobytes()


def write(path: Path | str, content: bytes) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_bytes(content)


@pytest.fixture(autouse=True)
def _workdir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project with two shapes and `other`, and the collection `mine`."""
    monkeypatch.chdir(tmp_path)
    for shape in ("ellipse", "rectangle"):
        Path("data/outlines", shape).mkdir(parents=True)
    for number, name in enumerate(("ellipse/a.png", "ellipse/b.png", "Square/c.png")):
        write(Path("mine", name), encode(number))


@pytest.fixture
def make_page() -> Callable[[int], np.ndarray]:
    """make_page(number): a page with a polygon of its own, uint8 (60, 60)."""
    return draw


@pytest.fixture
def make_png() -> Callable[[int], bytes]:
    """make_png(number): that page as PNG."""
    return encode


@pytest.fixture
def write_file() -> Callable[[Path | str, bytes], None]:
    """write_file(path, content): write a file, with its folders."""
    return write


@pytest.fixture
def run_import() -> Callable[..., str]:
    """run_import(*words): run `strokewise import WORDS`; what it printed. An error of the user is raised."""

    def run(*words: str) -> str:
        result = CliRunner().invoke(app, ["import", *words], catch_exceptions=False)
        assert result.exit_code == 0
        return result.output

    return run


@pytest.fixture
def count_drawings() -> Callable[..., dict[str, int]]:
    """count_drawings(folder): how many drawings of each shape lie in it."""

    def count(folder: Path = DRAWINGS_DIR) -> dict[str, int]:
        shapes = [human_drawings.shape_of(path, folder) for path in human_drawings.drawing_paths(folder)]
        return {shape: shapes.count(shape) for shape in sorted(set(shapes))}

    return count
