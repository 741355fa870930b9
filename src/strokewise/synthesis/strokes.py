"""Strokes as arrays: what the layers of the synthesis take and return. A point is a complex number x + iy.

The frame of an outline: x right, y down, bounding box centred on 0, longest side 2. Strokes are in drawing order, each
split at its corners into edges. The points of an edge include both ends and are spaced evenly in time.
"""

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate, pairwise

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.complex128]
Floats = NDArray[np.float64]
Indices = NDArray[np.intp]
Booleans = NDArray[np.bool_]
STRAIGHT_EDGE_POINTS = 9  # points of a straight edge


@dataclass(frozen=True, eq=False, repr=False)
class Strokes:
    """Strokes as flat arrays: P points, E edges, S strokes. Built by `assemble_strokes`."""

    points: Points
    """(P,) the points of all edges, one edge after the other."""
    half_size: complex
    """Half the width and half the height of the bounding box."""
    edge_index: Indices
    """(P,) the edge that each point belongs to, ascending."""
    edge_time: Floats
    """(P,) when the pen passes each point: 0 at the first point of its edge, 1 at the last."""
    edge_first: Indices
    """(E,) the first point of each edge."""
    edge_last: Indices
    """(E,) the last point of each edge."""
    has_corner: Booleans
    """(E,) whether the edge begins at a corner or a free end; False only on a smooth closed stroke."""
    next_edge: Indices
    """(E,) the edge that begins where each one ends; E + the number of the stroke at a free end."""
    spans: tuple[tuple[int, int, bool], ...]
    """(S) the first edge of each stroke, the edge after its last, and whether the stroke is closed."""
    is_corner: Booleans
    """(P,) whether an edge begins there at a corner or a free end."""

    @cached_property
    def stroke_bounds(self) -> list[tuple[int, int]]:
        """(S) the first point of each stroke, and the point after its last."""
        return [(int(self.edge_first[a]), int(self.edge_last[b - 1]) + 1) for a, b, _ in self.spans]

    @cached_property
    def arc(self) -> Floats:
        """(P,) the height of a parabola over each edge: 0 at its ends, 1 in its middle."""
        return 4 * self.edge_time * (1 - self.edge_time)

    @cached_property
    def s_curve(self) -> Floats:
        """(P,) the height of an S over each edge: 0 at its ends and in its middle, to one side before it."""
        return self.arc * (2 - 4 * self.edge_time)


EdgeList = tuple[list[Points], bool, bool]
"""A stroke as its edges, whether it is closed, and whether its edges begin at corners or free ends."""


def assemble_strokes(pieces: list[EdgeList]) -> Strokes:
    """Strokes from the edges of each (every edge (n,), n ≥ 2), scaled and shifted into the frame of an outline."""
    edges = [edge for stroke, _, _ in pieces for edge in stroke]
    counts = np.array([len(edge) for edge in edges])
    ends = np.cumsum(counts)
    first = ends - counts
    points, half_size = normalise_frame(np.concatenate(edges))
    bounds = list(accumulate((len(stroke) for stroke, _, _ in pieces), initial=0))
    next_edge = np.arange(1, len(edges) + 1)
    for number, (_, closed, _) in enumerate(pieces):
        next_edge[bounds[number + 1] - 1] = bounds[number] if closed else len(edges) + number
    has_corner = np.repeat([corners for _, _, corners in pieces], [len(stroke) for stroke, _, _ in pieces])
    is_corner = np.zeros(len(points), dtype=bool)
    is_corner[first[has_corner]] = True
    return Strokes(
        points=points,
        half_size=half_size,
        edge_index=np.repeat(np.arange(len(edges)), counts),
        edge_time=np.concatenate([unit_steps(count) for count in counts.tolist()]),
        edge_first=first,
        edge_last=ends - 1,
        has_corner=has_corner,
        next_edge=next_edge,
        spans=tuple((a, b, closed) for (a, b), (_, closed, _) in zip(pairwise(bounds), pieces, strict=True)),
        is_corner=is_corner,
    )


def normalise_frame(points: Points) -> tuple[Points, complex]:
    """Centre the bounding box of points (n,) on 0 and scale its longest side to 2; also returns half the new box."""
    left, top, right, bottom = bounding_box(points)
    scale = 2 / max(right - left, bottom - top)
    centre = complex(left + right, top + bottom) / 2
    return (points - centre) * scale, complex(right - left, bottom - top) * scale / 2


def bounding_box(points: Points) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of points (n,)."""
    xy = np.array([points.real, points.imag])
    (left, top), (right, bottom) = xy.min(axis=1).tolist(), xy.max(axis=1).tolist()
    return left, top, right, bottom


@lru_cache(maxsize=1024)
def unit_steps(count: int) -> Floats:
    """(count,) evenly spaced numbers from 0 to 1; cached, so the array is read-only."""
    steps = np.linspace(0.0, 1.0, count)
    steps.flags.writeable = False
    return steps


STRAIGHT_EDGE = np.array([1 - unit_steps(STRAIGHT_EDGE_POINTS), unit_steps(STRAIGHT_EDGE_POINTS)], np.complex128)
"""(2, STRAIGHT_EDGE_POINTS) how much of its first and of its last point is in each point; exact at both ends."""


def polyline_length(line: Points) -> float:
    """The length of a polyline (n,)."""
    return float(np.abs(line[1:] - line[:-1]).sum())


def drop_repeated_points(line: Points) -> Points:
    """A polyline (n,) without points that repeat the one before, to a millionth of its size."""
    if len(line) < 2:
        return line
    tolerance = 1e-6 * float(np.abs(line - line[0]).max())
    keep = np.abs(line[1:] - line[:-1]) > tolerance
    return line if keep.all() else line[np.append(True, keep)]


def split_at_corners(line: Points, closed: bool, sharp_deg: float = 25.0) -> EdgeList:
    """Split a polyline (n,), n ≥ 2, without repeated points into edges at its corners, each resampled.

    A corner is where the direction changes by more than `sharp_deg` between neighbouring segments, so the segments of a
    curve must turn by less. A closed polyline ends with its first point; its first edge begins at a corner, if any.
    """
    segments = line[1:] - line[:-1]
    following = np.append(segments[1:], segments[0] if closed else segments[-1])
    turning = np.abs(np.angle(following / segments))  # turning[i] is at point i + 1
    corners = (turning > math.radians(sharp_deg)).nonzero()[0] + 1
    has_corner = bool(len(corners)) or not closed
    if closed and len(corners):
        line = np.concatenate([line[corners[0] : -1], line[: corners[0] + 1]])
        corners = corners[1:] - corners[0]
    cuts = [0, *corners.tolist(), len(line) - 1]
    return [_resample_edge(line[a : b + 1]) for a, b in pairwise(cuts) if b > a], closed, has_corner


def _resample_edge(line: Points) -> Points:
    """An edge with as many points as its bends need: 9 if straight, 10 more per quarter turn, at most 73.

    They are spaced evenly in time, not in length: a hand slows down in bends (the two-thirds power law, Lacquaniti,
    Terzuolo and Viviani 1983). Here half of the time passes in proportion to length, half in proportion to turning.
    """
    if len(line) == 2:
        straight: Points = line @ STRAIGHT_EDGE
        return straight
    segments = line[1:] - line[:-1]
    turns = np.abs(np.angle(segments[1:] / segments[:-1]))
    total_turn = float(turns.sum())
    durations = np.abs(segments)
    durations /= durations.sum()
    if total_turn > 0.1:  # the time of a turn is shared by the segments before and after it
        durations[:-1] += turns / (2 * total_turn)
        durations[1:] += turns / (2 * total_turn)
    times = np.zeros(len(line))
    durations.cumsum(out=times[1:])
    count = min(73, STRAIGHT_EDGE_POINTS + round(10 * total_turn / (np.pi / 2)))
    return np.asarray(np.interp(times[-1] * unit_steps(count), times, line), dtype=np.complex128)
