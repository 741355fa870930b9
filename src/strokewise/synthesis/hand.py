"""Why it looks hand-drawn: ideal strokes in, the strokes of an unsteady hand out, through a stack of small layers.

    Strokes, HandParams → PenPath (the path of the pen in the frame of the outline)

Points are complex numbers x + iy; the longest side of the outline is 2. The layers, in the order of `draw_strokes`:

    the plan (P points of the outline)      stretch_outline → displace_corners → bow_edges
    the order of writing                    order_strokes
    the movement (Q points of the path)     extend_ends → smooth_corners → add_hooks → add_drift → add_tremor
    the whole drawing                       apply_transform

A layer changes nothing where its parameter is 0. Sources: the kinematic theory of rapid movements, where strokes
overlap in time (Plamondon 1995; O'Reilly and Plamondon 2009, sigma-lognormal); isochrony, by which long strokes take
hardly longer than short ones (Viviani and Terzuolo 1982); physiological tremor of 8 to 12 Hz; and gesture synthesis,
where a simple model suffices (Taranta et al. 2016, stochastic resampling).
"""

import cmath
import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np

from strokewise.synthesis.hand_params import HandParams
from strokewise.synthesis.strokes import Booleans, Floats, Indices, Points, Strokes, unit_steps

DRIFT_WAVES = 4  # slow drift has 1 to this many half-waves along a drawing
HOOK_POINTS = 4  # points of a hook
MIN_RETRACE_SHARE = 0.2  # minimum share of an open stroke that is retraced; `closing` up to this retraces nothing
MIN_FLATNESS = 0.02  # what is flatter is a line with no inside to spare: it is distorted as if it were as high as wide


@dataclass(frozen=True, eq=False)
class PenPath:
    """The path of the pen, and what inking it needs to know. A run is what is drawn without lifting the pen."""

    line: Points
    """(Q,) all runs, one after the other, in the order of writing."""
    pen_downs: Indices
    """(R - 1,) where in `line` each run but the first begins."""
    detail: float
    """Size of the finest detail (the shorter edges or the short side): a pen must be narrower not to hide it."""
    closed_plans: list[Points]
    """The plan (n,) of each closed stroke."""
    params: HandParams

    @property
    def areas(self) -> list[Points]:
        """The polygon (n,) that each closed stroke encloses; computed on demand, as few paintings are filled."""
        return [apply_transform(plan, self.params) for plan in self.closed_plans]


def draw_strokes(strokes: Strokes, params: HandParams, rng: np.random.Generator) -> PenPath:
    """Draw an outline with the hand that `params` describes: all layers in their order."""
    edge_count = len(strokes.edge_first)
    care = min(1.0, 4 / edge_count)  # the more there is to draw, the more carefully each part is drawn
    noise = rng.standard_normal((4, edge_count + len(strokes.spans)))
    plan, half_size = stretch_outline(strokes.points, strokes.half_size, params.stretch, params.mirrored)
    if min(half_size.real, half_size.imag) < MIN_FLATNESS:
        half_size = 1 + 1j
    plan = displace_corners(plan, strokes, half_size, care * params.corners, noise[0] + 1j * noise[1])
    bow, pinch = care**2 * params.bow, care**2 * params.pinch  # squared: a strongly pinched pentagon would be a star
    plan = bow_edges(plan, strokes, half_size, bow, pinch, noise[2, :edge_count], noise[3, :edge_count])
    order = order_strokes(strokes, params, rng)
    line = extend_ends(plan[order.index], order, params, care**2, rng)
    flatness = min(half_size.real, half_size.imag)
    # in a flat shape the same rounding would take all of a short edge
    line, pen_downs = smooth_corners(line, order, care * min(1.0, 3 * flatness) * params.rounding, rng)
    line = add_hooks(line, pen_downs, params.hooks, rng)
    line = add_tremor(add_drift(line, params.drift, rng), params.tremor, rng)
    closed_plans = [
        plan[strokes.edge_first[a] : strokes.edge_last[b - 1] + 1] for a, b, closed in strokes.spans if closed
    ]
    chords = np.sort(np.abs(plan[strokes.edge_last] - plan[strokes.edge_first])[strokes.has_corner])
    detail = min(2 * flatness, float(chords[len(chords) // 4]) if len(chords) else 2.0)
    return PenPath(apply_transform(line, params), pen_downs, detail, closed_plans, params)


# --- the plan: the outline that the hand intends to draw


def stretch_outline(points: Points, half_size: complex, factor: float, mirrored: bool) -> tuple[Points, complex]:
    """Multiply width against height by `factor`, keeping the longest side at 2; also returns half the new box."""
    scale_y = 1.0 / max(half_size.real * factor, half_size.imag)
    scale_x = scale_y * factor * (-1 if mirrored else 1)
    stretched = scale_x * points.real + 1j * scale_y * points.imag
    return stretched, complex(scale_y * factor * half_size.real, scale_y * half_size.imag)


def displace_corners(points: Points, strokes: Strokes, half_size: complex, level: float, noise: Points) -> Points:
    """Move every corner by a random amount; edges follow linearly, so that straight edges stay straight.

    Args:
        points: (P,), the stretched outline.
        strokes: The outline, for its edges and corners.
        half_size: Half the box of `points`. Along the short side of a flat shape, corners move less.
        level: Standard deviation of the displacement.
        noise: (E + S,), standard normal in both parts, one for each corner or free end.
    """
    if level == 0:
        return points
    moves = level * (
        min(half_size.real, 3 * half_size.imag) * noise.real.clip(-2.2, 2.2)
        + 1j * min(half_size.imag, 3 * half_size.real) * noise.imag.clip(-2.2, 2.2)
    )
    edge_count = len(strokes.edge_first)
    chords = np.abs(points[strokes.edge_last] - points[strokes.edge_first])
    moves[:edge_count] *= strokes.has_corner * np.minimum(1.0, chords)
    change = moves[strokes.next_edge] - moves[:edge_count]
    return points + moves[strokes.edge_index] + change[strokes.edge_index] * strokes.edge_time


def bow_edges(
    points: Points, strokes: Strokes, half_size: complex, level: float, pinch: float, single: Floats, double: Floats
) -> Points:
    """Let edges rise or sag between their ends, some in an S; the ends stay.

    Args:
        points: (P,), the plan so far.
        strokes: The outline, for its edges.
        half_size: Half the box of `points`.
        level: Standard deviation of the rise, in lengths of the edge.
        pinch: Rise outward that all edges share: a wrist turns round its elbow, so edges may err alike.
        single: (E,), standard normal: the rise of a single arc.
        double: (E,), standard normal: the rise of an S.
    """
    if level == 0 and pinch == 0:
        return points
    start, stop = points[strokes.edge_first], points[strokes.edge_last]
    chord = stop - start
    length = np.abs(chord)
    normal = -1j * chord / np.maximum(length, 1e-9)  # to the left of the direction of drawing, as seen on the page
    depth = 2 * (np.abs(normal.real) * half_size.real + np.abs(normal.imag) * half_size.imag)
    outward = np.sign((normal * (start + stop).conj()).real)
    scale = normal * np.minimum(length, depth)  # no edge rises higher than the shape is deep
    arc = scale * (level * single + pinch * outward).clip(-0.25, 0.25)
    s_curve = scale * (0.4 * level * double).clip(-0.1, 0.1)
    t = strokes.edge_time
    rise = 4 * t * (1 - t)
    bowed: Points = points + rise * (arc[strokes.edge_index] + s_curve[strokes.edge_index] * (2 - 4 * t))
    return bowed


# --- the order of writing


@dataclass(frozen=True, eq=False)
class WritingOrder:
    """The outline's points in the order of writing: Q of them, in K pieces between corners."""

    index: Indices
    """(Q,) into the outline's points."""
    starts: Indices
    """(K + 1,) where each piece begins; the last entry is Q."""
    lifted: Booleans
    """(K + 1,) whether the pen is lifted before each piece; True at both ends."""


def order_strokes(strokes: Strokes, params: HandParams, rng: np.random.Generator) -> WritingOrder:
    """Decide where each stroke begins, its direction, where the pen is lifted, and what is left out or drawn twice."""
    routes, starts, lifted = [], [], []
    count = 0
    for first_edge, stop_edge, closed in strokes.spans:
        u = rng.random(2 * (stop_edge - first_edge)).tolist()
        a, b = int(strokes.edge_first[first_edge]), int(strokes.edge_last[stop_edge - 1]) + 1
        route = _closed_route(strokes, first_edge, stop_edge, params) if closed else np.arange(a, b)
        breaks = (np.flatnonzero(strokes.is_corner[route[1:]]) + 1).tolist()
        if not closed and params.closing > MIN_RETRACE_SHARE:  # draw a part of it again, backwards from its end
            retraced = route[: -1 - min(b - a, round(params.closing * (b - a))) : -1]
            breaks += [b - a, *(np.flatnonzero(strokes.is_corner[retraced[:-1]]) + b - a + 1).tolist()]
            route = np.concatenate([route, retraced])
        if params.backwards:
            route, breaks = route[::-1], [len(route) - position for position in reversed(breaks)]
        routes.append(route)
        starts += [count, *(count + position for position in breaks)]
        lifted += [True, *(value < params.lifting for value in u[: len(breaks)])]
        count += len(route)
    index = np.concatenate(routes) if len(routes) > 1 else routes[0]
    return WritingOrder(index, np.array([*starts, count]), np.array([*lifted, True]))


def _closed_route(strokes: Strokes, first_edge: int, stop_edge: int, params: HandParams) -> Indices:
    """The points of a closed stroke from where the pen begins, some left out or drawn twice at the end."""
    a, b = int(strokes.edge_first[first_edge]), int(strokes.edge_last[stop_edge - 1]) + 1
    smooth = not strokes.has_corner[first_edge]
    extra = round(params.closing * (b - a)) if params.lifting < 1 or smooth else 0
    if extra < 0 and not smooth:  # a gap takes a part of one edge, and no corner
        edges = slice(first_edge, stop_edge)
        extra = max(extra, -int(0.8 * (strokes.edge_last[edges] - strokes.edge_first[edges]).min()))
    if smooth or params.between:
        offset = int(params.start * (b - a))
        if extra < 0 and not smooth:
            offset = max(offset, int(strokes.edge_first[strokes.edge_index[a + offset]]) - a - extra)
    else:
        offset = int(strokes.edge_first[first_edge + int(params.start * (stop_edge - first_edge))]) - a
    return a + (offset + np.arange(b - a + extra)) % (b - a)


# --- the movement: how the plan is carried out


def extend_ends(line: Points, order: WritingOrder, params: HandParams, care: float, rng: np.random.Generator) -> Points:
    """End pieces beyond or short of their corners: overshoots and gaps where the pen is lifted, else loops or cuts.

    A straight piece is lengthened as a whole, a curved one leaves its curve only near the end. `care` (0 to 1) scales
    all displacements.
    """
    noise_a, noise_b, noise_c = rng.standard_normal((3, 2, len(order.starts) - 1)).tolist()
    if params.overshoot == 0 and params.loops == 0 and params.flight == 0:
        return line
    extended = line.copy()
    distance = np.zeros(len(line))
    np.abs(line[1:] - line[:-1]).cumsum(out=distance[1:])
    lifted = order.lifted.tolist()
    for k, (a, b) in enumerate(pairwise(order.starts.tolist())):
        quarter = (b - a - 1) // 4 + (b - a > 1)
        start, after_start, before_stop, stop = line[a:b][[0, quarter, -1 - quarter, -1]].tolist()
        length = float(distance[b - 1] - distance[a]) + 1e-9
        curved = abs(stop - start) < 0.97 * length
        most = 0.08 + 0.6 * length
        least = (-0.05 if curved else -0.2) * length  # a curve pulled back further would be a spiral
        weights = _end_weights(b - a, curved)
        for end, outward, ramp in ((0, start - after_start, weights[::-1]), (1, stop - before_stop, weights)):
            outward /= abs(outward) + 1e-9
            n = noise_b[end][k]
            if lifted[k + end]:
                reach = params.overshoot * (noise_a[end][k] + abs(n) * max(noise_c[end][k], 0.0))
            else:
                reach = params.loops * (noise_b[0][k] + noise_b[1][k]) / 2
            shift = outward * min(max(care * reach * math.sqrt(length), least), most)
            if params.flight and lifted[k + end] and noise_c[end][k] > -0.2:  # straight edges keep their direction
                shift += min(care * params.flight, 0.7 * length) * outward * cmath.exp(0.7j * n * curved)
            extended[a:b] += shift * ramp
    return extended


def smooth_corners(line: Points, order: WritingOrder, width: float, rng: np.random.Generator) -> tuple[Points, Indices]:
    """Round the corners within a run, as the next movement begins before the last has ended; less where the pen rests.

    A Gaussian low-pass over points, which are evenly spaced in time if every edge takes equally long (isochrony). The
    ends of runs stay in place; the points repeated there are what `add_hooks` moves.

    Returns:
        The path (Q',), longer than `line`, and where in it each run but the first begins.
    """
    radius = int(np.ceil(3 * width)) if width > 0.1 else 0
    rests = rng.random(len(order.starts))
    repeats = np.ones(len(line), dtype=np.intp)
    repeats[order.starts[1:-1]] += (rests[1:-1] ** 2 * 4 * width).astype(np.intp)
    run_bounds = order.starts[order.lifted]
    hold = 1 + max(radius, HOOK_POINTS)
    repeats[run_bounds[:-1]] = hold
    repeats[run_bounds[1:] - 1] = hold
    line = line.repeat(repeats)
    pen_downs = repeats.cumsum()[run_bounds[1:-1] - 1]
    if radius:
        kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / width) ** 2)
        jumps = np.zeros_like(line)
        jumps[pen_downs] = line[pen_downs] - line[pen_downs - 1]
        jumps = jumps.cumsum()
        line = line - jumps  # with the jumps between runs taken out, one convolution smooths all runs
        line = np.convolve(np.concatenate([line[:1].repeat(radius), line, line[-1:].repeat(radius)]), kernel, "valid")
        line = line / kernel.sum() + jumps
    return line, pen_downs


def add_hooks(line: Points, pen_downs: Indices, size: float, rng: np.random.Generator) -> Points:
    """Drag the pen a little in a random direction where it lands or leaves, using the repeated points there."""
    if size == 0:
        return line
    line = line.copy()
    for a, b in pairwise([0, *pen_downs.tolist(), len(line)]):
        place, angle, bend = rng.random(3).tolist()
        hook = np.exp(1j * (2 * np.pi * angle + (bend - 0.5) * np.arange(HOOK_POINTS))).cumsum() * (size / HOOK_POINTS)
        if place < 0.6:
            line[b - HOOK_POINTS : b] += hook
        if place > 0.4:
            line[a : a + HOOK_POINTS] += hook[::-1]
    return line


def add_drift(line: Points, level: float, rng: np.random.Generator) -> Points:
    """Add slow wandering along the whole drawing: the first few half-waves, the slower the larger."""
    weights = rng.standard_normal(4 * DRIFT_WAVES).view(np.complex128)
    return line + level * (_drift_basis(len(line)) @ weights) if level else line


def add_tremor(line: Points, level: float, rng: np.random.Generator) -> Points:
    """Add quick shaking: noise from point to point, slightly smoothed."""
    if level == 0:
        return line
    noise = rng.standard_normal(2 * len(line) + 2).view(np.complex128)
    return line + level * (noise[1:] + 0.9 * noise[:-1])


def apply_transform(points: Points, params: HandParams) -> Points:
    """Shear, project (perspective) and rotate the drawing as a whole."""
    if params.slant or params.climb:
        points = points + params.slant * points.imag + 1j * params.climb * points.real
    if params.perspective_x or params.perspective_y:
        depth = 1.0 + params.perspective_x * points.real + params.perspective_y * points.imag
        points = points / np.maximum(0.4, depth)
    return points * np.exp(1j * np.radians(params.turn)) if params.turn else points


@lru_cache(maxsize=1024)
def _end_weights(count: int, curved: bool) -> Floats:
    """(count,) the share of the last point's shift that each point takes: on a curve, only those near the end move."""
    return unit_steps(count) ** (6 if curved else 1)


@lru_cache(maxsize=1024)
def _drift_basis(count: int) -> Points:
    """(count, 2 DRIFT_WAVES) half-waves over `count` points, the k-th with amplitude 1/k."""
    k = np.arange(1, DRIFT_WAVES + 1)
    phase = np.pi * unit_steps(count)[:, None] * k
    return np.asarray(np.concatenate([np.cos(phase) / k, np.sin(phase) / k], axis=1).astype(np.complex128))
