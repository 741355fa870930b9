"""End a command on SIGINT, SIGTERM, SIGHUP and with its parent, even where a library swallows it. Only the standard
library.

Python raises KeyboardInterrupt between any two instructions, and it can get lost there: importing a C extension turns
it into an ImportError, a destructor swallows it, a library catches it. So the handler records that a signal came:
whatever exception surfaces afterwards is treated as the interrupt, and until one surfaces it is raised again. Python
calls no handler while native code computes, so a thread reads the signals, too, and ends a process that does not.
"""

import contextlib
import math
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator
from importlib.machinery import ExtensionFileLoader
from types import FrameType
from typing import NoReturn

ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SIGINT_EXIT_CODE = 128 + signal.SIGINT
RERAISE_INTERVAL_S = 0.1  # until KeyboardInterrupt is raised again if it was lost
DUPLICATE_WINDOW_S = 1.0  # a second signal within this time is the first, received twice: torchrun passes it on
CLEANUP_S = 20.0  # from the first signal to an exit without clean-up: less than the 30 s that torchrun gives a process
REPEATED_CLEANUP_S = 3.0  # the same, from a second signal
PARENT_POLL_S = 0.5  # seconds between two looks whether the parent lives
EXTENSION_LOADER_CODE = {ExtensionFileLoader.create_module.__code__, ExtensionFileLoader.exec_module.__code__}


def exit_on_signals(work: Callable[[], None]) -> None:
    """Call `work` in the main thread; SIGINT, SIGTERM or SIGHUP ends this process with 128 + its number.

    The clean-up of `work` runs first, for `CLEANUP_S` at most; a second signal ends the process at once. Without a
    signal, exceptions of `work` are passed on. After `work`, while Python shuts down, SIGINT is ignored. A signal that
    was ignored from the start (`nohup`, `&` in a script) stays ignored. The death of the parent counts as SIGHUP,
    unless this process was started to outlive it (see `_parent_to_follow`).
    """
    received: list[tuple[int, float]] = []  # the first signal, and when
    finished = False

    def handle(number: int, frame: FrameType | None) -> None:
        if finished:
            return
        if number in ENDING_SIGNALS:
            if received and time.monotonic() - received[0][1] > DUPLICATE_WINDOW_S:
                _exit_now(received[0][0])
            if received:
                return
            received.append((number, time.monotonic()))
            sys.unraisablehook = lambda _: None  # no report if a destructor swallows it: it is raised again
            signal.setitimer(signal.ITIMER_REAL, RERAISE_INTERVAL_S, RERAISE_INTERVAL_S)
        elif sys.exc_info()[0] is not None:  # an exception is being handled: let the clean-up finish
            return
        if not _is_loading_extension(frame):  # an extension loaded by half may crash; the timer tries again
            raise KeyboardInterrupt

    handled = [number for number in ENDING_SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
    try:
        try:
            with _watched(handled):
                signal.signal(signal.SIGALRM, handle)
                for number in handled:
                    signal.signal(number, handle)
                work()
        finally:
            finished = True
            for number in handled:
                signal.signal(number, signal.SIG_IGN if number == signal.SIGINT or received else signal.SIG_DFL)
    except BaseException:
        if not received:
            raise
    if received:
        _exit_now(received[0][0])


def _is_loading_extension(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code in EXTENSION_LOADER_CODE:
            return True
        frame = frame.f_back
    return False


def _exit_now(number: int) -> NoReturn:
    """Exit without Python's shutdown, which would run exit handlers of half-loaded modules and wait for threads."""
    signal.setitimer(signal.ITIMER_REAL, 0)
    is_main = threading.current_thread() is threading.main_thread()
    if is_main:
        for each in ENDING_SIGNALS:
            signal.signal(each, signal.SIG_IGN)
    with contextlib.suppress(Exception):
        if "strokewise.support.atomic_io" in sys.modules:  # else nothing has been written
            sys.modules["strokewise.support.atomic_io"].remove_temp_dirs()
    for stream in (sys.stdout, sys.stderr) if is_main else ():  # another thread may hold their locks for ever
        with contextlib.suppress(Exception):
            stream.flush()
    os._exit(128 + number)


# --- what the thread does


@contextlib.contextmanager
def _watched(handled: Collection[int]) -> Iterator[None]:
    """Watch the signals and the parent during the block."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    previous = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(reading, handled, _parent_to_follow()), daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(previous)
        os.close(writing)


def _watch(reading: int, handled: Collection[int], parent: int | None) -> None:
    """End this process when a signal, or the death of `parent`, has not ended it in time; returns at the end of file.

    `reading` is a pipe into which Python's C code writes the number of every signal.
    """
    first, since, deadline, in_background = 0, 0.0, math.inf, False
    while True:
        numbers = os.read(reading, 4096) if select.select([reading], [], [], PARENT_POLL_S)[0] else None
        if numbers == b"":
            os.close(reading)
            return
        now = time.monotonic()
        for number in numbers or b"":
            if number in handled and not first:
                first, since, deadline = number, now, now + CLEANUP_S
            elif number in handled and now - since > DUPLICATE_WINDOW_S:
                deadline = min(deadline, now + REPEATED_CLEANUP_S)
        if now >= deadline:
            _exit_now(first)
        if parent is not None and os.getppid() == parent:
            in_background = _is_in_background(in_background)
        elif parent is not None:
            parent = None
            if not in_background:
                os.kill(os.getpid(), signal.SIGHUP)


def _parent_to_follow() -> int | None:
    """The process with which this one is to end; None if it was started to outlive it.

    That is so with `nohup`, `setsid`, `&` in a script (whose shell lets SIGINT be ignored), under init, and for a stage
    of DVC: when DVC is killed, its stage goes on, and the next `dvc repro` waits for it and takes up its result.
    """
    parent = os.getppid()
    if parent <= 1 or signal.getsignal(signal.SIGHUP) == signal.SIG_IGN or "DVC_STAGE" in os.environ:
        return None
    if "TORCHELASTIC_RUN_ID" in os.environ:  # torchrun starts each of its processes in a session of its own
        return parent
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN or os.getsid(0) == os.getpid():
        return None
    return parent


def _is_in_background(before: bool) -> bool:
    """Whether the terminal's user has put this process into the background; `before` if the terminal is gone."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return before
    try:
        return os.tcgetpgrp(terminal) != os.getpgrp()
    except OSError:
        return before
    finally:
        os.close(terminal)
