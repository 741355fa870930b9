"""What is none of the shapes, for `other`: ideal strokes out, which the hand then draws like any shape's.

    doodle(catalogue, rng) -> (name of the kind, Strokes)

A kind that carries the name of a shape in the catalogue is left out: with a folder `pentagon`, pentagons are no doodles.
"""

from collections.abc import Callable

import numpy as np

from strokewise.paint.outlines import Catalogue, Outline
from strokewise.paint.strokes import Points, Strokes, assemble, edges_of, length

Lines = list[tuple[Points, bool]]  # polylines (n, 2) and whether each is closed, in any frame
LETTERS = {  # strokes on a grid 4 wide and 6 high, y down; letters that could be taken for a shape are left out
    "A": "06 20 46,13 33", "B": "00 06 35 44 33 03,00 20 31 33", "E": "40 00 06 46,03 33", "F": "40 00 06,03 33",
    "G": "41 20 02 04 26 45 43 23", "H": "00 06,40 46,03 43", "J": "40 45 26 05", "K": "00 06,40 03 46",
    "L": "00 06 46", "M": "06 00 24 40 46", "N": "06 00 46 40", "P": "06 00 30 41 32 03", "R": "06 00 30 41 32 03,23 46",
    "S": "41 20 02 33 44 26 05", "U": "00 05 26 45 40", "W": "00 16 23 36 40", "Y": "00 23 40,23 26", "Z": "00 40 06 46",
    "2": "01 20 41 06 46", "3": "00 40 23 44 26 05", "4": "36 30 04 44", "5": "40 00 03 33 44 26 06", "7": "00 40 16",
    "?": "01 20 41 23 24", "h": "00 06,03 22 43 46", "k": "00 06,32 04 36", "m": "06 02,03 12 23 26,23 32 43 46",
}  # fmt: skip


def doodle(catalogue: Catalogue, rng: np.random.Generator) -> tuple[str, Strokes]:
    """One doodle of a kind drawn by lot, those that contain shapes more often."""
    known = set(catalogue.shapes)
    kinds = [kind for kind in KINDS if kind not in known]
    weights = np.array([KINDS[kind][1] for kind in kinds])
    kind = kinds[int(rng.choice(len(kinds), p=weights / weights.sum()))]
    outlines = [outline for variants in catalogue.outlines for outline in variants]
    return kind, framed(KINDS[kind][0](outlines, rng))


def framed(lines: Lines) -> Strokes:
    """Strokes in the frame of an outline: centred, longest side 2."""
    joined = np.concatenate([line for line, _ in lines])
    low, high = joined.min(axis=0), joined.max(axis=0)
    scale = 2 / float((high - low).max())
    return assemble([edges_of((line - (low + high) / 2) * scale, closed) for line, closed in lines])


def _open(*lines: list[tuple[float, float]] | Points) -> Lines:
    return [(np.asarray(line, dtype=float), False) for line in lines]


def _closed(*corners: list[tuple[float, float]] | Points) -> Lines:
    return [
        (np.concatenate([np.asarray(line, dtype=float), np.asarray(line[:1], dtype=float)]), True) for line in corners
    ]


def _arc(x: float, y: float, rx: float, ry: float, start: float, stop: float) -> Points:
    """Part of an ellipse, angles in degrees clockwise from the right."""
    angle = np.radians(np.linspace(start, stop, 40))
    return np.stack([x + rx * np.cos(angle), y + ry * np.sin(angle)], axis=1)


def _ring(x: float, y: float, rx: float, ry: float) -> Lines:
    return _closed(_arc(x, y, rx, ry, 0, 360)[:-1])


def _shape(outlines: list[Outline], rng: np.random.Generator) -> Lines:
    """A shape of the catalogue as lines, stretched a little."""
    strokes = outlines[int(rng.integers(len(outlines)))].strokes
    points = strokes.points * np.exp(rng.uniform(-0.5, 0.5, 2))
    bounds = strokes.first[strokes.strokes]
    lines = [points[a:b] for a, b in zip(bounds[:-1], bounds[1:], strict=True)]
    keep = [np.concatenate([[True], np.hypot(*np.diff(line, axis=0).T) > 1e-9]) for line in lines]
    return [(line[on], bool(shut)) for line, on, shut in zip(lines, keep, strokes.closed, strict=True)]


def _moved(lines: Lines, scale: float, x: float, y: float) -> Lines:
    return [(line * scale + (x, y), closed) for line, closed in lines]


def several(outlines: list[Outline], rng: np.random.Generator) -> Lines:
    """Two to four shapes side by side, overlapping or not."""
    lines: Lines = []
    at = rng.uniform(-0.3, 0.3, 2)
    for _ in range(int(rng.integers(2, 5))):
        scale = float(rng.uniform(0.35, 1.0))
        lines += _moved(_shape(outlines, rng), scale, float(at[0]), float(at[1]))
        way = rng.uniform(0, 2 * np.pi)
        at = at + rng.uniform(0.8, 2.2) * np.array([np.cos(way), np.sin(way)])
    return lines


def nested(outlines: list[Outline], rng: np.random.Generator) -> Lines:
    """A shape within another."""
    x, y = rng.uniform(-0.25, 0.25, 2).tolist()
    return _shape(outlines, rng) + _moved(_shape(outlines, rng), float(rng.uniform(0.3, 0.55)), x, y)


def struck(outlines: list[Outline], rng: np.random.Generator) -> Lines:
    """A shape with a line or two right through or beside it."""
    lines = _shape(outlines, rng)
    for _ in range(int(rng.integers(1, 4))):
        way = rng.uniform(0, 2 * np.pi)
        along = np.array([np.cos(way), np.sin(way)])
        middle = rng.uniform(-0.7, 0.7, 2)
        lines += _open(np.stack([middle - rng.uniform(0.7, 1.4) * along, middle + rng.uniform(0.5, 1.4) * along]))
    return lines


def half(outlines: list[Outline], rng: np.random.Generator) -> Lines:
    """Less than half of a shape."""
    line = max(_shape(outlines, rng), key=lambda pair: length(pair[0]))[0]
    n = len(line)
    count = max(4, round(n * float(rng.uniform(0.25, 0.5))))
    return _open(np.roll(line[:-1], int(rng.integers(n)), axis=0)[: min(count, n - 1)])


def scribble(outlines: list[Outline], rng: np.random.Generator) -> Lines:
    """Up and down, round and round, wherever the hand goes."""
    knots = int(rng.integers(5, 14))
    walk = np.cumsum(rng.standard_normal((knots, 2)), axis=0) if rng.random() < 0.5 else rng.uniform(-1, 1, (knots, 2))
    return _open(_smooth(walk))


def letter(outlines: list[Outline], rng: np.random.Generator) -> Lines:
    """One to three letters or digits."""
    lines: Lines = []
    for place in range(int(rng.choice([1, 1, 1, 2, 3]))):
        text = LETTERS[list(LETTERS)[int(rng.integers(len(LETTERS)))]]
        for stroke in text.split(","):
            points = np.array([[int(x) + 5.5 * place, int(y)] for x, y in stroke.split()], dtype=float)
            lines += _open(_smooth(points) if rng.random() < 0.3 and len(points) > 3 else points)
    return lines


def marks(outlines: list[Outline], rng: np.random.Generator) -> Lines:
    """A few lines here and there, which do not cross."""
    lines: Lines = []
    for row in range(int(rng.integers(1, 5))):
        tip = rng.uniform(-1, 1, 2) * (1.0, 0.4)
        start = np.array([rng.uniform(-0.6, 0.6), 1.2 * row])
        lines += _open(_bent(start, start + tip, float(rng.normal(0, 0.15))))
    return lines


def zigzag(outlines: list[Outline], rng: np.random.Generator) -> Lines:
    """Up and down in corners, as mountains or steps."""
    n = int(rng.integers(3, 9))
    x = np.arange(n) * float(rng.uniform(0.5, 1.2))
    if rng.random() < 0.3:
        return _open(
            np.repeat(np.stack([x, x * rng.uniform(-1, 1)], axis=1), 2, axis=0)[1:] * 1.0
            + np.array([(0.0, 0.0), (0.3, 0.0)] * n)[: 2 * n - 1]
        )
    return _open(np.stack([x, np.where(np.arange(n) % 2, 1.0, 0.0) + rng.uniform(-0.2, 0.2, n)], axis=1))


def wave(outlines: list[Outline], rng: np.random.Generator) -> Lines:
    """A wave, a few hills long."""
    t = np.linspace(0, float(rng.uniform(1.2, 4)), 90)
    return _open(np.stack([t, rng.uniform(0.15, 0.5) * np.sin(2 * np.pi * (t + rng.random()))], axis=1))


def spiral(outlines: list[Outline], rng: np.random.Generator) -> Lines:
    """From the middle outwards."""
    t = np.linspace(0.03, 1, 140)
    angle = 2 * np.pi * (t * float(rng.uniform(1.8, 4.5)) + rng.random()) * (1 if rng.random() < 0.5 else -1)
    return _open(np.stack([t * np.cos(angle), t * np.sin(angle)], axis=1))


def coil(outlines: list[Outline], rng: np.random.Generator) -> Lines:
    """Loops in a row, as a spring."""
    t = np.linspace(0, float(rng.integers(3, 7)), 150)
    x = 0.5 * t + rng.uniform(0.25, 0.5) * np.cos(2 * np.pi * t)
    return _open(np.stack([x, 0.6 * np.sin(2 * np.pi * t)], axis=1))


def arch(outlines: list[Outline], rng: np.random.Generator) -> Lines:
    """A round arch of some thickness, from foot to foot, or a horseshoe."""
    inner, start = float(rng.uniform(0.35, 0.65)), float(rng.uniform(-35, 5)) if rng.random() < 0.4 else 0.0
    foot = float(rng.uniform(0, 0.6)) if start == 0 else 0.0
    outside = _arc(0, 0, 1, 1, 180 - start, 360 + start)
    inside = _arc(0, 0, inner, inner, 360 + start, 180 - start)
    return _closed(
        np.concatenate([[(-1, foot)], outside, [(1, foot), (inner, foot)], inside, [(-inner, foot)]])
        if foot > 0.05
        else np.concatenate([outside, inside])
    )


def polygon(outlines: list[Outline], rng: np.random.Generator, corners: int) -> Lines:
    """A regular polygon, some squeezed or stretched."""
    angle = 2 * np.pi * (np.arange(corners) / corners) - np.pi / 2
    squeeze = np.exp(rng.uniform(-0.7, 0.4))
    return _closed(np.stack([np.cos(angle), squeeze * np.sin(angle)], axis=1))


def ell(outlines: list[Outline], rng: np.random.Generator) -> Lines:
    """An L, T or U with thick arms."""
    a, b = rng.uniform(0.25, 0.55, 2).tolist()
    return _closed(
        *[
            [
                [(0, 0), (a, 0), (a, 1 - b), (1, 1 - b), (1, 1), (0, 1)],
                [
                    (0, 0),
                    (1, 0),
                    (1, b),
                    (0.5 + a / 2, b),
                    (0.5 + a / 2, 1),
                    (0.5 - a / 2, 1),
                    (0.5 - a / 2, b),
                    (0, b),
                ],
                [
                    (0, 0),
                    (a / 1.5, 0),
                    (a / 1.5, 1 - b),
                    (1 - a / 1.5, 1 - b),
                    (1 - a / 1.5, 0),
                    (1, 0),
                    (1, 1),
                    (0, 1),
                ],
            ][int(rng.integers(3))]
        ]
    )


def cube(outlines: list[Outline], rng: np.random.Generator) -> Lines:
    """A box seen from above and beside, with or without its hidden edges."""
    w, h = rng.uniform(0.4, 1.2, 2).tolist()
    x, y = float(rng.uniform(0.2, 0.6)) * (1 if rng.random() < 0.5 else -1), -float(rng.uniform(0.15, 0.5))
    front = [(0.0, 0.0), (w, 0.0), (w, h), (0.0, h)]
    if rng.random() < 0.25:
        back = [(px + x, py + y) for px, py in front]
        return _closed(front, back) + _open(*[[p, q] for p, q in zip(front, back, strict=True)])
    side = w if x > 0 else 0.0
    return _closed(front) + _open(
        [(0.0, 0.0), (x, y), (w + x, y), (w, 0.0)], [(side + x, y), (side + x, h + y), (side, h)]
    )


def cylinder(outlines: list[Outline], rng: np.random.Generator) -> Lines:
    """A tin, its lid seen from above."""
    flat, high = float(rng.uniform(0.15, 0.4)), float(rng.uniform(0.5, 2.2))
    sides = [[(-1.0, 0.0), (-1.0, high)], [(1.0, 0.0), (1.0, high)]]
    bottom = _arc(0, high, 1, flat, 180, 0)
    if rng.random() < 0.4:
        return _ring(0, 0, 1, flat) + _open(np.concatenate([[(-1, 0)], bottom, [(1, 0)]]))
    return _ring(0, 0, 1, flat) + _open(*sides, bottom)


def cone(outlines: list[Outline], rng: np.random.Generator) -> Lines:
    """A cone on its base, or an ice-cream one on its tip."""
    flat, high = float(rng.uniform(0.15, 0.4)), float(rng.uniform(1.0, 2.5)) * (1 if rng.random() < 0.5 else -1)
    return _ring(0, 0, 1, flat) + _open([(-1.0, 0.0), (0.0, high), (1.0, 0.0)])


def pyramid(outlines: list[Outline], rng: np.random.Generator) -> Lines:
    """Two faces of a pyramid, or all its edges."""
    x, low = float(rng.uniform(0.1, 0.7)), float(rng.uniform(0.1, 0.4))
    tip, ground = (0.0, -float(rng.uniform(1.0, 2.0))), [(-1.0, 0.0), (x, low), (1.0, -low / 2)]
    return _closed([tip, *ground]) + _open([tip, (x, low)])


def face(outlines: list[Outline], rng: np.random.Generator) -> Lines:
    """A shape with eyes and a mouth."""
    eye = float(rng.uniform(0.05, 0.12))
    mouth = _arc(0, 0.1, 0.4, 0.35, 20, 160) if rng.random() < 0.7 else _arc(0, 0.6, 0.4, 0.3, 200, 340)
    return _shape(outlines, rng) + _ring(-0.3, -0.25, eye, eye) + _ring(0.3, -0.25, eye, eye) + _open(mouth)


def eight(outlines: list[Outline], rng: np.random.Generator) -> Lines:
    """A figure eight, one loop often larger."""
    t = np.linspace(0, 2 * np.pi, 100)[:-1]
    size = 1 + float(rng.uniform(-0.3, 0.3)) * np.sign(np.sin(t))
    return _closed(np.stack([0.5 * np.sin(2 * t) * size, np.sin(t) * size], axis=1))


def angle(outlines: list[Outline], rng: np.random.Generator) -> Lines:
    """Two or three lines that meet, and enclose nothing."""
    a, b = rng.uniform(0.4, 1.2, 2).tolist()
    corner = float(rng.uniform(0.5, 2.4))
    lines = [(a, 0.0), (0.0, 0.0), (b * float(np.cos(corner)), b * float(np.sin(corner)))]
    return _open([*lines, (lines[2][0] - float(rng.uniform(0.5, 1)), lines[2][1])] if rng.random() < 0.3 else lines)


def curve(outlines: list[Outline], rng: np.random.Generator) -> Lines:
    """An arc that is far from closing: a C, a bow, a question."""
    sweep = float(rng.uniform(60, 215))
    return _open(_arc(0, 0, 1, float(rng.uniform(0.4, 1.0)), 0, sweep))


def grid(outlines: list[Outline], rng: np.random.Generator) -> Lines:
    """A window, table or fence: a box with lines across."""
    h, columns, rows = float(rng.uniform(0.4, 1.5)), int(rng.integers(1, 4)), int(rng.integers(0, 3))
    box = _closed([(0.0, 0.0), (1.0, 0.0), (1.0, h), (0.0, h)])
    down = [[(i / (columns + 1), 0.0), (i / (columns + 1), h)] for i in range(1, columns + 1)]
    over = [[(0.0, h * i / (rows + 1)), (1.0, h * i / (rows + 1))] for i in range(1, rows + 1)]
    return box + _open(*down, *over)


def flower(outlines: list[Outline], rng: np.random.Generator) -> Lines:
    """A cloud or blossom: bumps all round."""
    bumps, deep = int(rng.integers(4, 9)), float(rng.uniform(0.12, 0.35))
    t = np.linspace(0, 2 * np.pi, 160)[:-1]
    r = 1 + deep * np.abs(np.sin(bumps * t / 2))
    return _closed(np.stack([r * np.cos(t), rng.uniform(0.5, 1) * r * np.sin(t)], axis=1))


def _bent(start: Points, stop: Points, rise: float) -> Points:
    t = np.linspace(0, 1, 12)[:, None]
    way = stop - start
    return start + way * t + rise * np.array([-way[1], way[0]]) * 4 * t * (1 - t)


def _smooth(knots: Points) -> Points:
    """A Catmull-Rom curve through the knots (n, 2)."""
    padded = np.concatenate([knots[:1], knots, knots[-1:]])
    t = np.linspace(0, 1, 12, endpoint=False)[:, None, None]
    a, b, c, d = (padded[i : len(padded) - 3 + i] for i in range(4))
    curve = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
    return np.concatenate([curve.transpose(1, 0, 2).reshape(-1, 2), knots[-1:]])


Kind = Callable[[list[Outline], np.random.Generator], Lines]
KINDS: dict[str, tuple[Kind, float]] = {
    "several": (several, 5), "nested": (nested, 2.5), "struck": (struck, 4), "half": (half, 2), "scribble": (scribble, 2),
    "letter": (letter, 2), "marks": (marks, 1.5), "zigzag": (zigzag, 1), "wave": (wave, 1), "spiral": (spiral, 1),
    "coil": (coil, 0.5), "arch": (arch, 2.5), "ell": (ell, 1), "cube": (cube, 2.5), "cylinder": (cylinder, 2.5),
    "cone": (cone, 1), "pyramid": (pyramid, 1), "face": (face, 1), "eight": (eight, 0.7), "angle": (angle, 1.5),
    "curve": (curve, 1), "grid": (grid, 1.5), "flower": (flower, 0.7),
    "pentagon": (lambda outlines, rng: polygon(outlines, rng, 5), 2.5),
    "octagon": (lambda outlines, rng: polygon(outlines, rng, 8), 0.4),
}  # fmt: skip
