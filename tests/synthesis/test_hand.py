"""The hand's layers: each leaves the outline alone at nought, and moves only what it says."""

from collections.abc import Callable
from dataclasses import fields, replace
from itertools import pairwise

import numpy as np
import pytest

from strokewise.synthesis import hand, hand_params
from strokewise.synthesis.hand import PenPath
from strokewise.synthesis.hand_params import RULER, HandKnobValues, HandParams
from strokewise.synthesis.outlines import Outline
from strokewise.synthesis.strokes import Points, assemble_strokes, polyline_length, split_at_corners

STILL = {name.name: 0.0 for name in fields(HandKnobValues)}


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def runs(drawn: PenPath) -> list[Points]:
    return np.split(drawn.line, drawn.breaks)


def shoelace(line: Points) -> float:
    return abs(float((line.conj() * np.roll(line, -1)).imag.sum())) / 2


def drawn_length(drawn: PenPath) -> float:
    return sum(polyline_length(run) for run in runs(drawn))


def ruled_length(outline: Outline) -> float:
    strokes = outline.strokes
    return sum(polyline_length(strokes.points[a : b + 1]) for a, b in zip(strokes.first, strokes.last, strict=True))


def with_(outline: Outline, seed: int = 0, **knobs: float) -> HandParams:
    return hand_params.sample_hand_params(
        HandKnobValues(**{**STILL, **knobs}),
        outline.stretch,
        outline.turn,
        outline.mirror,
        rng(seed).random(8).tolist(),
        rng(seed),
    )


@pytest.mark.parametrize("seed", range(3))
def test_with_every_knob_at_nought_the_hand_is_a_ruler(outline: Outline, seed: int) -> None:
    still = with_(outline, seed)
    assert replace(still, haste=0.0) == RULER
    drawn = hand.draw_strokes(outline.strokes, still, rng(seed))
    assert drawn_length(drawn) == pytest.approx(ruled_length(outline), rel=1e-9)
    closed = [(a, b) for a, b, closed in outline.strokes.parts if closed]
    assert len(drawn.areas) == len(closed)
    for area, (one, end) in zip(drawn.areas, closed, strict=True):
        ideal = outline.strokes.points[outline.strokes.first[one] : outline.strokes.last[end - 1] + 1]
        assert shoelace(area) == pytest.approx(shoelace(ideal), rel=1e-9)
    assert len(runs(drawn)) == len(outline.strokes.parts)


MOVED_BY = {
    "stretch": {"stretch"},
    "slant": {"slant", "climb"},
    "turn": {"turn", "mirrored"},
    "perspective": {"perspective_x", "perspective_y"},
    "corners": {"corners"},
    "bow": {"bow", "pinch"},
    "rounding": {"rounding"},
    "start": {"start", "between", "backwards"},
    "lifting": {"lifting"},
    "overshoot": {"overshoot"},
    "closing": {"closing", "flight"},
    "loops": {"loops"},
    "hooks": {"hooks"},
    "drift": {"drift"},
    "tremor": {"tremor"},
}


@pytest.mark.parametrize("knob", STILL)
def test_a_knob_moves_its_own_factors_and_no_other(knob: str) -> None:
    moved = set()
    for seed in range(60):
        lots = rng(seed).random(8).tolist()
        every = hand_params.sample_hand_params(
            HandKnobValues(**dict.fromkeys(STILL, 1.0)), (0.2, 5), 180, True, lots, rng(seed)
        )
        alone = hand_params.sample_hand_params(
            HandKnobValues(**{**STILL, knob: 1.0}), (0.2, 5), 180, True, lots, rng(seed)
        )
        ruled = replace(RULER, haste=alone.haste)
        mine = {field.name for field in fields(HandParams) if getattr(alone, field.name) != getattr(ruled, field.name)}
        assert mine <= MOVED_BY[knob]
        assert all(getattr(alone, name) == getattr(every, name) for name in MOVED_BY[knob])
        moved |= mine
    assert moved == MOVED_BY[knob]


def test_a_stroke_begins_anywhere_and_goes_either_way_as_often_as_its_knob_says() -> None:
    for knob, shares in ((1.0, (1.0, 0.3, 0.5)), (0.5, (0.5, 0.15, 0.25)), (0.0, (0.0, 0.0, 0.0))):
        knobs = HandKnobValues(**{**STILL, "start": knob})
        drawn = [
            hand_params.sample_hand_params(knobs, (1, 1), 0, False, [0.5] * hand_params.HAND_UNIFORMS, rng(seed))
            for seed in range(2000)
        ]
        found = np.array([(how.start, how.between, how.backwards) for how in drawn], dtype=float)
        assert (found > 0).mean(0) == pytest.approx(shares, abs=0.04)
        assert found[:, 0].mean() == pytest.approx(shares[0] / 2, abs=0.03)
        if knob:
            assert np.abs(np.corrcoef(found.T) - np.eye(3)).max() < 0.08, "each by itself"


def test_who_errs_much_in_one_way_errs_less_in_the_others() -> None:
    drawn = [
        hand_params.sample_hand_params(
            HandKnobValues(**dict.fromkeys(STILL, 1.0)), (0.2, 5), 180, True, rng(seed).random(8).tolist(), rng(seed)
        )
        for seed in range(2000)
    ]
    shares = np.array(
        [[abs(getattr(how, name)) / most for name, most in hand_params.MAX_DISTORTIONS.items()] for how in drawn]
    )
    assert 0.9 * hand_params.MAX_TOTAL_DISTORTION < shares.sum(1).max() <= hand_params.MAX_TOTAL_DISTORTION + 1e-9
    assert shares.max() > 0.6, "each alone still goes far"


def test_a_gap_takes_no_corner_along(outline: Outline) -> None:
    strokes = outline.strokes
    corners = {int(at) for at in strokes.first[strokes.cornered]}
    short = 0
    for seed in range(200):
        how = replace(RULER, start=float(rng(seed).random()), between=seed % 2 == 0, closing=-0.22)
        path = hand.order_strokes(strokes, how, rng(seed))
        short += len(path.index) < len(strokes.points)
        left_out = set(range(len(strokes.points))) - set(path.index.tolist())
        # the end of the edge before lies on the same place as a corner
        for one, end, closed in strokes.parts:
            for edge in range(one, end):
                before = edge - 1 if edge > one else end - 1
                if closed and int(strokes.first[edge]) in corners:
                    assert not {int(strokes.first[edge]), int(strokes.last[before])} <= left_out, f"seed {seed}"
    assert short == (200 if any(closed for *_, closed in strokes.parts) else 0)


def test_an_end_that_falls_short_makes_no_spiral_of_a_circle() -> None:
    circle = np.exp(2j * np.pi * np.linspace(0, 1, 73))
    path = hand.WritingOrder(np.arange(73), np.array([0, 73]), np.array([True, True]))
    onward = circle[-1] - circle[-1 - 19]  # from a quarter before
    onward /= abs(onward)
    beyond = []
    for seed in range(300):
        line = hand.extend_ends(circle, path, replace(RULER, overshoot=0.45), 1.0, rng(seed))
        beyond.append(((line[-1] - circle[-1]) * onward.conjugate()).real / polyline_length(circle))
    assert min(beyond) == pytest.approx(-0.05), "of its length"
    assert max(beyond) > 0.2


def test_no_knob_goes_beyond_what_the_shape_allows(outline: Outline) -> None:
    for seed in range(50):
        drawn = with_(outline, seed, stretch=4.0, turn=4.0)
        assert outline.stretch[0] - 1e-9 <= drawn.stretch <= outline.stretch[1] + 1e-9
        assert abs(drawn.turn) <= outline.turn
        assert outline.mirror or not drawn.mirrored


def test_stretching_scales_the_area_and_keeps_the_longest_side(outline: Outline) -> None:
    for factor, mirrored in ((0.3, False), (1.0, True), (4.0, True)):
        plan, half = hand.stretch_outline(outline.strokes.points, outline.strokes.half, factor, mirrored)
        assert np.ptp(plan.real) == pytest.approx(2 * half.real)
        assert np.ptp(plan.imag) == pytest.approx(2 * half.imag)
        assert max(half.real, half.imag) == pytest.approx(1)
        ratio = half.real / half.imag / (outline.strokes.half.real / outline.strokes.half.imag)
        assert ratio == pytest.approx(factor)


def test_moved_corners_leave_straight_edges_straight(outline: Outline) -> None:
    strokes = outline.strokes
    noise = rng(1).standard_normal((len(strokes.first) + len(strokes.parts), 2)).view(np.complex128)[:, 0]
    moved = hand.displace_corners(strokes.points, strokes, strokes.half, 0.1, noise)
    for a, b in zip(strokes.first, strokes.last, strict=True):
        before, after = strokes.points[a : b + 1], moved[a : b + 1]
        if abs(before[-1] - before[0]) > 0.9999 * polyline_length(before):
            assert abs(after[-1] - after[0]) == pytest.approx(polyline_length(after), rel=1e-6)
    for one, end, closed in strokes.parts:
        assert not closed or abs(moved[strokes.first[one]] - moved[strokes.last[end - 1]]) < 1e-9
    np.testing.assert_array_equal(
        moved[~strokes.cornered[strokes.edge]], strokes.points[~strokes.cornered[strokes.edge]]
    )


def test_bowing_leaves_the_corners_in_place(outline: Outline) -> None:
    strokes = outline.strokes
    single, double = rng(2).standard_normal((2, len(strokes.first)))
    bowed = hand.bow_edges(strokes.points, strokes, strokes.half, 0.1, 0.05, single, double)
    np.testing.assert_allclose(bowed[strokes.first], strokes.points[strokes.first])
    np.testing.assert_allclose(bowed[strokes.last], strokes.points[strokes.last])
    assert not strokes.cornered.any() or np.abs(bowed - strokes.points).max() > 1e-3


def test_pinching_makes_a_polygon_smaller_and_swelling_larger() -> None:
    square = assemble_strokes([split_at_corners(np.array([0, 1, 1 + 1j, 1j, 0]), True)])
    none = np.zeros(4)
    for pinch, grows in ((-0.1, False), (0.1, True)):
        area = shoelace(hand.bow_edges(square.points, square, square.half, 0.0, pinch, none, none))
        assert (area > 4) is grows


def test_lifting_cuts_at_every_corner_and_moves_nothing(outline: Outline) -> None:
    drawn = hand.draw_strokes(outline.strokes, replace(RULER, lifting=1.0), rng())
    assert len(runs(drawn)) == len(outline.strokes.first)
    assert drawn_length(drawn) == pytest.approx(ruled_length(outline))


def test_the_pen_begins_where_it_says_and_goes_that_way() -> None:
    square = assemble_strokes([split_at_corners(np.array([0, 1, 1 + 1j, 1j, 0]), True)])
    count, corners = len(square.points), square.points[square.first]
    for start in (0.0, 0.3, 0.6, 0.99):
        at_corner, there, back = (
            square.points[hand.order_strokes(square, replace(RULER, start=start, **more), rng()).index]
            for more in ({}, {"between": True}, {"backwards": True})
        )
        assert at_corner[0] == corners[int(4 * start)]
        assert there[0] == square.points[int(start * count)]
        np.testing.assert_array_equal(back, at_corner[::-1])
    circle = assemble_strokes([split_at_corners(np.exp(1j * np.linspace(0, 2 * np.pi, 200)), True)])
    path = hand.order_strokes(circle, replace(RULER, start=0.25), rng())
    assert path.index[0] == int(0.25 * len(circle.points)), "a circle has no corner to begin at"


def test_beginning_anywhere_keeps_the_closed_outline(outline: Outline) -> None:
    wanted = {
        tuple(point) for point in np.round(np.stack([outline.strokes.points.real, outline.strokes.points.imag], 1), 9)
    }
    for start, between, backwards in [(0.4, False, False), (0.4, True, False), (0.9, True, True), (0.0, False, True)]:
        how = replace(RULER, start=start, between=between, backwards=backwards)
        line = hand.draw_strokes(outline.strokes, how, rng()).line
        assert {tuple(point) for point in np.round(np.stack([line.real, line.imag], 1), 9)} == wanted


@pytest.mark.parametrize(("closing", "share"), [(0.15, 1.0), (-0.15, 1.0), (0.5, 1.5), (1.0, 2.0)])
@pytest.mark.parametrize("backwards", [False, True])
def test_an_open_stroke_is_drawn_again_from_its_end(closing: float, share: float, backwards: bool) -> None:
    corners = np.array([0, 1, 1 + 1j, 2 + 1j])
    strokes = assemble_strokes([split_at_corners(corners, False)])
    for seed in range(8):
        how = replace(RULER, closing=closing, backwards=backwards)
        path = hand.order_strokes(strokes, how, rng(seed))
        line = strokes.points[path.index]
        assert polyline_length(line) == pytest.approx(share * polyline_length(strokes.points), rel=0.05)
        for a, b in pairwise(path.begin):  # no corner lies within a piece
            assert len(set(strokes.edge[path.index[a:b]])) == 1


@pytest.mark.parametrize(("closing", "share"), [(0.15, 1.15), (-0.15, 0.85), (1.0, 2.0)])
def test_closing_draws_that_share_of_a_circle(closing: float, share: float) -> None:
    circle = assemble_strokes([split_at_corners(np.exp(1j * np.linspace(0, 2 * np.pi, 200)), True)])
    drawn = hand.draw_strokes(circle, replace(RULER, closing=closing), rng())
    assert drawn_length(drawn) == pytest.approx(share * 2 * np.pi, rel=0.03)


def test_overshoot_moves_ends_along_their_strokes_only(outline: Outline) -> None:
    for seed in range(3):
        how = replace(RULER, lifting=1.0, overshoot=0.1)
        drawn, ruled = (
            hand.draw_strokes(outline.strokes, how_, rng(seed)) for how_ in (how, replace(how, overshoot=0.0))
        )
        for run, straight in zip(runs(drawn), runs(ruled), strict=True):
            if abs(straight[-1] - straight[0]) > 0.9999 * polyline_length(straight):
                way = (straight[-1] - straight[0]) / abs(straight[-1] - straight[0])
                assert np.abs(((run - straight[0]) / way).imag).max() < 1e-6


def test_rounding_cuts_corners_and_keeps_the_ends(outline: Outline) -> None:
    drawn, ruled = (hand.draw_strokes(outline.strokes, replace(RULER, rounding=value), rng()) for value in (1.0, 0.0))
    for run, straight in zip(runs(drawn), runs(ruled), strict=True):
        assert abs(run[0] - straight[0]) < 1e-9
        assert abs(run[-1] - straight[-1]) < 1e-9
    assert drawn_length(drawn) <= drawn_length(ruled) + 1e-9


@pytest.mark.parametrize(("layer", "share"), [(hand.add_drift, 1.2), (hand.add_tremor, 1.35)], ids=["drift", "tremor"])
def test_drift_and_tremor_stray_as_far_as_they_say(layer: Callable[..., Points], share: float) -> None:
    line = np.zeros(100, dtype=complex)
    strayed = np.concatenate([layer(line, 0.01, rng(seed)) for seed in range(600)])
    assert [strayed.real.std(), strayed.imag.std()] == pytest.approx([0.01 * share] * 2, rel=0.06)
    np.testing.assert_array_equal(layer(line, 0.0, rng()), line)


def test_a_turn_keeps_every_length(outline: Outline) -> None:
    points = outline.strokes.points
    turned = hand.apply_transform(points, replace(RULER, turn=37.0))
    np.testing.assert_allclose(np.abs(np.diff(turned)), np.abs(np.diff(points)))
    assert np.angle(turned[0] / points[0], deg=True) == pytest.approx(37.0)


def test_slant_keeps_the_area(outline: Outline) -> None:
    for area in hand.draw_strokes(outline.strokes, replace(RULER, slant=0.4), rng()).areas:
        straight = hand.apply_transform(area, replace(RULER, slant=-0.4))
        assert shoelace(area) == pytest.approx(shoelace(straight))


def test_a_mere_line_has_any_pen_and_bows_as_much_in_every_direction() -> None:
    rises = []
    for way in (1, 1j, np.exp(0.25j * np.pi)):
        strokes = assemble_strokes([split_at_corners(np.array([0, way]), False)])
        drawn = hand.draw_strokes(strokes, replace(RULER, bow=0.1), rng())
        assert drawn.detail > 1
        turned = drawn.line / way
        rises.append(float(np.ptp(turned.imag) / np.ptp(turned.real)))
    assert 0.01 < rises[0] < 0.2
    assert rises == pytest.approx([rises[0]] * 3)
