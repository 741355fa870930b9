"""Figures: arrays and names → PNG files, with the same bytes for the same input.

Pictures are uint8 (H, W) or (H, W, 3), or float (H, W) for signed maps. Lengths are in pixels.
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
SMALL_TEXT, NORMAL_TEXT, LARGE_TEXT = 11, 14, 18  # font sizes in pixels
POSITIVE_COLOUR = np.array([0.05, 0.17, 0.35])  # RGB in [0, 1]: ink blue, for values above zero
NEGATIVE_COLOUR = np.array([0.75, 0.25, 0.05])  # rust, for values below zero
FRAME_GREY, FAINT_TEXT, TILE_GAP = 0.8, "0.35", 8
TILE_SIDE, LABEL_WIDTH, SHEET_MARGIN = 64, 160, 20  # of the layer sheet


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG to `path`, atomically, with the same bytes for the same figure."""
    with atomic_io.atomic_replace(path) as fresh:
        FigureCanvasAgg(figure)
        figure.savefig(fresh, format="png", metadata={"Software": None})  # no version number in the file


def pixel_canvas(width: float, height: float) -> tuple[Figure, Axes]:
    """A white figure and invisible axes over all of it: one unit is a pixel, origin top left, y down."""
    figure = Figure((width / DPI, height / DPI), dpi=DPI, facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(height, 0), autoscale_on=False)
    axes.set_axis_off()
    return figure, axes


def draw_text(axes: Axes, x: float, y: float, text: str, size: float = NORMAL_TEXT, **style: Any) -> None:
    """Write plain text at (x, y) of a `pixel_canvas`, `size` pixels high; no mathematics in dollar signs."""
    axes.text(x, y, text, fontsize=size * 72 / DPI, parse_math=False, **style)


def draw_picture(axes: Axes, picture: NDArray[Any], x: float, y: float, side: float, colours: str = "gray") -> None:
    """Draw a picture into the square of `side` pixels at (x, y) of a `pixel_canvas`, with its aspect kept.

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
    """Draw rows of pictures, each in a cell of its own. Rows may differ in length and pictures in size.

    Args:
        rows: uint8 or float pictures.
        path: of the PNG.
        names: one a row, to the left of it.
        captions: one a picture, beneath it.
        title: above all.
        cell: width and height of a cell, in pixels.
        colours: matplotlib's name of a colour map: "gray" shows scenes as they were painted, "gray_r" pictures
            (0 = paper, 255 = ink) as ink on white, "RdBu" or the like a signed map.
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
    for number, row in enumerate(rows):
        top = above + number * pitch[1] + PICTURE_MARGIN
        if names:
            draw_text(axes, left - 8, top + cell / 2, names[number], ha="right", va="center")
        for column, picture in enumerate(row):
            x = left + column * pitch[0] + PICTURE_MARGIN
            draw_picture(axes, picture, x, top, cell, colours)
            if captions:
                below = top + cell + PICTURE_MARGIN
                draw_text(axes, x + cell / 2, below, captions[number][column], SMALL_TEXT, ha="center", va="top")
    save_figure(figure, path)


@dataclass(frozen=True, eq=False)
class Panel:
    """A diagram of proportions in [0, 1]."""

    title: str
    series: Mapping[str, Sequence[tuple[float | str, float, float, float]]]
    """By name: (x, proportion, low and high end of its interval) a point, where x is a number or a name."""
    diagonal: bool = False
    """With the line on which the proportion equals x."""


def share_curves(title: str, panels: Sequence[Panel], path: Path) -> None:
    """Draw panels, at most three in a row, each point with its interval; the first one has the legend for all."""
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure((0.4 + 3.6 * columns, 0.8 + 3.0 * rows), dpi=DPI, facecolor="white", layout="constrained")
    figure.suptitle(title, fontsize=LARGE_TEXT * 72 / DPI, parse_math=False)
    axes = figure.subplots(rows, columns, squeeze=False, sharey=True).flat
    for panel, diagram in zip(panels, axes, strict=False):
        if panel.diagonal:
            diagram.plot([0, 1], [0, 1], color="0.7", linestyle=":")
        for (name, points), colour, marker in zip(
            panel.series.items(), (POSITIVE_COLOUR, NEGATIVE_COLOUR, "0.4"), "os^", strict=False
        ):
            x, share, low, high = zip(*points, strict=True)
            errors = np.abs(np.array([low, high]) - np.array(share))
            line = "none" if isinstance(x[0], str) else "-"  # names are not joined
            diagram.errorbar(
                x, share, errors, label=name, color=colour, marker=marker, markersize=4, capsize=3, ls=line
            )
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
    """A row of float maps (h, w) of any range, coloured on one scale, with its name and a note."""

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
    """Draw a painting, its scores, and below them what each layer of the CNN makes of it.

    Args:
        title: at the top.
        scene: the painting, uint8 (H, W) or (H, W, 3).
        picture: what the network sees of it, uint8 (G, G).
        scores: by shape.
        strips: from top to bottom.
        path: of the PNG.
    """
    span = max(8, *(len(strip.tiles) for strip in strips)) * (TILE_SIDE + TILE_GAP) - TILE_GAP
    side = 5 * TILE_SIDE // 2
    top = 3 * LARGE_TEXT + side + 2 * NORMAL_TEXT
    heights = [_strip_height(strip) for strip in strips]
    background = np.ones((top + sum(heights) + 2 * NORMAL_TEXT, 2 * SHEET_MARGIN + LABEL_WIDTH + span, 3))
    figure, axes = pixel_canvas(background.shape[1], background.shape[0])
    draw_text(axes, SHEET_MARGIN, SHEET_MARGIN, title, LARGE_TEXT, weight="bold", va="top")
    size = f"{picture.shape[1]}×{picture.shape[0]}"
    colours = np.broadcast_to(scene.reshape(*scene.shape[:2], -1) / 255, (*scene.shape[:2], 3))
    for x, image, caption in (
        (SHEET_MARGIN, colours, "the painting"),
        (SHEET_MARGIN + side + 16, diverging_colours(picture / 255, 1), f"what the network sees, {size}"),
    ):
        _paste(background, image, x, 3 * LARGE_TEXT, side, side)
        centre, below = x + side / 2, 3 * LARGE_TEXT + side + 10
        draw_text(axes, centre, below, caption, SMALL_TEXT, color=FAINT_TEXT, ha="center", va="center")
    left = SHEET_MARGIN + 2 * side + 100
    _draw_score_bars(axes, scores, left, 3 * LARGE_TEXT, background.shape[1] - left - 60, side)
    for y, strip in zip(top + np.cumsum([0, *heights]), strips, strict=False):
        _draw_strip(axes, background, strip, int(y), span)
    legend = "blue: above zero · white: zero · rust: below zero · one scale a line"
    draw_text(axes, SHEET_MARGIN, background.shape[0] - NORMAL_TEXT, legend, SMALL_TEXT, color=FAINT_TEXT, va="center")
    _save_over_background(figure, background, path)


def _save_over_background(figure: Figure, background: NDArray[np.float64], path: Path) -> None:
    """Save a `pixel_canvas`, drawn over a background (height, width, 3) of its size, as `save_figure` does.

    The background is written into matplotlib's pixel buffer: drawing it as an image would take as long as the text.
    """
    figure.patch.set_visible(False)
    agg: Any = FigureCanvasAgg(figure)
    renderer = agg.get_renderer()
    pixels = np.asarray(agg.buffer_rgba())
    pixels[..., :3], pixels[..., 3] = (background * 255).round(), 255
    figure.draw(renderer)
    unsigned: Any = {"Software": None}  # no version number in the file
    with atomic_io.atomic_replace(path) as fresh:
        imsave(fresh, pixels, format="png", metadata=unsigned)


def diverging_colours(values: NDArray[Any], limit: float) -> NDArray[np.float64]:
    """Numbers (h, w) → colours (h, w, 3): white for 0, ink blue for `limit`, rust for -`limit`, paler between."""
    share = np.clip(values / limit if limit > 0 else values * 0.0, -1, 1)[..., np.newaxis]
    return np.asarray(1 - np.abs(share) * (1 - np.where(share < 0, NEGATIVE_COLOUR, POSITIVE_COLOUR)))


def _strip_height(strip: Strip) -> int:
    return (2 * LARGE_TEXT if strip.heading else 0) + TILE_SIDE + (16 if strip.captions else 0) + TILE_GAP


def _draw_strip(axes: Axes, background: NDArray[np.float64], strip: Strip, y: int, span: int) -> None:
    """One row of the layer sheet: its heading, its name and note on the left, then its tiles."""
    if strip.heading:
        background[y + 10, SHEET_MARGIN:-SHEET_MARGIN] = FRAME_GREY
        draw_text(axes, SHEET_MARGIN, y + 23, strip.heading, weight="bold", va="center")
        y += 2 * LARGE_TEXT
    draw_text(axes, SHEET_MARGIN, y + 20, strip.title, 13, va="center")
    draw_text(axes, SHEET_MARGIN, y + 38, strip.note, SMALL_TEXT, color=FAINT_TEXT, va="center")
    limit = max(float(np.abs(tile).max()) for tile in strip.tiles)
    width = span if strip.wide else TILE_SIDE
    for number, tile in enumerate(strip.tiles):
        x = SHEET_MARGIN + LABEL_WIDTH + number * (TILE_SIDE + TILE_GAP)
        _paste(background, diverging_colours(tile, limit), x, y, width, TILE_SIDE)
        for (row, column), value in np.ndenumerate(tile) if strip.numbers else ():
            middle = x + (column + 0.5) * width / tile.shape[1], y + (row + 0.5) * TILE_SIDE / tile.shape[0]
            text, colour = f"{value:+.2f}".replace("-", "−"), "white" if abs(value) > limit / 2 else "black"
            draw_text(axes, *middle, text, 9, ha="center", va="center", color=colour)
    pitch = span / max(1, len(strip.captions)) if strip.wide else TILE_SIDE + TILE_GAP
    for number, caption in enumerate(strip.captions):
        x = SHEET_MARGIN + LABEL_WIDTH + round(number * pitch + (pitch if strip.wide else TILE_SIDE) / 2)
        draw_text(axes, x, y + TILE_SIDE + 8, caption, 10, color=FAINT_TEXT, ha="center", va="center")


def _paste(background: NDArray[np.float64], image: NDArray[Any], x: int, y: int, width: int, height: int) -> None:
    """Copy a small image (h, w, 3) onto the background, enlarged to nearest neighbours, within a thin frame."""
    background[y - 1 : y + height + 1, x - 1 : x + width + 1] = FRAME_GREY
    rows = np.arange(height) * image.shape[0] // height
    columns = np.arange(width) * image.shape[1] // width
    background[y : y + height, x : x + width] = image[rows[:, np.newaxis], columns]


def _draw_score_bars(axes: Axes, scores: Mapping[str, float], x: int, y: int, width: int, room: int) -> None:
    """A bar a shape, the highest score in ink blue."""
    step = room / max(len(scores), 6)
    best = max(scores, key=scores.__getitem__)
    for number, (shape, score) in enumerate(scores.items()):
        middle = y + (number + 0.5) * step
        weight, colour = ("bold", POSITIVE_COLOUR) if shape == best else ("normal", "0.7")
        draw_text(axes, x - 6, middle, shape, SMALL_TEXT, ha="right", va="center", weight=weight)
        axes.barh(middle, score * width, left=x, height=step * 0.7, color=colour)
        draw_text(axes, x + score * width + 5, middle, f"{score:.1%}", SMALL_TEXT, color=FAINT_TEXT, va="center")
