"""Why it looks hand-drawn: ideal strokes in, the strokes of an unsteady hand out, through a stack of small layers.

    Strokes, HandParams → PenPath (the path of the pen in the frame of the outline)

Points are complex numbers x + iy; the longest side of the outline is 2. The layers, in the order of `draw_strokes`:

    the plan (P points of the outline)      stretch_outline → displace_corners → bow_edges → dent_curves
    the order of writing                    writing_order.order_strokes
    the movement (Q points of the path)     movement.separate_rounds → curl_ends → extend_ends → smooth_corners →
                                            add_hooks → add_drift → add_tremor
    the whole drawing                       apply_transform → movement.record_pointer

A layer changes nothing where its parameter is 0. Sources: the kinematic theory of rapid movements, where strokes
overlap in time (Plamondon 1995; O'Reilly and Plamondon 2009, sigma-lognormal); isochrony, by which long strokes take
hardly longer than short ones (Viviani and Terzuolo 1982); physiological tremor of 8 to 12 Hz; and gesture synthesis,
where a simple model suffices (Taranta et al. 2016, stochastic resampling).
"""

import cmath
import math
from dataclasses import dataclass

import numpy as np

from strokewise.synthesis import movement
from strokewise.synthesis.hand_params import HandParams
from strokewise.synthesis.strokes import Floats, Indices, Points, Strokes
from strokewise.synthesis.writing_order import order_strokes

LUMP_MODES = np.arange(2, 7)  # numbers of lumps, and of hollows between them, around a smooth closed stroke
LUMP_SHARES = (LUMP_MODES - 1) ** -0.8  # the more lumps, the smaller: their size as a share of the size of two
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
    planned: Points
    """(T,) the plan in the order of writing; an open stroke is as long as it was drawn."""
    outline_index: Indices
    """(T,) which point of the outline each point of `planned` is."""
    repeats: Indices
    """(T,) how often each point of `planned` stands in `before_drift` and `after_drift`."""
    before_drift: Points
    """(D,) the path before it drifts and is transformed as a whole."""
    after_drift: Points
    """(D,) the same after it has drifted."""
    params: HandParams

    @property
    def areas(self) -> list[Points]:
        """The polygon (n,) that each closed stroke encloses; computed on demand, as few paintings are filled."""
        return [apply_transform(plan, self.params) for plan in self.closed_plans]

    @property
    def target(self) -> tuple[Indices, Points]:
        """The true geometry: points (D,) of the outline, and where each would be without hooks and missed corners.

        Computed on demand: it is only measured against.
        """
        drifted = self.planned.repeat(self.repeats) + (self.after_drift - self.before_drift)
        return self.outline_index.repeat(self.repeats), apply_transform(drifted, self.params)


def draw_strokes(strokes: Strokes, params: HandParams, rng: np.random.Generator) -> PenPath:
    """Draw an outline with the hand that `params` describes: all layers in their order."""
    edge_count = len(strokes.edge_first)
    care = min(1.0, 4 / edge_count)  # the more there is to draw, the more carefully each part is drawn
    noise = rng.standard_normal((4, edge_count + len(strokes.spans)))  # two rows for the corners, two for the bows
    plan, half_size = stretch_outline(strokes.points, strokes.half_size, params.stretch, params.mirrored)
    if min(half_size.real, half_size.imag) < MIN_FLATNESS:
        half_size = 1 + 1j
    plan = displace_corners(plan, strokes, half_size, care * params.corners, noise[:2])
    bow, pinch = care**2 * params.bow, care**2 * params.pinch  # squared: a strongly pinched pentagon would be a star
    plan = bow_edges(plan, strokes, half_size, bow, pinch, noise[2:, :edge_count])
    plan = dent_curves(plan, strokes, half_size, params.lumps, params.dent, rng)
    order = order_strokes(strokes, params, rng)
    planned = plan[order.index]
    line = movement.separate_rounds(planned, order, half_size, care, params, rng)
    line = movement.extend_ends(movement.curl_ends(line, order, params), order, params, care**2, rng)
    if not all(closed for _, _, closed in strokes.spans):  # an open line has no corner to miss: it ends where it ends
        lengths = [b - a for a, b in strokes.stroke_bounds]
        is_open = np.repeat([not closed for _, _, closed in strokes.spans], lengths)[order.index]
        planned = np.where(is_open, line, planned)
    flatness = min(half_size.real, half_size.imag)
    # in a flat shape the same rounding would take all of a short edge
    rounding = care * min(1.0, 3 * flatness) * params.rounding
    line, pen_downs, repeats = movement.smooth_corners(line, order, rounding, rng)
    steady = movement.add_hooks(line, pen_downs, params.hooks, rng)
    drifted = movement.add_drift(steady, params.drift, rng)
    line = apply_transform(movement.add_tremor(drifted, params.tremor, rng), params)
    line, pen_downs = movement.record_pointer(line, pen_downs, params.grid, params.reports)
    bounds = zip(strokes.stroke_bounds, strokes.spans, strict=True)
    closed_plans = [plan[a:b] for (a, b), (_, _, closed) in bounds if closed]
    chords = np.abs(plan[strokes.edge_last] - plan[strokes.edge_first])[strokes.has_corner]
    chords.sort()
    detail = min(2 * flatness, chords.item(len(chords) // 4) if len(chords) else 2.0)
    return PenPath(line, pen_downs, detail, closed_plans, planned, order.index, repeats, steady, drifted, params)


# --- the plan: the outline that the hand intends to draw


def stretch_outline(points: Points, half_size: complex, factor: float, mirrored: bool) -> tuple[Points, complex]:
    """Multiply width against height by `factor`, keeping the longest side at 2; also returns half the new box."""
    scale_y = 1.0 / max(half_size.real * factor, half_size.imag)
    scale_x = scale_y * factor * (-1 if mirrored else 1)
    stretched = scale_x * points.real + 1j * scale_y * points.imag
    return stretched, complex(scale_y * factor * half_size.real, scale_y * half_size.imag)


def displace_corners(points: Points, strokes: Strokes, half_size: complex, level: float, noise: Floats) -> Points:
    """Move every corner by a random amount; edges follow linearly, so that straight edges stay straight.

    Args:
        points: (P,), the stretched outline.
        strokes: The outline, for its edges and corners.
        half_size: Half the box of `points`. Along the short side of a flat shape, corners move less.
        level: Standard deviation of the displacement.
        noise: (2, E + S), standard normal, along x and along y for each corner or free end.
    """
    if level == 0:
        return points
    reach_x = level * min(half_size.real, 3 * half_size.imag)
    reach_y = level * min(half_size.imag, 3 * half_size.real)
    x, y = noise.clip(-2.2, 2.2)
    moves = reach_x * x + (1j * reach_y) * y
    edge_count = len(strokes.edge_first)
    chords = np.abs(points[strokes.edge_last] - points[strokes.edge_first])
    moves[:edge_count] *= strokes.has_corner * np.minimum(1.0, chords)
    change = moves[strokes.next_edge] - moves[:edge_count]
    moved: Points = points + moves[strokes.edge_index] + change[strokes.edge_index] * strokes.edge_time
    return moved


def bow_edges(
    points: Points, strokes: Strokes, half_size: complex, level: float, pinch: float, noise: Floats
) -> Points:
    """Let edges rise or sag between their ends, some in an S; the ends stay.

    Args:
        points: (P,), the plan so far.
        strokes: The outline, for its edges.
        half_size: Half the box of `points`.
        level: Standard deviation of the rise, in lengths of the edge.
        pinch: Rise outward that all edges share: a wrist turns round its elbow, so edges may err alike.
        noise: (2, E), standard normal: the rise of a single arc, and that of an S.
    """
    if level == 0 and pinch == 0:
        return points
    arcs, s_curves = [], []
    ends = points[strokes.edge_first].tolist(), points[strokes.edge_last].tolist()
    for start, stop, single, double in zip(*ends, *noise.tolist(), strict=True):
        length = max(abs(stop - start), 1e-9)
        normal = -1j * (stop - start) / length  # to the left of the direction of drawing, as seen on the page
        depth = 2 * (abs(normal.real) * half_size.real + abs(normal.imag) * half_size.imag)
        unit = normal * min(length, depth)  # no edge rises higher than the shape is deep
        clockwise = (stop * start.conjugate()).imag  # around the middle, where outward is to the left
        outward = math.copysign(pinch, pinch * clockwise) if clockwise else 0.0
        arcs.append(unit * max(-0.25, min(0.25, level * single + outward)))
        s_curves.append(unit * max(-0.1, min(0.1, 0.4 * level * double)))
    bowed: Points = (
        points
        + strokes.arc * np.array(arcs)[strokes.edge_index]
        + strokes.s_curve * np.array(s_curves)[strokes.edge_index]
    )
    return bowed


def dent_curves(
    points: Points, strokes: Strokes, half_size: complex, lumps: float, dent: float, rng: np.random.Generator
) -> Points:
    """Make smooth closed strokes lumpy: an egg or a potato, a flat side, a dent or a bulge.

    Args:
        points: (P,), the plan so far, about 0.
        strokes: The outline, for its strokes: those with corners stay.
        half_size: Half the box of `points`.
        lumps: Standard deviation of the largest lumps, as a share of the radius.
        dent: Depth of one dent as a share of the radius; negative for a bulge.
        rng: Places them.
    """
    bounds = zip(strokes.stroke_bounds, strokes.spans, strict=True)
    smooth = [slice(a, b) for (a, b), (edge, _, closed) in bounds if closed and not strokes.has_corner[edge]]
    if not smooth or (lumps == 0 and dent == 0):
        return points
    dented = points.copy()
    for part in smooth:
        amounts = rng.standard_normal(len(LUMP_MODES)) * (lumps * LUMP_SHARES)
        phases, (place, width) = rng.random(len(LUMP_MODES)), rng.random(2).tolist()
        angle = np.arctan2(points[part].imag / half_size.imag, points[part].real / half_size.real)
        change = np.cos(angle[:, None] * LUMP_MODES + 2 * np.pi * phases) @ amounts
        if dent:
            away = (angle + 2 * np.pi * place) % (2 * np.pi) - np.pi
            change -= dent * np.exp(-((away / (0.25 + 0.45 * width)) ** 2))
        dented[part] *= 1 + change.clip(-0.4, 0.4)
    return dented


# --- the whole drawing


def apply_transform(points: Points, params: HandParams) -> Points:
    """Shear, project (perspective) and rotate the drawing as a whole."""
    scale: complex | Points = cmath.exp(1j * math.radians(params.turn))
    if params.slant or params.climb:  # with a + a.conj() twice the real part, x + slant y and y + climb x become this
        own, mirrored = 1 + 0.5j * (params.climb - params.slant), 0.5j * (params.climb + params.slant)
        points = own * points + mirrored * points.conj()
    if params.perspective_x or params.perspective_y:
        depth = 1.0 + (complex(params.perspective_x, -params.perspective_y) * points).real
        scale = scale / np.maximum(0.4, depth)
    return points * scale
