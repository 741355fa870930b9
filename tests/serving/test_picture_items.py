"""One item of a request: what becomes of text, lists and objects, and which items are refused with which message."""

import base64
from typing import Any

import numpy as np
import pytest

from strokewise.data.png import encode_png
from strokewise.errors import PictureError
from strokewise.serving.picture_items import to_source

SCENE = np.full((9, 12), 255, np.uint8)


def encode(data: bytes) -> str:
    return base64.b64encode(data).decode()


def test_text_is_the_bytes_of_a_file() -> None:
    file = encode_png(SCENE)
    assert to_source(encode(file)) == to_source("data:image/png;base64," + encode(file)) == file
    strokes = b"[[[10, 90], [50, 10]]]"
    assert to_source(encode(strokes)) == strokes


def test_lists_are_pixels_and_objects_are_drawings() -> None:
    assert np.array_equal(to_source(SCENE.tolist()), SCENE)
    assert np.array_equal(to_source((SCENE / 255).tolist()), SCENE)
    assert to_source([[[0, 100, 200]] * 8] * 8).shape == (8, 8, 3)  # type: ignore[union-attr]
    drawing = {"strokes": [[[10, 90], [50, 10]]]}
    assert to_source(drawing) is drawing


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (None, "null is no picture; send base64 text or an array"),
        (True, "the type bool is no picture"),
        (10**400, "the type int is no picture"),
        ("?", "this text is not base64"),
        ("\ud800", "this text is not base64"),
        (encode(b"no picture"), "this is no picture file"),
        ([[1, 2], [3]], "rows differ in length"),
        ([[10**400] * 8] * 8, "an array of object is no picture"),
        ([["a" * 999, 1]], "this array holds text"),
        ([[[[1]]]], "too many dimensions"),
        ([], "is no picture"),
        ([[None] * 8] * 8, "an array of object is no picture"),
        ([[{}] * 8] * 8, "an array of object is no picture"),
        ([[-1] * 8] * 8, "the array's values go from -1"),
        ([[10, 90], [50, 10], [90, 90]], "2×3 pixels hold no shape"),  # a list is never a stroke
        ([[[10, 90], [50, 10]], [[90, 90], [10, 90]]], r"shape \(2, 2, 2\) is no picture"),
        (encode(encode_png(np.zeros((4097, 4097), np.uint8))), "4097×4097 pixels; at most 16,777,216 are served"),
    ],
)
def test_item_that_is_no_picture_raises_picture_error(item: Any, message: str) -> None:
    with pytest.raises(PictureError, match=message):
        to_source(item)
