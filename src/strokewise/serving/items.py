"""A picture as it comes in JSON or a data frame → bytes or an array: base64 text of a file, or nested lists."""

import base64
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strokewise.errors import PictureError
from strokewise.preprocessing import image_header

# 4096×4096, of a file. The limit of `decode` is higher and takes 450 MB; a server answers many at once.
MAX_SERVED_PIXELS = 2**24


def decode_item(item: Any) -> bytes | NDArray[Any] | PictureError:
    """The bytes of base64 text, or the array of nested lists; the error if `item` is neither."""
    try:
        return _decode(item)
    except PictureError as error:
        return error


def _decode(item: Any) -> bytes | NDArray[Any]:
    if isinstance(item, str):
        try:
            item = base64.b64decode(item.rpartition(",")[2], validate=True)  # also a browser's data:image/png;base64,
        except ValueError:  # binascii.Error, or characters beyond ASCII
            raise PictureError("this text is not base64; send the bytes of a picture as base64") from None
    if isinstance(item, bytes):
        if item and (size := image_header.read_header(item)).width * size.height > MAX_SERVED_PIXELS:
            raise PictureError(
                f"{size.width}×{size.height} pixels; at most {MAX_SERVED_PIXELS:,} are served: shrink it"
            )
        return item
    if not isinstance(item, list | tuple | np.ndarray):
        kind = "null" if item is None else f"the type {type(item).__name__}"
        raise PictureError(f"{kind} is no picture; send base64 text or an array (H, W), (H, W, 3) or (H, W, 4)")
    if problem := _array_problem(item):
        raise PictureError(f"{problem}; send numbers (H, W), (H, W, 3) or (H, W, 4), or a picture's bytes as base64")
    try:
        return np.asarray(item)
    except (ValueError, OverflowError):
        raise PictureError("this is no array: its rows differ in length; send (H, W), (H, W, 3) or (H, W, 4)") from None


def _array_problem(item: Any, depth: int = 1) -> str:
    """Why nested lists are no picture, empty if they may be one.

    With text among the numbers, NumPy would make every number as long as the longest text.
    """
    if not isinstance(item, list | tuple):
        return ""
    if depth > 3:
        return "this array has too many dimensions"
    types = set(map(type, item))
    if any(issubclass(kind, str | bytes) for kind in types):
        return "this array holds text"
    if not any(issubclass(kind, list | tuple) for kind in types):
        return ""
    return next(filter(None, (_array_problem(inner, depth + 1) for inner in item)), "")
