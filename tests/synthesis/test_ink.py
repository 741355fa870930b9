"""Ink on the canvas: fillings have their strength, angle and spacing, and stay inside where they should."""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest

from strokewise.params import GenerateParams
from strokewise.synthesis import ink, render
from strokewise.synthesis.ink_params import FILLS, InkParams
from strokewise.synthesis.outlines import Catalogue

CANVAS = 200

MakeInkParams = Callable[..., InkParams]
DrawOblong = Callable[..., Any]


@pytest.mark.parametrize("shade", [0.3, 0.7, 1.0])
def test_solid_filling_has_its_shade(make_ink_params: MakeInkParams, draw_oblong: DrawOblong, shade: float) -> None:
    inside = draw_oblong(make_ink_params(fill="solid", shade=shade))[90:110, 60:140]
    assert set(inside.ravel().tolist()) <= {round(255 * (1 - shade)) + off for off in (-1, 0, 1)}


@pytest.mark.parametrize("fill", FILLS[1:])
def test_filling_adds_ink(catalogue: Catalogue, defaults: GenerateParams, fill: str) -> None:
    without = defaults.model_copy(update={"imprecision": 0.0})
    with_fill = GenerateParams.model_validate(
        {**defaults.model_dump(), "imprecision": 0.0, "ink": {**defaults.ink.model_dump(), "fill": 4}}
    )
    count = 0
    for index in range(200):
        painting = render.render_painting(catalogue, with_fill, "train", index)
        if painting.factors["fill"] == fill:
            unfilled = render.render_painting(catalogue, without, "train", index)
            is_darker = (painting.scene < 128).sum() > 1.2 * (unfilled.scene < 128).sum()
            assert is_darker or painting.factors["shade"] < 0.5
            count += 1
    assert count > 10


@pytest.mark.parametrize("spacing", [0.09, 0.18])
@pytest.mark.parametrize("angle", [0.0, 30.0, 90.0, 135.0])
def test_hatching_has_its_angle_and_spacing(
    make_ink_params: MakeInkParams, draw_oblong: DrawOblong, angle: float, spacing: float
) -> None:
    height = 0.8 * (4 * CANVAS - 2 * ink.CANVAS_MARGIN) / 1.02 / 2
    params = make_ink_params(fill="hatched", shade=1.0, hatch_angle=angle, hatch_apart=spacing, pen=0.02)
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


def test_scribbling_joins_the_lines_of_a_hatching(make_ink_params: MakeInkParams) -> None:
    areas, counts = [50 * np.array([0, 2, 2 + 1j, 1j, 0]) + 20 + 20j], {}
    for fill in ("hatched", "scribbled"):
        params = make_ink_params(fill=fill, shade=1.0, hatch_angle=90.0, hatch_apart=0.3, hatch_over=True)
        mask = ink.draw_filling(areas, params, 2.0, (100.0, 50.0), CANVAS, np.random.default_rng(0))
        counts[fill] = cv2.connectedComponents((mask > 128).astype(np.uint8))[0] - 1
    assert counts["scribbled"] == 1
    assert counts["hatched"] > 4


@pytest.mark.parametrize(
    ("fill", "hatch_over", "is_outside"), [("hatched", False, False), ("solid", False, False), ("hatched", True, True)]
)
def test_filling_crosses_the_outline_only_with_hatch_over(
    make_ink_params: MakeInkParams, draw_oblong: DrawOblong, fill: str, hatch_over: bool, is_outside: bool
) -> None:
    params = make_ink_params(fill=fill, shade=1.0, hatch_angle=30.0, hatch_apart=0.2, pen=0.01, hatch_over=hatch_over)
    assert bool((draw_oblong(params)[:57] < 200).any()) == is_outside
