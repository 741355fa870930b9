"""The path of the pen → ink on the canvas: position, pen, fillings, stray marks.

    line (Q,) complex x + iy in any frame, pen_downs, areas  →  mask uint8 (C, C), 0 bare paper, 255 full ink

`ink_params.InkParams` describes how one painting is inked; `paper.py` turns the mask into a scene.
"""

from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from strokewise.synthesis.ink_params import InkParams
from strokewise.synthesis.strokes import Indices, Points, unit_steps

Image = NDArray[np.uint8]
FixedPoints = NDArray[np.int32]  # (n, 1, 2) points in 1/16 pixels
SUBPIXEL_BITS = 4  # bits that OpenCV's drawing functions use for fractions of a pixel
FLATNESS_TOLERANCE = 0.3 * (1 << SUBPIXEL_BITS)  # bends below a third of a pixel are not drawn
CANVAS_MARGIN = 2.0  # pixels between the ink and the edge of the canvas
MIN_LONG_SIDE = 16.0  # pixels, minimum of the longest side
MIN_SHORT_SIDE = 8.0  # pixels, minimum of the shortest side, where the canvas allows it


def draw_ink(
    line: Points,
    pen_downs: Indices,
    areas: list[Points],
    detail: float,
    params: InkParams,
    canvas: int,
    rng: np.random.Generator,
) -> Image:
    """Draw the path of the pen and its fillings: uint8 (C, C).

    Args:
        line: (Q,), the whole path in any frame.
        pen_downs: (R - 1,), where in `line` the pen is put down again: the path is split there into R runs.
        areas: Polygons (n,) to fill, in the frame of `line`; empty if nothing is filled.
        detail: Length, in the frame of `line`, of the finest detail that the pen must not hide.
        params: Pen, filling and position.
        canvas: C, width and height of the canvas in pixels.
        rng: Source of the details that `params` leaves random.
    """
    scale, shift, (width, height) = place_on_canvas(line, params, canvas)
    line = line * scale + shift
    max_pen = max(1.0, 0.2 * scale * detail)
    pen = min(params.pen * max(width, height), max_pen)
    runs = [line[a:b] for a, b in pairwise([0, *pen_downs.tolist(), len(line)])]
    mask = np.zeros((canvas, canvas), dtype=np.uint8)
    for run in break_strokes(runs, params.breaks, rng) if params.breaks else runs:
        draw_stroke(mask, to_fixed_point(run), pen, params.pressure, rng)
    if params.bleeding and pen * params.bleeding > 0.3:
        mask = bleed(mask, params.bleeding * pen)
    if areas:
        areas = [area * scale + shift for area in areas]
        cv2.max(mask, draw_filling(areas, params, pen, (width, height), canvas, rng), mask)
    if params.strays or params.neighbour:
        cv2.max(mask, stray_marks(line, params, pen, canvas, rng), mask)
    return mask


def place_on_canvas(line: Points, params: InkParams, canvas: int) -> tuple[float, complex, tuple[float, float]]:
    """Scale and shift that put a line (Q,) on the canvas as `params` says; its width and height there in pixels."""
    x, y = line.real, line.imag
    left, top = float(x.min()), float(y.min())
    width, height = float(x.max()) - left, float(y.max()) - top
    longest = max(width, height, 1e-9)
    widest_pen = params.pen * (1 + params.pressure)  # as a share of the longest side
    max_scale = (canvas - 2 * CANVAS_MARGIN) / (1 + widest_pen) / longest
    min_scale = max(MIN_LONG_SIDE / longest, MIN_SHORT_SIDE / max(min(width, height), 1e-9))
    scale = min(max_scale, max(min_scale, params.size * max_scale))
    edge = CANVAS_MARGIN + 0.5 * widest_pen * scale * longest
    room = canvas - 2 * edge
    shift_x = edge + (room - scale * width) * params.x - scale * left
    shift_y = edge + (room - scale * height) * params.y - scale * top
    return scale, complex(shift_x, shift_y), (scale * width, scale * height)


def to_fixed_point(line: Points) -> FixedPoints:
    """Pixels (n,) complex → (m, 1, 2) in OpenCV's fixed point, without points that lie on a straight line."""
    points = np.rint(line * (1 << SUBPIXEL_BITS)).view(np.float64).astype(np.int32).reshape(-1, 1, 2)
    simplified = np.asarray(cv2.approxPolyDP(points, FLATNESS_TOLERANCE, False), dtype=np.int32)
    if points[0].tolist() == points[-1].tolist():  # approxPolyDP takes it for closed and drops the last point
        simplified = np.concatenate([simplified, simplified[:1]])
    return simplified


def draw_stroke(mask: Image, run: FixedPoints, pen: float, pressure: float, rng: np.random.Generator) -> None:
    """Draw one run into `mask`; the width `pen`, in pixels, varies by the share `pressure` along it."""
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
    """Split each run at `count` gaps, each 2 to 10 % of its length, away from its ends."""
    pieces = []
    for run in runs:
        centres, half_gaps = rng.uniform(0.1, 0.9, count), rng.uniform(0.01, 0.05, count)
        lengths = np.concatenate([[0.0], np.abs(np.diff(run)).cumsum()])
        run = np.interp(lengths[-1] * unit_steps(100), lengths, run)
        inked = (np.abs(unit_steps(100)[:, None] - centres) > half_gaps).all(axis=1)
        cuts = np.flatnonzero(np.diff(inked)) + 1
        parts = zip(np.split(run, cuts), np.split(inked, cuts), strict=True)
        pieces += [part for part, part_inked in parts if part_inked[0] and len(part) > 1]
    return pieces


def bleed(mask: Image, sigma: float) -> Image:
    """Let ink run into the paper: a Gaussian blur with `sigma` in pixels, amplified so that wide lines stay full."""
    soft = cv2.GaussianBlur(mask, (0, 0), sigma)
    return np.asarray(cv2.convertScaleAbs(soft, alpha=1.3), dtype=np.uint8)


def draw_filling(
    areas: list[Points], params: InkParams, pen: float, size: tuple[float, float], canvas: int, rng: np.random.Generator
) -> Image:
    """The filling alone, uint8 (C, C): solid, or hatched or scribbled and clipped to the areas, more or less neatly.

    Args:
        areas: Polygons (n,) in pixels.
        params: Kind, strength and lines of the filling.
        pen: Pen width in pixels.
        size: Width and height of the drawing in pixels.
        canvas: C, width and height of the canvas in pixels.
        rng: Source of the lines' jitter.
    """
    area = np.zeros((canvas, canvas), dtype=np.uint8)
    cv2.fillPoly(area, [to_fixed_point(polygon) for polygon in areas], params.shade * 255, cv2.LINE_AA, SUBPIXEL_BITS)
    if params.fill == "solid":
        return area
    spacing = max(2.2 * pen, min(size) * params.hatch_apart, 3.0)
    lines = np.zeros_like(area)
    for line in hatch_lines(np.concatenate(areas), params.hatch_angle, spacing, params.fill == "scribbled", rng):
        _draw_polyline(lines, to_fixed_point(line), pen)
    if params.hatch_over:
        cv2.dilate(area, np.ones((3, 3), np.uint8), area, iterations=1 + round(spacing / 4))
    return np.asarray(cv2.min(lines, area), dtype=np.uint8)


def hatch_lines(points: Points, angle: float, spacing: float, joined: bool, rng: np.random.Generator) -> list[Points]:
    """Jittered lines across the box of points (n,), `spacing` apart, at `angle` degrees; one zigzag if `joined`."""
    direction = np.exp(1j * np.radians(angle))
    rotated = points / direction  # in this frame the lines are horizontal
    y = np.arange(float(rotated.imag.min()), float(rotated.imag.max()), spacing)[:200]
    x = np.array([float(rotated.real.min()), float(rotated.real.max())])
    lines = (x + 1j * (y[:, None] + rng.uniform(-0.3, 0.3, (len(y), 2)) * spacing)) * direction  # (lines, 2 ends)
    if joined:
        lines[1::2] = lines[1::2, ::-1]
        return [lines.reshape(-1)] if len(lines) else []
    return list(lines)


def stray_marks(line: Points, params: InkParams, pen: float, canvas: int, rng: np.random.Generator) -> Image:
    """Stray marks beside the drawing, and a line of a neighbouring drawing that enters at an edge: uint8 (C, C)."""
    mask = np.zeros((canvas, canvas), dtype=np.uint8)
    low = np.array([line.real.min(), line.imag.min()])
    high = np.array([line.real.max(), line.imag.max()])
    for _ in range(params.strays):
        position, angle = rng.uniform(0.03, 0.97, 2) * canvas, 2 * np.pi * rng.random()
        distance = float(np.maximum(low - position, position - high).max())  # from the drawing's box
        if distance > 2 * pen:
            start = complex(*position)
            tip = start + rng.random() * min(distance - pen, 0.05 * canvas) * np.exp(1j * angle)
            _draw_polyline(mask, to_fixed_point(np.array([start, tip])), pen)
    if params.neighbour:
        gaps = np.concatenate([low, canvas - high]) - 2 * pen
        side, u = int(gaps.argmax()), rng.random(4)  # the side with most room: left, top, right, bottom
        if gaps[side] > 3:
            depth = gaps[side] * np.array([-0.1, 0.8 * u[0], 0.8 * u[1], -0.1])
            along = canvas * (u[2] * 0.7 + 0.3 * np.linspace(0, u[3], 4))
            depth = canvas - depth if side > 1 else depth
            _draw_polyline(mask, to_fixed_point(depth + 1j * along if side % 2 == 0 else along + 1j * depth), pen)
    return mask


def _draw_polyline(mask: Image, run: FixedPoints, pen: float) -> None:
    cv2.polylines(mask, [run], False, 255, max(1, round(pen)), cv2.LINE_AA, SUBPIXEL_BITS)
