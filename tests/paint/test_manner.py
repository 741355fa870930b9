"""The columns of ink and paper say what is to be seen in the scene: each is measured there."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from strokewise.paint import doodles, ink, manner, painter, paper
from strokewise.paint.manner import Manner
from strokewise.paint.outlines import Catalogue
from strokewise.params import Generate

NONE = manner.Knobs(*(0.0,) * 9)
SQUARE = np.array([0, 1, 1 + 1j, 1j, 0])
C = 200


def how(**values: Any) -> Manner:
    """A black pen on white paper, in the middle, but for `values`."""
    return replace(manner.manner(NONE, [0.5] * manner.LOTS, C, True, np.random.default_rng(0)), **values)


def scene(inking: Manner, seed: int = 0) -> Any:
    """Of a square."""
    rng = np.random.default_rng(seed)
    areas = [SQUARE] if inking.fill != "none" else []
    mask = ink.inked(SQUARE, np.array([], dtype=np.intp), areas, 1.0, inking, C, rng)
    return paper.on_paper(mask, inking, rng)


def test_what_does_not_apply_is_nought() -> None:
    plain = vars(how())
    assert {name for name, value in plain.items() if value} == {"size", "x", "y", "pen", "light", "fill", "paper"}
    assert (plain["fill"], plain["paper"], plain["light"]) == ("none", "plain", 255)


def test_each_is_drawn_where_it_applies_and_only_there(catalogue: Catalogue, defaults: Generate) -> None:
    drawn = [painter.paint(catalogue, defaults, "train", index).factors for index in range(2600)]
    applies = {
        "shade": lambda row: row["fill"] != "none",
        "hatch_apart": lambda row: row["fill"] in ("hatched", "scribbled"),
        "hatch_angle": lambda row: row["fill"] in ("hatched", "scribbled"),
        "ruling_x": lambda row: row["paper"] == "squared",
        "ruling_y": lambda row: row["ruling"] > 0,
        "grain": lambda row: row["paper"] == "photographed",
        "shadow_top_left": lambda row: row["paper"] == "photographed",
        "tint_blue": lambda row: row["coloured"],
    }
    for name, condition in applies.items():
        some = [row[name] for row in drawn if condition(row)]
        assert all(some), name
        assert len(set(some)) > 10, name
        assert all(row[name] == 0 for row in drawn if not condition(row)), name
    assert {row["paper"] for row in drawn if row["ruling"]} == {"lined", "squared", "photographed"}
    casts = np.array([[row[f"cast_{channel}"] for channel in ("red", "green", "blue")] for row in drawn])
    some = casts[[row["coloured"] for row in drawn]]
    assert ((some == 0).sum(1) == 1).all(), "one channel keeps its light"
    assert ((some > 0).mean(0) > 0.5).all()
    assert some.max() <= 0.2


def test_filled_is_what_has_something_to_fill(catalogue: Catalogue, defaults: Generate) -> None:
    filling = Generate.model_validate({**defaults.model_dump(), "ink": {**defaults.ink.model_dump(), "fill": 4}})
    fills = {}
    for index in range(2600):
        row = painter.paint(catalogue, filling, "train", index).factors
        fills.setdefault((row["variant"], bool(row["contains"])), set()).add(row["fill"])
    for kind, made in [("several", True), ("nested", True), ("face", True), ("wave", False), ("zigzag", False)]:
        assert fills[kind, made] == {"none"}, kind
    for kind in ("arch", "ell"):
        assert fills[kind, False] == set(manner.FILLS)


@pytest.mark.parametrize("angle", [0.0, 30.0, 90.0, 135.0])
def test_hatching_lies_at_its_angle_and_distance(angle: float) -> None:
    wide = scene(how(fill="hatched", shade=1.0, hatch_angle=angle, hatch_apart=0.16, pen=0.05))[40:160, 40:160]
    spectrum = np.abs(np.fft.fft2(wide - wide.mean()))
    y, x = np.unravel_index(int(spectrum[:, :60].argmax()), (120, 60))
    y = y - 120 if y > 60 else y
    across = np.degrees(np.arctan2(y, x)) - 90  # lines lie square to the wave
    assert abs((across - angle + 90) % 180 - 90) < 12
    side = 0.8 * (C - 2 * ink.MARGIN) / 1.05
    assert 120 / np.hypot(y, x) == pytest.approx(0.16 * side, rel=0.2)


def test_hatching_goes_over_the_border_where_it_is_told_to() -> None:
    outside = [
        (scene(how(fill="hatched", shade=1.0, hatch_angle=30.0, hatch_apart=0.1, pen=0.01, hatch_over=over))[:18] < 200)
        for over in (False, True)
    ]
    assert not outside[0].any()
    assert outside[1].any()


@pytest.mark.parametrize("kind", ["lined", "squared", "photographed"])
def test_rules_stand_where_their_columns_say(kind: str) -> None:
    light = paper.sheet(C, how(paper=kind, ruling=0.2, ruling_apart=0.15, ruling_x=0.5, ruling_y=0.1))
    rows, columns = light[:, 1].astype(int), light[1].astype(int)
    assert np.flatnonzero(rows < 255).tolist() == list(range(3, C, 30))
    assert set(rows[rows < 255].tolist()) == {204}
    assert np.flatnonzero(columns < 255).tolist() == (list(range(15, C, 30)) if kind == "squared" else [])


def test_a_photograph_is_shaded_as_its_corners_say() -> None:
    light = paper.sheet(C, how(paper="photographed", shadow_top_right=0.4, shadow_bottom_left=0.2)) / 255
    corners = [light[0, 0], light[0, -1], light[-1, 0], light[-1, -1]]
    assert corners == pytest.approx([1.0, 0.6, 0.8, 1.0], abs=0.01)
    assert light[C // 2, C // 2] == pytest.approx(0.85, abs=0.01)


@pytest.mark.parametrize("grain", [0.0, 1.5, 3.0])
def test_grain_has_the_deviation_that_is_told(grain: float) -> None:
    bare = scene(how(paper="photographed", grain=grain, light=200))[:15]
    assert bare.std() == pytest.approx(grain, abs=0.35)  # to whole levels


@pytest.mark.parametrize("inverted", [False, True])
def test_colours_are_those_of_the_columns(inverted: bool) -> None:
    found = scene(how(
        coloured=True, inverted=inverted, light=240, dark=20, pen=0.05,
        cast_red=0.1, cast_blue=0.2, tint_green=60.0, tint_blue=130.0,
    ))  # fmt: skip
    light, dark = [216, 240, 192], [20, 80, 150]
    assert found.shape == (C, C, 3)
    assert found[2, 2].tolist() == (dark if inverted else light)
    assert found[C // 2, 22].tolist() == (light if inverted else dark), "on the left side of the square"


def test_what_a_doodle_is_made_of_is_told(catalogue: Catalogue) -> None:
    contains = {}
    for index, lot in enumerate(np.linspace(0, 1, 800, endpoint=False)):
        made = doodles.doodle(catalogue, float(lot), np.random.default_rng(index))
        contains.setdefault(made.kind, []).append((made.contains, made.strokes))
    for kind in doodles.COMPOSED:
        names = [told.split("+") for told, _ in contains[kind]]
        assert {name for told in names for name in told} <= set(catalogue.shapes) - {"other"}
        assert {len(told) for told in names} == {"several": {2, 3, 4}, "nested": {2}}.get(kind, {1})
    assert all(told == "" for kind in doodles.DRAWN if kind in contains for told, _ in contains[kind])
    outlines = dict(zip(catalogue.shapes, catalogue.outlines, strict=True))
    for told, strokes in contains["nested"]:  # as many edges as the shapes named can have
        possible = {
            sum(pair) for pair in np.stack(np.meshgrid(*[
                [len(outline.strokes.first) for outline in outlines[name]] for name in told.split("+")
            ]), -1).reshape(-1, 2).tolist()
        }  # fmt: skip
        assert len(strokes.first) in possible, told
