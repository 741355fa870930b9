"""The order of writing: where the pen begins, what is left out, retraced or gone over again."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from strokewise.synthesis.hand_params import RULER
from strokewise.synthesis.outlines import Outline
from strokewise.synthesis.strokes import polyline_length
from strokewise.synthesis.writing_order import order_strokes
from toy_strokes import circle, random, single_stroke, unit_square


def test_gap_leaves_out_no_corner(outline: Outline) -> None:
    strokes = outline.strokes
    corners = {int(point) for point in strokes.edge_first[strokes.has_corner]}
    gaps = 0
    for seed in range(200):
        params = replace(RULER, start=float(random(seed).random()), between=seed % 2 == 0, closing=-0.22)
        order = order_strokes(strokes, params, random(seed))
        gaps += len(order.index) < len(strokes.points)
        left_out = set(range(len(strokes.points))) - set(order.index.tolist())
        for first_edge, stop_edge, closed in strokes.spans:
            for edge in range(first_edge, stop_edge):
                before = edge - 1 if edge > first_edge else stop_edge - 1  # this edge ends where the next begins
                if closed and int(strokes.edge_first[edge]) in corners:
                    ends = {int(strokes.edge_first[edge]), int(strokes.edge_last[before])}
                    assert not ends <= left_out, f"seed {seed}"
    assert gaps == (200 if any(closed for *_, closed in strokes.spans) else 0)


def test_pen_begins_at_start_and_follows_the_direction() -> None:
    square = unit_square()
    count, corners = len(square.points), square.points[square.edge_first]
    for start in (0.0, 0.3, 0.6, 0.99):
        at_corner, between, backwards = (
            square.points[order_strokes(square, replace(RULER, start=start, **flags), random()).index]
            for flags in ({}, {"between": True}, {"backwards": True})
        )
        assert at_corner[0] == corners[int(4 * start)]
        assert between[0] == square.points[int(start * count)]
        np.testing.assert_array_equal(backwards, at_corner[::-1])
    order = order_strokes(circle(), replace(RULER, start=0.25), random())
    assert order.index[0] == int(0.25 * len(circle().points)), "a circle has no corner to begin at"


@pytest.mark.parametrize(("closing", "share"), [(0.15, 1.0), (-0.15, 1.0), (0.5, 1.5), (1.0, 2.0)])
@pytest.mark.parametrize("backwards", [False, True])
def test_closing_retraces_that_share_of_an_open_stroke(closing: float, share: float, backwards: bool) -> None:
    strokes = single_stroke(np.array([0, 1, 1 + 1j, 2 + 1j]), closed=False)
    for seed in range(8):
        order = order_strokes(strokes, replace(RULER, closing=closing, backwards=backwards), random(seed))
        length = polyline_length(strokes.points[order.index])
        assert length == pytest.approx(share * polyline_length(strokes.points), rel=0.05)
        for a, b in pairwise(order.starts):
            assert len(set(strokes.edge_index[order.index[a:b]])) == 1, "a corner within a piece"


@pytest.mark.parametrize("rounds", [1, 3])
def test_rounds_go_over_every_stroke_again_without_lifting(outline: Outline, rounds: int) -> None:
    strokes = outline.strokes
    once = order_strokes(strokes, RULER, random())
    again = order_strokes(strokes, replace(RULER, rounds=rounds, lifting=1.0), random())
    counts = np.bincount(again.index, minlength=len(strokes.points))
    assert set(counts.tolist()) == {1 + rounds}
    assert sum(again.lifted) == sum(once.lifted), "the pen is lifted between strokes only"
    assert again.rounds.max() == pytest.approx(1 + rounds, abs=0.2)


def test_rounds_of_an_open_stroke_go_to_and_fro() -> None:
    strokes = single_stroke(np.array([0, 1, 1 + 1j]), closed=False)
    index = order_strokes(strokes, replace(RULER, rounds=2), random()).index
    there, back, there_again = np.split(index, 3)
    np.testing.assert_array_equal(there, back[::-1])
    np.testing.assert_array_equal(there, there_again)


def test_rounds_are_counted_anew_for_every_stroke(outline: Outline) -> None:
    order = order_strokes(outline.strokes, replace(RULER, rounds=2), random())
    assert int((order.rounds == 0).sum()) == int((order.remaining == 0).sum()) == len(outline.strokes.spans)
    assert order.rounds.max() < 3


def test_pieces_tile_the_path(outline: Outline) -> None:
    for seed in range(30):
        start, closing, lifting, sketched = random(seed).random(4).tolist()
        rounds, flags = seed % 4 if sketched < 0.5 else 0, {"between": seed % 2 == 0, "backwards": seed % 3 == 0}
        params = replace(RULER, start=start, closing=closing - 0.3, lifting=lifting, rounds=rounds, **flags)
        order = order_strokes(outline.strokes, params, random(seed))
        assert order.starts[0] == 0
        assert order.starts[-1] == len(order.index) == len(order.rounds) == len(order.remaining)
        assert (np.diff(order.starts) > 0).all()
        assert len(order.lifted) == len(order.starts)
        assert order.lifted[0]
        assert order.lifted[-1]
