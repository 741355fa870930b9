"""What is said of two models: answers to the same paintings in, dictionaries ready for JSON and sentences out.

`labels` are int (N,), `probabilities` float (N, C), both N ≥ 1; a model's answer is its most probable shape, the
first of equals. Shares are in [0, 1], undefined ones None (see `statistics`); an interval is [low, high] or None.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from strokewise.data.shards import OTHER
from strokewise.evaluation import metrics
from strokewise.evaluation.metrics import Floats, Ints, Proportion

FACTOR_BINS = 5  # of a factor that is a number, each with about as many paintings


def model_metrics(labels: Ints, probabilities: Floats, shapes: tuple[str, ...]) -> dict[str, Any]:
    """Everything that is measured of one model. `rejected` only where `other` is among the shapes."""
    said = probabilities.argmax(axis=1)
    right = metrics.accuracy(labels, said)
    found: dict[str, Any] = {
        "accuracy": right.value,
        "low": right.low,
        "high": right.high,
        "macro_f1": metrics.macro_f1(labels, said),
        "log_loss": metrics.log_loss(labels, probabilities),
        "calibration_error": metrics.calibration_error(labels, probabilities),
        "shapes": {
            shape: {
                "precision": precision.value,
                "precision_interval": _interval(precision),
                "recall": recall.value,
                "recall_interval": _interval(recall),
                "support": recall.total,
            }
            for shape, (precision, recall) in zip(
                shapes, metrics.precision_recall(labels, said, len(shapes)), strict=True
            )
        },
    }
    if OTHER in shapes:
        rejected = metrics.false_rejections(labels, said, shapes.index(OTHER))
        found |= {"rejected": rejected.value, "rejected_interval": _interval(rejected)}
    return found


def paired_metrics(labels: Ints, cnn: Floats, baseline: Floats, resamples: int, seed: int) -> dict[str, Any]:
    """The paired comparison of the two models' answers (see `metrics.compare_paired`)."""
    pair = metrics.compare_paired(labels, cnn.argmax(axis=1), baseline.argmax(axis=1), resamples, seed)
    return {
        "difference": pair.difference,
        "low": pair.low,
        "high": pair.high,
        "p": pair.p,
        "cnn_wins": pair.wins,
        "baseline_wins": pair.losses,
    }


def summary_sentences(metrics: dict[str, Any]) -> list[str]:
    """Every number that matters of `metrics` (`paintings`, `cnn`, `baseline`, `paired`), in words; the first one is
    the result."""
    cnn, baseline, paired = metrics["cnn"], metrics["baseline"], metrics["paired"]
    decided = paired["cnn_wins"] + paired["baseline_wins"]
    told = [
        f"The CNN is right on {_percentage(cnn['accuracy'])} of {metrics['paintings']} test paintings"
        f" ({_percentage(cnn['low'])} to {_percentage(cnn['high'])}); the baseline, {baseline['choice']}, on"
        f" {_percentage(baseline['accuracy'])} ({_percentage(baseline['low'])} to {_percentage(baseline['high'])}); of the"
        f" {decided} that only one of them gets right, the CNN wins {paired['cnn_wins']}.",
        f"The difference is {100 * paired['difference']:.1f} points ({100 * paired['low']:.1f} to"
        f" {100 * paired['high']:.1f}); chance alone differs as much with {_format_p(paired['p'])}.",
        f"Its confidence is off by {_percentage(cnn['calibration_error'])} on average, the baseline's by"
        f" {_percentage(baseline['calibration_error'])}.",
    ]
    recalls = {shape: numbers["recall"] for shape, numbers in cnn["shapes"].items() if numbers["recall"] is not None}
    weakest = min(recalls, key=recalls.__getitem__)
    told.append(f"Its weakest shape is {weakest}: {_percentage(recalls[weakest])} of them are recognised.")
    if cnn.get("rejected") is not None:
        told.append(f"It turns away {_percentage(cnn['rejected'])} of the paintings that do show a shape as {OTHER}.")
    if "drawings" in metrics:
        told.append(_drawings_sentence(metrics["drawings"]))
    return told


def _drawings_sentence(found: dict[str, Any]) -> str:
    """Of the drawings by people, apart from all that is said of paintings."""
    rights = [
        f"{_percentage(numbers['accuracy'])} ({_percentage(numbers['low'])} to {_percentage(numbers['high'])})"
        for numbers in (found["cnn"], found["baseline"])
    ]
    recalls = {shape: numbers["recall"] for shape, numbers in found["cnn"]["shapes"].items()}
    each = ", ".join(f"{shape} {_percentage(recall)}" for shape, recall in recalls.items() if recall is not None)
    return (
        f"Of the {found['count']} drawings by people in data/drawings, the CNN recognises {rights[0]}, the baseline"
        f" {rights[1]}; the CNN, shape by shape: {each}."
    )


def accuracy_curve(values: NDArray[Any], right: dict[str, NDArray[np.bool_]]) -> list[dict[str, Any]]:
    """How often each model is right, along a factor that was drawn.

    Args:
        values: (N,), a number or a name for each painting. Many different numbers are put into `FACTOR_BINS` bins of about
            equally many paintings, shown at their mean; few, and names, stand for themselves, sorted.
        right: bool (N,) by the model's name.

    Returns:
        A row a bin: `value`, `paintings`, and for each model its share, `<model>_low` and `<model>_high`.
    """
    there = np.unique(values)  # sorted
    if values.dtype.kind in "fiu" and len(there) > 2 * FACTOR_BINS:
        edges = np.unique(np.quantile(values, np.linspace(0, 1, FACTOR_BINS + 1)))
        groups = [(float(f"{values[inside].mean():.6g}"), inside) for _, inside in metrics.split_ranges(values, edges)]
    else:
        groups = [(value.item() if hasattr(value, "item") else value, values == value) for value in there]
    return [
        _curve_row(value, {name: metrics.accuracy_where(answers, inside) for name, answers in right.items()})
        for value, inside in groups
    ]


def _curve_row(value: float | str, shares: dict[str, Proportion]) -> dict[str, Any]:
    row: dict[str, Any] = {"value": value, "paintings": next(iter(shares.values())).total}
    for name, share in shares.items():
        row |= {name: share.value, f"{name}_low": share.low, f"{name}_high": share.high}
    return row


def _interval(share: Proportion) -> list[float | None] | None:
    return None if share.value is None else [share.low, share.high]


def _percentage(share: float) -> str:
    return f"{100 * share:.1f} %"


def _format_p(p: float) -> str:
    return f"p = {p:.2g}" if p > 0 else "p below 1e-300"
