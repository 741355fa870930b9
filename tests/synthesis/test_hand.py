"""The layers of the hand: each leaves the outline unchanged at 0, and changes only what it is for."""

from dataclasses import replace

import numpy as np
import pytest

from strokewise.params import HandStrengths
from strokewise.synthesis import hand, hand_params
from strokewise.synthesis.hand_params import RULER
from strokewise.synthesis.outlines import Outline
from strokewise.synthesis.strokes import polyline_length
from toy_strokes import (
    as_point_set,
    circle,
    outline_length,
    path_length,
    random,
    shoelace_area,
    single_stroke,
    split_runs,
    unit_square,
)


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
    noise = random(1).standard_normal((2, len(strokes.edge_first) + len(strokes.spans)))
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
    noise = random(2).standard_normal((2, len(strokes.edge_first)))
    bowed = hand.bow_edges(strokes.points, strokes, strokes.half_size, 0.1, 0.05, noise)
    np.testing.assert_allclose(bowed[strokes.edge_first], strokes.points[strokes.edge_first])
    np.testing.assert_allclose(bowed[strokes.edge_last], strokes.points[strokes.edge_last])
    assert not strokes.has_corner.any() or np.abs(bowed - strokes.points).max() > 1e-3


def test_pinch_shrinks_a_polygon_and_the_opposite_enlarges_it() -> None:
    square, zeros = unit_square(), np.zeros((2, 4))
    for pinch, grows in ((-0.1, False), (0.1, True)):
        bowed = hand.bow_edges(square.points, square, square.half_size, 0.0, pinch, zeros)
        assert (shoelace_area(bowed) > 4) is grows


def test_lifting_splits_runs_at_every_corner_and_moves_nothing(outline: Outline) -> None:
    path = hand.draw_strokes(outline.strokes, replace(RULER, lifting=1.0), random())
    assert len(split_runs(path)) == len(outline.strokes.edge_first)
    assert path_length(path) == pytest.approx(outline_length(outline))


def test_start_and_direction_keep_the_points_of_the_outline(outline: Outline) -> None:
    for start, between, backwards in [(0.4, False, False), (0.4, True, False), (0.9, True, True), (0.0, False, True)]:
        params = replace(RULER, start=start, between=between, backwards=backwards)
        line = hand.draw_strokes(outline.strokes, params, random()).line
        assert as_point_set(line) == as_point_set(outline.strokes.points)


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


def test_dents_change_smooth_closed_strokes_alone(outline: Outline) -> None:
    strokes = outline.strokes
    dented = hand.dent_curves(strokes.points, strokes, strokes.half_size, 0.05, 0.2, random())
    for first_edge, stop_edge, closed in strokes.spans:
        part = slice(strokes.edge_first[first_edge], strokes.edge_last[stop_edge - 1] + 1)
        unchanged = np.array_equal(dented[part], strokes.points[part])
        assert unchanged is not (closed and not strokes.has_corner[first_edge])


def test_dent_is_as_deep_as_asked_and_the_curve_stays_closed() -> None:
    strokes = circle()
    for dent in (0.2, -0.2):
        radius = np.abs(hand.dent_curves(strokes.points, strokes, strokes.half_size, 0.0, dent, random(3)))
        extreme = radius.min() if dent > 0 else radius.max()
        assert extreme == pytest.approx(1 - dent, abs=0.02)
        assert radius[0] == pytest.approx(radius[-1])
