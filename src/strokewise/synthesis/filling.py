"""Fillings: areas, and how they are filled → a mask uint8 (C, C), 0 bare paper, 255 full ink.

Solid, or by lines of the same pen: hatched, crosshatched, a zigzag, a spiral or circles, neat or loose, short of the
rim or over it.
"""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from strokewise.synthesis.ink_params import InkParams
from strokewise.synthesis.pen import SUBPIXEL_BITS, Image, draw_line, simplify, to_fixed_point
from strokewise.synthesis.strokes import Floats, Points, unit_steps

MAX_FILL_LINES = 120  # of one hatching, turns of a spiral, or circles
SPIRAL_POINTS = 24  # of each turn


def draw_filling(
    areas: list[Points], params: InkParams, pen: float, size: tuple[float, float], canvas: int, rng: np.random.Generator
) -> Image:
    """The filling alone, uint8 (C, C).

    Args:
        areas: Polygons (n,) in pixels.
        params: Kind, strength and lines of the filling.
        pen: Pen width in pixels.
        size: Width and height of the drawing in pixels.
        canvas: C, width and height of the canvas in pixels.
        rng: Source of the lines' irregularity.
    """
    area = np.zeros((canvas, canvas), dtype=np.uint8)
    polygons = [simplify(to_fixed_point(polygon)) for polygon in areas]
    cv2.fillPoly(area, polygons, params.shade * 255, cv2.LINE_AA, SUBPIXEL_BITS)
    if params.fill == "solid":
        return area
    spacing = max(1.6 * pen, min(size) * params.fill_apart, 3.0)
    lines = np.zeros_like(area)
    for polygon in areas:
        for line in filling_lines(polygon, params, spacing, rng):
            draw_line(lines, line, pen)
    beyond = 0.5 * min(size) * max(0.0, params.fill_reach - 1) + 0.7 * spacing * params.fill_jitter
    if beyond >= 0.5:
        radius = math.ceil(1.2 * beyond)
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
        cv2.dilate(area, disc, area)
    return np.asarray(cv2.min(lines, area), dtype=np.uint8)


def filling_lines(polygon: Points, params: InkParams, spacing: float, rng: np.random.Generator) -> list[Points]:
    """The lines that fill a polygon, each (m,); not clipped to it.

    Args:
        polygon: (n,) in pixels.
        params: Kind, angle, reach and irregularity of the filling.
        spacing: Between the lines, in pixels.
        rng: Source of the irregularity.
    """
    reach, jitter = params.fill_reach, params.fill_jitter
    if params.fill == "spiral":
        return [_spiral(polygon, spacing, reach, jitter, rng)]
    if params.fill == "circling":
        return [_circles(polygon, spacing, reach, jitter, rng)]
    if params.fill == "scrawled":
        return [_scrawl(polygon, spacing, reach, rng)]
    angles = [params.fill_angle, params.fill_angle + 90] if params.fill == "crosshatched" else [params.fill_angle]
    rows = [row for angle in angles for row in _rows(polygon, angle, spacing, reach, jitter, rng)]
    if params.fill != "zigzag":
        return rows
    return [np.concatenate([row[:: 1 if number % 2 else -1] for number, row in enumerate(rows)])] if rows else []


def _rows(
    polygon: Points, angle: float, spacing: float, reach: float, jitter: float, rng: np.random.Generator
) -> list[Points]:
    """Lines (2,) across a polygon at `angle` degrees, each from rim to rim times `reach`, give or take `jitter`."""
    direction = np.exp(1j * math.radians(angle))
    rotated = polygon / direction  # in this frame the lines are horizontal
    low, high = float(rotated.imag.min()), float(rotated.imag.max())
    short = 0.5 * max(0.0, 1 - reach) * (high - low)
    low, high = low + short, high - short
    count = min(MAX_FILL_LINES, int((high - low) / spacing) + 1)
    y = low + (high - low) * (np.arange(count) + 0.5) / count
    left, right = _extent(rotated, y)
    middle, half = (left + right) / 2, (right - left) / 2
    noise = rng.standard_normal((4, count)) * jitter
    slope = rng.normal(0.0, jitter)  # loose lines are not parallel: they turn as the hand goes down
    tilt = spacing * (0.3 + 3.0 * slope * unit_steps(count))
    ends = [
        middle + side * (half * reach + 0.6 * spacing * noise[k])
        + 1j * (y + side * tilt * jitter + 0.5 * spacing * noise[2 + k])
        for k, side in ((0, -1), (1, 1))
    ]  # fmt: skip
    return list(np.stack(ends, axis=1) * direction)


def _extent(polygon: Points, y: Floats) -> tuple[Floats, Floats]:
    """The leftmost and the rightmost point of a closed polygon (n,) on each horizontal line `y` (m,) through it."""
    a, b = polygon, np.roll(polygon, -1)
    crosses = (a.imag <= y[:, None]) != (b.imag <= y[:, None])
    rise = np.where(a.imag == b.imag, 1.0, b.imag - a.imag)
    x = a.real + (y[:, None] - a.imag) / rise * (b.real - a.real)
    left, right = np.where(crosses, x, np.inf).min(1), np.where(crosses, x, -np.inf).max(1)
    crossed = left <= right
    return np.where(crossed, left, polygon.real.mean()), np.where(crossed, right, polygon.real.mean())


def _spiral(polygon: Points, spacing: float, reach: float, jitter: float, rng: np.random.Generator) -> Points:
    """A spiral from the rim to the middle, each turn like the polygon and `spacing` inside the one before."""
    middle = polygon.mean()
    radius = float(np.abs(polygon - middle).mean())
    turns = min(MAX_FILL_LINES, max(1.5, radius / spacing))
    t = np.linspace(0.0, turns, round(turns * SPIRAL_POINTS))
    rim = np.interp(t % 1, unit_steps(len(polygon)), polygon) - middle
    knots = rng.standard_normal((round(4 * turns) + 1) * 2).view(np.complex128)
    wobble = np.interp(t, np.linspace(0.0, turns, len(knots)), knots)
    line: Points = middle + rim * reach * (1 - 0.95 * t / turns) + spacing * jitter * 0.6 * wobble
    return line


def _circles(polygon: Points, spacing: float, reach: float, jitter: float, rng: np.random.Generator) -> Points:
    """Circles that wander over the polygon from one end to the other, or round and round about its middle."""
    middle = polygon.mean()
    away = polygon - middle
    spread: NDArray[np.float64] = (
        np.linalg.eigvalsh(np.cov([away.real, away.imag])) ** 0.5 if len(away) > 2 else np.ones(2)
    )
    axis = away[np.abs(away).argmax()]
    axis /= abs(axis) + 1e-9
    length, width = 1.25 * float(spread[1]), 1.25 * float(spread[0])
    radius = max(spacing, reach * width * rng.uniform(0.6, 1.0))
    turns = min(MAX_FILL_LINES, max(3.0, 2 * (length + width) / spacing * rng.uniform(0.4, 0.9)))
    t = np.linspace(0.0, 1.0, round(turns * SPIRAL_POINTS))
    knots = rng.standard_normal(round(turns * 2) + 2)
    size = radius * np.clip(1 + 0.35 * jitter * np.interp(t, np.linspace(0, 1, len(knots)), knots), 0.3, 1.6)
    along = (2 * t - 1) * max(0.0, reach * length * 1.1 - radius)
    line: Points = middle + along * axis + size * np.exp(2j * np.pi * turns * t)
    return line


def _scrawl(polygon: Points, spacing: float, reach: float, rng: np.random.Generator) -> Points:
    """A line to and fro across the polygon, in ever other directions."""
    middle = polygon.mean()
    radius = float(np.abs(polygon - middle).mean())
    count = int(min(MAX_FILL_LINES, max(5.0, 2.5 * radius / spacing)))
    turns = np.cumsum(0.5 + rng.normal(0.0, 0.12, count))
    line: Points = middle + (np.interp(turns % 1, unit_steps(len(polygon)), polygon) - middle) * (
        reach * rng.uniform(0.4, 1.0, count)
    )
    return line
