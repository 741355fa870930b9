"""The numbers agree with scikit-learn, scipy and hand-worked ones, and degenerate cases have an answer."""

import json
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn import metrics

from strokewise.evaluation import metrics

SHAPES = 5


@pytest.fixture(params=range(4))
def answers(request: pytest.FixtureRequest) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """(labels, said, probabilities) of 240 paintings, mostly right."""
    generator = np.random.default_rng(request.param)
    labels = generator.integers(0, SHAPES, 240)
    probabilities = generator.dirichlet(np.full(SHAPES, 0.4), 240)
    probabilities[np.arange(240), labels] += generator.uniform(0, 1.5, 240)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    return labels, probabilities.argmax(axis=1), probabilities


def test_accuracy_f1_and_log_loss_agree_with_scikit_learn(answers: Any) -> None:
    labels, said, probabilities = answers
    assert metrics.accuracy(labels, said).value == pytest.approx(metrics.accuracy_score(labels, said))
    assert metrics.macro_f1(labels, said) == pytest.approx(metrics.f1_score(labels, said, average="macro"))
    loss = metrics.log_loss(labels, probabilities, labels=range(SHAPES))
    assert metrics.log_loss(labels, probabilities) == pytest.approx(loss)


def test_precision_and_recall_agree_with_scikit_learn(answers: Any) -> None:
    labels, said, _ = answers
    precision, recall, _, support = metrics.precision_recall_fscore_support(labels, said, labels=range(SHAPES))
    ours = metrics.precision_recall(labels, said, SHAPES)
    assert [p.value for p, _ in ours] == pytest.approx(list(precision))
    assert [r.value for _, r in ours] == pytest.approx(list(recall))
    assert [r.total for _, r in ours] == list(support)


def test_a_shape_that_is_neither_shown_nor_said_has_no_part_in_macro_f1() -> None:
    labels, said = np.array([0, 0, 2, 2]), np.array([0, 2, 2, 2])
    assert metrics.macro_f1(labels, said) == pytest.approx(metrics.f1_score(labels, said, average="macro"))
    said = np.array([0, 4, 2, 2])  # but one that is said wrongly has an F1 of 0
    assert metrics.macro_f1(labels, said) == pytest.approx(metrics.f1_score(labels, said, average="macro"))


@pytest.mark.parametrize(("count", "total"), [(0, 1), (1, 1), (0, 17), (17, 17), (81, 263), (2323, 2400)])
def test_wilson_agrees_with_scipy(count: int, total: int) -> None:
    theirs = binomtest(count, total).proportion_ci(method="wilson")
    ours = metrics.wilson_proportion(count, total)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    assert ours.low is not None
    assert ours.high is not None
    assert 0 <= ours.low <= count / total <= ours.high <= 1


def test_wilson_of_newcombes_example() -> None:
    """Newcombe 1998, Statistics in Medicine 17, table I: 81 of 263 gives 0.2553 to 0.3662."""
    ours = metrics.wilson_proportion(81, 263)
    assert (ours.low, ours.high) == pytest.approx((0.2553, 0.3662), abs=5e-5)


def test_rejected_counts_shapes_only() -> None:
    labels, said = np.array([0, 0, 1, 2, 2]), np.array([0, 2, 2, 2, 0])
    assert metrics.false_rejections(labels, said, other=2) == metrics.wilson_proportion(2, 3)


def test_mcnemar_by_hand() -> None:
    """3 to 0: the coin falls so one-sidedly in 2 of 8 throws; 9 to 1: 2 · (1 + 10) / 1024."""
    assert metrics.mcnemar_p(3, 0) == pytest.approx(0.25)
    assert metrics.mcnemar_p(1, 9) == pytest.approx(22 / 1024)
    assert metrics.mcnemar_p(0, 0) == 1


def answers_that_differ(wins: int, losses: int, same: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    labels = np.zeros(wins + losses + same, dtype=np.int64)
    first, second = labels.copy(), labels.copy()
    second[:wins] = 1
    first[wins : wins + losses] = 1
    return labels, first, second


def test_the_paired_interval_is_that_of_drawing_paintings() -> None:
    """Against the plain way: draw N paintings with replacement, take the difference, many times."""
    labels, first, second = answers_that_differ(60, 25, 315)
    ours = metrics.compare_paired(labels, first, second, resamples=20_000, seed=3)
    gains = (first == labels).astype(int) - (second == labels).astype(int)
    draws = np.random.default_rng(4).integers(0, len(gains), (4_000, len(gains)))
    low, high = np.quantile(gains[draws].mean(axis=1), [0.025, 0.975])
    assert (ours.wins, ours.losses, ours.difference) == (60, 25, pytest.approx(35 / 400))
    assert (ours.low, ours.high) == pytest.approx((low, high), abs=0.004)
    assert ours.p == pytest.approx(binomtest(60, 85).pvalue)


def test_the_paired_interval_covers_the_truth_as_often_as_it_says() -> None:
    generator = np.random.default_rng(5)
    covered = 0
    for seed in range(400):
        wins, losses, same = generator.multinomial(300, [0.2, 0.1, 0.7])
        found = metrics.compare_paired(*answers_that_differ(wins, losses, same), resamples=500, seed=seed)
        covered += found.low <= 0.1 <= found.high
    assert 0.91 <= covered / 400 <= 0.98


def test_swapping_the_models_mirrors_the_comparison() -> None:
    labels, first, second = answers_that_differ(40, 22, 200)
    one = metrics.compare_paired(labels, first, second, 5_000, 0)
    two = metrics.compare_paired(labels, second, first, 5_000, 0)
    assert (one.difference, one.p, one.wins) == (-two.difference, two.p, two.losses)
    assert one.low == pytest.approx(-two.high, abs=0.005)


def test_the_same_seed_gives_the_same_interval() -> None:
    case = answers_that_differ(40, 22, 200)
    assert metrics.compare_paired(*case, 500, 7) == metrics.compare_paired(*case, 500, 7)
    assert metrics.compare_paired(*case, 500, 7) != metrics.compare_paired(*case, 500, 8)


def test_calibration_error_by_hand() -> None:
    """Ten answers at 0.9 of which six are right: 0.3 off; ten at 0.65 of which seven are: 0.05 off; mean 0.175."""
    labels = np.array([0] * 6 + [1] * 4 + [0] * 7 + [1] * 3)
    sure = np.array([0.9] * 10 + [0.65] * 10)
    assert metrics.calibration_error(labels, np.stack([sure, 1 - sure], axis=1)) == pytest.approx(0.175)


def test_reliability_loses_no_painting(answers: Any) -> None:
    labels, said, probabilities = answers
    bins = metrics.reliability(labels, probabilities)
    assert sum(bin_.right.total for bin_ in bins) == len(labels)
    assert sum(bin_.right.count for bin_ in bins) == np.count_nonzero(labels == said)
    assert all(bin_.low <= bin_.mean <= bin_.high for bin_ in bins)


def test_a_confidence_that_float32_rounded_above_one_is_counted() -> None:
    probabilities = np.array([[1.0000001, 0]], dtype=np.float32)
    assert metrics.reliability(np.array([0]), probabilities)[0].right.total == 1


def test_bins_are_closed_on_the_left_and_the_last_also_on_the_right() -> None:
    found = metrics.split_ranges(np.array([0.0, 1.0, 1.5, 3.0]), [0, 1, 2, 2.5, 3])
    assert [(i, inside.tolist()) for i, inside in found] == [
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
    "a shape said that nothing shows": ([0, 0, 1, 1], [0, 2, 2, 1]),
}


@pytest.mark.parametrize("case", DEGENERATE)
def test_degenerate_cases_have_an_answer(case: str) -> None:
    labels, said = (np.array(side) for side in DEGENERATE[case])
    certain = np.eye(3, dtype=np.float32)[said]
    found = {
        "accuracy": asdict(metrics.accuracy(labels, said)),
        "shapes": [[asdict(share) for share in pair] for pair in metrics.precision_recall(labels, said, 3)],
        "f1": metrics.macro_f1(labels, said),
        "loss": metrics.log_loss(labels, certain),
        "calibration": metrics.calibration_error(labels, certain),
        "rejected": asdict(metrics.false_rejections(labels, said, other=2)),
        "itself": asdict(metrics.compare_paired(labels, said, said, 100, 0)),
        "truth": asdict(metrics.compare_paired(labels, labels, said, 100, 0)),
    }
    json.dumps(found, allow_nan=False)
    share_right = float(np.mean(labels == said))
    assert found["accuracy"]["value"] == share_right
    assert found["calibration"] == pytest.approx(1 - share_right)
    assert found["loss"] == pytest.approx((1 - share_right) * -np.log(np.finfo(np.float32).eps))
    assert found["itself"] == {"difference": 0, "low": 0, "high": 0, "p": 1, "wins": 0, "losses": 0}
    assert found["truth"]["difference"] == pytest.approx(1 - share_right)


def test_what_is_undefined_is_none() -> None:
    precision, recall = metrics.precision_recall(np.array([0, 1]), np.array([0, 0]), 3)[2]
    assert (precision.value, recall.value, recall.low, recall.total) == (None, None, None, 0)
    precision, recall = metrics.precision_recall(np.array([0, 1]), np.array([0, 0]), 3)[1]
    assert (precision.value, recall.value) == (None, 0)
    assert metrics.false_rejections(np.array([2]), np.array([2]), other=2).value is None
