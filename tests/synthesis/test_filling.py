"""Fillings: their angle and spacing, how far they reach, and areas of every kind."""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest

from strokewise.synthesis import filling, ink
from strokewise.synthesis.ink_params import FILLS, InkParams

CANVAS = 200
MakeInkParams = Callable[..., InkParams]
DrawOblong = Callable[..., Any]
OBLONG = 50 * np.array([0, 2, 2 + 1j, 1j, 0]) + 20 + 20j
CIRCLE = 100 + 100j + 60 * np.exp(1j * np.linspace(0, 2 * np.pi, 60))
LINE_FILLS = FILLS[2:]


def fill(area: Any, params: InkParams, seed: int = 0) -> Any:
    return filling.draw_filling([area], params, 2.0, (100.0, 50.0), CANVAS, np.random.default_rng(seed))


@pytest.mark.parametrize("spacing", [0.09, 0.18])
@pytest.mark.parametrize("angle", [0.0, 30.0, 90.0, 135.0])
def test_hatching_has_its_angle_and_spacing(
    make_ink_params: MakeInkParams, draw_oblong: DrawOblong, angle: float, spacing: float
) -> None:
    height = 0.8 * (4 * CANVAS - 2 * ink.CANVAS_MARGIN) / 1.02 / 2
    params = make_ink_params(fill="hatched", shade=1.0, fill_angle=angle, fill_apart=spacing, fill_reach=1.0, pen=0.02)
    inside = draw_oblong(params, canvas=4 * CANVAS)[280:520, 240:560].astype(float)
    padded = np.zeros((960, 960))
    padded[:240, :320] = inside - inside.mean()
    spectrum = np.abs(np.fft.fft2(padded))
    frequencies = np.hypot(*np.meshgrid(np.fft.fftfreq(960), np.fft.fftfreq(960)))
    spectrum[frequencies > 1.5 / (spacing * height)] = 0  # harmonics
    y, x = (int(peak) for peak in np.unravel_index(int(spectrum[:, :480].argmax()), (960, 480)))
    y = y - 960 if y > 480 else y
    line_angle = np.degrees(np.arctan2(y, x)) - 90  # lines are perpendicular to the wave
    assert abs((line_angle - angle + 90) % 180 - 90) < 10
    assert 960 / np.hypot(y, x) == pytest.approx(spacing * height, rel=0.2)


def test_zigzag_joins_the_lines_of_a_hatching(make_ink_params: MakeInkParams) -> None:
    counts = {}
    for kind in ("hatched", "zigzag"):
        params = make_ink_params(fill=kind, shade=1.0, fill_angle=90.0, fill_apart=0.3, fill_reach=0.9)
        counts[kind] = cv2.connectedComponents((fill(OBLONG, params) > 128).astype(np.uint8))[0] - 1
    assert counts["zigzag"] == 1
    assert counts["hatched"] > 4


def test_crosshatching_has_lines_both_ways(make_ink_params: MakeInkParams) -> None:
    inks = [
        (
            fill(CIRCLE, make_ink_params(fill=kind, shade=1.0, fill_angle=0.0, fill_apart=0.3, fill_reach=1.0)) > 128
        ).sum()
        for kind in ("hatched", "crosshatched")
    ]
    assert inks[1] > 1.5 * inks[0]


@pytest.mark.parametrize("kind", LINE_FILLS)
@pytest.mark.parametrize(("reach", "nearest", "farthest"), [(0.6, 0.0, 48), (1.0, 45, 63), (1.3, 60, 90)])
def test_filling_reaches_as_far_as_asked(
    make_ink_params: MakeInkParams, kind: str, reach: float, nearest: float, farthest: float
) -> None:
    params = make_ink_params(fill=kind, shade=1.0, fill_angle=20.0, fill_apart=0.12, fill_reach=reach)
    y, x = np.nonzero(fill(CIRCLE, params) > 128)
    assert nearest <= np.hypot(x - 100, y - 100).max() <= farthest


@pytest.mark.parametrize("kind", LINE_FILLS)
def test_filling_covers_the_middle_of_a_circle(make_ink_params: MakeInkParams, kind: str) -> None:
    params = make_ink_params(fill=kind, shade=1.0, fill_angle=20.0, fill_apart=0.1, fill_reach=1.0)
    mask = fill(CIRCLE, params)
    assert (mask[70:130, 70:130] > 128).mean() > 0.1


@pytest.mark.parametrize("kind", FILLS[1:])
@pytest.mark.parametrize("jitter", [0.0, 1.5])
@pytest.mark.parametrize(
    "area",
    [
        np.array([20 + 20j, 180 + 20j, 180 + 22j, 20 + 22j]),
        np.array([20, 180, 180 + 180j, 100 + 30j, 20 + 180j]),
        np.array([50 + 50j] * 3),
        np.array([50 + 50j, 150 + 50j]),
        np.array([99.5 + 99.5j, 100 + 99.5j, 100 + 100j]),
    ],
    ids=["thin", "concave", "point", "line", "tiny"],
)
def test_areas_of_every_kind_are_filled_without_an_error(
    make_ink_params: MakeInkParams, kind: str, jitter: float, area: Any
) -> None:
    params = make_ink_params(fill=kind, shade=1.0, fill_angle=33.0, fill_apart=0.05, fill_reach=1.1, fill_jitter=jitter)
    mask = fill(area, params)
    assert (mask.shape, mask.dtype) == ((CANVAS, CANVAS), np.uint8)


def test_filling_is_bounded_however_fine_it_is(make_ink_params: MakeInkParams) -> None:
    for kind in LINE_FILLS:
        params = make_ink_params(fill=kind, fill_angle=0.0, fill_apart=0.001, fill_reach=1.0)
        points = sum(len(line) for line in filling.filling_lines(20 * CIRCLE, params, 0.01, np.random.default_rng(0)))
        assert points <= filling.MAX_FILL_LINES * max(4, filling.SPIRAL_POINTS)


@pytest.mark.parametrize("kind", LINE_FILLS)
def test_lines_leave_paper_between(make_ink_params: MakeInkParams, kind: str) -> None:
    params = make_ink_params(fill=kind, shade=1.0, fill_angle=20.0, fill_apart=0.2, fill_reach=1.0)
    inside = np.zeros((CANVAS, CANVAS), np.uint8)
    cv2.circle(inside, (100, 100), 58, 255, -1)
    for seed in range(10):
        assert 0.05 < (fill(CIRCLE, params, seed)[inside > 0] > 128).mean() < 0.95, seed


@pytest.mark.parametrize("kind", [kind for kind in LINE_FILLS if kind != "scrawled"])  # which is irregular anyhow
def test_jitter_makes_lines_irregular(make_ink_params: MakeInkParams, kind: str) -> None:
    neat, loose = (
        filling.filling_lines(
            CIRCLE, make_ink_params(fill=kind, fill_reach=1.0, fill_jitter=jitter), 10.0, np.random.default_rng(0)
        )
        for jitter in (0.0, 0.5)
    )
    assert [len(line) for line in neat] == [len(line) for line in loose]
    assert 1 < np.abs(np.concatenate(neat) - np.concatenate(loose)).mean() < 30


def test_spiral_winds_from_the_rim_to_the_middle(make_ink_params: MakeInkParams) -> None:
    params = make_ink_params(fill="spiral", fill_reach=1.0)
    (line,) = filling.filling_lines(CIRCLE, params, 10.0, np.random.default_rng(0))
    radius = np.abs(line - CIRCLE.mean())
    assert (radius[0], radius[-1]) == pytest.approx((60, 3), abs=4)
    turns = abs(np.unwrap(np.angle(line - CIRCLE.mean()))[-1]) / (2 * np.pi)
    assert turns == pytest.approx(6, abs=0.3), "10 pixels apart"
