"""Ctrl-C ends a process with 130, whatever becomes of the KeyboardInterrupt, and leaves nothing half-made."""

import subprocess
import sys
from pathlib import Path

import pytest

WAYS = {  # what happens to a KeyboardInterrupt on its way
    "a C extension makes something else of it": """
        try: strike()
        except KeyboardInterrupt: raise ImportError("initialization failed") from None""",
    "a destructor swallows it": """
        class Doomed:
            def __del__(self): strike()
        Doomed()
        time.sleep(30)""",
    "a library thinks nothing of it": """
        try: strike()
        except BaseException: pass
        time.sleep(30)""",
    "all goes on": """
        try: strike()
        except BaseException: pass""",
    "it comes twice, by two ways": """
        try: strike()
        finally: strike()""",
    "it comes again, and what tidies up would take for ever": """
        try: strike()
        finally:
            time.sleep(1.1)
            strike()
            time.sleep(30)""",
    "something is being written": """
        with disk.replacing(Path("file")) as fresh:
            fresh.write_text("half")
            disk._remove = lambda box, remove=disk._remove: (setattr(disk, "_remove", remove), strike())
            strike()""",
}
START = """
import os, signal, time
from pathlib import Path
from strokewise import disk, interrupts
signal.signal(signal.SIGINT, signal.default_int_handler)
def strike(): os.kill(os.getpid(), signal.SIGINT)
"""


def process(code: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", f"{START}\ndef work():{code}\ninterrupts.heeded(work)\nprint('done')"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=25)


@pytest.mark.parametrize("way", WAYS)
def test_whatever_becomes_of_it(way: str, tmp_path: Path) -> None:
    done = process(WAYS[way], tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
    assert list(tmp_path.iterdir()) == []


def test_without_one_all_is_as_ever_and_at_the_end_it_is_too_late(tmp_path: Path) -> None:
    done = process("\n        pass\nimport atexit; atexit.register(strike)", tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")
    done = process("\n        raise SystemExit(3)", tmp_path)
    assert (done.returncode, done.stderr) == (3, "")


def test_one_that_is_ignored_from_the_start_stays_ignored(tmp_path: Path) -> None:
    code = "\n        strike()\nsignal.signal(signal.SIGINT, signal.SIG_IGN)"
    assert process(code, tmp_path).returncode == 0


def test_an_extension_is_loaded_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    from strokewise.support import signals

    frame = sys._getframe()
    assert not signals._is_loading_extension(frame)
    monkeypatch.setattr(signals, "LOADING", {frame.f_code})
    assert signals._is_loading_extension(frame)
