"""Pictures a second that pass the door on one core, from arrays and from PNG, of default paintings.

    python tests/bench/door.py [--count 300] [--rounds 7] [--grid 64]

Each painting is timed by itself and its best round counts, so that a busy machine does not blur the figure.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from strokewise.data.png import encode_png
from strokewise.params import Params
from strokewise.preprocessing.preprocess import preprocess
from strokewise.synthesis import outlines, render

ROOT = Path(__file__).parents[2]


def rate(sources: Sequence[Any], grid: int, rounds: int) -> float:
    """Pictures a second."""
    best = np.full(len(sources), np.inf)
    for _ in range(rounds):
        for at, source in enumerate(sources):
            start = time.perf_counter()
            preprocess(source, grid)
            best[at] = min(best[at], time.perf_counter() - start)
    return float(len(sources) / best.sum())


def main() -> None:
    """Paint, then print both rates."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--grid", type=int, default=64)
    asked = parser.parse_args()
    settings = Params.load(ROOT / "params.yaml").generate
    catalogue = outlines.load_catalogue(ROOT / "data" / "outlines")
    scenes = [render.render_painting(catalogue, settings, "preview", index).scene for index in range(asked.count)]
    files = [encode_png(scene) for scene in scenes]
    for name, sources in (("arrays", scenes), ("PNG", files)):
        print(f"the door, from {name}: {rate(sources, asked.image_size, asked.rounds):.0f} pictures/s")


if __name__ == "__main__":
    main()
