"""One at a time: an advisory file lock for whole processes, from Python and from the Makefile.

    python -P locking.py LOCKFILE COMMAND...     hold LOCKFILE, then become COMMAND, which keeps holding it

The kernel drops the lock with the last process that holds it, also after `kill -9`: a lock is never stale.
Only the standard library is used, so that the Makefile can call this file before anything is installed.
"""

import contextlib
import fcntl
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path


def acquire(path: Path) -> int:
    """Wait until this process holds `path` and return the open descriptor; says on stderr whom it waits for."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
        print(f"waiting for process {holder}, which holds {path}", file=sys.stderr, flush=True)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


@contextlib.contextmanager
def exclusive_lock(path: Path) -> Iterator[None]:
    """Hold `path` for the length of the block; others wait."""
    descriptor = acquire(path)
    try:
        yield
    finally:
        os.close(descriptor)


def main(arguments: list[str]) -> None:
    """Take the lock, then replace this process by the command: no parent stays behind to be killed alone."""
    lock, *command = arguments
    os.set_inheritable(acquire(Path(lock)), True)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it: the command's pipes would complain of each other
    os.execvp(command[0], command)  # noqa: S606 - the Makefile's own words


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit(130)
