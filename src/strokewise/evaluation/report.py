"""Predictions of two models on the same paintings → dictionaries ready for JSON, and sentences.

`labels` are int (N,), `probabilities` float (N, C), N ≥ 1; a model predicts its most probable shape, the first of
equals. Shares are in [0, 1]; an interval is [low, high]; both are None where they are undefined (see `metrics`).
"""

from collections.abc import Mapping
from typing import Any

from strokewise.data.shapes import OTHER
from strokewise.evaluation import metrics
from strokewise.evaluation.metrics import FloatArray, IntArray, Proportion


def model_metrics(labels: IntArray, probabilities: FloatArray, shapes: tuple[str, ...]) -> dict[str, Any]:
    """Everything measured of one model; `false_rejections` and `shape_auroc` only if `other` is among the shapes."""
    predicted = probabilities.argmax(axis=1)
    accuracy = metrics.accuracy(labels, predicted)
    per_shape = zip(shapes, metrics.precision_recall(labels, predicted, len(shapes)), strict=True)
    numbers: dict[str, Any] = {
        "accuracy": accuracy.value,
        "low": accuracy.low,
        "high": accuracy.high,
        "macro_f1": metrics.macro_f1(labels, predicted),
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
            for shape, (precision, recall) in per_shape
        },
    }
    if OTHER in shapes:
        rejections = metrics.false_rejections(labels, predicted, shapes.index(OTHER))
        numbers |= {
            "false_rejections": rejections.value,
            "false_rejections_interval": _interval(rejections),
            "shape_auroc": metrics.shape_auroc(labels, probabilities, shapes.index(OTHER)),
        }
    return numbers


def paired_metrics(
    labels: IntArray, cnn: FloatArray, baseline: FloatArray, bootstrap_samples: int, seed: int
) -> dict[str, Any]:
    """The paired comparison of the two models (see `metrics.compare_paired`).

    Args:
        labels: int (N,).
        cnn, baseline: probabilities (N, C).
        bootstrap_samples: how often the paintings are drawn again.
        seed: of the bootstrap.
    """
    pair = metrics.compare_paired(labels, cnn.argmax(axis=1), baseline.argmax(axis=1), bootstrap_samples, seed)
    return {
        "difference": pair.difference,
        "low": pair.low,
        "high": pair.high,
        "p": pair.p,
        "cnn_wins": pair.wins,
        "baseline_wins": pair.losses,
    }


def headline_metrics(numbers: Mapping[str, Any]) -> dict[str, Any]:
    """The dozen numbers that one compares; `numbers` as for `summary_sentences`.

    `weakest_recall` is the lowest recall of a shape, `difference` the CNN's accuracy less the baseline's. What is
    undefined is left out.
    """
    cnn, baseline, paired = numbers["cnn"], numbers["baseline"], numbers["paired"]
    shared = ("accuracy", "macro_f1", "log_loss")
    headline: dict[str, Any] = {
        "cnn": {name: cnn[name] for name in (*shared, "calibration_error")}
        | {"weakest_recall": min(_defined_recalls(cnn).values())}
        | {name: cnn.get(name) for name in ("false_rejections", "shape_auroc")},
        "baseline": {name: baseline[name] for name in shared},
        "difference": {"value": paired["difference"], "low": paired["low"], "high": paired["high"]},
    }
    if "snap" in numbers:
        snap = numbers["snap"]
        headline["snap"] = {"iou": (snap["iou"] or {}).get("mean"), "wrongly_snapped": snap["wrongly_snapped"]["value"]}
    if "drawings" in numbers:
        headline["drawings"] = {kind: numbers["drawings"][kind]["accuracy"] for kind in ("cnn", "baseline")}
    return {
        name: {inner: value for inner, value in values.items() if value is not None}
        for name, values in headline.items()
    }


def with_sentences(numbers: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers with `sentences`, and the first of them as `sentence`."""
    sentences = summary_sentences(numbers)
    return {**numbers, "sentence": sentences[0], "sentences": sentences}


def summary_sentences(numbers: Mapping[str, Any]) -> list[str]:
    """The numbers that matter as sentences; the first one is the result.

    `numbers` has `paintings`, `cnn` and `baseline` (see `model_metrics`), `paired` and, if there are any, `drawings`.
    """
    cnn, baseline, paired = numbers["cnn"], numbers["baseline"], numbers["paired"]
    sentences = [
        f"The CNN is right on {_percentage(cnn['accuracy'])} of {numbers['paintings']} test paintings"
        f" ({_percentage(cnn['low'])} to {_percentage(cnn['high'])}); the baseline, {baseline['choice']}, on"
        f" {_percentage(baseline['accuracy'])} ({_percentage(baseline['low'])} to {_percentage(baseline['high'])}); of"
        f" the {paired['cnn_wins'] + paired['baseline_wins']} that only one of them gets right, the CNN wins"
        f" {paired['cnn_wins']}.",
        f"The difference is {100 * paired['difference']:.1f} points ({100 * paired['low']:.1f} to"
        f" {100 * paired['high']:.1f}); chance alone differs as much with {_format_p(paired['p'])}.",
        f"Its confidence is off by {_percentage(cnn['calibration_error'])} on average, the baseline's by"
        f" {_percentage(baseline['calibration_error'])}.",
    ]
    recalls = _defined_recalls(cnn)
    weakest = min(recalls, key=recalls.__getitem__)
    sentences.append(f"Its weakest shape is {weakest}: {_percentage(recalls[weakest])} of them are recognised.")
    if cnn.get("false_rejections") is not None:
        share = _percentage(cnn["false_rejections"])
        sentences.append(f"It turns away {share} of the paintings that do show a shape as {OTHER}.")
    if "snap" in numbers:
        sentences += _snap_sentences(numbers["snap"])
    if "drawings" in numbers:
        sentences.append(_drawings_sentence(numbers["drawings"]))
    return sentences


def _snap_sentences(numbers: Mapping[str, Any]) -> list[str]:
    snapped, wrongly = numbers["snapped"], numbers["wrongly_snapped"]
    sentences = []
    if numbers["distance"] is not None:
        overlap = f", and its area overlaps with the true one by {numbers['iou']['mean']:.3f}" if numbers["iou"] else ""
        sentences.append(
            f"Of the shapes that it recognises, {_percentage(snapped['value'])} get a clean outline; it lies"
            f" {_percentage(numbers['distance']['mean'])} of the shape's longer side from where the hand was to go on"
            f" average{overlap}."
        )
    if wrongly["value"] is not None:
        sentences.append(f"Of the doodles, {_percentage(wrongly['value'])} get an outline, wrongly.")
    if "drawings" in numbers:
        drawings = numbers["drawings"]
        sentences.append(
            f"Of {drawings['count']} drawings by people whose corners are known, {_percentage(drawings['snapped'])} get"
            f" one; its area overlaps with theirs by {drawings['iou'] or 0.0:.3f}."
        )
    return sentences


def _drawings_sentence(numbers: Mapping[str, Any]) -> str:
    cnn, baseline = (
        f"{_percentage(model['accuracy'])} ({_percentage(model['low'])} to {_percentage(model['high'])})"
        for model in (numbers["cnn"], numbers["baseline"])
    )
    by_shape = ", ".join(f"{shape} {_percentage(recall)}" for shape, recall in _defined_recalls(numbers["cnn"]).items())
    return (
        f"Of the {numbers['count']} drawings by people in data/drawings, the CNN recognises {cnn}, the baseline"
        f" {baseline}; the CNN, shape by shape: {by_shape}."
    )


def _defined_recalls(model: Mapping[str, Any]) -> dict[str, float]:
    """By shape; without the shapes that nothing shows."""
    recalls = {shape: numbers["recall"] for shape, numbers in model["shapes"].items()}
    return {shape: recall for shape, recall in recalls.items() if recall is not None}


def _interval(share: Proportion) -> list[float | None] | None:
    return None if share.value is None else [share.low, share.high]


def _percentage(share: float) -> str:
    return f"{100 * share:.1f} %"


def _format_p(p: float) -> str:
    return f"p = {p:.2g}" if p > 0 else "p below 1e-300"
