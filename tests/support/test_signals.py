"""A signal ends a process with 128 + its number, whatever happens to the interrupt, and leaves nothing half-written."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from strokewise.support import signals

FATES = {  # what happens to a KeyboardInterrupt
    "an extension turns it into another error": """
        try: interrupt()
        except KeyboardInterrupt: raise ImportError("initialization failed") from None""",
    "a destructor swallows it": """
        class Temporary:
            def __del__(self): interrupt()
        Temporary()
        time.sleep(30)""",
    "a library catches it and goes on for long": """
        try: interrupt()
        except BaseException: pass
        time.sleep(30)""",
    "a library catches it and ends": """
        try: interrupt()
        except BaseException: pass""",
    "it is received twice at once": """
        try: interrupt()
        finally: interrupt()""",
    "it comes again during a long clean-up": """
        try: interrupt()
        finally:
            time.sleep(1.1)
            interrupt()
            time.sleep(30)""",
    "it comes while a file is written and again while that is removed": """
        remove = atomic_io._remove_temp_dir
        with atomic_io.atomic_replace(Path("file")) as new_path:
            new_path.write_text("half")
            atomic_io._remove_temp_dir = lambda _: (setattr(atomic_io, "_remove_temp_dir", remove), interrupt())
            interrupt()""",
}
SETUP = """
import os, signal, time
from pathlib import Path
from strokewise.support import atomic_io, signals
signal.signal(signal.SIGINT, signal.default_int_handler)
def interrupt(): os.kill(os.getpid(), signal.SIGINT)
"""


def run_work(body: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run `exit_on_signals` on a function with this body, in a process of its own."""
    command = [sys.executable, "-c", f"{SETUP}\ndef work():{body}\nsignals.exit_on_signals(work)\nprint('done')"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=25)


@pytest.mark.parametrize("fate", FATES)
def test_sigint_exits_with_130_and_leaves_nothing(fate: str, tmp_path: Path) -> None:
    done = run_work(FATES[fate], tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
    assert list(tmp_path.iterdir()) == []


def test_exit_code_is_unchanged_without_sigint_or_with_one_at_shutdown(tmp_path: Path) -> None:
    done = run_work("\n        pass\nimport atexit; atexit.register(interrupt)", tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")
    done = run_work("\n        raise SystemExit(3)", tmp_path)
    assert (done.returncode, done.stderr) == (3, "")


def test_sigint_ignored_from_the_start_stays_ignored(tmp_path: Path) -> None:
    body = "\n        interrupt()\nsignal.signal(signal.SIGINT, signal.SIG_IGN)"
    assert run_work(body, tmp_path).returncode == 0


def test_loading_of_an_extension_is_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = sys._getframe()
    assert not signals._is_loading_extension(frame)
    monkeypatch.setattr(signals, "EXTENSION_LOADER_CODE", {frame.f_code})
    assert signals._is_loading_extension(frame)


@pytest.mark.parametrize("number", signals.ENDING_SIGNALS)
def test_native_code_that_does_not_return_is_ended(number: signal.Signals, tmp_path: Path) -> None:
    body = f"""
        import hashlib, threading
        threading.Timer(0.3, os.kill, (os.getpid(), {int(number)})).start()
        with atomic_io.atomic_replace(Path("file")) as new_path:
            new_path.write_text("half")
            hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)  # an hour, without a look at Python's signals
signals.CLEANUP_S = 0.5"""
    assert run_work(body, tmp_path).returncode == 128 + number
    assert list(tmp_path.iterdir()) == []
