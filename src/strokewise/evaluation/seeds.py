"""One number a seed → its mean, spread and interval; two such groups, paired by seed → how much they differ.

The seeds are the sample: an interval says where the mean over all seeds lies, not where another seed's number would.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from strokewise.evaluation.metrics import CONFIDENCE, FloatArray


@dataclass(frozen=True)
class SeedSummary:
    """A number over seeds; the interval is Student's, at 95 %. Of one seed nothing but the mean is known."""

    count: int
    mean: float
    deviation: float | None
    low: float | None
    high: float | None


def summarise_seeds(values: FloatArray | Sequence[float]) -> SeedSummary:
    """Mean, standard deviation and interval of the mean of float (N,), N ≥ 1."""
    sample = np.asarray(values, np.float64)
    mean = float(sample.mean())
    if len(sample) < 2:
        return SeedSummary(1, mean, None, None, None)
    deviation = float(sample.std(ddof=1))
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(sample) - 1)) * deviation / len(sample) ** 0.5
    return SeedSummary(len(sample), mean, deviation, mean - half, mean + half)


@dataclass(frozen=True)
class SeedComparison:
    """First less second, over the same seeds."""

    count: int
    difference: float
    low: float
    high: float
    p: float


def compare_seeds(first: FloatArray | Sequence[float], second: FloatArray | Sequence[float]) -> SeedComparison:
    """Compare two groups, float (N,) each, N ≥ 2, paired by position: Student's paired t-test, two-sided.

    Differences that are all the same leave no spread to test with; then p is that of the sign test.
    """
    differences = np.asarray(first, np.float64) - np.asarray(second, np.float64)
    summary = summarise_seeds(differences)
    assert summary.deviation is not None
    assert summary.low is not None
    assert summary.high is not None
    if summary.deviation <= 1e-12 * max(1.0, abs(summary.mean)):
        p = 1.0 if abs(summary.mean) <= 1e-12 else 2.0 ** (1 - summary.count)
    else:
        statistic = summary.mean / (summary.deviation / summary.count**0.5)
        p = float(2 * stats.t.sf(abs(statistic), summary.count - 1))
    return SeedComparison(summary.count, summary.mean, summary.low, summary.high, p)


def holm_adjust(p_values: Sequence[float]) -> list[float]:
    """p values corrected for how many there are (Holm 1979), in the same order."""
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted
