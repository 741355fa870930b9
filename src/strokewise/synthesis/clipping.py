"""Polylines cut to a region: lines by parts (Cyrus & Beck, 1978), areas by half-planes (Sutherland & Hodgman, 1974).

A point is a complex number x + iy, a polygon (n,) its corners, the first not repeated.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from strokewise.errors import OutlineError

Polygon = NDArray[np.complex128]
SLACK = 0.01  # of the region's longer side: what lies no further outside is left as it is


@dataclass(frozen=True, eq=False)
class Region:
    """The union of polygons. A single convex one cuts; others can only keep or drop a line as a whole."""

    polygons: tuple[Polygon, ...]

    def clip(self, line: Polygon, closed: bool, area: bool) -> list[tuple[Polygon, bool]]:
        """The parts of a polyline (n,) that lie in the region, each with whether it is closed.

        A closed line ends with its first point. With `area`, a line is the outline of a filling, and what remains is
        the outline of the rest of it. Raises OutlineError where a region that is not convex would cut.
        """
        outside = np.min([-self._depths(polygon, line) for polygon in self.polygons], axis=0)
        if (outside <= self._slack()).all():
            return [(line, closed)]
        if len(self.polygons) == 1 and is_convex(self.polygons[0]):
            if area:
                cut = clip_area(line[:-1] if closed else line, self.polygons[0])
                return [(np.append(cut, cut[0]), True)] if len(cut) > 2 else []
            parts = clip_line(line, self.polygons[0])
            return [(part, len(part) > 3 and part[0] == part[-1]) for part in parts]
        if (outside > 0).all() and not area:
            return []
        raise OutlineError("a clip path that is not convex cuts the drawing")

    def _depths(self, polygon: Polygon, points: Polygon) -> NDArray[np.float64]:
        """How far points (n,) lie inside a polygon; negative outside."""
        if is_convex(polygon):
            return depth(points, polygon)
        start, end = polygon, np.roll(polygon, -1)
        way = np.where(end == start, 1, end - start)
        along = ((points[:, None] - start) * np.conj(way)).real / np.abs(way) ** 2
        nearest = np.abs(points[:, None] - (start + np.clip(along, 0, 1) * way)).min(axis=1)
        spans = (start.imag > points.imag[:, None]) != (end.imag > points.imag[:, None])
        height = np.where(way.imag == 0, 1, way.imag)
        crossing = start.real + (points.imag[:, None] - start.imag) * way.real / height
        inside = (spans & (points.real[:, None] < crossing)).sum(axis=1) % 2 == 1  # even-odd rule
        return np.asarray(np.where(inside, nearest, -nearest))

    def _slack(self) -> float:
        points = np.concatenate(self.polygons)
        return SLACK * max(float(np.ptp(points.real)), float(np.ptp(points.imag)))


def is_convex(polygon: Polygon) -> bool:
    """Whether a closed polygon (n,), its last point not repeated, is convex."""
    if len(polygon) < 3:
        return False
    edges = np.roll(polygon, -1) - polygon
    turns = (np.conj(edges) * np.roll(edges, -1)).imag
    scale = float(np.abs(edges).max()) ** 2 * 1e-9
    around = float(np.angle(np.roll(edges, -1)[np.abs(edges) > 0] / edges[np.abs(edges) > 0]).sum())
    return bool((turns >= -scale).all() or (turns <= scale).all()) and abs(abs(around) - 2 * np.pi) < 0.1


def _half_planes(region: Polygon) -> list[tuple[complex, complex]]:
    """A point on each edge, and the inward normal of length 1."""
    edges = np.roll(region, -1) - region
    turn = 1j if float((np.conj(region) * np.roll(region, -1)).imag.sum()) > 0 else -1j
    return [
        (complex(start), complex(turn * edge / abs(edge)))
        for start, edge in zip(region, edges, strict=True)
        if abs(edge) > 0
    ]


def depth(points: Polygon, region: Polygon) -> NDArray[np.float64]:
    """How far points (n,) lie within a region, in its units; negative outside."""
    inside = [((points - start) * np.conj(normal)).real for start, normal in _half_planes(region)]
    return np.asarray(np.min(inside, axis=0))


def clip_area(polygon: Polygon, region: Polygon) -> Polygon:
    """The part of a closed polygon (n,), its first point not repeated, within a region; (0,) for none."""
    for start, normal in _half_planes(region):
        if not len(polygon):
            break
        depths = ((polygon - start) * np.conj(normal)).real
        clipped: list[complex] = []
        for at, point in enumerate(polygon):
            after = (at + 1) % len(polygon)
            if depths[at] >= 0:
                clipped.append(complex(point))
            if (depths[at] >= 0) != (depths[after] >= 0):
                share = depths[at] / (depths[at] - depths[after])
                clipped.append(complex(point + share * (polygon[after] - point)))
        polygon = np.array(clipped, dtype=np.complex128)
    return polygon


def clip_line(line: Polygon, region: Polygon) -> list[Polygon]:
    """The parts of a polyline (n,) within a region, each (m,), m ≥ 2."""
    planes = _half_planes(region)
    parts: list[list[complex]] = []
    for begin, end in zip(line[:-1].tolist(), line[1:].tolist(), strict=True):
        low, high = 0.0, 1.0
        for start, normal in planes:
            at = ((begin - start) * normal.conjugate()).real
            way = ((end - begin) * normal.conjugate()).real
            if way == 0:
                low, high = (low, high) if at >= 0 else (1.0, 0.0)
            elif way > 0:
                low = max(low, -at / way)
            else:
                high = min(high, -at / way)
        if low > high or (low == high and begin != end):
            continue
        first, last = begin + low * (end - begin), begin + high * (end - begin)
        if low == 0 and high == 1:
            first, last = begin, end
        if parts and parts[-1][-1] == first:
            parts[-1].append(last)
        else:
            parts.append([first, last])
    if len(parts) > 1 and line[0] == line[-1] and parts[-1][-1] == parts[0][0]:
        parts[0] = parts.pop() + parts[0][1:]
    return [np.array(part, dtype=np.complex128) for part in parts]
