"""Lengths, angles, origins, view boxes and transforms, against values worked by hand."""

import math
from xml.etree import ElementTree

import numpy as np
import pytest

from strokewise.errors import OutlineError
from strokewise.synthesis import svg_values
from strokewise.synthesis.svg_style import Style

STYLE = Style({"font-size": "10px"}, None)


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("3", 3),
        ("3px", 3),
        (" -1.5e1 ", -15),
        ("1in", 96),
        ("2.54cm", 96),
        ("72pt", 96),
        ("6pc", 96),
        ("101.6Q", 96),
        ("2em", 20),
        ("2ex", 10),
        ("50%", 100),
        ("1e999", None),
        ("auto", None),
        ("", None),
        ("calc(1px + 2px)", None),
        ("1" * 200, None),
        (None, None),
    ],
)
def test_length_is_in_user_units(text: str | None, length: float | None) -> None:
    found = svg_values.parse_length(text, 200.0, STYLE)
    assert found is None if length is None else found == pytest.approx(length)


@pytest.mark.parametrize(("text", "degrees"), [("90", 90), ("90deg", 90), ("100grad", 90), ("0.25turn", 90), ("x", 0)])
def test_angle_is_in_radians(text: str, degrees: float) -> None:
    assert svg_values.parse_angle(text) == pytest.approx(math.radians(degrees))


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("5 7", (15, 27)),
        ("5px 50%", (15, 40)),
        ("center", (60, 40)),
        ("left", (10, 40)),
        ("bottom", (60, 60)),
        ("top left", (10, 20)),
        ("right bottom", (110, 60)),
        ("0%", (10, 40)),
    ],
)
def test_origin_is_within_its_box(text: str, origin: tuple[float, float]) -> None:
    assert svg_values.parse_origin(text, 10, 20, 100, 40, STYLE) == origin


@pytest.mark.parametrize("text", ["", "0 0 10", "0 0 0 5", "0 0 -1 5", "a b c d", "0 0 1e999 5", "0 0 10px 5"])
def test_view_box_that_cannot_be_read_counts_as_none(text: str) -> None:
    assert svg_values.parse_view_box(ElementTree.Element("svg", viewBox=text)) is None


def test_view_box_is_read_with_spaces_or_commas() -> None:
    assert svg_values.parse_view_box(ElementTree.Element("svg", viewBox="-1, 2 3,4")) == (-1, 2, 3, 4)


@pytest.mark.parametrize(
    ("aspect", "corners"),
    [
        (None, (25, 0, 75, 50)),
        ("xMinYMid", (0, 0, 50, 50)),
        ("xMaxYMid meet", (50, 0, 100, 50)),
        ("xMidYMin slice", (0, 0, 100, 100)),
        ("xMidYMax slice", (0, -50, 100, 50)),
        ("none", (0, 0, 100, 50)),
        ("defer xMinYMin", (0, 0, 50, 50)),
    ],
)
def test_view_box_is_fitted_into_its_frame(aspect: str | None, corners: tuple[float, ...]) -> None:
    matrix = svg_values.view_box_matrix((0, 0, 10, 10), (0, 0, 100, 50), aspect)
    left_top, right_bottom = svg_values.apply_matrix(matrix, np.array([0, 10 + 10j])).tolist()
    assert (left_top.real, left_top.imag, right_bottom.real, right_bottom.imag) == pytest.approx(corners)


def test_product_applies_the_inner_matrix_first() -> None:
    scale, move = (2.0, 0.0, 0.0, 2.0, 0.0, 0.0), svg_values.translation(3, 4)
    point = np.array([1 + 1j])
    both = svg_values.product(move, scale)
    assert svg_values.apply_matrix(both, point)[0] == 5 + 6j
    assert svg_values.apply_matrix(move, svg_values.apply_matrix(scale, point))[0] == 5 + 6j


@pytest.mark.parametrize(
    "text", ["rotate3d(1,0,0,9deg)", "perspective(9px)", "rotateX(9deg)", "matrix3d(1)", "rotate(1)" * 999]
)
def test_transform_out_of_the_plane_or_too_long_raises_outline_error(text: str) -> None:
    with pytest.raises(OutlineError, match="transform"):
        svg_values.parse_transform(text, 9.0, 9.0)


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e10])
def test_point_out_of_range_raises_outline_error(value: float) -> None:
    svg_values.check_finite(np.array([1 + 1j]))
    with pytest.raises(OutlineError, match="not numbers up to"):
        svg_values.check_finite(np.array([1 + 1j, complex(value, 0)]))
