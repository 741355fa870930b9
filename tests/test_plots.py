"""Figures: the same bytes for the same input, and what they show is where it should be."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from strokewise import plots

ROWS = [[np.full((16, 16), level, np.uint8) for level in (0, 255)], [np.zeros((8, 16, 3), np.uint8)]]


def shown(path: Path) -> np.ndarray:
    """A PNG as grey pixels, read by something else than what wrote it."""
    return cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)


def test_a_sheet_is_the_same_bytes_each_time(tmp_path: Path) -> None:
    one, two = tmp_path / "one.png", tmp_path / "two.png"
    for path in (one, two):
        plots.contact_sheet(ROWS, path, names=("a", "b"), captions=(("x", "y"), ("z",)), title="T")
    assert one.read_bytes() == two.read_bytes()
    assert b"Software" not in one.read_bytes()
    assert sorted(tmp_path.iterdir()) == [one, two]


@pytest.mark.parametrize(("colours", "ink"), [("gray", 0), ("gray_r", 255)])
def test_each_picture_stands_in_its_cell(tmp_path: Path, colours: str, ink: int) -> None:
    cell, pitch = 50, 50 + 2 * plots.PICTURE_MARGIN
    plots.contact_sheet(ROWS, tmp_path / "sheet.png", cell=cell, colours=colours)
    page = shown(tmp_path / "sheet.png")
    assert page.shape == (2 * plots.PICTURE_MARGIN + 2 * pitch, 2 * plots.PICTURE_MARGIN + 2 * pitch)
    start = 2 * plots.PICTURE_MARGIN
    assert (page[start + 2 : start + cell - 2, start + 2 : start + cell - 2] == ink).all()
    middle = page[start + pitch + cell // 2, start + cell // 2]
    assert middle == 0, "a picture in colour"
    assert page[start + pitch + 3, start + cell // 2] == 255, "half as high as wide: bare above and below"


def test_names_captions_and_title_are_written_as_they_are(tmp_path: Path) -> None:
    bare, said = tmp_path / "bare.png", tmp_path / "said.png"
    plots.contact_sheet(ROWS, bare)
    plots.contact_sheet(ROWS, said, names=("$x_1$", "a_b"), captions=(("$", "%"), ("#",)), title="cost $5 to $6")
    assert shown(said).shape > shown(bare).shape


def test_maps_with_a_sign_are_shown_around_nothing(tmp_path: Path) -> None:
    rows = [[np.full((4, 4), value, np.float32) for value in (-1.0, 0.0, 1.0)]]
    plots.contact_sheet(rows, tmp_path / "signed.png", colours="gray", cell=40)
    page = shown(tmp_path / "signed.png")
    levels = [int(page[26, 26 + at * 46]) for at in range(3)]
    assert levels[0] == 0
    assert levels[1] == pytest.approx(128, abs=2)
    assert levels[2] == 255


def test_an_unfinished_figure_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "sheet.png"
    plots.contact_sheet(ROWS, path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="no such map"):
        plots.contact_sheet(ROWS, path, colours="no such map")
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
