"""An outline as a template: sampled along its length, with all that fitting it to ink needs, computed once.

    plain SVG (`synthesis.plain_svg`) → Template

A template's points stand in its frame: centre of the outline's box at 0, half of its longest side 1.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from xml.etree import ElementTree

import cv2
import numpy as np
from numpy.typing import NDArray

from strokewise.data.shapes import DEFAULT_FIT, FITS
from strokewise.errors import ModelError
from strokewise.geometry.path_data import Coordinates, Subpath, flatten_piece, flatten_subpath, parse_path

NUM_SAMPLES = 64  # points along a template
NUM_COARSE = 32  # of these, those that the search for a pose looks at
NUM_TURNS = 60  # turns at which a pose is tried: a whole number of them is a third, fourth, fifth or sixth of a circle
MAX_ASYMMETRY = 0.045  # of the whitened frame's unit: a template turned onto itself within this is symmetric
DISTANCE_MAP_SIDE = 96  # pixels: width and height of a distance map
MAP_REACH = 2.6  # standard deviations from the centre to the map's edge
SAME_TOLERANCE = 0.02  # of half of each side: outlines that deviate less are the same
ELLIPSE_TOLERANCE = 0.012  # of half the longest side: what deviates less from an ellipse is one
ROUND_TOLERANCE = 0.125  # the same of what resembles one: an oval, an egg
FREE_END, EDGE = 1.0, 0.003  # how much a sample resists being moved along the line


@dataclass(frozen=True, eq=False)
class Template:
    """One outline of a shape, ready to be fitted."""

    shape: str
    variant: str
    fit: str
    """One of `FITS`."""
    mirror: bool
    """Whether it may be flipped left to right."""
    subpaths: tuple[Subpath, ...]
    """In the units of its viewBox."""
    named_points: Mapping[str, Coordinates]
    """(2,) each, in the same units."""
    relatives: tuple["Template", ...] = field(default=(), repr=False)
    """The outlines of the shape that are this one, stretched, itself among them; see `load_templates`."""

    siblings: tuple["Template", ...] = field(default=(), repr=False)
    """All outlines of the shape, itself among them."""

    @cached_property
    def centre(self) -> Coordinates:
        """The centre of its box, (2,), in the units of its viewBox."""
        return np.asarray((self._low_high[0] + self._low_high[1]) / 2)

    @cached_property
    def size(self) -> Coordinates:
        """Width and height of its box, (2,)."""
        return np.asarray(self._low_high[1] - self._low_high[0])

    @cached_property
    def half(self) -> float:
        """Half of its longest side: the unit of its frame."""
        return float(self.size.max() / 2)

    @cached_property
    def radii(self) -> Coordinates:
        """Half of its width and height, (2,), in its frame: 1 is the longer one."""
        return np.asarray(np.maximum(self.size, 1e-6 * self.size.max()) / self.size.max())

    @cached_property
    def _low_high(self) -> tuple[Coordinates, Coordinates]:
        points = np.vstack([flatten_subpath(subpath) for subpath in self.subpaths])
        return points.min(axis=0), points.max(axis=0)

    @cached_property
    def lines(self) -> list[Coordinates]:
        """Its subpaths as polylines (n, 2) in its frame."""
        return [(flatten_subpath(subpath) - self.centre) / self.half for subpath in self.subpaths]

    @cached_property
    def is_region(self) -> bool:
        """Whether it is one closed line that does not cross itself: the outline of a region that may be filled."""
        return len(self.subpaths) == 1 and self.subpaths[0].closed and not _crosses_itself(self.lines[0])

    @cached_property
    def is_ellipse(self) -> bool:
        """Whether it is an ellipse along the axes of its box."""
        if not self.is_region or len(self.subpaths[0].pieces) < 2:
            return False
        radii = self.size / self.size.max()
        distance = np.abs(np.hypot(*(self.samples / radii).T) - 1) * radii.min()
        return bool(distance.max() < ELLIPSE_TOLERANCE)

    @cached_property
    def is_round(self) -> bool:
        """Whether it resembles an ellipse, closed or of several lines."""
        distance = np.abs(np.hypot(*(self.samples / self.radii).T) - 1) * self.radii.min()
        return self.vertices is None and bool(distance.max() < ROUND_TOLERANCE * self.radii.min())

    @cached_property
    def vertices(self) -> Coordinates | None:
        """The corners (n, 2), in its frame, of an outline that is one polygon."""
        if len(self.subpaths) != 1 or not self.subpaths[0].is_polygon:
            return None
        return np.asarray((self.subpaths[0].corners - self.centre) / self.half)

    @cached_property
    def _sampled(self) -> tuple[Coordinates, Coordinates, Coordinates, Coordinates]:
        return _sample(self.subpaths, self.centre, self.half)

    @property
    def samples(self) -> Coordinates:
        """(NUM_SAMPLES, 2) points spaced evenly along it, in its frame."""
        return self._sampled[0]

    @property
    def tangents(self) -> Coordinates:
        """(NUM_SAMPLES, 2) its direction at each sample, of length 1."""
        return self._sampled[1]

    @cached_property
    def outline(self) -> Coordinates:
        """(NUM_SAMPLES, 6) samples, tangents, `FREE_END` or `EDGE`, and 1 on a line that is not closed, else 0."""
        return np.column_stack(self._sampled)

    @cached_property
    def coarse_outline(self) -> Coordinates:
        """(NUM_SAMPLES / 2, 6) every other row of `outline`, the end of a line rather than the sample beside it."""
        pairs = self.outline.reshape(NUM_SAMPLES // 2, 2, 6)
        second = pairs[:, 1, 4] > pairs[:, 0, 4]
        return np.asarray(np.where(second[:, np.newaxis], pairs[:, 1], pairs[:, 0]))

    @cached_property
    def hull_frame(self) -> "WhitenedTemplate":
        """The template in the frame of its convex hull."""
        return _whitened(self, whiten_polygon(convex_hull(np.vstack(self.lines))))

    @cached_property
    def region_frame(self) -> "WhitenedTemplate | None":
        """The template in the frame of the region that it encloses, if it does."""
        return _whitened(self, whiten_polygon(self.lines[0])) if self.is_region else None

    @cached_property
    def convexity(self) -> float:
        """The area of the region that it encloses, over that of its convex hull; 0 if it encloses none."""
        hull = convex_hull(np.vstack(self.lines))
        return polygon_area(self.lines[0]) / max(polygon_area(hull), 1e-9) if self.is_region else 0.0

    @cached_property
    def unit_samples(self) -> Coordinates:
        """(NUM_SAMPLES, 2) its samples when its box is stretched to -1..1."""
        return np.asarray(self.samples / self.radii)

    @cached_property
    def unit_line(self) -> Coordinates:
        """(n, 2) many points along it when its box is stretched to -1..1."""
        found = []
        for line in self.lines:
            unit = line / self.radii
            lengths = np.concatenate([[0.0], np.hypot(*np.diff(unit, axis=0).T).cumsum()])
            at = np.linspace(0, lengths[-1], 2 + int(lengths[-1] / (SAME_TOLERANCE / 2)))
            found.append(np.stack([np.interp(at, lengths, unit[:, axis]) for axis in (0, 1)], axis=1))
        return np.vstack(found)

    @cached_property
    def family(self) -> "int | str":
        """The same for all outlines that differ by what their fit leaves free."""
        return id(self.relatives[0]) if self.relatives else self.variant

    @cached_property
    def is_plain(self) -> bool:
        """Whether no outline of the shape is more symmetric, or as symmetric and straight where this one is curved.

        Of two that fit alike, a person meant the plain one.
        """
        return all(
            (self.symmetry, self.is_straight) >= (sibling.symmetry, sibling.is_straight) for sibling in self.siblings
        )

    def ways_onto(self, other: "Template") -> list[tuple[Coordinates, Coordinates]]:
        """Matrices (2, 2) and shifts (2,) from its box's frame, -1..1, to the other's that take it onto the other."""
        key = id(other)
        if key not in self._ways:
            self._ways[key] = list(_ways(self, other))
        return self._ways[key]

    @cached_property
    def _ways(self) -> dict[int, list[tuple[Coordinates, Coordinates]]]:
        return {}

    @cached_property
    def is_straight(self) -> bool:
        """Whether it has straight lines alone."""
        return all(len(piece) == 2 for subpath in self.subpaths for piece in subpath.pieces)

    @cached_property
    def symmetry(self) -> float:
        """How many ways there are to lay it onto itself; infinite of an ellipse."""
        return math.inf if self.is_ellipse else len(self.ways_onto(self))

    @cached_property
    def corner_radii(self) -> Coordinates | None:
        """(2,) of a rectangle with round corners, along its width and its height; None of any other outline."""
        pieces = self.subpaths[0].pieces
        straight = [np.abs(piece[1] - piece[0]) for piece in pieces if len(piece) == 2]
        if not self.is_region or len(straight) != 4 or len(pieces) == 4:
            return None
        along = [side for side in straight if min(side) < 1e-3 * self.size.max()]
        if len(along) != 4:
            return None
        longest = np.max(along, axis=0)
        return np.asarray((self.size - longest) / 2)

    @cached_property
    def length(self) -> float:
        """Of all its lines, in its frame."""
        return float(sum(np.hypot(*np.diff(line, axis=0).T).sum() for line in self.lines))


ShapeTemplates = Mapping[str, tuple[Template, ...]]
"""The templates of every shape that has outlines."""


def parse_template(svg: str, shape: str, variant: str) -> Template:
    """The template of a plain SVG. Raises ModelError where it is none."""
    try:
        root = ElementTree.fromstring(svg)  # noqa: S314 - written by `plain_svg`, within a file with a digest
        path = next(node for node in root.iter() if node.tag.rpartition("}")[2] == "path")
        subpaths = parse_path(path.get("d", ""))
        fit = root.get("data-fit", DEFAULT_FIT)
        if fit not in FITS:
            raise ValueError(f"data-fit is {fit}")
        points = {
            name: np.array([float(x), float(y)])
            for name, x, y in (
                re.fullmatch(r"\s*(\S+)\s+(\S+)\s+(\S+)\s*", part).groups()  # type: ignore[union-attr]
                for part in filter(None, root.get("data-points", "").split(","))
            )
        }
    except (ElementTree.ParseError, StopIteration, ValueError, AttributeError) as error:
        raise ModelError(f"the model's outline {shape}/{variant} cannot be read ({error}); train it again") from None
    return Template(shape, variant, fit, root.get("data-mirror") == "yes", subpaths, points)


def load_templates(outlines: Mapping[str, Mapping[str, str]]) -> dict[str, tuple[Template, ...]]:
    """The templates of every shape from its plain SVG files, by shape. Raises ModelError for one that is none."""
    found = {}
    for shape, variants in outlines.items():
        templates = [parse_template(svg, shape, variant) for variant, svg in variants.items()]
        families: list[list[Template]] = []
        for template in templates:
            for family in families:
                if _are_related(template, family[0]):
                    family.append(template)
                    break
            else:
                families.append([template])
        for family in families:
            for template in family:
                object.__setattr__(template, "relatives", tuple(family))
        for template in templates:
            object.__setattr__(template, "siblings", tuple(templates))
        found[shape] = tuple(templates)
    return found


def _are_related(one: Template, other: Template) -> bool:
    """Whether two outlines are the same but for what both leave free: a stretch, or of triangles, any affine map."""
    if one.fit != other.fit or one.fit == "similarity" or one.mirror != other.mirror:
        return False
    return any(True for _ in _ways(one, other))


def _ways(one: Template, other: Template) -> Iterator[tuple[Coordinates, Coordinates]]:
    """See `Template.ways_onto`."""
    a, b = one.vertices, other.vertices
    if a is not None and b is not None and len(a) == len(b) == 3 and one.fit in ("affine", "vertices"):
        yield from _triangle_ways(a / one.radii, b / other.radii, one.mirror)
        return
    angles = [0.0, 90.0, 180.0, 270.0]
    if one is other:
        angles += [360 * k / n for n in (3, 5) for k in range(1, n)] + [60.0, 300.0]
    middle = one.unit_samples.mean(axis=0)
    rounded = (
        one is other and one.corner_radii is not None
    )  # its corners are hardly other ones when it lies on its side
    tolerance = 3 * SAME_TOLERANCE if rounded else SAME_TOLERANCE
    for angle in angles:
        cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
        turn = np.array([[cos, -sin], [sin, cos]])
        if angle % 90:  # a turn of the outline itself, not of its box stretched to a square
            turn = np.diag(1 / one.radii) @ turn @ np.diag(one.radii)
        for flip in (1, -1) if one.mirror else (1,):
            matrix = np.asarray(turn @ np.diag([flip, 1.0]))
            if one.fit == "similarity" and angle in (90, 270) and abs(one.radii[0] - one.radii[1]) > 1e-6:
                continue
            shift = middle - matrix @ (middle * [flip, 1.0]) if angle % 90 else np.zeros(2)
            moved = one.unit_samples @ matrix.T + shift
            if _gaps(moved[::10], other.unit_line).max() >= tolerance:  # most: saves the rest
                continue
            there = _gaps(moved, other.unit_line)
            back = _gaps(other.unit_samples, one.unit_line @ matrix.T + shift)
            if max(there.max(), back.max()) < tolerance:
                yield matrix, shift


def _gaps(points: Coordinates, line: Coordinates) -> Coordinates:
    """The distance (n,) of each point (n, 2) from the nearest of (m, 2)."""
    return np.asarray(np.hypot(*np.moveaxis(points[:, np.newaxis] - line, 2, 0)).min(axis=1))


def _triangle_ways(one: Coordinates, other: Coordinates, mirror: bool) -> Iterator[tuple[Coordinates, Coordinates]]:
    for order in ((0, 1, 2), (1, 2, 0), (2, 0, 1), (0, 2, 1), (2, 1, 0), (1, 0, 2)):
        target = other[list(order)]
        matrix = np.linalg.solve(np.array([one[1] - one[0], one[2] - one[0]]), target[1:] - target[0]).T
        if mirror or np.linalg.det(matrix) > 0:
            yield matrix, target[0] - matrix @ one[0]


# --- maps of distances, and whitened frames: where poses are searched


@dataclass(frozen=True, eq=False)
class WhitenedTemplate:
    """A template in a frame in which it has unit covariance."""

    matrix: Coordinates
    """(2, 2) into the frame."""
    centre: Coordinates
    """(2,) what becomes the origin."""
    coarse: Coordinates
    """(NUM_COARSE, 2) samples in the frame."""
    distance_map: Coordinates
    """(DISTANCE_MAP_SIDE²,) the distance from the outline in the frame, see `map_index`."""
    turns: NDArray[np.intp]
    """(t,) of the 2·NUM_TURNS turns of `turn_matrices`, those that its own symmetries do not repeat."""


@cache
def turn_matrices() -> Coordinates:
    """(2·NUM_TURNS, 2, 2): the turns at which a pose is tried, then the same of the flipped outline."""
    angles = np.arange(NUM_TURNS) * (2 * np.pi / NUM_TURNS)
    turns = np.stack([np.cos(angles), -np.sin(angles), np.sin(angles), np.cos(angles)], axis=1).reshape(-1, 2, 2)
    return np.concatenate([turns, turns @ np.diag([-1.0, 1.0])])


def _whitened(template: Template, whitening: tuple[Coordinates, Coordinates]) -> WhitenedTemplate:
    matrix, centre = whitening
    page = np.full((DISTANCE_MAP_SIDE, DISTANCE_MAP_SIDE), 255, np.uint8)
    for line in template.lines:
        pixels = map_pixels((line - centre) @ matrix.T)
        cv2.polylines(page, [np.rint(pixels * 16).astype(np.int32)], False, 0, 1, cv2.LINE_8, 4)
    distances = distance_map(page).ravel()
    step = NUM_SAMPLES // NUM_COARSE
    coarse = (template.samples[step // 2 :: step] - centre) @ matrix.T
    gaps = distances[map_index(coarse @ turn_matrices().swapaxes(1, 2))].mean(axis=1)
    near = [int(i) for i in np.flatnonzero(gaps < MAX_ASYMMETRY)]
    symmetric = [i for i in near if gaps[i] <= min(gaps[_turned(i, 1)], gaps[_turned(i, -1)])]
    kept: list[int] = []
    repeated: set[int] = set()
    for turn in range((2 if template.mirror else 1) * NUM_TURNS):
        if turn not in repeated:
            kept.append(turn)
            repeated |= {_composed(turn, symmetry) for symmetry in symmetric}
    if gaps.max() < MAX_ASYMMETRY:  # a circle
        kept = [0]
    return WhitenedTemplate(matrix, centre, coarse, distances, np.array(kept))


def _turned(index: int, steps: int) -> int:
    return index // NUM_TURNS * NUM_TURNS + (index + steps) % NUM_TURNS


def _composed(first: int, second: int) -> int:
    """The index of `turn_matrices()[first] @ turn_matrices()[second]`."""
    flipped = (first >= NUM_TURNS) != (second >= NUM_TURNS)
    angle = first - second if first >= NUM_TURNS else first + second
    return flipped * NUM_TURNS + angle % NUM_TURNS


def convex_hull(points: Coordinates) -> Coordinates:
    """The corners (m, 2) of the convex hull of points (n, 2), in their order."""
    return cv2.convexHull(points.astype(np.float32)).reshape(-1, 2).astype(np.float64)


def polygon_area(polygon: Coordinates) -> float:
    """The area of a polygon (n, 2)."""
    x, y = polygon.T
    return abs(float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum())) / 2


def whiten_polygon(polygon: Coordinates) -> tuple[Coordinates, Coordinates]:
    """Matrix (2, 2) and centre (2,) that give a polygon (n, 2) unit covariance; one without area is widened."""
    x, y = polygon.T
    origin = polygon.mean(axis=0)
    x, y = x - origin[0], y - origin[1]
    x2, y2 = np.roll(x, -1), np.roll(y, -1)
    cross = x * y2 - x2 * y
    area = cross.sum() / 2
    extent = float(np.ptp(polygon, axis=0).max())
    if abs(area) < 1e-3 * extent * extent:
        return _whiten_line(polygon)
    centre = np.array([((x + x2) * cross).sum(), ((y + y2) * cross).sum()]) / (6 * area)
    xx = ((x * x + x * x2 + x2 * x2) * cross).sum() / (12 * area) - centre[0] ** 2
    yy = ((y * y + y * y2 + y2 * y2) * cross).sum() / (12 * area) - centre[1] ** 2
    xy = ((x * y2 + 2 * x * y + 2 * x2 * y2 + x2 * y) * cross).sum() / (24 * area) - centre[0] * centre[1]
    if min(xx, yy) <= 0 or xx * yy <= xy * xy:  # a polygon that winds about itself
        return _whiten_line(polygon)
    return inverse_root(np.array([[xx, xy], [xy, yy]])), centre + origin


def _whiten_line(polygon: Coordinates) -> tuple[Coordinates, Coordinates]:
    """What `whiten_polygon` gives for one with hardly any area: it counts as a hundredth as wide as long."""
    centre = (polygon.min(axis=0) + polygon.max(axis=0)) / 2
    offsets = polygon - centre
    covariance = offsets.T @ offsets / len(polygon)
    ridge = max(1e-4 * float(np.trace(covariance)), 1e-12)
    return inverse_root(covariance + ridge * np.eye(2)), centre


def inverse_root(covariance: Coordinates) -> Coordinates:
    """The symmetric matrix (2, 2) whose square is the inverse of a covariance (2, 2)."""
    root_det = np.sqrt(max(covariance[0, 0] * covariance[1, 1] - covariance[0, 1] ** 2, 1e-30))
    root = (covariance + root_det * np.eye(2)) / np.sqrt(covariance[0, 0] + covariance[1, 1] + 2 * root_det)
    return np.asarray(np.array([[root[1, 1], -root[0, 1]], [-root[0, 1], root[0, 0]]]) / root_det)


def map_pixels(points: Coordinates) -> Coordinates:
    """Points (..., 2) of a whitened frame → pixels of a distance map."""
    return np.asarray((points / MAP_REACH + 1) * ((DISTANCE_MAP_SIDE - 1) / 2))


def map_index(points: Coordinates) -> NDArray[np.intp]:
    """Points (..., 2) of a whitened frame → index into a flattened distance map; what lies outside has its edge's."""
    pixels = np.clip(np.rint(map_pixels(points)), 0, DISTANCE_MAP_SIDE - 1).astype(np.intp)
    return np.asarray(pixels[..., 1] * DISTANCE_MAP_SIDE + pixels[..., 0])


def distance_map(page: NDArray[np.uint8]) -> Coordinates:
    """A square page, uint8, 0 where there is a line → the distance from it, in units of the whitened frame."""
    pixels = cv2.distanceTransform(page, cv2.DIST_L2, 3)
    return np.asarray(pixels, np.float64) * (2 * MAP_REACH / (DISTANCE_MAP_SIDE - 1))


# --- sampling


def _sample(
    subpaths: tuple[Subpath, ...], centre: Coordinates, half: float
) -> tuple[Coordinates, Coordinates, Coordinates, Coordinates]:
    """Samples, tangents, stiffness, and whether each sample is on an open line."""
    steps, ends, pieces, opened = [], [], [], []
    number = 0
    for subpath in subpaths:
        for position, piece in enumerate(subpath.pieces):
            line = (flatten_piece(piece) - centre) / half
            steps.append(np.stack([line[:-1], line[1:]], axis=1))
            first = position == 0 and not subpath.closed
            last = position == len(subpath.pieces) - 1 and not subpath.closed
            ends.append((first, last))
            pieces.append(np.full(len(line) - 1, number))
            opened.append(np.full(len(line) - 1, not subpath.closed))
            number += 1
    segments = np.concatenate(steps)  # (n, 2, 2)
    vectors = segments[:, 1] - segments[:, 0]
    lengths = np.hypot(*vectors.T)
    cumulative = np.concatenate([[0.0], lengths.cumsum()])
    at = (np.arange(NUM_SAMPLES) + 0.5) * (cumulative[-1] / NUM_SAMPLES)
    index = np.clip(np.searchsorted(cumulative, at, "right") - 1, 0, len(lengths) - 1)
    share = (at - cumulative[index]) / lengths[index]
    samples = segments[index, 0] + share[:, np.newaxis] * vectors[index]
    tangents = vectors[index] / lengths[index, np.newaxis]
    piece_of = np.concatenate(pieces)[index]
    stiffness = np.full(NUM_SAMPLES, EDGE)
    for number, (first, last) in enumerate(ends):
        of = np.flatnonzero(piece_of == number)
        if len(of):
            # the samples next to an end stand for it
            if first:
                stiffness[of[0]], samples[of[0]] = FREE_END, segments[np.concatenate(pieces) == number][0, 0]
            if last:
                stiffness[of[-1]], samples[of[-1]] = FREE_END, segments[np.concatenate(pieces) == number][-1, 1]
    return samples, tangents, stiffness, np.concatenate(opened)[index].astype(np.float64)


def _crosses_itself(line: Coordinates) -> bool:
    """Whether two segments of a polyline (n, 2) cross, apart from neighbours."""
    start, end = line[:-1], line[1:]

    def side(a: Coordinates, b: Coordinates, c: Coordinates) -> Coordinates:
        return np.asarray(
            (b[..., 0] - a[..., 0]) * (c[..., 1] - a[..., 1]) - (b[..., 1] - a[..., 1]) * (c[..., 0] - a[..., 0])
        )

    a, b = start[:, np.newaxis], end[:, np.newaxis]
    crosses = (side(a, b, start) * side(a, b, end) < -1e-12) & (side(start, end, a) * side(start, end, b) < -1e-12)
    return bool(crosses.any())
