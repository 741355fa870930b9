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
    assert f"of the {wrong + 1} that only one of them gets right, the CNN wins {wrong}." in sentences[0]
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
    assert "shape_auroc" not in numbers


def test_sentences_and_headline_state_how_well_outlines_are_laid() -> None:
    labels = np.arange(30) % 3
    numbers, before = report_of(labels, labels, labels)
    share = {"value": 0.96, "low": 0.9, "high": 0.99}
    snap = {
        "snapped": share,
        "wrongly_snapped": share | {"value": 0.01},
        "iou": {"mean": 0.91},
        "distance": {"mean": 0.015},
    }
    sentences = report.with_sentences(numbers | {"snap": snap})["sentences"]
    assert sentences[: len(before)] == before
    assert sentences[len(before) :] == [
        "Of the shapes that it recognises, 96.0 % get a clean outline; it lies 1.5 % of the shape's longer side from"
        " where the hand was to go on average, and its area overlaps with the true one by 0.910.",
        "Of the doodles, 1.0 % get an outline, wrongly.",
    ]
    assert report.headline_metrics(numbers | {"snap": snap})["snap"] == {"iou": 0.91, "wrongly_snapped": 0.01}
    nothing = {"snapped": share, "wrongly_snapped": {"value": None}, "iou": None, "distance": None}
    assert report.with_sentences(numbers | {"snap": nothing})["sentences"] == before
    assert report.headline_metrics(numbers | {"snap": nothing})["snap"] == {}
