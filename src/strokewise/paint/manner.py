"""How a painting is inked today: knobs in, the numbers that pen, filling and paper are drawn with out.

Knobs (how much of each) + chance -> Manner, whose fields are columns

What `habit.py` is to the hand, this is to ink and paper. Only where single things fall is left to chance after it: the
marks of a scattering, the gaps in a line, the tremble of a hatching.
"""

import math
from dataclasses import dataclass

import numpy as np

SMALL = 38.0  # pixels, the longest side of the smallest painting, but on a small canvas no more than 0.3 of it
FILLS = ("none", "solid", "hatched", "scribbled")
PAPERS = ("plain", "lined", "squared", "photographed")
LOTS = 4  # what matters most is drawn from numbers that the caller may spread evenly over its paintings


@dataclass(frozen=True)
class Manner:
    """How one painting is inked; every field is a column of the data set. What does not apply is 0."""

    size: float
    """Longest side, as a share of what fits on the canvas."""
    x: float
    """Place in the room that is left, 0 at the left."""
    y: float
    """The same, 0 at the top."""
    pen: float
    """Width of the pen, as a share of the drawing's longest side, unless that would hide the shape."""
    pressure: float
    """How much the width swells and shrinks along a stroke, as a share of it."""
    breaks: int
    """Places in each stroke where the pen gave no ink."""
    bleeding: float
    """Standard deviation of the ink's spread, in widths of the pen."""
    fill: str
    """One of `FILLS`."""
    shade: float
    """Strength of the filling against the line's."""
    hatch_angle: float
    """Degrees, of the lines of a hatched or scribbled filling against the canvas, clockwise from the right."""
    hatch_apart: float
    """From line to line, as a share of the drawing's shorter side, unless the pen is too wide for that."""
    hatch_over: bool
    """It goes on a little beyond the border."""
    paper: str
    """One of `PAPERS`."""
    light: int
    """Grey of the bare paper, before it is photographed."""
    dark: int
    """Grey of the ink."""
    inverted: bool
    """Light ink on dark paper."""
    coloured: bool
    """An RGB scene, with a cast on the light and a tint in the dark."""
    cast_red: float
    """Share of its red that the light lacks."""
    cast_green: float
    cast_blue: float
    tint_red: float
    """Levels of red that the dark has more than its grey."""
    tint_green: float
    tint_blue: float
    ruling: float
    """Share of the light that the rules of the paper take away."""
    ruling_apart: float
    """From rule to rule, as a share of the canvas."""
    ruling_x: float
    """Where the first upright rule of squared paper stands, as a share of that."""
    ruling_y: float
    """The same of the first level one."""
    shadow_top_left: float
    """Share of the light that a photograph lacks in this corner."""
    shadow_top_right: float
    shadow_bottom_left: float
    shadow_bottom_right: float
    grain: float
    """Standard deviation of the sensor's grain, in grey levels."""
    strays: int
    """Stray marks; what would fall on the drawing is left out."""
    neighbour: bool
    """A line of a neighbouring drawing at the edge of the canvas."""


@dataclass(frozen=True, eq=False)
class Knobs:
    """How much of each, 0 none, 1 as on people's tables. See `params.Ink`."""

    place: float
    pen: float
    pressure: float
    breaks: float
    bleeding: float
    fill: float
    paper: float
    colour: float
    strays: float


def manner(knobs: Knobs, lots: list[float], canvas: int, closed: bool, rng: np.random.Generator) -> Manner:
    """Draw how one painting will be inked. `lots`: `LOTS` numbers from [0, 1), as for `habit.habit`.

    `closed`: whether there is anything to fill. With every knob at 0: a black pen on white paper, in the middle.
    """
    small = min(0.3, SMALL / canvas)
    u = rng.random(41).tolist()
    sheet, place = min(1.0, knobs.paper), min(1.0, knobs.place)
    fill = FILLS[1 + int(3 * u[9])] if closed and lots[1] < 0.15 * knobs.fill else FILLS[0]
    filled, hatched = fill != "none", fill in ("hatched", "scribbled")
    paper = PAPERS[1 + int(3 * u[11])] if lots[2] < 0.35 * sheet else PAPERS[0]
    photographed = paper == "photographed"
    ruled = paper in ("lined", "squared") or (photographed and u[10] < 0.25)
    coloured = u[19] < 0.2 * knobs.colour
    least, more, most = sorted(range(3), key=u[24:27].__getitem__)  # channels: the cast leaves one alone
    cast = {least: 0.0, more: 0.1 * u[24 + more], most: 0.2 * u[24 + most]}
    shadow = 0.45 * u[35] * photographed
    return Manner(
        size=0.8 + place * (small + (1 - small) * lots[3] ** 0.7 - 0.8),
        x=0.5 + place * (u[1] - 0.5),
        y=0.5 + place * (u[2] - 0.5),
        pen=0.036 * math.exp(min(1.5, knobs.pen) * 1.15 * (2 * lots[0] - 1)),
        pressure=min(0.7, knobs.pressure * 0.6 * u[3]) * (u[4] < 0.4),
        breaks=min(6, int(1 + 4 * knobs.breaks * u[5])) * (u[6] < 0.08 * knobs.breaks),
        bleeding=min(0.5, knobs.bleeding * 0.3 * u[7]) * (u[8] < 0.5),
        fill=fill,
        shade=(1.0 - 0.7 * u[12] * (u[13] < 0.5)) * filled,
        hatch_angle=180 * u[22] * hatched,
        hatch_apart=(0.06 + 0.12 * u[23]) * hatched,
        hatch_over=hatched and u[40] < 0.4,
        paper=paper,
        light=255 - round(sheet * 60 * u[14]) * (u[15] < 0.6),
        dark=round(sheet * 90 * u[16]) * (u[17] < 0.7),
        inverted=u[18] < 0.2 * sheet,
        coloured=coloured,
        cast_red=cast[0] * coloured,
        cast_green=cast[1] * coloured,
        cast_blue=cast[2] * coloured,
        tint_red=130 * u[27] ** 2 * coloured,
        tint_green=130 * u[28] ** 2 * coloured,
        tint_blue=130 * u[29] ** 2 * coloured,
        ruling=(0.04 + 0.16 * u[30]) * ruled,
        ruling_apart=(0.06 + 0.14 * u[31]) * ruled,
        ruling_x=u[32] * (paper == "squared"),
        ruling_y=u[33] * ruled,
        shadow_top_left=shadow * u[36],
        shadow_top_right=shadow * u[37],
        shadow_bottom_left=shadow * u[38],
        shadow_bottom_right=shadow * u[39],
        grain=3.0 * u[34] * photographed,
        strays=int(1 + 3 * u[20]) * (u[21] < 0.05 * knobs.strays),
        neighbour=u[0] < 0.03 * knobs.strays,
    )
