"""Both models on few paintings -> curve.csv and curve.png: how often each is right, by paintings a shape.

Each point trains the CNN and the baseline on the first so many training paintings of every shape, a larger set
beginning with the smaller, and asks both about all test paintings. The CNN takes as many steps at each point as with
the most paintings (more epochs where there are fewer), so that fewer paintings do not mean less training as well.
Drawings by people are left out. A finished point is kept in .strokewise/curve, an unfinished training by its
checkpoint: what was killed goes on when it is started again.
"""

import csv
import json
import math
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from strokewise import plots
from strokewise.baseline.estimator import BaselineModel
from strokewise.code_digest import code_digest, json_digest
from strokewise.data.dataset import load_paintings, split_digest, subset_per_shape
from strokewise.data.shards import SPLITS
from strokewise.errors import DatasetError
from strokewise.evaluation import metrics
from strokewise.model.inference import predict_proba
from strokewise.model.model_files import load_model
from strokewise.params import Params
from strokewise.plots import Panel
from strokewise.support import atomic_io
from strokewise.support.paths import CURVE_DIR, scratch_dir

DEFAULT_SIZES = (5, 10, 25, 50)
CURVE_COLUMNS = (
    "paintings",
    "epochs",
    "cnn",
    "cnn_low",
    "cnn_high",
    "baseline",
    "baseline_low",
    "baseline_high",
    "choice",
)


Train = Callable[[Params, Path, int], Any]
FitBaseline = Callable[[Params, Path, int], BaselineModel]


def measure_learning_curve(
    params: Params,
    train: Train,
    fit_baseline: FitBaseline,
    sizes: Sequence[int] | None = None,
    output: Path = CURVE_DIR,
) -> list[dict[str, Any]]:
    """Measure and write all points; returns a row of `CURVE_COLUMNS` for each.

    Args:
        params: of params.yaml.
        train, fit_baseline: the stages, called with parameters, a folder to write and the paintings a shape.
        sizes: paintings a shape; None: `DEFAULT_SIZES` as far as there are paintings.
        output: the folder for curve.csv and curve.png.

    Raises DatasetError if there are too few paintings.
    """
    labels = load_paintings("train", params.network.image_size).labels
    rarest = int(np.bincount(labels).min())
    sizes = sorted(set(sizes or (min(size, rarest) for size in DEFAULT_SIZES)))
    if sizes[-1] > rarest:
        raise DatasetError(
            f"{sizes[-1]} paintings a shape were asked for, and the rarest shape has {rarest}; name fewer with --sizes,"
            " or raise generate.train"
        )
    steps = {size: _steps_per_epoch(len(subset_per_shape(labels, size)), params.train.batch_size) for size in sizes}
    rows = []
    for size in sizes:
        epochs = round(params.train.epochs * steps[sizes[-1]] / steps[size])
        longer = params.model_copy(update={"train": params.train.model_copy(update={"epochs": epochs})})
        rows.append(_measure_point(longer, size, train, fit_baseline))
    _write_curve(rows, output)
    return rows


def _steps_per_epoch(paintings: int, batch_size: int) -> int:
    return math.ceil(paintings / batch_size)


def _measure_point(params: Params, size: int, train: Train, fit_baseline: FitBaseline) -> dict[str, Any]:
    """One point, from .strokewise if it was measured before."""
    decided = {
        "size": size,
        "paintings": [split_digest(split) for split in SPLITS],
        "params": [section.model_dump() for section in (params.network, params.train, params.baseline)],
        "code": code_digest("stages.train", "stages.baseline", "evaluation.learning_curve"),
    }
    kept = scratch_dir() / "curve" / f"{json_digest(decided)}.json"
    if kept.is_file():
        found: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
        return found
    scratch = kept.with_suffix("")
    train(params, scratch / "model", size)
    cnn, flattened = load_model(scratch / "model"), fit_baseline(params, scratch / "baseline", size)
    test = load_paintings("test", cnn.image_size)
    said = {
        "cnn": predict_proba(cnn, test.pictures),
        "baseline": flattened.predict_proba(test.pictures),
    }
    row: dict[str, Any] = {"paintings": size, "epochs": params.train.epochs, "choice": flattened.config["choice"]}
    for name, found_ in said.items():
        right = metrics.accuracy(test.labels, found_.argmax(axis=1))
        row |= {name: right.value, f"{name}_low": right.low, f"{name}_high": right.high}
    atomic_io.write_json(kept, row)
    shutil.rmtree(scratch, ignore_errors=True)
    return row


def _write_curve(rows: list[dict[str, Any]], output: Path) -> None:
    output.mkdir(parents=True, exist_ok=True)
    with atomic_io.atomic_replace(output / "curve.csv") as fresh, fresh.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, CURVE_COLUMNS, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
    series = {
        name: [(row["paintings"], row[name], row[f"{name}_low"], row[f"{name}_high"]) for row in rows]
        for name in ("cnn", "baseline")
    }
    panel = Panel("share right, against paintings a shape", series)
    plots.share_curves("How few paintings are enough?", [panel], output / "curve.png")


def curve_table(rows: list[dict[str, Any]]) -> str:
    """The points for a person."""

    def told(row: dict[str, Any], name: str) -> str:
        return f"{row[name]:6.1%} ({row[f'{name}_low']:.1%} to {row[f'{name}_high']:.1%})"

    lines = [f"{'paintings a shape':>17}  {'CNN':25}  baseline"]
    lines += [f"{row['paintings']:17}  {told(row, 'cnn'):25}  {told(row, 'baseline')}  {row['choice']}" for row in rows]
    return "\n".join(lines)
