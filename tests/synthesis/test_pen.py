"""Lines on a mask: fractions of a pixel, no superfluous points, at least a pixel wide."""

import numpy as np
import pytest

from strokewise.synthesis import pen


def test_fixed_point_keeps_fractions_of_a_pixel() -> None:
    points = pen.to_fixed_point(np.array([1.25 + 2.5j, 30 + 3.0625j]))
    assert points.tolist() == [[[20, 40]], [[480, 49]]]


def test_points_on_a_straight_line_are_left_out_and_bends_are_kept() -> None:
    corner = np.concatenate([np.linspace(0, 10, 9), 10 + 1j * np.linspace(0, 10, 9)])
    simplified = pen.simplify(pen.to_fixed_point(corner))
    assert simplified[:, 0].tolist() == [[0, 0], [160, 0], [160, 160]]


def test_closed_line_ends_where_it_begins() -> None:
    square = pen.simplify(pen.to_fixed_point(np.array([0, 10, 10 + 10j, 10j, 0])))
    assert len(square) == 5
    assert square[0].tolist() == square[-1].tolist()


@pytest.mark.parametrize(("width", "pixels"), [(0.0, 1), (3.0, 3), (8.6, 9)])
def test_line_is_at_least_as_wide_as_the_pen_and_a_pixel(width: float, pixels: int) -> None:
    mask = np.zeros((40, 40), dtype=np.uint8)
    pen.draw_line(mask, np.array([5 + 20j, 35 + 20j]), width)
    assert pixels <= mask[:, 20].sum() / 255 < pixels + 2.5  # OpenCV's wide anti-aliased lines are two pixels wider
