"""One number a seed → its mean, spread and interval; two such groups, paired by seed → how much they differ.

The seeds are the sample: an interval says where the mean over all seeds lies, not where another seed's number would. As
a seed decides the paintings, too, those who drew them are part of what is sampled; a user's own drawings are not.
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


def summarise_seeds(values: FloatArray | Sequence[float], confidence: float = CONFIDENCE) -> SeedSummary:
    """Mean, standard deviation and interval of the mean of float (N,), N ≥ 1."""
    sample = np.asarray(values, np.float64)
    mean = float(sample.mean())
    if len(sample) < 2:
        return SeedSummary(1, mean, None, None, None)
    deviation = float(sample.std(ddof=1))
    half = float(stats.t.ppf((1 + confidence) / 2, len(sample) - 1)) * deviation / len(sample) ** 0.5
    return SeedSummary(len(sample), mean, deviation, mean - half, mean + half)


@dataclass(frozen=True)
class SeedComparison:
    """First less second, over the same seeds; p and interval are corrected, and p < 0.05 where 0 lies outside."""

    count: int
    difference: float
    low: float | None  # None where all differences are the same
    high: float | None
    p: float

    @property
    def sign(self) -> int:
        """1 where the first is shown to be larger, -1 where it is shown to be smaller, 0 where neither is shown."""
        return int(np.sign(self.difference)) if self.p < 1 - CONFIDENCE else 0


def compare_seeds(
    first: FloatArray | Sequence[float], second: FloatArray | Sequence[float], comparisons: int = 1
) -> SeedComparison:
    """Compare two groups, float (N,) each, N ≥ 2, paired by position: Student's paired t-test, two-sided.

    `comparisons` is how many are made together: by Bonferroni's correction, all their intervals hold at once in 95 % of
    cases. Differences that are all the same leave no spread to test with; then p is that of the sign test.
    """
    differences = np.asarray(first, np.float64) - np.asarray(second, np.float64)
    summary = summarise_seeds(differences, 1 - (1 - CONFIDENCE) / comparisons)
    assert summary.deviation is not None
    low, high = summary.low, summary.high
    if summary.deviation <= 1e-12 * max(1.0, abs(summary.mean)):
        low = high = None
        p = 1.0 if abs(summary.mean) <= 1e-12 else 2.0 ** (1 - summary.count)
    else:
        statistic = summary.mean / (summary.deviation / summary.count**0.5)
        p = float(2 * stats.t.sf(abs(statistic), summary.count - 1))
    return SeedComparison(summary.count, summary.mean, low, high, min(1.0, comparisons * p))
