"""When a training ran on this machine, kept in `.strokewise/`: nothing that DVC or git tracks knows a clock time.

A record belongs to a training digest. A killed training that was resumed keeps its first start and adds up the time
of its parts; one that was taken up finished keeps the record of the time when it was trained.
"""

import contextlib
import getpass
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from strokewise.support import atomic_io
from strokewise.support.paths import scratch_dir


@dataclass(frozen=True)
class TrainingTimes:
    """When a training began and ended, in seconds since 1970, how long it computed, and who started it."""

    start: float
    end: float | None  # None while it has not ended
    seconds: float  # of training; less than end - start if it was interrupted
    user: str
    part_start: float  # when the present part began


def record_start(training_digest: str) -> None:
    """Note that a training starts or goes on; a folder that cannot be written costs the record only."""
    now, earlier = time.time(), read_times(training_digest)
    if earlier is None or earlier.end is not None:
        earlier = TrainingTimes(start=now, end=None, seconds=0.0, user=user_name(), part_start=now)
    _write(training_digest, TrainingTimes(**asdict(earlier) | {"part_start": now}))


def record_end(training_digest: str) -> None:
    """Note that a training has ended, if its start was noted."""
    now, begun = time.time(), read_times(training_digest)
    if begun is not None and begun.end is None:
        seconds = begun.seconds + now - begun.part_start
        _write(training_digest, TrainingTimes(**asdict(begun) | {"end": now, "seconds": seconds}))


def read_times(training_digest: str) -> TrainingTimes | None:
    """The record of a training; None if it did not run on this machine."""
    try:
        return TrainingTimes(**json.loads(_path(training_digest).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def user_name() -> str:
    """The name of the user; empty where the system knows none, as in some containers."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""


def _path(training_digest: str) -> Path:
    return scratch_dir() / "times" / f"{training_digest}.json"


def _write(training_digest: str, times: TrainingTimes) -> None:
    with contextlib.suppress(OSError):
        atomic_io.write_json(_path(training_digest), asdict(times))
