"""The line a hand drew in, ink out: where it lies on the canvas, pens, fillings, stray marks.

    line (Q,) complex x + iy in any frame, breaks, areas  ->  mask uint8 (C, C), 0 bare paper, 255 full ink

`Manner` (`ink_params.py`) says how one painting is inked; `paper.py` makes a scene of the mask.
"""

from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from strokewise.synthesis.ink_params import InkParams
from strokewise.synthesis.strokes import Indices, Points, unit_steps

Image = NDArray[np.uint8]
FixedPoints = NDArray[np.int32]  # (n, 1, 2) points in 1/16 pixels
SUBPIXEL_BITS = 4  # bits that OpenCV takes for the fraction of a pixel
FLATNESS_TOLERANCE = 0.3 * (1 << SUBPIXEL_BITS)  # bends below a third of a pixel are not drawn
CANVAS_MARGIN = 2.0  # pixels between the pen's edge and the edge of the canvas
MIN_LONG_SIDE = 16.0  # pixels: no longest side is shorter
MIN_SHORT_SIDE = 8.0  # pixels, its shortest side, where the canvas allows it


def draw_ink(
    line: Points,
    breaks: Indices,
    areas: list[Points],
    detail: float,
    how: InkParams,
    canvas: int,
    rng: np.random.Generator,
) -> Image:
    """Ink what the pen ran along, and fill `areas`: uint8 (C, C).

    `areas` is empty where nothing is filled. `detail`, a length in the frame of the line, is the size of what the pen
    must not hide.
    """
    scale, shift, (wide, high) = place_on_canvas(line, how, canvas)
    line = line * scale + shift
    finest = max(1.0, 0.2 * scale * detail)
    pen = min(how.pen * max(wide, high), finest)
    runs = [line[a:b] for a, b in pairwise([0, *breaks.tolist(), len(line)])]
    mask = np.zeros((canvas, canvas), dtype=np.uint8)
    for run in break_strokes(runs, how.breaks, rng) if how.breaks else runs:
        draw_stroke(mask, to_fixed_point(run), pen, how.pressure, rng)
    if how.bleeding and pen * how.bleeding > 0.3:
        mask = bleed(mask, how.bleeding * pen)
    if areas:
        cv2.max(mask, draw_filling([area * scale + shift for area in areas], how, pen, (wide, high), canvas, rng), mask)
    if how.strays or how.neighbour:
        cv2.max(mask, stray_marks(line, how, pen, canvas, rng), mask)
    return mask


def place_on_canvas(line: Points, how: InkParams, canvas: int) -> tuple[float, complex, tuple[float, float]]:
    """Scale and shift that bring all of a line onto the canvas; its width and height there, in pixels."""
    x, y = line.real, line.imag
    left, top = float(x.min()), float(y.min())
    wide, high = float(x.max()) - left, float(y.max()) - top
    longest = max(wide, high, 1e-9)
    widest = how.pen * (1 + how.pressure)  # that the pen may get, as a share of the longest side
    most = (canvas - 2 * CANVAS_MARGIN) / (1 + widest) / longest
    scale = min(most, max(MIN_LONG_SIDE / longest, MIN_SHORT_SIDE / max(min(wide, high), 1e-9), how.size * most))
    edge = CANVAS_MARGIN + 0.5 * widest * scale * longest
    room = canvas - 2 * edge
    shift = complex(
        edge + (room - scale * wide) * how.x - scale * left, edge + (room - scale * high) * how.y - scale * top
    )
    return scale, shift, (scale * wide, scale * high)


def to_fixed_point(line: Points) -> FixedPoints:
    """Pixels (n,) complex -> (m, 1, 2) in OpenCV's fixed point, without points that a straight line would pass."""
    points = np.rint(line * (1 << SUBPIXEL_BITS)).view(np.float64).astype(np.int32).reshape(-1, 1, 2)
    kept = np.asarray(cv2.approxPolyDP(points, FLATNESS_TOLERANCE, False), dtype=np.int32)
    if points[0].tolist() == points[-1].tolist():  # taken for closed, whatever is said, and then without its last point
        kept = np.concatenate([kept, kept[:1]])
    return kept


def draw_stroke(mask: Image, run: FixedPoints, pen: float, pressure: float, rng: np.random.Generator) -> None:
    """Draw one run into `mask`, its width swelling and shrinking by the share `pressure`."""
    if not pressure or pen < 2 or len(run) < 3:
        _draw_polyline(mask, run, pen)
        return
    phase, waves = rng.random(2).tolist()
    swell = np.sin(2 * np.pi * (phase + (0.5 + waves) * unit_steps(len(run) - 1)))
    widths = np.rint(pen * (1 + pressure * swell))
    cuts = [0, *(np.flatnonzero(widths[1:] != widths[:-1]) + 1).tolist(), len(widths)]
    for a, b in pairwise(cuts):
        _draw_polyline(mask, run[a : b + 1], float(widths[a]))


def break_strokes(runs: list[Points], count: int, rng: np.random.Generator) -> list[Points]:
    """With `count` gaps a run, each a few hundredths of it, away from its ends."""
    pieces = []
    for run in runs:
        at, gap = rng.uniform(0.1, 0.9, count), rng.uniform(0.01, 0.05, count)
        reached = np.concatenate([[0.0], np.abs(np.diff(run)).cumsum()])
        run = np.interp(reached[-1] * unit_steps(100), reached, run)
        keep = (np.abs(unit_steps(100)[:, None] - at) > gap).all(axis=1)
        cuts = np.flatnonzero(np.diff(keep)) + 1
        parts = zip(np.split(run, cuts), np.split(keep, cuts), strict=True)
        pieces += [part for part, on in parts if on[0] and len(part) > 1]
    return pieces


def bleed(mask: Image, spread: float) -> Image:
    """Ink that runs into the paper: softened, and full again where there is plenty."""
    soft = cv2.GaussianBlur(mask, (0, 0), spread)
    return np.asarray(cv2.convertScaleAbs(soft, alpha=1.3), dtype=np.uint8)


def draw_filling(
    areas: list[Points], how: InkParams, pen: float, box: tuple[float, float], canvas: int, rng: np.random.Generator
) -> Image:
    """The filling alone: solid, or hatched or scribbled over and cut to the area, more or less neatly."""
    area = np.zeros((canvas, canvas), dtype=np.uint8)
    cv2.fillPoly(area, [to_fixed_point(polygon) for polygon in areas], how.shade * 255, cv2.LINE_AA, SUBPIXEL_BITS)
    if how.fill == "solid":
        return area
    spacing = max(2.2 * pen, min(box) * how.hatch_apart, 3.0)
    lines = np.zeros_like(area)
    for line in hatch_lines(np.concatenate(areas), how.hatch_angle, spacing, how.fill == "scribbled", rng):
        _draw_polyline(lines, to_fixed_point(line), pen)
    if how.hatch_over:
        cv2.dilate(area, np.ones((3, 3), np.uint8), area, iterations=1 + round(spacing / 4))
    return np.asarray(cv2.min(lines, area), dtype=np.uint8)


def hatch_lines(points: Points, angle: float, spacing: float, joined: bool, rng: np.random.Generator) -> list[Points]:
    """Lines `spacing` apart, at `angle` degrees, across `points`, each shaken a little; joined, they are one zigzag."""
    along = np.exp(1j * np.radians(angle))
    turned = points / along  # now the lines lie level
    at = np.arange(float(turned.imag.min()), float(turned.imag.max()), spacing)[:200]
    ends = np.array([float(turned.real.min()), float(turned.real.max())])
    lines = (ends + 1j * (at[:, None] + rng.uniform(-0.3, 0.3, (len(at), 2)) * spacing)) * along  # (lines, 2 ends)
    if joined:
        lines[1::2] = lines[1::2, ::-1]
        return [lines.reshape(-1)] if len(lines) else []
    return list(lines)


def stray_marks(line: Points, how: InkParams, pen: float, canvas: int, rng: np.random.Generator) -> Image:
    """Stray marks beside the drawing, and a neighbour's line that comes in from the edge."""
    mask = np.zeros((canvas, canvas), dtype=np.uint8)
    low = np.array([line.real.min(), line.imag.min()])
    high = np.array([line.real.max(), line.imag.max()])
    for _ in range(how.strays):
        at, way = rng.uniform(0.03, 0.97, 2) * canvas, 2 * np.pi * rng.random()
        reach = float(np.maximum(low - at, at - high).max())  # how far outside the drawing's box
        if reach > 2 * pen:
            start = complex(*at)
            tip = start + rng.random() * min(reach - pen, 0.05 * canvas) * np.exp(1j * way)
            _draw_polyline(mask, to_fixed_point(np.array([start, tip])), pen)
    if how.neighbour:
        gaps = np.concatenate([low, canvas - high]) - 2 * pen
        side, u = int(gaps.argmax()), rng.random(4)
        if gaps[side] > 3:
            depth = gaps[side] * np.array([-0.1, 0.8 * u[0], 0.8 * u[1], -0.1])
            course = canvas * (u[2] * 0.7 + 0.3 * np.linspace(0, u[3], 4))
            depth = canvas - depth if side > 1 else depth
            _draw_polyline(mask, to_fixed_point(depth + 1j * course if side % 2 == 0 else course + 1j * depth), pen)
    return mask


def _draw_polyline(mask: Image, run: FixedPoints, pen: float) -> None:
    cv2.polylines(mask, [run], False, 255, max(1, round(pen)), cv2.LINE_AA, SUBPIXEL_BITS)
