"""The path of the pen → ink on the canvas: position, pen, fillings, surroundings.

    line (Q,) complex x + iy in any frame, pen_downs, areas  →  mask uint8 (C, C), 0 bare paper, 255 full ink

`ink_params.InkParams` describes how one painting is inked; `paper.py` turns the mask into a scene.
"""

from itertools import pairwise

import cv2
import numpy as np

from strokewise.synthesis.filling import draw_filling
from strokewise.synthesis.ink_params import InkParams
from strokewise.synthesis.pen import FixedPoints, Image, draw_polyline, simplify, to_fixed_point
from strokewise.synthesis.strokes import Indices, Points, bounding_box, unit_steps
from strokewise.synthesis.surroundings import draw_surroundings

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
    mask = np.zeros((canvas, canvas), dtype=np.uint8)
    if params.outlined:
        bounds = [0, *pen_downs.tolist(), len(line)]
        if params.breaks:
            pieces = break_strokes([line[a:b] for a, b in pairwise(bounds)], params.breaks, rng)
            runs = [to_fixed_point(piece) for piece in pieces]
        else:
            points = to_fixed_point(line)
            runs = [points[a:b] for a, b in pairwise(bounds)]
        for run in runs:
            draw_stroke(mask, simplify(run), pen, params.pressure, rng)
    if params.bleeding and pen * params.bleeding > 0.3:
        mask = bleed(mask, params.bleeding * pen)
    if areas:
        areas = [area * scale + shift for area in areas]
        cv2.max(mask, draw_filling(areas, params, pen, (width, height), canvas, rng), mask)
    if params.strays or params.neighbour or params.connectors or params.writing:
        cv2.max(mask, draw_surroundings(line, params, pen, canvas, rng), mask)
    return mask


def place_on_canvas(line: Points, params: InkParams, canvas: int) -> tuple[float, complex, tuple[float, float]]:
    """Scale and shift that put a line (Q,) on the canvas as `params` says; its width and height there in pixels."""
    left, top, right, bottom = bounding_box(line)
    width, height = right - left, bottom - top
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


def draw_stroke(mask: Image, run: FixedPoints, pen: float, pressure: float, rng: np.random.Generator) -> None:
    """Draw one run into `mask`; the width `pen`, in pixels, varies by the share `pressure` along it."""
    if not pressure or pen < 2 or len(run) < 3:
        draw_polyline(mask, run, pen)
        return
    phase, waves = rng.random(2).tolist()
    swell = np.sin(2 * np.pi * (phase + (0.5 + waves) * unit_steps(len(run) - 1)))
    widths = np.rint(pen * (1 + pressure * swell))
    cuts = [0, *((widths[1:] != widths[:-1]).nonzero()[0] + 1).tolist(), len(widths)]
    for a, b in pairwise(cuts):
        draw_polyline(mask, run[a : b + 1], float(widths[a]))


def break_strokes(runs: list[Points], count: int, rng: np.random.Generator) -> list[Points]:
    """Split each run at `count` gaps, each 2 to 10 % of its length, away from its ends."""
    pieces = []
    for run in runs:
        centres, half_gaps = rng.uniform(0.1, 0.9, count), rng.uniform(0.01, 0.05, count)
        lengths = np.zeros(len(run))
        np.abs(run[1:] - run[:-1]).cumsum(out=lengths[1:])
        run = np.interp(lengths[-1] * unit_steps(100), lengths, run)
        inked = np.asarray((np.abs(unit_steps(100)[:, None] - centres) > half_gaps).all(axis=1))
        cuts = [0, *((inked[1:] != inked[:-1]).nonzero()[0] + 1).tolist(), len(run)]
        pieces += [run[a:b] for a, b in zip(cuts[::2], cuts[1::2], strict=True) if b - a > 1]  # gaps lie between
    return pieces


def bleed(mask: Image, sigma: float) -> Image:
    """Let ink run into the paper: a Gaussian blur with `sigma` in pixels, amplified so that wide lines stay full."""
    soft = cv2.GaussianBlur(mask, (0, 0), sigma)
    return np.asarray(cv2.convertScaleAbs(soft, alpha=1.3), dtype=np.uint8)
