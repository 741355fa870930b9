"""Strokes as drawing apps write them → a list of strokes, each points (n, 2), x right and y down, in the app's units.

What is read:

- a list of strokes, or one stroke; a stroke is a list of points, a point [x, y, …] or {"x": …, "y": …}; what follows x
  and y (time, pressure, tilt) is ignored
- columns, [x, x, …] and [y, y, …] (Quick, Draw!), or {"x": [x, …], "y": [y, …]}; steps with a pen state (see
  `stroke_layout`)
- a dictionary around them, whatever its key: {"strokes": …}, {"drawing": …}, {"points": …}, {"paths": …}
- Excalidraw's elements, with their offset, angle and deletion; tldraw's draw shapes; Konva's lines
- ndjson with one record, InkML and $1's XML (see `stroke_xml`)

What says that it means something else (an eraser, a text, another transform, y going up) is refused by name. All sizes
are bounded before any work is done.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from strokewise.errors import PictureError
from strokewise.preprocessing.stroke_layout import (
    EXPECTED_STROKES,
    MAX_POINT_VALUES,
    Stroke,
    StrokeLayout,
    Table,
    add_steps,
    has_columns,
    has_steps,
)
from strokewise.preprocessing.stroke_xml import parse_xml
from strokewise.support.json_limits import is_nested_deeper, remove_strings

MAX_TEXT_BYTES = 2**23  # of JSON or XML
MAX_POINTS = 100_000  # of a drawing: an hour of a pen that reports 30 times a second
MAX_NESTING = 16  # brackets within brackets
MAX_BRACKETS = MAX_POINTS + 20_000  # [ in a JSON: one a point, one a stroke
MAX_COORDINATE = 1e9  # absolute value, in the app's units
TOO_MANY_POINTS = f"the strokes hold more than {MAX_POINTS:,} points; give one drawing, with fewer"
EXPORT_PNG = "export the drawing as PNG"

DELETED_KEYS = ("isDeleted", "deleted", "isErased", "erased", "hidden", "isHidden")
TOOL_KEYS = ("type", "tool", "mode", "globalCompositeOperation", "kind")
ERASER_WORDS = ("eraser", "erase", "destination-out")
STROKE_KEYS = (
    "strokes",
    "drawing",
    "points",
    "paths",
    "path",
    "lines",
    "elements",
    "shapes",
    "ink",
    "data",
    "segments",
)
"""Keys that hold strokes or points; the first one counts where there are several."""
NEUTRAL_VALUES: dict[str, Any] = {  # what would move or rotate a stroke → the value that does not
    "angle": 0, "rotation": 0, "rotate": 0, "skewX": 0, "skewY": 0, "skew": 0, "scale": 1, "scaleX": 1, "scaleY": 1,
    "flipX": False, "flipY": False, "transform": "none", "matrix": [1, 0, 0, 1, 0, 0],
    "transformMatrix": [1, 0, 0, 1, 0, 0], "dx": 0, "dy": 0,
}  # fmt: skip
QUICKDRAW_KEYS = ("word", "countrycode", "recognized", "key_id", "timestamp")  # beside `drawing`
BOX_SHAPES = ("rectangle", "ellipse", "diamond")  # Excalidraw's elements without points
NOT_STROKES = (
    "text",
    "image",
    "frame",
    "magicframe",
    "embeddable",
    "iframe",
    "note",
    "bookmark",
    "video",
    "embed",
    "geo",
)
"""Kinds of elements whose form is in no points."""


@dataclass(frozen=True, eq=False)
class _RawStroke:
    """A stroke as it was given: rows that are points for certain, or may be columns or steps as well."""

    table: Table
    is_points: bool


def is_stroke_text(data: bytes) -> bool:
    """Whether bytes are JSON or XML rather than a picture: no picture file begins with a bracket."""
    return data[:64].removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"[", b"{", b"<")


def is_drawing(value: Any) -> bool:
    """Whether a Python object is one drawing, or one stroke, rather than a list of pictures or drawings."""
    return isinstance(value, Mapping) or _nesting_depth(value) in (2, 3)


def decode_strokes(data: bytes, layout: StrokeLayout | None = None) -> list[Stroke]:
    """Read the strokes of a text in UTF-8: JSON, ndjson with one record, InkML, or the XML of the $1 recogniser.

    `layout` as for `to_strokes`. Raises PictureError if it is none of these, too long or nested too deeply, and where
    `to_strokes` does.
    """
    if len(data) > MAX_TEXT_BYTES:
        raise PictureError(f"the text holds more than {MAX_TEXT_BYTES:,} bytes: give one drawing, with fewer points")
    if data.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"<":
        return _check(parse_xml(data))
    without_strings = remove_strings(data)
    if without_strings.count(b",") > MAX_POINT_VALUES * MAX_POINTS or without_strings.count(b"[") > MAX_BRACKETS:
        raise PictureError(f"the JSON holds more than {MAX_POINTS:,} points; {EXPECTED_STROKES}")
    try:
        text = data.decode("utf-8-sig")
        value = json.loads(text)
        if is_nested_deeper(without_strings, MAX_NESTING):
            raise RecursionError
    except RecursionError:
        raise PictureError(f"the JSON is nested more than {MAX_NESTING} deep; {EXPECTED_STROKES}") from None
    except ValueError as error:  # includes UnicodeDecodeError and numbers of thousands of digits
        records = text.splitlines() if getattr(error, "msg", "") == "Extra data" else []
        if len(records := [record for record in records if record.strip()]) > 1:
            raise PictureError(
                f"this is ndjson with {len(records):,} records; give one record a file (`split --lines 1` makes them)"
            ) from None
        reason = re.sub(r" for integer string conversion.*", "", str(error))
        raise PictureError(f"this is no JSON ({reason}); {EXPECTED_STROKES}") from None
    return to_strokes(value, layout)


def to_strokes(drawing: Any, layout: StrokeLayout | None = None) -> list[Stroke]:
    """Convert a Python object in any of the module's forms: lists, tuples, arrays and dictionaries.

    Args:
        drawing: A list of strokes, a single one, or what an app puts around them.
        layout: Whether strokes without names are points or columns; None: what is plausible.

    Raises PictureError for what is none of the forms, for more than `MAX_POINTS` points, and for a coordinate that is
    not a number between ±`MAX_COORDINATE`.
    """
    raw = list(_collect(drawing, 0))
    unnamed = [stroke.table for stroke in raw if not stroke.is_points]
    with np.errstate(all="ignore"):  # what is not finite is refused by `_check`
        if layout is None and has_steps(unnamed):
            return _check([stroke for table in unnamed for stroke in add_steps(table)])
        columns = bool(unnamed) and has_columns(unnamed, layout, _is_quickdraw(drawing))
    return _check([stroke.table[:2].T if columns and not stroke.is_points else stroke.table[:, :2] for stroke in raw])


def _is_quickdraw(drawing: Any) -> bool | None:
    """Whether it is a record of Quick, Draw!; None if it has the record's `drawing` and nothing else of it."""
    if not isinstance(drawing, Mapping) or "drawing" not in drawing:
        return False
    return True if any(key in drawing for key in QUICKDRAW_KEYS) else None


def _check(strokes: list[Stroke]) -> list[Stroke]:
    """Return the strokes that have points, all of them bounded."""
    strokes = [stroke for stroke in strokes if len(stroke)]
    if not strokes:
        raise PictureError(f"there are no strokes in it; {EXPECTED_STROKES}")
    if sum(map(len, strokes)) > MAX_POINTS:
        raise PictureError(TOO_MANY_POINTS)
    if not all((np.abs(stroke) <= MAX_COORDINATE).all() for stroke in strokes):  # False for NaN, too
        limit = f"{MAX_COORDINATE:g}"
        raise PictureError(f"a coordinate is no number between -{limit} and {limit}; {EXPECTED_STROKES}")
    return strokes


def _collect(value: Any, depth: int) -> Iterator[_RawStroke]:
    """Yield all strokes within a value, in their order."""
    if depth > MAX_NESTING:
        raise PictureError(f"the strokes are nested more than {MAX_NESTING} deep; {EXPECTED_STROKES}")
    if isinstance(value, Mapping):
        yield from _collect_element(value, depth)
        return
    if not _is_list(value):
        raise PictureError(f"a {type(value).__name__} is no stroke; {EXPECTED_STROKES}")
    if isinstance(value, np.ndarray) and value.dtype.kind not in "iufO":
        raise PictureError(f"an array of {value.dtype} holds no strokes; {EXPECTED_STROKES}")
    if len(value) > MAX_POINTS * MAX_POINT_VALUES:
        raise PictureError(TOO_MANY_POINTS)
    if len(value) == 0:
        return
    if _nesting_depth(value) == 2:
        yield _to_raw_stroke(value)
        return
    for number, item in enumerate(value, 1):
        if not isinstance(item, Mapping) and (not _is_list(item) or _nesting_depth(item) in (0, 1)):
            raise PictureError(f"stroke {number} is no list of points but a {type(item).__name__}; {EXPECTED_STROKES}")
        yield from _collect(item, depth + 1)


def _collect_element(element: Mapping[str, Any], depth: int) -> Iterator[_RawStroke]:
    """Yield the strokes of a dictionary: a stroke with properties, an app's element, or what is around all strokes."""
    if any(element.get(key) is True for key in DELETED_KEYS) or element.get("visible") is False:
        return
    _check_kind(element)
    if _is_box(element):
        yield from _place(element, [_box_stroke(element)])
        return
    x, y = element.get("x"), element.get("y")
    if isinstance(x, list | tuple | np.ndarray) and isinstance(y, list | tuple | np.ndarray):
        if len(x) != len(y):
            raise PictureError(f"a stroke has {len(x):,} x and {len(y):,} y; {EXPECTED_STROKES}")
        yield _RawStroke(np.array([[_to_float(value) for value in row] for row in (x, y)], np.float64).T, True)
        return
    inner = _find_strokes(element)
    if inner is None:
        keys = ", ".join(str(key)[:20] for key in list(element)[:6]) or "(none)"
        raise PictureError(f"there are no strokes under the keys {keys}; {EXPECTED_STROKES}")
    if _is_number(x) and _is_number(y):
        yield from _place(element, [stroke.table[:, :2] for stroke in _collect(inner, depth + 1)])
        return
    _check_untransformed(element)
    if _is_flat(inner):
        numbers = np.array([_to_float(value) for value in inner[: len(inner) // 2 * 2]], np.float64)
        yield _RawStroke(numbers.reshape(-1, 2), True)
        return
    is_one_stroke = depth > 0 and _nesting_depth(inner) == 2 and "drawing" not in element
    for stroke in _collect(inner, depth + 1):
        yield _RawStroke(stroke.table, stroke.is_points or is_one_stroke)


def _check_kind(element: Mapping[str, Any]) -> None:
    """Raise PictureError for an element whose form is in no strokes."""
    kind = str(element.get("type", "")).lower()
    if kind in NOT_STROKES:
        raise PictureError(f"there is an element of the type {kind!r}, which is no stroke; {EXPORT_PNG}")
    tools = " ".join(str(element.get(key, "")).lower() for key in TOOL_KEYS)
    if any(word in tools for word in ERASER_WORDS) or element.get("drawMode") is False:
        raise PictureError(f"there is an eraser's stroke, which is not understood; {EXPORT_PNG}")
    if "coordinates" in element:
        raise PictureError("this looks like GeoJSON, whose y goes up; give strokes with y going down")


def _check_untransformed(element: Mapping[str, Any]) -> None:
    """Raise PictureError for an element with a transform other than the identity."""
    for key, identity in NEUTRAL_VALUES.items():
        value = element.get(key)
        if value not in (None, "", identity) and value != []:
            raise PictureError(f"a stroke has {key}: {str(value)[:30]}, which is not understood; {EXPORT_PNG}")


def _find_strokes(element: Mapping[str, Any]) -> Any:
    """What holds the strokes or points of a dictionary; None if nothing does."""
    for key in ("props", "attrs"):  # tldraw's, Konva's
        if isinstance(element.get(key), Mapping):
            _check_untransformed(element[key])
            return _find_strokes(element[key])
    if isinstance(element.get("store"), Mapping):  # tldraw's document
        records = element["store"].values()
        return [record for record in records if isinstance(record, Mapping) and record.get("typeName") == "shape"]
    found = [key for key in STROKE_KEYS if _is_list(element.get(key)) or isinstance(element.get(key), Mapping)]
    if not found:
        found = [key for key, value in element.items() if _is_list(value) and _nesting_depth(value) is not None]
        if len(found) > 1:
            raise PictureError(f"several keys could hold strokes: {', '.join(map(str, found[:5]))}; {EXPECTED_STROKES}")
    return element[found[0]] if found else None


def _place(element: Mapping[str, Any], strokes: list[Stroke]) -> Iterator[_RawStroke]:
    """Yield the strokes of an element whose points are relative to its x and y, rotated by its angle in radians."""
    _check_untransformed({key: value for key, value in element.items() if key not in ("angle", "rotation")})
    strokes = [stroke for stroke in strokes if len(stroke)]
    if not strokes:
        return
    offset = np.array([_to_float(element["x"]), _to_float(element["y"])])
    angle = _to_float(element.get("angle", element.get("rotation", 0)) or 0)
    cos, sin = (math.cos(angle), math.sin(angle)) if math.isfinite(angle) else (math.nan, math.nan)
    rotation = np.array([[cos, sin], [-sin, cos]])
    points = np.concatenate(strokes)
    # Excalidraw rotates about the middle of the element, tldraw about its origin
    pivot = (points.min(0) + points.max(0)) / 2 if "angle" in element else np.zeros(2)
    for stroke in strokes:
        yield _RawStroke((stroke - pivot) @ rotation + pivot + offset if angle else stroke + offset, True)


def _is_box(element: Mapping[str, Any]) -> bool:
    sizes = (element.get(key) for key in ("x", "y", "width", "height"))
    return str(element.get("type", "")).lower() in BOX_SHAPES and all(_is_number(size) for size in sizes)


def _box_stroke(element: Mapping[str, Any]) -> Stroke:
    """Excalidraw's rectangle, diamond or ellipse, with its corner at the origin, as a closed stroke."""
    unit = {
        "rectangle": [[0.0, 0], [1, 0], [1, 1], [0, 1], [0, 0]],
        "diamond": [[0.5, 0], [1, 0.5], [0.5, 1], [0, 0.5], [0.5, 0]],
        "ellipse": [[(1 + math.cos(angle)) / 2, (1 + math.sin(angle)) / 2] for angle in np.linspace(0, math.tau, 73)],
    }[str(element["type"]).lower()]
    return np.array(unit) * [_to_float(element["width"]), _to_float(element["height"])]


def _nesting_depth(value: Any) -> int | None:
    """How deeply numbers are nested: a number 0, a point 1, a stroke 2, a drawing 3; None if there are no numbers."""
    for depth in range(MAX_NESTING):
        if isinstance(value, np.ndarray):
            is_stroke = value.ndim == 2 and (2 <= value.shape[1] <= MAX_POINT_VALUES - 1 or value.shape[0] in (2, 3))
            if is_stroke or value.ndim == 1:
                return depth + value.ndim
            return depth + 3 if value.ndim == 3 and value.shape[2] == 2 else None  # 3 or 4 channels are colours
        if isinstance(value, Mapping):
            return depth + (1 if _is_point(value) else 2)
        if _is_number(value):
            return depth
        if not isinstance(value, list | tuple) or not value:
            return None
        value = next((item for item in value if not (isinstance(item, list | tuple) and not item)), None)
    return None


def _to_raw_stroke(stroke: Any) -> _RawStroke:
    """Convert a list of points, or of columns, to a table whose rows are as given."""
    if isinstance(stroke, np.ndarray) and stroke.dtype.kind in "iuf":
        return _RawStroke(stroke.astype(np.float64), False)
    named = [isinstance(row, Mapping) for row in stroke]
    rows: list[Any] = [[row.get("x"), row.get("y")] if isinstance(row, Mapping) else row for row in stroke]
    if any(named) != all(named) or not all(map(_is_list, rows)) or len({len(row) for row in rows}) != 1:
        raise PictureError(f"a stroke is no list of points that are all of one kind; {EXPECTED_STROKES}")
    if len(rows) * len(rows[0]) > MAX_POINT_VALUES * MAX_POINTS:
        raise PictureError(TOO_MANY_POINTS)
    return _RawStroke(np.array([[_to_float(value) for value in row] for row in rows], np.float64), all(named))


def _is_point(value: Mapping[str, Any]) -> bool:
    """Whether a dictionary is a point rather than an app's element."""
    holds_more = any(_is_list(item) or isinstance(item, Mapping) for item in value.values())
    is_element = str(value.get("type", "")).lower() in (*NOT_STROKES, *BOX_SHAPES)
    return _is_number(value.get("x")) and _is_number(value.get("y")) and not holds_more and not is_element


def _is_flat(value: Any) -> bool:
    """Whether it is x, y, x, y, … without brackets."""
    return _is_list(value) and len(value) >= 4 and all(_is_number(item) for item in value)


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple | np.ndarray)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def _to_float(value: Any) -> float:
    """NaN for what is not a number, infinity for an integer of hundreds of digits."""
    if not _is_number(value):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.inf
