"""Progress and warnings on stderr: a bar on a terminal, else a plain line at intervals."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from tqdm import tqdm

from strokewise.errors import printable

Item = TypeVar("Item")
LINE_INTERVAL_S = 10.0  # between two plain lines, where there is no terminal (CI, a log file)


@contextmanager
def progress_bar(total: int, what: str, unit: str, silent: bool = False, done: int = 0) -> Iterator["tqdm[Any]"]:
    """Yield a tqdm bar with rate and time left; call its `update(n)` and `set_postfix_str(text)`.

    Without a terminal it prints a plain line at most every `LINE_INTERVAL_S`, and one at the end.

    Args:
        total: number of units of work.
        what: label of the bar.
        unit: name of a unit, in the plural.
        silent: print nothing.
        done: units that an earlier, interrupted run completed; they count towards `total` but not towards the rate.
    """
    terminal = sys.stderr.isatty()
    bar: tqdm[Any] = tqdm(
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
    with bar:
        yield bar


def track(items: Iterable[Item], total: int, what: str, unit: str) -> Iterator[Item]:
    """Yield `items` and show a progress bar; `total` is their number, the rest as for `progress_bar`."""
    with progress_bar(total, what, unit) as bar:
        for item in items:
            yield item
            bar.update(1)


def warn(message: str) -> None:
    """Print a warning on stderr."""
    print(f"strokewise: warning: {printable(message)}", file=sys.stderr, flush=True)


class _LineStream:
    """A text stream that turns tqdm's redrawn line (`\\r...`) into plain lines on stderr."""

    def write(self, text: str) -> None:
        line = text.strip("\r\n \x1b[A")
        if line:
            print(line, file=sys.stderr, flush=True)

    def flush(self) -> None:
        sys.stderr.flush()
