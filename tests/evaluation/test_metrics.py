"""Metrics: equal to scikit-learn, SciPy and hand-worked values; defined, or None, in degenerate cases."""

import json
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn import metrics as sklearn_metrics

from strokewise.evaluation import metrics

SHAPES = 5


@pytest.fixture(params=range(4))
def predictions(request: pytest.FixtureRequest) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """(labels, predictions, probabilities) of 240 paintings, mostly right."""
    generator = np.random.default_rng(request.param)
    labels = generator.integers(0, SHAPES, 240)
    probabilities = generator.dirichlet(np.full(SHAPES, 0.4), 240)
    probabilities[np.arange(240), labels] += generator.uniform(0, 1.5, 240)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    return labels, probabilities.argmax(axis=1), probabilities


def test_accuracy_f1_and_log_loss_equal_scikit_learn(predictions: Any) -> None:
    labels, predicted, probabilities = predictions
    assert metrics.accuracy(labels, predicted).value == pytest.approx(sklearn_metrics.accuracy_score(labels, predicted))
    assert metrics.macro_f1(labels, predicted) == pytest.approx(
        sklearn_metrics.f1_score(labels, predicted, average="macro")
    )
    loss = sklearn_metrics.log_loss(labels, probabilities, labels=range(SHAPES))
    assert metrics.log_loss(labels, probabilities) == pytest.approx(loss)


def test_precision_and_recall_equal_scikit_learn(predictions: Any) -> None:
    labels, predicted, _ = predictions
    precision, recall, _, support = sklearn_metrics.precision_recall_fscore_support(
        labels, predicted, labels=range(SHAPES)
    )
    actual = metrics.precision_recall(labels, predicted, SHAPES)
    assert [p.value for p, _ in actual] == pytest.approx(list(precision))
    assert [r.value for _, r in actual] == pytest.approx(list(recall))
    assert [r.total for _, r in actual] == list(support)


def test_shape_auroc_equals_scikit_learn_also_with_ties(predictions: Any) -> None:
    labels, _, probabilities = predictions
    for scores in (probabilities, probabilities.round(1), np.full_like(probabilities, 0.2)):
        expected = sklearn_metrics.roc_auc_score(labels == 3, scores[:, 3])
        assert metrics.shape_auroc(labels, scores, 3) == pytest.approx(expected)


def test_shape_auroc_is_none_where_all_paintings_are_of_one_kind() -> None:
    assert metrics.shape_auroc(np.array([1, 1]), np.full((2, 2), 0.5), 1) is None
    assert metrics.shape_auroc(np.array([0, 0]), np.full((2, 2), 0.5), 1) is None


def test_macro_f1_ignores_shapes_neither_shown_nor_predicted() -> None:
    labels, predicted = np.array([0, 0, 2, 2]), np.array([0, 2, 2, 2])
    assert metrics.macro_f1(labels, predicted) == pytest.approx(
        sklearn_metrics.f1_score(labels, predicted, average="macro")
    )
    predicted = np.array([0, 4, 2, 2])  # but one that is predicted wrongly has an F1 of 0
    assert metrics.macro_f1(labels, predicted) == pytest.approx(
        sklearn_metrics.f1_score(labels, predicted, average="macro")
    )


@pytest.mark.parametrize(("count", "total"), [(0, 1), (1, 1), (0, 17), (17, 17), (81, 263), (2323, 2400)])
def test_wilson_interval_equals_scipy(count: int, total: int) -> None:
    expected = binomtest(count, total).proportion_ci(method="wilson")
    actual = metrics.wilson_proportion(count, total)
    assert (actual.low, actual.high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert actual.low is not None
    assert actual.high is not None
    assert 0 <= actual.low <= count / total <= actual.high <= 1


def test_wilson_interval_equals_newcombes_example() -> None:
    """Newcombe 1998, Statistics in Medicine 17, table I: 81 of 263 gives 0.2553 to 0.3662."""
    actual = metrics.wilson_proportion(81, 263)
    assert (actual.low, actual.high) == pytest.approx((0.2553, 0.3662), abs=5e-5)


def test_false_rejections_count_shapes_only() -> None:
    labels, predicted = np.array([0, 0, 1, 2, 2]), np.array([0, 2, 2, 2, 0])
    assert metrics.false_rejections(labels, predicted, other=2) == metrics.wilson_proportion(2, 3)


def test_mcnemar_p_equals_hand_worked_values() -> None:
    """3 to 0: the coin falls so one-sidedly in 2 of 8 throws; 9 to 1: 2 · (1 + 10) / 1024."""
    assert metrics.mcnemar_p(3, 0) == pytest.approx(0.25)
    assert metrics.mcnemar_p(1, 9) == pytest.approx(22 / 1024)
    assert metrics.mcnemar_p(0, 0) == 1


def differing_predictions(wins: int, losses: int, same: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    labels = np.zeros(wins + losses + same, dtype=np.int64)
    first, second = labels.copy(), labels.copy()
    second[:wins] = 1
    first[wins : wins + losses] = 1
    return labels, first, second


def test_paired_interval_equals_a_bootstrap_over_paintings() -> None:
    """Against the direct way: draw N paintings with replacement, take the difference, many times."""
    labels, first, second = differing_predictions(60, 25, 315)
    actual = metrics.compare_paired(labels, first, second, bootstrap_samples=20_000, seed=3)
    gains = (first == labels).astype(int) - (second == labels).astype(int)
    draws = np.random.default_rng(4).integers(0, len(gains), (4_000, len(gains)))
    low, high = np.quantile(gains[draws].mean(axis=1), [0.025, 0.975])
    assert (actual.wins, actual.losses, actual.difference) == (60, 25, pytest.approx(35 / 400))
    assert (actual.low, actual.high) == pytest.approx((low, high), abs=0.004)
    assert actual.p == pytest.approx(binomtest(60, 85).pvalue)


def test_paired_interval_covers_the_truth_at_its_confidence() -> None:
    generator = np.random.default_rng(5)
    covered = 0
    for seed in range(400):
        wins, losses, same = generator.multinomial(300, [0.2, 0.1, 0.7])
        measured = metrics.compare_paired(*differing_predictions(wins, losses, same), bootstrap_samples=500, seed=seed)
        covered += measured.low <= 0.1 <= measured.high
    assert 0.91 <= covered / 400 <= 0.98


def test_compare_paired_is_antisymmetric() -> None:
    labels, first, second = differing_predictions(40, 22, 200)
    one = metrics.compare_paired(labels, first, second, 5_000, 0)
    two = metrics.compare_paired(labels, second, first, 5_000, 0)
    assert (one.difference, one.p, one.wins) == (-two.difference, two.p, two.losses)
    assert one.low == pytest.approx(-two.high, abs=0.005)


def test_compare_paired_is_reproducible_by_seed() -> None:
    case = differing_predictions(40, 22, 200)
    assert metrics.compare_paired(*case, 500, 7) == metrics.compare_paired(*case, 500, 7)
    assert metrics.compare_paired(*case, 500, 7) != metrics.compare_paired(*case, 500, 8)


def test_calibration_error_equals_a_hand_worked_value() -> None:
    """Ten predictions at 0.9 of which six are right: 0.3 off; ten at 0.65 of which seven are: 0.05 off; mean 0.175."""
    labels = np.array([0] * 6 + [1] * 4 + [0] * 7 + [1] * 3)
    confidence = np.array([0.9] * 10 + [0.65] * 10)
    assert metrics.calibration_error(labels, np.stack([confidence, 1 - confidence], axis=1)) == pytest.approx(0.175)


def test_reliability_counts_every_painting_once(predictions: Any) -> None:
    labels, predicted, probabilities = predictions
    bins = metrics.reliability(labels, probabilities)
    assert sum(bin_.accuracy.total for bin_ in bins) == len(labels)
    assert sum(bin_.accuracy.count for bin_ in bins) == np.count_nonzero(labels == predicted)
    assert all(bin_.low <= bin_.mean_confidence <= bin_.high for bin_ in bins)


def test_reliability_counts_a_confidence_rounded_above_one() -> None:
    probabilities = np.array([[1.0000001, 0]], dtype=np.float32)
    assert metrics.reliability(np.array([0]), probabilities)[0].accuracy.total == 1


def test_split_ranges_are_half_open_except_the_last() -> None:
    measured = metrics.split_ranges(np.array([0.0, 1.0, 1.5, 3.0]), [0, 1, 2, 2.5, 3])
    assert [(i, inside.tolist()) for i, inside in measured] == [
        (0, [True, False, False, False]),
        (1, [False, True, True, False]),
        (3, [False, False, False, True]),
    ]


DEGENERATE = {
    "one painting, right": ([1], [1]),
    "one painting, wrong": ([1], [0]),
    "all right": ([0, 1, 2, 0, 1, 2], [0, 1, 2, 0, 1, 2]),
    "all wrong": ([0, 1, 2, 0, 1, 2], [1, 2, 0, 1, 2, 0]),
    "one shape missing": ([0, 0, 1, 1], [0, 1, 1, 1]),
    "a shape predicted that nothing shows": ([0, 0, 1, 1], [0, 2, 2, 1]),
}


@pytest.mark.parametrize("case", DEGENERATE)
def test_degenerate_cases_are_defined(case: str) -> None:
    labels, predicted = (np.array(side) for side in DEGENERATE[case])
    one_hot = np.eye(3, dtype=np.float32)[predicted]
    measured = {
        "accuracy": asdict(metrics.accuracy(labels, predicted)),
        "shapes": [[asdict(share) for share in pair] for pair in metrics.precision_recall(labels, predicted, 3)],
        "f1": metrics.macro_f1(labels, predicted),
        "loss": metrics.log_loss(labels, one_hot),
        "calibration": metrics.calibration_error(labels, one_hot),
        "false_rejections": asdict(metrics.false_rejections(labels, predicted, other=2)),
        "itself": asdict(metrics.compare_paired(labels, predicted, predicted, 100, 0)),
        "truth": asdict(metrics.compare_paired(labels, labels, predicted, 100, 0)),
    }
    json.dumps(measured, allow_nan=False)
    accuracy = float(np.mean(labels == predicted))
    assert measured["accuracy"]["value"] == accuracy
    assert measured["calibration"] == pytest.approx(1 - accuracy)
    assert measured["loss"] == pytest.approx((1 - accuracy) * -np.log(np.finfo(np.float32).eps))
    assert measured["itself"] == {"difference": 0, "low": 0, "high": 0, "p": 1, "wins": 0, "losses": 0}
    assert measured["truth"]["difference"] == pytest.approx(1 - accuracy)


def test_undefined_proportions_are_none() -> None:
    precision, recall = metrics.precision_recall(np.array([0, 1]), np.array([0, 0]), 3)[2]
    assert (precision.value, recall.value, recall.low, recall.total) == (None, None, None, 0)
    precision, recall = metrics.precision_recall(np.array([0, 1]), np.array([0, 0]), 3)[1]
    assert (precision.value, recall.value) == (None, 0)
    assert metrics.false_rejections(np.array([2]), np.array([2]), other=2).value is None
