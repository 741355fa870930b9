"""Whatever a caller has → what `preprocess` takes: a path, the bytes of a picture file, or an array."""

import io
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from strokewise.errors import PictureError, one_line
from strokewise.preprocessing import stroke_formats, stroke_input
from strokewise.preprocessing.decode import MAX_FILE_BYTES
from strokewise.preprocessing.stroke_layout import StrokeLayout

Source = os.PathLike[str] | str | bytes | bytearray | memoryview | npt.NDArray[Any] | Sequence[Any] | Mapping[str, Any]
UnitMatrix = npt.NDArray[np.float64]  # (2, 3), of an affine map
OWN_PIXELS = np.eye(2, 3)  # the identity: a picture's units are its pixels
PICTURE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif"})
PNG_MODES = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "I;16"})  # of PIL pictures
STROKE_SUFFIXES = frozenset({".json", ".ndjson", ".excalidraw", ".tldr", ".inkml"})


def is_single(sources: Any) -> bool:
    """Whether it is one picture or drawing, or neither, rather than several of them.

    An array (N, H, W) or (N, H, W, 3) is several; (H, W, 1), (H, W, 3) and (H, W, 4) are one.
    """
    if hasattr(sources, "__array__") and not _is_pillow(sources):
        shape = np.shape(np.asarray(sources))
        return len(shape) < 3 or (len(shape) == 3 and shape[2] in (1, 3, 4))
    if isinstance(sources, os.PathLike | str | bytes | bytearray | memoryview) or hasattr(sources, "read"):
        return True
    return not isinstance(sources, Iterable) or stroke_formats.is_drawing(sources)


def read_source(source: Any, strokes: StrokeLayout | None) -> tuple[Path | bytes | npt.NDArray[Any], UnitMatrix]:
    """Convert a source to what `preprocess` takes: strokes are drawn, open files and PIL pictures are read.

    `strokes` is for strokes that could be points as well as columns; None: what is plausible. Also returns the matrix
    (2, 3) from its pixels to the source's own units: those of the strokes, or the pixels themselves.

    Raises PictureError.
    """
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        is_text = path.suffix.lower() not in PICTURE_SUFFIXES and stroke_input.holds_strokes(path)
        return stroke_input.read_strokes(path, strokes) if is_text else (path, OWN_PIXELS)
    if _is_pillow(source):
        source = _encode_pillow(source)
    elif hasattr(source, "read"):
        source = _read_file(source)
    elif hasattr(source, "__array__"):
        source = np.asarray(source)
    if isinstance(source, bytes | bytearray | memoryview):
        data = bytes(source)
        if stroke_formats.is_stroke_text(data):
            return stroke_input.parse_strokes(data, strokes)
        return data, OWN_PIXELS
    if isinstance(source, list | tuple | Mapping) or (
        isinstance(source, np.ndarray) and stroke_formats.is_drawing(source)
    ):
        return stroke_input.rasterize_strokes(source, strokes)
    return source, OWN_PIXELS  # `decode` raises for anything else


def _is_pillow(source: Any) -> bool:
    return hasattr(source, "getexif") and hasattr(source, "save")


def _encode_pillow(image: Any) -> bytes:
    """Encode a PIL picture as PNG: its palette, transparency and EXIF orientation count like those of a file."""
    encoded = io.BytesIO()
    try:
        converted = image if image.mode in PNG_MODES else image.convert("RGB")
        converted.save(encoded, "PNG", exif=image.getexif())
    except (OSError, ValueError, SyntaxError) as error:  # a truncated file is read only now
        raise PictureError(f"the PIL picture cannot be read: {one_line(error)}") from None
    return encoded.getvalue()


def _read_file(file: Any) -> bytes:
    """Read an open binary file, at most one byte more than a picture may have."""
    try:
        data = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        raise PictureError(f"the open file cannot be read: {one_line(error)}") from None
    if not isinstance(data, bytes):
        raise PictureError("the open file is not in binary mode; open it with 'rb'")
    return data


def find_pictures(paths: Iterable[Path], suffixes: frozenset[str] = PICTURE_SUFFIXES) -> Iterator[Path]:
    """Yield the pictures that `paths` name: files as they are, folders searched at any depth, in sorted order."""
    for path in paths:
        if _is_dir(path):
            yield from sorted(file for file in path.rglob("*") if file.suffix.lower() in suffixes and file.is_file())
        else:
            yield path


def _is_dir(path: Path) -> bool:
    """Whether it is a folder; False for an invalid name (too long), which is reported when it is opened."""
    try:
        return path.is_dir()
    except OSError:
        return False
