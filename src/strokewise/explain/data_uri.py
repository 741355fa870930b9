"""Small maps (h, w) of numbers -> PNG files as `data:` addresses, to stand in a page that needs nothing beside it.

A palette of 255 colours goes from rust through white to ink, and one more is for gaps. The same numbers give the same
bytes.
"""

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

PaletteImage = NDArray[np.uint8]

ZERO_INDEX = 128  # the palette's white: below it rust, above it ink
GAP_INDEX = 0  # the palette's transparent entry
POSITIVE_RGB = np.array([13, 43, 89])
NEGATIVE_RGB = np.array([191, 64, 13])


def encode_palette_png(pixels: PaletteImage) -> bytes:
    """A PNG file of palette indices (h, w): `GAP_INDEX`, or 1 (full rust) to 255 (full ink) with white at `ZERO_INDEX`.

    Pixels (h, w, 3) are taken as the colours they are.
    """
    image, options = Image.fromarray(pixels), {"compress_level": 9}
    if pixels.ndim == 2:
        image.putpalette(_palette())
        options["transparency"] = GAP_INDEX
    file = io.BytesIO()
    image.save(file, "PNG", **options)
    return file.getvalue()


def data_uri(pixels: PaletteImage) -> str:
    """The same as a `data:` address for `<img src>`."""
    return "data:image/png;base64," + base64.b64encode(encode_palette_png(pixels)).decode("ascii")


def to_palette(values: NDArray[Any], limit: float) -> PaletteImage:
    """Numbers (h, w) -> palette indices: `limit` is full ink, -`limit` full rust, 0 white."""
    share = np.clip(values / limit if limit > 0 else values * 0.0, -1, 1)
    return np.asarray(np.rint(ZERO_INDEX + 127 * share), np.uint8)


def enlarge_nearest(small: NDArray[Any], side: int) -> NDArray[Any]:
    """(h, w) -> (side, side) by repeating pixels, never smoothing; also smaller, by leaving some out."""
    rows, columns = (np.arange(side) * length // side for length in small.shape)
    return np.asarray(small[rows[:, np.newaxis], columns])


def stack_maps(maps: Sequence[NDArray[Any]], side: int, gap: int, columns: int = 1) -> PaletteImage:
    """Maps (h, w) in `columns`, one scale for all, each `side`×`side`, `gap` transparent pixels between them."""
    limit = max((float(np.abs(values).max()) for values in maps), default=0.0)
    rows = -(-len(maps) // columns)
    sheet = np.full((rows * (side + gap) - gap, columns * (side + gap) - gap), GAP_INDEX, np.uint8)
    for number, values in enumerate(maps):
        top, left = (place * (side + gap) for place in divmod(number, columns))
        sheet[top : top + side, left : left + side] = enlarge_nearest(to_palette(values, limit), side)
    return sheet


def _palette() -> bytes:
    share = (np.arange(256)[:, np.newaxis] - ZERO_INDEX) / 127
    colours = 255 - np.abs(np.clip(share, -1, 1)) * (255 - np.where(share < 0, NEGATIVE_RGB, POSITIVE_RGB))
    return bytes(np.rint(colours).astype(np.uint8))
