"""A supervised command: its exit code, and the end of all its processes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from strokewise.support import supervisor
from strokewise.support.supervisor import supervised

pytestmark = pytest.mark.slow
FAMILY = """
import os, signal, subprocess, sys, time
from pathlib import Path
if "deaf" in sys.argv: signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import signal, time; DEAF; time.sleep(60)".replace(
    "DEAF", "signal.signal(signal.SIGTERM, signal.SIG_IGN)" if "deaf" in sys.argv else "0")])
time.sleep(0.5)
Path("pids").write_text(f"{os.getpid()} {child.pid}\\n")
if "leave" not in sys.argv: time.sleep(60)
"""


def wait_until(condition: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def family(folder: Path) -> list[int]:
    """The ids of the command and of its child, once both run."""
    wait_until(lambda: (folder / "pids").exists() and (folder / "pids").read_text().endswith("\n"))
    return [int(word) for word in (folder / "pids").read_text().split()]


def is_alive(process: int) -> bool:
    done = subprocess.run(["ps", "-o", "stat=", "-p", str(process)], capture_output=True, text=True, check=False)
    return bool(done.stdout.strip()) and not done.stdout.startswith("Z")


@pytest.mark.parametrize(("code", "expected"), [("0", 0), ("sys.exit(7)", 7), ("os.kill(os.getpid(), 9)", 137)])
def test_exit_code_is_that_of_the_command(code: str, expected: int) -> None:
    with supervised([sys.executable, "-c", f"import os, sys; {code}"], os.environ) as process:
        assert process.wait(30) == expected


@pytest.mark.parametrize("kind", ["", "leave"])
def test_all_processes_end_with_the_block(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with supervised([sys.executable, "-c", FAMILY, kind], os.environ):
        processes = family(tmp_path)
    assert not any(map(is_alive, processes))


def test_what_ignores_sigterm_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(supervisor, "GROUP_SHUTDOWN_S", 0.5)
    group = subprocess.Popen([sys.executable, "-c", FAMILY, "deaf"], process_group=0)
    processes = family(tmp_path)
    supervisor._end_group(group)
    wait_until(lambda: not any(map(is_alive, processes)))
    assert group.returncode == -signal.SIGKILL
