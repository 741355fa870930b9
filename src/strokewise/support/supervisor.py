"""Run a command that ends, with all that it starts, when the process that wanted it ends, even by `kill -9`.

    python -I supervisor.py COMMAND...     run COMMAND until it ends or standard input is closed

The kernel closes a pipe with the last process that holds its other end, whatever ended that. Only the standard library
is used: this file runs as a process of its own, a small one.
"""

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence

POLL_S = 0.2  # seconds between two looks whether the command lives
GROUP_SHUTDOWN_S = 10.0  # from SIGTERM to SIGKILL


@contextlib.contextmanager
def supervised(command: Sequence[str], environment: Mapping[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a command in a session of its own, so that Ctrl-C does not reach it; all its processes end with the block.

    They end, too, when this process ends in any way. Yields the supervisor, which exits with the command's exit code,
    or 128 + the number of the signal that ended it.
    """
    words = [sys.executable, "-I", __file__, *command]
    supervisor = subprocess.Popen(words, stdin=subprocess.PIPE, env=environment, start_new_session=True)
    try:
        yield supervisor
    finally:
        assert supervisor.stdin is not None
        supervisor.stdin.close()
        supervisor.wait()


def main(command: Sequence[str]) -> int:
    """Run the command until it ends by itself or standard input is closed; returns its exit code."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    group = subprocess.Popen(command, stdin=subprocess.DEVNULL, process_group=0)
    try:
        while group.poll() is None and not select.select([sys.stdin], [], [], POLL_S)[0]:
            pass
    finally:
        _end_group(group)
    return 128 - group.returncode if group.returncode < 0 else group.returncode


def _end_group(group: "subprocess.Popen[bytes]") -> None:
    """End all processes of the group, those that its leader has left behind included."""
    deadline = time.monotonic() + GROUP_SHUTDOWN_S
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group.pid, signal.SIGTERM)
        while time.monotonic() < deadline:
            group.poll()  # a leader that has ended counts until it is waited for
            os.killpg(group.pid, 0)
            time.sleep(POLL_S / 4)
        os.killpg(group.pid, signal.SIGKILL)
    group.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
