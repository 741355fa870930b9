"""How long work shows itself: a bar on a terminal, a plain line now and then elsewhere. Always on stderr."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from tqdm import tqdm

T = TypeVar("T")
LINE_INTERVAL_S = 10.0  # without a terminal (CI, a log file): seconds between two lines


@contextmanager
def progress_bar(total: int, what: str, unit: str, silent: bool = False, done: int = 0) -> Iterator["tqdm[Any]"]:
    """A progress bar over `total` `unit`s with rate and time left; call `.update(n)` and `.set_postfix_str(s)`.

    What was `done` before, by a run that was broken off, counts neither as work nor as time.
    Without a terminal it prints a plain line at most every ten seconds, and one at the end.
    """
    terminal = sys.stderr.isatty()
    shown: tqdm[Any] = tqdm(
        total=total,
        initial=done,
        desc=what,
        unit=f" {unit}",
        disable=silent,
        file=sys.stderr if terminal else _LineStream(),
        mininterval=0.1 if terminal else LINE_INTERVAL_S,
        miniters=None if terminal else 1,
        maxinterval=max(10.0, LINE_INTERVAL_S),
        ascii=not terminal,
        dynamic_ncols=terminal,
        bar_format=None if terminal else "{desc}: {n_fmt}/{total_fmt} [{elapsed}<{remaining}, {rate_fmt}{postfix}]",
    )
    with shown:
        yield shown


def track(items: Iterable[T], total: int, what: str, unit: str) -> Iterator[T]:
    """Pass `items` on, showing how many of `total` have gone by."""
    with progress_bar(total, what, unit) as shown:
        for item in items:
            yield item
            shown.update(1)


class _LineStream:
    """A text stream for tqdm that turns its redrawn line (`\\r...`) into plain lines."""

    def write(self, text: str) -> None:
        line = text.strip("\r\n \x1b[A")
        if line:
            print(line, file=sys.stderr, flush=True)

    def flush(self) -> None:
        sys.stderr.flush()


def warn(message: str) -> None:
    """Print a warning on stderr."""
    print(f"strokewise: warning: {message}", file=sys.stderr, flush=True)
