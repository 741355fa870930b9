"""The movement: how the hand carries out its plan, layer by layer.

    the path (Q,) in the order of writing → the path of the pen (Q',)

A layer changes nothing where its parameter is 0.
"""

import cmath
import math
from functools import lru_cache
from itertools import pairwise

import cv2
import numpy as np

from strokewise.synthesis.hand_params import HandParams
from strokewise.synthesis.strokes import Indices, Points, unit_steps
from strokewise.synthesis.writing_order import WritingOrder

DRIFT_WAVES = 4  # slow drift has 1 to this many half-waves along a drawing
HOOK_POINTS = 4  # points of a hook


def separate_rounds(
    line: Points, order: WritingOrder, half_size: complex, care: float, params: HandParams, rng: np.random.Generator
) -> Points:
    """Lay the rounds of a stroke that is gone over again apart: each is shifted, squeezed and nearer to the middle.

    From where the first round begins, shift and size wander from one half round to the next. A coil goes round in
    small loops along the whole outline.

    Args:
        line: (Q,), the path.
        order: Says which round each point is in.
        half_size: Half the box of the plan.
        care: 0 to 1, scales all but the spiral.
        params: Number of rounds, and how they differ.
        rng: Gives the differences.
    """
    if params.rounds == 0:
        return line
    knots = np.arange(2 * params.rounds + 6) / 2
    shift, squeeze = rng.standard_normal((2, 2 * len(knots))).view(np.complex128) * (care * params.apart)
    shift[:1], squeeze[:1] = 0, 0
    size = 1 - params.spiral * order.rounds
    squeezed = np.interp(order.rounds, knots, squeeze)
    x, y = size + squeezed.real, size + squeezed.imag
    middle = line.mean()
    away = line - middle
    apart = away.real * x.clip(0.1, 1.4) + 1j * away.imag * y.clip(0.1, 1.4)
    width, height = half_size.real, half_size.imag  # along the short side of a flat shape, rounds differ less
    shift = min(width, 3 * height) * shift.real + 1j * min(height, 3 * width) * shift.imag
    moved: Points = middle + apart + np.interp(order.rounds, knots, shift)
    if params.coil:
        loops = order.rounds * rng.uniform(14, 40)
        moved += care * min(width, height) * params.coil * np.exp(2j * np.pi * loops)
    return moved


def curl_ends(line: Points, order: WritingOrder, params: HandParams) -> Points:
    """Let the last part of each stroke curl towards the middle of the drawing, or away from it, like a spiral's end.

    What is drawn twice curls (`params.closing`), and a quarter of a round before it.
    """
    if params.curl == 0:
        return line
    middle = line.mean()
    length = 0.25 + max(0.0, params.closing)
    curled: Points = middle + (line - middle) * (1 - params.curl * (1 - order.remaining / length).clip(0) ** 1.5)
    return curled


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
    lifted = order.lifted
    for k, (a, b) in enumerate(pairwise(order.starts)):
        if not (params.loops or lifted[k] or lifted[k + 1]):
            continue
        quarter = (b - a - 1) // 4 + (b - a > 1)
        start, after_start = line.item(a), line.item(a + quarter)
        before_stop, stop = line.item(b - 1 - quarter), line.item(b - 1)
        length = distance.item(b - 1) - distance.item(a) + 1e-9
        curved = abs(stop - start) < 0.97 * length
        most = 0.08 + 0.6 * length
        least = (-0.05 if curved else -0.2) * length  # a curve pulled back further would be a spiral
        piece = extended[a:b]
        for end, outward in ((0, start - after_start), (1, stop - before_stop)):
            if not (params.loops or lifted[k + end]):
                continue
            outward /= abs(outward) + 1e-9
            n = noise_b[end][k]
            if lifted[k + end]:
                reach = params.overshoot * (noise_a[end][k] + abs(n) * max(noise_c[end][k], 0.0))
            else:
                reach = params.loops * (noise_b[0][k] + noise_b[1][k]) / 2
            shift = outward * min(max(care * reach * math.sqrt(length), least), most)
            if params.flight and lifted[k + end] and noise_c[end][k] > -0.2:  # straight edges keep their direction
                shift += min(care * params.flight, 0.7 * length) * outward * cmath.exp(0.7j * n * curved)
            piece += shift * _end_weights(b - a, end, curved)
    return extended


def smooth_corners(
    line: Points, order: WritingOrder, width: float, rng: np.random.Generator
) -> tuple[Points, Indices, Indices]:
    """Round the corners within a run, as the next movement begins before the last has ended; less where the pen rests.

    A Gaussian low-pass over points, which are evenly spaced in time if every edge takes equally long (isochrony). The
    ends of runs stay in place; the points repeated there are what `add_hooks` moves.

    Returns:
        The path (Q',), longer than `line`, where in it each run but the first begins, and how often each point of
        `line` (Q,) stands in it.
    """
    radius = math.ceil(3 * width) if width > 0.1 else 0
    rests = rng.random(len(order.starts)).tolist()
    hold = 1 + max(radius, HOOK_POINTS)
    repeats = np.ones(len(line), dtype=np.intp)
    for start, lifted, rest in zip(order.starts[:-1], order.lifted, rests, strict=False):
        if lifted:
            repeats[max(0, start - 1) : start + 1] = hold  # where a run ends and the next begins
        else:
            repeats[start] += int(rest**2 * 4 * width)
    repeats[-1] = hold
    line = line.repeat(repeats)
    run_starts = [start for start, lifted in zip(order.starts[1:-1], order.lifted[1:-1], strict=True) if lifted]
    if not run_starts:
        return _low_pass(line, width, radius) if radius else line, np.zeros(0, dtype=np.intp), repeats
    pen_downs = repeats.cumsum()[np.array(run_starts) - 1]
    if radius:
        jumps = np.zeros_like(line)
        jumps[pen_downs] = line[pen_downs] - line[pen_downs - 1]
        jumps = jumps.cumsum()
        line = _low_pass(line - jumps, width, radius) + jumps  # without its jumps, all runs are smoothed in one go
    return line, pen_downs, repeats


def _low_pass(line: Points, width: float, radius: int) -> Points:
    """Convolve a path (Q,) with a Gaussian; it stands still before its first point and after its last."""
    row = line.view(np.float64).reshape(1, -1, 2)  # to OpenCV a picture of one row, x and y its channels
    smooth = cv2.GaussianBlur(row, (2 * radius + 1, 1), width, borderType=cv2.BORDER_REPLICATE)
    return smooth.view(np.complex128).ravel()


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
    if level == 0:
        return line
    waves = _drift_basis() @ (level * weights)
    return line + np.interp(unit_steps(len(line)), unit_steps(len(waves)), waves)


def add_tremor(line: Points, level: float, rng: np.random.Generator) -> Points:
    """Add quick shaking: noise from point to point, slightly smoothed."""
    if level == 0:
        return line
    noise = rng.standard_normal(2 * len(line) + 2).view(np.complex128)
    return line + level * (noise[1:] + 0.9 * noise[:-1])


def record_pointer(line: Points, pen_downs: Indices, grid: float, reports: float) -> tuple[Points, Indices]:
    """What a mouse or trackpad reports of a movement: few points, or points on a coarse grid.

    Args:
        line: (Q,), the path.
        pen_downs: (R - 1,), where each run but the first begins.
        grid: Spacing of the grid that points are rounded to; 0: none.
        reports: Distance between two reported points, joined by straight lines; 0: all are reported.

    Returns:
        The path, and where in it each run but the first begins.
    """
    if grid == 0 and reports == 0:
        return line, pen_downs
    bounds = pairwise([0, *pen_downs.tolist(), len(line)])
    runs = [_report_run(line[a:b], grid, reports) for a, b in bounds]
    return np.concatenate(runs), np.cumsum([len(run) for run in runs[:-1]], dtype=np.intp)


def _report_run(run: Points, grid: float, reports: float) -> Points:
    """One run (n,) as `record_pointer` says, (m,), m ≥ 2: one that stays at a point of the grid is that point twice."""
    lengths = np.zeros(len(run))
    np.abs(run[1:] - run[:-1]).cumsum(out=lengths[1:])
    step, length = max(reports, grid / 2), lengths.item(-1)
    places = np.arange(math.ceil(length / step) + 1) * step
    places[-1] = length
    run = np.interp(places, lengths, run)
    if grid:
        run = np.rint(run.real / grid) * grid + 1j * np.rint(run.imag / grid) * grid
        run = run[np.append(True, run[1:] != run[:-1])]
    return run if len(run) > 1 else run.repeat(2)


@lru_cache(maxsize=1024)
def _end_weights(count: int, end: int, curved: bool) -> Points:
    """(count,) the share that each point takes of the shift of the first point (`end` 0) or the last (1).

    On a curve, only those near the end move. Complex, as what it is multiplied by: that saves a conversion.
    """
    weights = (unit_steps(count) ** (6 if curved else 1)).astype(np.complex128)
    return weights if end else weights[::-1]


@lru_cache(maxsize=1)
def _drift_basis() -> Points:
    """(97, 2 DRIFT_WAVES) half-waves over a drawing, the k-th with amplitude 1/k."""
    k = np.arange(1, DRIFT_WAVES + 1)
    phase = np.pi * np.linspace(0.0, 1.0, 97)[:, None] * k
    return np.asarray(np.concatenate([np.cos(phase) / k, np.sin(phase) / k], axis=1).astype(np.complex128))
