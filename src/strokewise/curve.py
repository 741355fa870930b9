"""Both models on few paintings -> curve.csv and curve.png: how often each is right, by paintings a shape.

Each point trains the CNN and the baseline on the first so many training paintings of every shape, a larger set
beginning with the smaller, and asks both about all test paintings. The CNN takes as many steps at each point as with
the most paintings (more epochs where there are fewer), so that fewer paintings do not mean less training as well.
Drawings by people are left out. A finished point is kept in .strokewise/curve, an unfinished training by its
checkpoint: what was killed goes on when it is started again.
"""

import csv
import hashlib
import json
import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from strokewise import dataset, disk, figures, network, sources
from strokewise.errors import DatasetError
from strokewise.figures import Panel
from strokewise.judge import statistics
from strokewise.params import Params
from strokewise.stages.baseline import baseline
from strokewise.stages.train import train

SIZES = (5, 10, 25, 50)
FOLDER = Path("data/curve")
COLUMNS = ("paintings", "epochs", "cnn", "cnn_low", "cnn_high", "baseline", "baseline_low", "baseline_high", "choice")


def curve(params: Params, sizes: Sequence[int] | None = None, output: Path = FOLDER) -> list[dict[str, Any]]:
    """Measure and write all points; a row of `COLUMNS` each. Without `sizes`, `SIZES` as far as there are paintings.

    Raises DatasetError if paintings are too few.
    """
    labels = dataset.load("train", params.network.grid).labels
    rarest = int(np.bincount(labels).min())
    sizes = sorted(set(sizes or (min(size, rarest) for size in SIZES)))
    if sizes[-1] > rarest:
        raise DatasetError(
            f"{sizes[-1]} paintings a shape were asked for, and the rarest shape has {rarest}; name fewer with --sizes,"
            " or raise generate.train"
        )
    steps = {size: _steps(len(dataset.first(labels, size)), params.train.batch_size) for size in sizes}
    rows = []
    for size in sizes:
        epochs = round(params.train.epochs * steps[sizes[-1]] / steps[size])
        longer = params.model_copy(update={"train": params.train.model_copy(update={"epochs": epochs})})
        rows.append(_point(longer, size))
    _write(rows, output)
    return rows


def _steps(paintings: int, batch_size: int) -> int:
    return math.ceil(paintings / batch_size)


def _point(params: Params, size: int) -> dict[str, Any]:
    """One point, from .strokewise if it was measured before."""
    decided = {
        "size": size,
        "paintings": [dataset.digest(split) for split in dataset.SPLITS],
        "params": [section.model_dump() for section in (params.network, params.train, params.baseline)],
        "code": sources.digest("curve"),
    }
    key = hashlib.sha256(json.dumps(decided, sort_keys=True).encode()).hexdigest()
    kept = disk.home() / disk.SCRATCH / "curve" / f"{key}.json"
    if kept.is_file():
        found: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
        return found
    scratch = kept.with_suffix("")
    train(params, scratch / "model", size)
    cnn, flattened = network.load(scratch / "model"), baseline(params, scratch / "baseline", size)
    test = dataset.load("test", cnn.grid)
    said = {
        "cnn": network.probabilities(cnn, test.pictures),
        "baseline": flattened.probabilities(test.pictures),
    }
    row: dict[str, Any] = {"paintings": size, "epochs": params.train.epochs, "choice": flattened.config["choice"]}
    for name, found_ in said.items():
        right = statistics.accuracy(test.labels, found_.argmax(axis=1))
        row |= {name: right.value, f"{name}_low": right.low, f"{name}_high": right.high}
    disk.write_json(kept, row)
    shutil.rmtree(scratch, ignore_errors=True)
    return row


def _write(rows: list[dict[str, Any]], output: Path) -> None:
    output.mkdir(parents=True, exist_ok=True)
    with disk.replacing(output / "curve.csv") as fresh, fresh.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
    series = {
        name: [(row["paintings"], row[name], row[f"{name}_low"], row[f"{name}_high"]) for row in rows]
        for name in ("cnn", "baseline")
    }
    panel = Panel("share right, against paintings a shape", series)
    figures.curves("How few paintings are enough?", [panel], output / "curve.png")


def table(rows: list[dict[str, Any]]) -> str:
    """The points for a person."""

    def told(row: dict[str, Any], name: str) -> str:
        return f"{row[name]:6.1%} ({row[f'{name}_low']:.1%} to {row[f'{name}_high']:.1%})"

    lines = [f"{'paintings a shape':>17}  {'CNN':25}  baseline"]
    lines += [f"{row['paintings']:17}  {told(row, 'cnn'):25}  {told(row, 'baseline')}  {row['choice']}" for row in rows]
    return "\n".join(lines)
