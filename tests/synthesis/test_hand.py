"""The layers of the hand: each leaves the outline unchanged at 0, and changes only what it is for."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from strokewise.params import HandStrengths
from strokewise.synthesis import hand, hand_params
from strokewise.synthesis.hand import PenPath
from strokewise.synthesis.hand_params import RULER
from strokewise.synthesis.outlines import Outline
from strokewise.synthesis.strokes import Points, Strokes, assemble_strokes, polyline_length, split_at_corners


def random(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def single_stroke(line: Points, closed: bool) -> Strokes:
    return assemble_strokes([split_at_corners(line, closed)])


def unit_square() -> Strokes:
    return single_stroke(np.array([0, 1, 1 + 1j, 1j, 0]), closed=True)


def circle() -> Strokes:
    return single_stroke(np.exp(1j * np.linspace(0, 2 * np.pi, 200)), closed=True)


def split_runs(path: PenPath) -> list[Points]:
    return np.split(path.line, path.pen_downs)


def shoelace_area(line: Points) -> float:
    return abs(float((line.conj() * np.roll(line, -1)).imag.sum())) / 2


def path_length(path: PenPath) -> float:
    return sum(polyline_length(run) for run in split_runs(path))


def outline_length(outline: Outline) -> float:
    strokes = outline.strokes
    edges = zip(strokes.edge_first, strokes.edge_last, strict=True)
    return sum(polyline_length(strokes.points[a : b + 1]) for a, b in edges)


def as_point_set(points: Points) -> set[tuple[float, ...]]:
    return {tuple(point) for point in np.round(np.stack([points.real, points.imag], 1), 9)}


@pytest.mark.parametrize("seed", range(3))
def test_hand_with_all_knobs_at_zero_draws_the_outline(outline: Outline, seed: int) -> None:
    params = hand_params.sample_hand_params(
        dict.fromkeys(HandStrengths.model_fields, 0.0),
        random(seed).random(hand_params.HAND_UNIFORMS).tolist(),
        random(seed),
        stretch=outline.stretch,
        turn=outline.turn,
        mirror=outline.mirror,
    )
    assert replace(params, haste=0.0) == RULER
    strokes = outline.strokes
    path = hand.draw_strokes(strokes, params, random(seed))
    assert path_length(path) == pytest.approx(outline_length(outline), rel=1e-9)
    closed_spans = [(a, b) for a, b, closed in strokes.spans if closed]
    assert len(path.areas) == len(closed_spans)
    for area, (first_edge, stop_edge) in zip(path.areas, closed_spans, strict=True):
        ideal = strokes.points[strokes.edge_first[first_edge] : strokes.edge_last[stop_edge - 1] + 1]
        assert shoelace_area(area) == pytest.approx(shoelace_area(ideal), rel=1e-9)
    assert len(split_runs(path)) == len(strokes.spans)


def test_gap_leaves_out_no_corner(outline: Outline) -> None:
    strokes = outline.strokes
    corners = {int(point) for point in strokes.edge_first[strokes.has_corner]}
    gaps = 0
    for seed in range(200):
        params = replace(RULER, start=float(random(seed).random()), between=seed % 2 == 0, closing=-0.22)
        order = hand.order_strokes(strokes, params, random(seed))
        gaps += len(order.index) < len(strokes.points)
        left_out = set(range(len(strokes.points))) - set(order.index.tolist())
        for first_edge, stop_edge, closed in strokes.spans:
            for edge in range(first_edge, stop_edge):
                before = edge - 1 if edge > first_edge else stop_edge - 1  # this edge ends where the next begins
                if closed and int(strokes.edge_first[edge]) in corners:
                    ends = {int(strokes.edge_first[edge]), int(strokes.edge_last[before])}
                    assert not ends <= left_out, f"seed {seed}"
    assert gaps == (200 if any(closed for *_, closed in strokes.spans) else 0)


def test_undershoot_of_a_curve_is_limited() -> None:
    line = np.exp(2j * np.pi * np.linspace(0, 1, 73))
    order = hand.WritingOrder(np.arange(73), np.array([0, 73]), np.array([True, True]))
    direction = line[-1] - line[-1 - 19]  # over the last quarter
    direction /= abs(direction)
    overshoots = []
    for seed in range(300):
        extended = hand.extend_ends(line, order, replace(RULER, overshoot=0.45), 1.0, random(seed))
        overshoots.append(((extended[-1] - line[-1]) * direction.conjugate()).real / polyline_length(line))
    assert min(overshoots) == pytest.approx(-0.05), "share of its length"
    assert max(overshoots) > 0.2


def test_stretch_changes_aspect_ratio_and_keeps_longest_side(outline: Outline) -> None:
    for factor, mirrored in ((0.3, False), (1.0, True), (4.0, True)):
        before = outline.strokes.half_size
        points, half_size = hand.stretch_outline(outline.strokes.points, before, factor, mirrored)
        assert np.ptp(points.real) == pytest.approx(2 * half_size.real)
        assert np.ptp(points.imag) == pytest.approx(2 * half_size.imag)
        assert max(half_size.real, half_size.imag) == pytest.approx(1)
        assert half_size.real / half_size.imag / (before.real / before.imag) == pytest.approx(factor)


def test_displaced_corners_leave_straight_edges_straight(outline: Outline) -> None:
    strokes = outline.strokes
    noise = random(1).standard_normal((len(strokes.edge_first) + len(strokes.spans), 2)).view(np.complex128)[:, 0]
    moved = hand.displace_corners(strokes.points, strokes, strokes.half_size, 0.1, noise)
    for a, b in zip(strokes.edge_first, strokes.edge_last, strict=True):
        before, after = strokes.points[a : b + 1], moved[a : b + 1]
        if abs(before[-1] - before[0]) > 0.9999 * polyline_length(before):
            assert abs(after[-1] - after[0]) == pytest.approx(polyline_length(after), rel=1e-6)
    for first_edge, stop_edge, closed in strokes.spans:
        end_gap = abs(moved[strokes.edge_first[first_edge]] - moved[strokes.edge_last[stop_edge - 1]])
        assert not closed or end_gap < 1e-9
    smooth = ~strokes.has_corner[strokes.edge_index]
    np.testing.assert_array_equal(moved[smooth], strokes.points[smooth])


def test_bow_leaves_corners_in_place(outline: Outline) -> None:
    strokes = outline.strokes
    single, double = random(2).standard_normal((2, len(strokes.edge_first)))
    bowed = hand.bow_edges(strokes.points, strokes, strokes.half_size, 0.1, 0.05, single, double)
    np.testing.assert_allclose(bowed[strokes.edge_first], strokes.points[strokes.edge_first])
    np.testing.assert_allclose(bowed[strokes.edge_last], strokes.points[strokes.edge_last])
    assert not strokes.has_corner.any() or np.abs(bowed - strokes.points).max() > 1e-3


def test_pinch_shrinks_a_polygon_and_the_opposite_enlarges_it() -> None:
    square, zeros = unit_square(), np.zeros(4)
    for pinch, grows in ((-0.1, False), (0.1, True)):
        bowed = hand.bow_edges(square.points, square, square.half_size, 0.0, pinch, zeros, zeros)
        assert (shoelace_area(bowed) > 4) is grows


def test_lifting_splits_runs_at_every_corner_and_moves_nothing(outline: Outline) -> None:
    path = hand.draw_strokes(outline.strokes, replace(RULER, lifting=1.0), random())
    assert len(split_runs(path)) == len(outline.strokes.edge_first)
    assert path_length(path) == pytest.approx(outline_length(outline))


def test_pen_begins_at_start_and_follows_the_direction() -> None:
    square = unit_square()
    count, corners = len(square.points), square.points[square.edge_first]
    for start in (0.0, 0.3, 0.6, 0.99):
        at_corner, between, backwards = (
            square.points[hand.order_strokes(square, replace(RULER, start=start, **flags), random()).index]
            for flags in ({}, {"between": True}, {"backwards": True})
        )
        assert at_corner[0] == corners[int(4 * start)]
        assert between[0] == square.points[int(start * count)]
        np.testing.assert_array_equal(backwards, at_corner[::-1])
    order = hand.order_strokes(circle(), replace(RULER, start=0.25), random())
    assert order.index[0] == int(0.25 * len(circle().points)), "a circle has no corner to begin at"


def test_start_and_direction_keep_the_points_of_the_outline(outline: Outline) -> None:
    for start, between, backwards in [(0.4, False, False), (0.4, True, False), (0.9, True, True), (0.0, False, True)]:
        params = replace(RULER, start=start, between=between, backwards=backwards)
        line = hand.draw_strokes(outline.strokes, params, random()).line
        assert as_point_set(line) == as_point_set(outline.strokes.points)


@pytest.mark.parametrize(("closing", "share"), [(0.15, 1.0), (-0.15, 1.0), (0.5, 1.5), (1.0, 2.0)])
@pytest.mark.parametrize("backwards", [False, True])
def test_closing_retraces_that_share_of_an_open_stroke(closing: float, share: float, backwards: bool) -> None:
    strokes = single_stroke(np.array([0, 1, 1 + 1j, 2 + 1j]), closed=False)
    for seed in range(8):
        order = hand.order_strokes(strokes, replace(RULER, closing=closing, backwards=backwards), random(seed))
        length = polyline_length(strokes.points[order.index])
        assert length == pytest.approx(share * polyline_length(strokes.points), rel=0.05)
        for a, b in pairwise(order.starts):
            assert len(set(strokes.edge_index[order.index[a:b]])) == 1, "a corner within a piece"


@pytest.mark.parametrize(("closing", "share"), [(0.15, 1.15), (-0.15, 0.85), (1.0, 2.0)])
def test_closing_draws_that_share_of_a_circle(closing: float, share: float) -> None:
    path = hand.draw_strokes(circle(), replace(RULER, closing=closing), random())
    assert path_length(path) == pytest.approx(share * 2 * np.pi, rel=0.03)


def test_overshoot_moves_ends_along_their_strokes_only(outline: Outline) -> None:
    for seed in range(3):
        runs, straight_runs = (
            split_runs(hand.draw_strokes(outline.strokes, replace(RULER, lifting=1.0, overshoot=value), random(seed)))
            for value in (0.1, 0.0)
        )
        for run, straight in zip(runs, straight_runs, strict=True):
            chord = straight[-1] - straight[0]
            if abs(chord) > 0.9999 * polyline_length(straight):
                assert np.abs(((run - straight[0]) / (chord / abs(chord))).imag).max() < 1e-6


def test_rounding_shortens_the_path_and_keeps_its_ends(outline: Outline) -> None:
    rounded, straight = (
        hand.draw_strokes(outline.strokes, replace(RULER, rounding=value), random()) for value in (1.0, 0.0)
    )
    for rounded_run, straight_run in zip(split_runs(rounded), split_runs(straight), strict=True):
        assert abs(rounded_run[0] - straight_run[0]) < 1e-9
        assert abs(rounded_run[-1] - straight_run[-1]) < 1e-9
    assert path_length(rounded) <= path_length(straight) + 1e-9


@pytest.mark.parametrize(("layer", "share"), [(hand.add_drift, 1.2), (hand.add_tremor, 1.35)], ids=["drift", "tremor"])
def test_drift_and_tremor_have_the_documented_deviation(layer: Callable[..., Points], share: float) -> None:
    line = np.zeros(100, dtype=complex)
    moved = np.concatenate([layer(line, 0.01, random(seed)) for seed in range(600)])
    assert [moved.real.std(), moved.imag.std()] == pytest.approx([0.01 * share] * 2, rel=0.06)
    np.testing.assert_array_equal(layer(line, 0.0, random()), line)


def test_turn_rotates_and_keeps_lengths(outline: Outline) -> None:
    points = outline.strokes.points
    turned = hand.apply_transform(points, replace(RULER, turn=37.0))
    np.testing.assert_allclose(np.abs(np.diff(turned)), np.abs(np.diff(points)))
    assert np.angle(turned[0] / points[0], deg=True) == pytest.approx(37.0)


def test_slant_keeps_the_area(outline: Outline) -> None:
    for area in hand.draw_strokes(outline.strokes, replace(RULER, slant=0.4), random()).areas:
        upright = hand.apply_transform(area, replace(RULER, slant=-0.4))
        assert shoelace_area(area) == pytest.approx(shoelace_area(upright))


def test_straight_line_allows_any_pen_and_bows_alike_in_every_direction() -> None:
    rises = []
    for direction in (1, 1j, np.exp(0.25j * np.pi)):
        strokes = single_stroke(np.array([0, direction]), closed=False)
        path = hand.draw_strokes(strokes, replace(RULER, bow=0.1), random())
        assert path.detail > 1
        level = path.line / direction
        rises.append(float(np.ptp(level.imag) / np.ptp(level.real)))
    assert 0.01 < rises[0] < 0.2
    assert rises == pytest.approx([rises[0]] * 3)
