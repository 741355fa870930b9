"""Arrays in, numbers out: how often a model is right, how sure that is, and how two models compare.

`labels` and `said` are int (N,), N ≥ 1: the true and the answered shape of each painting, as positions in the
list of shapes. `probabilities` are float (N, C), each row summing to 1. Every number is a plain float in natural
units (shares in [0, 1], nats), or None where it is undefined: the precision of a shape never said, the recall of
a shape that no painting shows. None becomes `null` in JSON; there is never a NaN. Intervals are at 95 %.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

CONFIDENCE = 0.95
Ints = NDArray[np.integer[Any]]
Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Proportion:
    """`count` of `total`: the share with its interval; all three are None where `total` is 0."""

    value: float | None
    low: float | None
    high: float | None
    count: int
    total: int


@dataclass(frozen=True)
class PairedComparison:
    """Two models on the same paintings; `difference` is the accuracy of the first less that of the second."""

    difference: float
    low: float  # of the bootstrap's interval
    high: float
    p: float  # exact McNemar test, two-sided
    wins: int  # paintings that only the first gets right
    losses: int  # paintings that only the second gets right


@dataclass(frozen=True)
class ReliabilityBin:
    """The paintings that a model answered with a confidence from `low` to `high`."""

    low: float
    high: float
    mean: float  # of the confidences
    right: Proportion


def wilson_proportion(count: int, total: int) -> Proportion:
    """`count` of `total` with Wilson's score interval (Wilson 1927), which stays inside [0, 1] also at 0 and 1."""
    if total == 0:
        return Proportion(None, None, None, 0, 0)
    z = float(stats.norm.ppf((1 + CONFIDENCE) / 2))
    p = count / total
    centre = (p + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * float(np.sqrt(p * (1 - p) / total + z * z / (4 * total * total)))
    # at the ends one limit is the share itself, which the arithmetic misses by a rounding error
    return Proportion(p, 0.0 if count == 0 else centre - half, 1.0 if count == total else centre + half, count, total)


def accuracy(labels: Ints, said: Ints) -> Proportion:
    """The share of paintings that were answered correctly."""
    return wilson_proportion(int(np.count_nonzero(labels == said)), len(labels))


def accuracy_where(right: NDArray[np.bool_], inside: NDArray[np.bool_]) -> Proportion:
    """The share of `right` (N,) where `inside` (N,)."""
    return wilson_proportion(int(np.count_nonzero(right & inside)), int(np.count_nonzero(inside)))


def precision_recall(labels: Ints, said: Ints, shapes: int) -> list[tuple[Proportion, Proportion]]:
    """(precision, recall) of each of `shapes` shapes; a precision's total is how often it was said, a recall's
    how many paintings show it (its support)."""
    hits = np.bincount(labels[labels == said], minlength=shapes)
    answered = np.bincount(said, minlength=shapes)
    support = np.bincount(labels, minlength=shapes)
    return [
        (wilson_proportion(int(hit), int(tried)), wilson_proportion(int(hit), int(there)))
        for hit, tried, there in zip(hits, answered, support, strict=True)
    ]


def macro_f1(labels: Ints, said: Ints) -> float:
    """The mean F1 over the shapes that occur, as label or as answer; a shape that occurs nowhere has no F1."""
    there = np.union1d(labels, said)
    hits = np.array([np.count_nonzero((labels == shape) & (said == shape)) for shape in there])
    sizes = np.array([np.count_nonzero(labels == shape) + np.count_nonzero(said == shape) for shape in there])
    return float(np.mean(2 * hits / sizes))


def log_loss(labels: Ints, probabilities: Floats) -> float:
    """The mean of -log(probability of the truth), in nats; a probability of 0 counts as float32's epsilon (1.2e-7),
    so that one certain error costs 16 nats and not infinity."""
    rows = probabilities.astype(np.float64)
    truth = rows[np.arange(len(labels)), labels] / rows.sum(axis=1)
    return float(np.mean(-np.log(np.maximum(truth, np.finfo(np.float32).eps))))


def reliability(labels: Ints, probabilities: Floats, bins: int = 10) -> list[ReliabilityBin]:
    """The paintings in `bins` equal ranges of the confidence in the answer; empty ranges are left out."""
    confidence = np.minimum(probabilities.max(axis=1).astype(np.float64), 1)  # float32 rounds some above 1
    right = labels == probabilities.argmax(axis=1)
    edges = np.linspace(0, 1, bins + 1)
    return [
        ReliabilityBin(
            float(edges[i]), float(edges[i + 1]), float(confidence[inside].mean()), accuracy_where(right, inside)
        )
        for i, inside in split_ranges(confidence, edges)
    ]


def calibration_error(labels: Ints, probabilities: Floats, bins: int = 10) -> float:
    """Expected calibration error (Naeini et al. 2015): the mean gap between confidence and accuracy over
    `reliability`'s ranges, weighted by their paintings. 0 is honest, 1 as wrong as can be."""
    return sum(
        abs(bin_.mean - (bin_.right.value or 0.0)) * bin_.right.total
        for bin_ in reliability(labels, probabilities, bins)
    ) / len(labels)


def false_rejections(labels: Ints, said: Ints, other: int) -> Proportion:
    """Of the paintings that show a shape, the share that was turned away as `other`."""
    shown = labels != other
    return wilson_proportion(int(np.count_nonzero(shown & (said == other))), int(np.count_nonzero(shown)))


def split_ranges(values: Floats, edges: Sequence[float] | Floats) -> list[tuple[int, NDArray[np.bool_]]]:
    """Which of `values` (N,) lie in each range [edge, next edge), the last closed: (number of the range, bool (N,)),
    empty ranges left out. No value may lie outside all of them."""
    limits = np.asarray(edges, dtype=np.float64)
    assert values.min() >= limits[0]
    assert values.max() <= limits[-1]
    place = np.clip(np.searchsorted(limits, values, side="right") - 1, 0, len(limits) - 2)
    return [(int(i), place == i) for i in np.unique(place)]


def mcnemar_p(wins: int, losses: int) -> float:
    """The exact two-sided p of McNemar's test: how often a fair coin, thrown once for each painting that only one
    of two models gets right, falls at least this unevenly. 1 where they never differ."""
    return float(stats.binomtest(wins, wins + losses).pvalue) if wins + losses else 1.0


def compare_paired(labels: Ints, first: Ints, second: Ints, resamples: int, seed: int) -> PairedComparison:
    """Compare the answers of two models to the same paintings; `first` and `second` are int (N,).

    The interval is the percentile bootstrap over paintings. A painting adds +1, 0 or -1 to the difference, so
    drawing N paintings with replacement is drawing the three counts from a multinomial: the same distribution, at a
    thousandth of the cost.
    """
    total = len(labels)
    wins = int(np.count_nonzero((first == labels) & (second != labels)))
    losses = int(np.count_nonzero((first != labels) & (second == labels)))
    generator = np.random.default_rng(seed)
    counts = generator.multinomial(total, np.array([wins, losses, total - wins - losses]) / total, size=resamples)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile((counts[:, 0] - counts[:, 1]) / total, [tail, 1 - tail])
    return PairedComparison((wins - losses) / total, float(low), float(high), mcnemar_p(wins, losses), wins, losses)
