"""Accuracies of both models along a factor or the number of paintings: rows of a table, CSV, and series for a diagram.

A row is a dictionary with what it is about and, for each model, the columns `<model>`, `<model>_low`, `<model>_high`.
"""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strokewise.evaluation import metrics
from strokewise.evaluation.metrics import Proportion

FACTOR_BINS = 5  # of a numeric factor, each with about as many paintings


def accuracy_curve(values: NDArray[Any], correct: Mapping[str, NDArray[np.bool_]]) -> list[dict[str, Any]]:
    """How often each model is right, along a factor of the paintings.

    Args:
        values: (N,), a number or a name for each painting. Many different numbers are put into `FACTOR_BINS` bins of
            about equally many paintings, shown at their mean; few numbers, and names, are shown one by one, sorted.
        correct: bool (N,) by the model's name.

    Returns a row for each bin, with `value` and `paintings`.
    """
    levels = np.unique(values)  # sorted
    if values.dtype.kind in "fiu" and len(levels) > 2 * FACTOR_BINS:
        edges = np.unique(np.quantile(values, np.linspace(0, 1, FACTOR_BINS + 1)))
        bins = [(float(f"{values[mask].mean():.6g}"), mask) for _, mask in metrics.split_ranges(values, edges)]
    else:
        bins = [(level.item() if hasattr(level, "item") else level, values == level) for level in levels]
    rows = []
    for value, mask in bins:
        accuracies = {name: metrics.accuracy_where(correct[name], mask) for name in correct}
        rows.append({"value": value, "paintings": int(np.count_nonzero(mask)), **accuracy_columns(accuracies)})
    return rows


def accuracy_columns(accuracies: Mapping[str, Proportion]) -> dict[str, Any]:
    """The columns of a row, from accuracies by the model's name."""
    columns: dict[str, Any] = {}
    for name, accuracy in accuracies.items():
        columns |= {name: accuracy.value, f"{name}_low": accuracy.low, f"{name}_high": accuracy.high}
    return columns


def accuracy_series(rows: Sequence[Mapping[str, Any]], x: str) -> dict[str, list[tuple[Any, Any, Any, Any]]]:
    """Rows as the series of a `plots.Panel`, one for each model, along the column `x`."""
    return {
        name: [(row[x], row[name], row[f"{name}_low"], row[f"{name}_high"]) for row in rows]
        for name in ("cnn", "baseline")
    }


def write_csv(path: Path, header: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    """Write a table; the same rows give the same bytes."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
