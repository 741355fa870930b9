"""A training as it goes, for whoever watches: `training.json` and a `history.csv` that grows beside the checkpoint.

What it is stands in the first, known before the first step; the second gets a line an epoch, and is at the end the
`history.csv` of the model folder. Nothing reads them back here: a disk that is full costs the onlooker, not the
training, and a training that goes on begins the file anew with what its checkpoint knows.
"""

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from strokewise import disk
from strokewise.learn import pupil

ABOUT, CURVES = "training.json", "history.csv"


def begin(place: Path, about: Mapping[str, Any], history: Sequence[Sequence[float]]) -> None:
    """Say in the folder `place` what is trained, and the epochs so far."""
    with contextlib.suppress(OSError):
        disk.write_text(place / CURVES, text(history))
        disk.write_json(place / ABOUT, about)


def add(place: Path, history: Sequence[Sequence[float]]) -> None:
    """Add epochs, each a whole line in one write."""
    with contextlib.suppress(OSError), (place / CURVES).open("a", encoding="utf-8") as file:
        file.write("".join(map(_line, history)))


def text(history: Sequence[Sequence[float]]) -> str:
    """Epochs, rows of `pupil.COLUMNS`, as CSV with its header."""
    return ",".join(pupil.COLUMNS) + "\n" + "".join(map(_line, history))


def _line(row: Sequence[float]) -> str:
    epoch, *figures = row
    return f"{int(epoch)},{','.join(f'{value:.6f}' for value in figures)}\n"
