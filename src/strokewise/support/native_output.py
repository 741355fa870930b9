"""Silence what C libraries (libpng, libjpeg) write to the terminal on their own: the commands report damaged files."""

import contextlib
import os
import sys
from collections.abc import Iterator

STDERR_DESCRIPTOR = 2


@contextlib.contextmanager
def silent_libraries() -> Iterator[None]:
    """Discard what is written to file descriptor 2 during the block, also by processes started in it.

    `sys.stderr` goes on to where the descriptor pointed. Does nothing if the descriptor is closed.
    """
    try:
        saved = os.dup(STDERR_DESCRIPTOR)
    except OSError:
        yield
        return
    previous = sys.stderr
    is_own = _descriptor_of(previous) == STDERR_DESCRIPTOR  # else somebody captures it: leave it to them
    with contextlib.ExitStack() as cleanup:
        cleanup.callback(os.close, saved)
        if is_own:
            previous.flush()
            sys.stderr = open(  # noqa: SIM115
                saved, "w", buffering=1, encoding=previous.encoding, errors=previous.errors, closefd=False
            )
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, STDERR_DESCRIPTOR)
        os.close(null)
        try:
            yield
        finally:
            os.dup2(saved, STDERR_DESCRIPTOR)
            if is_own:
                sys.stderr.flush()
                sys.stderr = previous


def _descriptor_of(stream: object) -> int | None:
    try:
        return int(stream.fileno())  # type: ignore[attr-defined]
    except (AttributeError, OSError, ValueError):
        return None
