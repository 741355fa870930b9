"""What is said of two models is true of their answers, also where numbers are missing."""

import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import metrics as theirs

from strokewise.evaluation import report

SHAPES = ("cross", "other", "star")


def certain(said: Any) -> NDArray[Any]:
    return np.eye(len(SHAPES), dtype=np.float32)[np.asarray(said)]


def told(labels: Any, cnn: Any, baseline: Any) -> tuple[dict[str, Any], list[str]]:
    labels = np.asarray(labels)
    found: dict[str, Any] = {
        "paintings": len(labels),
        "cnn": report.model_metrics(labels, certain(cnn), SHAPES),
        "baseline": report.model_metrics(labels, certain(baseline), SHAPES) | {"choice": "random forest"},
        "paired": report.paired_metrics(labels, certain(cnn), certain(baseline), resamples=200, seed=0),
    }
    json.dumps(found, allow_nan=False)
    return found, report.summary_sentences(found)


def test_the_sentences_say_the_numbers() -> None:
    labels = np.arange(30) % 3
    cnn, baseline = labels.copy(), labels.copy()
    cnn[0], baseline[1:11] = 1, 0  # one cross turned away; of ten others, seven missed
    found, sentences = told(labels, cnn, baseline)
    wrong = int(np.count_nonzero(baseline != labels))
    assert sentences[0].startswith("The CNN is right on 96.7 % of 30 test paintings (83.3 % to 99.4 %)")
    assert f"of the {wrong + 1} that only one of them gets right, the CNN wins {wrong}." in sentences[0]
    assert "Its weakest shape is cross: 90.0 % of them are recognised." in sentences
    assert "It turns away 5.0 % of the paintings that do show a shape as other." in sentences
    report = theirs.classification_report(
        labels, cnn, target_names=SHAPES, labels=range(3), output_dict=True, zero_division=np.nan
    )
    for shape in SHAPES:
        for number in ("precision", "recall", "support"):
            assert found["cnn"]["shapes"][shape][number] == pytest.approx(report[shape][number])


@pytest.mark.parametrize(
    ("labels", "cnn", "baseline"),
    [([0], [0], [0]), ([0], [1], [2]), ([1, 1], [1, 1], [1, 0]), ([0, 2] * 400, [0, 2] * 400, [2, 0] * 400)],
    ids=["one painting", "one painting, all wrong", "other alone", "all against nothing"],
)
def test_degenerate_cases_are_told_too(labels: list[int], cnn: list[int], baseline: list[int]) -> None:
    _, sentences = told(labels, cnn, baseline)
    assert not [sentence for sentence in sentences if "nan" in sentence or "None" in sentence]


def test_a_chance_too_small_for_a_float_is_not_zero() -> None:
    _, sentences = told([0, 2] * 400, [0, 2] * 400, [2, 0] * 400)
    assert "p = 3e-241" in sentences[1]
    _, sentences = told([0, 2] * 800, [0, 2] * 800, [2, 0] * 800)
    assert "p below 1e-300" in sentences[1]


def test_without_other_nothing_is_rejected() -> None:
    found = report.model_metrics(np.array([0, 1]), np.eye(2, dtype=np.float32), ("cross", "star"))
    assert "rejected" not in found


def test_a_curve_over_many_numbers_has_bins_of_like_size() -> None:
    values = np.random.default_rng(0).uniform(0, 1, 500)
    rows = report.accuracy_curve(values, {"cnn": values < 0.5, "baseline": values < 0.1})
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
def test_a_curve_over_a_few_values_shows_each(values: NDArray[Any]) -> None:
    right = np.arange(12) % 2 == 0
    rows = report.accuracy_curve(values, {"cnn": right})
    assert [(row["value"], row["paintings"]) for row in rows] == [(value, 6) for value in sorted({*values.tolist()})]
    assert sorted(row["cnn"] for row in rows) == [0, 1]
    json.dumps(rows)


def test_a_curve_over_one_value_is_one_point() -> None:
    assert [row["value"] for row in report.accuracy_curve(np.ones(50), {"cnn": np.ones(50, bool)})] == [1]
