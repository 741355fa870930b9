"""What the layers of the painter hand to each other: strokes as arrays of points.

An outline in its own frame: x right, y down, centred on the origin, longest side 2 (so within [-1, 1]). Its strokes
follow each other in the order a person makes them; each stroke is cut at its corners into edges, and every edge
holds points at even distances along its length, both ends included.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
Indices = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Strokes:
    """Strokes as flat arrays: P points, E edges, S strokes."""

    points: Points
    """(P, 2)."""
    edge: Indices
    """(P,) the edge that each point belongs to, ascending."""
    along: NDArray[np.float64]
    """(P,) how far along its edge: 0 at its first point, 1 at its last."""
    first: Indices
    """(E + 1,) where the points of each edge begin; the last entry is P."""
    corner: NDArray[np.bool_]
    """(E,) whether the edge begins at a corner or a free end; False only on a smooth closed stroke."""
    strokes: Indices
    """(S + 1,) where the edges of each stroke begin; the last entry is E."""
    closed: NDArray[np.bool_]
    """(S,) whether the stroke ends where it began."""
    after: Indices
    """(E,) the edge that begins where each edge ends; for a free end, E + its stroke."""


def assemble(pieces: list[tuple[list[Points], bool, bool]]) -> Strokes:
    """Strokes of a list with, a stroke, its edges (each (n, 2), n ≥ 2), whether closed and whether it has corners."""
    edges = [edge for parts, _, _ in pieces for edge in parts]
    counts = np.array([len(edge) for edge in edges])
    strokes = np.concatenate([[0], np.cumsum([len(parts) for parts, _, _ in pieces])])
    after = np.arange(1, len(edges) + 1)
    for stroke, (_, closed, _) in enumerate(pieces):
        after[strokes[stroke + 1] - 1] = strokes[stroke] if closed else len(edges) + stroke
    return Strokes(
        points=np.concatenate(edges),
        edge=np.repeat(np.arange(len(edges)), counts),
        along=np.concatenate([np.linspace(0.0, 1.0, count) for count in counts]),
        first=np.concatenate([[0], np.cumsum(counts)]),
        corner=np.concatenate([np.full(len(parts), cornered) for parts, _, cornered in pieces]),
        strokes=strokes,
        closed=np.array([closed for _, closed, _ in pieces]),
        after=after,
    )


def resampled(line: Points, count: int) -> Points:
    """`count` points at even distances along a polyline (n, 2) of positive length, both ends included."""
    steps = np.hypot(*np.diff(line, axis=0).T)
    reached = np.concatenate([[0.0], np.cumsum(steps)])
    wanted = np.linspace(0.0, reached[-1], count)
    return np.stack([np.interp(wanted, reached, line[:, 0]), np.interp(wanted, reached, line[:, 1])], axis=1)


def length(line: Points) -> float:
    """The length of a polyline (n, 2)."""
    return float(np.hypot(*np.diff(line, axis=0).T).sum())


def edges_of(line: Points, closed: bool, sharp_deg: float = 25.0) -> tuple[list[Points], bool, bool]:
    """Cut a polyline (n, 2) without repeated points into edges at its corners, for `assemble`.

    A corner is where the direction changes by more than `sharp_deg` between neighbouring points, so a curve must come
    in steps finer than that. A closed line ends with its first point; it comes back beginning at a corner, if any.
    """
    steps = np.diff(line, axis=0)
    heading = np.arctan2(steps[:, 1], steps[:, 0])
    turning = np.abs((np.diff(heading, append=heading[:1] if closed else heading[-1:]) + np.pi) % (2 * np.pi) - np.pi)
    corners = np.flatnonzero(turning > np.radians(sharp_deg)) + 1  # turning[i] is at point i + 1
    if closed and len(corners):
        line = np.concatenate([line[corners[0] : -1], line[: corners[0] + 1]])
        corners = corners[1:] - corners[0]
    cuts = [0, *corners.tolist(), len(line) - 1]
    edges = [_even(line[a : b + 1]) for a, b in zip(cuts[:-1], cuts[1:], strict=True) if b > a]
    return edges, closed, not closed or bool(len(turning[turning > np.radians(sharp_deg)]))


def _even(line: Points) -> Points:
    """An edge with as many points as its bends need: 9 when straight, 10 more a quarter turn, 73 at most."""
    heading = np.unwrap(np.arctan2(*np.diff(line, axis=0).T[::-1]))
    bends = float(np.abs(np.diff(heading)).sum()) if len(heading) > 1 else 0.0
    return resampled(line, min(73, 9 + round(10 * bends / (np.pi / 2))))
