"""Why it looks hand-drawn: ideal strokes in, the strokes of an unsteady hand out, in layers that are read one by one.

    Strokes, Habit (how this hand draws today) -> Drawn (what the pen ran along, in the frame of the outline)

Points are complex numbers x + iy, the longest side of the outline is 2. The first layers bend the plan (points (P,) of
the outline), `order_strokes` lays it out in the order of writing, the later ones act on the movement (Q points). A layer
changes nothing at nought. Sources: the kinematic theory of rapid movements, where strokes overlap in time (Plamondon
1995; O'Reilly and Plamondon 2009, sigma-lognormal); isochrony, long strokes take hardly longer than short ones (Viviani
and Terzuolo 1982); physiological tremor of 8 to 12 Hz; and gesture synthesis, which showed that little is needed
(Taranta et al. 2016, stochastic resampling).
"""

import cmath
import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np

from strokewise.synthesis.hand_params import HandParams
from strokewise.synthesis.strokes import Booleans, Floats, Indices, Points, Strokes, unit_steps

DRIFT_WAVES = 4  # half-periods of slow drift along a drawing, up to this many
HOOK_POINTS = 4  # points of a hook
MIN_RETRACE_SHARE = 0.2  # share of an open stroke: who goes on for less than that does not go back over it
MIN_FLATNESS = (
    0.02  # what is flatter is a mere line: there is no inside to hide or to spare, it is drawn as if it lay aslant
)


@dataclass(frozen=True, eq=False)
class PenPath:
    """What the pen ran along."""

    line: Points
    """(Q,) all of it, in the order of writing."""
    breaks: Indices
    """(R - 1,) where, in `line`, the pen was put down again after the first time."""
    detail: float
    """Length of the shorter edges or short side: a pen much wider than a fraction of it would hide the shape."""
    closed: list[Points]
    """The plan (n,) of each closed stroke."""
    how: HandParams

    @property
    def areas(self) -> list[Points]:
        """The polygon (n,) that each closed stroke encloses, for filling: few paintings want it."""
        return [apply_transform(plan, self.how) for plan in self.closed]


def draw_strokes(strokes: Strokes, how: HandParams, rng: np.random.Generator) -> PenPath:
    """Draw an outline as `how` says: all layers in their order."""
    edges = len(strokes.first)
    care = min(1.0, 4 / edges)  # where there is much to draw, each part is drawn with more care
    noise = rng.standard_normal((4, edges + len(strokes.parts)))
    plan, half = stretch_outline(strokes.points, strokes.half, how.stretch, how.mirrored)
    if min(half.real, half.imag) < MIN_FLATNESS:
        half = 1 + 1j
    plan = displace_corners(plan, strokes, half, care * how.corners, noise[0] + 1j * noise[1])
    bow, pinch = care**2 * how.bow, care**2 * how.pinch  # a pentagon that pinches much is a star
    plan = bow_edges(plan, strokes, half, bow, pinch, noise[2, :edges], noise[3, :edges])
    path = order_strokes(strokes, how, rng)
    line = extend_ends(plan[path.index], path, how, care**2, rng)
    flatness = min(half.real, half.imag)  # in a flat shape, what is little of a long edge is a whole short one
    line, breaks = smooth_corners(line, path, care * min(1.0, 3 * flatness) * how.rounding, rng)
    line = add_hooks(line, breaks, how.hooks, rng)
    line = add_tremor(add_drift(line, how.drift, rng), how.tremor, rng)
    closed = [plan[strokes.first[a] : strokes.last[b - 1] + 1] for a, b, closes in strokes.parts if closes]
    long = np.sort(np.abs(plan[strokes.last] - plan[strokes.first])[strokes.cornered])
    detail = min(2 * flatness, float(long[len(long) // 4]) if len(long) else 2.0)
    return PenPath(apply_transform(line, how), breaks, detail, closed, how)


# --- the plan: what the hand means to draw


def stretch_outline(points: Points, half: complex, factor: float, mirrored: bool) -> tuple[Points, complex]:
    """Made wider by `factor` against its height, the longest side still 2; and half the new box."""
    scale = 1.0 / max(half.real * factor, half.imag)
    wide = scale * factor * (-1 if mirrored else 1)
    return wide * points.real + 1j * scale * points.imag, complex(scale * factor * half.real, scale * half.imag)


def displace_corners(points: Points, strokes: Strokes, half: complex, level: float, noise: Points) -> Points:
    """Every corner is missed by a little, and the edges go where their corners went.

    noise (E + S,), standard normal in both parts, one a corner or free end. A flat shape is missed less the short way.
    """
    if level == 0:
        return points
    edges = len(strokes.first)
    moved = level * (
        min(half.real, 3 * half.imag) * noise.real.clip(-2.2, 2.2)
        + 1j * min(half.imag, 3 * half.real) * noise.imag.clip(-2.2, 2.2)
    )
    moved[:edges] *= strokes.cornered * np.minimum(1.0, np.abs(points[strokes.last] - points[strokes.first]))
    way = moved[strokes.after] - moved[:edges]
    return points + moved[strokes.edge] + way[strokes.edge] * strokes.along


def bow_edges(
    points: Points, strokes: Strokes, half: complex, level: float, pinch: float, single: Floats, double: Floats
) -> Points:
    """Edges rise or sag, some like an S; their ends stay. A wrist turns round its elbow, so all may err alike.

    single, double (E,): standard normal. `pinch` is common to all edges, outward.
    """
    if level == 0 and pinch == 0:
        return points
    start, stop = points[strokes.first], points[strokes.last]
    chord = stop - start
    long = np.abs(chord)
    normal = -1j * chord / np.maximum(long, 1e-9)  # to the left of the way on the page
    depth = 2 * (np.abs(normal.real) * half.real + np.abs(normal.imag) * half.imag)
    outward = np.sign((normal * (start + stop).conj()).real)
    height = normal * np.minimum(long, depth)  # no edge rises higher than the shape is deep
    hump = height * (level * single + pinch * outward).clip(-0.25, 0.25)
    swing = height * (0.4 * level * double).clip(-0.1, 0.1)
    t = strokes.along
    rise = 4 * t * (1 - t)
    risen: Points = points + rise * (hump[strokes.edge] + swing[strokes.edge] * (2 - 4 * t))
    return risen


# --- the order of writing


@dataclass(frozen=True, eq=False)
class WritingOrder:
    """The outline's points in the order of writing: Q of them, in K pieces between corners or lifts of the pen."""

    index: Indices
    """(Q,) into the outline's points."""
    begin: Indices
    """(K + 1,) where each piece begins; the last entry is Q."""
    lifted: Booleans
    """(K + 1,) whether the pen comes down there; True at both ends."""


def order_strokes(strokes: Strokes, how: HandParams, rng: np.random.Generator) -> WritingOrder:
    """Begin at `how.start`, go either way, lift the pen at some corners, stop early, or draw a part of it twice."""
    routes, begin, lifted = [], [], []
    done = 0
    for one, end, closed in strokes.parts:
        u = rng.random(2 * (end - one)).tolist()
        a, b = int(strokes.first[one]), int(strokes.last[end - 1]) + 1
        if closed:
            smooth = not strokes.cornered[one]
            more = round(how.closing * (b - a)) if how.lifting < 1 or smooth else 0
            if more < 0 and not smooth:  # a gap takes a part of one edge, and no corner
                more = max(more, -int(0.8 * (strokes.last[one:end] - strokes.first[one:end]).min()))
            offset = int(strokes.first[one + int(how.start * (end - one))]) - a
            if smooth or how.between:
                offset = int(how.start * (b - a))
                if more < 0 and not smooth:
                    offset = max(offset, int(strokes.first[strokes.edge[a + offset]]) - a - more)
            route = a + (offset + np.arange(b - a + more)) % (b - a)
        else:
            route = np.arange(a, b)
        breaks = (np.flatnonzero(strokes.begins[route[1:]]) + 1).tolist()
        if not closed and how.closing > MIN_RETRACE_SHARE:  # back over a part of it, from its end
            back = route[: -1 - min(b - a, round(how.closing * (b - a))) : -1]
            breaks += [b - a, *(np.flatnonzero(strokes.begins[back[:-1]]) + b - a + 1).tolist()]
            route = np.concatenate([route, back])
        if how.backwards:
            route, breaks = route[::-1], [len(route) - place for place in reversed(breaks)]
        routes.append(route)
        begin += [done, *(done + place for place in breaks)]
        lifted += [True, *(value < how.lifting for value in u[: len(breaks)])]
        done += len(route)
    index = np.concatenate(routes) if len(routes) > 1 else routes[0]
    return WritingOrder(index, np.array([*begin, done]), np.array([*lifted, True]))


# --- the movement: how it comes out


def extend_ends(line: Points, path: WritingOrder, how: HandParams, care: float, rng: np.random.Generator) -> Points:
    """Pieces end beyond or before their corner: overshoot and gap where the pen is lifted, else loop or cut corner.

    A straight piece is drawn out as a whole, a curved one leaves its curve near the end. `care` scales all of it.
    """
    first, second, third = rng.standard_normal((3, 2, len(path.begin) - 1)).tolist()
    if how.overshoot == 0 and how.loops == 0 and how.flight == 0:
        return line
    moved = line.copy()
    reached = np.zeros(len(line))
    np.abs(line[1:] - line[:-1]).cumsum(out=reached[1:])
    lifted = path.lifted.tolist()
    for k, (a, b) in enumerate(pairwise(path.begin.tolist())):
        piece = line[a:b]
        near = (b - a - 1) // 4 + (b - a > 1)
        start, after, before, stop = piece[[0, near, -1 - near, -1]].tolist()
        long = float(reached[b - 1] - reached[a]) + 1e-9
        bent = abs(stop - start) < 0.97 * long
        furthest, shortest = 0.08 + 0.6 * long, (-0.05 if bent else -0.2) * long  # a curve pulled far back is a spiral
        late = _end_weights(b - a, bent)
        for end, out, ramp in ((0, start - after, late[::-1]), (1, stop - before, late)):
            out /= abs(out) + 1e-9
            n = second[end][k]
            if lifted[k + end]:
                far = how.overshoot * (first[end][k] + abs(n) * max(third[end][k], 0.0))
            else:
                far = how.loops * (second[0][k] + second[1][k]) / 2
            pull = out * min(max(care * far * math.sqrt(long), shortest), furthest)
            if how.flight and lifted[k + end] and third[end][k] > -0.2:  # a straight edge is entered straight
                pull += min(care * how.flight, 0.7 * long) * out * cmath.exp(0.7j * n * bent)
            moved[a:b] += pull * ramp
    return moved


def smooth_corners(line: Points, path: WritingOrder, width: float, rng: np.random.Generator) -> tuple[Points, Indices]:
    """The next movement begins before the last has ended, so corners round off, the less the longer the pen rests.

    A low-pass over points, which are even in time if every edge takes as long (isochrony). The ends of runs stay, with
    a few points at rest for `add_hooks`. Comes back with the places where the pen was put down again.
    """
    radius = int(np.ceil(3 * width)) if width > 0.1 else 0
    rests = rng.random(len(path.begin))
    counts = np.ones(len(line), dtype=np.intp)
    counts[path.begin[1:-1]] += (rests[1:-1] ** 2 * 4 * width).astype(np.intp)
    downs = path.begin[path.lifted]
    hold = 1 + max(radius, HOOK_POINTS)
    counts[downs[:-1]] = hold
    counts[downs[1:] - 1] = hold
    line = line.repeat(counts)
    breaks = counts.cumsum()[downs[1:-1] - 1]
    if radius:
        kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / width) ** 2)
        jumps = np.zeros_like(line)
        jumps[breaks] = line[breaks] - line[breaks - 1]
        jumps = jumps.cumsum()
        line = line - jumps  # in the air the pen does not smooth: without its jumps, all runs are one
        line = np.convolve(np.concatenate([line[:1].repeat(radius), line, line[-1:].repeat(radius)]), kernel, "valid")
        line = line / kernel.sum() + jumps
    return line, breaks


def add_hooks(line: Points, breaks: Indices, size: float, rng: np.random.Generator) -> Points:
    """Where the pen lands or leaves it drags a little, not the way the stroke goes. Uses the points at rest there."""
    if size == 0:
        return line
    line = line.copy()
    for a, b in pairwise([0, *breaks.tolist(), len(line)]):
        chance, angle, bend = rng.random(3).tolist()
        hook = np.exp(1j * (2 * np.pi * angle + (bend - 0.5) * np.arange(HOOK_POINTS))).cumsum() * (size / HOOK_POINTS)
        if chance < 0.6:
            line[b - HOOK_POINTS : b] += hook
        if chance > 0.4:
            line[a : a + HOOK_POINTS] += hook[::-1]
    return line


def add_drift(line: Points, level: float, rng: np.random.Generator) -> Points:
    """Slow wandering along the whole drawing: the first few half-waves, the slower the larger."""
    weights = rng.standard_normal(4 * DRIFT_WAVES).view(np.complex128)
    return line + level * (_drift_basis(len(line)) @ weights) if level else line


def add_tremor(line: Points, level: float, rng: np.random.Generator) -> Points:
    """Quick shaking: noise from point to point, a little smoothed."""
    if level == 0:
        return line
    noise = rng.standard_normal(2 * len(line) + 2).view(np.complex128)
    return line + level * (noise[1:] + 0.9 * noise[:-1])


def apply_transform(points: Points, how: HandParams) -> Points:
    """Slanted, seen in perspective and turned, as a whole."""
    if how.slant or how.climb:
        points = points + how.slant * points.imag + 1j * how.climb * points.real
    if how.perspective_x or how.perspective_y:
        points = points / np.maximum(0.4, 1.0 + how.perspective_x * points.real + how.perspective_y * points.imag)
    return points * np.exp(1j * np.radians(how.turn)) if how.turn else points


@lru_cache(maxsize=1024)
def _end_weights(count: int, curved: bool) -> Floats:
    """(count,) how much of the last point's way each one goes with it: a curve only near its end."""
    return unit_steps(count) ** (6 if curved else 1)


@lru_cache(maxsize=1024)
def _drift_basis(count: int) -> Points:
    """(count, 2 DRIFT_WAVES) half-waves over `count` points, the k-th with amplitude 1/k."""
    k = np.arange(1, DRIFT_WAVES + 1)
    phase = np.pi * unit_steps(count)[:, None] * k
    return np.asarray(np.concatenate([np.cos(phase) / k, np.sin(phase) / k], axis=1).astype(np.complex128))
