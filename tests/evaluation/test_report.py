"""The report: its numbers and sentences agree with the predictions, also where numbers are undefined."""

import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import classification_report

from strokewise.evaluation import report

SHAPES = ("cross", "other", "star")


def one_hot(predicted: Any) -> NDArray[Any]:
    return np.eye(len(SHAPES), dtype=np.float32)[np.asarray(predicted)]


def report_of(labels: Any, cnn: Any, baseline: Any) -> tuple[dict[str, Any], list[str]]:
    labels = np.asarray(labels)
    numbers: dict[str, Any] = {
        "paintings": len(labels),
        "cnn": report.model_metrics(labels, one_hot(cnn), SHAPES),
        "baseline": report.model_metrics(labels, one_hot(baseline), SHAPES) | {"choice": "random forest"},
        "paired": report.paired_metrics(labels, one_hot(cnn), one_hot(baseline), bootstrap_samples=200, seed=0),
    }
    json.dumps(numbers, allow_nan=False)
    return numbers, report.summary_sentences(numbers)


def test_summary_states_the_numbers() -> None:
    labels = np.arange(30) % 3
    cnn, baseline = labels.copy(), labels.copy()
    cnn[0], baseline[1:11] = 1, 0  # one cross turned away; of ten others, seven missed
    numbers, sentences = report_of(labels, cnn, baseline)
    wrong = int(np.count_nonzero(baseline != labels))
    assert sentences[0].startswith("The CNN is right on 96.7 % of 30 test paintings (83.3 % to 99.4 %)")
    assert f"of the {wrong + 1} that only one of them gets is_correct, the CNN wins {wrong}." in sentences[0]
    assert "Its weakest shape is cross: 90.0 % of them are recognised." in sentences
    assert "It turns away 5.0 % of the paintings that do show a shape as other." in sentences
    expected = classification_report(
        labels, cnn, target_names=SHAPES, labels=range(3), output_dict=True, zero_division=np.nan
    )
    for shape in SHAPES:
        for number in ("precision", "recall", "support"):
            assert numbers["cnn"]["shapes"][shape][number] == pytest.approx(expected[shape][number])


@pytest.mark.parametrize(
    ("labels", "cnn", "baseline"),
    [([0], [0], [0]), ([0], [1], [2]), ([1, 1], [1, 1], [1, 0]), ([0, 2] * 400, [0, 2] * 400, [2, 0] * 400)],
    ids=["one painting", "one painting, all wrong", "other alone", "all against none"],
)
def test_summary_of_degenerate_cases_has_no_undefined_number(
    labels: list[int], cnn: list[int], baseline: list[int]
) -> None:
    _, sentences = report_of(labels, cnn, baseline)
    assert not [sentence for sentence in sentences if "nan" in sentence or "None" in sentence]


def test_p_too_small_for_a_float_is_not_shown_as_zero() -> None:
    _, sentences = report_of([0, 2] * 400, [0, 2] * 400, [2, 0] * 400)
    assert "p = 3e-241" in sentences[1]
    _, sentences = report_of([0, 2] * 800, [0, 2] * 800, [2, 0] * 800)
    assert "p below 1e-300" in sentences[1]


def test_false_rejections_need_the_shape_other() -> None:
    numbers = report.model_metrics(np.array([0, 1]), np.eye(2, dtype=np.float32), ("cross", "star"))
    assert "false_rejections" not in numbers


def test_accuracy_curve_bins_many_values_evenly() -> None:
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
def test_accuracy_curve_shows_each_of_a_few_values(values: NDArray[Any]) -> None:
    is_correct = np.arange(12) % 2 == 0
    rows = report.accuracy_curve(values, {"cnn": is_correct})
    assert [(row["value"], row["paintings"]) for row in rows] == [(value, 6) for value in sorted({*values.tolist()})]
    assert sorted(row["cnn"] for row in rows) == [0, 1]
    json.dumps(rows)


def test_accuracy_curve_of_one_value_is_one_point() -> None:
    assert [row["value"] for row in report.accuracy_curve(np.ones(50), {"cnn": np.ones(50, bool)})] == [1]
