"""How many pictures a second are preprocessed on one core, from arrays and from PNG files of default paintings.

    python benchmarks/preprocessing.py [--count 300] [--rounds 7] [--image-size 64]

Each painting is timed alone and its best round counts, so that other processes disturb the result little.
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

ROOT = Path(__file__).parents[1]


def pictures_per_second(sources: Sequence[Any], image_size: int, rounds: int) -> float:
    """Preprocess every source `rounds` times; the rate of the best rounds."""
    best = np.full(len(sources), np.inf)
    for _ in range(rounds):
        for index, source in enumerate(sources):
            start = time.perf_counter()
            preprocess(source, image_size)
            best[index] = min(best[index], time.perf_counter() - start)
    return float(len(sources) / best.sum())


def main() -> None:
    """Paint, then print both rates."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--image-size", type=int, default=64)
    args = parser.parse_args()
    params = Params.load(ROOT / "params.yaml").generate
    catalogue = outlines.load_catalogue(ROOT / "data" / "outlines")
    scenes = [render.render_painting(catalogue, params, "preview", index).scene for index in range(args.count)]
    files = [encode_png(scene) for scene in scenes]
    for name, sources in (("arrays", scenes), ("PNG", files)):
        rate = pictures_per_second(sources, args.image_size, args.rounds)
        print(f"preprocessing, from {name}: {rate:.0f} pictures/s")


if __name__ == "__main__":
    main()
