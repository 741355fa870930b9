"""Paintings per second on one core, compared with the same paintings drawn by Pillow at four times the size.

    python benchmarks/painting.py [--count 1200] [--canvas 128] [--rounds 3]

Three measurements, alternating, the best of several rounds each: painting; painting, encoding and writing; and the
latter with Pillow. The outlines, the hand, the paper, the encoding and the file are the same; only how ink is drawn
differs: OpenCV's anti-aliased lines, or Pillow's lines and polygons with four-fold supersampling.
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

ROOT = Path(__file__).parents[1]
SUPERSAMPLING = 4


def draw_ink_with_pillow(
    line: Any, pen_downs: Any, areas: Any, detail: float, params: Any, canvas: int, rng: Any
) -> Any:
    """The counterpart of `ink.draw_ink`, drawn by Pillow at `SUPERSAMPLING` times the size and shrunk."""
    scale, shift, (width, height) = ink.place_on_canvas(line, params, canvas)
    line = line * scale + shift
    pen = min(params.pen * max(width, height), max(1.0, 0.2 * scale * detail))
    runs = np.split(line, pen_downs) if len(pen_downs) else [line]
    image = Image.new("L", (canvas * SUPERSAMPLING, canvas * SUPERSAMPLING))
    drawing = ImageDraw.Draw(image)
    for run in ink.break_strokes(runs, params.breaks, rng) if params.breaks else runs:
        thickness = max(1, round(pen)) * SUPERSAMPLING
        points = _to_pixels(run)
        drawing.line(points, fill=255, width=thickness, joint="curve")
        for x, y in (points[0], points[-1]):
            radius = thickness / 2
            drawing.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    for area in areas:
        drawing.polygon(_to_pixels(area * scale + shift), fill=round(255 * params.shade))
    mask = np.asarray(image.resize((canvas, canvas), Image.Resampling.BOX))
    bleeds = params.bleeding and pen * params.bleeding > 0.3
    return ink.bleed(mask, params.bleeding * pen) if bleeds else mask


def _to_pixels(points: Any) -> list[tuple[float, float]]:
    return [(point.real * SUPERSAMPLING, point.imag * SUPERSAMPLING) for point in points]


def paint_shard(catalogue: outlines.Catalogue, generate: GenerateParams, count: int, folder: Path) -> None:
    """Paint, encode and write a shard of `count` paintings, as `strokewise generate` does."""
    workers.paint_shards([workers.ShardPlan("train", 0, count)], folder, catalogue, generate, 1, lambda done: None)


def paint_only(catalogue: outlines.Catalogue, generate: GenerateParams, count: int, folder: Path) -> None:
    """Paint `count` paintings, without encoding or writing them."""
    for index in range(count):
        render.render_painting(catalogue, generate, "train", index)


def cpu_seconds(function: Callable[..., None], *arguments: Any) -> float:
    """CPU seconds that a call takes in this process: wall time on one core if nothing else runs."""
    start = time.process_time()
    function(*arguments)
    return time.process_time() - start


def main() -> None:
    """Print paintings per second for each measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1200, help="paintings per measurement")
    parser.add_argument("--canvas", type=int, default=128, help="width and height of a painting in pixels")
    parser.add_argument("--rounds", type=int, default=3, help="rounds, of which the best counts")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    catalogue = outlines.load_catalogue(ROOT / "data" / "outlines")
    generate = Params.load(ROOT / "params.yaml", [f"generate.canvas={arguments.canvas}"]).generate
    draw_ink = ink.draw_ink
    measurements = {
        "painting": (paint_only, draw_ink),
        "painting, encoding and writing": (paint_shard, draw_ink),
        "the same with Pillow": (paint_shard, draw_ink_with_pillow),
    }
    rates: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(arguments.rounds):
            for name, (function, drawing) in measurements.items():
                ink.draw_ink = drawing
                try:
                    seconds = cpu_seconds(function, catalogue, generate, arguments.count, Path(folder))
                finally:
                    ink.draw_ink = draw_ink
                rates[name] = max(rates.get(name, 0.0), arguments.count / seconds)
    for name, rate in rates.items():
        print(f"{name}: {rate:,.0f} paintings per second and core at {arguments.canvas} pixels")
    speedup = rates["painting, encoding and writing"] / rates["the same with Pillow"]
    print(f"{speedup:.1f} times as fast as with Pillow")


if __name__ == "__main__":
    main()
