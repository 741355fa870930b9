"""What is none of the shapes, for `other`: ideal strokes out, which the hand then draws like any shape's.

    doodle(catalogue, lot, rng) -> Doodle(kind, names of the shapes in it, Strokes)

A kind that carries the name of a shape in the catalogue is left out: with a folder `pentagon`, pentagons are no
doodles. Here are the kinds that are made of shapes; those that are drawn from nothing are in `distractor_primitives.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from strokewise.synthesis import distractor_primitives
from strokewise.synthesis.distractor_primitives import Polylines
from strokewise.synthesis.outlines import Catalogue
from strokewise.synthesis.strokes import (
    EdgeList,
    Strokes,
    assemble_strokes,
    drop_repeated_points,
    polyline_length,
    split_at_corners,
)


@dataclass(frozen=True, eq=False)
class Distractor:
    """What is none of the shapes, as a hand is to draw it."""

    kind: str
    contains: str
    """Names of the shapes that it is made of, in the order of drawing, with a + between; empty for none."""
    strokes: Strokes


def sample_distractor(catalogue: Catalogue, lot: float, rng: np.random.Generator) -> Distractor:
    """One doodle, of the kind that `lot` from [0, 1) falls on; those that contain shapes are more frequent."""
    composed = {kind: weight for kind, (_, weight) in COMPOSED_WEIGHTS.items() if any(catalogue.outlines)}
    kinds = {kind: weight for kind, weight in {**composed, **PRIMITIVE_WEIGHTS}.items() if kind not in catalogue.shapes}
    bounds = np.cumsum(list(kinds.values()))
    kind = list(kinds)[int(np.searchsorted(bounds[:-1], lot * bounds[-1], side="right"))]
    if kind not in COMPOSED_WEIGHTS:
        return Distractor(kind, "", assemble_strokes(_to_edges(distractor_primitives.PRIMITIVES[kind](rng))))
    shapes = ShapeSampler(catalogue)
    pieces = COMPOSED_WEIGHTS[kind][0](shapes, rng)
    return Distractor(kind, "+".join(shapes.drawn), assemble_strokes(pieces))


class ShapeSampler:
    """The shapes of a catalogue to make doodles of, and which of them were drawn."""

    def __init__(self, catalogue: Catalogue) -> None:
        named = zip(catalogue.shapes, catalogue.outlines, strict=True)
        self._all = [(shape, outline.strokes) for shape, outlines in named for outline in outlines]
        self.drawn: list[str] = []

    def draw(self, rng: np.random.Generator) -> list[EdgeList]:
        """One of them, stretched a little; what is easy is doodled more."""
        simple = np.cumsum([1 / len(strokes.first) for _, strokes in self._all])
        shape, strokes = self._all[int(np.searchsorted(simple[:-1], rng.random() * simple[-1]))]
        self.drawn.append(shape)
        wide, high = np.exp(rng.uniform(-0.5, 0.5, 2))
        points = wide * strokes.points.real + 1j * high * strokes.points.imag
        edges = [points[a : b + 1] for a, b in zip(strokes.first.tolist(), strokes.last.tolist(), strict=True)]
        return [(edges[one:end], closed, bool(strokes.cornered[one])) for one, end, closed in strokes.parts]


def several(shapes: ShapeSampler, rng: np.random.Generator) -> list[EdgeList]:
    """Two to four shapes side by side, overlapping or not."""
    pieces: list[EdgeList] = []
    at = 0j
    for _ in range(int(rng.integers(2, 5))):
        pieces += _transform_edges(shapes.draw(rng), float(rng.uniform(0.35, 1.0)), at)
        at += rng.uniform(0.8, 2.2) * _random_direction(rng)
    return pieces


def nested(shapes: ShapeSampler, rng: np.random.Generator) -> list[EdgeList]:
    """A shape within another."""
    outer, inner = shapes.draw(rng), shapes.draw(rng)
    return outer + _transform_edges(inner, float(rng.uniform(0.3, 0.55)), 0.25 * rng.random() * _random_direction(rng))


def struck(shapes: ShapeSampler, rng: np.random.Generator) -> list[EdgeList]:
    """A shape with a line or more right through or beside it."""
    shape = shapes.draw(rng)
    lines: Polylines = []
    for _ in range(int(rng.integers(1, 4))):
        way, middle = _random_direction(rng), complex(*rng.uniform(-0.7, 0.7, 2))
        lines += [(np.array([middle - rng.uniform(0.7, 1.4) * way, middle + rng.uniform(0.5, 1.4) * way]), False)]
    return shape + _to_edges(lines)


def half(shapes: ShapeSampler, rng: np.random.Generator) -> list[EdgeList]:
    """Less than half of a shape."""
    line = max((drop_repeated_points(np.concatenate(edges)) for edges, _, _ in shapes.draw(rng)), key=polyline_length)
    count = max(4, round(len(line) * float(rng.uniform(0.25, 0.5))))
    return _to_edges([(np.roll(line[:-1], int(rng.integers(len(line))))[:count], False)])


def face(shapes: ShapeSampler, rng: np.random.Generator) -> list[EdgeList]:
    """A shape with eyes and a mouth."""
    eye = float(rng.uniform(0.05, 0.12))
    mouth = (
        distractor_primitives.ellipse_arc(0.1j, 0.4, 0.35, 20, 160)
        if rng.random() < 0.7
        else distractor_primitives.ellipse_arc(0.6j, 0.4, 0.3, 200, 340)
    )
    eyes = [distractor_primitives.ellipse(place, eye, eye) for place in (-0.3 - 0.25j, 0.3 - 0.25j)]
    return shapes.draw(rng) + _to_edges([*eyes, (mouth, False)])


def _transform_edges(pieces: list[EdgeList], scale: float, to: complex) -> list[EdgeList]:
    return [([edge * scale + to for edge in edges], closed, has) for edges, closed, has in pieces]


def _to_edges(lines: Polylines) -> list[EdgeList]:
    return [split_at_corners(drop_repeated_points(line), closed) for line, closed in lines]


def _random_direction(rng: np.random.Generator) -> complex:
    return complex(np.exp(2j * np.pi * rng.random()))


ComposedDistractor = Callable[[ShapeSampler, np.random.Generator], list[EdgeList]]
COMPOSED_WEIGHTS: dict[str, tuple[ComposedDistractor, float]] = {
    "several": (several, 7),
    "nested": (nested, 2.5),
    "struck": (struck, 4),
    "half": (half, 2),
    "face": (face, 1),
}
PRIMITIVE_WEIGHTS: dict[str, float] = {
    "scribble": 2,
    "letters": 2,
    "marks": 1.5,
    "zigzag": 1,
    "wave": 1,
    "spiral": 1,
    "coil": 0.5,
    "arch": 3,
    "ell": 1,
    "cube": 4.5,
    "cylinder": 4.5,
    "cone": 1,
    "pyramid": 1,
    "eight": 0.7,
    "angle": 1.5,
    "curve": 1,
    "grid": 1.5,
    "flower": 0.7,
    "pentagon": 3,
    "octagon": 0.4,
}
"""How often each kind is drawn, in proportion."""
assert set(PRIMITIVE_WEIGHTS) == set(distractor_primitives.PRIMITIVES)
MAX_TURN_DEG = {
    "letters": 15.0,
    "face": 30.0,
    "cube": 20.0,
    "cylinder": 20.0,
    "cone": 30.0,
    "pyramid": 20.0,
    "grid": 30.0,
}
"""Degrees either way that these may be turned; the others lie any way."""
