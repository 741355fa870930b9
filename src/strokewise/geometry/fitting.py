"""Where an outline lies on the ink: poses from moments, then iterative closest points, both ways and robust.

    templates, InkPoints → Poses, each a matrix and a shift from the template's frame; their distances from the ink

Sources: moments for the pose under an affine map (Flusser and Suk 1993, Pattern recognition by affine moment
invariants), distance maps for the comparison of poses (Barrow et al. 1977, chamfer matching), iterative closest points
(Besl and McKay 1992; Chen and Medioni 1992 for the distance across the line alone), robust weights (Geman and McClure
1987). All of it is a few sums and the solution of six equations.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from strokewise.geometry.ink import InkPoints
from strokewise.geometry.path_data import Coordinates
from strokewise.geometry.template import Template, WhitenedTemplate, map_index, turn_matrices

MAP_CAP = 0.5  # of the whitened frame's unit: a larger distance counts as this
OUTLINE_SHARE = 0.5  # weight of the way from outline to ink against the way from ink to outline
DAMPING = 1e-4


@dataclass(frozen=True, eq=False)
class Pose:
    """A template laid over ink."""

    template: Template
    linear: Coordinates
    """(2, 2) from the template's frame to the ink's."""
    shift: Coordinates
    """(2,)"""
    source: Template | None = None
    """What `template` was before its corners moved; None if they did not."""


def find_poses(
    frames: Sequence[tuple[Template, WhitenedTemplate]], ink: InkPoints, count: int, each: int
) -> list[tuple[float, Pose]]:
    """The likeliest poses of templates, `each` of a template at most, with their distance, best first.

    In the frames in which both have unit covariance, any affine pose is a turn, flipped or not.
    """
    turns = turn_matrices()
    unwhite = np.linalg.inv(ink.matrix)
    back = map_index(ink.coarse @ turns)  # (turns, m): the inverse of a turn is its transpose
    poses = []
    for template, frame in frames:
        tried = frame.turns
        there = np.minimum(ink.distance_map[map_index(frame.coarse @ turns[tried].swapaxes(1, 2))], MAP_CAP)
        here = np.minimum(frame.distance_map[back[tried]], MAP_CAP)
        distance = np.sqrt((there * there).mean(axis=1)) + np.sqrt((here * here).mean(axis=1))
        taken: list[int] = []
        for index in np.argsort(distance, kind="stable").tolist():
            if any(_near_turns(tried[index], tried[other]) for other in taken):
                continue
            taken.append(index)
            linear = unwhite @ turns[tried[index]] @ frame.matrix
            poses.append((float(distance[index]), Pose(template, linear, ink.centre - linear @ frame.centre)))
            if len(taken) == each:
                break
    poses.sort(key=lambda pose: pose[0])
    return poses[:count]


def _near_turns(one: int, other: int) -> bool:
    """Whether two turns are within three steps of each other."""
    half = len(turn_matrices()) // 2
    return one // half == other // half and min((one - other) % half, (other - one) % half) <= 3


def project(linear: Coordinates, fit: str) -> Coordinates:
    """The nearest matrix (2, 2) to a linear map (2, 2) that `fit` allows."""
    if fit in ("affine", "vertices"):
        return linear
    lengths = np.maximum(np.hypot(*linear), 1e-12)
    sign = np.array([1.0, 1.0 if np.linalg.det(linear) >= 0 else -1.0])
    columns = linear / lengths * sign
    angle = np.arctan2(columns[1, 0] - columns[0, 1], columns[0, 0] + columns[1, 1])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    if fit == "similarity":
        lengths = np.full(2, np.sqrt(max(abs(float(np.linalg.det(linear))), 1e-12)))
    return np.asarray(turn * (lengths * sign))


FREE = {"similarity": 2, "box": 3, "affine": 4, "vertices": 4}  # of turn, stretch along x, along y, slant: see `_basis`


def refine(
    poses: Sequence[Pose], fits: Sequence[str], ink: InkPoints, sigmas: Sequence[float], coarse: bool = False
) -> list[Pose]:
    """Refine poses, all at once, by iterative closest points.

    Args:
        poses: K of them.
        fits: what may move of each.
        ink: what they are fitted to.
        sigmas: of the ink's scale, the distance from which on a point counts little, a step each.
        coarse: take only half of the points.
    """
    if not poses:
        return []
    outlines = np.stack([pose.template.coarse_outline if coarse else pose.template.outline for pose in poses])
    linear = np.stack([pose.linear for pose in poses])
    shift = np.stack([pose.shift for pose in poses])
    points, weights = (ink.points[::2], ink.weights[::2]) if coarse else (ink.points, ink.weights)
    weights = weights / weights.sum()
    for sigma in sigmas:
        reach = max(sigma * ink.scale, 0.5 * ink.width)
        linear, shift = _step(outlines, fits, linear, shift, points, weights, reach)
    return [Pose(pose.template, a, b) for pose, a, b in zip(poses, linear, shift, strict=True)]


def _step(
    outlines: Coordinates,
    fits: Sequence[str],
    linear: Coordinates,
    shift: Coordinates,
    points: Coordinates,
    weights: Coordinates,
    sigma: float,
) -> tuple[Coordinates, Coordinates]:
    """One step of Gauss and Newton towards the closest points; outlines are (K, m, 6), see `Template.outline`."""
    count, m = outlines.shape[:2]
    n = len(points)
    placed, along, speed = _place_outlines(outlines, linear, shift)
    gaps = squared_gaps(points, placed)  # (K, n, m)
    # pairs of a sample and a point of the ink: for each point its nearest sample, for each sample its nearest point
    values = np.concatenate([placed - shift[:, np.newaxis], along, outlines[..., 4:5]], axis=2)  # (K, m, 5)
    nearest = (gaps.argmin(axis=2) + m * np.arange(count)[:, np.newaxis]).ravel()
    values = np.concatenate([values.reshape(-1, 5)[nearest].reshape(count, n, 5), values], axis=1)
    rx, ry, wx, wy, soft = np.ascontiguousarray(values.transpose(2, 0, 1))  # (K, n + m) each
    targets = points[gaps.argmin(axis=1)]
    dx = np.concatenate([points[:, 0] - rx[:, :n], targets[..., 0] - rx[:, n:]], axis=1) - shift[:, :1]
    dy = np.concatenate([points[:, 1] - ry[:, :n], targets[..., 1] - ry[:, n:]], axis=1) - shift[:, 1:]
    gap = (dx * dx + dy * dy) * (1 / sigma**2)
    outline_gap, is_open = gap[:, n:], outlines[..., 5]
    # a sample of an open line that lies beyond the ink is drawn back along the line
    soft[:, n:] = np.maximum(soft[:, n:], (0.3 + 0.7 * is_open) * outline_gap / (outline_gap + 1))
    outline_gap /= 1 + 8 * is_open  # an end that lies far beyond the ink counts all the same
    weight = 1 / (1 + gap) ** 2
    weight[:, :n] *= weights
    weight[:, n:] *= OUTLINE_SHARE * speed / speed.sum(axis=1, keepdims=True)
    # the metric of each pair (across the line in full, along it as stiff as the sample), and its pull
    metric = np.empty((count, 3, n + m))
    metric[:, 0] = weight * (wy * wy + soft * wx * wx)
    metric[:, 1] = weight * ((soft - 1) * wx * wy)
    metric[:, 2] = weight * (wx * wx + soft * wy * wy)
    pull = np.empty((count, 2, n + m))
    pull[:, 0] = metric[:, 0] * dx + metric[:, 1] * dy
    pull[:, 1] = metric[:, 1] * dx + metric[:, 2] * dy
    size = np.sqrt(np.abs(np.linalg.det(linear))) + 1e-9
    at = np.stack([rx, ry, np.broadcast_to(size[:, np.newaxis], rx.shape)], axis=1)  # (K, 3, n + m)
    back = at.swapaxes(1, 2)
    sums = ((metric[:, :, np.newaxis] * at[:, np.newaxis]).reshape(count, 9, -1) @ back).reshape(count, 3, 3, 3)
    normal = np.concatenate(  # (K, 6, 6) over the entries of an affine map of the plane, by rows
        [np.concatenate([sums[:, 0], sums[:, 1]], axis=2), np.concatenate([sums[:, 1], sums[:, 2]], axis=2)], axis=1
    )
    basis = _basis(linear, fits)
    normal = basis.swapaxes(1, 2) @ normal @ basis
    gradient = basis.swapaxes(1, 2) @ (pull @ back).reshape(count, 6, 1)
    ridge = DAMPING * np.trace(normal, axis1=1, axis2=2) + 1e-12
    change = np.linalg.solve(normal + ridge[:, np.newaxis, np.newaxis] * np.eye(6), gradient)[..., 0].clip(-0.5, 0.5)
    turn, sx, sy, slant = change[:, 0], change[:, 1], change[:, 2], change[:, 3]
    for number, fit in enumerate(fits):
        if fit == "similarity":
            sy[number] = sx[number]
    cos, sin = np.cos(turn), np.sin(turn)
    rotation = np.stack([cos, -sin, sin, cos], axis=1).reshape(-1, 2, 2)
    stretch = np.stack([np.exp(sx), slant, np.zeros_like(sx), np.exp(sy)], axis=1).reshape(-1, 2, 2)
    return rotation @ linear @ stretch, shift + change[:, 4:] * size[:, np.newaxis]


def _basis(linear: Coordinates, fits: Sequence[str]) -> Coordinates:
    """(K, 6, 6): what each free parameter does to the plane, as the entries of an affine map (2, 3) about the shift.

    The parameters are turn, stretch along x and along y of the outline (together in a similarity), slant, and the
    shift; those that a fit leaves out are zero.
    """
    basis = np.zeros((len(linear), 2, 3, 6))
    inverse = np.linalg.inv(linear + 1e-12 * np.eye(2))
    basis[:, 0, 1, 0], basis[:, 1, 0, 0] = -1, 1
    basis[:, :, :2, 1] = linear[:, :, :1] * inverse[:, :1]
    basis[:, :, :2, 2] = linear[:, :, 1:] * inverse[:, 1:]
    basis[:, :, :2, 3] = linear[:, :, :1] * inverse[:, 1:]
    basis[:, 0, 2, 4] = basis[:, 1, 2, 5] = 1
    for number, fit in enumerate(fits):
        if fit == "similarity":
            basis[number, ..., 1] += basis[number, ..., 2]
        basis[number, ..., FREE[fit] : 4] = 0
    return basis.reshape(-1, 6, 6)


def _place_outlines(
    outlines: Coordinates, linear: Coordinates, shift: Coordinates
) -> tuple[Coordinates, Coordinates, Coordinates]:
    """Samples (K, m, 2), their directions of length 1, and how much longer (K, m) the outline is there."""
    turned = linear.swapaxes(1, 2)
    along = outlines[..., 2:4] @ turned
    speed = np.sqrt(along[..., 0] ** 2 + along[..., 1] ** 2) + 1e-12
    return outlines[..., :2] @ turned + shift[:, np.newaxis], along / speed[..., np.newaxis], speed


def squared_gaps(points: Coordinates, placed: Coordinates) -> NDArray[np.float32]:
    """Squared distances (K, n, m) between points (n, 2) and K times m points (K, m, 2)."""
    centre = points.mean(axis=0)
    a, b = (points - centre).astype(np.float32), (placed - centre).astype(np.float32)
    gaps = a @ b.swapaxes(1, 2)
    gaps *= -2
    gaps += (a * a).sum(axis=1)[:, np.newaxis]
    gaps += (b * b).sum(axis=2)[:, np.newaxis]
    return np.asarray(gaps)


def pose_gaps(poses: Sequence[Pose], ink: InkPoints) -> tuple[Coordinates, Coordinates, Coordinates]:
    """How far K poses are from the ink.

    Returns the distance (K, n) of each point of the ink from the outline, that (K, m) of each sample from the ink, and
    the share (K, m) of the outline's length at each sample.
    """
    outlines = np.stack([pose.template.outline for pose in poses])
    linear, shift = np.stack([pose.linear for pose in poses]), np.stack([pose.shift for pose in poses])
    placed, along, speed = _place_outlines(outlines, linear, shift)
    gaps = squared_gaps(ink.points, placed)
    count, m = outlines.shape[:2]
    lengths = np.array([pose.template.length for pose in poses])
    values = np.concatenate([placed, along, (lengths[:, np.newaxis] * 0.55 / m * speed)[..., np.newaxis]], axis=2)
    nearest = (gaps.argmin(axis=2) + m * np.arange(count)[:, np.newaxis]).ravel()
    px, py, wx, wy, reach = values.reshape(-1, 5)[nearest].reshape(count, -1, 5).transpose(2, 0, 1)
    dx, dy = ink.points[:, 0] - px, ink.points[:, 1] - py
    ink_gaps = np.hypot(dx * wy - dy * wx, np.maximum(np.abs(dx * wx + dy * wy) - reach, 0))
    between = (0.55 * ink.spacing) ** 2  # the ink goes on between two of its points
    outline_gaps = np.sqrt(np.maximum(gaps.min(axis=1) - between, 0)).astype(np.float64)
    return ink_gaps, outline_gaps, speed / speed.sum(axis=1, keepdims=True)
