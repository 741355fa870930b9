"""Statistics over seeds: against scipy's, and by how often they claim what is not there."""

import numpy as np
import pytest
from scipy import stats

from strokewise.evaluation.seeds import compare_seeds, summarise_seeds


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
    comparison = compare_seeds([1.0, 2.0, 3.0], [0.0, 1.0, 2.0])
    assert (comparison.p, comparison.low, comparison.sign) == (0.25, None, 0)
    assert compare_seeds(np.ones(6), np.zeros(6)).sign == 1


@pytest.mark.parametrize("comparisons", [1, 7])
def test_difference_is_shown_exactly_where_the_interval_leaves_zero_out(comparisons: int) -> None:
    generator = np.random.default_rng(2)
    for _ in range(300):
        comparison = compare_seeds(generator.normal(0.02, 0.01, 4), np.zeros(4), comparisons)
        assert comparison.low is not None
        assert comparison.high is not None
        assert comparison.sign == (comparison.low > 0) - (comparison.high < 0)


def accuracies(
    generator: np.random.Generator, runs: int, seeds: int, advantage: float, paintings: int = 600, figures: int = 1
) -> np.ndarray:
    """Accuracies of two settings, float (runs, 2, figures, seeds), on the same paintings.

    Every seed has paintings of its own, some harder than others for both, and two trainings that came out differently.
    """
    shape = (runs, 1, figures, seeds)
    difficulty = generator.normal(0.9, 0.01, shape)
    skill = difficulty + generator.normal(0, 0.008, (runs, 2, figures, seeds))
    skill[:, 0] += advantage
    half = paintings // 2
    named_alike = generator.binomial(half, difficulty.clip(0, 1))
    return (named_alike + generator.binomial(half, skill.clip(0, 1))) / (2 * half)


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_of_equal_settings_at_most_one_in_forty_is_called_better(seeds: int) -> None:
    """Two-sided at 5 %, so that better and worse have half each; three standard errors of the count above that."""
    runs = 2_000
    groups = accuracies(np.random.default_rng(seeds), runs, seeds, advantage=0)
    signs = [compare_seeds(first, second).sign for ((first,), (second,)) in groups]
    limit = 0.025 * runs + 3 * (0.025 * runs) ** 0.5
    assert signs.count(1) <= limit
    assert signs.count(-1) <= limit
    assert signs.count(0) < runs, "it is no test that never claims anything"


def test_of_many_equal_figures_none_is_called_different_in_19_of_20_comparisons() -> None:
    """The seven figures of a CNN against two groups: without the correction, half of all would claim something."""
    runs, figures = 400, 14
    groups = accuracies(np.random.default_rng(14), runs, 5, advantage=0, figures=figures)

    def share_with_claim(comparisons: int) -> float:
        claims = [
            any(compare_seeds(*pair, comparisons).sign for pair in zip(first, second, strict=True))
            for first, second in groups
        ]
        return sum(claims) / runs

    assert share_with_claim(figures) <= 0.05 + 3 * (0.05 / runs) ** 0.5
    assert share_with_claim(1) > 0.3


def test_interval_covers_the_true_difference_and_a_real_one_is_found() -> None:
    runs, advantage = 1_000, 0.04
    groups = accuracies(np.random.default_rng(5), runs, 5, advantage)
    compared = [compare_seeds(first, second) for ((first,), (second,)) in groups]
    expected = advantage / 2  # half of the paintings are named alike
    covered = sum(
        each.low <= expected <= each.high for each in compared if each.low is not None and each.high is not None
    )
    assert covered / runs == pytest.approx(0.95, abs=0.02)
    assert sum(each.sign == 1 for each in compared) > runs / 2
    assert not any(each.sign == -1 for each in compared)
