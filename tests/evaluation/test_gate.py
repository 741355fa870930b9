"""The gate: each rule can refuse, and its reason gives the numbers."""

import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from strokewise.evaluation import gate
from strokewise.evaluation.gate import GateDecision
from strokewise.params import RegisterParams

SHAPES = ("cross", "other", "star")
RULES = RegisterParams(min_improvement=0.02, alpha=0.01, min_recall=0.7)
PAINTINGS = 600
LABELS = np.arange(PAINTINGS) % len(SHAPES)


def wrong_at(*indices: Any) -> NDArray[Any]:
    """Predictions that are right except at these paintings."""
    predicted = LABELS.copy()
    for index in indices:
        predicted[index] = (LABELS[index] + 1) % len(SHAPES)
    return predicted


GOOD = wrong_at(slice(0, 12))  # 98 %
POOR = wrong_at(slice(0, 240))  # 60 %, and right nowhere that GOOD is wrong


def decide(
    cnn: NDArray[Any],
    baseline: NDArray[Any] = POOR,
    champion: NDArray[Any] | None = None,
    champion_shapes: tuple[str, ...] | None = None,
    rules: RegisterParams = RULES,
    **options: Any,
) -> GateDecision:
    if champion is not None:
        champion_shapes = champion_shapes or SHAPES
    decision = gate.decide(
        LABELS,
        cnn,
        baseline,
        SHAPES,
        rules,
        champion_predicted=champion,
        champion_shapes=champion_shapes,
        bootstrap_samples=1_000,
        seed=0,
        **options,
    )
    assert decision.reasons
    assert all(reason.endswith(".") for reason in decision.reasons)
    json.dumps(decision.numbers, allow_nan=False)
    return decision


def test_first_model_that_passes_becomes_champion() -> None:
    decision = decide(GOOD)
    assert decision.outcome == "champion"
    assert decision.reasons[-1] == "There is no champion yet."
    assert decision.numbers["baseline"]["difference"] == pytest.approx(0.38)


def test_broken_cnn_is_refused_by_every_rule() -> None:
    decision = decide(np.zeros(PAINTINGS, dtype=np.int64))
    assert decision.outcome == "refused"
    assert "It loses to the baseline by 26.67 points, and must beat it by at least 2.00 points." in decision.reasons
    assert "It recognises 0 % of star, and must recognise 70 % of each shape." in decision.reasons


def test_cnn_below_the_baseline_is_refused() -> None:
    decision = decide(GOOD, baseline=LABELS)
    assert decision.outcome == "refused"
    assert "loses to the baseline by 2.00 points" in decision.reasons[0]


def test_improvement_below_min_improvement_is_refused() -> None:
    decision = decide(LABELS, baseline=wrong_at(slice(0, 11)))  # 1.83 points, p = 0.001
    assert decision.outcome == "refused"
    assert len(decision.reasons) == 1
    assert "beats the baseline by 1.83 points, and must beat it by at least 2.00 points" in decision.reasons[0]
    assert decide(LABELS, baseline=wrong_at(slice(0, 12))).outcome == "champion"  # exactly the margin


def test_insignificant_improvement_is_refused() -> None:
    decision = decide(wrong_at(slice(0, 40)), baseline=wrong_at(slice(40, 95)))  # 2.5 points, 55 to 40
    assert decision.outcome == "refused"
    assert len(decision.reasons) == 1
    assert (
        "p = 0.15 (55 paintings won from the baseline, 40 lost to it), and p must be below 0.01"
        in (decision.reasons[0])
    )


def test_zero_min_improvement_still_requires_a_difference() -> None:
    rules = RegisterParams(min_improvement=0, alpha=0.999, min_recall=0)
    assert decide(GOOD, baseline=GOOD, rules=rules).outcome == "refused"


def test_shape_below_min_recall_is_refused() -> None:
    weak = wrong_at(np.flatnonzero(LABELS == 2)[:61])  # 139 of 200 stars: 69.5 %
    decision = decide(weak)
    assert decision.outcome == "refused"
    assert decision.reasons == ("It recognises 69.5 % of star, and must recognise 70 % of each shape.",)
    assert decide(weak, rules=RegisterParams(min_improvement=0.02, alpha=0.01, min_recall=0.695)).outcome == "champion"


def test_min_recall_holds_for_other_too() -> None:
    lost = GOOD.copy()
    other = SHAPES.index("other")
    lost[np.flatnonzero(other == LABELS)[::2]] = SHAPES.index("star")
    assert decide(lost).outcome == "refused"


def test_shape_without_test_paintings_is_refused_unless_min_recall_is_zero() -> None:
    labels = np.zeros(PAINTINGS, dtype=np.int64)
    for min_recall, outcome in ((0.7, "refused"), (0.0, "champion")):
        rules = RegisterParams(min_improvement=0.02, alpha=0.01, min_recall=min_recall)
        decision = gate.decide(labels, labels, labels + 1, SHAPES, rules, bootstrap_samples=200, seed=0)
        assert decision.outcome == outcome
    assert decision.numbers["recall"]["star"] is None


def test_one_test_painting_is_not_enough() -> None:
    one = np.zeros(1, dtype=np.int64)
    rules = RegisterParams(min_improvement=0.02, alpha=0.01, min_recall=0)
    assert gate.decide(one, one, one + 1, SHAPES, rules, bootstrap_samples=200, seed=0).outcome == "refused"


@pytest.mark.parametrize("seed", range(20))
def test_champion_does_not_improve_on_itself(seed: int) -> None:
    predicted = wrong_at(np.random.default_rng(seed).integers(0, PAINTINGS, 30))
    decision = decide(predicted, champion=predicted)
    assert decision.outcome == "challenger"
    assert "not shown to be better than the champion" in decision.reasons[-1]
    decision = decide(LABELS, champion=predicted, is_champion=True)  # as on a machine that rounds otherwise
    assert decision.outcome == "challenger"


def test_better_model_becomes_champion() -> None:
    decision = decide(GOOD, champion=wrong_at(slice(0, 40)))
    assert decision.outcome == "champion"
    assert "It is better than the champion" in decision.reasons[-1]
    assert "28 won and 0 lost" in decision.reasons[-1]
    assert decision.numbers["champion"]["low"] > 0


def test_worse_or_barely_better_model_becomes_challenger() -> None:
    assert decide(GOOD, champion=LABELS).outcome == "challenger"
    assert decide(wrong_at(slice(0, 20)), champion=wrong_at(slice(20, 45))).outcome == "challenger"


def test_five_wins_and_no_loss_are_not_enough() -> None:
    decision = decide(LABELS, champion=wrong_at(slice(0, 5)))
    assert decision.numbers["champion"]["low"] > 0
    assert decision.outcome == "challenger"
    assert decide(LABELS, champion=wrong_at(slice(0, 6))).outcome == "champion"


def test_at_most_one_of_two_models_is_better() -> None:
    one, two = GOOD, wrong_at(slice(0, 40))
    outcomes = [decide(one, champion=two).outcome, decide(two, champion=one).outcome]
    assert sorted(outcomes) == ["challenger", "champion"]


def test_champion_of_other_shapes_is_not_compared() -> None:
    decision = decide(LABELS, champion_shapes=("cross", "house", "other"))
    assert decision.outcome == "challenger"
    assert "knows other shapes (new: star; gone: house)" in decision.reasons[-1]
    assert "champion" not in decision.numbers


def test_refused_model_is_refused_whoever_is_champion() -> None:
    bad = np.zeros(PAINTINGS, dtype=np.int64)
    assert decide(bad, champion=wrong_at(slice(0, 599))).outcome == "refused"


def test_claim_over_seeds_replaces_the_claim_on_one() -> None:
    champion = wrong_at(slice(0, 60))  # 90 %, and GOOD is better with this seed
    steady = np.array([0.95, 0.96, 0.97]), np.array([0.90, 0.915, 0.915])
    lucky = np.array([0.98, 0.90, 0.89]), np.array([0.90, 0.91, 0.92])
    assert decide(GOOD, champion=champion).outcome == "champion"
    better = decide(GOOD, champion=champion, over_seeds=steady)
    assert (better.outcome, better.numbers["seeds"]["count"]) == ("champion", 3)
    assert better.reasons[1].startswith(
        "Over 3 seeds its settings are better than the champion's on the same paintings"
    )
    not_better = decide(GOOD, champion=champion, over_seeds=lucky)
    assert not_better.outcome == "challenger"
    assert not_better.reasons[1].startswith("Over 3 seeds its settings are not shown to be better")
