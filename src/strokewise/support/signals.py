"""Exit with 130 on SIGINT (Ctrl-C), even where a library swallows it. Only the standard library.

Python raises KeyboardInterrupt between any two instructions, and it can get lost there: importing a C extension turns
it into an ImportError, a destructor swallows it, a library catches it. So the handler records that SIGINT came:
whatever exception surfaces afterwards is treated as the interrupt, and until one surfaces it is raised again.
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
RERAISE_INTERVAL_S = 0.1  # until KeyboardInterrupt is raised again if it was lost
DUPLICATE_WINDOW_S = 1.0  # a second SIGINT within this time is the first, received twice: torchrun passes it on
EXTENSION_LOADER_CODE = {ExtensionFileLoader.create_module.__code__, ExtensionFileLoader.exec_module.__code__}


def exit_on_sigint(work: Callable[[], None]) -> None:
    """Call `work` in the main thread; SIGINT ends this process with 130 after its clean-up, a second SIGINT at once.

    Without a SIGINT, exceptions of `work` are passed on. After `work`, while Python shuts down, SIGINT is ignored.
    If SIGINT was ignored from the start (`nohup`, `&` in a script) it stays ignored.
    """
    interrupts: list[float] = []  # time of the first
    finished = False

    def handle(number: int, frame: FrameType | None) -> None:
        if finished:
            return
        if number == signal.SIGINT:
            if interrupts and time.monotonic() - interrupts[0] > DUPLICATE_WINDOW_S:
                _exit_now()
            if interrupts:
                return
            interrupts.append(time.monotonic())
            sys.unraisablehook = lambda _: None  # no report if a destructor swallows it: it is raised again
            signal.setitimer(signal.ITIMER_REAL, RERAISE_INTERVAL_S, RERAISE_INTERVAL_S)
        elif sys.exc_info()[0] is not None:  # an exception is being handled: let the clean-up finish
            return
        if not _is_loading_extension(frame):  # an extension loaded by half may crash; the timer tries again
            raise KeyboardInterrupt

    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        work()
        return
    try:
        try:
            signal.signal(signal.SIGALRM, handle)
            signal.signal(signal.SIGINT, handle)
            work()
        finally:
            finished = True
            signal.signal(signal.SIGINT, signal.SIG_IGN)
    except BaseException:
        if not interrupts:
            raise
    if interrupts:
        _exit_now()


def _is_loading_extension(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code in EXTENSION_LOADER_CODE:
            return True
        frame = frame.f_back
    return False


def _exit_now() -> NoReturn:
    """Exit without Python's shutdown, which would run exit handlers of half-loaded modules and wait for threads."""
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(Exception):
        if "strokewise.support.atomic_io" in sys.modules:  # else nothing has been written
            sys.modules["strokewise.support.atomic_io"].remove_temp_dirs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    os._exit(SIGINT_EXIT_CODE)
