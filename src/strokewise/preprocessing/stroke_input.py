"""Strokes as a drawing app has them -> a scene, uint8 (S, S), black lines on white paper; the door takes it from there.

In: a drawing, which is a list of strokes, or a single stroke. A stroke is a list of points, [x, y] or {"x": …, "y": …},
or an array (n, 2); or two lists or an array (2, n), [x, x, …] and [y, y, …], as in Quick, Draw!. What follows x and y
(time, pressure) is passed over. In JSON, {"strokes": …} or a record of Quick, Draw!, {"drawing": …}, may be around it.
x goes right and y down, in any unit: a drawing is as large as it is. All is bounded before any work is done.
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
PEN_WIDTH = (
    0.036  # width of the line, as a share of the drawing's longer side: the middle of what `paint/ink.py` draws with
)
RASTER_MARGIN = 24  # pixels of bare paper on every side
SUBPIXEL_BITS = 4  # bits that OpenCV takes for the fraction of a pixel
MAX_JSON_BYTES = 2**23  # of a JSON text
MAX_POINTS = 100_000  # of a drawing: an hour of a pen that reports 30 times a second
MAX_POINT_VALUES = 8  # of a point: x, y, time, pressure, tilt, ...
MAX_NESTING = 16  # brackets within brackets
MAX_COORDINATE = 1e9  # from the origin, in the app's units
EXPECTED_STROKES = "give a list of strokes, each a list of [x, y] points"


def read_strokes(path: Path) -> NDArray[np.uint8]:
    """The scene of a JSON file. Raises PictureError, one line, for whatever `parse_strokes` or `rasterize_strokes` refuses."""
    try:
        with path.open("rb") as file:
            return parse_strokes(file.read(MAX_JSON_BYTES + 1))
    except (OSError, ValueError) as error:
        raise PictureError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None


def is_json(data: bytes) -> bool:
    """Whether bytes are JSON rather than a picture: no picture's file begins with a bracket."""
    return data[:64].removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"[", b"{")


def parse_strokes(data: bytes) -> NDArray[np.uint8]:
    """The scene of a JSON text in UTF-8.

    Raises PictureError for what is no JSON, what is too long or nested too deeply, and what `rasterize_strokes` refuses.
    """
    if len(data) > MAX_JSON_BYTES:
        raise PictureError(f"the JSON holds more than {MAX_JSON_BYTES:,} bytes: give one drawing, with fewer points")
    codes = np.frombuffer(data, np.uint8)
    if (np.isin(codes, (0x5B, 0x7B)).astype(np.int32) - np.isin(codes, (0x5D, 0x7D))).cumsum().max(
        initial=0
    ) > MAX_NESTING:
        raise PictureError(f"the JSON is nested more than {MAX_NESTING} deep; {EXPECTED_STROKES}")
    if data.count(b",") > MAX_POINT_VALUES * MAX_POINTS:
        raise PictureError(f"the JSON holds more than {MAX_POINTS:,} points; {EXPECTED_STROKES}")
    try:
        given = json.loads(data.decode("utf-8-sig"))
    except ValueError as error:  # also UnicodeDecodeError, and a number of thousands of digits
        reason = re.sub(r" for integer string conversion.*", "", str(error))
        raise PictureError(f"this is no JSON ({reason}); {EXPECTED_STROKES}") from None
    record = isinstance(given, dict) and "drawing" in given
    if isinstance(given, dict):
        given = given.get("strokes", given.get("drawing"))
    if not isinstance(given, list):
        raise PictureError(f"the JSON holds no strokes; {EXPECTED_STROKES}")
    return rasterize_strokes(given, columns=record)


def is_drawing(given: Any) -> bool:
    """Whether a list from Python is one drawing, or one stroke, rather than a list of pictures or drawings."""
    return _nesting_depth(given) in (2, 3)


def rasterize_strokes(drawing: Sequence[Any] | NDArray[Any], columns: bool = False) -> NDArray[np.uint8]:
    """The strokes drawn as uint8 (SIDE, SIDE), 0 ink on 255 paper; by `columns` where they could be meant either way.

    Raises PictureError for more than `MAX_POINTS` points, for a coordinate that is no number between ±`MAX_COORDINATE`, and
    if all points are one.
    """
    strokes = _to_strokes(drawing, columns)
    if not strokes:
        raise PictureError(f"there are no strokes in it; {EXPECTED_STROKES}")
    points = np.concatenate(strokes)
    low, high = points.min(0), points.max(0)
    longer = float((high - low).max())
    if longer <= 0:
        raise PictureError(f"all points of the strokes lie at {low[0]:g}, {low[1]:g}: that is a dot and no shape")
    room = RASTER_SIDE - 2 * RASTER_MARGIN
    page = np.full((RASTER_SIDE, RASTER_SIDE), 255, np.uint8)
    for stroke in strokes:
        placed = (stroke - (low + high) / 2) * (room / longer) + RASTER_SIDE / 2
        fixed = np.rint(placed * (1 << SUBPIXEL_BITS)).astype(np.int32)
        fixed = fixed[np.append(True, (np.diff(fixed, axis=0) != 0).any(1))]  # a pen that rests says so again and again
        if len(fixed) == 1:
            fixed = np.repeat(fixed, 2, axis=0)  # a dot
        cv2.polylines(page, [fixed[:, None]], False, 0, round(PEN_WIDTH * room), cv2.LINE_AA, SUBPIXEL_BITS)
    return page


def _nesting_depth(given: Any) -> int | None:
    """How deep the numbers lie: a number 0, a point 1, a stroke 2, a drawing 3; None if there is something else."""
    for depth in range(MAX_NESTING):
        if isinstance(given, np.ndarray):
            pointwise = given.ndim == 2 and (2 <= given.shape[1] <= MAX_POINT_VALUES - 1 or given.shape[0] in (2, 3))
            if pointwise or given.ndim == 1:
                return depth + given.ndim
            return depth + 3 if given.ndim == 3 and given.shape[2] == 2 else None  # 3 or 4 are colours
        if isinstance(given, dict):
            return depth + (2 if "points" in given else 1)
        if isinstance(given, int | float | np.number):
            return depth
        if not isinstance(given, list | tuple) or not given:
            return None
        given = next((item for item in given if not (isinstance(item, list | tuple) and not item)), None)
    return None


def _to_strokes(drawing: Any, columns: bool) -> list[Stroke]:
    """Each stroke as points (n, 2), checked."""
    listed = [drawing] if _nesting_depth(drawing) == 2 else drawing
    given: list[Any] = [
        stroke.get("points") if isinstance(stroke, dict) else stroke for stroke in listed[: MAX_POINTS + 1]
    ]
    for number, stroke in enumerate(given, 1):
        if not isinstance(stroke, list | tuple | np.ndarray) or getattr(stroke, "ndim", 2) != 2:
            raise PictureError(
                f"stroke {number} is no list of points but a {type(stroke).__name__}; {EXPECTED_STROKES}"
            )
    values = sum(_count_values(row) for stroke in given for row in stroke[: MAX_POINTS + 1])
    if len(given) > MAX_POINTS or values > MAX_POINT_VALUES * MAX_POINTS:
        raise PictureError(f"the strokes hold more than {MAX_POINTS:,} points; give one drawing, with fewer")
    tables = [_to_table(stroke, number) for number, stroke in enumerate(given, 1) if len(stroke)]
    tables = [table for table in tables if table.size]
    strokes = [table[:2].T for table in tables] if _is_columnar(tables, columns) else [table[:, :2] for table in tables]
    if sum(map(len, strokes)) > MAX_POINTS:
        raise PictureError(f"the strokes hold more than {MAX_POINTS:,} points; give one drawing, with fewer")
    if not all((np.abs(stroke) <= MAX_COORDINATE).all() for stroke in strokes):  # NaN is not, either
        raise PictureError(
            f"a coordinate is no number between -{MAX_COORDINATE:g} and {MAX_COORDINATE:g}; {EXPECTED_STROKES}"
        )
    return strokes


def _count_values(row: Any) -> int:
    return len(row) if isinstance(row, list | tuple | np.ndarray) else 1


def _to_table(stroke: Any, number: int) -> NDArray[np.float64]:
    """A stroke's rows as they are given, each a point or, in Quick, Draw!'s way, a coordinate of all points."""
    if isinstance(stroke, np.ndarray) and stroke.dtype.kind in "iuf":
        return stroke.astype(np.float64)
    rows = [[row.get("x"), row.get("y")] if isinstance(row, dict) else row for row in stroke]
    if not all(isinstance(row, list | tuple | np.ndarray) for row in rows) or len({len(row) for row in rows}) != 1:
        raise PictureError(f"stroke {number} is no list of points that are all of one kind; {EXPECTED_STROKES}")
    return np.array([[_to_float(value) for value in row] for row in rows], np.float64)


def _to_float(value: Any) -> float:
    """NaN for what is no number, and infinity for an integer of hundreds of digits."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        return np.nan
    try:
        return float(value)
    except OverflowError:
        return np.inf


def _is_columnar(tables: list[Stroke], wanted: bool) -> bool:
    """Whether the strokes are Quick, Draw!'s: all x, all y, and perhaps all times.

    Where both can be meant, that is what is `wanted`, else points, unless these had four values each, or a third
    value, the time, that runs backwards.
    """
    points = all(2 <= table.shape[1] <= MAX_POINT_VALUES for table in tables)
    columns = all(table.shape[0] in (2, 3) for table in tables)
    if not points and not columns:
        raise PictureError(
            f"the strokes are neither lists of [x, y] nor pairs of [x, …] and [y, …]; {EXPECTED_STROKES}"
        )
    if not points or not columns:
        return columns
    timed = all(table.shape[1] <= 3 and (np.diff(table[:, 2:], axis=0) >= 0).all() for table in tables)
    return wanted or not timed
