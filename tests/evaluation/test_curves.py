"""Accuracy curves: bins, columns, and the CSV that they are written to."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from strokewise.evaluation import curves


def test_accuracy_curve_bins_many_values_evenly() -> None:
    values = np.random.default_rng(0).uniform(0, 1, 500)
    rows = curves.accuracy_curve(values, {"cnn": values < 0.5, "baseline": values < 0.1})
    assert [row["paintings"] for row in rows] == [100] * 5
    assert [rows[i]["cnn"] for i in (0, 1, -1)] == [1, 1, 0]
    assert all(row["cnn_low"] <= row["cnn"] <= row["cnn_high"] for row in rows)
    assert [row["value"] for row in rows] == sorted(row["value"] for row in rows)
    assert sum(row["baseline"] * row["paintings"] for row in rows) == pytest.approx(np.count_nonzero(values < 0.1))


@pytest.mark.parametrize(
    "values",
    [
        np.array(["lined", "plain"] * 6),
        np.array(["lined", "plain"] * 6, dtype=object),
        np.array([0.0, 2.0] * 6),
        np.array([True, False] * 6),
    ],
    ids=["text", "text from Arrow", "few numbers", "yes and no"],
)
def test_accuracy_curve_shows_each_of_a_few_values(values: NDArray[Any]) -> None:
    correct = np.arange(12) % 2 == 0
    rows = curves.accuracy_curve(values, {"cnn": correct})
    assert [(row["value"], row["paintings"]) for row in rows] == [(value, 6) for value in sorted({*values.tolist()})]
    assert sorted(row["cnn"] for row in rows) == [0, 1]
    json.dumps(rows)


def test_accuracy_curve_of_one_value_is_one_point() -> None:
    assert [row["value"] for row in curves.accuracy_curve(np.ones(50), {"cnn": np.ones(50, bool)})] == [1]


def test_series_and_csv_hold_the_rows(tmp_path: Path) -> None:
    correct = np.array([True, True, False])
    rows = curves.accuracy_curve(np.array(["a", "a", "b"]), {"cnn": correct, "baseline": ~correct})
    series = curves.accuracy_series(rows, "value")
    assert [(x, share) for x, share, _, _ in series["cnn"]] == [("a", 1.0), ("b", 0.0)]
    assert [(x, share) for x, share, _, _ in series["baseline"]] == [("a", 0.0), ("b", 1.0)]
    curves.write_csv(tmp_path / "curve.csv", ("value", "cnn"), ((row["value"], row["cnn"]) for row in rows))
    assert (tmp_path / "curve.csv").read_bytes() == b"value,cnn\na,1.0\nb,0.0\n"
