"""Strokes as a drawing app has them → a scene, uint8 (S, S), black lines on white paper, for `preprocess`.

In: a drawing, which is a list of strokes, or a single stroke. A stroke is a list of points, [x, y] or {"x": …, "y": …},
or an array (n, 2); or two lists or an array (2, n), [x, x, …] and [y, y, …], as in Quick, Draw!. What follows x and y
(time, pressure) is ignored. In JSON, {"strokes": …} or a record of Quick, Draw!, {"drawing": …}, may be around it.
x goes right and y down, in any unit: the drawing is scaled to the scene. All sizes are bounded before any work is done.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from strokewise.errors import PictureError

Stroke = NDArray[np.float64]  # (n, 2) points x, y

RASTER_SIDE = 256  # pixels: the scene's width and height
PEN_WIDTH = 0.036  # line width over the drawing's longer side: the middle of what `synthesis/ink.py` draws with
RASTER_MARGIN = 24  # pixels of bare paper on every side
RASTER_SUBPIXEL_BITS = 4  # bits of a fixed-point coordinate that are its fraction
MAX_JSON_BYTES = 2**23  # of a JSON text
MAX_POINTS = 100_000  # of a drawing: an hour of a pen that reports 30 times a second
MAX_POINT_VALUES = 8  # of a point: x, y, time, pressure, tilt, ...
MAX_NESTING = 16  # brackets within brackets
MAX_COORDINATE = 1e9  # absolute value, in the app's units
EXPECTED_STROKES = "give a list of strokes, each a list of [x, y] points"


def read_strokes(path: Path) -> NDArray[np.uint8]:
    """Read the scene of a JSON file, uint8 (S, S).

    Raises PictureError if the file cannot be read or `parse_strokes` refuses its text.
    """
    try:
        with path.open("rb") as file:
            return parse_strokes(file.read(MAX_JSON_BYTES + 1))
    except (OSError, ValueError) as error:
        raise PictureError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None


def is_json(data: bytes) -> bool:
    """Whether bytes are JSON rather than a picture: no picture file begins with a bracket."""
    return data[:64].removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"[", b"{")


def parse_strokes(data: bytes) -> NDArray[np.uint8]:
    """Draw the strokes of a JSON text in UTF-8 as a scene, uint8 (S, S).

    Raises PictureError if it is not JSON, is too long or nested too deeply, or if `rasterize_strokes` refuses it.
    """
    if len(data) > MAX_JSON_BYTES:
        raise PictureError(f"the JSON holds more than {MAX_JSON_BYTES:,} bytes: give one drawing, with fewer points")
    codes = np.frombuffer(data, np.uint8)
    opened = np.isin(codes, (0x5B, 0x7B)).astype(np.int32)  # [ and {
    closed = np.isin(codes, (0x5D, 0x7D))  # ] and }
    if (opened - closed).cumsum().max(initial=0) > MAX_NESTING:
        raise PictureError(f"the JSON is nested more than {MAX_NESTING} deep; {EXPECTED_STROKES}")
    if data.count(b",") > MAX_POINT_VALUES * MAX_POINTS:
        raise PictureError(f"the JSON holds more than {MAX_POINTS:,} points; {EXPECTED_STROKES}")
    try:
        parsed = json.loads(data.decode("utf-8-sig"))
    except ValueError as error:  # includes UnicodeDecodeError and numbers of thousands of digits
        reason = re.sub(r" for integer string conversion.*", "", str(error))
        raise PictureError(f"this is no JSON ({reason}); {EXPECTED_STROKES}") from None
    is_quickdraw = isinstance(parsed, dict) and "drawing" in parsed
    if isinstance(parsed, dict):
        parsed = parsed.get("strokes", parsed.get("drawing"))
    if not isinstance(parsed, list):
        raise PictureError(f"the JSON holds no strokes; {EXPECTED_STROKES}")
    return rasterize_strokes(parsed, prefer_columns=is_quickdraw)


def is_drawing(value: Any) -> bool:
    """Whether a list or array is one drawing, or one stroke, rather than a list of pictures or drawings."""
    return _nesting_depth(value) in (2, 3)


def rasterize_strokes(drawing: Sequence[Any] | NDArray[Any], prefer_columns: bool = False) -> NDArray[np.uint8]:
    """Draw strokes as a scene, uint8 (S, S), 0 = ink on 255 = paper.

    Args:
        drawing: A list of strokes or a single one, in any of the forms that the module describes.
        prefer_columns: Read strokes as [x, x, …], [y, y, …] where they could be lists of points as well.

    Raises PictureError if there are more than `MAX_POINTS` points, if a coordinate is not a number between
    ±`MAX_COORDINATE`, or if all points are the same.
    """
    strokes = _to_strokes(drawing, prefer_columns)
    if not strokes:
        raise PictureError(f"there are no strokes in it; {EXPECTED_STROKES}")
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
    return page


def _nesting_depth(value: Any) -> int | None:
    """How deeply numbers are nested: a number 0, a point 1, a stroke 2, a drawing 3; None if there are no numbers."""
    for depth in range(MAX_NESTING):
        if isinstance(value, np.ndarray):
            is_stroke = value.ndim == 2 and (2 <= value.shape[1] <= MAX_POINT_VALUES - 1 or value.shape[0] in (2, 3))
            if is_stroke or value.ndim == 1:
                return depth + value.ndim
            return depth + 3 if value.ndim == 3 and value.shape[2] == 2 else None  # 3 or 4 channels are colours
        if isinstance(value, dict):
            return depth + (2 if "points" in value else 1)
        if isinstance(value, int | float | np.number):
            return depth
        if not isinstance(value, list | tuple) or not value:
            return None
        value = next((item for item in value if not (isinstance(item, list | tuple) and not item)), None)
    return None


def _to_strokes(drawing: Any, prefer_columns: bool) -> list[Stroke]:
    """Convert each stroke to points (n, 2), and check them."""
    listed = [drawing] if _nesting_depth(drawing) == 2 else drawing
    raw: list[Any] = [
        stroke.get("points") if isinstance(stroke, dict) else stroke for stroke in listed[: MAX_POINTS + 1]
    ]
    for number, stroke in enumerate(raw, 1):
        if not isinstance(stroke, list | tuple | np.ndarray) or getattr(stroke, "ndim", 2) != 2:
            kind = type(stroke).__name__
            raise PictureError(f"stroke {number} is no list of points but a {kind}; {EXPECTED_STROKES}")
    values = sum(_count_values(row) for stroke in raw for row in stroke[: MAX_POINTS + 1])
    if len(raw) > MAX_POINTS or values > MAX_POINT_VALUES * MAX_POINTS:
        raise PictureError(f"the strokes hold more than {MAX_POINTS:,} points; give one drawing, with fewer")
    tables = [_to_table(stroke, number) for number, stroke in enumerate(raw, 1) if len(stroke)]
    tables = [table for table in tables if table.size]
    columnar = _is_columnar(tables, prefer_columns)
    strokes = [table[:2].T if columnar else table[:, :2] for table in tables]
    if sum(map(len, strokes)) > MAX_POINTS:
        raise PictureError(f"the strokes hold more than {MAX_POINTS:,} points; give one drawing, with fewer")
    if not all((np.abs(stroke) <= MAX_COORDINATE).all() for stroke in strokes):  # False for NaN, too
        limit = f"{MAX_COORDINATE:g}"
        raise PictureError(f"a coordinate is no number between -{limit} and {limit}; {EXPECTED_STROKES}")
    return strokes


def _count_values(row: Any) -> int:
    return len(row) if isinstance(row, list | tuple | np.ndarray) else 1


def _to_table(stroke: Any, number: int) -> NDArray[np.float64]:
    """Convert a stroke to a table whose rows are as given: points, or in Quick, Draw!'s form coordinates."""
    if isinstance(stroke, np.ndarray) and stroke.dtype.kind in "iuf":
        return stroke.astype(np.float64)
    rows = [[row.get("x"), row.get("y")] if isinstance(row, dict) else row for row in stroke]
    if not all(isinstance(row, list | tuple | np.ndarray) for row in rows) or len({len(row) for row in rows}) != 1:
        raise PictureError(f"stroke {number} is no list of points that are all of one kind; {EXPECTED_STROKES}")
    return np.array([[_to_float(value) for value in row] for row in rows], np.float64)


def _to_float(value: Any) -> float:
    """NaN for what is not a number, infinity for an integer of hundreds of digits."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        return np.nan
    try:
        return float(value)
    except OverflowError:
        return np.inf


def _is_columnar(tables: list[Stroke], prefer_columns: bool) -> bool:
    """Whether the strokes are in Quick, Draw!'s form: all x, all y, and perhaps all times.

    Where both forms fit, `prefer_columns` decides; otherwise they are points, unless these would have four or more
    values each, or a third value, the time, that decreases.
    """
    fits_points = all(2 <= table.shape[1] <= MAX_POINT_VALUES for table in tables)
    fits_columns = all(table.shape[0] in (2, 3) for table in tables)
    if not fits_points and not fits_columns:
        raise PictureError(
            f"the strokes are neither lists of [x, y] nor pairs of [x, …] and [y, …]; {EXPECTED_STROKES}"
        )
    if not fits_points or not fits_columns:
        return fits_columns
    plausible_points = all(table.shape[1] <= 3 and (np.diff(table[:, 2:], axis=0) >= 0).all() for table in tables)
    return prefer_columns or not plausible_points
