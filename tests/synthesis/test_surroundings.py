"""What else is on the sheet: connectors touch the drawing, the rest keeps its distance and needs room."""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest

from strokewise.synthesis import surroundings
from strokewise.synthesis.ink_params import InkParams

CANVAS = 200
MakeInkParams = Callable[..., InkParams]
CIRCLE = 100 + 100j + 40 * np.exp(1j * np.linspace(0, 2 * np.pi, 60))


def surround(line: Any, params: InkParams, seed: int) -> Any:
    return surroundings.draw_surroundings(line, params, 2.0, CANVAS, np.random.default_rng(seed))


def test_every_connector_touches_the_drawing_from_outside(make_ink_params: MakeInkParams) -> None:
    inside = np.zeros((CANVAS, CANVAS), np.uint8)
    cv2.circle(inside, (100, 100), 34, 255, -1)
    at_edge = 0
    for seed in range(40):
        mask = surround(CIRCLE, make_ink_params(connectors=1), seed)
        y, x = np.nonzero(mask > 128)
        assert np.hypot(x - 100, y - 100).min() < 43
        assert not (mask[inside > 0] > 128).any()
        at_edge += bool(mask[[0, -1]].any() or mask[:, [0, -1]].any())
    assert 10 < at_edge < 40, "many run to the edge of the sheet"


def test_three_connectors_are_more_than_one(make_ink_params: MakeInkParams) -> None:
    inks = [sum(int(surround(CIRCLE, make_ink_params(connectors=n), seed).sum()) for seed in range(20)) for n in (1, 3)]
    assert inks[1] > 2 * inks[0]


def test_connector_needs_a_drawing_with_an_extent(make_ink_params: MakeInkParams) -> None:
    assert not surround(np.full(5, 50 + 50j), make_ink_params(connectors=3), 0).any()


def test_writing_stands_beside_the_drawing(make_ink_params: MakeInkParams) -> None:
    written = 0
    for seed in range(40):
        mask = surround(CIRCLE, make_ink_params(writing=True), seed)
        assert not (mask[62:138, 62:138] > 128).any()
        written += bool(mask.any())
    assert written > 20


def test_writing_and_neighbour_need_room(make_ink_params: MakeInkParams) -> None:
    frame = np.array([1 + 1j, 199 + 1j, 199 + 199j, 1 + 199j])
    for seed in range(10):
        assert not surround(frame, make_ink_params(writing=True, neighbour=True), seed).any()


def test_nothing_is_drawn_that_is_not_asked_for(make_ink_params: MakeInkParams) -> None:
    assert not surround(CIRCLE, make_ink_params(), 0).any()


@pytest.mark.parametrize("shift", [-30, 30, -30j, 30j])
@pytest.mark.parametrize("values", [{"strays": 3}, {"neighbour": True}, {"writing": True}], ids=str)
def test_what_stands_beside_the_drawing_keeps_away_from_it(
    make_ink_params: MakeInkParams, values: dict[str, Any], shift: complex
) -> None:
    x, y = 100 + int(complex(shift).real), 100 + int(complex(shift).imag)
    drawn = 0
    for seed in range(40):
        mask = surround(CIRCLE + shift, make_ink_params(**values), seed)
        drawn += bool(mask.any())
        assert not mask[y - 36 : y + 37, x - 36 : x + 37].any(), seed
    assert drawn > 25
