"""Clipping: areas and lengths of what remains, against values worked by hand."""

import numpy as np
import pytest

from strokewise.errors import OutlineError
from strokewise.synthesis import clipping
from strokewise.synthesis.clipping import Region
from strokewise.synthesis.strokes import polyline_length

SQUARE = np.array([0, 10, 10 + 10j, 10j])
L_SHAPE = np.array([0, 10, 10 + 5j, 5 + 5j, 5 + 10j, 10j])


def area(polygon: clipping.Polygon) -> float:
    return abs(float((np.conj(polygon) * np.roll(polygon, -1)).imag.sum())) / 2


@pytest.mark.parametrize("region", [SQUARE, SQUARE[::-1]])
def test_area_of_a_cut_polygon(region: clipping.Polygon) -> None:
    assert area(clipping.clip_area(SQUARE + 5 + 5j, region)) == pytest.approx(25)
    assert area(clipping.clip_area(SQUARE * 0.5 + 1, region)) == pytest.approx(25)
    assert len(clipping.clip_area(SQUARE + 50, region)) == 0


@pytest.mark.parametrize("region", [SQUARE, SQUARE[::-1]])
def test_length_of_a_cut_line(region: clipping.Polygon) -> None:
    [part] = clipping.clip_line(np.array([-5 + 5j, 15 + 5j]), region)
    assert part.tolist() == [5j, 10 + 5j]
    assert clipping.clip_line(np.array([-5 + 5j, -5 + 15j]), region) == []
    twice = clipping.clip_line(np.array([5 - 5j, 5 + 5j, 15 + 5j, 15 + 7j, 5 + 7j]), region)
    assert [polyline_length(part) for part in twice] == [10, 5]


def test_closed_line_that_is_cut_once_stays_in_one_part() -> None:
    loop = np.array([5 + 5j, 15 + 5j, 15 + 8j, 5 + 8j, 5 + 5j])
    [part] = clipping.clip_line(loop, SQUARE)
    assert polyline_length(part) == pytest.approx(13)


@pytest.mark.parametrize(
    ("polygon", "convex"),
    [(SQUARE, True), (SQUARE[::-1], True), (L_SHAPE, False), (SQUARE[:2], False), (SQUARE[[0, 2, 1, 3]], False)],
)
def test_convex_polygons_are_told_from_others(polygon: clipping.Polygon, convex: bool) -> None:
    assert clipping.is_convex(polygon) == convex


def test_region_that_is_not_convex_keeps_or_drops_whole_lines_only() -> None:
    region = Region((L_SHAPE,))
    inside, outside, across = (np.array(ends) for ends in ([1 + 1j, 9 + 1j], [8 + 8j, 9 + 9j], [1 + 1j, 9 + 9j]))
    [(kept, closed)] = region.clip(inside, closed=False, area=False)
    assert kept is inside
    assert not closed
    assert region.clip(outside, closed=False, area=False) == []
    with pytest.raises(OutlineError, match="not convex cuts"):
        region.clip(across, closed=False, area=False)


def test_line_on_the_border_is_left_as_it_is() -> None:
    line = np.array([0, 10.05, 10.05 + 10j])
    [(kept, _)] = Region((SQUARE,)).clip(line, closed=False, area=False)
    assert kept is line


def test_union_of_polygons_keeps_what_lies_in_any_of_them() -> None:
    region = Region((SQUARE, SQUARE + 20))
    line = np.array([1 + 1j, 22 + 1j])
    assert region.clip(line, closed=False, area=False)[0][0] is line
