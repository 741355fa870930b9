"""How a painting is inked today: knobs in, out come the numbers of its pen, its filling and its paper.

Knobs (how much of each) + chance -> Manner, whose fields are columns

What `hand_params.py` is to the hand, this is to ink and paper. Only where single things fall is left to chance after it:
stray marks, the gaps in a line, the tremble of a hatching, the pattern of a grain.
"""

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np

MIN_PAINTING_SIDE = (
    38.0  # pixels, the longest side of the smallest painting, but on a small canvas no more than 0.3 of it
)
MIN_RULE_SPACING = 6.0  # pixels between two rules, at least
MAX_INK_LEVEL = 150.0  # levels of any colour that ink has at most: it is still ink
FILLS = ("none", "solid", "hatched", "scribbled")
PAPERS = ("plain", "lined", "squared", "photographed")
INK_UNIFORMS = 4  # what matters most is drawn from numbers that the caller may spread evenly over its paintings
INK_DRAWS = 41  # numbers drawn for all the rest


@dataclass(frozen=True)
class InkParams:
    """How one painting is inked; every field is a column of the data set, and its text is on the set's card."""

    size: Annotated[float, "longest side, as a share of what fits on the canvas, but never too small to see"]
    x: Annotated[float, "place in the free room beside the drawing, 0 far left, 1 far right"]
    y: Annotated[float, "the same, 0 at the top, 1 at the bottom"]
    pen: Annotated[float, "width of the pen, as a share of the longest side, unless that would hide the shape"]
    pressure: Annotated[float, "how much the width swells and shrinks, as a share of it, if it is 2 pixels or more"]
    breaks: Annotated[int, "places in each stroke where the pen gave no ink"]
    bleeding: Annotated[float, "standard deviation of the ink's spread, in widths of the pen; up to 0.3 pixels none"]
    fill: Annotated[str, "the filling"]
    shade: Annotated[float, "strength of the filling against the line's"]
    hatch_angle: Annotated[float, "degrees of a filling's lines on the canvas, clockwise from the right"]
    hatch_apart: Annotated[float, "from line to line, as a share of the shorter side; at least 2.2 pens and 3 pixels"]
    hatch_over: Annotated[bool, "the filling's lines go on a little beyond the border"]
    paper: Annotated[str, "the paper"]
    light: Annotated[int, "grey of the paper, or of the ink if `inverted`, before cast, ruling, shadow and grain"]
    dark: Annotated[int, "grey of the ink, or of the paper if `inverted`, before tint, ruling, shadow and grain"]
    inverted: Annotated[bool, "light ink on dark paper"]
    coloured: Annotated[bool, "an RGB picture, with a cast on the light and a tint in the dark"]
    cast_red: Annotated[float, "share of its red that the light lacks"]
    cast_green: Annotated[float, "share of its green that the light lacks"]
    cast_blue: Annotated[float, "share of its blue that the light lacks"]
    tint_red: Annotated[float, "levels of red that the dark has beyond its grey"]
    tint_green: Annotated[float, "levels of green that the dark has beyond its grey"]
    tint_blue: Annotated[float, "levels of blue that the dark has beyond its grey"]
    ruling: Annotated[float, "share of the light that the paper's rules take away"]
    ruling_apart: Annotated[float, "from rule to rule, as a share of the canvas"]
    ruling_x: Annotated[float, "where the first vertical rule stands, as a share of `ruling_apart`"]
    ruling_y: Annotated[float, "where the first horizontal rule stands, as a share of `ruling_apart`"]
    shadow_top_left: Annotated[float, "share of the light that a photograph lacks in its top left corner"]
    shadow_top_right: Annotated[float, "the same, top right"]
    shadow_bottom_left: Annotated[float, "the same, bottom left"]
    shadow_bottom_right: Annotated[float, "the same, bottom right"]
    grain: Annotated[float, "standard deviation of a sensor's grain, in levels, before rounding and clipping to 0..255"]
    strays: Annotated[int, "stray marks, at most: none begins within two pens of the drawing's box"]
    neighbour: Annotated[bool, "a line of another drawing at the edge of the canvas, where there is room"]


@dataclass(frozen=True, eq=False)
class InkKnobValues:
    """How much of each, 0 none, 1 as on people's tables. See `params.InkKnobs`."""

    place: float
    pen: float
    pressure: float
    breaks: float
    bleeding: float
    fill: float
    paper: float
    colour: float
    strays: float


def sample_ink_params(
    knobs: InkKnobValues, lots: list[float], canvas: int, fillable: bool, rng: np.random.Generator
) -> InkParams:
    """Draw how one painting will be inked. `lots`: `INK_UNIFORMS` numbers from [0, 1), as for `hand_params.sample_hand_params`.

    `fillable`: whether there is anything that may be filled. With every knob at 0: a black pen on white paper, in the
    middle. What does not apply is 0. One knob changes nothing of what the others draw, with one exception: light ink
    has less room for a tint.
    """
    u = iter(rng.random(INK_DRAWS).tolist()).__next__  # each serves once, and is drawn whether it is used or not
    small = min(0.3, MIN_PAINTING_SIDE / canvas)
    place, papery = min(1.0, knobs.place), min(1.0, knobs.paper)
    kind, hatches = FILLS[1 + int(3 * u())], u() < 0.4
    fill = kind if fillable and lots[1] < 0.15 * knobs.fill else "none"
    filled, hatched = fill != "none", fill in ("hatched", "scribbled")
    kind, rules = PAPERS[1 + int(3 * u())], u() < 0.25
    paper = kind if lots[2] < 0.35 * papery else "plain"
    photographed, squared = paper == "photographed", paper == "squared"
    ruled = squared or paper == "lined" or (photographed and rules)
    dark = round(papery * 90 * u()) * (u() < 0.7)
    coloured = u() < 0.2 * knobs.colour
    lacks = [u(), u(), u()]
    cast = [0.25 * (share - min(lacks)) * coloured for share in lacks]  # what all lack is no cast
    tint = [min(130 * u() ** 2, MAX_INK_LEVEL - dark) * coloured for _ in range(3)]
    shadow = 0.45 * u() * photographed
    return InkParams(
        size=0.8 + place * (small + (1 - small) * lots[3] ** 0.7 - 0.8),
        x=0.5 + place * (u() - 0.5),
        y=0.5 + place * (u() - 0.5),
        pen=0.036 * math.exp(min(1.5, knobs.pen) * 1.15 * (2 * lots[0] - 1)),
        pressure=min(0.7, knobs.pressure * 0.6 * u()) * (u() < 0.4),
        breaks=min(6, int(1 + 4 * knobs.breaks * u())) * (u() < 0.08 * knobs.breaks),
        bleeding=min(0.5, knobs.bleeding * 0.3 * u()) * (u() < 0.5),
        fill=fill,
        shade=(1.0 - 0.7 * u() * (u() < 0.5)) * filled,
        hatch_angle=180 * u() * hatched,
        hatch_apart=(0.06 + 0.12 * u()) * hatched,
        hatch_over=hatches and hatched,
        paper=paper,
        light=255 - round(papery * 60 * u()) * (u() < 0.6),
        dark=dark,
        inverted=u() < 0.2 * papery,
        coloured=coloured,
        cast_red=cast[0],
        cast_green=cast[1],
        cast_blue=cast[2],
        tint_red=tint[0],
        tint_green=tint[1],
        tint_blue=tint[2],
        ruling=(0.04 + 0.16 * u()) * ruled,
        ruling_apart=max(0.06 + 0.14 * u(), MIN_RULE_SPACING / canvas) * ruled,
        ruling_x=u() * squared,
        ruling_y=u() * ruled,
        shadow_top_left=shadow * u(),
        shadow_top_right=shadow * u(),
        shadow_bottom_left=shadow * u(),
        shadow_bottom_right=shadow * u(),
        grain=3.0 * u() * photographed,
        strays=int(1 + 3 * u()) * (u() < 0.05 * knobs.strays),
        neighbour=u() < 0.03 * knobs.strays,
    )
