"""Strokes: the frame of an outline, its edges and their points."""

from pathlib import Path

import numpy as np
import pytest

from strokewise.synthesis import outlines
from strokewise.synthesis.outlines import Outline

HEAD = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 100 100">'


def test_outline_fills_its_frame(outline: Outline) -> None:
    points, half_size = outline.strokes.points, outline.strokes.half_size
    assert max(half_size.real, half_size.imag) == pytest.approx(1)
    assert points.real.max() == pytest.approx(half_size.real)
    assert points.real.min() == pytest.approx(-half_size.real)
    assert points.imag.max() == pytest.approx(half_size.imag)
    assert points.imag.min() == pytest.approx(-half_size.imag)


def test_edges_of_a_stroke_are_in_order_and_connected(outline: Outline) -> None:
    strokes = outline.strokes
    first, last = strokes.edge_first, strokes.edge_last
    assert first[0] == 0
    assert last[-1] == len(strokes.points) - 1
    np.testing.assert_array_equal(first[1:], last[:-1] + 1)
    np.testing.assert_array_equal(strokes.edge_time[first], 0)
    np.testing.assert_array_equal(strokes.edge_time[last], 1)
    for a, b, closed in strokes.spans:
        ends_meet = abs(strokes.points[first[a]] - strokes.points[last[b - 1]]) < 1e-9
        assert ends_meet or not closed
        np.testing.assert_allclose(strokes.points[last[a : b - 1]], strokes.points[first[a + 1 : b]])


@pytest.mark.parametrize(
    ("body", "strokes", "corners"),
    [
        ('<path d="M10 10 L90 90 M90 10 L10 90"/>', 2, 2),
        ('<polyline points="10,10 50,90 90,10"/>', 1, 2),
        ('<polygon points="10,90 90,90 50,10"/>', 1, 3),
        ('<rect x="10" y="10" width="80" height="60" rx="20"/>', 1, 0),
        ('<line x1="1" y1="1" x2="9" y2="3"/><circle cx="50" cy="50" r="5"/>', 2, 1),
        ('<path d="M10 90 L90 90 L50 10 L10 90"/>', 1, 3),
    ],
)
def test_strokes_and_corners_are_counted(body: str, strokes: int, corners: int) -> None:
    outline = outlines.parse_outline(
        f'{HEAD}<g fill="none" stroke="black">{body}</g></svg>'.encode(), Path("shape/it.svg")
    )
    assert len(outline.strokes.spans) == strokes
    assert outline.strokes.has_corner.sum() == corners
