"""A picture in JSON: base64 text or nested lists; everything else is named."""

import base64
from typing import Any

import numpy as np
import pytest

from strokewise.data.png import encode_png
from strokewise.errors import PictureError
from strokewise.serving.items import decode_item

PNG = encode_png(np.full((9, 9), 255, np.uint8))
TEXT = base64.b64encode(PNG).decode()


@pytest.mark.parametrize("text", [TEXT, f"data:image/png;base64,{TEXT}"])
def test_base64_text_becomes_bytes(text: str) -> None:
    assert decode_item(text) == decode_item(PNG) == PNG


@pytest.mark.parametrize("shape", [(9, 8), (9, 8, 3), (9, 8, 4)])
def test_nested_lists_become_an_array(shape: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape)).reshape(shape) % 256
    np.testing.assert_array_equal(decode_item(array.tolist()), array)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (None, "null is no picture"),
        (3, "the type int is no picture"),
        ({"a": 1}, "the type dict is no picture"),
        ("not base64!", "is not base64"),
        ("é", "is not base64"),
        ([["a"]], "this array holds text"),
        ([[[[1]]]], "too many dimensions"),
        ([[1, 2], [3]], "its rows differ in length"),
        (base64.b64encode(encode_png(np.zeros((4097, 4097), np.uint8))).decode(), "are served: shrink it"),
    ],
)
def test_anything_else_becomes_an_error(item: Any, message: str) -> None:
    error = decode_item(item)
    assert isinstance(error, PictureError)
    assert message in str(error)
