"""Strokes and measures that several tests of the hand use."""

import numpy as np

from strokewise.synthesis.hand import PenPath
from strokewise.synthesis.outlines import Outline
from strokewise.synthesis.strokes import Points, Strokes, assemble_strokes, polyline_length, split_at_corners


def random(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def single_stroke(line: Points, closed: bool) -> Strokes:
    return assemble_strokes([split_at_corners(line, closed)])


def unit_square() -> Strokes:
    return single_stroke(np.array([0, 1, 1 + 1j, 1j, 0]), closed=True)


def circle() -> Strokes:
    return single_stroke(np.exp(1j * np.linspace(0, 2 * np.pi, 200)), closed=True)


def split_runs(path: PenPath) -> list[Points]:
    return np.split(path.line, path.pen_downs)


def shoelace_area(line: Points) -> float:
    return abs(float((line.conj() * np.roll(line, -1)).imag.sum())) / 2


def path_length(path: PenPath) -> float:
    return sum(polyline_length(run) for run in split_runs(path))


def outline_length(outline: Outline) -> float:
    strokes = outline.strokes
    edges = zip(strokes.edge_first, strokes.edge_last, strict=True)
    return sum(polyline_length(strokes.points[a : b + 1]) for a, b in edges)


def as_point_set(points: Points) -> set[tuple[float, ...]]:
    return {tuple(point) for point in np.round(np.stack([points.real, points.imag], 1), 9)}
