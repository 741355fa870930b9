"""An outline → the same as a plain SVG: one path of the commands M, L, C and Z, and what the outline allows.

Any reader of a few lines understands it, so it is what travels with a model (`data/paintings/outlines.json`). Curves
are cubic Bézier curves, fitted as in Schneider 1990, An algorithm for automatically fitting digitized curves.
"""

import math
from itertools import pairwise
from xml.sax.saxutils import quoteattr

import numpy as np

from strokewise.synthesis.strokes import Floats, Points, unit_steps
from strokewise.synthesis.svg_shapes import Polyline

MAX_DEVIATION = 3e-4  # of the outline's longest side, of a curve from the outline
MAX_SPLITS = 5  # times that an edge is halved
SIGNIFICANT_DIGITS = 4  # of the outline's longest side
MIN_STRAIGHT = 0.06  # of the longest side: what is longer between two points of an outline is a straight edge
CORNER_DEG = 25.0  # degrees: a sharper turn is a corner


def polylines_to_path(lines: list[Polyline]) -> str:
    """SVG path data of polylines (n,), each with whether it is closed; a closed one ends with its first point."""
    points = np.concatenate([line for line, _ in lines])
    side = max(float(np.ptp(points.real)), float(np.ptp(points.imag)))
    digits = max(0, SIGNIFICANT_DIGITS - math.ceil(math.log10(side)))
    words = []
    for line, closed in lines:
        pieces, smooth = _split_pieces(line, closed, MIN_STRAIGHT * side)
        words.append(f"M{_write_points(pieces[0][:1], digits)}")
        for number, piece in enumerate(pieces):
            if len(piece) == 2:
                if not (closed and number == len(pieces) - 1):
                    words.append(f"L{_write_points(piece[1:], digits)}")
                continue
            ends = (piece[1] - piece[-2],) * 2 if smooth else (_end_tangent(piece), -_end_tangent(piece[::-1]))
            tangents = ends[0] / abs(ends[0]), ends[1] / abs(ends[1])
            curves = _fit_curves(piece, *tangents, MAX_DEVIATION * side, MAX_SPLITS)
            words += [f"C{_write_points(curve[1:], digits)}" for curve in curves]
        words += ["Z"] * closed
    return " ".join(words)


def _split_pieces(line: Points, closed: bool, straight: float) -> tuple[list[Points], bool]:
    """Straight pieces (2,) and curves (n,) of a polyline, in order; and whether it is one smooth closed curve.

    What is longer than `straight` between two points is a straight piece, the rest curves between corners.
    """
    segments = np.diff(line)
    is_straight = np.abs(segments) > straight
    following = np.append(segments[1:], segments[0] if closed else segments[-1])
    is_corner = np.abs(np.angle(following / segments)) > np.radians(CORNER_DEG)  # at the end of each segment
    is_corner |= is_straight | np.append(is_straight[1:], is_straight[0])
    corners = np.flatnonzero(is_corner[: None if closed else -1]) + 1
    if closed and not len(corners):
        return [line], True
    if closed:
        line = np.concatenate([line[corners[0] : -1], line[: corners[0] + 1]])
        corners = corners[1:] - corners[0]
    cuts = [0, *corners.tolist(), len(line) - 1]
    return [line[a : b + 1] for a, b in pairwise(cuts) if b > a], False


def plain_svg(path: str, attributes: dict[str, str]) -> str:
    """An SVG of one path, with `attributes` on its root. It has no viewBox: its units are those of the path."""
    extra = "".join(f" {name}={quoteattr(value)}" for name, value in attributes.items())
    return f'<svg xmlns="http://www.w3.org/2000/svg"{extra}><path d="{path}"/></svg>'


def _write_points(points: Points, digits: int) -> str:
    numbers = np.asarray(points).view(np.float64).tolist()
    return " ".join(f"{number:.{digits}f}".rstrip("0").rstrip(".") if digits else f"{number:.0f}" for number in numbers)


def _end_tangent(edge: Points) -> complex:
    """The direction in which a curve (n,) begins: of the parabola through its first three points."""
    if len(edge) < 3:
        return complex(edge[1] - edge[0])
    a, b = abs(edge[1] - edge[0]), abs(edge[2] - edge[1])
    return complex((edge[1] - edge[0]) * (1 + a / (a + b)) / a - (edge[2] - edge[1]) * a / (b * (a + b)))


def _fit_curves(edge: Points, start: complex, end: complex, tolerance: float, splits: int) -> list[Points]:
    """Cubic curves (4,) along points (n,), with unit tangents `start` and `end` in the direction of drawing."""
    lengths = np.concatenate([[0.0], np.abs(np.diff(edge)).cumsum()])
    t = lengths / lengths[-1]
    for _ in range(4):  # parameters follow the curve (Newton's method would do no better here)
        curve = _fit_curve(edge, t, start, end, lengths[-1])
        steps = unit_steps(200)
        line = _bezier(curve, steps)
        nearest = np.abs(edge[:, np.newaxis] - line).argmin(axis=1)
        tangents = np.gradient(line)[nearest]
        along = (edge - line[nearest]) / tangents  # in steps; what is left across the curve is the deviation
        deviation = np.abs(along.imag * np.abs(tangents)).max()
        t = np.maximum.accumulate((steps[nearest] + along.real * steps[1]).clip(0, 1))
        t[0], t[-1] = 0.0, 1.0
    if splits == 0 or len(edge) < 5 or deviation <= tolerance:
        return [curve]
    middle = len(edge) // 2
    tangent = edge[middle + 1] - edge[middle - 1]
    tangent /= abs(tangent)
    return [
        *_fit_curves(edge[: middle + 1], start, tangent, tolerance, splits - 1),
        *_fit_curves(edge[middle:], tangent, end, tolerance, splits - 1),
    ]


def _fit_curve(edge: Points, t: Floats, start: complex, end: complex, length: float) -> Points:
    """The cubic curve (4,) with these tangents at its ends that is nearest to points (n,) at times (n,)."""
    s = 1 - t
    fixed = (s**3 + 3 * s * s * t) * edge[0] + (t**3 + 3 * s * t * t) * edge[-1]
    columns = np.stack([3 * s * s * t * start, -3 * s * t * t * end])
    real = np.concatenate([columns.real, columns.imag], axis=1).T
    rest = edge - fixed
    handles = np.linalg.lstsq(real, np.concatenate([rest.real, rest.imag]), rcond=None)[0]
    if not (handles > 0.05 * length).all() or not (handles < length).all():
        handles = np.array([length / 3, length / 3])
    return np.array([edge[0], edge[0] + handles[0] * start, edge[-1] - handles[1] * end, edge[-1]])


def _bezier(curve: Points, t: Floats) -> Points:
    s = 1 - t
    return np.asarray(s**3 * curve[0] + 3 * s * s * t * curve[1] + 3 * s * t * t * curve[2] + t**3 * curve[3])
