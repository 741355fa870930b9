"""Paintings per second on one core, against the same paintings drawn with Pillow at four times the size.

    python tests/bench/painting.py [--count 1200] [--canvas 128] [--rounds 3]

Painted, encoded and written, in turns, the best of some rounds each. Both sides share outlines, hand, paper, encoding
and file; only what puts ink on the canvas differs: OpenCV's anti-aliased lines here, Pillow's lines and polygons at
four-fold supersampling there. In between stands what that costs without the encoding.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageDraw

from strokewise.params import GenerateParams, Params
from strokewise.synthesis import ink, outlines, render, workers

ROOT = Path(__file__).parents[2]
FINER = 4


def with_pillow(line: Any, breaks: Any, areas: Any, detail: float, how: Any, canvas: int, rng: Any) -> Any:
    """What `ink.inked` does, drawn by Pillow at `FINER` times the size and shrunk."""
    scale, shift, (wide, high) = ink.place_on_canvas(line, how, canvas)
    line = line * scale + shift
    pen = min(how.pen * max(wide, high), max(1.0, 0.2 * scale * detail))
    runs = np.split(line, breaks) if len(breaks) else [line]
    image = Image.new("L", (canvas * FINER, canvas * FINER))
    pencil = ImageDraw.Draw(image)
    for run in ink.break_strokes(runs, how.breaks, rng) if how.breaks else runs:
        thick = max(1, round(pen)) * FINER
        bends = [(point.real * FINER, point.imag * FINER) for point in run]
        pencil.line(bends, fill=255, width=thick, joint="curve")
        for x, y in (bends[0], bends[-1]):
            pencil.ellipse((x - thick / 2, y - thick / 2, x + thick / 2, y + thick / 2), fill=255)
    for area in areas:
        corners = [((p * scale + shift).real * FINER, (p * scale + shift).imag * FINER) for p in area]
        pencil.polygon(corners, fill=round(255 * how.shade))
    mask = np.asarray(image.resize((canvas, canvas), Image.Resampling.BOX))
    return ink.bleed(mask, how.bleeding * pen) if how.bleeding and pen * how.bleeding > 0.3 else mask


def written(catalogue: outlines.Catalogue, generate: GenerateParams, count: int, folder: Path) -> None:
    """Paint, encode and write one shard of `count`, as `generate` does."""
    workers.paint_shards([workers.ShardPlan("train", 0, count)], folder, catalogue, generate, 1, lambda done: None)


def painted(catalogue: outlines.Catalogue, generate: GenerateParams, count: int, folder: Path) -> None:
    """Paint only."""
    for index in range(count):
        render.render_painting(catalogue, generate, "train", index)


def seconds(work: Callable[..., None], *arguments: Any) -> float:
    """CPU seconds of this process, which one core gives in as many seconds when nothing else runs."""
    begun = time.process_time()
    work(*arguments)
    return time.process_time() - begun


def main() -> None:
    """Print a line a way of painting."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1200)
    parser.add_argument("--canvas", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    catalogue = outlines.load_catalogue(ROOT / "data" / "outlines")
    generate = Params.load(ROOT / "params.yaml", [f"generate.canvas={arguments.canvas}"]).generate
    ours = ink.draw_ink
    ways = {
        "painted": (painted, ours),
        "painted, encoded, written": (written, ours),
        "the same by Pillow": (written, with_pillow),
    }
    best: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(arguments.rounds):
            for name, (work, drawing) in ways.items():
                ink.draw_ink = drawing
                try:
                    took = seconds(work, catalogue, generate, arguments.count, Path(folder))
                finally:
                    ink.draw_ink = ours
                best[name] = max(best.get(name, 0.0), arguments.count / took)
    for name, rate in best.items():
        print(f"{name}: {rate:,.0f} paintings a second and core at {arguments.canvas} pixels")
    print(f"against Pillow: {best['painted, encoded, written'] / best['the same by Pillow']:.1f} times")


if __name__ == "__main__":
    main()
