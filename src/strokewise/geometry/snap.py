"""A drawing that was recognised → the outline of that shape which explains its ink, or the reason why none does.

    ink, the templates of the shape → Geometry, or text

1. Poses are sought in frames in which shape and ink have unit covariance (`fitting.find_poses`): that of the
   region that the ink encloses, and that of its convex hull.
2. The best of them are refined by iterative closest points as far as `data-fit` allows (`fitting.refine`).
3. The simplest member of the family that explains the ink as well is taken: no slant where hardly any is seen.
4. Where too much ink is left over, or too much of the outline has no ink, there is no geometry.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from strokewise.geometry import fitting
from strokewise.geometry.fitting import Pose
from strokewise.geometry.ink import MIN_FILLING, InkImage, InkPoints, ink_points, pen_width, region_points
from strokewise.geometry.path_data import Coordinates, Subpath, transform_path, write_path
from strokewise.geometry.polygon import free_corners
from strokewise.geometry.template import Template

MAX_MISFIT = 0.36  # of a shape that is sure, calibrated on paintings: no outline rather than a wrong one
COARSE_SIGMAS = (0.15, 0.1)  # of the ink's scale: what counts as far, a step each
FINE_SIGMAS = (0.07, 0.05, 0.05)
NUM_POSES, POSES_EACH, NUM_FINE = 4, 2, 2  # poses that are refined at a time, of each template, and to the end
MAX_POSES = 8  # that are refined in a frame
GOOD_MISFIT = 0.15  # after the first steps: a pose that fits as well is not looked for elsewhere
PLAIN_MISFIT = 0.12  # the same of a plain outline: others are not looked for
MISFIT_SIGMA = 0.05  # of the ink's scale: at this distance ink and outline half explain each other
SLANT_GAIN = 0.01  # of the misfit that a slant must explain
PLAIN_GAIN = 0.04  # of the misfit that an outline must explain that is less symmetric than another of the shape
MIN_THICKNESS = 0.02  # width over length of ink that may be a shape: less is a line
MIN_POINTS = 8  # of the ink


@dataclass(frozen=True)
class Geometry:
    """Where the outline of a shape lies in a drawing, in the drawing's own units: x to the right, y down."""

    shape: str
    variant: str
    """Which of the shape's outlines."""
    matrix: tuple[tuple[float, float, float], tuple[float, float, float]]
    """From the outline's viewBox to the drawing; the nearest one where corners moved freely."""
    path: str
    """SVG path data."""
    parameters: Mapping[str, Any]
    """`centre` [x, y], `size` [width, height] along its own axes and `angle` of the first of them in degrees, clockwise
    as seen; `mirrored`; `radii` of an ellipse, `corner_radius` of a box with round corners, `vertices` of a polygon,
    and `points` that the outline names."""
    residual: float
    """Root mean square distance from the ink to the outline, as a share of the drawing's longer side."""
    misfit: float
    """Mean of the share of the ink off the outline and of the outline without ink: 0 is perfect, 1 the worst."""

    def to_dict(self) -> dict[str, Any]:
        """All fields, as JSON takes them."""
        return {
            "shape": self.shape,
            "variant": self.variant,
            "matrix": [list(row) for row in self.matrix],
            "path": self.path,
            "parameters": dict(self.parameters),
            "residual": self.residual,
            "misfit": self.misfit,
        }


@dataclass(frozen=True, eq=False)
class Fit:
    """A pose with what it was fitted to."""

    pose: Pose
    ink: InkPoints
    off: float
    """Share of the ink off the outline."""
    bare: float
    """Share of the outline without ink."""

    @property
    def misfit(self) -> float:
        """The mean of both."""
        return (self.off + self.bare) / 2


def snap_outline(
    templates: Sequence[Template],
    ink: InkImage,
    to_source: Coordinates,
    confidence: float = 1.0,
    max_misfit: float = MAX_MISFIT,
) -> Geometry | str:
    """Lay the outline of a shape over the ink of a drawing.

    Args:
        templates: the outlines of the shape.
        ink: uint8 (h, w), 0 bare paper to 255 full ink; see `geometry.ink`.
        to_source: (2, 3) from the ink's pixels to the drawing's own units.
        confidence: of the shape, 0 to 1: the less sure it is, the better must the outline fit: the bound is multiplied
            by its square.
        max_misfit: the largest misfit, 0 to 1, of an outline that explains the ink of a shape that is sure.

    Returns the geometry, or the reason why there is none.
    """
    width = pen_width(ink)
    if (reason := _degenerate(ink, width)) or not templates:
        return reason or "the model has no outline of it"
    fit = find_fit(templates, ink, width)
    if fit is None or not np.isfinite(fit.pose.linear).all() or not np.isfinite(fit.pose.shift).all():
        return "no outline of it can be laid over the ink"
    bound = max_misfit * confidence**2
    if fit.misfit > bound:
        return _describe_misfit(fit, bound)
    return _to_geometry(fit, ink, to_source)


def find_fit(templates: Sequence[Template], ink: InkImage, width: float) -> Fit | None:
    """The best fit of any template to ink drawn `width` wide, whatever its misfit; None where there is no pose."""
    lines = ink_points(ink, width)
    if len(lines.points) < MIN_POINTS:
        return None
    templates = distinct_templates(templates)
    regions = [template for template in templates if template.is_region]
    region = region_points(ink, width, min(template.convexity for template in regions)) if regions else None
    is_filled = region is not None and region[1] > MIN_FILLING
    found: list[Fit] = []
    for plain in (True, False):
        tried = [template for template in templates if template.is_plain is plain]
        searched = [(lines, [(t, t.hull_frame) for t in tried if not (is_filled and t.is_region)])]
        if region is not None:
            searched.insert(0, (region[0], [(t, frame) for t in tried if t.is_region and (frame := t.region_frame)]))
        for target, start in _find(searched):
            refined = fitting.refine(start, [pose.template.fit for pose in start], target, COARSE_SIGMAS, coarse=True)
            on_region = [pose for pose in refined if is_filled and pose.template.is_region]
            found += measure([pose for pose in refined if pose not in on_region], lines)
            found += measure(on_region, region[0]) if region is not None else []
            found.sort(key=_cost)
            if found and found[0].misfit < GOOD_MISFIT:
                break
        if found and found[0].misfit < PLAIN_MISFIT:
            break
    return _finish(found[:NUM_FINE]) if found else None


def _find(
    searched: Sequence[tuple[InkPoints, Sequence[tuple[Template, Any]]]],
) -> Iterator[tuple[InkPoints, list[Pose]]]:
    """The likeliest poses in each frame, a few at a time."""
    for ink, frames in searched:
        poses = [pose for _, pose in fitting.find_poses(frames, ink, MAX_POSES, POSES_EACH)] if frames else []
        poses = [Pose(pose.template, fitting.project(pose.linear, pose.template.fit), pose.shift) for pose in poses]
        for first in range(0, len(poses), NUM_POSES):
            yield ink, poses[first : first + NUM_POSES]


def _finish(fits: list[Fit]) -> Fit:
    """Refine to the end, and take the best, the simplest of equals."""
    final: list[Fit] = []
    for ink in {id(fit.ink): fit.ink for fit in fits}.values():
        start = [fit.pose for fit in fits if fit.ink is ink]
        refined = fitting.refine(start, [pose.template.fit for pose in start], ink, FINE_SIGMAS)
        final += measure(refined, ink)
    best = min(final, key=_cost)
    template, ink = best.pose.template, best.ink
    if template.fit == "vertices" and template.vertices is not None and len(template.vertices) > 3:
        freed = measure([free_corners(best.pose, ink)], ink)[0]
        return min(best, freed, key=lambda fit: fit.misfit)
    if template.fit == "affine" and not template.is_ellipse:
        upright = Pose(template, fitting.project(best.pose.linear, "box"), best.pose.shift)
        plain = measure(fitting.refine([upright], ["box"], ink, FINE_SIGMAS[-2:]), ink)[0]
        if plain.misfit <= best.misfit + SLANT_GAIN:
            return plain
    return best


def _cost(fit: Fit) -> float:
    """Its misfit, and what it must explain where it is not plain: few draw a kite or an egg on purpose."""
    return fit.misfit + PLAIN_GAIN * (not fit.pose.template.is_plain)


def measure(poses: Sequence[Pose], ink: InkPoints) -> list[Fit]:
    """Poses with their misfits: the share of the ink off the outline, and of the outline without ink, 0 to 1 each.

    What lies at a distance d counts d² / (d² + σ²), so that a wobble counts little and a missing side in full.
    """
    if not poses:
        return []
    ink_gaps, outline_gaps, lengths = fitting.pose_gaps(poses, ink)
    sigma = max(MISFIT_SIGMA * ink.scale, 0.5 * ink.width)
    ink_far, outline_far = (gaps**2 / (gaps**2 + sigma**2) for gaps in (ink_gaps, outline_gaps))
    shares = zip(poses, ink_far @ ink.weights, (outline_far * lengths).sum(axis=1), strict=True)
    return [Fit(pose, ink, float(off), float(bare)) for pose, off, bare in shares]


def distinct_templates(templates: Sequence[Template]) -> list[Template]:
    """Without those that are others of them, stretched: one fit stands for all of these."""
    found: dict[Any, Template] = {}
    for template in templates:
        found.setdefault(template.family, template)
    return list(found.values())


def _degenerate(ink: InkImage, width: float) -> str:
    """Why this ink is no shape at all; empty if it may be one."""
    y, x = np.nonzero(ink > 96)
    if len(x) < MIN_POINTS:
        return "there is hardly any ink"
    covariance = np.cov(np.stack([x, y]))
    low, high = np.linalg.eigvalsh(covariance)
    thin = np.sqrt(max(low - 1 / 12, 0.0) / max(high, 1e-9))
    if np.sqrt(12 * max(high, 0.0)) < 1.8 * width and len(x) < 2.2 * width * width:
        return "it is a dot"
    if thin < MIN_THICKNESS or (np.sqrt(12 * max(low, 0.0)) < 1.15 * width and np.sqrt(12 * high) > 6 * width):
        return "it is a straight line"
    return ""


def _describe_misfit(fit: Fit, bound: float) -> str:
    worse = f"{fit.off:.0%} of the ink is off the outline"
    if fit.bare > fit.off:
        worse = f"{fit.bare:.0%} of the outline has no ink"
    return f"no outline of it explains the ink: {worse} (misfit {fit.misfit:.2f}, {bound:.2f} is allowed)"


# --- what a user gets


def _to_geometry(fit: Fit, ink: InkImage, to_source: Coordinates) -> Geometry:
    pose, template = fit.pose, fit.pose.template
    linear, shift = to_source[:, :2] @ pose.linear, to_source[:, :2] @ pose.shift + to_source[:, 2]
    source = fit.pose.source or template
    if fit.pose.source is None:
        template, linear, shift = plainest(template, linear, shift)
        source = template
    matrix = np.column_stack([linear / template.half, shift - linear @ template.centre / template.half])
    subpaths = _ellipse_path(template, matrix) if template.is_ellipse else transform_path(template.subpaths, matrix)
    whole = matrix if fit.pose.source is None else _nearest_affine(source, template, matrix)
    gaps = fitting.pose_gaps([pose], fit.ink)[0][0]
    side = max(float(np.ptp(np.nonzero(ink > 96)[axis])) + 1 for axis in (0, 1))
    extent = np.abs(to_source[:, :2]).max() * max(ink.shape)
    digits = max(0, 4 - int(np.ceil(np.log10(max(extent, 1e-9)))))
    return Geometry(
        shape=source.shape,
        variant=source.variant,
        matrix=tuple(tuple(float(value) for value in row) for row in whole),  # type: ignore[arg-type]
        path=subpaths if isinstance(subpaths, str) else write_path(subpaths, digits),
        parameters=_parameters(source, whole, subpaths),
        residual=float(np.sqrt(fit.ink.weights @ gaps**2)) / side,
        misfit=fit.misfit,
    )


def plainest(template: Template, linear: Coordinates, shift: Coordinates) -> tuple[Template, Coordinates, Coordinates]:
    """The same outline laid down in the plainest way: by the relative of the template that is stretched least, turned
    least by a symmetry, and not mirrored if it need not be."""
    best: tuple[tuple[float, float, float], Template, Coordinates, Coordinates] | None = None
    if template.is_ellipse:
        axes, radii, _ = np.linalg.svd(linear @ np.diag(template.radii))
        if np.linalg.det(axes) < 0:
            axes = axes * np.array([1.0, -1.0])
        linear = axes * radii / template.radii
    unit = linear @ np.diag(template.radii)
    for relative in template.relatives:
        for matrix, offset in relative.ways_onto(template):
            turned = unit @ matrix @ np.diag(1 / relative.radii)
            lengths = np.maximum(np.hypot(*turned), 1e-12)
            stretch = abs(float(np.log(lengths[0] / lengths[1])))
            mirrored = float(np.linalg.det(turned) < 0)
            angle = abs(_angle(turned))
            slant = abs(float(turned[:, 0] @ turned[:, 1] / (lengths[0] * lengths[1])))
            cost = (round(stretch + 2 * slant, 3), mirrored, angle)
            if best is None or cost < best[0]:
                best = cost, relative, turned, shift + unit @ offset
    assert best is not None, "every template is a relative of itself"
    return best[1:]


def _angle(linear: Coordinates) -> float:
    """The direction of the first axis in degrees, -180 to 180, clockwise as seen."""
    return float(np.degrees(np.arctan2(linear[1, 0], linear[0, 0])))


def _ellipse_path(template: Template, matrix: Coordinates) -> str:
    radii = np.hypot(*matrix[:, :2]) * template.size / 2
    centre = matrix[:, :2] @ template.centre + matrix[:, 2]
    axis = matrix[:, 0] / max(float(np.hypot(*matrix[:, 0])), 1e-12) * radii[0]
    start, end = centre - axis, centre + axis
    arc = f"A{radii[0]:.6g} {radii[1]:.6g} {_angle(matrix[:, :2]):.6g} 0 1"
    return f"M{start[0]:.6g} {start[1]:.6g} {arc} {end[0]:.6g} {end[1]:.6g} {arc} {start[0]:.6g} {start[1]:.6g} Z"


def _nearest_affine(source: Template, moved: Template, matrix: Coordinates) -> Coordinates:
    """The affine map from an outline's viewBox that is nearest to where its corners went."""
    before = np.column_stack([source.subpaths[0].corners, np.ones(len(source.subpaths[0].corners))])
    after = moved.subpaths[0].corners @ matrix[:, :2].T + matrix[:, 2]
    return np.asarray(np.linalg.lstsq(before, after, rcond=None)[0].T)


def _parameters(template: Template, matrix: Coordinates, subpaths: str | tuple[Subpath, ...]) -> dict[str, Any]:
    linear, shift = matrix[:, :2], matrix[:, 2]
    size = np.hypot(*linear) * template.size
    found: dict[str, Any] = {
        "centre": (linear @ template.centre + shift).tolist(),
        "size": size.tolist(),
        "angle": _angle(linear),
        "mirrored": bool(np.linalg.det(linear) < 0),
    }
    if template.is_ellipse:
        found["radii"] = (size / 2).tolist()
    if template.corner_radii is not None:
        found["corner_radius"] = float(np.mean(np.hypot(*linear) * template.corner_radii))
    if template.vertices is not None and not isinstance(subpaths, str):
        found["vertices"] = subpaths[0].corners.tolist()
    if template.named_points:
        found["points"] = {name: (linear @ at + shift).tolist() for name, at in template.named_points.items()}
    return found
