"""Strokes as apps write them: each format gives the drawing that was drawn, or one line that names what is not read."""

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strokewise.errors import PictureError
from strokewise.preprocessing.stroke_formats import decode_strokes, is_drawing, to_strokes

TRIANGLE = [[[50, 10], [90, 90]], [[90, 90], [10, 90]], [[10, 90], [50, 10]]]


def as_element(stroke: list[list[float]], **properties: Any) -> dict[str, Any]:
    """Excalidraw's element: a place, and points relative to it."""
    x, y = stroke[0]
    return {"type": "line", "x": x, "y": y, "points": [[px - x, py - y] for px, py in stroke], **properties}


def as_shape(stroke: list[list[float]], **properties: Any) -> dict[str, Any]:
    """tldraw's draw shape."""
    x, y = stroke[0]
    points = [{"x": px - x, "y": py - y, "z": 0.5} for px, py in stroke]
    props = {"segments": [{"type": "free", "points": points}]}
    return {"typeName": "shape", "type": "draw", "x": x, "y": y, "rotation": 0, "props": props, **properties}


def as_steps(strokes: list[list[list[float]]], five: bool) -> list[list[float]]:
    """stroke-3 or stroke-5: differences, and whether the pen is lifted after them."""
    rows: list[list[float]] = []
    x = y = 0.0
    for stroke in strokes:
        for number, (px, py) in enumerate(stroke, 1):
            lifted = int(number == len(stroke))
            rows.append([px - x, py - y, *([1 - lifted, lifted, 0] if five else [lifted])])
            x, y = px, py
    return [*rows, [0, 0, 0, 0, 1]] if five else rows


FORMATS: dict[str, Any] = {
    "lists": TRIANGLE,
    "arrays": [np.array(stroke) for stroke in TRIANGLE],
    "dictionaries": [[{"x": x, "y": y} for x, y in stroke] for stroke in TRIANGLE],
    "dictionaries under `drawing`": {"drawing": [[{"x": x, "y": y} for x, y in stroke] for stroke in TRIANGLE]},
    "any key": {"version": 3, "myStrokes": TRIANGLE},
    "pressure that falls": [[[*point, 0.9 - 0.4 * at] for at, point in enumerate(stroke)] for stroke in TRIANGLE],
    "times": [[[*point, 10 * number + at] for at, point in enumerate(s)] for number, s in enumerate(TRIANGLE)],
    "signature_pad": [{"penColor": "black", "points": [{"x": x, "y": y} for x, y in stroke]} for stroke in TRIANGLE],
    "react-sketch-canvas": [{"drawMode": True, "paths": [{"x": x, "y": y} for x, y in stroke]} for stroke in TRIANGLE],
    "Konva": [
        {"className": "Line", "attrs": {"points": [v for point in stroke for v in point]}} for stroke in TRIANGLE
    ],
    "x and y": [{"x": [x for x, _ in stroke], "y": [y for _, y in stroke]} for stroke in TRIANGLE],
    "Quick, Draw!": {"word": "triangle", "drawing": [[list(row) for row in zip(*s, strict=True)] for s in TRIANGLE]},
    "Excalidraw": {"type": "excalidraw", "elements": [as_element(stroke) for stroke in TRIANGLE]},
    "Excalidraw, one deleted": [*map(as_element, TRIANGLE), as_element([[0, 0], [500, 5]], isDeleted=True)],
    "tldraw": {"store": {str(number): as_shape(stroke) for number, stroke in enumerate(TRIANGLE)}},
    "stroke-3": as_steps(TRIANGLE, five=False),
    "stroke-5": as_steps(TRIANGLE, five=True),
    "stroke-3, array": np.array(as_steps(TRIANGLE, five=False)),
}


@pytest.mark.parametrize("name", FORMATS)
def test_format_gives_the_drawing(name: str) -> None:
    assert [stroke.tolist() for stroke in to_strokes(FORMATS[name])] == TRIANGLE
    assert is_drawing(FORMATS[name])


def test_rotated_elements_are_rotated() -> None:
    turned = to_strokes([as_element([[0, 0], [10, 0]], angle=math.pi / 2)])[0]
    assert turned == pytest.approx(np.array([[5, -5], [5, 5]])), "Excalidraw: about its middle"
    turned = to_strokes([as_shape([[0, 0], [10, 0]], rotation=math.pi / 2)])[0]
    assert turned == pytest.approx(np.array([[0, 0], [0, 10]])), "tldraw: about its origin"


@pytest.mark.parametrize(("kind", "area"), [("rectangle", 200), ("diamond", 100), ("ellipse", 50 * math.pi)])
def test_excalidraw_boxes_become_closed_strokes(kind: str, area: float) -> None:
    box = {"type": kind, "x": 5, "y": 7, "width": 20, "height": 10, "angle": 0}
    (stroke,) = to_strokes({"elements": [box]})
    assert stroke.min(0) == pytest.approx([5, 7])
    assert stroke.max(0) == pytest.approx([25, 17])
    assert stroke[0] == pytest.approx(stroke[-1])
    x, y = stroke.T
    assert abs(np.dot(x[:-1], y[1:]) - np.dot(y[:-1], x[1:])) / 2 == pytest.approx(area, rel=0.01)


REFUSED: dict[str, tuple[Any, str]] = {
    "eraser": ([{"tool": "eraser", "points": [[0, 0], [5, 5]]}], "an eraser's stroke"),
    "erasing composite": ([{"globalCompositeOperation": "destination-out", "points": [0, 0, 5, 5]}], "an eraser's"),
    "erasing mode": ([{"drawMode": False, "paths": [{"x": 1, "y": 2}]}], "an eraser's stroke"),
    "text": ({"elements": [{"type": "text", "x": 1, "y": 2, "text": "hi"}]}, "an element of the type 'text'"),
    "image": ({"elements": [{"type": "image", "x": 1, "y": 2}]}, "an element of the type 'image'"),
    "rotation in degrees": ([{"points": [[0, 0], [1, 1]], "rotation": 30}], "a stroke has rotation: 30"),
    "scale": ([{"x": 0, "y": 0, "scaleX": 2, "points": [[0, 0], [1, 1]]}], "a stroke has scaleX: 2"),
    "Konva's scale": ([{"attrs": {"scaleY": 2, "points": [0, 0, 1, 1]}}], "a stroke has scaleY: 2"),
    "transform": ([{"points": [[0, 0], [1, 1]], "transform": "rotate(3)"}], "a stroke has transform"),
    "GeoJSON": ({"type": "LineString", "coordinates": [[0, 0], [1, 1]]}, "looks like GeoJSON, whose y goes up"),
    "two lists of strokes": ({"a": [[0, 0], [1, 1]], "b": [[0, 0], [1, 1]]}, "several keys could hold strokes: a, b"),
    "all deleted": ([{"isDeleted": True, "points": [[0, 0], [1, 1]]}], "there are no strokes"),
    "no numbers": ({"name": "x"}, "there are no strokes under the keys name"),
    "text as a drawing": ("hello", "a str is no stroke"),
    "nothing": (None, "a NoneType is no stroke"),
    "other lengths": ([{"x": [1, 2], "y": [1]}], "a stroke has 2 x and 1 y"),
    "array of texts": (np.array([["a", "b"]]), "an array of <U1 holds no strokes"),
    "infinite angle": ([{"x": 0, "y": 0, "angle": math.inf, "points": [[0, 0], [1, 1]]}], "a coordinate is no number"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_strokes_cannot_express_is_refused_by_name(name: str) -> None:
    drawing, message = REFUSED[name]
    with pytest.raises(PictureError, match=message):
        to_strokes(drawing)


def test_ndjson_is_read_with_one_record_and_named_with_more() -> None:
    record = json.dumps(FORMATS["Quick, Draw!"])
    assert [stroke.tolist() for stroke in decode_strokes(f"{record}\n".encode())] == TRIANGLE
    with pytest.raises(PictureError, match="this is ndjson with 3 records; give one record a file"):
        decode_strokes("\n".join([record] * 3).encode())


def test_brackets_in_texts_are_not_counted() -> None:
    drawing = {"title": "[" * 40 + '\\"[', "strokes": TRIANGLE}
    assert [stroke.tolist() for stroke in decode_strokes(json.dumps(drawing).encode())] == TRIANGLE


KEYS = ["x", "y", "points", "strokes", "drawing", "elements", "type", "angle", "props", "attrs", "store", "isDeleted"]
VALUES = st.one_of(
    st.integers(), st.floats(), st.booleans(), st.none(), st.sampled_from(["draw", "line", "text", "eraser", "ellipse"])
)
TREES = st.recursive(
    st.one_of(VALUES, st.lists(st.tuples(st.floats(-9, 9), st.floats(-9, 9)), max_size=4)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.sampled_from(KEYS), inner)),
)


@settings(max_examples=500, deadline=None)
@given(TREES)
def test_any_object_is_read_or_refused(value: Any) -> None:
    is_drawing(value)
    try:
        strokes = to_strokes(value)
    except PictureError as error:
        assert "\n" not in str(error)  # noqa: PT017
        return
    assert strokes
    assert all(np.isfinite(stroke).all() and stroke.shape[1] == 2 for stroke in strokes)


@pytest.mark.parametrize(
    "rows",
    [
        [[1e308, 1e308, 0], [1e308, -1e308, 0], [1e308, 1e308, 1]],
        [[1, 2, 1e309], [3, 4, float("-inf")], [5, 6, float("inf")]],
        [[float("nan")] * 3] * 3,
    ],
)
def test_numbers_beyond_all_bounds_are_refused_without_a_warning(rows: list[list[float]]) -> None:
    with pytest.raises(PictureError):  # and warnings are errors in these tests
        to_strokes([rows])
