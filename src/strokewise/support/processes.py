"""A pool of worker processes that end with the process that started them, and leave Ctrl-C to it."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import connection
from typing import Any


def available_cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def worker_pool(
    num_processes: int, initializer: Callable[..., None], arguments: tuple[Any, ...] = ()
) -> Iterator[ProcessPoolExecutor]:
    """Yield a pool of processes; what is not done is cancelled at the end of the block.

    Args:
        num_processes: How many; each starts with the first tasks.
        initializer: Called once in each process, with `arguments`.
        arguments: Sent to each process.
    """
    context = multiprocessing.get_context("spawn")  # threads and locks of libraries do not survive a fork
    with ProcessPoolExecutor(num_processes, context, _init_worker, (initializer, arguments)) as pool:
        try:
            with sigint_blocked():  # they start now; Ctrl-C goes to this process alone
                for _ in range(num_processes):
                    pool.submit(os.getpid)
            yield pool
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def sigint_blocked() -> Iterator[None]:
    """Processes started in this block never receive SIGINT; this process receives it at the end of the block."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread may install signal handlers
        yield
        return
    received: list[int] = []
    old_handler = signal.signal(signal.SIGINT, lambda number, _: received.append(number))
    old_mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # child processes inherit the mask
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, old_mask)
        signal.signal(signal.SIGINT, old_handler)
        if received:
            signal.raise_signal(signal.SIGINT)


def _init_worker(initializer: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    """Initialise a worker, which exits when the parent dies."""
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    initializer(*arguments)


def _exit_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
