"""Drawing lines on a mask, uint8 (C, C), with OpenCV's fixed-point coordinates and anti-aliasing."""

import cv2
import numpy as np
from numpy.typing import NDArray

from strokewise.synthesis.strokes import Points

Image = NDArray[np.uint8]
FixedPoints = NDArray[np.int32]  # (n, 1, 2) points in 1/16 pixels
SUBPIXEL_BITS = 4  # bits that OpenCV's drawing functions use for fractions of a pixel
FLATNESS_TOLERANCE = 0.3 * (1 << SUBPIXEL_BITS)  # bends below a third of a pixel are not drawn


def to_fixed_point(line: Points) -> FixedPoints:
    """Pixels (n,) complex → (n, 1, 2) in OpenCV's fixed point."""
    return np.rint(line * (1 << SUBPIXEL_BITS)).view(np.float64).astype(np.int32).reshape(-1, 1, 2)


def simplify(points: FixedPoints) -> FixedPoints:
    """A line without its points that lie on a straight line, so that less is drawn: (n, 1, 2) → (m, 1, 2)."""
    if len(points) < 3:
        return points
    simplified = np.asarray(cv2.approxPolyDP(points, FLATNESS_TOLERANCE, False), dtype=np.int32)
    if points[0].tolist() == points[-1].tolist():  # approxPolyDP takes it for closed and drops the last point
        simplified = np.concatenate([simplified, simplified[:1]])
    return simplified


def draw_line(mask: Image, line: Points, pen: float) -> None:
    """Draw a line (n,), in pixels, into `mask`."""
    draw_polyline(mask, simplify(to_fixed_point(line)), pen)


def draw_polyline(mask: Image, run: FixedPoints, pen: float) -> None:
    """Draw a polyline into `mask` with a pen of `pen` pixels, at least 1."""
    cv2.polylines(mask, [run], False, 255, max(1, round(pen)), cv2.LINE_AA, SUBPIXEL_BITS)
