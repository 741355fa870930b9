"""Distractors that need no catalogue: a random generator in, polylines out.

Each function of `PRIMITIVES` returns a list of (points (n,) complex x + iy, whether closed), in any frame, y down.
"""

from collections.abc import Callable

import numpy as np

from strokewise.synthesis.strokes import Points

Polylines = list[tuple[Points, bool]]
Rng = np.random.Generator
LETTERS = {  # strokes on a grid of 4 × 6, each point as "xy"; letters that resemble a shape are left out
    "A": "06 20 46,13 33", "B": "00 06 35 44 33 03,00 20 31 33", "E": "40 00 06 46,03 33", "F": "40 00 06,03 33",
    "G": "41 20 02 04 26 45 43 23", "H": "00 06,40 46,03 43", "J": "40 45 26 05", "K": "00 06,40 03 46",
    "L": "00 06 46", "M": "06 00 24 40 46", "N": "06 00 46 40", "P": "06 00 30 41 32 03",
    "R": "06 00 30 41 32 03,23 46",
    "S": "41 20 02 33 44 26 05", "U": "00 05 26 45 40", "W": "00 16 23 36 40", "Y": "00 23 40,23 26",
    "Z": "00 40 06 46",
    "2": "01 20 41 06 46", "3": "00 40 23 44 26 05", "4": "36 30 04 44", "5": "40 00 03 33 44 26 06", "7": "00 40 16",
    "?": "01 20 41 23 24", "h": "00 06,03 22 43 46", "k": "00 06,32 04 36", "m": "06 02,03 12 23 26,23 32 43 46",
}  # fmt: skip
CURVED_LETTERS = {  # smooth strokes on a grid of 9 × 9
    "a": "62 42 24 26 48 66,62 66 78", "b": "20 28,25 44 65 67 48 28", "d": "60 68,65 44 25 27 48 67",
    "e": "25 65 53 33 24 26 48 68", "f": "61 40 32 38,14 54", "g": "63 43 25 46 64,63 67 49 28",
    "n": "23 28,25 44 63 68", "p": "23 29,24 44 65 47 27", "q": "63 69,64 43 25 47 66", "r": "23 28,25 43 63",
    "s": "63 43 24 45 66 58 27", "t": "41 47 58 67,24 64", "u": "23 26 48 66,63 68", "w": "13 27 45 67 83",
    "y": "23 46,63 29", "z": "23 63 28 68", "6": "61 32 25 27 48 67 65 44 26", "9": "62 41 22 24 45 64 62 68",
    "&": "78 32 31 50 52 25 26 48 76", "{": "60 41 43 24 45 47 68", "}": "20 41 43 64 45 47 28",
    "?": "23 31 51 63 45 46,48 49", "!": "40 46,48 49", "#": "31 28,61 58,13 83,16 86",
    "$": "63 43 24 45 66 58 27,41 49", "delete": "18 54 71 51 45 68", "insert": "08 32 48 72 78",
}  # fmt: skip


def ellipse_arc(centre: complex, rx: float, ry: float, start: float, stop: float) -> Points:
    """An arc (40,) of an ellipse, from `start` to `stop` degrees, clockwise from the right."""
    angle = np.radians(np.linspace(start, stop, 40))
    return centre + rx * np.cos(angle) + 1j * ry * np.sin(angle)


def ellipse(centre: complex, rx: float, ry: float) -> tuple[Points, bool]:
    """A whole ellipse, as a closed polyline."""
    return ellipse_arc(centre, rx, ry, 0, 360), True


def scribble(rng: Rng) -> Polylines:
    """A smooth curve through random points or along a random walk."""
    count = int(rng.integers(5, 14))
    is_walk = rng.random() < 0.5
    points = rng.standard_normal(2 * count).view(np.complex128)
    return [(_catmull_rom(points.cumsum() if is_walk else points), False)]


def letters(rng: Rng) -> Polylines:
    """One to four letters, digits or marks, as in a short word."""
    lines: Polylines = []
    curved = rng.random() < 0.6
    glyphs, width = (CURVED_LETTERS, 8.0) if curved else (LETTERS, 5.5)
    for position in range(int(rng.choice([1, 1, 1, 2, 3, 4]))):
        letter = glyphs[list(glyphs)[int(rng.integers(len(glyphs)))]]
        for stroke in letter.split(","):
            points = np.array([complex(int(xy[0]) + width * position, int(xy[1])) for xy in stroke.split()])
            smooth = rng.random() < (0.85 if curved else 0.3) and len(points) > 3
            lines += [(_catmull_rom(points) if smooth else points, False)]
    return lines


def marks(rng: Rng) -> Polylines:
    """One to four slightly bent lines, one below the other, often equally long."""
    lines: Polylines = []
    equal, gap = rng.random() < 0.5, float(rng.uniform(0.3, 1.2))
    start, chord = 0j, 1 + 0j
    for row in range(int(rng.integers(1, 5))):
        if row == 0 or not equal:
            start = complex(rng.uniform(-0.6, 0.6), 0)
            chord = complex(rng.uniform(0.3, 1), rng.uniform(-0.4, 0.4))
        t = np.linspace(0, 1, 12)
        lines += [(start + gap * row * 1j + chord * (t + 1j * rng.normal(0, 0.08) * 4 * t * (1 - t)), False)]
    return lines


def zigzag(rng: Rng) -> Polylines:
    """A zigzag, or stairs."""
    n, width = int(rng.integers(3, 9)), float(rng.uniform(0.5, 1.2))
    if rng.random() < 0.3:
        step = complex(0, rng.uniform(0.4, 1)) * np.exp(1j * rng.uniform(-0.2, 0.2))
        return [(np.array([0j, *np.tile([width, step], n)]).cumsum(), False)]
    return [(width * np.arange(n) + 1j * (np.arange(n) % 2 + rng.uniform(-0.2, 0.2, n)), False)]


def wave(rng: Rng) -> Polylines:
    """A sine wave of one to four periods."""
    t = np.linspace(0, float(rng.uniform(1.2, 4)), 90)
    return [(t + 1j * rng.uniform(0.15, 0.5) * np.sin(2 * np.pi * (t + rng.random())), False)]


def spiral(rng: Rng) -> Polylines:
    """A spiral from the centre outwards, with more than two turns."""
    t = np.linspace(0.03, 1, 140)
    return [(t * np.exp(2j * np.pi * (t * float(rng.uniform(2.2, 4.5)) + rng.random())), False)]


def coil(rng: Rng) -> Polylines:
    """Loops in a row, like a spring."""
    t = np.linspace(0, float(rng.integers(3, 7)), 150)
    radius = float(rng.uniform(0.25, 0.5))
    return [(0.5 * t + radius * np.cos(2 * np.pi * t) + 0.6j * np.sin(2 * np.pi * t), False)]


def arch(rng: Rng) -> Polylines:
    """The outline of a thick round arch, either on feet or as a horseshoe."""
    inner = float(rng.uniform(0.35, 0.65))
    if rng.random() < 0.4:
        excess = float(rng.uniform(0, 35))  # degrees beyond a half circle, at each end
        start, stop = 180 - excess, 360 + excess
        return [_closed_polyline(ellipse_arc(0j, 1, 1, start, stop), ellipse_arc(0j, inner, inner, stop, start))]
    foot = 1j * rng.uniform(0.06, 0.8)
    outside, inside = ellipse_arc(0j, 1, 1, 180, 360), ellipse_arc(0j, inner, inner, 360, 180)
    return [_closed_polyline([-1 + foot], outside, [1 + foot, inner + foot], inside, [-inner + foot])]


def regular_polygon(rng: Rng, corners: int) -> Polylines:
    """A regular polygon, stretched vertically by a random factor."""
    points = np.exp(1j * (2 * np.pi * np.arange(corners) / corners - np.pi / 2))
    return [_closed_polyline(points.real + 1j * np.exp(rng.uniform(-0.7, 0.4)) * points.imag)]


def ell(rng: Rng) -> Polylines:
    """An L, T or U with thick arms."""
    a, b = rng.uniform(0.25, 0.55, 2).tolist()
    c = a / 1.5
    corners = [
        [0, a, a + 1j * (1 - b), 1 + 1j * (1 - b), 1 + 1j, 1j],
        [0, 1, 1 + b * 1j, (1 + a) / 2 + b * 1j, (1 + a) / 2 + 1j, (1 - a) / 2 + 1j, (1 - a) / 2 + b * 1j, b * 1j],
        [0, c, c + 1j * (1 - b), 1 - c + 1j * (1 - b), 1 - c, 1, 1 + 1j, 1j],
    ][int(rng.integers(3))]
    return [_closed_polyline(corners)]


def cube(rng: Rng) -> Polylines:
    """A box seen from above and from one side, with or without hidden edges."""
    w, h = rng.uniform(0.4, 1.2, 2).tolist()
    back = complex(float(rng.uniform(0.2, 0.6)) * (1 if rng.random() < 0.5 else -1), -float(rng.uniform(0.15, 0.5)))
    front = np.array([0, w, w + 1j * h, 1j * h])
    if rng.random() < 0.25:
        depths = [(np.array([corner, corner + back]), False) for corner in front]
        return [_closed_polyline(front), _closed_polyline(front + back), *depths]
    near = w if back.real > 0 else 0
    lid, side = [0, back, w + back, w], [near + back, near + 1j * h + back, near + 1j * h]
    return [_closed_polyline(front), (np.array(lid), False), (np.array(side), False)]


def cylinder(rng: Rng) -> Polylines:
    """A cylinder whose top is seen from above."""
    ry, base = float(rng.uniform(0.15, 0.4)), 1j * rng.uniform(0.5, 2.2)
    bottom = ellipse_arc(base, 1, ry, 180, 0)
    if rng.random() < 0.4:
        return [ellipse(0j, 1, ry), (np.array([-1, *bottom, 1]), False)]
    sides = [(np.array([x, x + base]), False) for x in (-1, 1)]
    return [ellipse(0j, 1, ry), *sides, (bottom, False)]


def cone(rng: Rng) -> Polylines:
    """A cone on its base or on its tip."""
    tip = 1j * rng.uniform(1.0, 2.5) * (1 if rng.random() < 0.5 else -1)
    return [ellipse(0j, 1, float(rng.uniform(0.15, 0.4))), (np.array([-1, tip, 1]), False)]


def pyramid(rng: Rng) -> Polylines:
    """A pyramid, two of its faces visible."""
    low = float(rng.uniform(0.1, 0.4))
    tip, front = -1j * rng.uniform(1.0, 2.0), complex(rng.uniform(0.1, 0.7), low)
    return [_closed_polyline([tip, -1, front, 1 - 0.5j * low]), (np.array([tip, front]), False)]


def eight(rng: Rng) -> Polylines:
    """A figure eight, often with one loop larger than the other."""
    t = np.linspace(0, 2 * np.pi, 100)
    size = 1 + float(rng.uniform(-0.3, 0.3)) * np.sign(np.sin(t))
    return [((0.5 * np.sin(2 * t) + 1j * np.sin(t)) * size, True)]


def angle(rng: Rng) -> Polylines:
    """Two or three connected straight lines that enclose nothing."""
    a, b = rng.uniform(0.4, 1.2, 2).tolist()
    corners = [a, 0j, b * np.exp(1j * rng.uniform(0.5, 2.4))]
    if rng.random() < 0.3:
        corners.append(corners[2] - rng.uniform(0.5, 1))
    return [(np.array(corners), False)]


def open_arc(rng: Rng) -> Polylines:
    """An arc of an ellipse, far from closed."""
    return [(ellipse_arc(0j, 1, float(rng.uniform(0.4, 1.0)), 0, float(rng.uniform(60, 215))), False)]


def grid(rng: Rng) -> Polylines:
    """A rectangle divided by lines, like a window or a table."""
    h, columns, rows = 1j * rng.uniform(0.4, 1.5), int(rng.integers(1, 4)), int(rng.integers(0, 3))
    down: Polylines = [(np.array([0j, h]) + complex(i / (columns + 1)), False) for i in range(1, columns + 1)]
    over: Polylines = [(np.array([0j, 1.0]) + h * (i / (rows + 1)), False) for i in range(1, rows + 1)]
    return [_closed_polyline([0, 1, 1 + h, h]), *down, *over]


def flower(rng: Rng) -> Polylines:
    """A flower or cloud: a closed line of bumps."""
    bumps, depth, height = int(rng.integers(4, 9)), float(rng.uniform(0.12, 0.35)), float(rng.uniform(0.5, 1))
    t = np.linspace(0, 2 * np.pi, 160)
    r = 1 + depth * np.abs(np.sin(bumps * t / 2))
    return [(r * np.cos(t) + 1j * height * r * np.sin(t), True)]


def _closed_polyline(*corners: Points | list[complex]) -> tuple[Points, bool]:
    joined = np.concatenate([np.asarray(part, dtype=complex) for part in corners])
    return np.append(joined, joined[0]), True


def _catmull_rom(knots: Points) -> Points:
    """A Catmull-Rom curve through the knots (n,)."""
    padded = np.concatenate([knots[:1], knots, knots[-1:]])
    t = np.linspace(0, 1, 12, endpoint=False)[:, None]
    a, b, c, d = (padded[i : len(padded) - 3 + i] for i in range(4))
    curve = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
    return np.append(curve.T.reshape(-1), knots[-1])


PRIMITIVES: dict[str, tuple[Callable[[Rng], Polylines], float]] = {
    "scribble": (scribble, 2),
    "letters": (letters, 5),
    "marks": (marks, 2.5),
    "zigzag": (zigzag, 1),
    "wave": (wave, 1),
    "spiral": (spiral, 1),
    "coil": (coil, 0.5),
    "arch": (arch, 3),
    "ell": (ell, 2),
    "cube": (cube, 4.5),
    "cylinder": (cylinder, 4.5),
    "cone": (cone, 1),
    "pyramid": (pyramid, 1),
    "eight": (eight, 0.7),
    "angle": (angle, 3),
    "curve": (open_arc, 1),
    "grid": (grid, 1.5),
    "flower": (flower, 0.7),
    "pentagon": (lambda rng: regular_polygon(rng, 5), 3),
    "octagon": (lambda rng: regular_polygon(rng, 8), 0.4),
}
"""The kinds that contain no shape, each with its weight: how often it is drawn, relative to all other kinds."""
