"""One at a time, for real processes; a killed holder leaves no lock behind."""

import signal
import subprocess
import sys
import time
from pathlib import Path

from strokewise.support import file_lock

SCRIPT = Path(file_lock.__file__)


def hold(lock: Path, *command: str) -> "subprocess.Popen[str]":
    words = [sys.executable, "-P", str(SCRIPT), str(lock), *command]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_second_waits_says_for_whom_and_then_runs(tmp_path: Path) -> None:
    lock, held = tmp_path / "deep" / "lock", tmp_path / "held"
    first = hold(lock, "sh", "-c", f"touch {held}; sleep 0.5; echo first >> {tmp_path}/order")
    wait_for(held)
    second = hold(lock, "sh", "-c", f"echo second >> {tmp_path}/order; exit 7")
    _, said = second.communicate(timeout=30)
    first.communicate(timeout=30)
    assert first.returncode == 0
    assert second.returncode == 7
    assert (tmp_path / "order").read_text() == "first\nsecond\n"
    assert said == f"waiting for process {first.pid}, which holds {lock}\n"


def test_a_killed_holder_leaves_no_lock(tmp_path: Path) -> None:
    lock, held = tmp_path / "lock", tmp_path / "held"
    first = hold(lock, "sh", "-c", f"touch {held}; exec sleep 60")
    wait_for(held)
    first.send_signal(signal.SIGKILL)
    first.communicate(timeout=30)
    with file_lock.exclusive_lock(lock):
        assert lock.read_text().strip().isdigit()


def test_the_block_gives_the_lock_back(tmp_path: Path) -> None:
    for _ in range(2):
        with file_lock.exclusive_lock(tmp_path / "lock"):
            pass
    after = hold(tmp_path / "lock", "true")
    after.communicate(timeout=30)
    assert after.returncode == 0


def test_a_pipe_in_the_command_ends_without_a_complaint(tmp_path: Path) -> None:
    running = hold(tmp_path / "lock", "sh", "-c", "yes | head -n 1")
    assert running.communicate(timeout=30) == ("y\n", "")
