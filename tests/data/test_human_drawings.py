"""Drawings on disk are read in order, through the door, and whatever lies in the wrong place is told in one line."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from strokewise.data import human_drawings
from strokewise.data.dataset import Split
from strokewise.errors import DatasetError
from strokewise.support.paths import DRAWINGS_DIR

SHAPES = ("bar", "ring")


def draw(path: Path, size: int) -> None:
    page = np.full((40, 40), 255, np.uint8)
    cv2.circle(page, (20, 20), size, 0, 2)
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), page)


def test_they_come_sorted_with_their_folders_as_labels(tmp_path: Path) -> None:
    for name, size in (("ring/b.png", 15), ("bar/z.png", 9), ("ring/deep/a.png", 12)):
        draw(tmp_path / name, size)
    (tmp_path / "README.md").write_text("no drawing")
    (tmp_path / ".hidden").write_text("no drawing")
    found = human_drawings.load_drawings(tmp_path, SHAPES, 16)
    assert found.labels.tolist() == [0, 1, 1]
    assert found.pictures.shape == (3, 16, 16)
    assert [path.name for path in human_drawings.drawing_paths(tmp_path)] == ["z.png", "b.png", "a.png"]
    draw(tmp_path / "ring/b.png", 14)
    assert human_drawings.load_drawings(tmp_path, SHAPES, 16).digest != found.digest


@pytest.mark.parametrize("there", [True, False])
def test_no_drawings_are_none(tmp_path: Path, there: bool) -> None:
    none = human_drawings.load_drawings(tmp_path if there else tmp_path / "nowhere", SHAPES, 16)
    assert none.pictures.shape == (0, 16, 16)
    paintings = Split(np.zeros((2, 16, 16), np.uint8), np.zeros(2, np.int64), SHAPES, "digest")
    assert human_drawings.append_drawings(paintings, none) is paintings


def test_what_does_not_belong_is_refused(tmp_path: Path) -> None:
    draw(tmp_path / "house" / "a.png", 9)
    with pytest.raises(DatasetError, match=r"house is no shape of the model, which knows bar, ring; rename the folder"):
        human_drawings.load_drawings(tmp_path, SHAPES, 16)
    (tmp_path / "house").rename(tmp_path / "bar")
    draw(tmp_path / "loose.png", 9)
    with pytest.raises(DatasetError, match=r"loose\.png lies in no shape's folder; move it into one, say .*bar"):
        human_drawings.load_drawings(tmp_path, SHAPES, 16)
    (tmp_path / "loose.png").rename(tmp_path / "bar" / "blank.png")
    (tmp_path / "bar" / "blank.png").write_text("words")
    with pytest.raises(DatasetError, match=r"blank\.png cannot be used \(this is no picture.*take it out"):
        human_drawings.load_drawings(tmp_path, SHAPES, 16)


def test_a_copy_without_the_drawings_of_home_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    draw(tmp_path / "home" / DRAWINGS_DIR / "bar" / "a.png", 9)
    (tmp_path / "copy").mkdir()
    monkeypatch.chdir(tmp_path / "copy")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "home"))
    human_drawings.load_drawings(DRAWINGS_DIR, SHAPES, 16)
    assert "--copy-paths data/drawings" in capsys.readouterr().err
