"""Labels and predictions → how often a model is right, how certain that is, and how two models compare.

`labels` and `predicted` are int (N,), N ≥ 1: the true and the predicted shape of each painting, as positions in the
list of shapes. `probabilities` are float (N, C), each row summing to 1. Results are plain floats in natural units
(shares in [0, 1], nats), or None where they are undefined, such as the precision of a shape that is never predicted:
`null` in JSON, never NaN. Intervals are at 95 %.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

CONFIDENCE = 0.95
IntArray = NDArray[np.integer[Any]]
FloatArray = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Proportion:
    """`count` of `total` as a share with its interval; all three are None where `total` is 0."""

    count: int
    total: int
    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class PairedComparison:
    """Two models on the same paintings."""

    difference: float
    """Accuracy of the first less that of the second."""
    low: float
    """Lower end of the bootstrap's interval."""
    high: float
    p: float
    """Of the exact McNemar test, two-sided."""
    wins: int
    """Paintings that only the first gets right."""
    losses: int
    """Paintings that only the second gets right."""


@dataclass(frozen=True)
class ReliabilityBin:
    """The paintings that a model answered with a confidence from `low` to `high`."""

    low: float
    high: float
    mean_confidence: float
    accuracy: Proportion


def wilson_proportion(count: int, total: int) -> Proportion:
    """`count` of `total` with Wilson's score interval (Wilson 1927), which stays inside [0, 1] also at 0 and 1."""
    if total == 0:
        return Proportion(0, 0, None, None, None)
    z = float(stats.norm.ppf((1 + CONFIDENCE) / 2))
    p = count / total
    centre = (p + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * float(np.sqrt(p * (1 - p) / total + z * z / (4 * total * total)))
    # at 0 and 1 one end is the share itself, which the formula misses by a rounding error
    low, high = 0.0 if count == 0 else centre - half, 1.0 if count == total else centre + half
    return Proportion(count, total, p, low, high)


def accuracy(labels: IntArray, predicted: IntArray) -> Proportion:
    """The share of paintings that are predicted correctly."""
    return wilson_proportion(int(np.count_nonzero(labels == predicted)), len(labels))


def accuracy_where(correct: NDArray[np.bool_], mask: NDArray[np.bool_]) -> Proportion:
    """The share of `correct` (N,) among the paintings where `mask` (N,) is true."""
    return wilson_proportion(int(np.count_nonzero(correct & mask)), int(np.count_nonzero(mask)))


def precision_recall(labels: IntArray, predicted: IntArray, num_shapes: int) -> list[tuple[Proportion, Proportion]]:
    """(precision, recall) of each shape.

    The total of a precision is how often the shape is predicted, that of a recall how many paintings show it.
    """
    hits = np.bincount(labels[labels == predicted], minlength=num_shapes)
    predictions = np.bincount(predicted, minlength=num_shapes)
    support = np.bincount(labels, minlength=num_shapes)
    return [
        (wilson_proportion(int(hit), int(total)), wilson_proportion(int(hit), int(shown)))
        for hit, total, shown in zip(hits, predictions, support, strict=True)
    ]


def macro_f1(labels: IntArray, predicted: IntArray) -> float:
    """The mean F1 over the shapes that occur as label or as prediction."""
    shapes = np.union1d(labels, predicted)
    hits = np.array([np.count_nonzero((labels == shape) & (predicted == shape)) for shape in shapes])
    sizes = np.array([np.count_nonzero(labels == shape) + np.count_nonzero(predicted == shape) for shape in shapes])
    return float(np.mean(2 * hits / sizes))


def log_loss(labels: IntArray, probabilities: FloatArray) -> float:
    """The mean of -log(probability of the label), in nats.

    A probability of 0 counts as float32's epsilon (1.2e-7), so that one certain error costs 16 nats and not infinity.
    """
    rows = probabilities.astype(np.float64)
    truth = rows[np.arange(len(labels)), labels] / rows.sum(axis=1)
    return float(np.mean(-np.log(np.maximum(truth, np.finfo(np.float32).eps))))


def reliability(labels: IntArray, probabilities: FloatArray, bins: int = 10) -> list[ReliabilityBin]:
    """The paintings in `bins` equal ranges of the confidence; empty ranges are left out."""
    confidence = np.minimum(probabilities.max(axis=1).astype(np.float64), 1)  # float32 rounds some above 1
    correct = labels == probabilities.argmax(axis=1)
    edges = np.linspace(0, 1, bins + 1)
    return [
        ReliabilityBin(
            low=float(edges[i]),
            high=float(edges[i + 1]),
            mean_confidence=float(confidence[mask].mean()),
            accuracy=accuracy_where(correct, mask),
        )
        for i, mask in split_ranges(confidence, edges)
    ]


def calibration_error(labels: IntArray, probabilities: FloatArray, bins: int = 10) -> float:
    """Expected calibration error (Naeini et al. 2015), in [0, 1].

    The mean gap between confidence and accuracy over the ranges of `reliability`, weighted by their paintings.
    """
    return sum(
        abs(bin_.mean_confidence - (bin_.accuracy.value or 0.0)) * bin_.accuracy.total
        for bin_ in reliability(labels, probabilities, bins)
    ) / len(labels)


def false_rejections(labels: IntArray, predicted: IntArray, other: int) -> Proportion:
    """The share predicted as `other` among the paintings that show a shape."""
    shown = labels != other
    return wilson_proportion(int(np.count_nonzero(shown & (predicted == other))), int(np.count_nonzero(shown)))


def shape_auroc(labels: IntArray, probabilities: FloatArray, other: int) -> float | None:
    """Area under the ROC curve of *one of the shapes or none of them*, by the probability of `other`.

    How often a painting of a shape has a lower probability of `other` than one that shows none, ties counting half: the
    statistic of Mann and Whitney 1947. None where all paintings are of one kind.
    """
    shown = labels != other
    pairs = int(np.count_nonzero(shown)) * int(np.count_nonzero(~shown))
    if not pairs:
        return None
    rejection = probabilities[:, other]
    return float(stats.mannwhitneyu(rejection[~shown], rejection[shown], method="asymptotic").statistic) / pairs


def split_ranges(values: FloatArray, edges: Sequence[float] | FloatArray) -> list[tuple[int, NDArray[np.bool_]]]:
    """Which of `values` (N,) lie in each range [edge, next edge), the last one closed.

    Returns (number of the range, mask (N,)) of each range that is not empty. No value may lie outside all ranges.
    """
    limits = np.asarray(edges, dtype=np.float64)
    assert values.min() >= limits[0]
    assert values.max() <= limits[-1]
    number = np.clip(np.searchsorted(limits, values, side="right") - 1, 0, len(limits) - 2)
    return [(int(i), number == i) for i in np.unique(number)]


def mcnemar_p(wins: int, losses: int) -> float:
    """The exact two-sided p of McNemar's test.

    How often a fair coin, tossed once for each painting that only one of two models gets right, falls at least as
    unevenly; 1 where they never differ.
    """
    return float(stats.binomtest(wins, wins + losses).pvalue) if wins + losses else 1.0


def compare_paired(
    labels: IntArray, first: IntArray, second: IntArray, bootstrap_samples: int, seed: int
) -> PairedComparison:
    """Compare two models on the same paintings.

    The interval is the percentile bootstrap over paintings. A painting adds +1, 0 or -1 to the difference, so drawing N
    paintings with replacement is drawing the three counts from a multinomial: the same distribution at a thousandth of
    the cost.

    Args:
        labels: int (N,).
        first, second: the predictions of the models, int (N,).
        bootstrap_samples: how often the paintings are drawn again.
        seed: of the bootstrap.
    """
    total = len(labels)
    wins = int(np.count_nonzero((first == labels) & (second != labels)))
    losses = int(np.count_nonzero((first != labels) & (second == labels)))
    generator = np.random.default_rng(seed)
    shares = np.array([wins, losses, total - wins - losses]) / total
    counts = generator.multinomial(total, shares, size=bootstrap_samples)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile((counts[:, 0] - counts[:, 1]) / total, [tail, 1 - tail])
    return PairedComparison((wins - losses) / total, float(low), float(high), mcnemar_p(wins, losses), wins, losses)
