"""What else is on the sheet: stray marks, a neighbouring drawing, writing, connectors that touch the drawing.

the drawing's line (Q,) in pixels → a mask uint8 (C, C), 0 bare paper, 255 full ink
"""

import numpy as np

from strokewise.synthesis.distractor_primitives import letters
from strokewise.synthesis.ink_params import InkParams
from strokewise.synthesis.pen import Image, draw_line
from strokewise.synthesis.strokes import Floats, Points, unit_steps


def draw_surroundings(line: Points, params: InkParams, pen: float, canvas: int, rng: np.random.Generator) -> Image:
    """All that `params` puts beside a drawing: uint8 (C, C).

    Args:
        line: (Q,), the drawing in pixels.
        params: Numbers of stray marks and connectors; whether a neighbour or writing is there.
        pen: Pen width in pixels.
        canvas: C, width and height of the canvas in pixels.
        rng: Places everything.
    """
    mask = np.zeros((canvas, canvas), dtype=np.uint8)
    low = np.array([line.real.min(), line.imag.min()])
    high = np.array([line.real.max(), line.imag.max()])
    for _ in range(params.strays):
        _draw_stray(mask, low, high, pen, rng)
    if params.neighbour:
        _draw_neighbour(mask, low, high, pen, rng)
    for _ in range(params.connectors):
        _draw_connector(mask, line, pen, rng)
    if params.writing:
        _draw_writing(mask, low, high, pen, rng)
    return mask


def _draw_stray(mask: Image, low: Floats, high: Floats, pen: float, rng: np.random.Generator) -> None:
    """A short mark somewhere, unless that is at the drawing's box."""
    position, angle = rng.uniform(0.03, 0.97, 2) * len(mask), 2 * np.pi * rng.random()
    distance = float(np.maximum(low - position, position - high).max())  # from the drawing's box
    if distance > 2 * pen:
        start = complex(*position)
        tip = start + rng.random() * min(distance - pen, 0.05 * len(mask)) * np.exp(1j * angle)
        draw_line(mask, np.array([start, tip]), pen)


def _draw_neighbour(mask: Image, low: Floats, high: Floats, pen: float, rng: np.random.Generator) -> None:
    """A line of a neighbouring drawing, which enters on the side with most room."""
    canvas = len(mask)
    gaps = np.concatenate([low, canvas - high]) - 2 * pen
    side, u = int(gaps.argmax()), rng.random(4)  # left, top, right, bottom
    if gaps[side] > 3:
        depth = gaps[side] * np.array([-0.1, 0.8 * u[0], 0.8 * u[1], -0.1])
        along = canvas * (u[2] * 0.7 + 0.3 * np.linspace(0, u[3], 4))
        depth = canvas - depth if side > 1 else depth
        draw_line(mask, depth + 1j * along if side % 2 == 0 else along + 1j * depth, pen)


def _draw_connector(mask: Image, line: Points, pen: float, rng: np.random.Generator) -> None:
    """A line from the drawing outward, slightly bent, often to the edge of the sheet; sometimes with an arrowhead."""
    middle = complex(line.real.min() + line.real.max(), line.imag.min() + line.imag.max()) / 2
    start = complex(line[int(rng.integers(len(line)))])
    way = start - middle
    if abs(way) < 1:
        return
    way = way / abs(way)
    angle = np.pi / 2 * np.rint(np.angle(way) / (np.pi / 2)) if rng.random() < 0.6 else np.angle(way)  # upright, mostly
    way = np.exp(1j * (angle + rng.normal(0.0, 0.12)))
    length = len(mask) * (1.5 if rng.random() < 0.6 else rng.uniform(0.05, 0.3))
    t = unit_steps(8)
    path = start + way * length * (t + 1j * rng.normal(0.0, 0.05) * t * (1 - t))
    width = pen * rng.uniform(0.5, 1.0)
    draw_line(mask, path, width)
    if rng.random() < 0.35:  # an arrow that arrives here
        size = rng.uniform(0.04, 0.1) * len(mask)
        wings = start + size * way * np.exp(1j * np.array([0.5, 0.0, -0.5])) * np.array([1, 0, 1])
        draw_line(mask, wings, width)


def _draw_writing(mask: Image, low: Floats, high: Floats, pen: float, rng: np.random.Generator) -> None:
    """Bits of writing on the side with most room, some of it cut off by the edge of the sheet."""
    canvas = len(mask)
    gaps = np.concatenate([low, canvas - high]) - 1.5 * pen
    side = int(gaps.argmax())
    if gaps[side] < 3:
        return
    size = canvas * rng.uniform(0.07, 0.15)
    near = gaps[side] * rng.uniform(0.0, 0.6)  # from the drawing's box to the writing; much of it may lie off the sheet
    place = rng.uniform(0.0, 0.7) * canvas
    for _ in range(int(rng.integers(1, 4))):
        strokes = [stroke for stroke, _ in letters(rng)]
        scale = size / max(6.0, *(float(stroke.imag.max()) for stroke in strokes))
        width = scale * max(float(stroke.real.max()) for stroke in strokes)
        if side % 2 == 0:
            corner = complex(low[0] - near - width if side == 0 else high[0] + near, place)
        else:
            corner = complex(place, low[1] - near - size if side == 1 else high[1] + near)
        for stroke in strokes:
            draw_line(mask, corner + scale * stroke, max(1.0, 0.5 * pen))
        place += size * 1.2
