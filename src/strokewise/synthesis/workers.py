"""Many paintings at once: a list of shards, painted by all cores, each on disk or not there at all.

In: a catalogue, the parameters, and which paintings belong together. Out: Parquet files (see `dataset.py`). Their
bytes do not depend on how many processes painted them, on which machine, or in which order.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import wait as wait_for
from pathlib import Path
from typing import Any

import cv2

from strokewise import params
from strokewise.data.png import encode_png
from strokewise.data.shards import ROWS_PER_SHARD, SPLITS, PaintingRow, count_rows, write_shard
from strokewise.errors import UserError
from strokewise.synthesis import render
from strokewise.synthesis.outlines import Catalogue

SCENE_CACHE_BYTES = (
    2**18
)  # bytes of grey scenes that are painted before they are encoded: each by itself runs faster than in turns
POLL_INTERVAL_S = 0.2  # seconds between two looks at how far the workers are


@dataclass(frozen=True)
class ShardPlan:
    """A file to paint: its split, its number in the split, and how many paintings it holds."""

    split: str
    number: int
    rows: int

    @property
    def name(self) -> str:
        return f"{self.split}/{self.number:05d}.parquet"

    def there(self, folder: Path) -> bool:
        """Whether `folder` holds it already, with as many rows: nothing half-written ever stands there."""
        path = folder / self.name
        return path.is_file() and count_rows(path) == self.rows


def plan_shards(generate: params.GenerateParams) -> list[ShardPlan]:
    """All shards of the data set in order. A split that grows keeps its full ones."""
    return [
        ShardPlan(split, number, min(ROWS_PER_SHARD, total - number * ROWS_PER_SHARD))
        for split in SPLITS
        for total in [getattr(generate, split)]
        for number in range(-(-total // ROWS_PER_SHARD))
    ]


def available_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def paint_shards(
    shards: list[ShardPlan],
    folder: Path,
    catalogue: Catalogue,
    generate: params.GenerateParams,
    processes: int,
    progress: Callable[[int], Any],
) -> None:
    """Paint `shards` into `folder`, `processes` at a time; `progress` is called with numbers of paintings done.

    Ctrl-C, an error or the death of this process ends the workers; what is finished stays. Raises UserError if a
    worker is killed.
    """
    if min(processes, len(shards)) <= 1:
        for shard in shards:
            _paint_shard(shard, folder, catalogue, generate, lambda: progress(1))
        return
    context = multiprocessing.get_context("spawn")  # threads and locks of libraries do not survive a fork
    stop, done = context.Event(), context.Value("q", 0)
    longest_first = sorted(shards, key=lambda shard: -shard.rows)
    with ProcessPoolExecutor(min(processes, len(shards)), context, _init_worker, (stop, done)) as pool:
        with _sigint_blocked():  # Ctrl-C is for this process, which then stops the workers
            waiting = {pool.submit(_paint_in_worker, shard, folder, catalogue, generate) for shard in longest_first}
        try:
            _report_progress(waiting, done, progress)
        except BrokenProcessPool:
            raise UserError(
                "a painting process was killed, maybe for want of memory; finished shards are kept:"
                " run it again, with a smaller generate.canvas if it happens again"
            ) from None
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)


def _report_progress(waiting: set[Future[None]], done: Any, progress: Callable[[int], Any]) -> None:
    """Report progress until all is done or something has failed."""
    seen = 0
    while waiting:
        finished, waiting = wait(waiting, POLL_INTERVAL_S, FIRST_EXCEPTION)
        now = done.value  # read once: it grows
        progress(now - seen)
        seen = now
        for future in finished:
            future.result()


@contextmanager
def _sigint_blocked() -> Iterator[None]:
    """Processes that are started in this block never hear of Ctrl-C; this one does when the block is done."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread may; none other is asked
        yield
        return
    came: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # this is inherited
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        signal.signal(signal.SIGINT, before)
        if came:
            signal.raise_signal(signal.SIGINT)


# --- in a worker


class _StopRequested(Exception):
    """The parent wants no more."""


_worker_state: dict[str, Any] = {}  # what a worker is given at its birth; it cannot be passed with a task


def _init_worker(stop: Any, done: Any) -> None:
    """Make this process a worker: one thread, and no life after its parent's."""
    _worker_state.update(stop=stop, done=done)
    cv2.setNumThreads(1)
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait_for([parent.sentinel])
        os._exit(1)


def _paint_in_worker(shard: ShardPlan, folder: Path, catalogue: Catalogue, generate: params.GenerateParams) -> None:
    def after_each() -> None:
        with _worker_state["done"].get_lock():
            _worker_state["done"].value += 1
        if _worker_state["stop"].is_set():
            raise _StopRequested

    _paint_shard(shard, folder, catalogue, generate, after_each)


def _paint_shard(
    shard: ShardPlan, folder: Path, catalogue: Catalogue, generate: params.GenerateParams, after_each: Callable[[], Any]
) -> None:
    """Paint, encode and write one shard."""
    first, together = shard.number * ROWS_PER_SHARD, max(1, SCENE_CACHE_BYTES // generate.canvas**2)

    def rows() -> Iterator[PaintingRow]:
        for start in range(first, first + shard.rows, together):
            block = range(start, min(start + together, first + shard.rows))
            for painting in [render.render_painting(catalogue, generate, shard.split, index) for index in block]:
                yield PaintingRow(encode_png(painting.scene), painting.label, painting.factors)
                after_each()

    write_shard(folder / shard.name, rows(), catalogue.shapes, render.FACTOR_TYPES)
