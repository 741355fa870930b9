"""The order of writing: where each stroke begins, its direction, where the pen is lifted, what is drawn again.

Strokes, HandParams → WritingOrder (indices into the outline's points)
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from strokewise.synthesis.hand_params import HandParams
from strokewise.synthesis.strokes import Floats, Indices, Strokes

MIN_RETRACE_SHARE = 0.2  # minimum share of an open stroke that is retraced; `closing` up to this retraces nothing


@dataclass(frozen=True, eq=False)
class WritingOrder:
    """The outline's points in the order of writing: Q of them, in K pieces between corners."""

    index: Indices
    """(Q,) into the outline's points."""
    starts: list[int]
    """(K + 1) where each piece begins; the last entry is Q."""
    lifted: list[bool]
    """(K + 1) whether the pen is lifted before each piece; True at both ends."""
    stroke_sizes: list[tuple[int, int]]
    """(S) how many points of each stroke are drawn, and how many it has."""

    @cached_property
    def rounds(self) -> Floats:
        """(Q,) how often the pen has gone over the stroke before it passes each point; grows along each stroke."""
        return np.concatenate([np.arange(drawn) / size for drawn, size in self.stroke_sizes])

    @cached_property
    def remaining(self) -> Floats:
        """(Q,) how often it goes over the stroke after each point; falls to 0 along each stroke."""
        return np.concatenate([np.arange(drawn)[::-1] / size for drawn, size in self.stroke_sizes])


def order_strokes(strokes: Strokes, params: HandParams, rng: np.random.Generator) -> WritingOrder:
    """Decide where each stroke begins, its direction, where the pen is lifted, and what is left out or drawn twice."""
    routes: list[Indices] = []
    starts: list[int] = []
    lifted: list[bool] = []
    lifting = 0.0 if params.rounds else params.lifting
    count = 0
    for (a, b), (first_edge, stop_edge, closed) in zip(strokes.stroke_bounds, strokes.spans, strict=True):
        u = rng.random((2 + params.rounds) * (stop_edge - first_edge)).tolist()
        route = _closed_route(strokes, a, b, first_edge, stop_edge, params) if closed else np.arange(a, b)
        breaks = (strokes.is_corner[route[1:]].nonzero()[0] + 1).tolist()
        if not closed and params.closing > MIN_RETRACE_SHARE:  # draw a part of it again, backwards from its end
            retraced = route[: -1 - min(b - a, round(params.closing * (b - a))) : -1]
            breaks += [b - a, *(np.flatnonzero(strokes.is_corner[retraced[:-1]]) + b - a + 1).tolist()]
            route = np.concatenate([route, retraced])
        if not closed and params.rounds:  # to and fro
            route = np.concatenate([route, *[route[::-1], route] * params.rounds][: 1 + params.rounds])
            breaks = []
        if params.backwards:
            route, breaks = route[::-1], [len(route) - position for position in reversed(breaks)]
        routes.append(route)
        starts += [count, *[count + position for position in breaks]]
        lifted += [True, *[value < lifting for value in u[: len(breaks)]]]
        count += len(route)
    index = np.concatenate(routes) if len(routes) > 1 else routes[0]
    sizes = [(len(route), b - a) for route, (a, b) in zip(routes, strokes.stroke_bounds, strict=True)]
    return WritingOrder(index, [*starts, count], [*lifted, True], sizes)


def _closed_route(strokes: Strokes, a: int, b: int, first_edge: int, stop_edge: int, params: HandParams) -> Indices:
    """The points of a closed stroke from where the pen begins, some left out or drawn twice at the end."""
    smooth = not strokes.has_corner[first_edge]
    extra = round(params.closing * (b - a)) if params.lifting < 1 or params.rounds or smooth else 0
    if extra < 0 and not smooth:  # a gap takes a part of one edge, and no corner
        edges = slice(first_edge, stop_edge)
        extra = max(extra, -int(0.8 * (strokes.edge_last[edges] - strokes.edge_first[edges]).min()))
    if smooth or params.between:
        offset = int(params.start * (b - a))
        if extra < 0 and not smooth:
            offset = max(offset, int(strokes.edge_first[strokes.edge_index[a + offset]]) - a - extra)
    else:
        offset = int(strokes.edge_first[first_edge + int(params.start * (stop_edge - first_edge))]) - a
    count = (1 + params.rounds) * (b - a) + extra
    return _cycle(a, b, 3 + params.rounds)[offset : offset + count]


@lru_cache(maxsize=1024)
def _cycle(a: int, b: int, times: int) -> Indices:
    """The integers from a to b - 1, again and again; cached, so the array is read-only."""
    indices = np.tile(np.arange(a, b), times)
    indices.flags.writeable = False
    return indices
