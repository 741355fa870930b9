"""Why it looks hand-drawn: ideal strokes in, the strokes of an unsteady hand out, in layers that are read one by one.

    Strokes, Habit (how this hand draws today) -> Drawn (what the pen ran along, in the frame of the outline)

Each layer is a function of points and of the few numbers that it applies; at nought it changes nothing. The first
layers bend the plan (points (P, 2) of the outline), `ordered` lays it out in the order of writing, and the last ones
act on the movement. Lengths are in the outline's frame, longest side 2. The picture of the hand follows the kinematic
theory of rapid movements (Plamondon 1995; O'Reilly and Plamondon, sigma-lognormal, 2009) and gesture synthesis by
resampling (Taranta et al., Gesture Path Stochastic Resampling, 2016), in plain shape only: nothing depends on speed.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from strokewise.paint.strokes import Indices, Points, Strokes

Floats = NDArray[np.float64]
DRIFT_WAVES = 4  # half-periods of slow drift along a drawing, up to this many
TREMOR_HZ_POINTS = 0.9  # tremor keeps no shape over more than about this many points
HOOK_POINTS = 4


@dataclass(frozen=True)
class Habit:
    """How one painting is drawn; every field is a column of the data set. `RULER` draws the outline itself."""

    stretch: float
    """Width against height, as a factor."""
    mirrored: bool
    """Flipped left to right."""
    slant: float
    """Shear of x by y."""
    climb: float
    """Shear of y by x."""
    perspective_x: float
    perspective_y: float
    """Relative change of distance from the middle to the edge."""
    turn: float
    """Degrees, clockwise on the page."""
    corners: float
    """Standard deviation of a corner's displacement."""
    bow: float
    """Standard deviation of the rise of an edge, in lengths of it."""
    pinch: float
    """What all edges bow alike: positive swells, negative pinches."""
    rounding: float
    """How far, in points, the movement runs ahead into the next edge."""
    anywhere: float
    """Chance of beginning between the corners."""
    lifting: float
    """Chance of lifting the pen at a corner."""
    overshoot: float
    """How far strokes miss the corner at which the pen is lifted."""
    closing: float
    """Share of the outline drawn twice at its end; negative where it was left open."""
    flight: float
    """How far the last stroke leaves the outline straight on."""
    loops: float
    """Size of the loops (or cut corners) where the pen turns without being lifted."""
    hooks: float
    """Size of the hook where the pen lands or leaves."""
    drift: float
    """Standard deviation of the slow wandering."""
    tremor: float
    """Standard deviation of the quick shaking."""


RULER = Habit(1.0, False, *(0.0,) * 18)


@dataclass(frozen=True, eq=False)
class Knobs:
    """How much of each kind of imprecision: 0 none, 1 as people do, above in a hurry. See `params.Hand`."""

    stretch: float
    slant: float
    turn: float
    perspective: float
    corners: float
    bow: float
    rounding: float
    start: float
    lifting: float
    overshoot: float
    closing: float
    loops: float
    hooks: float
    drift: float
    tremor: float


@dataclass(frozen=True, eq=False)
class Drawn:
    """What the pen ran along."""

    runs: list[Points]
    """A polyline (n, 2) from each time the pen is put down until it is lifted, n ≥ 2."""
    areas: list[Points]
    """The polygon (n, 2) that each closed stroke encloses, for filling."""


def habit(knobs: Knobs, stretch: tuple[float, float], turn: float, mirror: bool, rng: np.random.Generator) -> Habit:
    """Draw how one painting will be drawn.

    `stretch`, `turn` (degrees either way) and `mirror` are what the shape allows; no knob goes beyond them.
    """
    n = rng.standard_normal(14).tolist()
    u = rng.random(20).tolist()
    lasting = [-np.log1p(-value) for value in u[:8]]  # exponential: mostly little, now and then a lot
    return Habit(
        stretch=_stretch_of(min(1.0, knobs.stretch), stretch, n[0], u[8], u[9]),
        mirrored=mirror and u[10] < 0.5 * min(1.0, knobs.turn),
        slant=_within(knobs.slant * 0.10 * n[1] * (1 + lasting[0]), 0.7),
        climb=_within(knobs.slant * 0.05 * n[2] * (1 + lasting[1]), 0.5),
        perspective_x=_within(knobs.perspective * 0.07 * n[3], 0.3),
        perspective_y=_within(knobs.perspective * 0.07 * n[4], 0.3),
        turn=_turn_of(knobs.turn, turn, n[5], u[11], u[12]),
        corners=knobs.corners * 0.05 * (0.4 + lasting[2]),
        bow=knobs.bow * 0.035 * (0.3 + lasting[3]),
        pinch=_within(knobs.bow * 0.04 * n[6] * (1 + lasting[0]), 0.3),
        rounding=min(1.6, knobs.rounding * 0.45 * (0.3 + lasting[4])),
        anywhere=min(1.0, knobs.start * 0.3),
        lifting=min(1.0, knobs.lifting * (1.0 if u[13] < 0.25 else 0.25 if u[13] < 0.55 else 0.0)),
        overshoot=min(0.4, knobs.overshoot * 0.06 * (0.3 + lasting[5]) * (3 if u[14] < 0.15 else 1)),
        closing=_closing_of(knobs.closing, n[7], u[15]),
        flight=min(0.9, knobs.closing * 0.5 * lasting[6]) * (u[16] < min(1.0, 0.25 * knobs.closing)),
        loops=min(0.35, knobs.loops * 0.12 * lasting[7]) * (u[17] < min(1.0, 0.3 * knobs.loops)),
        hooks=knobs.hooks * 0.14 * u[18] * (u[19] < min(1.0, 0.4 * knobs.hooks)),
        drift=knobs.drift * 0.018 * float(np.exp(0.6 * n[8])),
        tremor=knobs.tremor * 0.004 * float(np.exp(0.6 * n[9])),
    )


def draw(strokes: Strokes, how: Habit, rng: np.random.Generator) -> Drawn:
    """Draw an outline as `how` says, then lay it on the page. All layers in their order."""
    edges, places = len(strokes.corner), len(strokes.closed)
    noise = rng.standard_normal((5, edges + places, 2))
    plan = stretched(strokes.points, how.stretch, how.mirrored)
    plan = corners_moved(plan, strokes, how.corners, noise[0])
    plan = bowed(plan, strokes, how.bow, how.pinch, noise[1])
    path = ordered(strokes, how, rng)
    line = plan[path.index]
    line = ends_moved(line, path, how, rng)
    line, breaks = run_together(line, path, how.rounding, rng)
    line = hooked(line, breaks, how.hooks, rng)
    line = drifted(line, how.drift, rng)
    line = shaken(line, how.tremor, rng)
    line = laid_down(line, how)
    areas = [laid_down(drifted(plan[index], 0.0, rng), how) for index in path.areas]
    return Drawn([run for run in np.split(line, breaks) if len(run) > 1], areas)


def stretched(points: Points, factor: float, mirrored: bool) -> Points:
    """Made wider by `factor` against its height, then scaled so that the longest side is 2 again."""
    if factor == 1 and not mirrored:
        return points
    wide = points * (-factor if mirrored else factor, 1.0)
    return wide * (2.0 / float(np.ptp(wide, axis=0).max()))


def corners_moved(points: Points, strokes: Strokes, level: float, noise: Floats) -> Points:
    """Every corner is missed by a little, and the edges go where their corners went.

    noise (E + S, 2), standard normal, one a corner or free end. In a flat shape the short way is missed by less.
    """
    if level == 0:
        return points
    half = np.ptp(points, axis=0) / 2
    reach = level * np.minimum(half, 3 * half[::-1])
    moved = np.clip(noise, -2.2, 2.2) * reach
    edges = len(strokes.corner)
    moved[:edges] *= (strokes.corner * np.minimum(1.0, chords(points, strokes)[1]))[:, None]
    along = strokes.along[:, None]
    return points + moved[:edges][strokes.edge] * (1 - along) + moved[strokes.after][strokes.edge] * along


def bowed(points: Points, strokes: Strokes, level: float, pinch: float, noise: Floats) -> Points:
    """Straight edges rise or sag, some like an S; their ends stay. The wrist turns round the elbow, and errs alike."""
    if level == 0 and pinch == 0:
        return points
    chord, long = chords(points, strokes)
    normal = np.stack([chord[:, 1], -chord[:, 0]], axis=1) / np.maximum(long, 1e-9)[:, None]
    depth = np.abs(normal) @ np.ptp(points, axis=0)
    edges = len(strokes.corner)
    outward = np.sign((normal * (points[strokes.first[:-1]] + points[strokes.first[1:] - 1])).sum(axis=1))
    height = np.minimum(long, depth) * (long > 1e-6)
    single = np.clip(level * noise[:edges, 0] + pinch * outward, -0.28, 0.28) * height
    double = np.clip(0.4 * level * noise[:edges, 1], -0.1, 0.1) * height
    t = strokes.along
    rise = single[strokes.edge] * (4 * t * (1 - t)) + double[strokes.edge] * np.sin(2 * np.pi * t)
    return points + rise[:, None] * normal[strokes.edge]


def chords(points: Points, strokes: Strokes) -> tuple[Points, Floats]:
    """From the first to the last point of each edge: (E, 2), and how far that is (E,)."""
    chord = points[strokes.first[1:] - 1] - points[strokes.first[:-1]]
    return chord, np.hypot(chord[:, 0], chord[:, 1])


@dataclass(frozen=True, eq=False)
class Path:
    """The outline's points in the order of writing: Q of them, in K pieces between corners or lifts of the pen."""

    index: Indices
    """(Q,) into the outline's points."""
    begin: Indices
    """(K + 1,) where each piece begins; the last entry is Q."""
    lifted: NDArray[np.bool_]
    """(K + 1,) whether the pen comes down there; True at both ends."""
    areas: list[Indices]
    """Once round each closed stroke."""


def ordered(strokes: Strokes, how: Habit, rng: np.random.Generator) -> Path:
    """Begin anywhere, go either way round, lift the pen at some corners, stop early or go on over the beginning."""
    index, begin, lifted, areas = [], [], [], []
    done = 0
    at_corner = np.zeros(len(strokes.points), dtype=bool)
    at_corner[strokes.first[:-1][strokes.corner]] = True
    u = rng.random((len(strokes.closed), 4)).tolist()
    for stroke, closed in enumerate(strokes.closed.tolist()):
        one, end = int(strokes.strokes[stroke]), int(strokes.strokes[stroke + 1])
        a, b = int(strokes.first[one]), int(strokes.first[end])
        route = np.arange(a, b)
        if closed:
            n = b - a
            corner = int(strokes.first[one + int(u[stroke][0] * (end - one) * (how.anywhere > 0))]) - a
            smooth = not strokes.corner[one]
            offset = int(u[stroke][2] * n) if (smooth or u[stroke][1] < how.anywhere) and how.anywhere else corner
            areas.append(a + (offset + np.arange(n)) % n)
            more = round(how.closing * n) if how.lifting < 1 or smooth else 0
            route = a + (offset + np.arange(n + more)) % n
        breaks = np.flatnonzero(at_corner[route[1:]]) + 1
        if how.anywhere and u[stroke][3] < 0.5:
            route, breaks = route[::-1], len(route) - breaks[::-1]
        index.append(route)
        begin += [done, *(done + breaks).tolist()]
        lifted += [True, *(rng.random(len(breaks)) < how.lifting).tolist()]
        done += len(route)
    return Path(np.concatenate(index), np.array([*begin, done]), np.array([*lifted, True]), areas)


def ends_moved(line: Points, path: Path, how: Habit, rng: np.random.Generator) -> Points:
    """Pieces end beyond or before their corner: overshoot and gap where the pen is lifted, loop or cut corner where not.

    A straight piece is drawn out as a whole, a curved one leaves its curve near the end.
    """
    draws = rng.standard_normal((3, 2, len(path.begin) - 1))
    if how.overshoot == 0 and how.loops == 0 and how.flight == 0:
        return line
    begin, last = path.begin[:-1], path.begin[1:] - 1
    near = np.maximum(last - begin - 1, 0) // 4 + 1
    inner = np.minimum(begin + near, last)
    out = np.stack([line[begin] - line[inner], line[last] - line[np.maximum(last - near, begin)]])  # (2, K, 2)
    out /= np.maximum(np.hypot(out[..., 0], out[..., 1]), 1e-9)[..., None]
    steps = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    long = steps[last] - steps[begin]
    chord = line[last] - line[begin]
    straight = np.hypot(chord[:, 0], chord[:, 1]) > 0.97 * long
    lifted = np.stack([path.lifted[:-1], path.lifted[1:]])
    missed = how.overshoot * (draws[0] + np.maximum(draws[2], 0.0) * np.abs(draws[1])) * np.sqrt(long)
    looped = how.loops * draws[1].mean(axis=0) * np.sqrt(long)
    length = np.where(lifted, missed, looped)
    length[1, path.lifted[1:]] += how.flight * (draws[2][1, path.lifted[1:]] > 0.3)
    length = np.clip(length, -0.2 * long, 0.08 + 0.6 * long)
    piece = np.repeat(np.arange(len(begin)), path.begin[1:] - begin)
    u = (np.arange(len(line)) - begin[piece]) / np.maximum(last - begin, 1)[piece]
    power = np.where(straight, 1.0, 7.0)[piece]
    pulls = out * length[..., None]
    return line + ((1 - u) ** power)[:, None] * pulls[0][piece] + (u**power)[:, None] * pulls[1][piece]


def run_together(line: Points, path: Path, width: float, rng: np.random.Generator) -> tuple[Points, Indices]:
    """The next movement begins before the last has ended, so corners round off, the less the longer the pen rests.

    A low-pass over points, which are even in time if every edge takes as long (isochrony). The ends of runs stay.
    Comes back with the places where the pen was lifted.
    """
    radius = int(np.ceil(3 * width)) if width else 0
    rests = rng.random(len(path.begin))
    counts = np.ones(len(line), dtype=np.intp)
    inner = path.begin[1:-1]
    counts[inner] += (rests[1:-1] ** 2 * 4 * width).astype(np.intp)
    hold = max(radius, HOOK_POINTS)
    downs = path.begin[path.lifted]
    counts[downs[:-1]] = counts[downs[1:] - 1] = 1 + hold
    line = np.repeat(line, counts, axis=0)
    breaks = np.concatenate([[0], np.cumsum(counts)])[downs[1:-1]]
    if radius:
        kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / width) ** 2)
        kernel /= kernel.sum()
        padded = np.concatenate([line[:1].repeat(radius, axis=0), line, line[-1:].repeat(radius, axis=0)])
        line = np.stack([np.convolve(padded[:, axis], kernel, "valid") for axis in (0, 1)], axis=1)
    return line, breaks


def hooked(line: Points, breaks: Indices, size: float, rng: np.random.Generator) -> Points:
    """Where the pen lands or leaves it drags a little, not the way the stroke goes. Uses the points at rest there."""
    if size == 0:
        return line
    line = line.copy()
    bounds = [0, *breaks.tolist(), len(line)]
    for a, b in zip(bounds[:-1], bounds[1:], strict=True):
        chance, angle, bend = rng.random(3).tolist()
        turning = 2 * np.pi * angle + (bend - 0.5) * np.linspace(0, 4, HOOK_POINTS)
        hook = np.cumsum(np.stack([np.cos(turning), np.sin(turning)], axis=1), axis=0) * (size / HOOK_POINTS)
        if chance < 0.6:
            line[b - HOOK_POINTS : b] += hook
        if chance > 0.4:
            line[a : a + HOOK_POINTS] += hook[::-1]
    return line


def drifted(line: Points, level: float, rng: np.random.Generator) -> Points:
    """Slow wandering along the whole drawing: the first few half-waves, the slower the larger."""
    coefficients = rng.standard_normal((2 * DRIFT_WAVES, 2))
    return line + level * (_waves(len(line)) @ coefficients) if level else line


def shaken(line: Points, level: float, rng: np.random.Generator) -> Points:
    """Quick shaking, 8 to 12 Hz in people: noise from point to point, a little smoothed."""
    if level == 0:
        return line
    noise = rng.standard_normal((len(line) + 1, 2))
    return line + level * (noise[1:] + TREMOR_HZ_POINTS * noise[:-1])


def laid_down(points: Points, how: Habit) -> Points:
    """Slanted, seen in perspective and turned as a whole."""
    x, y = points[:, 0], points[:, 1]
    x, y = x + how.slant * y, y + how.climb * x
    near = np.maximum(0.4, 1.0 + how.perspective_x * x + how.perspective_y * y)
    angle = np.radians(how.turn)
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([(cos * x - sin * y) / near, (sin * x + cos * y) / near], axis=1)


@lru_cache(maxsize=1024)
def _waves(count: int) -> Floats:
    """(count, 2 DRIFT_WAVES) half-waves over `count` points, the k-th with amplitude 1/k."""
    k = np.arange(1, DRIFT_WAVES + 1)
    phase = np.pi * np.linspace(0, 1, count)[:, None] * k
    return np.concatenate([np.cos(phase) / k, np.sin(phase) / k], axis=1)


def _within(value: float, most: float) -> float:
    return max(-most, min(most, value))


def _stretch_of(amount: float, allowed: tuple[float, float], n: float, u: float, side: float) -> float:
    """A third near 1, the rest anywhere between 1 and one of the bounds, even in the logarithm."""
    low, high = np.log(allowed[0]), np.log(allowed[1])
    value = 0.2 * n if u < 0.35 else (u - 0.35) / 0.65 * (low if side < low / min(low - high, -1e-9) else high)
    return float(np.exp(amount * max(low, min(high, value))))


def _turn_of(knob: float, allowed: float, n: float, u: float, v: float) -> float:
    """Half about upright, half any way that is allowed."""
    value = 5.0 * n if u < 0.5 else (2 * v - 1) * allowed
    return _within(knob * value, allowed)


def _closing_of(knob: float, n: float, u: float) -> float:
    """Mostly a little over or short, sometimes open, sometimes a second time round."""
    if u < 0.03:
        return min(1.0, knob) * (0.5 + 15 * u)
    return _within(knob * (0.03 * n if u < 0.7 else -abs(0.07 * n) if u < 0.85 else abs(0.12 * n)), 0.2)
