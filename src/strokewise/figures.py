"""The only place that draws: arrays and names in, a PNG out, the same bytes for the same input.

Pictures are uint8 (H, W) or (H, W, 3), or float (H, W) for maps that have a sign. Lengths are in pixels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imsave
from numpy.typing import NDArray

from strokewise import disk

DPI = 100
GAP = 3  # pixels around a picture
SMALL, PLAIN, LARGE = 11, 14, 18  # heights of type in pixels
INK = np.array([0.05, 0.17, 0.35])  # the colour of more than nothing, RGB
RUST = np.array([0.75, 0.25, 0.05])  # of less than nothing
FRAME, FAINT, TILE_GAP = 0.8, "0.35", 8
TILE, LABEL, RIM = 64, 160, 20  # the layer sheet: a map, the column of names, the margin


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


@dataclass(frozen=True, eq=False)
class Panel:
    """A diagram of shares in [0, 1]."""

    title: str
    series: Mapping[str, Sequence[tuple[float | str, float, float, float]]]
    """By name: (x, share, low and high end of its interval), x a number or a name."""
    diagonal: bool = False
    """With the line on which the share equals x."""


def curves(title: str, panels: Sequence[Panel], path: Path) -> None:
    """Draw diagrams side by side, at most three in a row, every point with its interval; one legend for all."""
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure((0.4 + 3.6 * columns, 0.8 + 3.0 * rows), dpi=DPI, facecolor="white", layout="constrained")
    figure.suptitle(title, fontsize=LARGE * 72 / DPI, parse_math=False)
    axes = figure.subplots(rows, columns, squeeze=False, sharey=True).flat
    for panel, diagram in zip(panels, axes, strict=False):
        if panel.diagonal:
            diagram.plot([0, 1], [0, 1], color="0.7", linestyle=":")
        for (name, points), colour, mark in zip(panel.series.items(), (INK, RUST, "0.4"), "os^", strict=False):
            x, share, low, high = zip(*points, strict=True)
            reach = np.abs(np.array([low, high]) - np.array(share))
            line = "none" if isinstance(x[0], str) else "-"  # between two names there is nothing
            diagram.errorbar(x, share, reach, label=name, color=colour, marker=mark, markersize=4, capsize=3, ls=line)
        diagram.set_title(panel.title, fontsize=PLAIN * 72 / DPI, parse_math=False)
        diagram.set_ylim(0, 1.02)
        diagram.margins(x=0.1)
        diagram.grid(color="0.92")
        diagram.set_axisbelow(True)
    for empty in axes[len(panels) :]:
        empty.set_axis_off()
    axes[0].legend(loc="best", fontsize=SMALL * 72 / DPI)
    save(figure, path)


@dataclass(frozen=True, eq=False)
class Strip:
    """A line of float maps (h, w) of any range, coloured on one scale, with its name and a note."""

    title: str
    note: str
    tiles: Sequence[NDArray[Any]]
    captions: Sequence[str] = ()
    """One a tile; for a wide one, one a column."""
    heading: str = ""
    numbers: bool = False
    """Write each value on its square."""
    wide: bool = False
    """A single tile, as wide as the sheet."""


def layers(
    title: str,
    scene: NDArray[np.uint8],
    picture: NDArray[np.uint8],
    scores: Mapping[str, float],
    strips: Sequence[Strip],
    path: Path,
) -> None:
    """Draw the way of a painting through a network, from top to bottom, with the scores at the top.

    `scene` is the painting, (H, W) or (H, W, 3); `picture` uint8 (G, G) what the network sees of it.
    """
    span = max(8, *(len(strip.tiles) for strip in strips)) * (TILE + TILE_GAP) - TILE_GAP
    side = 5 * TILE // 2
    top = 3 * LARGE + side + 2 * PLAIN
    heights = [_height(strip) for strip in strips]
    ground = np.ones((top + sum(heights) + 2 * PLAIN, 2 * RIM + LABEL + span, 3))
    figure, axes = canvas(ground.shape[1], ground.shape[0])
    write(axes, RIM, RIM, title, LARGE, weight="bold", va="top")
    seen = f"what the network sees, {picture.shape[1]}×{picture.shape[0]}"
    colours = np.broadcast_to(scene.reshape(*scene.shape[:2], -1) / 255, (*scene.shape[:2], 3))
    for x, image, caption in ((RIM, colours, "the painting"), (RIM + side + 16, inked(picture / 255, 1), seen)):
        _lay(ground, image, x, 3 * LARGE, side, side)
        write(axes, x + side / 2, 3 * LARGE + side + 10, caption, SMALL, color=FAINT, ha="center", va="center")
    left = RIM + 2 * side + 100
    _bars(axes, scores, left, 3 * LARGE, ground.shape[1] - left - 60, side)
    for y, strip in zip(top + np.cumsum([0, *heights]), strips, strict=False):
        _strip(axes, ground, strip, int(y), span)
    legend = "blue: above zero · white: zero · rust: below zero · one scale a line"
    write(axes, RIM, ground.shape[0] - PLAIN, legend, SMALL, color=FAINT, va="center")
    _save_over(figure, ground, path)


def _save_over(figure: Figure, ground: NDArray[np.float64], path: Path) -> None:
    """Save what is written on a `canvas` over a ground (height, width, 3) of its size, as `save` does.

    The ground goes straight into the pixels that matplotlib draws on: an image of it would take as long as the text.
    """
    figure.patch.set_visible(False)
    agg: Any = FigureCanvasAgg(figure)
    renderer = agg.get_renderer()
    pixels = np.asarray(agg.buffer_rgba())
    pixels[..., :3], pixels[..., 3] = (ground * 255).round(), 255
    figure.draw(renderer)
    unsigned: Any = {"Software": None}  # no version number in the file
    with disk.replacing(path) as fresh:
        imsave(fresh, pixels, format="png", metadata=unsigned)


def inked(values: NDArray[Any], limit: float) -> NDArray[np.float64]:
    """Numbers (h, w) -> colours (h, w, 3): white for 0, ink blue for `limit`, rust for -`limit`, paler between."""
    share = np.clip(values / limit if limit > 0 else values * 0.0, -1, 1)[..., np.newaxis]
    return np.asarray(1 - np.abs(share) * (1 - np.where(share < 0, RUST, INK)))


def _height(strip: Strip) -> int:
    return (2 * LARGE if strip.heading else 0) + TILE + (16 if strip.captions else 0) + TILE_GAP


def _strip(axes: Axes, ground: NDArray[np.float64], strip: Strip, y: int, span: int) -> None:
    """One line of the layer sheet: its heading, its name and note on the left, then its tiles."""
    if strip.heading:
        ground[y + 10, RIM:-RIM] = FRAME
        write(axes, RIM, y + 23, strip.heading, weight="bold", va="center")
        y += 2 * LARGE
    write(axes, RIM, y + 20, strip.title, 13, va="center")
    write(axes, RIM, y + 38, strip.note, SMALL, color=FAINT, va="center")
    limit = max(float(np.abs(tile).max()) for tile in strip.tiles)
    width = span if strip.wide else TILE
    for number, tile in enumerate(strip.tiles):
        x = RIM + LABEL + number * (TILE + TILE_GAP)
        _lay(ground, inked(tile, limit), x, y, width, TILE)
        for (row, column), value in np.ndenumerate(tile) if strip.numbers else ():
            middle = x + (column + 0.5) * width / tile.shape[1], y + (row + 0.5) * TILE / tile.shape[0]
            text, colour = f"{value:+.2f}".replace("-", "−"), "white" if abs(value) > limit / 2 else "black"
            write(axes, *middle, text, 9, ha="center", va="center", color=colour)
    pitch = span / max(1, len(strip.captions)) if strip.wide else TILE + TILE_GAP
    for number, caption in enumerate(strip.captions):
        x = RIM + LABEL + round(number * pitch + (pitch if strip.wide else TILE) / 2)
        write(axes, x, y + TILE + 8, caption, 10, color=FAINT, ha="center", va="center")


def _lay(ground: NDArray[np.float64], image: NDArray[Any], x: int, y: int, width: int, height: int) -> None:
    """Lay a small image (h, w, 3) on the ground, enlarged without smoothing, within a thin frame."""
    ground[y - 1 : y + height + 1, x - 1 : x + width + 1] = FRAME
    rows = np.arange(height) * image.shape[0] // height
    columns = np.arange(width) * image.shape[1] // width
    ground[y : y + height, x : x + width] = image[rows[:, np.newaxis], columns]


def _bars(axes: Axes, scores: Mapping[str, float], x: int, y: int, width: int, room: int) -> None:
    """A bar a shape, the likeliest in ink."""
    step = room / max(len(scores), 6)
    best = max(scores, key=scores.__getitem__)
    for number, (shape, score) in enumerate(scores.items()):
        middle, likeliest = y + (number + 0.5) * step, shape == best
        write(axes, x - 6, middle, shape, SMALL, ha="right", va="center", weight="bold" if likeliest else "normal")
        axes.barh(middle, score * width, left=x, height=step * 0.7, color=INK if likeliest else "0.7")
        write(axes, x + score * width + 5, middle, f"{score:.1%}", SMALL, color=FAINT, va="center")
