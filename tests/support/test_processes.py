"""A pool of processes: initialised once each, in order, and gone with the process that started them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from strokewise.support import processes

pytestmark = pytest.mark.slow
_state: list[int] = []


def _remember(value: int) -> None:
    _state.append(value)


def _recall(_: int) -> tuple[int, list[int]]:
    return os.getpid(), _state


def test_every_process_is_initialised_once() -> None:
    with processes.worker_pool(2, _remember, (7,)) as pool:
        found = dict(pool.map(_recall, range(40)))
    assert os.getpid() not in found
    assert all(state == [7] for state in found.values())


PARENT = """
import os, time
from strokewise.support import processes
def wait(_): time.sleep(60)
if __name__ == "__main__":
    with processes.worker_pool(2, print) as pool:
        print(*pool.map(abs, [1, 2]), *[process.pid for process in pool._processes.values()], flush=True)
        pool.submit(wait, 0).result()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_processes_end_with_their_parent(number: signal.Signals, tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    parent = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert parent.stdout is not None
    lines = [parent.stdout.readline() for _ in range(3)]
    workers = [int(word) for line in lines for word in line.split()][-2:]
    parent.send_signal(number)
    if number == signal.SIGINT:
        parent.terminate()  # it waits for a task that sleeps
    parent.communicate(timeout=30)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and any(Path(f"/proc/{worker}").exists() for worker in workers):
        time.sleep(0.1)
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)
