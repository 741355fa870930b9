"""data/paintings/test, data/model, data/baseline -> data/report: both models measured on the same test paintings.

What lies in data/drawings is measured as well and reported apart; where nothing lies there, nothing is said of it.

metrics.json            every number, and sentences that say them; written last: it says that the rest is there
predictions.parquet     what both models said of each painting
drawings.parquet        the same of each drawing in data/drawings; no rows where there are none
confusion-<model>.csv   actual and predicted name, a row a painting
robustness-<factor>.csv how often both are right, along a factor that was drawn
*.png                   the same as pictures, the worst mistakes, and where the two disagree
"""

import csv
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from strokewise import code_digest, plots
from strokewise.baseline import estimator
from strokewise.baseline.estimator import BaselineModel
from strokewise.data import human_drawings
from strokewise.data.dataset import Split, load_factors, load_paintings
from strokewise.data.shards import OTHER
from strokewise.errors import DatasetError, ModelError
from strokewise.evaluation import report
from strokewise.evaluation.metrics import reliability
from strokewise.model.cnn import CNN
from strokewise.model.inference import predict_proba
from strokewise.model.model_files import load_model
from strokewise.params import GenerateParams, Params
from strokewise.plots import Panel
from strokewise.preprocessing.preprocess import preprocess
from strokewise.support import atomic_io, progress
from strokewise.support.paths import BASELINE_DIR, DRAWINGS_DIR, MODEL_DIR, OUTLINES_DIR, REPORT_DIR
from strokewise.synthesis import outlines, render

IMPRECISION_LEVELS = (0.0, 0.5, 1.0, 1.5, 2.0)
CURVE_FACTORS = {  # the columns of the paintings that a curve is drawn along -> what its axis says
    "pen": "width of the pen, share of the canvas",
    "size": "size, share of the canvas",
    "turn": "turned by, degrees",
    "fill": "filling",
    "paper": "paper",
}
SHEET_LAYOUT = 24, 6  # pictures on a sheet, and in a row of it
MISTAKE_CELL = 168  # pixels: two names and a confidence fit beneath

Predictions = dict[str, NDArray[np.float32]]  # by model, (N, C)


@dataclass(frozen=True)
class Evaluated:
    """Where the report lies, and what it says."""

    folder: Path
    metrics: dict[str, Any]


def evaluate(params: Params) -> Evaluated:
    """Measure both models. Raises DatasetError or ModelError where something is missing or does not fit together."""
    cnn, baseline = load_model(MODEL_DIR), estimator.load_baseline()
    split = load_paintings("test", cnn.image_size)
    _check_same_shapes(split, cnn, baseline)
    answers = _predict_both(
        cnn, baseline, split.pictures, lambda image_size: load_paintings("test", image_size).pictures
    )
    drawn = human_drawings.load_drawings(DRAWINGS_DIR, cnn.shapes, cnn.image_size)
    of_drawings = _predict_both(cnn, baseline, drawn.pictures, lambda image_size: _load_drawn(cnn.shapes, image_size))
    metrics = _compute_metrics(
        split, cnn, baseline, answers, params, (drawn, of_drawings) if len(drawn.labels) else None
    )
    curves = {"imprecision": _imprecision_curve(cnn, baseline, params.generate, params.evaluate.imprecision_samples)}
    curves |= _factor_curves(split, answers)
    REPORT_DIR.mkdir(parents=True, exist_ok=True)
    with atomic_io.temp_dir_beside(REPORT_DIR / "evaluation") as folder:
        _write_predictions(folder, split, answers)
        _write_prediction_table(folder / "drawings.parquet", "path", _drawing_names(), drawn, of_drawings)
        _draw_figures(folder, split, answers, metrics)
        for name, rows in curves.items():
            _write_csv(folder / f"robustness-{name}.csv", rows[0], (row.values() for row in rows))
        plots.share_curves("How often they are right", _curve_panels(curves), folder / "robustness.png")
        _publish_report(folder, metrics)
    return Evaluated(REPORT_DIR, metrics)


def _check_same_shapes(split: Split, cnn: CNN, baseline: BaselineModel) -> None:
    for folder, shapes, stage in (
        (MODEL_DIR, cnn.shapes, "train"),
        (BASELINE_DIR, baseline.shapes, "baseline"),
    ):
        if shapes != split.shapes:
            raise ModelError(
                f"{folder} knows the shapes {', '.join(shapes)}, the test paintings show {', '.join(split.shapes)};"
                f" run `strokewise {stage}` (or `dvc repro`)"
            )


def _predict_both(cnn: CNN, baseline: BaselineModel, seen: NDArray[np.uint8], on: Any) -> Predictions:
    """What both say of the same paintings: `seen` uint8 (N, G, G) on the CNN's image_size; `on(image_size)` gives another's."""
    same = baseline.image_size == cnn.image_size
    return {
        "cnn": predict_proba(cnn, seen),
        "baseline": baseline.predict_proba(seen if same else on(baseline.image_size)),
    }


def _load_drawn(shapes: tuple[str, ...], image_size: int) -> NDArray[np.uint8]:
    return human_drawings.load_drawings(DRAWINGS_DIR, shapes, image_size).pictures


def _drawing_names() -> list[str]:
    """The drawings' names below their folder, in the order in which they are loaded."""
    return [path.relative_to(DRAWINGS_DIR).as_posix() for path in human_drawings.drawing_paths(DRAWINGS_DIR)]


def _compute_metrics(
    split: Split,
    cnn: CNN,
    baseline: BaselineModel,
    answers: Predictions,
    params: Params,
    drawn: tuple[Split, Predictions] | None = None,
) -> dict[str, Any]:
    """All of metrics.json; `drawn` are the drawings by people with what was said of them."""
    settings = params.evaluate
    decided: dict[str, Any] = {
        "test": split.digest,
        "cnn": cnn.config["fingerprint"],
        "baseline": baseline.config["fingerprint"],
        "evaluate": settings.model_dump(),
        "code": code_digest.code_digest("stages.evaluate"),
    }
    if drawn:
        decided["drawings"] = drawn[0].digest
    metrics: dict[str, Any] = {
        "paintings": len(split.labels),
        "evaluation": hashlib.sha256(json.dumps(decided, sort_keys=True).encode()).hexdigest(),
        "cnn": {
            "fingerprint": cnn.config["fingerprint"],
            **report.model_metrics(split.labels, answers["cnn"], split.shapes),
        },
        "baseline": {
            "fingerprint": baseline.config["fingerprint"],
            "choice": baseline.config["choice"],
            **report.model_metrics(split.labels, answers["baseline"], split.shapes),
        },
        "paired": report.paired_metrics(
            split.labels, answers["cnn"], answers["baseline"], settings.bootstrap_samples, settings.seed
        ),
    }
    if drawn:
        labels, of = drawn[0].labels, drawn[1]
        metrics["drawings"] = {
            "count": len(labels),
            **{name: report.model_metrics(labels, found, split.shapes) for name, found in of.items()},
            "paired": report.paired_metrics(
                labels, of["cnn"], of["baseline"], settings.bootstrap_samples, settings.seed
            ),
        }
    sentences = report.summary_sentences(metrics)
    return metrics | {"sentence": sentences[0], "sentences": sentences}


def _factor_curves(split: Split, answers: Predictions) -> dict[str, list[dict[str, Any]]]:
    """The curves along what was drawn. Doodles are left out: turned any way, they would pass for hard turned shapes."""
    factors = load_factors("test")
    factors["turn"] = np.abs(factors["turn"])
    shown = np.ones(len(split.labels), dtype=np.bool_)
    if OTHER in split.shapes:
        shown = split.labels != split.shapes.index(OTHER)
    right = {name: (found.argmax(axis=1) == split.labels)[shown] for name, found in answers.items()}
    return {name: report.accuracy_curve(factors[name][shown], right) for name in CURVE_FACTORS}


def _imprecision_curve(cnn: CNN, baseline: BaselineModel, generate: GenerateParams, count: int) -> list[dict[str, Any]]:
    """The curve along the dial: the first `count` test paintings, the same lots drawn for them, at other strengths."""
    catalogue = outlines.load_catalogue(OUTLINES_DIR)
    if catalogue.shapes != cnn.shapes:
        raise DatasetError(f"{OUTLINES_DIR} holds other shapes than the paintings show; run `dvc repro`")
    jobs = [(generate.model_copy(update={"imprecision": dial}), i) for dial in IMPRECISION_LEVELS for i in range(count)]
    done = progress.track(jobs, len(jobs), "evaluate", "paintings")
    paintings = [render.render_painting(catalogue, settings, "test", i) for settings, i in done]

    def seen(image_size: int) -> NDArray[np.uint8]:
        return np.stack([preprocess(painting.scene, image_size) for painting in paintings])

    answers = _predict_both(cnn, baseline, seen(cnn.image_size), seen)
    labels = np.array([painting.label for painting in paintings])
    right = {name: found.argmax(axis=1) == labels for name, found in answers.items()}
    return report.accuracy_curve(np.repeat(IMPRECISION_LEVELS, count), right)


def _write_predictions(folder: Path, split: Split, answers: Predictions) -> None:
    """predictions.parquet and the confusion tables."""
    _write_prediction_table(folder / "predictions.parquet", "index", np.arange(len(split.labels)), split, answers)
    names = np.array(split.shapes)
    for name, found in answers.items():
        rows = zip(names[split.labels], names[found.argmax(axis=1)], strict=True)
        _write_csv(folder / f"confusion-{name}.csv", ("actual", "predicted"), rows)


def _write_prediction_table(path: Path, key: str, keys: Any, split: Split, answers: Predictions) -> None:
    """Labels and answers as numbers, a row a picture that `keys` name, with the shapes' names in the metadata."""
    columns: dict[str, Any] = {key: pa.array(keys, pa.string() if key == "path" else None), "label": split.labels}
    columns |= {name: found.argmax(axis=1) for name, found in answers.items()}
    for name, found in answers.items():
        columns[f"{name}_probabilities"] = pa.array(list(found), pa.list_(pa.float32()))
    pq.write_table(pa.table(columns).replace_schema_metadata({"shapes": json.dumps(split.shapes)}), path)


def _draw_figures(folder: Path, split: Split, answers: Predictions, metrics: Mapping[str, Any]) -> None:
    """Mistakes, disagreements and reliability."""
    cnn, baseline = answers["cnn"], answers["baseline"]
    said, confidence = cnn.argmax(axis=1), cnn.max(axis=1)
    right, also = said == split.labels, baseline.argmax(axis=1) == split.labels
    wrong = np.flatnonzero(~right)
    _draw_mistake_sheet(
        folder / "mistakes.png",
        f"The CNN's worst mistakes, of {len(wrong)} on {len(right)} paintings: what it is, what it was taken for",
        split,
        [wrong[np.argsort(-confidence[wrong], kind="stable")]],
        cnn,
    )
    won, lost = np.flatnonzero(right & ~also), np.flatnonzero(~right & also)
    sure = np.argsort(-confidence, kind="stable")
    _draw_mistake_sheet(
        folder / "disagreements.png",
        f"Only one is right, and what the other said: {len(won)} times the CNN, then {len(lost)} times the baseline",
        split,
        [sure[np.isin(sure, found)] for found in (won, lost)],
        np.where(right[:, np.newaxis], baseline, cnn),
    )
    plots.share_curves(
        "Is the confidence deserved?",
        [Panel("share right, against the confidence", _reliability_series(split, answers, metrics), diagonal=True)],
        folder / "reliability.png",
    )


def _draw_mistake_sheet(
    path: Path, title: str, split: Split, parts: list[NDArray[np.intp]], said: NDArray[np.float32]
) -> None:
    """The first pictures of each part as the network saw them; beneath each its shape and what was said of it."""
    rows = []
    for wanted in parts:
        chosen = wanted[: SHEET_LAYOUT[0] // len(parts)]
        rows += [chosen[i : i + SHEET_LAYOUT[1]] for i in range(0, len(chosen), SHEET_LAYOUT[1])]
    captions = [
        [f"{split.shapes[split.labels[i]]} → {_format_prediction(split.shapes, said[i])}" for i in row] for row in rows
    ]
    seen = [[split.pictures[i] for i in row] for row in rows]
    if not rows:  # nothing to show is a sheet too: the title says so
        seen, captions = [[np.zeros((8, 8), np.uint8)] * SHEET_LAYOUT[1]], [[""] * SHEET_LAYOUT[1]]
    plots.contact_sheet(seen, path, captions=captions, title=title, cell=MISTAKE_CELL, colours="gray_r")


def _format_prediction(shapes: Sequence[str], probabilities: NDArray[np.float32]) -> str:
    return f"{shapes[int(probabilities.argmax())]} {100 * float(probabilities.max()):.0f} %"


def _reliability_series(split: Split, answers: Predictions, metrics: Mapping[str, Any]) -> Mapping[str, Any]:
    return {
        f"{name}, off by {100 * metrics[name]['calibration_error']:.1f} %": [
            (bin_.mean, bin_.right.value, bin_.right.low, bin_.right.high) for bin_ in reliability(split.labels, found)
        ]
        for name, found in answers.items()
    }


def _curve_panels(curves: Mapping[str, list[dict[str, Any]]]) -> list[Panel]:
    return [
        Panel(
            CURVE_FACTORS.get(factor, factor),
            {
                name: [(row["value"], row[name], row[f"{name}_low"], row[f"{name}_high"]) for row in rows]
                for name in ("cnn", "baseline")
            },
        )
        for factor, rows in curves.items()
    ]


def _write_csv(path: Path, header: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def _publish_report(folder: Path, metrics: Mapping[str, Any]) -> None:
    """Everything into its place; while it is mixed with what stood there, no metrics.json vouches for it."""
    (REPORT_DIR / "metrics.json").unlink(missing_ok=True)
    for path in sorted(folder.iterdir()):
        path.replace(REPORT_DIR / path.name)
    atomic_io.write_json(REPORT_DIR / "metrics.json", metrics)
