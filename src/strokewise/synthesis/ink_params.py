"""Ink and paper of one painting: knobs and random numbers in, `InkParams` out, the fields of which are factor columns.

The counterpart of `hand_params.py` for ink and paper. Only local details stay random after it: the positions of stray
marks and of gaps in a line, the jitter of a hatching, the pattern of sensor noise.
"""

import bisect
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np

MIN_PAINTING_SIDE = 38.0  # pixels, longest side of the smallest painting; on a small canvas at most 0.3 of it
MIN_RULE_SPACING = 6.0  # pixels between two rules
MAX_INK_LEVEL = 150.0  # highest level of a colour channel of ink: brighter would not look like ink
FILLS = ("none", "solid", "hatched", "zigzag", "crosshatched", "scrawled", "spiral", "circling")
HATCHINGS = ("hatched", "zigzag", "crosshatched")  # the fillings by straight lines, which have an angle
FILL_BOUNDS = (2.0, 3.5, 6.5, 7.5, 9.5, 10.5, 11.5)  # running total of the weights of all fillings but "none"
PAPERS = ("plain", "lined", "squared", "photographed")
INK_UNIFORMS = 5  # numbers for what matters most, which the caller may stratify over its paintings
INK_DRAWS = 45  # numbers drawn for everything else


@dataclass  # not frozen: that would take three times as long to create, for every painting
class InkParams:
    """How one painting is inked. Every field is a column of the data set, and its text is on the data set's card."""

    size: Annotated[float, "longest side as a share of what fits on the canvas; raised for tiny drawings"]
    x: Annotated[float, "horizontal position in the space left on the canvas, from 0 (left) to 1 (right)"]
    y: Annotated[float, "vertical position in the space left on the canvas, from 0 (top) to 1 (bottom)"]
    pen: Annotated[float, "pen width as a share of the longest side; limited where it would hide the shape"]
    pressure: Annotated[float, "variation of the pen width, as a share of it; no effect below 2 pixels"]
    breaks: Annotated[int, "gaps in the ink of each stroke"]
    bleeding: Annotated[float, "standard deviation of the ink's blur in pen widths; no effect up to 0.3 pixels"]
    fill: Annotated[str, "kind of filling"]
    shade: Annotated[float, "strength of the filling relative to the outline"]
    fill_angle: Annotated[float, "angle of the filling's straight lines in degrees, clockwise from the right"]
    fill_apart: Annotated[float, "spacing of the filling's lines / shorter side; at least 1.6 pen widths and 3 pixels"]
    fill_reach: Annotated[float, "how far the filling's lines reach: 1 to the rim, less short of it, more over it"]
    fill_jitter: Annotated[float, "irregularity of the filling's lines, as a share of their spacing"]
    outlined: Annotated[bool, "whether the outline is drawn; only a filled shape may lack it"]
    paper: Annotated[str, "kind of paper"]
    light: Annotated[int, "grey level of the paper (of the ink if `inverted`) before cast, ruling, shadow and grain"]
    dark: Annotated[int, "grey level of the ink (of the paper if `inverted`) before tint, ruling, shadow and grain"]
    inverted: Annotated[bool, "light ink on dark paper"]
    coloured: Annotated[bool, "RGB painting with a colour cast on the light tone and a tint in the dark tone"]
    cast_red: Annotated[float, "share of red that the light tone lacks"]
    cast_green: Annotated[float, "share of green that the light tone lacks"]
    cast_blue: Annotated[float, "share of blue that the light tone lacks"]
    tint_red: Annotated[float, "levels of red added to the dark tone"]
    tint_green: Annotated[float, "levels of green added to the dark tone"]
    tint_blue: Annotated[float, "levels of blue added to the dark tone"]
    ruling: Annotated[float, "share of the light that the paper's rules absorb"]
    ruling_apart: Annotated[float, "spacing of the rules as a share of the canvas"]
    ruling_x: Annotated[float, "position of the first vertical rule as a share of `ruling_apart`"]
    ruling_y: Annotated[float, "position of the first horizontal rule as a share of `ruling_apart`"]
    shadow_top_left: Annotated[float, "share of the light that the top left corner of a photograph lacks"]
    shadow_top_right: Annotated[float, "share of the light that the top right corner of a photograph lacks"]
    shadow_bottom_left: Annotated[float, "share of the light that the bottom left corner of a photograph lacks"]
    shadow_bottom_right: Annotated[float, "share of the light that the bottom right corner of a photograph lacks"]
    grain: Annotated[float, "standard deviation of sensor noise in levels, before rounding and clipping to 0..255"]
    strays: Annotated[int, "maximum number of stray marks; none starts within two pen widths of the drawing's box"]
    neighbour: Annotated[bool, "whether a line of a neighbouring drawing enters at the edge, where there is room"]
    writing: Annotated[bool, "whether bits of writing stand at the edge, where there is room"]
    connectors: Annotated[int, "number of lines that touch the drawing from outside"]


def sample_ink_params(
    knobs: Mapping[str, float], uniforms: list[float], canvas: int, closed: bool, rng: np.random.Generator
) -> InkParams:
    """Sample how one painting is inked.

    With every knob at 0, the result is a black pen on white paper, in the middle of the canvas. What does not apply is
    0. A knob changes nothing that another knob controls, with one exception: lighter ink has less room for a tint.

    Args:
        knobs: Strength of each of `params.InkStrengths`: 0 none, 1 as people's pens and papers are.
        uniforms: `INK_UNIFORMS` numbers from [0, 1): pen width, filling, paper, size and connectors.
        canvas: Width and height of the painting in pixels.
        closed: Whether the drawing has areas that may be filled, and a rim that a connector may touch.
        rng: Source of the other `INK_DRAWS` numbers.
    """
    u = iter(rng.random(INK_DRAWS).tolist()).__next__  # each is drawn and used once, whether or not it has an effect
    min_size = min(0.3, MIN_PAINTING_SIDE / canvas)
    place, paper_strength = min(1.0, knobs["place"]), min(1.0, knobs["paper"])
    kind = FILLS[1 + bisect.bisect_right(FILL_BOUNDS, u() * FILL_BOUNDS[-1])]
    fill = kind if closed and uniforms[1] < 0.17 * knobs["fill"] else "none"
    filled, by_lines = fill != "none", fill not in ("none", "solid")
    loose, bare = u(), u() < 0.2 and by_lines and fill not in ("scrawled", "circling")
    shade = 1.0 - 0.7 * u() * (u() < 0.5)
    kind, ruled_photograph = PAPERS[1 + int(3 * u())], u() < 0.25
    paper = kind if uniforms[2] < 0.35 * paper_strength else "plain"
    photographed, squared = paper == "photographed", paper == "squared"
    ruled = squared or paper == "lined" or (photographed and ruled_photograph)
    dark = round(paper_strength * 90 * u()) * (u() < 0.7)
    coloured = u() < 0.2 * knobs["colour"]
    losses = [u(), u(), u()]
    cast = [0.25 * (loss - min(losses)) * coloured for loss in losses]  # a loss that all channels share is no cast
    tint = [min(130 * u() ** 2, MAX_INK_LEVEL - dark) * coloured for _ in range(3)]
    shadow = 0.45 * u() * photographed
    return InkParams(
        size=0.8 + place * (min_size + (1 - min_size) * uniforms[3] ** 0.7 - 0.8),
        x=0.5 + place * (u() - 0.5),
        y=0.5 + place * (u() - 0.5),
        pen=0.036 * math.exp(min(1.5, knobs["pen"]) * 1.15 * (2 * uniforms[0] - 1)),
        pressure=min(0.7, knobs["pressure"] * 0.6 * u()) * (u() < 0.4),
        breaks=min(6, int(1 + 4 * knobs["breaks"] * u())) * (u() < 0.08 * knobs["breaks"]),
        bleeding=min(0.5, knobs["bleeding"] * 0.3 * u()) * (u() < 0.5),
        fill=fill,
        shade=1.0 if by_lines else shade * filled,
        fill_angle=180 * u() * (fill in HATCHINGS),
        fill_apart=(0.04 + 0.16 * u()) * (0.5 if bare else 1.0) * by_lines,
        fill_reach=(1.0 + (0.55 * (u() - 0.65) * min(2.0, knobs["fill"])) * (loose > 0.3)) * by_lines,
        fill_jitter=min(1.5, knobs["fill"] * 0.4 * -math.log1p(-loose)) * by_lines,
        outlined=not bare,
        paper=paper,
        light=255 - round(paper_strength * 60 * u()) * (u() < 0.6),
        dark=dark,
        inverted=u() < 0.2 * paper_strength,
        coloured=coloured,
        cast_red=cast[0],
        cast_green=cast[1],
        cast_blue=cast[2],
        tint_red=tint[0],
        tint_green=tint[1],
        tint_blue=tint[2],
        ruling=(0.04 + 0.22 * u()) * ruled,
        ruling_apart=max(0.06 + 0.4 * u() ** 2, MIN_RULE_SPACING / canvas) * ruled,
        ruling_x=u() * squared,
        ruling_y=u() * ruled,
        shadow_top_left=shadow * u(),
        shadow_top_right=shadow * u(),
        shadow_bottom_left=shadow * u(),
        shadow_bottom_right=shadow * u(),
        grain=3.0 * u() * photographed,
        strays=int(1 + 3 * u()) * (u() < 0.05 * knobs["strays"]),
        neighbour=u() < 0.03 * knobs["strays"],
        writing=u() < 0.03 * knobs["strays"],
        connectors=int(1 + 3 * u() ** 2) * (closed and uniforms[4] < 0.07 * knobs["connectors"]),
    )
