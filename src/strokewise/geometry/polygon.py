"""A polygon whose corners are free: each edge becomes the straight line nearest to the ink along it.

Pose of a polygon, InkPoints → Pose of the polygon with moved corners
"""

from dataclasses import replace

import numpy as np

from strokewise.geometry.fitting import Pose
from strokewise.geometry.ink import InkPoints
from strokewise.geometry.path_data import Coordinates, Subpath

ROUNDS = 3
EDGE_MARGIN = 0.12  # of an edge's length, at both ends: ink there may belong to the next one
REACH = 0.12  # of the ink's scale: what is farther from an edge is not its ink
MIN_ON_EDGE = 3  # points of the ink that decide where an edge lies; with fewer it stays
MAX_MOVE = 0.3  # of the ink's scale, of a corner


def free_corners(pose: Pose, ink: InkPoints) -> Pose:
    """The pose of a template made of the moved corners, which names the template that it comes from as its `source`.

    Where edges have too little ink, or corners would move too far, they stay.
    """
    template = pose.template
    assert template.vertices is not None, "corners are those of a polygon"
    first = template.vertices @ pose.linear.T + pose.shift
    corners = first
    for _ in range(ROUNDS):
        lines = [_edge_line(corners[i], corners[(i + 1) % len(corners)], ink) for i in range(len(corners))]
        met = np.array([_intersection(lines[i - 1], lines[i], corners[i]) for i in range(len(corners))])
        moved = np.hypot(*(met - first).T) <= MAX_MOVE * ink.scale
        corners = np.where(moved[:, np.newaxis], met, corners)
    pieces = tuple(np.array([corners[i], corners[(i + 1) % len(corners)]]) for i in range(len(corners)))
    free = replace(template, subpaths=(Subpath(pieces, True),), relatives=())
    return Pose(free, np.eye(2) * free.half, free.centre, template)


def _edge_line(start: Coordinates, end: Coordinates, ink: InkPoints) -> tuple[Coordinates, Coordinates]:
    """A point and the direction of the line nearest to the ink along an edge."""
    way = end - start
    length = max(float(np.hypot(*way)), 1e-12)
    way = way / length
    offset = ink.points - start
    along, across = offset @ way, offset @ np.array([-way[1], way[0]])
    near = (along > EDGE_MARGIN * length) & (along < (1 - EDGE_MARGIN) * length) & (np.abs(across) < REACH * ink.scale)
    if near.sum() < MIN_ON_EDGE:
        return (start + end) / 2, way
    weights = ink.weights[near] / (1 + (across[near] / (0.5 * REACH * ink.scale)) ** 2) ** 2
    points = ink.points[near]
    centre = weights @ points / weights.sum()
    spread = (points - centre) * weights[:, np.newaxis]
    direction = np.linalg.eigh(spread.T @ (points - centre))[1][:, 1]
    return centre, direction if direction @ way > 0 else -direction


def _intersection(
    one: tuple[Coordinates, Coordinates], other: tuple[Coordinates, Coordinates], default: Coordinates
) -> Coordinates:
    """Where two lines meet; `default` where they are nearly parallel."""
    (a, u), (b, v) = one, other
    cross = u[0] * v[1] - u[1] * v[0]
    if abs(cross) < 0.05:
        return default
    gap = b - a
    return np.asarray(a + u * ((gap[0] * v[1] - gap[1] * v[0]) / cross))
