"""Ink on paper: rules, shadows, sensor noise and colours are those of the columns."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from strokewise.synthesis.ink_params import PAPERS, InkParams

CANVAS = 200

MakeInkParams = Callable[..., InkParams]
DrawOblong = Callable[..., Any]


@pytest.mark.parametrize(("spacing", "step"), [(0.1, 20), (0.15, 30)])
@pytest.mark.parametrize("kind", PAPERS[1:])
def test_rules_have_their_position_spacing_and_level(
    make_ink_params: MakeInkParams, draw_oblong: DrawOblong, kind: str, spacing: float, step: int
) -> None:
    params = make_ink_params(paper=kind, ruling=0.2, ruling_apart=spacing, ruling_x=0.5, ruling_y=0.1, light=200)
    scene = draw_oblong(params)
    rows, columns = scene[:, 1].astype(int), scene[1].astype(int)
    assert np.flatnonzero(rows < 200).tolist() == list(range(step // 10, CANVAS, step))
    vertical = list(range(step // 2, CANVAS, step)) if kind == "squared" else []
    assert np.flatnonzero(columns < 200).tolist() == vertical
    assert {*rows[rows < 200].tolist(), *columns[columns < 200].tolist()} == {160}


def test_photograph_has_the_shadows_of_its_corners(make_ink_params: MakeInkParams, draw_oblong: DrawOblong) -> None:
    shadows = {"shadow_top_left": 0.1, "shadow_top_right": 0.4, "shadow_bottom_left": 0.2, "shadow_bottom_right": 0.3}
    light = draw_oblong(make_ink_params(paper="photographed", **shadows)) / 255
    assert [light[0, 0], light[0, -1], light[-1, 0], light[-1, -1]] == pytest.approx([0.9, 0.6, 0.8, 0.7], abs=0.01)
    assert light[CANVAS // 2, 5] == pytest.approx(0.85, abs=0.01)


@pytest.mark.parametrize("grain", [0.0, 1.5, 3.0])
def test_grain_has_its_deviation_and_differs_between_paintings(
    make_ink_params: MakeInkParams, draw_oblong: DrawOblong, grain: float
) -> None:
    params = make_ink_params(paper="photographed", grain=grain, light=200)
    one, other = (draw_oblong(params, seed)[:50].astype(int) for seed in (0, 1))
    assert one.std() == pytest.approx(grain, abs=0.15)
    assert (one == other).all() == (grain == 0)


@pytest.mark.parametrize("inverted", [False, True])
def test_colours_of_paper_and_ink_follow_cast_and_tint(
    make_ink_params: MakeInkParams, draw_oblong: DrawOblong, inverted: bool
) -> None:
    scene = draw_oblong(make_ink_params(
        coloured=True, inverted=inverted, light=240, dark=20, pen=0.05,
        cast_red=0.1, cast_blue=0.2, tint_green=60.0, tint_blue=130.0,
    ))  # fmt: skip
    light, dark = [216, 240, 192], [20, 80, 150]
    assert scene.shape == (CANVAS, CANVAS, 3)
    assert scene[2, 2].tolist() == (dark if inverted else light)
    assert scene[CANVAS // 2, 24].tolist() == (light if inverted else dark), "on the left side of the oblong"
