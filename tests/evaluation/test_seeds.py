"""Statistics over seeds, against scipy's and statsmodels' definitions."""

import numpy as np
import pytest
from scipy import stats

from strokewise.evaluation.seeds import compare_seeds, holm_adjust, summarise_seeds


def test_summary_is_students() -> None:
    values = np.random.default_rng(0).normal(0.9, 0.01, 5)
    summary = summarise_seeds(values)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (summary.low, summary.high) == pytest.approx((expected.low, expected.high))
    assert (summary.count, summary.mean, summary.deviation) == (5, values.mean(), pytest.approx(np.std(values, ddof=1)))
    assert summarise_seeds([0.5]).low is None


def test_comparison_is_the_paired_t_test() -> None:
    generator = np.random.default_rng(1)
    first = generator.normal(0.9, 0.02, 6)
    second = first + generator.normal(0.01, 0.005, 6)
    comparison, expected = compare_seeds(first, second), stats.ttest_rel(first, second)
    interval = expected.confidence_interval(0.95)
    assert comparison.p == pytest.approx(expected.pvalue)
    assert (comparison.low, comparison.high) == pytest.approx((interval.low, interval.high))
    reverse = compare_seeds(second, first)
    assert (reverse.difference, reverse.p) == (-comparison.difference, pytest.approx(comparison.p))


def test_differences_without_spread_have_the_p_of_the_sign_test() -> None:
    assert compare_seeds([0.5, 0.6, 0.7], [0.5, 0.6, 0.7]).p == 1
    assert compare_seeds([1.0, 2.0, 3.0], [0.0, 1.0, 2.0]).p == 0.25


def test_holm_corrects_as_in_the_paper_and_keeps_the_order() -> None:
    assert holm_adjust([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm_adjust([0.9, 0.6]) == [1.0, 1.0]
    assert holm_adjust([0.2]) == [0.2]
    assert holm_adjust([]) == []
