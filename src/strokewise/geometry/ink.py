"""Ink → the points that an outline is fitted to.

    ink uint8 (h, w), 0 bare paper to 255 full ink, longest side 64 to 512 pixels → InkPoints

Pixel (x, y) covers x to x + 1 and y to y + 1, so that coordinates are those of an SVG laid over the picture.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from strokewise.geometry.path_data import Coordinates
from strokewise.geometry.template import DISTANCE_MAP_SIDE, convex_hull, distance_map, map_index, whiten_polygon

InkImage = NDArray[np.uint8]
CELLS = 32  # along the longer side: each cell of this grid with ink in it gives one point
MAX_INK_POINTS = 128  # of these, spread evenly
SOLID = 96  # of 255: weaker ink is the soft edge of a line
GAP_SHARES = (0.0, 0.08, 0.18, 0.3)  # of the longer side: gaps in an outline that are bridged to find its inside
DEEP = 1.6  # pen widths from the outside: ink that lies deeper is a filling
MIN_FILLING = 0.3  # of the ink that lies deep where a shape is filled, hatched or scribbled over
MIN_SOLID = 0.8  # of the ink that lies deep where a shape is solid, so that its pen's width cannot be seen
MAX_PEN = 0.07  # of the longer side: what is wider is no line
USUAL_PEN = 0.036  # of the longer side: the width of a pen that cannot be seen, the middle of those people draw with
MIN_HOLE = 0.3  # of what an outline encloses: the largest bare area within a hatched shape is smaller
NUM_CONTOUR = 120  # points along the edge of a filled region
NUM_SEARCHED = 48  # points that the search for a pose looks at


@dataclass(frozen=True, eq=False)
class InkPoints:
    """Points of the ink, and a frame in which the ink's hull or region has unit covariance."""

    points: Coordinates
    """(n, 2)"""
    weights: Coordinates
    """(n,) share of the ink at each, summing to 1."""
    spacing: float
    """Between neighbours along a line."""
    width: float
    """Of the pen."""
    scale: float
    """Root of the area of its box: what errors are measured against."""
    matrix: Coordinates
    """(2, 2) into the frame."""
    centre: Coordinates
    """(2,) what becomes the frame's origin."""
    distance_map: Coordinates
    """(DISTANCE_MAP_SIDE²,) the distance from the ink in the frame."""
    coarse: Coordinates
    """(m, 2) points in the frame."""


def ink_points(ink: InkImage, width: float) -> InkPoints:
    """The points of all ink, for outlines that are lines; `width` is the pen's."""
    height, breadth = ink.shape
    cell = max(1, -(-max(height, breadth) // CELLS))
    rows, columns = -(-height // cell), -(-breadth // cell)
    padded = np.zeros((rows * cell, columns * cell), np.float32)
    padded[:height, :breadth] = ink
    blocks = padded.reshape(rows, cell, columns, cell)
    offsets = np.arange(cell, dtype=np.float32) + 0.5
    by_column, by_row = blocks.sum(axis=1), blocks.sum(axis=3)  # (rows, columns, cell), (rows, cell, columns)
    mass = by_column.sum(axis=2)
    y, x = np.nonzero(mass > 0.04 * 255 * cell * cell)
    here = mass[y, x]
    points = np.stack(
        [x * cell + by_column[y, x] @ offsets / here, y * cell + by_row[y, :, x] @ offsets / here], axis=1
    ).astype(np.float64)
    spacing = cell * max(1.0, len(points) / MAX_INK_POINTS)
    if len(points) > MAX_INK_POINTS:
        kept = np.linspace(0, len(points) - 1, MAX_INK_POINTS).round().astype(np.intp)
        points, here = points[kept], here[kept]
    weights = np.minimum(here, np.median(here)).astype(np.float64)
    return whitened_points(points, weights / weights.sum(), spacing, width, convex_hull(points))


def region_points(ink: InkImage, width: float, convexity: float) -> tuple[InkPoints, float] | None:
    """The points along the region that the ink encloses or fills, and how filled it is, 0 to 1.

    Where it is an outline, the points lie in the middle of the line: they are the edge of the largest bare area that it
    encloses, without what sticks out. Gaps in the line are bridged, the wider ones only where they must be. Else they
    are the edge of all that is not outside.

    Args:
        ink: uint8 (h, w).
        width: of the pen.
        convexity: the least area of an outline that is looked for, over that of its convex hull.

    None where there is no region of any size.
    """
    side = max(ink.shape)
    width = min(width, MAX_PEN * side)
    margin = round(GAP_SHARES[-1] * side) + 4
    solid = np.zeros((ink.shape[0] + 2 * margin, ink.shape[1] + 2 * margin), np.uint8)
    solid[margin:-margin, margin:-margin] = ink > SOLID
    hull = cv2.contourArea(cv2.convexHull(cv2.findNonZero(solid)))
    distance = cv2.distanceTransform(1 - solid, cv2.DIST_L2, 3)
    for gap in GAP_SHARES:
        reach = 0.5 + gap * side / 2
        hole = _largest_hole((distance <= reach).astype(np.uint8))
        if hole is None:
            continue
        region = (cv2.distanceTransform(1 - hole, cv2.DIST_L2, 3) <= reach + 0.5 * width).astype(np.uint8)
        if np.count_nonzero(region) > MIN_HOLE * convexity * hull:
            return _edge_points(region, width, 0.5, margin), 0.0
    joined = (distance <= GAP_SHARES[1] * side / 2).astype(np.uint8)
    closed = cv2.distanceTransform(_fill(joined), cv2.DIST_L2, 3) > GAP_SHARES[1] * side / 2
    filled = (closed | (solid > 0)).astype(np.uint8)
    depth = cv2.distanceTransform(filled, cv2.DIST_L2, 3)
    deep = depth > DEEP * width + 1
    filling = float(solid[deep].mean()) if deep.any() else 0.0
    tail = 0.5 * width + 1.0  # opened: ends that stick out are cut off
    core = (depth > tail).astype(np.uint8)
    if not core.any():
        return None
    region = (cv2.distanceTransform(1 - core, cv2.DIST_L2, 3) <= tail).astype(np.uint8)
    inset = 0.5 * (min(width, USUAL_PEN * side) if filling > MIN_SOLID else width)
    return _edge_points(region, width, 0.5 - inset, margin), filling


def _largest_hole(mask: InkImage) -> InkImage | None:
    """The largest area of zeros that does not reach the border of a mask (h, w) of 0 and 1; None if there is none."""
    outside = mask.copy()
    cv2.floodFill(outside, None, (0, 0), 2)
    count, labels, stats, _ = cv2.connectedComponentsWithStats((outside == 0).astype(np.uint8), connectivity=4)
    if count < 2:
        return None
    return np.asarray(labels == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax()), np.uint8)


def _edge_points(region: InkImage, width: float, outset: float, margin: int) -> InkPoints:
    """Points along the edge of the largest part of a region (h, w), `outset` pixels outside the edge's pixels."""
    contours = cv2.findContours(region, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
    line = max(contours, key=len).reshape(-1, 2).astype(np.float64)
    smooth = (line + np.roll(line, 1, 0) + np.roll(line, -1, 0)) / 3
    tangent = np.roll(smooth, -2, 0) - np.roll(smooth, 2, 0)
    outward = np.stack([tangent[:, 1], -tangent[:, 0]], axis=1) / np.maximum(np.hypot(*tangent.T), 1e-9)[:, np.newaxis]
    turn = (line[:, 0] * np.roll(line[:, 1], -1) - np.roll(line[:, 0], -1) * line[:, 1]).sum()
    points = smooth + (outset if turn > 0 else -outset) * outward + (0.5 - margin)
    points = points[np.linspace(0, len(points) - 1, min(NUM_CONTOUR, len(points))).round().astype(np.intp)]
    spacing = float(np.hypot(*np.diff(points, axis=0).T).mean())
    return whitened_points(points, np.full(len(points), 1 / len(points)), spacing, width, points)


def _fill(mask: InkImage) -> InkImage:
    """A mask (h, w) of 0 and 1 with its holes filled; its border must be 0."""
    outside = mask.copy()
    cv2.floodFill(outside, None, (0, 0), 2)
    return np.asarray(outside != 2, np.uint8)


def pen_width(ink: InkImage) -> float:
    """The mean width of the lines in pixels: four times the mean distance of their pixels from bare paper."""
    solid = np.zeros((ink.shape[0] + 2, ink.shape[1] + 2), np.uint8)
    solid[1:-1, 1:-1] = ink > SOLID
    distance = cv2.distanceTransform(solid, cv2.DIST_L2, 3)
    count = cv2.countNonZero(solid)
    return max(1.0, 4 * float(distance.sum()) / count - 1.0) if count else 1.0


def whitened_points(
    points: Coordinates, weights: Coordinates, spacing: float, width: float, polygon: Coordinates
) -> InkPoints:
    """Points of ink in the frame in which `polygon` (n, 2) has unit covariance."""
    extent = np.ptp(points, axis=0)
    matrix, centre = whiten_polygon(polygon)
    white = (points - centre) @ matrix.T
    page = np.full(DISTANCE_MAP_SIDE * DISTANCE_MAP_SIDE, 255, np.uint8)
    page[map_index(white)] = 0
    searched = np.linspace(0, len(points) - 1, min(NUM_SEARCHED, len(points))).round().astype(np.intp)
    return InkPoints(
        points=points,
        weights=weights,
        spacing=spacing,
        width=width,
        scale=float(np.sqrt(max(extent.max() * max(extent.min(), 0.1 * extent.max()), 1e-12))),
        matrix=matrix,
        centre=centre,
        distance_map=distance_map(page.reshape(DISTANCE_MAP_SIDE, DISTANCE_MAP_SIDE)).ravel(),
        coarse=white[searched],
    )
