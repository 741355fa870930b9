"""Ink on the canvas: fillings have their strength, and an outline may be left out."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from strokewise.params import GenerateParams
from strokewise.synthesis import render
from strokewise.synthesis.ink_params import FILLS, InkParams
from strokewise.synthesis.outlines import Catalogue

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
    for index in range(500):
        painting = render.render_painting(catalogue, with_fill, "train", index)
        if painting.factors["fill"] == fill:
            unfilled = render.render_painting(catalogue, without, "train", index)
            is_darker = (painting.scene < 128).sum() > 1.05 * (unfilled.scene < 128).sum()
            assert is_darker or painting.factors["shade"] < 0.5 or not painting.factors["outlined"]
            count += 1
    assert count > 4


def test_drawing_without_its_outline_shows_the_filling_alone(
    make_ink_params: MakeInkParams, draw_oblong: DrawOblong
) -> None:
    params = make_ink_params(fill="solid", shade=0.5, outlined=False)
    assert draw_oblong(params).min() > 100
    assert draw_oblong(replace(params, outlined=True)).min() == 0
