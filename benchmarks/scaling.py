"""How `generate` scales: two processes against one, and memory from 10,000 to 200,000 paintings.

    python tests/bench/scaling.py [--rows 2000] [--rounds 3] [--memory 10000 200000]

Speed: the same shards, painted by one process and by two, in turns; the best of some rounds each, without the time
that a process takes to start. Memory: the largest resident set of the parent and of its largest worker, for a split of
each size that is named; none is named by default, as 200,000 paintings take minutes.
"""

import argparse
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from strokewise.data.shards import ROWS_PER_SHARD
from strokewise.params import Params
from strokewise.synthesis import outlines, workers

ROOT = Path(__file__).parents[2]
WARM = 2 * workers.POLL_INTERVAL_S  # seconds after the first painting, so that every worker is at work


def rate(processes: int, rows: int, folder: Path) -> float:
    """Paintings a second from when all workers paint to when the first is done with its share."""
    settings = Params.load(ROOT / "params.yaml", [f"generate.train={rows}"]).generate
    wanted = [workers.ShardPlan("train", number, ROWS_PER_SHARD) for number in range(rows // ROWS_PER_SHARD)]
    ticks: list[tuple[float, int]] = []

    def tick(count: int) -> None:
        ticks.append((time.perf_counter(), count + (ticks[-1][1] if ticks else 0)))

    workers.paint_shards(wanted, folder, outlines.load_catalogue(ROOT / "data" / "outlines"), settings, processes, tick)
    shutil.rmtree(folder)
    begun = next(at for at, count in ticks if count)
    inside = [(at, count) for at, count in ticks if at > begun + WARM and count < 0.95 * ticks[-1][1]]
    (start, first), (end, last) = inside[0], inside[-1]
    return (last - first) / (end - start)


def peak(rows: int) -> tuple[float, float]:
    """Megabytes of the parent and of its largest child at their largest, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(ROOT / "data" / "outlines", Path(folder) / "data" / "outlines")
        shutil.copy(ROOT / "params.yaml", folder)
        done = subprocess.run(
            [sys.executable, __file__, "--inside", str(rows)], cwd=folder, check=True, stdout=subprocess.PIPE, text=True
        )
    parent, child = done.stdout.split()
    return float(parent), float(child)


def inside(rows: int) -> None:
    """Run the stage here and print what `peak` reads."""
    from strokewise.stages.generate import generate

    generate(Params.load(overrides=[f"generate.train={rows}", "generate.validation=1", "generate.test=1"]))
    unit = 2**20 if sys.platform == "darwin" else 2**10
    print(*(resource.getrusage(who).ru_maxrss / unit for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))


def main() -> None:
    """Measure and print one line each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=4000, help="paintings a round, whole shards")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", type=int, nargs="*", default=[], help="sizes of the training split")
    parser.add_argument("--inside", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.inside:
        inside(asked.inside)
        return
    with tempfile.TemporaryDirectory() as folder:
        best = {1: 0.0, 2: 0.0}
        for _ in range(asked.rounds):
            for processes in best:
                best[processes] = max(best[processes], rate(processes, asked.rows, Path(folder) / "paintings"))
    print(f"one process {best[1]:.0f} paintings/s, two {best[2]:.0f}: {best[2] / best[1]:.2f} times")
    for rows in asked.memory:
        parent, child = peak(rows)
        print(f"{rows:,} paintings: parent {parent:.0f} MB, largest worker {child:.0f} MB")


if __name__ == "__main__":
    main()
