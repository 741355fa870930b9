"""Finished trainings, `.strokewise/trained/<training digest>/`: each a model folder, so that none is done twice.

Checkpoints are pruned to the newest few, and DVC empties data/model before it runs *train*; what is kept here outlives
both. A training that is damaged, or was made by other versions of the libraries, is not taken up.
"""

import csv
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from strokewise.errors import ModelError
from strokewise.model.config_file import read_config, write_config
from strokewise.model.model_files import load_model
from strokewise.model.onnx_export import write_onnx
from strokewise.support import atomic_io
from strokewise.support.paths import HISTORY_FILE, scratch_dir

MAX_FINISHED = 100  # trainings that are kept, the newest; each takes some 0.6 MB


def finished_dir(training_digest: str) -> Path:
    """Where the finished training of this digest is kept."""
    return scratch_dir() / "trained" / training_digest


def find_finished(training_digest: str, versions: Mapping[str, str]) -> list[list[float]] | None:
    """The history of the finished training of this digest, a row an epoch; None if there is none to take up.

    `versions` are those of the libraries that decide the weights.
    """
    folder = finished_dir(training_digest)
    try:
        config = load_model(folder).config
        with (folder / HISTORY_FILE).open(newline="", encoding="utf-8") as file:
            rows = [[float(value) for value in row] for row in list(csv.reader(file))[1:]]
        made_by = config["training_digest"], config["versions"]
    except (ModelError, OSError, KeyError, ValueError):
        return None
    return rows if rows and made_by == (training_digest, dict(versions)) else None


@contextmanager
def write_finished(training_digest: str) -> Iterator[Path]:
    """Yield the folder to write the model and its history into; it appears at once, and the oldest go."""
    with atomic_io.atomic_replace(finished_dir(training_digest)) as fresh:
        yield fresh
    folders = finished_dir(training_digest).parent.iterdir()
    for path in sorted(folders, key=lambda path: -path.stat().st_mtime_ns)[MAX_FINISHED:]:
        shutil.rmtree(path, ignore_errors=True)


def publish_finished(config: Mapping[str, Any], outlines: Mapping[str, Mapping[str, str]], folder: Path) -> None:
    """Write the finished training as the model folder `folder`, whole or not at all.

    Args:
        config: of the model, with its `fingerprint` and `training_digest`, which are written over those of the time.
        outlines: the SVG text of every variant of every shape, for `model.onnx`.
        folder: replaced.
    """
    with atomic_io.atomic_replace(folder) as fresh:
        shutil.copytree(finished_dir(config["training_digest"]), fresh)
        trained = {name: value for name, value in read_config(fresh).items() if name != "digest"}
        write_config(fresh, {**trained, **config})
        write_onnx(fresh, outlines)
