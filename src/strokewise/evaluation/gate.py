"""The gate: the answers of a CNN, its baseline and the present champion -> what becomes of the CNN, and why.

Pure: arrays and rules in, a decision out. All answers are int (N,), positions in `shapes`, to the same N ≥ 1 test
paintings. The numbers of a decision are ready for JSON (shares in [0, 1]; None where undefined).
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from strokewise.evaluation import metrics
from strokewise.evaluation.metrics import Ints, PairedComparison
from strokewise.params import RegisterParams

Verdict = Literal["champion", "challenger", "refused"]


@dataclass(frozen=True)
class GateDecision:
    """What becomes of the model: `champion` (it takes over), `challenger` (a version beside the champion) or
    `refused` (no version); `reasons` are plain sentences, at least one."""

    outcome: Verdict
    reasons: tuple[str, ...]
    numbers: dict[str, Any]


def decide(
    labels: Ints,
    cnn_said: Ints,
    baseline_said: Ints,
    shapes: tuple[str, ...],
    rules: RegisterParams,
    *,
    champion_said: Ints | None = None,
    champion_shapes: tuple[str, ...] | None = None,
    is_champion: bool = False,
    resamples: int,
    seed: int,
) -> GateDecision:
    """Judge a CNN by its answers to the test paintings.

    Args:
        labels, cnn_said, baseline_said: int (N,), the truth and the answers of both models.
        shapes: the names that these numbers stand for.
        rules: `margin`, `alpha` and `floor` of `params.yaml`.
        champion_said: int (N,), the present champion's answers to the same paintings; None where there is no
            champion, or where it knows other shapes and was not asked.
        champion_shapes: the present champion's shapes; None where there is no champion.
        is_champion: the present champion has this model's fingerprint: whatever the numbers say (another machine
            rounds otherwise), a model is no improvement on itself.
        resamples, seed: of the bootstrap.
    """
    assert len(labels) == len(cnn_said) == len(baseline_said) >= 1
    numbers: dict[str, Any] = {
        "paintings": len(labels),
        "accuracy": asdict(metrics.accuracy(labels, cnn_said)),
        "rules": {"margin": rules.min_improvement, "alpha": rules.alpha, "floor": rules.min_recall},
    }
    against_baseline = metrics.compare_paired(labels, cnn_said, baseline_said, resamples, seed)
    numbers["baseline"] = asdict(against_baseline)
    recalls = [recall.value for _, recall in metrics.precision_recall(labels, cnn_said, len(shapes))]
    numbers["recall"] = dict(zip(shapes, recalls, strict=True))
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
    assert champion_said is not None
    assert len(champion_said) == len(labels)
    against_champion = metrics.compare_paired(labels, cnn_said, champion_said, resamples, seed)
    numbers["champion"] = asdict(against_champion)
    better, why = _beats_champion(against_champion)
    return GateDecision("champion" if better else "challenger", (passed, why), numbers)


def _baseline_objections(pair: PairedComparison, rules: RegisterParams) -> list[str]:
    """What speaks against "better than the baseline by at least `margin`, with p below `alpha`"."""
    against = []
    if pair.difference < rules.min_improvement:  # no difference at all has p = 1, which the next rule refuses
        verb = "beats" if pair.difference >= 0 else "loses to"
        against.append(
            f"It {verb} the baseline by {_format_points(abs(pair.difference))}, and must beat it by at least"
            f" {_format_points(rules.min_improvement)}."
        )
    if pair.p >= rules.alpha:
        against.append(
            f"Chance alone differs this much with p = {pair.p:.2g} ({pair.wins} paintings won from the baseline,"
            f" {pair.losses} lost to it), and p must be below {rules.alpha:g}."
        )
    return against


def _recall_objections(recalls: dict[str, float | None], floor: float) -> list[str]:
    """What speaks against "no shape's recall is below `floor`"; a recall that nothing shows is not above it."""
    against = []
    for shape, recall in recalls.items():
        if recall is None and floor > 0:
            against.append(
                f"No test painting shows {shape}, so its recall is unknown, and must be {_format_percent(floor)}."
            )
        elif recall is not None and recall < floor:
            against.append(
                f"It recognises {_format_percent(recall)} of {shape}, and must recognise {_format_percent(floor)} of each shape."
            )
    return against


def _shape_difference(shapes: tuple[str, ...], champion: tuple[str, ...]) -> str:
    new, gone = sorted(set(shapes) - set(champion)), sorted(set(champion) - set(shapes))
    told = [f"new: {', '.join(new)}"] * bool(new) + [f"gone: {', '.join(gone)}"] * bool(gone)
    return f"It cannot be compared with the champion, which knows other shapes ({'; '.join(told) or 'reordered'})."


def _beats_champion(pair: PairedComparison) -> tuple[bool, str]:
    """Whether the interval of the difference lies above zero, and chance is ruled out at the interval's own level.

    The second is not idle: where five paintings differ and all five are won, the bootstrap's interval lies above
    zero (it draws none of the five once in 148 times), and a fair coin does as well once in 16.
    """
    level = 1 - metrics.CONFIDENCE
    better = pair.low > 0 and pair.p < level
    return better, (
        f"It is {'' if better else 'not shown to be '}better than the champion on the same {_format_pair(pair)}"
    )


def _format_pair(pair: PairedComparison) -> str:
    return (
        f"paintings: difference {_format_points(pair.difference)}, interval {_format_points(pair.low)} to {_format_points(pair.high)},"
        f" {pair.wins} won and {pair.losses} lost, p = {pair.p:.2g}."
    )


def _format_points(difference: float) -> str:
    """A difference of two shares in percentage points."""
    return f"{100 * difference:.2f} points"


def _format_percent(share: float) -> str:
    return f"{100 * share:.4g} %"
