"""Figures: the same bytes for the same input, with every picture in its place."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from strokewise import plots

ROWS = [[np.full((16, 16), level, np.uint8) for level in (0, 255)], [np.zeros((8, 16, 3), np.uint8)]]


def read_grey(path: Path) -> np.ndarray:
    """A PNG as grey pixels, read by another library than wrote it."""
    return cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)


def test_contact_sheet_is_reproducible(tmp_path: Path) -> None:
    one, two = tmp_path / "one.png", tmp_path / "two.png"
    for path in (one, two):
        plots.contact_sheet(ROWS, path, names=("a", "b"), captions=(("x", "y"), ("z",)), title="T")
    assert one.read_bytes() == two.read_bytes()
    assert b"Software" not in one.read_bytes()
    assert sorted(tmp_path.iterdir()) == [one, two]


@pytest.mark.parametrize(("colours", "ink"), [("gray", 0), ("gray_r", 255)])
def test_each_picture_is_in_its_cell(tmp_path: Path, colours: str, ink: int) -> None:
    cell, pitch = 50, 50 + 2 * plots.PICTURE_MARGIN
    plots.contact_sheet(ROWS, tmp_path / "sheet.png", cell=cell, colours=colours)
    page = read_grey(tmp_path / "sheet.png")
    assert page.shape == (2 * plots.PICTURE_MARGIN + 2 * pitch, 2 * plots.PICTURE_MARGIN + 2 * pitch)
    start = 2 * plots.PICTURE_MARGIN
    assert (page[start + 2 : start + cell - 2, start + 2 : start + cell - 2] == ink).all()
    middle = page[start + pitch + cell // 2, start + cell // 2]
    assert middle == 0, "a picture in colour"
    assert page[start + pitch + 3, start + cell // 2] == 255, "half as high as wide: bare above and below"


def test_names_captions_and_title_may_hold_dollar_signs(tmp_path: Path) -> None:
    bare, labelled = tmp_path / "bare.png", tmp_path / "labelled.png"
    plots.contact_sheet(ROWS, bare)
    plots.contact_sheet(ROWS, labelled, names=("$x_1$", "a_b"), captions=(("$", "%"), ("#",)), title="cost $5 to $6")
    assert read_grey(labelled).shape > read_grey(bare).shape


def test_signed_maps_are_centred_on_zero(tmp_path: Path) -> None:
    rows = [[np.full((4, 4), value, np.float32) for value in (-1.0, 0.0, 1.0)]]
    plots.contact_sheet(rows, tmp_path / "signed.png", colours="gray", cell=40)
    page = read_grey(tmp_path / "signed.png")
    levels = [int(page[26, 26 + at * 46]) for at in range(3)]
    assert levels[0] == 0
    assert levels[1] == pytest.approx(128, abs=2)
    assert levels[2] == 255


def test_failing_figure_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "sheet.png"
    plots.contact_sheet(ROWS, path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="no such map"):
        plots.contact_sheet(ROWS, path, colours="no such map")
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
