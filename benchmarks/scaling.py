"""How `generate` scales: speed of two processes against one, and memory from 10,000 to 200,000 paintings.

    python benchmarks/scaling.py [--rows 4000] [--rounds 3] [--memory 10000 200000]

Speed: the same shards, painted alternately by one process and by two; the best of several rounds each, without the time
that a process takes to start. Memory: the maximum resident set size of the parent and of its largest worker, for
training splits of the given sizes; none by default, as 200,000 paintings take minutes.
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

ROOT = Path(__file__).parents[1]
WARMUP_S = 2 * workers.PROGRESS_INTERVAL_S  # seconds after the first painting until every worker is busy


def measure_speed(processes: int, rows: int, folder: Path) -> float:
    """Paintings per second while all processes are painting."""
    params = Params.load(ROOT / "params.yaml", [f"generate.train={rows}"]).generate
    plan = [workers.ShardPlan("train", number, ROWS_PER_SHARD) for number in range(rows // ROWS_PER_SHARD)]
    catalogue = outlines.load_catalogue(ROOT / "data" / "outlines")
    reports: list[tuple[float, int]] = []  # time, paintings finished

    def record(count: int) -> None:
        reports.append((time.perf_counter(), count + (reports[-1][1] if reports else 0)))

    workers.paint_shards(plan, folder, catalogue, params, processes, record)
    shutil.rmtree(folder)
    start = next(seconds for seconds, count in reports if count)
    busy = [(seconds, n) for seconds, n in reports if seconds > start + WARMUP_S and n < 0.95 * reports[-1][1]]
    (first_seconds, first_count), (last_seconds, last_count) = busy[0], busy[-1]
    return (last_count - first_count) / (last_seconds - first_seconds)


def measure_memory(rows: int) -> tuple[float, float]:
    """Maximum resident megabytes of the parent and of its largest child, measured in a new process."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(ROOT / "data" / "outlines", Path(folder) / "data" / "outlines")
        shutil.copy(ROOT / "params.yaml", folder)
        completed = subprocess.run(
            [sys.executable, __file__, "--inside", str(rows)], cwd=folder, check=True, stdout=subprocess.PIPE, text=True
        )
    parent, child = completed.stdout.split()
    return float(parent), float(child)


def run_stage(rows: int) -> None:
    """Run the stage in this process and print what `measure_memory` reads."""
    from strokewise.stages.generate import generate

    generate(Params.load(overrides=[f"generate.train={rows}", "generate.validation=1", "generate.test=1"]))
    unit = 2**20 if sys.platform == "darwin" else 2**10
    print(*(resource.getrusage(who).ru_maxrss / unit for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))


def main() -> None:
    """Measure and print one line for the speed and one for each size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=4000, help="paintings per round, whole shards")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", type=int, nargs="*", default=[], help="sizes of the training split")
    parser.add_argument("--inside", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        run_stage(options.inside)
        return
    best = {1: 0.0, 2: 0.0}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(options.rounds):
            for processes in best:
                speed = measure_speed(processes, options.rows, Path(folder) / "paintings")
                best[processes] = max(best[processes], speed)
    print(f"one process {best[1]:.0f} paintings/s, two {best[2]:.0f}: {best[2] / best[1]:.2f} times")
    for rows in options.memory:
        parent, child = measure_memory(rows)
        print(f"{rows:,} paintings: parent {parent:.0f} MB, largest worker {child:.0f} MB")


if __name__ == "__main__":
    main()
