"""An item of a request, as JSON or a data frame gives it → what `Recogniser.stream` takes.

Text is a file in base64: a picture, or strokes. Nested lists are an array of pixels, (H, W), (H, W, 3) or (H, W, 4),
never strokes: many lists could be both. An object is a drawing (see `stroke_formats`).
"""

import base64
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strokewise.errors import PictureError
from strokewise.preprocessing import decode, image_header, stroke_formats

# 4096×4096, of a file. The limit of `decode` is higher and takes 450 MB; a server answers many at once.
MAX_FILE_PIXELS = 2**24
EXPECTED_ITEM = "base64 text or an array (H, W), (H, W, 3) or (H, W, 4)"


def to_source(item: Any) -> bytes | NDArray[np.uint8] | dict[str, Any]:
    """Bytes of a file, a scene (uint8, (H, W) or (H, W, 3)) or a drawing. Raises PictureError if `item` is none."""
    if isinstance(item, str):
        return _decode_text(item)
    if isinstance(item, dict):
        return item
    if isinstance(item, np.ndarray):
        return decode.decode(item)
    if not isinstance(item, list | tuple):
        kind = "null" if item is None else f"the type {type(item).__name__}"
        raise PictureError(f"{kind} is no picture; send {EXPECTED_ITEM}")
    if problem := _pixels_problem(item):
        raise PictureError(f"{problem}; send numbers (H, W), (H, W, 3) or (H, W, 4), or a picture's bytes as base64")
    try:
        array = np.asarray(item)
    except (ValueError, OverflowError):
        raise PictureError("this is no array: its rows differ in length; send (H, W), (H, W, 3) or (H, W, 4)") from None
    return decode.decode(array)


def _decode_text(text: str) -> bytes:
    try:
        data = base64.b64decode(text.rpartition(",")[2], validate=True)  # also a browser's data:image/png;base64,
    except ValueError:  # binascii.Error, or characters beyond ASCII
        raise PictureError("this text is not base64; send the bytes of a picture as base64") from None
    if stroke_formats.is_stroke_text(data):
        return data
    if data and (size := image_header.read_header(data)).width * size.height > MAX_FILE_PIXELS:
        raise PictureError(f"{size.width}×{size.height} pixels; at most {MAX_FILE_PIXELS:,} are served: shrink it")
    return data


def _pixels_problem(item: Any, depth: int = 1) -> str:
    """Why nested lists are no array of pixels, empty if they may be one.

    With text among the numbers, NumPy would make every number as long as the longest text.
    """
    if not isinstance(item, list | tuple):
        return ""
    if depth > 3:
        return "this array has too many dimensions"
    types = set(map(type, item))
    if str in types or bytes in types:
        return "this array holds text"
    if not types & {list, tuple}:
        return ""
    return next(filter(None, (_pixels_problem(inner, depth + 1) for inner in item)), "")
