"""What the layers of the painter hand to each other: strokes as arrays of points, a point as a complex number x + iy.

An outline in its own frame: x right, y down, its box centred on 0, its longest side 2. Its strokes follow each other in
the order a person makes them; each is cut at its corners into edges, and every edge holds points as a pen passes them
in equal times, both ends included.
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.complex128]
Floats = NDArray[np.float64]
Indices = NDArray[np.intp]
Booleans = NDArray[np.bool_]
STRAIGHT_EDGE_POINTS = 9  # points of a straight edge


@dataclass(frozen=True, eq=False, repr=False)
class Strokes:
    """Strokes as flat arrays: P points, E edges, S strokes. Made by `assemble_strokes`."""

    points: Points
    """(P,)."""
    half: complex
    """Half the width and half the height of their box."""
    edge: Indices
    """(P,) the edge that each point belongs to, ascending."""
    along: Floats
    """(P,) when it is passed: 0 at the first point of its edge, 1 at the last."""
    first: Indices
    """(E,) the first point of each edge."""
    last: Indices
    """(E,) its last point."""
    cornered: Booleans
    """(E,) whether the edge begins at a corner or a free end; False only on a smooth closed stroke."""
    after: Indices
    """(E,) the edge that begins where each one ends; at a free end E + the number of the stroke."""
    parts: tuple[tuple[int, int, bool], ...]
    """(S) the first edge of each stroke, the first that is no longer of it, and whether it ends where it began."""
    begins: Booleans
    """(P,) whether an edge begins there at a corner."""


EdgeList = tuple[list[Points], bool, bool]  # the edges of a stroke, whether it is closed, whether it has corners


def assemble_strokes(pieces: list[EdgeList]) -> Strokes:
    """Strokes from their edges (each (n,), n ≥ 2), scaled and shifted into the frame of an outline."""
    edges = [edge for parts, _, _ in pieces for edge in parts]
    counts = np.array([len(edge) for edge in edges])
    ends = np.cumsum(counts)
    first = ends - counts
    points, half = normalise_frame(np.concatenate(edges))
    bounds = np.cumsum([0, *(len(parts) for parts, _, _ in pieces)]).tolist()
    after = np.arange(1, len(edges) + 1)
    for stroke, (_, closed, _) in enumerate(pieces):
        after[bounds[stroke + 1] - 1] = bounds[stroke] if closed else len(edges) + stroke
    cornered = np.concatenate([np.full(len(parts), has) for parts, _, has in pieces])
    begins = np.zeros(len(points), dtype=bool)
    begins[first[cornered]] = True
    return Strokes(
        points=points,
        half=half,
        edge=np.repeat(np.arange(len(edges)), counts),
        along=np.concatenate([unit_steps(count) for count in counts.tolist()]),
        first=first,
        last=ends - 1,
        cornered=cornered,
        after=after,
        parts=tuple((a, b, closed) for (a, b), (_, closed, _) in zip(pairwise(bounds), pieces, strict=True)),
        begins=begins,
    )


def normalise_frame(points: Points) -> tuple[Points, complex]:
    """Shifted and scaled so that their box is centred on 0 and its longest side is 2; and half that box."""
    x, y = points.real, points.imag
    left, right, top, bottom = float(x.min()), float(x.max()), float(y.min()), float(y.max())
    scale = 2 / max(right - left, bottom - top)
    middle = complex(left + right, top + bottom) / 2
    return (points - middle) * scale, complex(right - left, bottom - top) * scale / 2


@lru_cache(maxsize=1024)
def unit_steps(count: int) -> Floats:
    """(count,) even steps from 0 to 1, not to be written to."""
    steps = np.linspace(0.0, 1.0, count)
    steps.flags.writeable = False
    return steps


def polyline_length(line: Points) -> float:
    """The length of a polyline (n,)."""
    return float(np.abs(np.diff(line)).sum())


def drop_repeated_points(line: Points) -> Points:
    """A polyline (n,) without the points that repeat their neighbour, to a millionth of the whole."""
    if len(line) < 2:
        return line
    near = 1e-6 * float(np.abs(line - line[0]).max())
    keep: Booleans = np.abs(np.diff(line, prepend=np.inf)) > near
    return line[keep]


def split_at_corners(line: Points, closed: bool, sharp_deg: float = 25.0) -> EdgeList:
    """Cut a polyline (n,), n ≥ 2, without repeated points into edges at its corners.

    A corner is where the direction changes by more than `sharp_deg` between neighbouring points, so a curve must come
    in steps finer than that. A closed line ends with its first point; it comes back beginning at a corner, if any.
    """
    steps = np.diff(line)
    onward = np.append(steps[1:], steps[0] if closed else steps[-1])
    turning = np.abs(np.angle(onward / steps))  # turning[i] is at point i + 1
    corners = np.flatnonzero(turning > np.radians(sharp_deg)) + 1
    has = bool(len(corners)) or not closed
    if closed and len(corners):
        line = np.concatenate([line[corners[0] : -1], line[: corners[0] + 1]])
        corners = corners[1:] - corners[0]
    cuts = [0, *corners.tolist(), len(line) - 1]
    return [_resample_edge(line[a : b + 1]) for a, b in pairwise(cuts) if b > a], closed, has


def _resample_edge(line: Points) -> Points:
    """An edge with as many points as its bends need: 9 when straight, 10 more a quarter turn, 73 at most.

    They are even in time rather than in length: a hand slows down in bends (the two-thirds power law, Lacquaniti,
    Terzuolo and Viviani 1983), here by as much as makes half the time go by length and half by turning.
    """
    if len(line) == 2:
        t = unit_steps(STRAIGHT_EDGE_POINTS)
        return np.asarray(line[0] * (1 - t) + line[1] * t, dtype=np.complex128)  # exactly the ends at the ends
    steps = line[1:] - line[:-1]
    turns = np.abs(np.angle(steps[1:] / steps[:-1]))
    bends = float(turns.sum())
    time = np.abs(steps)
    time /= time.sum()
    if bends > 0.1:  # a turn is shared by the steps before and after
        time[:-1] += turns / (2 * bends)
        time[1:] += turns / (2 * bends)
    reached = np.zeros(len(line))
    time.cumsum(out=reached[1:])
    count = min(73, STRAIGHT_EDGE_POINTS + round(10 * bends / (np.pi / 2)))
    return np.asarray(np.interp(reached[-1] * unit_steps(count), reached, line), dtype=np.complex128)
