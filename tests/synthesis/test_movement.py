"""The layers of the movement: rounds that lie apart, ends that curl, drift, tremor, and what a mouse reports."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from strokewise.synthesis import hand, movement
from strokewise.synthesis.hand_params import RULER
from strokewise.synthesis.strokes import Points, polyline_length
from strokewise.synthesis.writing_order import WritingOrder, order_strokes
from toy_strokes import circle, random, single_stroke, unit_square

NO_RUNS = np.array([], dtype=np.intp)


def test_undershoot_of_a_curve_is_limited() -> None:
    line = np.exp(2j * np.pi * np.linspace(0, 1, 73))
    order = WritingOrder(np.arange(73), [0, 73], [True, True], [(73, 73)])
    direction = line[-1] - line[-1 - 19]  # over the last quarter
    direction /= abs(direction)
    overshoots = []
    for seed in range(300):
        extended = movement.extend_ends(line, order, replace(RULER, overshoot=0.45), 1.0, random(seed))
        overshoots.append(((extended[-1] - line[-1]) * direction.conjugate()).real / polyline_length(line))
    assert min(overshoots) == pytest.approx(-0.05), "share of its length"
    assert max(overshoots) > 0.2


@pytest.mark.parametrize(
    ("layer", "share"), [(movement.add_drift, 1.2), (movement.add_tremor, 1.35)], ids=["drift", "tremor"]
)
def test_drift_and_tremor_have_the_documented_deviation(layer: Callable[..., Points], share: float) -> None:
    line = np.zeros(100, dtype=complex)
    moved = np.concatenate([layer(line, 0.01, random(seed)) for seed in range(600)])
    assert [moved.real.std(), moved.imag.std()] == pytest.approx([0.01 * share] * 2, rel=0.06)
    np.testing.assert_array_equal(layer(line, 0.0, random()), line)


def test_rounds_lie_as_far_apart_as_asked_and_the_first_half_stays() -> None:
    strokes = circle()
    for apart in (0.02, 0.1):
        distances = []
        for seed in range(60):
            params = replace(RULER, rounds=2, apart=apart)
            order = order_strokes(strokes, params, random(seed))
            line = strokes.points[order.index]
            moved = movement.separate_rounds(line, order, 1 + 1j, 1.0, params, random(seed))
            distances += np.abs(moved - line)[order.rounds > 1].tolist()
            assert np.abs(moved - line)[order.rounds < 0.02].max() < apart
        assert 0.7 * apart < np.mean(distances) < 3 * apart


def test_spiral_brings_each_round_nearer_to_the_middle() -> None:
    strokes = circle()
    params = replace(RULER, rounds=3, spiral=0.2)
    order = order_strokes(strokes, params, random())
    radius = np.abs(movement.separate_rounds(strokes.points[order.index], order, 1 + 1j, 1.0, params, random()))
    assert radius == pytest.approx(1 - 0.2 * order.rounds, abs=0.03)


def test_coil_keeps_its_distance_from_the_rounds() -> None:
    strokes = unit_square()
    params = replace(RULER, rounds=1, coil=0.1)
    order = order_strokes(strokes, params, random())
    line = strokes.points[order.index]
    moved = movement.separate_rounds(line, order, 1 + 1j, 1.0, params, random())
    assert np.abs(moved - line) == pytest.approx(np.full(len(line), 0.1), abs=1e-9)


@pytest.mark.parametrize("curl", [0.5, -0.4])
def test_curl_moves_the_end_of_each_stroke_towards_the_middle_or_away(curl: float) -> None:
    strokes = circle()
    params = replace(RULER, curl=curl, closing=0.2)
    order = order_strokes(strokes, params, random())
    line = strokes.points[order.index]
    radius = np.abs(movement.curl_ends(line, order, params) - line.mean()) / np.abs(line - line.mean())
    assert radius[-1] == pytest.approx(1 - curl)
    assert radius[order.rounds < 0.7] == pytest.approx(1.0)


def test_pointer_on_a_grid_reports_points_of_the_grid_only() -> None:
    line = np.exp(1j * np.linspace(0, 6, 80))
    reported, pen_downs = movement.record_pointer(line, np.array([40]), 0.1, 0.0)
    steps = np.stack([reported.real, reported.imag]) / 0.1
    assert steps == pytest.approx(np.rint(steps), abs=1e-9)
    assert 0 < pen_downs[0] < len(reported)
    assert np.abs(reported[0] - line[0]) <= 0.1


def test_pointer_that_reports_seldom_draws_straight_pieces_from_end_to_end() -> None:
    line = np.exp(1j * np.linspace(0, 6, 200))
    reported, _ = movement.record_pointer(line, NO_RUNS, 0.0, 0.5)
    assert reported[[0, -1]] == pytest.approx(line[[0, -1]])
    assert len(reported) == pytest.approx(polyline_length(line) / 0.5, abs=2)


def test_pointer_leaves_no_run_empty() -> None:
    dots = np.array([0.01, 0.01, 0.7 + 0.7j, 0.7 + 0.7j, 1j, 1j])
    reported, pen_downs = movement.record_pointer(dots, np.array([2, 4]), 0.2, 0.4)
    assert [len(run) for run in np.split(reported, pen_downs)] == [2, 2, 2]


def test_every_layer_of_the_movement_changes_nothing_at_zero() -> None:
    strokes = single_stroke(np.array([0, 1, 1 + 1j, 2 + 1j]), closed=False)
    path = hand.draw_strokes(strokes, RULER, random())
    order = order_strokes(strokes, RULER, random())
    line = strokes.points[order.index]
    assert movement.separate_rounds(line, order, 1 + 1j, 1.0, RULER, random()) is line
    assert movement.curl_ends(line, order, RULER) is line
    assert movement.record_pointer(path.line, NO_RUNS, 0.0, 0.0)[0] is path.line


def test_every_stroke_curls_at_its_own_end() -> None:
    strokes, params = circle(), replace(RULER, curl=0.4, closing=0.1)
    order = order_strokes(strokes, params, random())
    line, count = strokes.points[order.index], len(order.index)
    twice = WritingOrder(np.tile(order.index, 2), [0, count, 2 * count], [True] * 3, order.stroke_sizes * 2)
    curled = movement.curl_ends(np.tile(line, 2), twice, params)
    np.testing.assert_allclose(curled[:count], curled[count:])
    np.testing.assert_allclose(curled[:count], movement.curl_ends(line, order, params))


def test_rounds_never_lie_far_from_the_outline() -> None:
    strokes = unit_square()
    for seed in range(100):
        params = replace(RULER, rounds=1 + seed % 6, apart=0.2, spiral=0.35 * (seed % 2))
        order = order_strokes(strokes, params, random(seed))
        line = strokes.points[order.index]
        moved = movement.separate_rounds(line, order, strokes.half_size, 1.0, params, random(seed))
        assert max(np.abs(moved.real).max(), np.abs(moved.imag).max()) < 2.5


def test_flight_leads_ends_straight_on_and_not_every_end() -> None:
    strokes = single_stroke(np.array([0, 2, 2 + 1j]), closed=False)
    order = order_strokes(strokes, RULER, random())
    line = strokes.points[order.index]
    moves = [
        movement.extend_ends(line, order, replace(RULER, flight=0.5), 1.0, random(seed))[-1] - line[-1]
        for seed in range(100)
    ]
    far = [move for move in moves if move != 0]
    assert 30 < len(far) < 100
    assert far == pytest.approx([1j * abs(far[0])] * len(far))


@pytest.mark.parametrize(("grid", "reports"), [(0.25, 0.0), (0.25, 0.4), (0.0, 0.4)])
def test_pointer_records_every_run_from_end_to_end(grid: float, reports: float) -> None:
    """Also a run of one point, one of equal points, and one that lies within a step of the grid."""
    curve = np.exp(2j * np.pi * np.linspace(0, 0.7, 50))
    runs = [curve, np.array([0.3 + 0.1j]), np.full(4, 2 + 1j), 0.01 * np.arange(5) + 0j, curve[:25] + 3]
    line, pen_downs = np.concatenate(runs), np.cumsum([len(run) for run in runs[:-1]])
    recorded = np.split(*movement.record_pointer(line, pen_downs, grid, reports))
    for run, points in zip(runs, recorded, strict=True):
        assert len(points) >= 2
        assert [points[0], points[-1]] == pytest.approx([run[0], run[-1]], abs=0.75 * grid + 1e-9)
        assert len(points) == 2 or (points[1:] != points[:-1]).all()


def test_reports_are_evenly_spaced_along_the_path() -> None:
    points, _ = movement.record_pointer(np.linspace(0, 1, 101) + 0j, NO_RUNS, 0.0, 0.3)
    assert points == pytest.approx(np.array([0, 0.3, 0.6, 0.9, 1.0]))
