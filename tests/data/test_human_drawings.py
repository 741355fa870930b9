"""Drawings on disk: loaded in order with their folders as labels; misplaced and unreadable files are reported."""

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

from strokewise.data import human_drawings
from strokewise.data.dataset import Split
from strokewise.errors import DatasetError
from strokewise.preprocessing.preprocess import preprocess
from strokewise.support.paths import DRAWINGS_DIR

SHAPES = ("bar", "ring")


def write_circle(path: Path, radius: int) -> None:
    page = np.full((40, 40), 255, np.uint8)
    cv2.circle(page, (20, 20), radius, 0, 2)
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), page)


def test_drawings_are_sorted_and_labelled_by_folder(tmp_path: Path) -> None:
    for name, radius in (("ring/b.png", 15), ("bar/z.png", 9), ("ring/deep/a.png", 12)):
        write_circle(tmp_path / name, radius)
    (tmp_path / "README.md").write_text("not a drawing")
    for hidden in (".hidden", "ring/.DS_Store", "ring/.cache/x.png"):
        (tmp_path / hidden).parent.mkdir(exist_ok=True)
        (tmp_path / hidden).write_text("not a drawing")
    drawings = human_drawings.load_drawings(tmp_path, SHAPES, 16)
    assert drawings.labels.tolist() == [0, 1, 1]
    assert drawings.pictures.shape == (3, 16, 16)
    assert [path.name for path in human_drawings.drawing_paths(tmp_path)] == ["z.png", "b.png", "a.png"]
    write_circle(tmp_path / "ring/b.png", 14)
    assert human_drawings.load_drawings(tmp_path, SHAPES, 16).digest != drawings.digest


@pytest.mark.parametrize("exists", [True, False])
def test_empty_or_missing_folder_gives_no_drawings(tmp_path: Path, exists: bool) -> None:
    empty = human_drawings.load_drawings(tmp_path if exists else tmp_path / "nowhere", SHAPES, 16)
    assert empty.pictures.shape == (0, 16, 16)
    paintings = Split(np.zeros((2, 16, 16), np.uint8), np.zeros(2, np.int64), SHAPES, "digest")
    assert human_drawings.append_drawings(paintings, empty) is paintings


def test_misplaced_or_unreadable_file_raises_dataset_error(tmp_path: Path) -> None:
    write_circle(tmp_path / "house" / "a.png", 9)
    with pytest.raises(DatasetError, match=r"house is no shape of the model, which knows bar, ring; rename the folder"):
        human_drawings.load_drawings(tmp_path, SHAPES, 16)
    (tmp_path / "house").rename(tmp_path / "bar")
    write_circle(tmp_path / "loose.png", 9)
    with pytest.raises(DatasetError, match=r"loose\.png lies in no shape's folder; move it into one, say .*bar"):
        human_drawings.load_drawings(tmp_path, SHAPES, 16)
    (tmp_path / "loose.png").rename(tmp_path / "bar" / "blank.png")
    (tmp_path / "bar" / "blank.png").write_text("words")
    with pytest.raises(DatasetError, match=r"blank\.png cannot be used \(this is no picture.*take it out"):
        human_drawings.load_drawings(tmp_path, SHAPES, 16)


def test_experiment_without_the_drawings_of_the_checkout_warns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_circle(tmp_path / "checkout" / DRAWINGS_DIR / "bar" / "a.png", 9)
    (tmp_path / "copy").mkdir()
    monkeypatch.chdir(tmp_path / "copy")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "checkout"))
    human_drawings.load_drawings(DRAWINGS_DIR, SHAPES, 16)
    assert "--copy-paths data/drawings" in capsys.readouterr().err


def test_lines_of_libpng_do_not_appear(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "ring" / "a.png"
    write_circle(path, 15)
    content, chunk = path.read_bytes(), struct.pack(">I", 3) + b"tEXta\0b" + bytes(4)  # its checksum is wrong
    path.write_bytes(content[:33] + chunk + content[33:])
    preprocess(path, 16)
    assert "libpng" in capfd.readouterr().err, "there would be nothing to silence"
    human_drawings.load_drawings(tmp_path, SHAPES, 16)
    assert capfd.readouterr() == ("", "")
