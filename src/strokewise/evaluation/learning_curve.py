"""Train both models on few paintings → curve.csv and curve.png: accuracy against training paintings a shape.

Each point trains the CNN and the baseline on the first so many training paintings of every shape, a larger set
containing the smaller, and evaluates both on all test paintings. The CNN takes as many steps at each point as with the
most paintings (more epochs where there are fewer), so that fewer paintings do not also mean less training. Drawings by
people are left out. Finished points are kept in .strokewise/curve, and an unfinished training resumes from its
checkpoint: a killed run goes on when it is started again.
"""

import json
import math
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from strokewise import plots
from strokewise.code_digest import code_digest, json_digest
from strokewise.data.dataset import load_paintings, split_digest, subset_per_shape
from strokewise.data.shards import SPLITS
from strokewise.errors import DatasetError
from strokewise.evaluation import metrics
from strokewise.evaluation.curves import accuracy_columns, accuracy_series, write_csv
from strokewise.model.onnx_file import OnnxModel, load_onnx
from strokewise.params import Params
from strokewise.plots import Panel
from strokewise.support import atomic_io
from strokewise.support.paths import CURVE_DIR, scratch_dir

DEFAULT_SIZES = (5, 10, 25, 50)  # paintings a shape
CURVE_COLUMNS = (
    *("paintings", "epochs"),
    *("cnn", "cnn_low", "cnn_high"),
    *("baseline", "baseline_low", "baseline_high", "choice"),
)

TrainFunction = Callable[[Params, Path, int], Any]
FitFunction = Callable[[Params, Path, int], OnnxModel]


def measure_learning_curve(
    params: Params,
    train: TrainFunction,
    fit_baseline: FitFunction,
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
        rows.append(_measure_point(longer, train, fit_baseline, size))
    _write_curve(rows, output)
    return rows


def curve_table(rows: Sequence[dict[str, Any]]) -> str:
    """The points as a table to print."""

    def cell(row: dict[str, Any], name: str) -> str:
        return f"{row[name]:6.1%} ({row[f'{name}_low']:.1%} to {row[f'{name}_high']:.1%})"

    lines = [f"{'paintings a shape':>17}  {'CNN':25}  baseline"]
    lines += [f"{row['paintings']:17}  {cell(row, 'cnn'):25}  {cell(row, 'baseline')}  {row['choice']}" for row in rows]
    return "\n".join(lines)


def _steps_per_epoch(paintings: int, batch_size: int) -> int:
    return math.ceil(paintings / batch_size)


def _measure_point(params: Params, train: TrainFunction, fit_baseline: FitFunction, size: int) -> dict[str, Any]:
    """One point, from .strokewise if it was measured before."""
    decided = {
        "size": size,
        "paintings": [split_digest(split) for split in SPLITS],
        "params": [section.model_dump() for section in (params.network, params.train, params.baseline)],
        "code": code_digest("stages.train", "stages.baseline", "evaluation.learning_curve"),
    }
    file = scratch_dir() / "curve" / f"{json_digest(decided)}.json"
    if file.is_file():
        row: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return row
    scratch = file.with_suffix("")
    train(params, scratch / "model", size)
    cnn, baseline = load_onnx(scratch / "model"), fit_baseline(params, scratch / "baseline", size)
    test_set = load_paintings("test", cnn.image_size)
    probabilities = {
        "cnn": cnn.predict_proba(test_set.pictures),
        "baseline": baseline.predict_proba(test_set.pictures),
    }
    accuracies = {name: metrics.accuracy(test_set.labels, rows.argmax(axis=1)) for name, rows in probabilities.items()}
    row = {"paintings": size, "epochs": params.train.epochs, "choice": baseline.metadata["choice"]}
    row |= accuracy_columns(accuracies)
    atomic_io.write_json(file, row)
    shutil.rmtree(scratch, ignore_errors=True)
    return row


def _write_curve(rows: Sequence[dict[str, Any]], output: Path) -> None:
    output.mkdir(parents=True, exist_ok=True)
    with atomic_io.atomic_replace(output / "curve.csv") as fresh:
        write_csv(fresh, CURVE_COLUMNS, ([row[name] for name in CURVE_COLUMNS] for row in rows))
    panel = Panel("share right, against paintings a shape", accuracy_series(rows, "paintings"))
    plots.share_curves("How few paintings are enough?", [panel], output / "curve.png")
