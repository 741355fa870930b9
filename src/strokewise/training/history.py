"""The progress of a running training, as files beside its checkpoint: `training.json` and `history.csv`.

`training.json` says what is trained, before the first step. `history.csv` gets a line an epoch and becomes the
`history.csv` of the model folder. Training never reads them: on a full disk they stay behind and training goes on; a
resumed training writes them anew from its checkpoint.
"""

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from strokewise.support import atomic_io
from strokewise.support.paths import HISTORY_FILE, TRAINING_FILE
from strokewise.training.state import HISTORY_COLUMNS


def start_history(folder: Path, description: Mapping[str, Any], history: Sequence[Sequence[float]]) -> None:
    """Write what is trained, and the epochs so far, into `folder`."""
    with contextlib.suppress(OSError):
        atomic_io.write_text(folder / HISTORY_FILE, history_csv(history))
        atomic_io.write_json(folder / TRAINING_FILE, description)


def append_epochs(folder: Path, history: Sequence[Sequence[float]]) -> None:
    """Add epochs, rows of `HISTORY_COLUMNS`, each a whole line in one write."""
    with contextlib.suppress(OSError), (folder / HISTORY_FILE).open("a", encoding="utf-8") as file:
        file.write("".join(map(_csv_line, history)))


def history_csv(history: Sequence[Sequence[float]]) -> str:
    """Epochs, rows of `HISTORY_COLUMNS`, as CSV with its header."""
    return ",".join(HISTORY_COLUMNS) + "\n" + "".join(map(_csv_line, history))


def _csv_line(row: Sequence[float]) -> str:
    epoch, *values = row
    return f"{int(epoch)},{','.join(f'{value:.6f}' for value in values)}\n"
