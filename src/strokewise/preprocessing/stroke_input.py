"""Strokes of a drawing app → a scene, uint8 (S, S), black lines on white paper, for `preprocess`.

`stroke_formats` reads what the apps write; here the strokes, in whatever unit, are scaled to the scene and drawn.
"""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from strokewise.errors import PictureError
from strokewise.preprocessing import stroke_formats
from strokewise.preprocessing.stroke_layout import Stroke, StrokeLayout

RASTER_SIDE = 256  # pixels: the scene's width and height
PEN_WIDTH = 0.036  # line width over the drawing's longer side: the middle of what `synthesis/ink.py` draws with
RASTER_MARGIN = 24  # pixels of bare paper on every side
RASTER_SUBPIXEL_BITS = 4  # bits of a fixed-point coordinate that are its fraction

DrawnPage = tuple[NDArray[np.uint8], NDArray[np.float64]]
"""A scene, uint8 (S, S), 0 = ink on 255 = paper, and the matrix (2, 3) from its pixels to the strokes' own units,
where a pixel covers x to x + 1."""


def read_strokes(path: Path, layout: StrokeLayout | None = None) -> DrawnPage:
    """Draw the strokes of a file.

    Raises PictureError if the file cannot be read or `parse_strokes` refuses its text.
    """
    try:
        with path.open("rb") as file:
            return parse_strokes(file.read(stroke_formats.MAX_TEXT_BYTES + 1), layout)
    except (OSError, ValueError) as error:
        raise PictureError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None


def holds_strokes(path: Path) -> bool:
    """Whether a file begins like a text with strokes; False if it cannot be read (a pipe is not read, either)."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return stroke_formats.is_stroke_text(file.read(64))
    except (OSError, ValueError):
        return False


def parse_strokes(data: bytes, layout: StrokeLayout | None = None) -> DrawnPage:
    """Draw the strokes of a text.

    Raises PictureError if `stroke_formats.decode_strokes` or `rasterize_strokes` refuses it.
    """
    return _rasterize(stroke_formats.decode_strokes(data, layout))


def rasterize_strokes(drawing: Any, layout: StrokeLayout | None = None) -> DrawnPage:
    """Draw strokes.

    Args:
        drawing: A list of strokes, a single one, or what an app puts around them; see `stroke_formats`.
        layout: Whether strokes are lists of points or of columns, where they could be both; None: what is plausible.

    Raises PictureError if `stroke_formats.to_strokes` refuses the drawing, or if all points are the same.
    """
    return _rasterize(stroke_formats.to_strokes(drawing, layout))


def _rasterize(strokes: list[Stroke]) -> DrawnPage:
    points = np.concatenate(strokes)
    low, high = points.min(0), points.max(0)
    longer_side = float((high - low).max())
    if longer_side <= 0:
        raise PictureError(f"all points of the strokes lie at {low[0]:g}, {low[1]:g}: that is a dot and no shape")
    inner_side = RASTER_SIDE - 2 * RASTER_MARGIN
    page = np.full((RASTER_SIDE, RASTER_SIDE), 255, np.uint8)
    for stroke in strokes:
        scaled = (stroke - (low + high) / 2) * (inner_side / longer_side) + RASTER_SIDE / 2
        fixed_point = np.rint(scaled * (1 << RASTER_SUBPIXEL_BITS)).astype(np.int32)
        moved = np.append(True, (np.diff(fixed_point, axis=0) != 0).any(1))  # a resting pen repeats its position
        fixed_point = fixed_point[moved]
        if len(fixed_point) == 1:
            fixed_point = np.repeat(fixed_point, 2, axis=0)  # a dot
        width = round(PEN_WIDTH * inner_side)
        cv2.polylines(page, [fixed_point[:, None]], False, 0, width, cv2.LINE_AA, RASTER_SUBPIXEL_BITS)
    unit = longer_side / inner_side
    corner = (low + high) / 2 - (RASTER_SIDE / 2 + 0.5) * unit  # OpenCV counts from the middle of a pixel
    return page, np.column_stack([unit * np.eye(2), corner])
