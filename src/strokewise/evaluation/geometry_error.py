"""How far a geometry lies from the true one: areas, distances, angles, corners and named points.

Matrices are (2, 3), from the viewBox of an outline to the drawing; lengths are shares of the true one's longer side.
"""

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from strokewise.geometry.fitting import project
from strokewise.geometry.path_data import flatten_subpath
from strokewise.geometry.template import Template

RASTER = 256  # pixels: the longer side of both areas together
TURN_ROUNDS = 30  # of the nearest turn
MAX_CIRCULAR = 0.85  # width over length of an ellipse: of rounder ones the axes are arbitrary
Array = NDArray[np.float64]


@dataclass(frozen=True)
class GeometryError:
    """Each None where it is undefined: areas of lines, angles of what looks alike at any, points that have no name."""

    iou: float | None
    """Intersection over union of the filled areas."""
    distance: float
    """Mean distance between the outlines, both ways."""
    centre: float
    size: float
    """Largest relative error of width and height along the shape's own axes."""
    angle: float | None
    """Degrees, up to the symmetries of the outline."""
    vertices: float | None
    """Mean distance of the corners of a polygon, in the order that suits best."""
    points: float | None
    """Largest distance of a named point."""
    swapped: bool | None
    """Whether one named point lies nearer to where another belongs."""


def nearest_member(template: Template, points: Array, target: Array) -> Array:
    """The matrix (2, 3) that `template.fit` allows and that takes points (n, 2) nearest to their targets (n, 2)."""
    middle, goal = points.mean(axis=0), target.mean(axis=0)
    before, after = points - middle, target - goal
    linear = np.linalg.lstsq(before, after, rcond=None)[0].T
    if template.fit in ("similarity", "box"):
        linear = project(linear, template.fit)
        flip = np.array([1.0, 1.0 if np.linalg.det(linear) >= 0 else -1.0])
        angle = math.atan2(linear[1, 0], linear[0, 0])
        moved = before * flip
        for _ in range(TURN_ROUNDS):
            turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
            back = after @ turn
            squares = (moved * moved).sum(axis=0)
            stretch = (back * moved).sum(axis=0) / np.maximum(squares, 1e-12)
            if template.fit == "similarity":
                stretch = np.full(2, (back * moved).sum() / max(squares.sum(), 1e-12))
            stretched = moved * stretch
            cross = (stretched[:, 0] * back[:, 1] - stretched[:, 1] * back[:, 0]).sum()
            angle += math.atan2(cross, (stretched * back).sum())
        linear = turn * (stretch * flip)
    return np.column_stack([linear, goal - linear @ middle])


def geometry_error(found: Template, matrix: Array, true: Template, true_matrix: Array) -> GeometryError:
    """Compare an outline as it was found with the outline that was drawn, another variant perhaps."""
    lines, true_lines = outline_lines(found, matrix), outline_lines(true, true_matrix)
    low, high = (edge(np.vstack(true_lines), axis=0) for edge in (np.min, np.max))
    side = float((high - low).max())
    gap = matrix[:, :2] @ found.centre + matrix[:, 2] - true_matrix[:, :2] @ true.centre - true_matrix[:, 2]
    frames = [(one[:, :2] * template.size / 2) for one, template in ((matrix, found), (true_matrix, true))]
    points, swapped = _named_points(found, matrix, true, true_matrix)
    size, angle = _frame_errors(found, frames[0], true, frames[1])
    return GeometryError(
        iou=area_overlap(lines, true_lines) if _encloses(found) and _encloses(true) else None,
        distance=_mean_distance(lines, true_lines) / side,
        centre=float(np.hypot(*gap)) / side,
        size=size,
        angle=angle,
        vertices=_vertex_error(found, matrix, true, true_matrix, side),
        points=None if points is None else points / side,
        swapped=swapped,
    )


def outline_lines(template: Template, matrix: Array) -> list[Array]:
    """The outline under a matrix (2, 3), a polyline (n, 2) a subpath."""
    return [flatten_subpath(part) @ matrix[:, :2].T + matrix[:, 2] for part in template.subpaths]


def area_overlap(lines: list[Array], others: list[Array]) -> float:
    """Intersection over union of the areas that polylines enclose; one within the other is part of it."""
    every = np.vstack([*lines, *others])
    low, size = every.min(axis=0), np.ptp(every, axis=0).max()
    scale = (RASTER - 3) / max(float(size), 1e-12)
    one, other = (_filled([(line - low) * scale + 1 for line in part]) for part in (lines, others))
    union = np.count_nonzero(one | other)
    return float(np.count_nonzero(one & other) / union) if union else 0.0


def corner_gap(corners: Array, others: Array) -> float:
    """Mean distance between as many corners (n, 2), in the order that suits best.

    Of more than four, only orders along the outline are tried.
    """
    count = len(corners)
    turned = [np.roll(np.arange(count)[::way], shift) for way in (1, -1) for shift in range(count)]
    orders = itertools.permutations(range(count)) if count <= 4 else turned
    return min(float(np.hypot(*(corners[list(order)] - others).T).mean()) for order in orders)


def _filled(lines: list[Array]) -> NDArray[np.bool_]:
    page = np.zeros((RASTER, RASTER), np.uint8)
    cv2.fillPoly(page, [np.rint((line - 0.5) * 16).astype(np.int32) for line in lines], 1, cv2.LINE_8, 4)
    contours = cv2.findContours(page, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
    return np.asarray(cv2.drawContours(page, contours, -1, 1, cv2.FILLED) > 0)


def _encloses(template: Template) -> bool:
    return all(part.closed for part in template.subpaths)


def _mean_distance(lines: list[Array], others: list[Array]) -> float:
    one, other = (_densely(part) for part in (lines, others))
    gaps = np.sqrt(((one[:, np.newaxis] - other) ** 2).sum(axis=2))
    return float((gaps.min(axis=1).mean() + gaps.min(axis=0).mean()) / 2)


def _densely(lines: list[Array], count: int = 240) -> Array:
    """(count, 2) points spaced evenly along polylines."""
    steps = np.vstack([np.hstack([line[:-1], line[1:]]) for line in lines])
    ends = np.hypot(*(steps[:, 2:] - steps[:, :2]).T).cumsum()
    at = (np.arange(count) + 0.5) / count * ends[-1]
    index = np.minimum(np.searchsorted(ends, at), len(steps) - 1)
    lengths = np.diff(ends, prepend=0.0)[index]
    share = 1 - (ends[index] - at) / np.maximum(lengths, 1e-12)
    return np.asarray(steps[index, :2] + share[:, np.newaxis] * (steps[index, 2:] - steps[index, :2]))


def _frame_errors(found: Template, frame: Array, true: Template, true_frame: Array) -> tuple[float, float | None]:
    """The largest relative error of the half axes in the columns of two frames, and the turn between them in degrees.

    Up to the symmetries of the outline. Round ones are compared by the axes of their ellipses, and have no turn where
    these hardly differ; outlines of different form have none, either.
    """
    if found.is_round and true.is_round:
        axes, lengths = zip(*(np.linalg.svd(one)[:2] for one in (frame, true_frame)), strict=True)
        turn = math.degrees(math.acos(min(1.0, abs(float(axes[0][:, 0] @ axes[1][:, 0])))))
        is_circular = lengths[1][1] > MAX_CIRCULAR * lengths[1][0]
        return float(np.abs(lengths[0] / lengths[1] - 1).max()), None if is_circular else turn
    errors = []
    for way in _ways_onto(found, true):
        turned = true_frame @ way
        change = frame @ np.linalg.inv(turned)
        if np.linalg.det(change) > 0:
            angle = math.degrees(math.atan2(change[1, 0] - change[0, 1], change[0, 0] + change[1, 1]))
            errors.append((abs(angle), float(np.abs(np.hypot(*frame) / np.hypot(*turned) - 1).max())))
    if errors:
        angle, size = min(errors)
        return size, angle
    wanted = np.hypot(*true_frame)
    return float(
        min(np.abs(lengths / wanted - 1).max() for lengths in (np.hypot(*frame), np.hypot(*frame)[::-1]))
    ), None


def _ways_onto(found: Template, true: Template) -> list[Array]:
    """The matrices (2, 2) that take the one outline's box onto the other's, with all symmetries of both."""
    if all(true is not relative for relative in found.relatives):
        return []
    own = [way for way, _ in found.ways_onto(found)]
    return [across @ way for across, _ in found.ways_onto(true) for way in own]


def _vertex_error(found: Template, matrix: Array, true: Template, true_matrix: Array, side: float) -> float | None:
    if found.vertices is None or true.vertices is None or len(found.vertices) != len(true.vertices):
        return None
    corners = [part[0].corners @ one[:, :2].T + one[:, 2] for part, one in
               ((found.subpaths, matrix), (true.subpaths, true_matrix))]  # fmt: skip
    return corner_gap(corners[0], corners[1]) / side


def _named_points(
    found: Template, matrix: Array, true: Template, true_matrix: Array
) -> tuple[float | None, bool | None]:
    names = sorted(found.named_points.keys() & true.named_points.keys())
    if not names:
        return None, None
    here, there = (
        _placed(template.named_points, names, one) for template, one in ((found, matrix), (true, true_matrix))
    )
    gaps = np.sqrt(((here[:, np.newaxis] - there) ** 2).sum(axis=2))
    return float(gaps.diagonal().max()), bool((gaps.argmin(axis=1) != np.arange(len(names))).any())


def _placed(points: Mapping[str, Array], names: list[str], matrix: Array) -> Array:
    return np.array([matrix[:, :2] @ points[name] + matrix[:, 2] for name in names])
