"""Finished trainings, `.strokewise/trained/<fingerprint>/`: each a model folder, so that none is done twice.

Checkpoints are pruned to the newest few, and DVC empties data/model before it runs *train*; what is kept here outlives
both. A model that is damaged, or was made by other versions of the libraries, is not taken up.
"""

import csv
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from strokewise.errors import ModelError
from strokewise.model.model_files import load_model
from strokewise.support import atomic_io
from strokewise.support.paths import HISTORY_FILE, scratch_dir

MAX_FINISHED = 100  # trainings that are kept, the newest; each takes some 0.6 MB


def finished_dir(fingerprint: str) -> Path:
    """Where the finished model of this fingerprint is kept."""
    return scratch_dir() / "trained" / fingerprint


def find_finished(fingerprint: str, versions: Mapping[str, str]) -> list[list[float]] | None:
    """The history of the finished training of this fingerprint, a row an epoch; None if there is none to take up.

    `versions` are those of the libraries that decide the weights.
    """
    folder = finished_dir(fingerprint)
    try:
        config = load_model(folder).config
        with (folder / HISTORY_FILE).open(newline="", encoding="utf-8") as file:
            rows = [[float(value) for value in row] for row in list(csv.reader(file))[1:]]
        made_by = config["fingerprint"], config["versions"]
    except (ModelError, OSError, KeyError, ValueError):
        return None
    return rows if rows and made_by == (fingerprint, dict(versions)) else None


@contextmanager
def write_finished(fingerprint: str) -> Iterator[Path]:
    """Yield the folder to write the finished model into; it appears at once, and the oldest beyond the limit go."""
    with atomic_io.atomic_replace(finished_dir(fingerprint)) as fresh:
        yield fresh
    folders = finished_dir(fingerprint).parent.iterdir()
    for path in sorted(folders, key=lambda path: -path.stat().st_mtime_ns)[MAX_FINISHED:]:
        shutil.rmtree(path, ignore_errors=True)


def publish_finished(fingerprint: str, folder: Path) -> None:
    """Copy the finished model to `folder`, whole or not at all."""
    with atomic_io.atomic_replace(folder) as fresh:
        shutil.copytree(finished_dir(fingerprint), fresh)
