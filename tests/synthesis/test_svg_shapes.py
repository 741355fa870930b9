"""Shapes as polylines: what is closed, what goes there and back, vertices for markers, and a page's background."""

import math
from pathlib import Path

import numpy as np
import pytest
import svgelements

from strokewise.synthesis import svg, svg_shapes
from strokewise.synthesis.strokes import Points
from strokewise.synthesis.svg_values import IDENTITY, rectangle


def sample(data: str, filled: bool = False) -> list[tuple[Points, bool]]:
    return svg_shapes.sample_path(svgelements.Path(data), IDENTITY, filled)


@pytest.mark.parametrize(
    ("data", "filled", "closed"),
    [
        ("M0 0 H9 V9", False, False),
        ("M0 0 H9 V9 Z", False, True),
        ("M0 0 H9 V9 L0 0", False, True),
        ("M0 0 H9 V9", True, True),
        ("M0 0 L9 9", False, False),
        ("M0 0 L9 9", True, False),
        ("M0 0 L9 9 Z", False, False),
        ("M0 0 C0 9 9 9 9 0", False, False),
    ],
)
def test_line_is_closed_where_it_meets_itself_says_so_or_is_filled(data: str, filled: bool, closed: bool) -> None:
    [(line, is_closed)] = sample(data, filled)
    assert is_closed == closed
    assert (line[0] == line[-1]) == closed


@pytest.mark.parametrize(
    "data",
    ["M12 2V12V2Z", "M12 2V12V2", "M12 12V2Z", "M12 2V7V12V5V2Z", "M12 5V12V2Z", "M12 2V12Z", "M12 2V2V12V12Z"],
)
def test_line_that_goes_there_and_back_is_the_line_once(data: str) -> None:
    [(line, closed)] = sample(data)
    assert not closed
    assert {complex(point) for point in line} == {12 + 2j, 12 + 12j}


@pytest.mark.parametrize("data", ["M5 5", "M5 5Z", "M5 5L5 5Z", "M5 5H5V5H5", ""])
def test_point_is_no_line(data: str) -> None:
    assert sample(data) == []


def test_directions_at_vertices_are_those_of_the_segments_between_them() -> None:
    vertices = svg_shapes.path_vertices(svgelements.Path("M0 0 H10 V10"))
    assert [point for point, _ in vertices] == [0, 10, 10 + 10j]
    assert [math.degrees(angle) for _, angle in vertices] == pytest.approx([0, 45, 90])


@pytest.mark.parametrize(
    ("corners", "expected"),
    [
        ((0, 0, 100, 100), True),
        ((-9, -9, 120, 120), True),
        ((1, 1, 98, 98), True),
        ((5, 5, 90, 90), False),
        ((0, 0, 100, 60), False),
        ((50, 0, 100, 100), False),
    ],
)
def test_background_covers_the_page(corners: tuple[float, float, float, float], expected: bool) -> None:
    line = rectangle(*corners)
    shape = svg_shapes.DrawnShape([(np.append(line, line[0]), True)], is_pale=True)
    assert svg_shapes.is_background(shape, rectangle(0, 0, 100, 100)) == expected


@pytest.mark.parametrize(
    ("paint", "pale"), [("white", True), ("#f5f0e0", True), ("#ddd", True), ("#888", False), ("gold", False)]
)
def test_background_is_pale(paint: str, pale: bool) -> None:
    assert svg_shapes.is_pale(paint) == pale


@pytest.mark.parametrize(
    "shape",
    [
        '<rect width="0" height="9"/>',
        '<rect width="-3" height="9"/>',
        '<circle r="0"/>',
        '<ellipse rx="3" ry="0"/>',
        '<polyline points="3"/>',
        '<polygon points=""/>',
        "<path/>",
        "<line/>",
    ],
)
def test_shape_without_extent_draws_nothing(shape: str) -> None:
    text = f'<svg xmlns="http://www.w3.org/2000/svg"><g stroke="black">{shape}</g></svg>'
    assert svg.extract_polylines(svg.parse_svg(text.encode(), Path("it.svg")), Path("it.svg")) == []
