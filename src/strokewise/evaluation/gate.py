"""The gate: predictions of a CNN, its baseline and the present champion → what becomes of the CNN, and why.

A pure function. All predictions are int (N,), positions in `shapes`, of the same N ≥ 1 test paintings.
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from strokewise.evaluation import metrics, seeds
from strokewise.evaluation.metrics import FloatArray, IntArray, PairedComparison
from strokewise.evaluation.seeds import SeedComparison
from strokewise.params import RegisterParams

Verdict = Literal["champion", "challenger", "refused"]


@dataclass(frozen=True)
class GateDecision:
    """What becomes of the model, why, and the numbers behind it."""

    outcome: Verdict
    """`champion` takes over, `challenger` is a version beside the champion, `refused` is no version."""
    reasons: tuple[str, ...]
    """Sentences, at least one."""
    numbers: dict[str, Any]
    """Ready for JSON: shares in [0, 1], None where undefined."""


def decide(
    labels: IntArray,
    cnn_predicted: IntArray,
    baseline_predicted: IntArray,
    shapes: tuple[str, ...],
    rules: RegisterParams,
    *,
    champion_predicted: IntArray | None = None,
    champion_shapes: tuple[str, ...] | None = None,
    is_champion: bool = False,
    over_seeds: tuple[FloatArray, FloatArray] | None = None,
    bootstrap_samples: int,
    seed: int,
) -> GateDecision:
    """Decide about a CNN from its predictions of the test paintings.

    Args:
        labels: int (N,).
        cnn_predicted, baseline_predicted: int (N,).
        shapes: the names of the labels.
        rules: `register` of params.yaml.
        champion_predicted: the present champion's predictions of the same paintings; None if there is no champion, or
            it knows other shapes.
        champion_shapes: the present champion's shapes; None if there is no champion.
        is_champion: whether the present champion has this model's fingerprint. A model is no improvement on itself,
            whatever the numbers are: another machine rounds differently.
        over_seeds: the accuracies of this CNN's and the champion's settings, float (S,) each, by seed: with them the
            claim to be better than the champion is made over seeds.
        bootstrap_samples, seed: as in `metrics.compare_paired`.
    """
    assert len(labels) == len(cnn_predicted) == len(baseline_predicted) >= 1
    against_baseline = metrics.compare_paired(labels, cnn_predicted, baseline_predicted, bootstrap_samples, seed)
    recalls = [recall.value for _, recall in metrics.precision_recall(labels, cnn_predicted, len(shapes))]
    numbers: dict[str, Any] = {
        "paintings": len(labels),
        "accuracy": asdict(metrics.accuracy(labels, cnn_predicted)),
        "rules": rules.model_dump(),
        "baseline": asdict(against_baseline),
        "recall": dict(zip(shapes, recalls, strict=True)),
    }
    reasons = _baseline_objections(against_baseline, rules) + _recall_objections(numbers["recall"], rules.min_recall)
    if reasons:
        return GateDecision("refused", tuple(reasons), numbers)
    passed = (
        f"It beats the baseline by {_format_points(against_baseline.difference)} (p = {against_baseline.p:.2g}), and no"
        f" shape's recall is below {_format_percent(rules.min_recall)}."
    )
    if champion_shapes is None:
        return GateDecision("champion", (passed, "There is no champion yet."), numbers)
    if champion_shapes != shapes:
        return GateDecision("challenger", (passed, _shape_difference(shapes, champion_shapes)), numbers)
    if is_champion:
        return GateDecision("challenger", (passed, "It is the present champion: no improvement on itself."), numbers)
    assert champion_predicted is not None
    assert len(champion_predicted) == len(labels)
    against_champion = metrics.compare_paired(labels, cnn_predicted, champion_predicted, bootstrap_samples, seed)
    numbers["champion"] = asdict(against_champion)
    is_better, reason = _beats_champion(against_champion)
    if over_seeds is not None:
        comparison = seeds.compare_seeds(*over_seeds)
        numbers["seeds"] = asdict(comparison)
        is_better, reason = _beats_over_seeds(comparison)
    return GateDecision("champion" if is_better else "challenger", (passed, reason), numbers)


def _baseline_objections(pair: PairedComparison, rules: RegisterParams) -> list[str]:
    """What is missing for "better than the baseline by at least `min_improvement`, with p below `alpha`"."""
    objections = []
    if pair.difference < rules.min_improvement:  # a difference of 0 has p = 1, which the next rule refuses
        verb = "beats" if pair.difference >= 0 else "loses to"
        objections.append(
            f"It {verb} the baseline by {_format_points(abs(pair.difference))}, and must beat it by at least"
            f" {_format_points(rules.min_improvement)}."
        )
    if pair.p >= rules.alpha:
        objections.append(
            f"Chance alone differs this much with p = {pair.p:.2g} ({pair.wins} paintings won from the baseline,"
            f" {pair.losses} lost to it), and p must be below {rules.alpha:g}."
        )
    return objections


def _recall_objections(recalls: dict[str, float | None], min_recall: float) -> list[str]:
    """What is missing for "no shape's recall is below `min_recall`"; an unknown recall counts as 0."""
    objections = []
    for shape, recall in recalls.items():
        required = _format_percent(min_recall)
        if recall is None and min_recall > 0:
            objections.append(f"No test painting shows {shape}, so its recall is unknown, and must be {required}.")
        elif recall is not None and recall < min_recall:
            objections.append(
                f"It recognises {_format_percent(recall)} of {shape}, and must recognise {required} of each shape."
            )
    return objections


def _shape_difference(shapes: tuple[str, ...], champion_shapes: tuple[str, ...]) -> str:
    new, gone = sorted(set(shapes) - set(champion_shapes)), sorted(set(champion_shapes) - set(shapes))
    changes = [f"new: {', '.join(new)}"] * bool(new) + [f"gone: {', '.join(gone)}"] * bool(gone)
    return f"It cannot be compared with the champion, which knows other shapes ({'; '.join(changes) or 'reordered'})."


def _beats_champion(pair: PairedComparison) -> tuple[bool, str]:
    """Whether the interval of the difference lies above zero and p is below the interval's own level.

    Both conditions are needed. Where five paintings differ and all five are won, the bootstrap's interval lies above
    zero (it draws none of the five once in 148 times), but a fair coin does as well once in 16.
    """
    is_better = pair.low > 0 and pair.p < 1 - metrics.CONFIDENCE
    return is_better, (
        f"It is {'' if is_better else 'not shown to be '}better than the champion on the same paintings: difference"
        f" {_format_points(pair.difference)}, interval {_format_points(pair.low)} to {_format_points(pair.high)},"
        f" {pair.wins} won and {pair.losses} lost, p = {pair.p:.2g}."
    )


def _beats_over_seeds(comparison: SeedComparison) -> tuple[bool, str]:
    """Whether the mean difference over seeds is shown to be above zero."""
    is_better = comparison.sign > 0
    interval = (
        "the same with each seed"
        if comparison.low is None or comparison.high is None
        else f"interval {_format_points(comparison.low)} to {_format_points(comparison.high)}"
    )
    return is_better, (
        f"Over {comparison.count} seeds its settings are {'' if is_better else 'not shown to be '}better than the"
        f" champion's on the same paintings: difference {_format_points(comparison.difference)}, {interval}, p ="
        f" {comparison.p:.2g}."
    )


def _format_points(difference: float) -> str:
    """A difference of two shares in percentage points."""
    return f"{100 * difference:.2f} points"


def _format_percent(share: float) -> str:
    return f"{100 * share:.4g} %"
