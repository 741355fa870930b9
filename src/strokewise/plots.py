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

from strokewise.support import atomic_io

DPI = 100
PICTURE_MARGIN = 3  # pixels around a picture
SMALL_TEXT, NORMAL_TEXT, LARGE_TEXT = 11, 14, 18  # heights of type in pixels
POSITIVE_COLOUR = np.array([0.05, 0.17, 0.35])  # the colour of more than nothing, RGB
NEGATIVE_COLOUR = np.array([0.75, 0.25, 0.05])  # of less than nothing
FRAME_GREY, FAINT_TEXT, TILE_GAP = 0.8, "0.35", 8
TILE_SIDE, LABEL_WIDTH, SHEET_MARGIN = 64, 160, 20  # the layer sheet: a map, the column of names, the margin


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG to `path`, whole or not at all, byte for byte the same for the same figure."""
    with atomic_io.atomic_replace(path) as fresh:
        FigureCanvasAgg(figure)
        figure.savefig(fresh, format="png", metadata={"Software": None})  # no version number in the file


def pixel_canvas(width: float, height: float) -> tuple[Figure, Axes]:
    """A white figure and bare axes over the whole of it: a unit a pixel, origin top left, y down."""
    figure = Figure((width / DPI, height / DPI), dpi=DPI, facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(height, 0), autoscale_on=False)
    axes.set_axis_off()
    return figure, axes


def draw_text(axes: Axes, x: float, y: float, text: str, size: float = NORMAL_TEXT, **style: Any) -> None:
    """Write plain text at (x, y) of a `pixel_canvas`, `size` pixels high; a dollar sign is a dollar sign."""
    axes.text(x, y, text, fontsize=size * 72 / DPI, parse_math=False, **style)


def draw_picture(axes: Axes, picture: NDArray[Any], x: float, y: float, side: float, colours: str = "gray") -> None:
    """Put a picture into the square of `side` pixels at (x, y) of a `pixel_canvas`, its aspect kept.

    uint8 is shown from 0 to 255, float from -1 to 1, in the colour map `colours`.
    """
    tall, wide = (length * side / max(picture.shape[:2]) for length in picture.shape[:2])
    x, y = x + (side - wide) / 2, y + (side - tall) / 2
    low, high = (0, 255) if picture.dtype.kind == "u" else (-1, 1)
    axes.imshow(picture, cmap=colours, vmin=low, vmax=high, extent=(x, x + wide, y + tall, y), aspect="auto")


def contact_sheet(
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
    left = 16 + 0.62 * NORMAL_TEXT * max(map(len, names)) if names else PICTURE_MARGIN
    above = 2 * LARGE_TEXT if title else PICTURE_MARGIN
    pitch = cell + 2 * PICTURE_MARGIN, cell + 2 * PICTURE_MARGIN + (1.6 * SMALL_TEXT if captions else 0)
    figure, axes = pixel_canvas(
        round(left + pitch[0] * max(map(len, rows)) + PICTURE_MARGIN),
        round(above + pitch[1] * len(rows) + PICTURE_MARGIN),
    )
    if title:
        draw_text(axes, PICTURE_MARGIN + 5, LARGE_TEXT, title, LARGE_TEXT, va="center")
    for at, row in enumerate(rows):
        top = above + at * pitch[1] + PICTURE_MARGIN
        if names:
            draw_text(axes, left - 8, top + cell / 2, names[at], ha="right", va="center")
        for column, picture in enumerate(row):
            x = left + column * pitch[0] + PICTURE_MARGIN
            draw_picture(axes, picture, x, top, cell, colours)
            if captions:
                draw_text(
                    axes,
                    x + cell / 2,
                    top + cell + PICTURE_MARGIN,
                    captions[at][column],
                    SMALL_TEXT,
                    ha="center",
                    va="top",
                )
    save_figure(figure, path)


@dataclass(frozen=True, eq=False)
class Panel:
    """A diagram of shares in [0, 1]."""

    title: str
    series: Mapping[str, Sequence[tuple[float | str, float, float, float]]]
    """By name: (x, share, low and high end of its interval), x a number or a name."""
    diagonal: bool = False
    """With the line on which the share equals x."""


def share_curves(title: str, panels: Sequence[Panel], path: Path) -> None:
    """Draw diagrams side by side, at most three in a row, every point with its interval; one legend for all."""
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure((0.4 + 3.6 * columns, 0.8 + 3.0 * rows), dpi=DPI, facecolor="white", layout="constrained")
    figure.suptitle(title, fontsize=LARGE_TEXT * 72 / DPI, parse_math=False)
    axes = figure.subplots(rows, columns, squeeze=False, sharey=True).flat
    for panel, diagram in zip(panels, axes, strict=False):
        if panel.diagonal:
            diagram.plot([0, 1], [0, 1], color="0.7", linestyle=":")
        for (name, points), colour, mark in zip(
            panel.series.items(), (POSITIVE_COLOUR, NEGATIVE_COLOUR, "0.4"), "os^", strict=False
        ):
            x, share, low, high = zip(*points, strict=True)
            reach = np.abs(np.array([low, high]) - np.array(share))
            line = "none" if isinstance(x[0], str) else "-"  # between two names there is nothing
            diagram.errorbar(x, share, reach, label=name, color=colour, marker=mark, markersize=4, capsize=3, ls=line)
        diagram.set_title(panel.title, fontsize=NORMAL_TEXT * 72 / DPI, parse_math=False)
        diagram.set_ylim(0, 1.02)
        diagram.margins(x=0.1)
        diagram.grid(color="0.92")
        diagram.set_axisbelow(True)
    for empty in axes[len(panels) :]:
        empty.set_axis_off()
    axes[0].legend(loc="best", fontsize=SMALL_TEXT * 72 / DPI)
    save_figure(figure, path)


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


def layer_sheet(
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
    span = max(8, *(len(strip.tiles) for strip in strips)) * (TILE_SIDE + TILE_GAP) - TILE_GAP
    side = 5 * TILE_SIDE // 2
    top = 3 * LARGE_TEXT + side + 2 * NORMAL_TEXT
    heights = [_strip_height(strip) for strip in strips]
    ground = np.ones((top + sum(heights) + 2 * NORMAL_TEXT, 2 * SHEET_MARGIN + LABEL_WIDTH + span, 3))
    figure, axes = pixel_canvas(ground.shape[1], ground.shape[0])
    draw_text(axes, SHEET_MARGIN, SHEET_MARGIN, title, LARGE_TEXT, weight="bold", va="top")
    seen = f"what the network sees, {picture.shape[1]}×{picture.shape[0]}"
    colours = np.broadcast_to(scene.reshape(*scene.shape[:2], -1) / 255, (*scene.shape[:2], 3))
    for x, image, caption in (
        (SHEET_MARGIN, colours, "the painting"),
        (SHEET_MARGIN + side + 16, diverging_colours(picture / 255, 1), seen),
    ):
        _paste(ground, image, x, 3 * LARGE_TEXT, side, side)
        draw_text(
            axes,
            x + side / 2,
            3 * LARGE_TEXT + side + 10,
            caption,
            SMALL_TEXT,
            color=FAINT_TEXT,
            ha="center",
            va="center",
        )
    left = SHEET_MARGIN + 2 * side + 100
    _draw_score_bars(axes, scores, left, 3 * LARGE_TEXT, ground.shape[1] - left - 60, side)
    for y, strip in zip(top + np.cumsum([0, *heights]), strips, strict=False):
        _draw_strip(axes, ground, strip, int(y), span)
    legend = "blue: above zero · white: zero · rust: below zero · one scale a line"
    draw_text(axes, SHEET_MARGIN, ground.shape[0] - NORMAL_TEXT, legend, SMALL_TEXT, color=FAINT_TEXT, va="center")
    _save_over_background(figure, ground, path)


def _save_over_background(figure: Figure, ground: NDArray[np.float64], path: Path) -> None:
    """Save what is written on a `pixel_canvas` over a ground (height, width, 3) of its size, as `save_figure` does.

    The ground goes straight into the pixels that matplotlib draws on: an image of it would take as long as the text.
    """
    figure.patch.set_visible(False)
    agg: Any = FigureCanvasAgg(figure)
    renderer = agg.get_renderer()
    pixels = np.asarray(agg.buffer_rgba())
    pixels[..., :3], pixels[..., 3] = (ground * 255).round(), 255
    figure.draw(renderer)
    unsigned: Any = {"Software": None}  # no version number in the file
    with atomic_io.atomic_replace(path) as fresh:
        imsave(fresh, pixels, format="png", metadata=unsigned)


def diverging_colours(values: NDArray[Any], limit: float) -> NDArray[np.float64]:
    """Numbers (h, w) -> colours (h, w, 3): white for 0, ink blue for `limit`, rust for -`limit`, paler between."""
    share = np.clip(values / limit if limit > 0 else values * 0.0, -1, 1)[..., np.newaxis]
    return np.asarray(1 - np.abs(share) * (1 - np.where(share < 0, NEGATIVE_COLOUR, POSITIVE_COLOUR)))


def _strip_height(strip: Strip) -> int:
    return (2 * LARGE_TEXT if strip.heading else 0) + TILE_SIDE + (16 if strip.captions else 0) + TILE_GAP


def _draw_strip(axes: Axes, ground: NDArray[np.float64], strip: Strip, y: int, span: int) -> None:
    """One line of the layer sheet: its heading, its name and note on the left, then its tiles."""
    if strip.heading:
        ground[y + 10, SHEET_MARGIN:-SHEET_MARGIN] = FRAME_GREY
        draw_text(axes, SHEET_MARGIN, y + 23, strip.heading, weight="bold", va="center")
        y += 2 * LARGE_TEXT
    draw_text(axes, SHEET_MARGIN, y + 20, strip.title, 13, va="center")
    draw_text(axes, SHEET_MARGIN, y + 38, strip.note, SMALL_TEXT, color=FAINT_TEXT, va="center")
    limit = max(float(np.abs(tile).max()) for tile in strip.tiles)
    width = span if strip.wide else TILE_SIDE
    for number, tile in enumerate(strip.tiles):
        x = SHEET_MARGIN + LABEL_WIDTH + number * (TILE_SIDE + TILE_GAP)
        _paste(ground, diverging_colours(tile, limit), x, y, width, TILE_SIDE)
        for (row, column), value in np.ndenumerate(tile) if strip.numbers else ():
            middle = x + (column + 0.5) * width / tile.shape[1], y + (row + 0.5) * TILE_SIDE / tile.shape[0]
            text, colour = f"{value:+.2f}".replace("-", "−"), "white" if abs(value) > limit / 2 else "black"
            draw_text(axes, *middle, text, 9, ha="center", va="center", color=colour)
    pitch = span / max(1, len(strip.captions)) if strip.wide else TILE_SIDE + TILE_GAP
    for number, caption in enumerate(strip.captions):
        x = SHEET_MARGIN + LABEL_WIDTH + round(number * pitch + (pitch if strip.wide else TILE_SIDE) / 2)
        draw_text(axes, x, y + TILE_SIDE + 8, caption, 10, color=FAINT_TEXT, ha="center", va="center")


def _paste(ground: NDArray[np.float64], image: NDArray[Any], x: int, y: int, width: int, height: int) -> None:
    """Lay a small image (h, w, 3) on the ground, enlarged without smoothing, within a thin frame."""
    ground[y - 1 : y + height + 1, x - 1 : x + width + 1] = FRAME_GREY
    rows = np.arange(height) * image.shape[0] // height
    columns = np.arange(width) * image.shape[1] // width
    ground[y : y + height, x : x + width] = image[rows[:, np.newaxis], columns]


def _draw_score_bars(axes: Axes, scores: Mapping[str, float], x: int, y: int, width: int, room: int) -> None:
    """A bar a shape, the likeliest in ink."""
    step = room / max(len(scores), 6)
    best = max(scores, key=scores.__getitem__)
    for number, (shape, score) in enumerate(scores.items()):
        middle, likeliest = y + (number + 0.5) * step, shape == best
        draw_text(
            axes, x - 6, middle, shape, SMALL_TEXT, ha="right", va="center", weight="bold" if likeliest else "normal"
        )
        axes.barh(middle, score * width, left=x, height=step * 0.7, color=POSITIVE_COLOUR if likeliest else "0.7")
        draw_text(axes, x + score * width + 5, middle, f"{score:.1%}", SMALL_TEXT, color=FAINT_TEXT, va="center")
