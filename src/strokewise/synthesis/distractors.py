"""Drawings that are none of the shapes, for the class `other`: a random kind → ideal strokes, drawn like any outline's.

A kind with the name of a shape in the catalogue is left out: where there is a folder `pentagon`, no pentagon is drawn
as a distractor. This file holds the kinds that are composed of the catalogue's shapes; `distractor_primitives.py` holds
those that need none.
"""

import bisect
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

import numpy as np

from strokewise.synthesis.distractor_primitives import PRIMITIVES, Polylines, ellipse, ellipse_arc
from strokewise.synthesis.outlines import Catalogue
from strokewise.synthesis.strokes import (
    EdgeList,
    Strokes,
    assemble_strokes,
    drop_repeated_points,
    polyline_length,
    split_at_corners,
)

MAX_TURN_DEG = {
    "letters": 15.0,
    **dict.fromkeys(("cube", "cylinder", "pyramid"), 20.0),
    **dict.fromkeys(("face", "cone", "grid"), 30.0),
}
"""Largest rotation of these kinds in degrees, either way; the others may be rotated by any angle."""


@dataclass(frozen=True, eq=False)
class Distractor:
    """A drawing that is none of the shapes, before the hand draws it."""

    kind: str
    contains: str
    """Names of the shapes that it is composed of, in drawing order, joined by +; empty if none."""
    strokes: Strokes


def sample_distractor(catalogue: Catalogue, uniform: float, rng: np.random.Generator) -> Distractor:
    """A random distractor; `uniform`, from [0, 1), selects its kind, in proportion to the kinds' weights."""
    kinds, bounds = _kinds(catalogue)
    kind = kinds[bisect.bisect_right(bounds, uniform * bounds[-1], hi=len(bounds) - 1)]
    if kind in PRIMITIVES:
        draw_primitive, _ = PRIMITIVES[kind]
        return Distractor(kind, "", assemble_strokes(_to_edges(draw_primitive(rng))))
    compose, _ = COMPOSED[kind]
    sampler = ShapeSampler(catalogue)
    pieces = compose(sampler, rng)
    return Distractor(kind, "+".join(sampler.names), assemble_strokes(pieces))


@lru_cache(maxsize=16)
def _kinds(catalogue: Catalogue) -> tuple[list[str], list[float]]:
    """The kinds that are drawn beside a catalogue's shapes, and the running total of their weights."""
    composed = COMPOSED if any(catalogue.outlines) else {}
    weights = {name: weight for name, (_, weight) in (composed | PRIMITIVES).items() if name not in catalogue.shapes}
    return list(weights), list(accumulate(weights.values()))


@lru_cache(maxsize=16)
def _components(catalogue: Catalogue) -> tuple[list[tuple[str, Strokes]], list[float]]:
    """The outlines that doodles are composed of, each with its shape, and the running total of their weights."""
    named = zip(catalogue.shapes, catalogue.outlines, strict=True)
    components = [(shape, outline.strokes) for shape, outlines in named for outline in outlines]
    return components, list(accumulate(1 / len(strokes.edge_first) for _, strokes in components))


class ShapeSampler:
    """Samples outlines of a catalogue and records the names of their shapes, in order, in `names`."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._components, self._bounds = _components(catalogue)
        self.names: list[str] = []

    def sample(self, rng: np.random.Generator) -> list[EdgeList]:
        """A random outline, stretched a little; outlines with fewer edges are more frequent."""
        number = bisect.bisect_left(self._bounds, rng.random() * self._bounds[-1], hi=len(self._bounds) - 1)
        name, strokes = self._components[number]
        self.names.append(name)
        scale_x, scale_y = np.exp(rng.uniform(-0.5, 0.5, 2))
        points = scale_x * strokes.points.real + 1j * scale_y * strokes.points.imag
        edges = [
            points[a : b + 1] for a, b in zip(strokes.edge_first.tolist(), strokes.edge_last.tolist(), strict=True)
        ]
        return [(edges[a:b], closed, bool(strokes.has_corner[a])) for a, b, closed in strokes.spans]


def several(sampler: ShapeSampler, rng: np.random.Generator) -> list[EdgeList]:
    """Two to four shapes side by side, overlapping or not."""
    pieces: list[EdgeList] = []
    position = 0j
    for _ in range(int(rng.integers(2, 5))):
        pieces += _transform_edges(sampler.sample(rng), float(rng.uniform(0.35, 1.0)), position)
        position += rng.uniform(0.8, 2.2) * _random_direction(rng)
    return pieces


def nested(sampler: ShapeSampler, rng: np.random.Generator) -> list[EdgeList]:
    """A shape inside another."""
    outer, inner = sampler.sample(rng), sampler.sample(rng)
    return outer + _transform_edges(inner, float(rng.uniform(0.25, 0.45)), 0.25 * rng.random() * _random_direction(rng))


def struck(sampler: ShapeSampler, rng: np.random.Generator) -> list[EdgeList]:
    """A shape with one to three straight lines through it or beside it."""
    shape = sampler.sample(rng)
    lines: Polylines = []
    for _ in range(int(rng.integers(1, 4))):
        way, middle = _random_direction(rng), complex(*rng.uniform(-0.7, 0.7, 2))
        lines += [(np.array([middle - rng.uniform(0.7, 1.4) * way, middle + rng.uniform(0.5, 1.4) * way]), False)]
    return shape + _to_edges(lines)


def half(sampler: ShapeSampler, rng: np.random.Generator) -> list[EdgeList]:
    """A quarter to a half of a shape's longest stroke."""
    strokes = [drop_repeated_points(np.concatenate(edges)) for edges, _, _ in sampler.sample(rng)]
    line = max(strokes, key=polyline_length)
    count = max(4, round(len(line) * float(rng.uniform(0.25, 0.5))))
    return _to_edges([(np.roll(line[:-1], int(rng.integers(len(line))))[:count], False)])


def face(sampler: ShapeSampler, rng: np.random.Generator) -> list[EdgeList]:
    """A shape with two eyes and a smiling or sad mouth."""
    radius = float(rng.uniform(0.05, 0.12))
    smiles = rng.random() < 0.7
    mouth = ellipse_arc(0.1j, 0.4, 0.35, 20, 160) if smiles else ellipse_arc(0.6j, 0.4, 0.3, 200, 340)
    eyes = [ellipse(centre, radius, radius) for centre in (-0.3 - 0.25j, 0.3 - 0.25j)]
    return sampler.sample(rng) + _to_edges([*eyes, (mouth, False)])


def _transform_edges(pieces: list[EdgeList], scale: float, shift: complex) -> list[EdgeList]:
    return [([edge * scale + shift for edge in edges], closed, has_corner) for edges, closed, has_corner in pieces]


def _to_edges(lines: Polylines) -> list[EdgeList]:
    return [split_at_corners(drop_repeated_points(line), closed) for line, closed in lines]


def _random_direction(rng: np.random.Generator) -> complex:
    return complex(np.exp(2j * np.pi * rng.random()))


COMPOSED: dict[str, tuple[Callable[[ShapeSampler, np.random.Generator], list[EdgeList]], float]] = {
    "several": (several, 8),
    "nested": (nested, 3.5),
    "struck": (struck, 5),
    "half": (half, 2),
    "face": (face, 1),
}
"""The kinds that contain shapes, each with its weight: how often it is drawn, relative to all other kinds."""
