"""Small maps (h, w) of numbers → PNG files as `data:` URIs, for a page without any other files.

A palette of 255 colours goes from rust through white to ink, and one more entry is transparent. The same numbers give
the same bytes.
"""

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from strokewise.plots import NEGATIVE_COLOUR, POSITIVE_COLOUR

PaletteImage = NDArray[np.uint8]

ZERO_INDEX = 128  # the palette's white: below it rust, above it ink
GAP_INDEX = 0  # the palette's transparent entry
POSITIVE_RGB, NEGATIVE_RGB = (np.rint(255 * colour).astype(int) for colour in (POSITIVE_COLOUR, NEGATIVE_COLOUR))


def encode_palette_png(pixels: PaletteImage) -> bytes:
    """A PNG file of palette indices (h, w): `GAP_INDEX`, or 1 (full rust) to 255 (full ink) with white at `ZERO_INDEX`.

    Pixels (h, w, 3) are RGB colours.
    """
    image, options = Image.fromarray(pixels), {"compress_level": 9}
    if pixels.ndim == 2:
        image.putpalette(_palette())
        options["transparency"] = GAP_INDEX
    file = io.BytesIO()
    image.save(file, "PNG", **options)
    return file.getvalue()


def data_uri(pixels: PaletteImage) -> str:
    """The same file as a `data:` URI for `<img src>`."""
    return "data:image/png;base64," + base64.b64encode(encode_palette_png(pixels)).decode("ascii")


def to_palette(values: NDArray[Any], limit: float) -> PaletteImage:
    """Numbers (h, w) → palette indices: `limit` is full ink, -`limit` full rust, 0 white."""
    share = np.clip(values / limit if limit > 0 else values * 0.0, -1, 1)
    return np.asarray(np.rint(ZERO_INDEX + 127 * share), np.uint8)


def enlarge_nearest(small: NDArray[Any], side: int) -> NDArray[Any]:
    """(h, w) → (side, side) by nearest neighbour: pixels are repeated or left out, never mixed."""
    rows, columns = (np.arange(side) * length // side for length in small.shape)
    return np.asarray(small[rows[:, np.newaxis], columns])


def stack_maps(maps: Sequence[NDArray[Any]], side: int, gap: int, columns: int = 1) -> PaletteImage:
    """Maps (h, w) in `columns`, on one scale, each `side`×`side`, with `gap` transparent pixels between them."""
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
