"""The only place that draws: arrays and names in, a PNG out, the same bytes for the same input.

Pictures are uint8 (H, W) or (H, W, 3), or float (H, W) for maps that have a sign. Lengths are in pixels.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from strokewise import disk

DPI = 100
GAP = 3  # pixels around a picture
SMALL, PLAIN, LARGE = 11, 14, 18  # heights of type in pixels


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG to `path`, whole or not at all, byte for byte the same for the same figure."""
    with disk.replacing(path) as fresh:
        FigureCanvasAgg(figure)
        figure.savefig(fresh, format="png", metadata={"Software": None})  # no version number in the file


def canvas(width: float, height: float) -> tuple[Figure, Axes]:
    """A white figure and bare axes over the whole of it: a unit a pixel, origin top left, y down."""
    figure = Figure((width / DPI, height / DPI), dpi=DPI, facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(height, 0), autoscale_on=False)
    axes.set_axis_off()
    return figure, axes


def write(axes: Axes, x: float, y: float, text: str, size: float = PLAIN, **style: Any) -> None:
    """Write plain text at (x, y) of a `canvas`, `size` pixels high; a dollar sign is a dollar sign."""
    axes.text(x, y, text, fontsize=size * 72 / DPI, parse_math=False, **style)


def place(axes: Axes, picture: NDArray[Any], x: float, y: float, side: float, colours: str = "gray") -> None:
    """Put a picture into the square of `side` pixels at (x, y) of a `canvas`, its aspect kept.

    uint8 is shown from 0 to 255, float from -1 to 1, in the colour map `colours`.
    """
    tall, wide = (length * side / max(picture.shape[:2]) for length in picture.shape[:2])
    x, y = x + (side - wide) / 2, y + (side - tall) / 2
    low, high = (0, 255) if picture.dtype.kind == "u" else (-1, 1)
    axes.imshow(picture, cmap=colours, vmin=low, vmax=high, extent=(x, x + wide, y + tall, y), aspect="auto")


def sheet(
    rows: Sequence[Sequence[NDArray[Any]]],
    path: Path,
    names: Sequence[str] = (),
    captions: Sequence[Sequence[str]] = (),
    title: str = "",
    cell: int = 96,
    colours: str = "gray",
) -> None:
    """Rows of pictures, each in a cell of `cell` pixels, with a name a row and a caption beneath each picture.

    The rows may differ in length and the pictures in size. `colours`: "gray" shows scenes as they were painted,
    "gray_r" pictures (0 = paper, 255 = ink) as ink on white, "RdBu" or the like a float map with its sign.
    """
    left = 16 + 0.62 * PLAIN * max(map(len, names)) if names else GAP
    above = 2 * LARGE if title else GAP
    pitch = cell + 2 * GAP, cell + 2 * GAP + (1.6 * SMALL if captions else 0)
    figure, axes = canvas(round(left + pitch[0] * max(map(len, rows)) + GAP), round(above + pitch[1] * len(rows) + GAP))
    if title:
        write(axes, GAP + 5, LARGE, title, LARGE, va="center")
    for at, row in enumerate(rows):
        top = above + at * pitch[1] + GAP
        if names:
            write(axes, left - 8, top + cell / 2, names[at], ha="right", va="center")
        for column, picture in enumerate(row):
            x = left + column * pitch[0] + GAP
            place(axes, picture, x, top, cell, colours)
            if captions:
                write(axes, x + cell / 2, top + cell + GAP, captions[at][column], SMALL, ha="center", va="top")
    save(figure, path)
