"""Shapes of SVG (path, rect, circle, ellipse, line, polyline, polygon) → polylines, marker vertices, backgrounds.

svgelements parses path data; everything else stands here.
"""

import re
from dataclasses import dataclass
from xml.etree import ElementTree

import numpy as np
import svgelements

from strokewise.errors import OutlineError
from strokewise.synthesis.clipping import Polygon, Region
from strokewise.synthesis.strokes import Points, drop_repeated_points, polyline_length
from strokewise.synthesis.svg_style import Style, parse_rgb
from strokewise.synthesis.svg_values import Matrix, apply_matrix, attribute, check_finite, length_attribute, tag_name

SHAPE_TAGS = ("path", "rect", "circle", "ellipse", "line", "polyline", "polygon")
MAX_EDGES = 256  # of an outline
CURVE_STEPS = 48  # points on a curved segment, before edges are resampled
BACKGROUND_TOLERANCE = 0.02  # of a side, by which a background may miss the page's border
RADII = (("rx", "ry"), ("ry", "rx"))  # one that is missing is as the other
MIN_BACKGROUND_LEVEL = 0.78  # of each colour channel: a background is pale

Polyline = tuple[Points, bool]  # points (n,), and whether it is closed; a closed one ends with its first point


@dataclass(frozen=True)
class DrawnShape:
    """A shape as it is seen: its subpaths in the root's units."""

    lines: list[Polyline]
    is_pale: bool
    """Filled with a pale colour and not stroked: it may be the page's background."""


def path_data(node: ElementTree.Element, style: Style) -> str:
    """The text that holds a shape's path data or points; empty for the other shapes."""
    if tag_name(node) in ("polyline", "polygon"):
        return node.get("points", "")
    if tag_name(node) != "path":
        return ""
    declared = style.declared.get("d", "")
    return declared[5:].strip(" ()\"'") if declared.startswith("path(") else attribute(node, style, "d") or ""


def shape_path(node: ElementTree.Element, style: Style, viewport: tuple[float, float]) -> "svgelements.Path | None":
    """A shape as a path in its own units; None where it has no extent.

    `viewport` is what percentages refer to. Raises OutlineError for a length or path data that cannot be read.
    """
    name, text = tag_name(node), path_data(node, style)
    if name == "path":
        try:
            return svgelements.Path(text)
        except Exception:  # its parser raises whatever it meets, mostly without a word
            raise OutlineError(f"its path data cannot be read: {text[:60]!r}") from None
    if name in ("polyline", "polygon"):
        numbers = [float(number) for number in re.findall(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", text)]
        points = list(zip(numbers[::2], numbers[1::2], strict=False))
        if len(points) < 2:
            return None
        return svgelements.Path((svgelements.Polygon if name == "polygon" else svgelements.Polyline)(*points))

    def length(name: str) -> float | None:
        return length_attribute(node, style, name, viewport)

    if name == "line":
        return svgelements.Path(svgelements.SimpleLine(*(length(end) or 0.0 for end in ("x1", "y1", "x2", "y2"))))
    if name == "circle":
        rx = ry = length("r") or 0.0
    else:
        rx, ry = ((length(one) if length(one) is not None else length(two)) or 0.0 for one, two in RADII)
    if name == "rect":
        width, height = length("width") or 0.0, length("height") or 0.0
        if min(width, height) <= 0:
            return None
        corner = length("x") or 0.0, length("y") or 0.0
        return svgelements.Path(svgelements.Rect(*corner, width, height, min(rx, width / 2), min(ry, height / 2)))
    if min(rx, ry) <= 0:
        return None
    return svgelements.Path(svgelements.Ellipse(length("cx") or 0.0, length("cy") or 0.0, rx, ry))


def sample_path(path: "svgelements.Path", matrix: Matrix, filled: bool) -> list[Polyline]:
    """The subpaths of a path under a matrix, as polylines; no more than are allowed, and one.

    Raises OutlineError for coordinates that are not finite.
    """
    lines: list[Polyline] = []
    for subpath in path.as_subpaths():
        if len(lines) > MAX_EDGES:
            break  # more than are allowed already
        segments = [_sample_segment(segment) for segment in subpath if not isinstance(segment, svgelements.Move)]
        if not segments:
            continue
        points = apply_matrix(matrix, np.concatenate(segments))
        check_finite(points)
        line = drop_repeated_points(points)
        if len(line) > 1:
            lines.append(_close(line, isinstance(subpath[-1], svgelements.Close), filled))
    return lines


def clip_lines(lines: list[Polyline], regions: tuple[Region, ...], area: bool) -> list[Polyline]:
    """The parts of polylines within all regions; with `area`, the lines are outlines of fillings."""
    for region in regions:
        cuts = [cut for line, closed in lines for cut in region.clip(line, closed, area)]
        lines = [(line, closed) for cut, closed in cuts if len(line := drop_repeated_points(cut)) > 1 + closed]
    return lines


def path_vertices(data: "svgelements.Path") -> list[tuple[complex, float]]:
    """The points between a path's segments, each with the direction of a marker there, in radians."""
    found: list[tuple[complex, float]] = []
    for part in data.as_subpaths():
        segments = [segment for segment in part if not isinstance(segment, svgelements.Move)]
        lines = [_sample_segment(segment) for segment in segments]
        lines = [line for line in lines if len(line) > 1]
        if not lines:
            continue
        starts = [_direction(line) for line in lines]
        ends = [-_direction(line[::-1]) for line in lines]
        closed = isinstance(part[-1], svgelements.Close) or isinstance(part[len(part) - 1], svgelements.Close)
        first = _bisector(ends[-1], starts[0]) if closed else starts[0]
        found.append((complex(lines[0][0]), float(np.angle(first))))
        for at, line in enumerate(lines):
            last = at == len(lines) - 1
            way = first if last and closed else ends[at] if last else _bisector(ends[at], starts[at + 1])
            found.append((complex(line[-1]), float(np.angle(way))))
    return found


def is_pale(paint: str) -> bool:
    """Whether a paint is a colour that a page's background may have."""
    colour = parse_rgb(paint)
    return colour is not None and min(colour) >= MIN_BACKGROUND_LEVEL


def is_background(shape: DrawnShape, frame: Polygon) -> bool:
    """Whether a pale filling covers the whole page."""
    if len(shape.lines) != 1:
        return False
    line, closed = shape.lines[0]
    wide, high = float(np.ptp(frame.real)), float(np.ptp(frame.imag))
    x, y = BACKGROUND_TOLERANCE * wide, BACKGROUND_TOLERANCE * high
    left, top = float(frame.real.min()), float(frame.imag.min())
    covers = line.real.min() <= left + x and line.imag.min() <= top + y
    covers = covers and line.real.max() >= left + wide - x and line.imag.max() >= top + high - y
    area = abs(float((np.conj(line[:-1]) * line[1:]).imag.sum())) / 2
    return bool(closed and covers and area >= (1 - 4 * BACKGROUND_TOLERANCE) * wide * high)


def _close(line: Points, closed: bool, filled: bool) -> Polyline:
    """A line with whether it is closed; a closed one then ends with its first point.

    One that ends where it began is closed, also where the file does not say so; so is one whose inside is filled. One
    that goes out and back the same way has no inside: it is the line out alone.
    """
    gap = abs(line[0] - line[-1]) / polyline_length(line)
    meets = len(line) > 2 and gap < (1e-3 if len(line) > 3 else 1e-6)
    if meets:
        line = line[:-1]
    if len(line) < 3:
        return line, False
    far = line[int(np.abs(line - line[0]).argmax())]
    way = (far - line[0]) / abs(far - line[0])
    flat = bool((np.abs(((line - line[0]) * np.conj(way)).imag) < 1e-9 * abs(far - line[0])).all())
    if not (meets or closed or filled):
        return line, False
    if flat:
        along = ((line - line[0]) * np.conj(way)).real
        return line[[int(along.argmin()), int(along.argmax())]], False
    return np.append(line, line[0]), True


def _sample_segment(segment: "svgelements.PathSegment") -> Points:
    """A segment as points (n,): two for a line, `CURVE_STEPS` for a curve."""
    if isinstance(segment, svgelements.Line | svgelements.Close):
        ends = [end for end in (segment.start, segment.end) if end is not None]
        return np.array([complex(end.x, end.y) for end in ends])
    x, y = np.asarray(segment.npoint(np.linspace(0, 1, CURVE_STEPS)), dtype=np.float64).T
    return np.asarray(x + 1j * y)


def _direction(line: Points) -> complex:
    """The direction in which a polyline (n,) sets out."""
    moved = line - line[0]
    away = np.flatnonzero(np.abs(moved) > 0)
    return complex(moved[away[0]] / abs(moved[away[0]])) if len(away) else 0j


def _bisector(into: complex, out: complex) -> complex:
    return into + out if abs(into + out) > 1e-9 else out
