"""Strokes on a page in, pixels out: pens, fillings, paper.

    runs: polylines (n, 2), areas: polygons (n, 2), in any frame, y down  ->  scene uint8 (C, C) or RGB (C, C, 3)

`Manner` says how one painting is inked. With every knob at 0 it is a plain black pen on white paper, in the middle.
"""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from strokewise.paint.strokes import Points

Image = NDArray[np.uint8]
SUBPIXEL = 4  # bits: OpenCV draws at 1/16 pixel
MARGIN = 2  # pixels between the pen's edge and the edge of the canvas
SMALLEST = 16.0  # pixels, the longest side of the smallest painting
FILLS = ("none", "solid", "hatched", "scribbled")
PAPERS = ("plain", "lined", "squared", "photographed")


@dataclass(frozen=True)
class Manner:
    """How one painting is inked; every field is a column of the data set."""

    size: float
    """Longest side, as a share of what fits on the canvas."""
    x: float
    y: float
    """Place in the room that is left: 0 left or top, 1 right or bottom."""
    pen: float
    """Width of the pen, as a share of the canvas."""
    pressure: float
    """How much the width swells and shrinks along a stroke, as a share of it."""
    breaks: int
    """Places where the pen gave no ink."""
    bleeding: float
    """Standard deviation of the ink's spread, in pens' widths."""
    fill: str
    """One of `FILLS`."""
    shade: float
    """Strength of the filling against the line's."""
    paper: str
    """One of `PAPERS`."""
    light: int
    """Grey of the bare paper, before the photograph."""
    dark: int
    """Grey of the ink."""
    inverted: bool
    """Light ink on dark paper."""
    coloured: bool
    """An RGB scene, with a cast on the paper and coloured ink."""
    strays: int
    """Stray marks."""
    neighbour: bool
    """A line of a neighbouring drawing at the edge of the canvas."""


@dataclass(frozen=True, eq=False)
class Knobs:
    """How much of each, 0 none, 1 as found on people's tables. See `params.Ink`."""

    place: float
    pen: float
    pressure: float
    breaks: float
    bleeding: float
    fill: float
    paper: float
    colour: float
    strays: float


def manner(knobs: Knobs, rng: np.random.Generator) -> Manner:
    """Draw how one painting will be inked."""
    u = rng.random(24).tolist()
    paper = min(1.0, knobs.paper)
    place = min(1.0, knobs.place)
    fill = FILLS[1 + int(3 * u[9])] if u[8] < 0.2 * knobs.fill else FILLS[0]
    kind = PAPERS[1 + int(3 * u[11])] if u[10] < 0.35 * knobs.paper else PAPERS[0]
    return Manner(
        size=0.8 + place * (0.28 + 0.70 * u[0] ** 0.7 - 0.8),
        x=0.5 + place * (u[1] - 0.5),
        y=0.5 + place * (u[2] - 0.5),
        pen=0.018 * float(np.exp(knobs.pen * np.clip(0.9 * rng.standard_normal(), -1.3, 1.7))),
        pressure=min(0.7, knobs.pressure * 0.6 * u[3] * (u[4] < 0.4)),
        breaks=int(min(6.0, knobs.breaks * 5 * u[5] + 1)) if u[6] < 0.06 * knobs.breaks else 0,
        bleeding=min(0.5, knobs.bleeding * 0.3 * u[7]),
        fill=fill,
        shade=1.0 - 0.7 * u[12] * (u[13] < 0.5) if fill != FILLS[0] else 0.0,
        paper=kind,
        light=255 - round(paper * 60 * u[14] * (u[15] < 0.6)),
        dark=round(paper * 90 * u[16] * (u[17] < 0.7)),
        inverted=u[18] < 0.2 * paper,
        coloured=u[19] < 0.2 * knobs.colour,
        strays=int(1 + 3 * u[20]) if u[21] < 0.05 * knobs.strays else 0,
        neighbour=u[22] < 0.03 * knobs.strays,
    )


def inked(runs: list[Points], areas: list[Points], how: Manner, canvas: int, rng: np.random.Generator) -> Image:
    """Draw `runs` and the filling of `areas` on a canvas of `canvas` pixels: uint8 (C, C) or RGB (C, C, 3)."""
    runs, areas, room = placed(runs, areas, how, canvas)
    pen = min(how.pen * canvas, max(1.0, 0.28 * room))
    mask = np.zeros((canvas, canvas), dtype=np.uint8)
    for run in broken(runs, how.breaks, rng):
        stroked(mask, run, pen, how.pressure, rng)
    if how.bleeding and pen > 1:
        mask = bled(mask, how.bleeding * pen)
    if how.fill != "none" and areas:
        np.maximum(mask, filled(areas, how, pen, room, canvas, rng), out=mask)
    if how.strays or how.neighbour:
        np.maximum(mask, strewn(runs, how, pen, canvas, rng), out=mask)
    return on_paper(mask, how, rng)


def placed(
    runs: list[Points], areas: list[Points], how: Manner, canvas: int
) -> tuple[list[Points], list[Points], float]:
    """Scaled and shifted so that all of it lies on the canvas; also the short side in pixels."""
    points = np.concatenate(runs)
    low, high = points.min(axis=0), points.max(axis=0)
    sides = np.maximum(high - low, 1e-9)
    edge = MARGIN + 0.5 * how.pen * canvas
    most = canvas - 2 * edge
    scale = max(min(SMALLEST, most), how.size * most) / float(sides.max())
    shift = edge + (most - scale * sides) * (how.x, how.y) - scale * low
    room = float(scale * sides.min())
    return [scale * run + shift for run in runs], [scale * area + shift for area in areas], room


def broken(runs: list[Points], count: int, rng: np.random.Generator) -> list[Points]:
    """With `count` gaps a run, each a few hundredths of it, away from its ends."""
    if not count:
        return runs
    pieces = []
    for run in runs:
        at = np.sort(rng.uniform(0.1, 0.9, count))
        gap = rng.uniform(0.01, 0.05, count)
        steps = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(run, axis=0).T))])
        reached = steps / max(float(steps[-1]), 1e-9)
        keep = (np.abs(reached[:, None] - at) > gap).all(axis=1)
        cuts = np.flatnonzero(np.diff(keep)) + 1
        parts = zip(np.split(run, cuts), np.split(keep, cuts), strict=True)
        pieces += [part for part, on in parts if on[0] and len(part) > 1]
    return pieces


def stroked(mask: Image, run: Points, pen: float, pressure: float, rng: np.random.Generator) -> None:
    """Draw a polyline into `mask`, its width swelling by the share `pressure`."""
    fixed = _fixed(run)
    if len(fixed) < 2:
        return
    if not pressure or pen < 2:
        _line(mask, fixed, pen)
        return
    phase, waves = rng.random(2).tolist()
    course = np.linspace(0.0, 1.0, len(fixed) - 1)
    width = pen * (1 + pressure * np.sin(2 * np.pi * (phase + (0.5 + waves) * course)))
    widths = np.maximum(1, np.rint(width))
    cuts = [0, *(np.flatnonzero(np.diff(widths)) + 1).tolist(), len(widths)]
    for a, b in zip(cuts[:-1], cuts[1:], strict=True):
        _line(mask, fixed[a : b + 1], float(widths[a]))


def bled(mask: Image, spread: float) -> Image:
    """Ink that runs into the paper: softened, and drawn together again where there is plenty."""
    soft = cv2.GaussianBlur(mask, (0, 0), max(0.3, spread))
    return np.asarray(cv2.convertScaleAbs(soft, alpha=1.3), dtype=np.uint8)


def filled(areas: list[Points], how: Manner, pen: float, room: float, canvas: int, rng: np.random.Generator) -> Image:
    """The filling: solid, or hatched or scribbled over and cut to the area."""
    area = np.zeros((canvas, canvas), dtype=np.uint8)
    cv2.fillPoly(area, [_fixed(polygon) for polygon in areas], how.shade * 255, cv2.LINE_AA, SUBPIXEL)
    if how.fill == "solid":
        return area
    angle, wide, ragged = rng.random(3).tolist()
    spacing = max(2.2 * pen, room * (0.06 + 0.12 * wide), 3.0)
    lines = np.zeros_like(area)
    for line in hatching(np.concatenate(areas), np.pi * angle, spacing, how.fill == "scribbled", rng):
        _line(lines, _fixed(line), pen)
    if ragged < 0.4:  # does not mind the border
        area = cv2.dilate(area, np.ones((3, 3), np.uint8), iterations=1 + round(spacing / 4))
    return np.asarray(cv2.min(lines, area), dtype=np.uint8)


def hatching(points: Points, angle: float, spacing: float, joined: bool, rng: np.random.Generator) -> list[Points]:
    """Lines `spacing` apart across the box of `points`, each shaken a little; joined, they are one zigzag."""
    along = np.array([np.cos(angle), np.sin(angle)])
    across = np.array([-along[1], along[0]])
    lengthwise, crosswise = points @ along, points @ across
    at = np.arange(float(crosswise.min()), float(crosswise.max()), spacing)[:200]
    shaken = at[:, None] + rng.uniform(-0.3, 0.3, (len(at), 2)) * spacing
    ends = np.array([float(lengthwise.min()), float(lengthwise.max())])
    lines = ends[None, :, None] * along + shaken[:, :, None] * across  # (lines, 2 ends, 2)
    if joined and len(lines):
        lines[1::2] = lines[1::2, ::-1]
        return [lines.reshape(-1, 2)]
    return list(lines)


def strewn(runs: list[Points], how: Manner, pen: float, canvas: int, rng: np.random.Generator) -> Image:
    """Stray marks beside the drawing, and a neighbour's line that comes in from the edge."""
    mask = np.zeros((canvas, canvas), dtype=np.uint8)
    points = np.concatenate(runs)
    low, high = points.min(axis=0), points.max(axis=0)
    for _ in range(how.strays):
        at = rng.uniform(0.03, 0.97, 2) * canvas
        reach = np.maximum(low - at, at - high).max()  # how far outside the drawing's box
        if reach > 2 * pen:
            turn = 2 * np.pi * rng.random()
            tip = at + rng.random() * min(float(reach) - pen, 0.05 * canvas) * np.array([np.cos(turn), np.sin(turn)])
            _line(mask, _fixed(np.stack([at, tip])), pen)
    if how.neighbour:
        gaps = np.array([low[0], low[1], canvas - high[0], canvas - high[1]]) - 2 * pen
        side = int(gaps.argmax())
        if gaps[side] > 3:
            u = rng.random(4)
            depth = gaps[side] * np.array([-0.1, 0.8 * u[0], 0.8 * u[1], -0.1])
            course = canvas * (u[2] * 0.7 + 0.3 * np.linspace(0, u[3], 4))
            depth = canvas - depth if side > 1 else depth
            line = np.stack([depth, course] if side % 2 == 0 else [course, depth], axis=1)
            _line(mask, _fixed(line), pen)
    return mask


def on_paper(mask: Image, how: Manner, rng: np.random.Generator) -> Image:
    """Ink of grey `how.dark` where the mask is 255 on the paper asked for."""
    light, dark = (how.dark, how.light) if how.inverted else (how.light, how.dark)
    if how.paper == "plain":
        if not how.coloured:
            return np.asarray(cv2.LUT(mask, _ramp(light, dark)), dtype=np.uint8)
        casts = _casts(light, dark, how.inverted, rng)
        return np.asarray(cv2.merge([cv2.LUT(mask, _ramp(*cast)) for cast in casts]), dtype=np.uint8)
    sheet = _sheet(len(mask), how, rng)  # share of the paper's light, 0 to 1
    ink = mask.astype(np.float32) / np.float32(255)
    casts = _casts(light, dark, how.inverted, rng) if how.coloured else [(light, dark)]
    planes = [sheet * (np.float32(a) + np.float32(b - a) * ink) for a, b in casts]
    grain = _grain_at(len(mask), rng) if how.paper == "photographed" else np.float32(0)
    bytes_ = [np.clip(plane + grain, 0, 255).astype(np.uint8) for plane in planes]
    return bytes_[0] if len(bytes_) == 1 else np.asarray(cv2.merge(bytes_), dtype=np.uint8)


def _sheet(canvas: int, how: Manner, rng: np.random.Generator) -> NDArray[np.float32]:
    """Ruling or shade, as a factor on the light (C, C)."""
    u = rng.random(6).tolist()
    sheet = np.ones((canvas, canvas), dtype=np.float32)
    if how.paper == "photographed":
        corners = 1 - 0.45 * u[0] * rng.random((2, 2), dtype=np.float32)
        sheet = cv2.resize(corners, (canvas, canvas), interpolation=cv2.INTER_LINEAR)
    ruled = how.paper in ("lined", "squared") or u[1] < 0.25
    if ruled:
        faint = np.float32(1 - (0.04 + 0.16 * u[2]))
        apart = max(6, round(canvas * (0.06 + 0.14 * u[3])))
        thick = max(1, round(canvas / 160))
        for line in range(thick):
            sheet[round(u[4] * apart) + line :: apart] *= faint
            if how.paper == "squared":
                sheet[:, round(u[5] * apart) + line :: apart] *= faint
    return np.asarray(sheet, dtype=np.float32)


def _casts(light: int, dark: int, inverted: bool, rng: np.random.Generator) -> list[tuple[int, int]]:
    """(paper, ink) a channel: the bright one loses up to a fifth of a channel, the dark one gains colour."""
    u = rng.random((2, 3))
    paper, ink = (dark, light) if inverted else (light, dark)
    papers = np.rint(paper * (1 - 0.2 * u[0] * u[0].argsort() / 2)).astype(int).tolist()
    inks = np.rint(np.minimum(ink + 130 * u[1] ** 2, 150)).astype(int).tolist()
    return list(zip(inks, papers, strict=True)) if inverted else list(zip(papers, inks, strict=True))


def _line(mask: Image, fixed: NDArray[np.int32], pen: float) -> None:
    cv2.polylines(mask, [fixed], False, 255, max(1, round(pen)), cv2.LINE_AA, SUBPIXEL)


def _fixed(points: Points) -> NDArray[np.int32]:
    """In 1/16 pixels, without the points that a straight line would go through to a third of a pixel."""
    fixed = np.rint(points * (1 << SUBPIXEL)).astype(np.int32)
    return np.asarray(cv2.approxPolyDP(fixed, 0.33 * (1 << SUBPIXEL), False), dtype=np.int32)


@lru_cache(maxsize=4096)
def _ramp(light: int, dark: int) -> Image:
    """What bare paper to full ink look like: uint8 (256,)."""
    return np.rint(np.linspace(light, dark, 256)).astype(np.uint8)


@lru_cache(maxsize=4)
def _grain(canvas: int) -> NDArray[np.float32]:
    """A fixed sheet of grain, standard normal, larger than the canvas."""
    return np.random.default_rng(0).standard_normal((canvas + 64, canvas + 64), dtype=np.float32)


def _grain_at(canvas: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Up to 3 grey levels of a sensor's grain, from a part of the sheet drawn anew."""
    x, y = rng.integers(0, 64, 2).tolist()
    return np.float32(3 * rng.random()) * _grain(canvas)[y : y + canvas, x : x + canvas]
