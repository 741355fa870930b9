"""data/paintings/test, data/model, data/baseline → data/report: both models on the same test paintings.

Drawings by people in data/drawings, if there are any, are evaluated as well and reported apart.

metrics.json            the dozen numbers that one compares; written last: the rest is complete then
details.json            all numbers, with intervals, and sentences with those that matter
predictions.parquet     both models' predictions, a row a painting
drawings.parquet        the same for data/drawings; no rows if there are none
confusion-<model>.csv   actual and predicted name, a row a painting
robustness-<factor>.csv accuracy of both models along a factor of the paintings
snap-worst.png          the outlines that were laid farthest from where the hand took them
*.png                   the same as diagrams, the worst mistakes, and where the two models disagree
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from strokewise import plots
from strokewise.baseline import estimator
from strokewise.code_digest import code_digest, json_digest
from strokewise.data import human_drawings
from strokewise.data.dataset import Split, load_factors, load_paintings
from strokewise.data.shapes import OTHER
from strokewise.errors import DatasetError, ModelError
from strokewise.evaluation import report, snapping
from strokewise.evaluation.curves import accuracy_curve, accuracy_series, write_csv
from strokewise.evaluation.metrics import reliability
from strokewise.evaluation.snapping import SnapResult
from strokewise.geometry.template import load_templates
from strokewise.model.onnx_file import OnnxModel, load_onnx
from strokewise.params import EvaluateParams, GenerateParams, Params
from strokewise.plots import Panel
from strokewise.preprocessing.preprocess import preprocess
from strokewise.support import atomic_io, progress
from strokewise.support.paths import BASELINE_DIR, DRAWINGS_DIR, MODEL_DIR, OUTLINES_DIR, REPORT_DIR
from strokewise.synthesis import outlines, render
from strokewise.synthesis.outlines import Catalogue

IMPRECISION_LEVELS = (0.0, 0.5, 1.0, 1.5, 2.0)
CURVE_FACTORS = {  # columns of the paintings with a curve → the curve's title
    "pen": "width of the pen, share of the canvas",
    "size": "size, share of the canvas",
    "turn": "turned by, degrees",
    "fill": "filling",
    "paper": "paper",
}
MISTAKES_PER_SHEET, MISTAKES_PER_ROW = 24, 6
MISTAKE_CELL = 168  # pixels: two names and a confidence fit beneath a picture

ModelProbabilities = dict[str, NDArray[np.float32]]  # "cnn" and "baseline", (N, C) each


@dataclass(frozen=True)
class EvaluationResult:
    """Where the report lies, and the content of details.json."""

    folder: Path
    details: dict[str, Any]


def evaluate(params: Params) -> EvaluationResult:
    """Evaluate both models and write the report.

    Raises DatasetError or ModelError where something is missing or does not fit together.
    """
    cnn, baseline = load_onnx(MODEL_DIR), estimator.load_baseline()
    test_set = load_paintings("test", cnn.image_size)
    _check_same_shapes(test_set, cnn, baseline)
    probabilities = _predict_both(cnn, baseline, test_set.pictures, lambda size: load_paintings("test", size).pictures)
    drawings = human_drawings.load_drawings(DRAWINGS_DIR, cnn.shapes, cnn.image_size)
    drawing_probabilities = _predict_both(
        cnn,
        baseline,
        drawings.pictures,
        lambda size: human_drawings.load_drawings(DRAWINGS_DIR, cnn.shapes, size).pictures,
    )
    details = _compute_details(
        test_set,
        cnn,
        baseline,
        probabilities,
        params.evaluate,
        (drawings, drawing_probabilities) if len(drawings.labels) else None,
    )
    catalogue = _load_catalogue(cnn)
    fits = _snap_paintings(catalogue, cnn, probabilities["cnn"], params.generate)
    details["snap"] = snapping.snap_metrics(fits, params.evaluate.bootstrap_samples, params.evaluate.seed)
    details["snap"] |= _snap_drawings(catalogue, drawings, drawing_probabilities["cnn"])
    details = report.with_sentences(details)
    curves = {
        "imprecision": _imprecision_curve(
            catalogue, cnn, baseline, params.generate, params.evaluate.imprecision_samples
        )
    }
    curves |= _factor_curves(test_set, probabilities)

    REPORT_DIR.mkdir(parents=True, exist_ok=True)
    with atomic_io.temp_dir_beside(REPORT_DIR / "evaluation") as folder:
        indices = pa.array(np.arange(len(test_set.labels)))
        _write_predictions(folder / "predictions.parquet", {"index": indices}, test_set, probabilities)
        paths = [path.relative_to(DRAWINGS_DIR).as_posix() for path in human_drawings.drawing_paths(DRAWINGS_DIR)]
        keys = {"path": pa.array(paths, pa.string())}
        _write_predictions(folder / "drawings.parquet", keys, drawings, drawing_probabilities)
        _write_confusions(folder, test_set, probabilities)
        for name, rows in curves.items():
            write_csv(folder / f"robustness-{name}.csv", rows[0], (row.values() for row in rows))
        plots.share_curves("How often they are right", _curve_panels(curves), folder / "robustness.png")
        _draw_figures(folder, test_set, probabilities, details)
        _draw_worst_fits(folder / "snap-worst.png", catalogue, params.generate, fits)
        _publish_report(folder, details)
    return EvaluationResult(REPORT_DIR, details)


def _check_same_shapes(test_set: Split, cnn: OnnxModel, baseline: OnnxModel) -> None:
    for folder, shapes, stage in (
        (MODEL_DIR, cnn.shapes, "train"),
        (BASELINE_DIR, baseline.shapes, "baseline"),
    ):
        if shapes != test_set.shapes:
            raise ModelError(
                f"{folder} knows the shapes {', '.join(shapes)}, the test paintings show {', '.join(test_set.shapes)};"
                f" run `strokewise {stage}` (or `dvc repro`)"
            )


def _predict_both(
    cnn: OnnxModel, baseline: OnnxModel, pictures: NDArray[np.uint8], load: Callable[[int], NDArray[np.uint8]]
) -> ModelProbabilities:
    """Both models on the same pictures, uint8 (N, G, G) of the CNN's size; `load` gives them in another size."""
    same_size = baseline.image_size == cnn.image_size
    return {
        "cnn": cnn.predict_proba(pictures),
        "baseline": baseline.predict_proba(pictures if same_size else load(baseline.image_size)),
    }


def _compute_details(
    test_set: Split,
    cnn: OnnxModel,
    baseline: OnnxModel,
    probabilities: ModelProbabilities,
    config: EvaluateParams,
    drawings: tuple[Split, ModelProbabilities] | None = None,
) -> dict[str, Any]:
    """The content of details.json; `evaluation` is the digest of what decided it."""
    decided: dict[str, Any] = {
        "test": test_set.digest,
        "cnn": cnn.metadata["fingerprint"],
        "baseline": baseline.metadata["fingerprint"],
        "evaluate": config.model_dump(),
        "code": code_digest("stages.evaluate"),
    }
    if drawings:
        decided["drawings"] = drawings[0].digest

    def compare(split: Split, rows: ModelProbabilities) -> dict[str, Any]:
        pair = split.labels, rows["cnn"], rows["baseline"], config.bootstrap_samples, config.seed
        models = {name: report.model_metrics(split.labels, rows[name], test_set.shapes) for name in rows}
        return {**models, "paired": report.paired_metrics(*pair)}

    details: dict[str, Any] = {"paintings": len(test_set.labels), "evaluation": json_digest(decided)}
    details |= compare(test_set, probabilities)
    details["cnn"]["fingerprint"] = cnn.metadata["fingerprint"]
    details["baseline"] |= {name: baseline.metadata[name] for name in ("fingerprint", "choice")}
    if drawings:
        details["drawings"] = {"count": len(drawings[0].labels), **compare(*drawings)}
    return details


def _factor_curves(test_set: Split, probabilities: ModelProbabilities) -> dict[str, list[dict[str, Any]]]:
    """Accuracy along `CURVE_FACTORS`, without `other`: distractors, rotated at will, would look like hard shapes."""
    factors = load_factors("test")
    factors["turn"] = np.abs(factors["turn"])
    shown = np.ones(len(test_set.labels), dtype=np.bool_)
    if OTHER in test_set.shapes:
        shown = test_set.labels != test_set.shapes.index(OTHER)
    correct = {name: (rows.argmax(axis=1) == test_set.labels)[shown] for name, rows in probabilities.items()}
    return {name: accuracy_curve(factors[name][shown], correct) for name in CURVE_FACTORS}


def _load_catalogue(cnn: OnnxModel) -> Catalogue:
    catalogue = outlines.load_catalogue(OUTLINES_DIR)
    if catalogue.shapes != cnn.shapes:
        raise DatasetError(f"{OUTLINES_DIR} holds other shapes than the paintings show; run `dvc repro`")
    return catalogue


def _snap_paintings(
    catalogue: Catalogue, cnn: OnnxModel, probabilities: NDArray[np.float32], config: GenerateParams
) -> list[SnapResult]:
    """Lay the outline of what the CNN says over every test painting, painted again to know its true geometry."""
    predicted = [cnn.shapes[label] for label in probabilities.argmax(axis=1)]
    return snapping.snap_paintings(catalogue, config, "test", predicted, probabilities.max(axis=1).tolist())


def _snap_drawings(catalogue: Catalogue, drawings: Split, probabilities: NDArray[np.float32]) -> dict[str, Any]:
    """The same for the drawings by people whose corners are known; nothing if there are none."""
    known = snapping.read_vertices(DRAWINGS_DIR / human_drawings.VERTICES_FILE)
    templates = load_templates(outlines.plain_outlines(catalogue))
    paths = human_drawings.drawing_paths(DRAWINGS_DIR)
    rows = []
    for path, label, row in zip(paths, drawings.labels, probabilities, strict=True):
        name, shape = path.relative_to(DRAWINGS_DIR).as_posix(), drawings.shapes[label]
        if name in known and shape in templates and row.argmax() == label:
            rows.append((shape, snapping.snap_drawing(templates[shape], path, known[name], float(row.max()))))
    return {"drawings": snapping.drawing_metrics(rows)} if rows else {}


def _imprecision_curve(
    catalogue: Catalogue, cnn: OnnxModel, baseline: OnnxModel, config: GenerateParams, count: int
) -> list[dict[str, Any]]:
    """Accuracy along the imprecision: the first `count` test paintings, painted again with the same random numbers."""
    jobs = [(config.model_copy(update={"imprecision": level}), i) for level in IMPRECISION_LEVELS for i in range(count)]
    shown = progress.track(jobs, len(jobs), "evaluate", "paintings")
    paintings = [render.render_painting(catalogue, level_config, "test", i) for level_config, i in shown]

    def preprocessed(image_size: int) -> NDArray[np.uint8]:
        return np.stack([preprocess(painting.scene, image_size) for painting in paintings])

    probabilities = _predict_both(cnn, baseline, preprocessed(cnn.image_size), preprocessed)
    labels = np.array([painting.label for painting in paintings])
    correct = {name: rows.argmax(axis=1) == labels for name, rows in probabilities.items()}
    return accuracy_curve(np.repeat(IMPRECISION_LEVELS, count), correct)


def _write_predictions(
    path: Path, keys: Mapping[str, pa.Array], split: Split, probabilities: ModelProbabilities
) -> None:
    """Key column, labels, predictions and probabilities, a row a picture; the shapes' names are in the metadata."""
    columns: dict[str, Any] = {**keys, "label": split.labels}
    columns |= {name: rows.argmax(axis=1) for name, rows in probabilities.items()}
    for name, rows in probabilities.items():
        columns[f"{name}_probabilities"] = pa.array(list(rows), pa.list_(pa.float32()))
    pq.write_table(pa.table(columns).replace_schema_metadata({"shapes": json.dumps(split.shapes)}), path)


def _write_confusions(folder: Path, test_set: Split, probabilities: ModelProbabilities) -> None:
    names = np.array(test_set.shapes)
    for model, rows in probabilities.items():
        pairs = zip(names[test_set.labels], names[rows.argmax(axis=1)], strict=True)
        write_csv(folder / f"confusion-{model}.csv", ("actual", "predicted"), pairs)


def _curve_panels(curves: Mapping[str, list[dict[str, Any]]]) -> list[Panel]:
    return [Panel(CURVE_FACTORS.get(name, name), accuracy_series(rows, "value")) for name, rows in curves.items()]


def _draw_figures(folder: Path, test_set: Split, probabilities: ModelProbabilities, details: Mapping[str, Any]) -> None:
    """Mistakes, disagreements and reliability."""
    cnn, baseline = probabilities["cnn"], probabilities["baseline"]
    correct, baseline_correct = (rows.argmax(axis=1) == test_set.labels for rows in (cnn, baseline))
    confidence = cnn.max(axis=1)
    wrong = np.flatnonzero(~correct)
    _draw_mistakes(
        folder / "mistakes.png",
        f"The CNN's worst mistakes, of {len(wrong)} on {len(correct)} paintings: what it is, what it was taken for",
        test_set,
        [wrong[np.argsort(-confidence[wrong], kind="stable")]],
        cnn,
    )
    won, lost = np.flatnonzero(correct & ~baseline_correct), np.flatnonzero(~correct & baseline_correct)
    most_confident = np.argsort(-confidence, kind="stable")
    _draw_mistakes(
        folder / "disagreements.png",
        f"Only one is right, and what the other predicted: {len(won)} times the CNN, {len(lost)} times the baseline",
        test_set,
        [most_confident[np.isin(most_confident, indices)] for indices in (won, lost)],
        np.where(correct[:, np.newaxis], baseline, cnn),
    )
    series: dict[str, Any] = {
        f"{name}, off by {100 * details[name]['calibration_error']:.1f} %": [
            (bin_.mean_confidence, bin_.accuracy.value, bin_.accuracy.low, bin_.accuracy.high)
            for bin_ in reliability(test_set.labels, rows)
        ]
        for name, rows in probabilities.items()
    }
    panel = Panel("share right, against the confidence", series, diagonal=True)
    plots.share_curves("Is the confidence deserved?", [panel], folder / "reliability.png")


def _draw_worst_fits(path: Path, catalogue: Catalogue, config: GenerateParams, fits: Sequence[SnapResult]) -> None:
    """The outlines that were laid farthest from the truth, and the truth."""
    drawn = [snapping.draw_fit(catalogue, config, "test", fit) for fit in snapping.worst_fits(fits, MISTAKES_PER_SHEET)]
    drawn = drawn or [(np.full((8, 8, 3), 255, np.uint8), "")] * MISTAKES_PER_ROW
    rows = [drawn[i : i + MISTAKES_PER_ROW] for i in range(0, len(drawn), MISTAKES_PER_ROW)]
    plots.contact_sheet(
        [[picture for picture, _ in row] for row in rows],
        path,
        captions=[[caption for _, caption in row] for row in rows],
        title="The worst outlines: where the hand was to go (green), what was found (red), their mean distance",
        cell=MISTAKE_CELL,
    )


def _draw_mistakes(
    path: Path, title: str, test_set: Split, groups: Sequence[NDArray[np.intp]], probabilities: NDArray[np.float32]
) -> None:
    """The first pictures of each group, as the network saw them, with their shape and the prediction beneath."""
    rows = []
    for group in groups:
        shown = group[: MISTAKES_PER_SHEET // len(groups)]
        rows += [shown[i : i + MISTAKES_PER_ROW] for i in range(0, len(shown), MISTAKES_PER_ROW)]

    def caption(i: int) -> str:
        predicted, confidence = test_set.shapes[probabilities[i].argmax()], float(probabilities[i].max())
        return f"{test_set.shapes[test_set.labels[i]]} → {predicted} {100 * confidence:.0f} %"

    pictures = [[test_set.pictures[i] for i in row] for row in rows]
    captions = [[caption(i) for i in row] for row in rows]
    if not rows:  # a sheet with nothing but its title
        pictures, captions = [[np.zeros((8, 8), np.uint8)] * MISTAKES_PER_ROW], [[""] * MISTAKES_PER_ROW]
    plots.contact_sheet(pictures, path, captions=captions, title=title, cell=MISTAKE_CELL, colours="gray_r")


def _publish_report(folder: Path, details: Mapping[str, Any]) -> None:
    """Move everything to data/report; while old and new files are mixed, there is no metrics.json."""
    atomic_io.write_json(folder / "details.json", details)
    (REPORT_DIR / "metrics.json").unlink(missing_ok=True)
    for path in sorted(folder.iterdir()):
        path.replace(REPORT_DIR / path.name)
    atomic_io.write_json(REPORT_DIR / "metrics.json", report.headline_metrics(details))
