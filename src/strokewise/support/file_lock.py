"""Advisory file lock between processes, for Python and for the Makefile.

    python -P file_lock.py LOCKFILE COMMAND...     lock LOCKFILE, then replace this process by COMMAND

The kernel releases the lock when the last process that holds it ends, also after `kill -9`: a lock is never stale.
Only the standard library is used, because the Makefile runs this file before anything is installed.
"""

import contextlib
import fcntl
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path


def acquire_lock(path: Path) -> int:
    """Wait until this process holds the lock, and return its file descriptor; prints on stderr whom it waits for."""
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
    """Hold the lock at `path` during the block; other processes wait."""
    descriptor = acquire_lock(path)
    try:
        yield
    finally:
        os.close(descriptor)


def main(arguments: list[str]) -> None:
    """Lock the file, then replace this process by the command, so that killing the command releases the lock."""
    path, *command = arguments
    os.set_inheritable(acquire_lock(Path(path)), True)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and the command would inherit that
    os.execvp(command[0], command)  # noqa: S606 - the Makefile's own command


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit(130)
