"""Finished trainings, `.strokewise/trained/<fingerprint>/`: each a model folder, so that none is done twice.

Checkpoints are pruned to the newest few and DVC empties data/model before it runs *train*; what stands here outlives
both. A model that is damaged, or was made by other versions of the libraries, is not taken up.
"""

import csv
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from strokewise import disk, network
from strokewise.errors import ModelError

KEPT = 100  # trainings that are kept, the newest; each takes some 0.6 MB


def place(fingerprint: str) -> Path:
    """Where the finished model of this fingerprint is kept."""
    return disk.home() / disk.SCRATCH / "trained" / fingerprint


def find(fingerprint: str, versions: Mapping[str, str]) -> list[list[float]] | None:
    """The history of the finished training of this fingerprint, a row an epoch; None if there is none to take up."""
    folder = place(fingerprint)
    try:
        config = network.load(folder).config
        with (folder / "history.csv").open(newline="", encoding="utf-8") as file:
            rows = [[float(value) for value in row] for row in list(csv.reader(file))[1:]]
    except (ModelError, OSError, ValueError):
        return None
    return rows if rows and (config["fingerprint"], config["versions"]) == (fingerprint, dict(versions)) else None


@contextmanager
def written(fingerprint: str) -> Iterator[Path]:
    """Yield the folder to write the finished model into; it appears at once, and the oldest beyond `KEPT` go."""
    with disk.replacing(place(fingerprint)) as fresh:
        yield fresh
    newest_first = sorted(place(fingerprint).parent.iterdir(), key=lambda path: -path.stat().st_mtime_ns)
    for path in newest_first[KEPT:]:
        shutil.rmtree(path, ignore_errors=True)


def publish(fingerprint: str, folder: Path) -> None:
    """Copy the finished model to `folder`, whole or not at all."""
    with disk.replacing(folder) as fresh:
        shutil.copytree(place(fingerprint), fresh)
