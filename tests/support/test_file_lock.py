"""The lock between real processes; a killed holder releases it."""

import signal
import subprocess
import sys
import time
from pathlib import Path

from strokewise.support import file_lock

SCRIPT = Path(file_lock.__file__)


def start_locked(lock: Path, *command: str) -> "subprocess.Popen[str]":
    """Start the command under the lock, as the Makefile does."""
    arguments = [sys.executable, "-P", str(SCRIPT), str(lock), *command]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_second_process_waits_names_the_holder_and_then_runs(tmp_path: Path) -> None:
    lock, locked = tmp_path / "deep" / "lock", tmp_path / "locked"
    first = start_locked(lock, "sh", "-c", f"touch {locked}; sleep 0.5; echo first >> {tmp_path}/order")
    wait_for(locked)
    second = start_locked(lock, "sh", "-c", f"echo second >> {tmp_path}/order; exit 7")
    _, errors = second.communicate(timeout=30)
    first.communicate(timeout=30)
    assert first.returncode == 0
    assert second.returncode == 7
    assert (tmp_path / "order").read_text() == "first\nsecond\n"
    assert errors == f"waiting for process {first.pid}, which holds {lock}\n"


def test_killed_holder_releases_the_lock(tmp_path: Path) -> None:
    lock, locked = tmp_path / "lock", tmp_path / "locked"
    first = start_locked(lock, "sh", "-c", f"touch {locked}; exec sleep 60")
    wait_for(locked)
    first.send_signal(signal.SIGKILL)
    first.communicate(timeout=30)
    with file_lock.exclusive_lock(lock):
        assert lock.read_text().strip().isdigit()


def test_exclusive_lock_is_released_after_the_block(tmp_path: Path) -> None:
    for _ in range(2):
        with file_lock.exclusive_lock(tmp_path / "lock"):
            pass
    command = start_locked(tmp_path / "lock", "true")
    command.communicate(timeout=30)
    assert command.returncode == 0


def test_broken_pipe_in_the_command_prints_no_error(tmp_path: Path) -> None:
    command = start_locked(tmp_path / "lock", "sh", "-c", "yes | head -n 1")
    assert command.communicate(timeout=30) == ("y\n", "")
