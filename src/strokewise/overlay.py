"""Drawings and what was found in them → SVG: the clean outline over the ink, of many drawings a contact sheet.

One drawing's SVG has the drawing's own units: the pixels of a picture, or the units of strokes.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

import numpy as np

from strokewise.data.png import downscale, encode_png
from strokewise.errors import printable
from strokewise.preprocessing.decode import decode
from strokewise.preprocessing.sources import read_source
from strokewise.preprocessing.stroke_layout import StrokeLayout
from strokewise.recogniser import Prediction

MAX_SIDE, MAX_SHEET_SIDE = 1600, 320  # pixels of an embedded picture: of one drawing, and on a sheet
CELL, CAPTION, CELLS_PER_ROW = 220, 34, 6  # of the contact sheet: side of a cell, height of its caption, cells in a row
MAX_CELLS = 600  # drawings on a contact sheet
OUTLINE_COLOUR, LINE_SHARE = "#c8261c", 0.008  # of the clean outline: its colour, and its width over the drawing's side
SVG_HEAD = '<svg xmlns="http://www.w3.org/2000/svg"'


@dataclass(frozen=True, eq=False)
class Overlay:
    """A drawing as it is shown, with its answer."""

    name: str
    picture: str
    """An <image> element in the drawing's own units."""
    box: tuple[float, float, float, float]
    """Left, top, width and height of what is shown."""
    answer: Prediction


def make_overlay(name: str, source: Any, answer: Prediction, strokes: StrokeLayout | None, sheet: bool) -> Overlay:
    """Prepare a drawing for `overlay_svg`; on a `sheet`, its picture is made smaller.

    The arguments are those of `Recogniser.predict` and what it answered. Raises PictureError if it cannot be read.
    """
    scene, units = read_source(source, strokes)
    pixels = decode(scene)
    height, width = pixels.shape[:2]
    corners = np.array([[0, 0], [width, height]]) @ units[:, :2].T + units[:, 2]
    (left, top), (wide, high) = corners[0].tolist(), (corners[1] - corners[0]).tolist()
    shown = base64.b64encode(encode_png(downscale(pixels, MAX_SHEET_SIDE if sheet else MAX_SIDE))).decode()
    place = f'x="{left:.6g}" y="{top:.6g}" width="{wide:.6g}" height="{high:.6g}"'
    picture = f'<image {place} preserveAspectRatio="none" opacity="0.5" href="data:image/png;base64,{shown}"/>'
    return Overlay(name, picture, (left, top, wide, high), answer)


def overlay_svg(overlays: Sequence[Overlay]) -> str:
    """The SVG of one drawing in its own units, or a contact sheet of several."""
    if len(overlays) == 1:
        return f'{SVG_HEAD} viewBox="{_numbers(overlays[0].box)}">{_drawing(overlays[0])}</svg>\n'
    rows = -(-len(overlays) // CELLS_PER_ROW)
    cells = [_cell(overlay, *divmod(number, CELLS_PER_ROW)[::-1]) for number, overlay in enumerate(overlays)]
    size = CELLS_PER_ROW * CELL, rows * (CELL + CAPTION)
    head = f'{SVG_HEAD} viewBox="0 0 {size[0]} {size[1]}" width="{size[0]}" height="{size[1]}"'
    return f'{head} font-family="sans-serif" font-size="11">\n' + "\n".join(cells) + "\n</svg>\n"


def _cell(overlay: Overlay, column: int, row: int) -> str:
    x, y = column * CELL, row * (CELL + CAPTION)
    inner = f'<svg x="{x + 4}" y="{y + 4}" width="{CELL - 8}" height="{CELL - 8}" viewBox="{_numbers(overlay.box)}">'
    answer = overlay.answer
    said = f"{answer.shape} {answer.confidence:.0%}"
    if answer.geometry is None:
        said += f": {answer.no_geometry}"[:24] + "…"
    captions = (printable(overlay.name)[-32:], said)
    texts = "".join(
        f'<text x="{x + 4}" y="{y + CELL + 10 + 13 * line}">{escape(caption)}</text>'
        for line, caption in enumerate(captions)
    )
    return f"{inner}{_drawing(overlay)}</svg>{texts}"


def _drawing(overlay: Overlay) -> str:
    if overlay.answer.geometry is None:
        return overlay.picture
    width = LINE_SHARE * max(overlay.box[2:])
    style = f'fill="none" stroke="{OUTLINE_COLOUR}" stroke-width="{width:.4g}" stroke-linejoin="round"'
    return f'{overlay.picture}<path d="{overlay.answer.geometry.path}" {style} stroke-linecap="round"/>'


def _numbers(values: Sequence[float]) -> str:
    return " ".join(f"{value:.6g}" for value in values)
