"""A list of shards to paint → Parquet files (see `data/shards.py`), painted by all cores, each written atomically.

The bytes do not depend on the number of processes, on the machine or on the order of painting.
"""

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2

from strokewise.data import shards
from strokewise.data.png import encode_png
from strokewise.errors import UserError
from strokewise.params import GenerateParams
from strokewise.support import processes
from strokewise.synthesis import render
from strokewise.synthesis.outlines import Catalogue

SCENE_BATCH_BYTES = 2**18  # grey scenes painted before they are encoded: faster than one by one, for the CPU's caches
PROGRESS_INTERVAL_S = 0.2  # seconds between two reports of the workers' progress


@dataclass(frozen=True)
class ShardPlan:
    """A shard to paint: its split, its number in the split, and how many paintings it holds."""

    split: str
    number: int
    rows: int

    @property
    def name(self) -> str:
        """The path of the shard in a folder of paintings."""
        return f"{self.split}/{self.number:05d}.parquet"

    def exists_in(self, folder: Path) -> bool:
        """Whether `folder` holds the shard with as many rows. Raises DatasetError if it is damaged."""
        path = folder / self.name
        return path.is_file() and shards.count_rows(path) == self.rows


def plan_shards(generate: GenerateParams) -> list[ShardPlan]:
    """All shards of the data set in order. Full shards stay the same when a split grows."""
    return [
        ShardPlan(split, number, min(shards.ROWS_PER_SHARD, total - number * shards.ROWS_PER_SHARD))
        for split in shards.SPLITS
        for total in [getattr(generate, split)]
        for number in range(-(-total // shards.ROWS_PER_SHARD))
    ]


def paint_shards(
    plan: list[ShardPlan],
    folder: Path,
    catalogue: Catalogue,
    generate: GenerateParams,
    num_processes: int,
    progress: Callable[[int], Any],
) -> None:
    """Paint shards into a folder.

    Ctrl-C, an error or the death of this process ends the workers; finished shards stay. Raises UserError if a worker
    is killed.

    Args:
        plan: The shards to paint.
        folder: Where to write them.
        catalogue: The outlines.
        generate: The section of the parameters.
        num_processes: How many shards to paint at a time.
        progress: Called with the number of paintings finished since its last call.
    """
    if min(num_processes, len(plan)) <= 1:
        for shard in plan:
            _paint_shard(shard, folder, catalogue, generate, lambda: progress(1))
        return
    context = multiprocessing.get_context("spawn")
    stop, counter = context.Event(), context.Value("q", 0)
    longest_first = sorted(plan, key=lambda shard: -shard.rows)
    with processes.worker_pool(min(num_processes, len(plan)), _init_painting, (stop, counter)) as pool:
        pending = {pool.submit(_paint_in_worker, shard, folder, catalogue, generate) for shard in longest_first}
        try:
            _report_progress(pending, counter, progress)
        except BrokenProcessPool:
            raise UserError(
                "a painting process was killed, maybe because memory ran out; finished shards are kept:"
                " run it again, with a smaller generate.canvas if it happens again"
            ) from None
        finally:
            stop.set()


def _report_progress(pending: set[Future[None]], counter: Any, progress: Callable[[int], Any]) -> None:
    """Report progress until all futures are done; raise the exception of one that failed."""
    reported = 0
    while pending:
        finished, pending = wait(pending, PROGRESS_INTERVAL_S, FIRST_EXCEPTION)
        count = counter.value  # read once, as workers increase it
        progress(count - reported)
        reported = count
        for future in finished:
            future.result()


# --- in a worker process


class _StopRequested(Exception):
    """The parent process has asked the workers to stop."""


_worker_state: dict[str, Any] = {}  # the shared event and counter: they cannot be passed with a task


def _init_painting(stop: Any, counter: Any) -> None:
    cv2.setNumThreads(1)
    _worker_state.update(stop=stop, counter=counter)


def _paint_in_worker(shard: ShardPlan, folder: Path, catalogue: Catalogue, generate: GenerateParams) -> None:
    def count_painting() -> None:
        with _worker_state["counter"].get_lock():
            _worker_state["counter"].value += 1
        if _worker_state["stop"].is_set():
            raise _StopRequested

    _paint_shard(shard, folder, catalogue, generate, count_painting)


def _paint_shard(
    shard: ShardPlan, folder: Path, catalogue: Catalogue, generate: GenerateParams, on_painting: Callable[[], Any]
) -> None:
    """Paint, encode and write one shard; `on_painting` is called after each painting."""
    start = shard.number * shards.ROWS_PER_SHARD
    indices = range(start, start + shard.rows)
    batch_size = max(1, SCENE_BATCH_BYTES // generate.canvas**2)

    def rows() -> Iterator[shards.PaintingRow]:
        for first in range(0, len(indices), batch_size):
            batch = indices[first : first + batch_size]
            for painting in [render.render_painting(catalogue, generate, shard.split, index) for index in batch]:
                yield shards.PaintingRow(encode_png(painting.scene), painting.label, painting.factors)
                on_painting()

    shards.write_shard(folder / shard.name, rows(), catalogue.shapes, render.FACTOR_TYPES)
