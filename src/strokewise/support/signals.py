"""Ctrl-C: heeded wherever it strikes, exit code 130, nothing half-made left. Only the standard library.

Python raises KeyboardInterrupt between any two steps of a program, and there it can get lost: a C extension that is
being imported makes an ImportError of it, a destructor swallows it, a library takes it for something else. So we note
that it came: whatever surfaces afterwards is the Ctrl-C, and as long as nothing surfaces it is raised again.
"""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable
from importlib.machinery import ExtensionFileLoader
from types import FrameType
from typing import NoReturn

SIGINT_EXIT_CODE = 130
RERAISE_INTERVAL_S = 0.1  # seconds until it is raised again if it was lost
DUPLICATE_WINDOW_S = 1.0  # seconds within which a second one is the first, come by another way: torchrun passes it on
EXTENSION_LOADER_CODE = {ExtensionFileLoader.create_module.__code__, ExtensionFileLoader.exec_module.__code__}


def exit_on_sigint(work: Callable[[], None]) -> None:
    """Call `work`, in the main thread; a Ctrl-C in it ends this process with 130, a second one at once.

    What `work` raises without one is passed on. When it has ended, all is done and decided: a Ctrl-C while Python
    closes down changes nothing. One that is ignored from the start (`nohup`, `&` in a script) stays ignored.
    """
    came: list[float] = []
    over = False

    def note(number: int, frame: FrameType | None) -> None:
        if over:
            return
        if number == signal.SIGINT:
            if came and time.monotonic() - came[0] > DUPLICATE_WINDOW_S:
                _exit_now()
            if came:
                return
            came.append(time.monotonic())
            sys.unraisablehook = lambda _: None  # one that a destructor swallows is no news: it is raised again
            signal.setitimer(signal.ITIMER_REAL, RERAISE_INTERVAL_S, RERAISE_INTERVAL_S)
        elif sys.exc_info()[0] is not None:  # something is being handled: it is on its way, let it tidy up
            return
        if not _is_loading_extension(frame):  # some crash half-loaded; the timer asks again
            raise KeyboardInterrupt

    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        work()
        return
    try:
        try:
            signal.signal(signal.SIGALRM, note)
            signal.signal(signal.SIGINT, note)
            work()
        finally:
            over = True
            signal.signal(signal.SIGINT, signal.SIG_IGN)
    except BaseException:
        if not came:
            raise
    if came:
        _exit_now()


def _is_loading_extension(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code in EXTENSION_LOADER_CODE:
            return True
        frame = frame.f_back
    return False


def _exit_now() -> NoReturn:
    """End the process here: closing down in order would run the ends of what is half-loaded and wait for threads."""
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(Exception):
        if "strokewise.support.atomic_io" in sys.modules:  # else nothing has been written
            sys.modules["strokewise.support.atomic_io"].remove_temp_dirs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    os._exit(SIGINT_EXIT_CODE)
