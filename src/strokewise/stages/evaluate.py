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

from strokewise import dataset, disk, drawings, figures, network, pictures, progress, sources
from strokewise.dataset import Split
from strokewise.errors import DatasetError, ModelError
from strokewise.figures import Panel
from strokewise.judge import statistics, summary
from strokewise.learn import flat
from strokewise.learn.flat import Flat
from strokewise.network import Network
from strokewise.paint import outlines, painter
from strokewise.params import Generate, Params

MODEL = Path("data/model")
REPORT = Path("data/report")
CATALOGUE = Path("data/outlines")
IMPRECISIONS = (0.0, 0.5, 1.0, 1.5, 2.0)
FACTORS = {  # the columns of the paintings that a curve is drawn along -> what its axis says
    "pen": "width of the pen, share of the canvas",
    "size": "size, share of the canvas",
    "turn": "turned by, degrees",
    "fill": "filling",
    "paper": "paper",
}
SHOWN = 24, 6  # pictures on a sheet, and in a row of it
CELL = 168  # pixels: two names and a confidence fit beneath

Answers = dict[str, NDArray[np.float32]]  # by model, (N, C)


@dataclass(frozen=True)
class Evaluated:
    """Where the report lies, and what it says."""

    folder: Path
    metrics: dict[str, Any]


def evaluate(params: Params) -> Evaluated:
    """Measure both models. Raises DatasetError or ModelError where something is missing or does not fit together."""
    cnn, baseline = network.load(MODEL), flat.load()
    split = dataset.load("test", cnn.grid)
    _agree(split, cnn, baseline)
    answers = _answers(cnn, baseline, split.pictures, lambda grid: dataset.load("test", grid).pictures)
    drawn = drawings.load(drawings.TEST, cnn.shapes, cnn.grid)
    of_drawings = _answers(cnn, baseline, drawn.pictures, lambda grid: _drawn(cnn.shapes, grid))
    metrics = _metrics(split, cnn, baseline, answers, params, (drawn, of_drawings) if len(drawn.labels) else None)
    curves = {"imprecision": _along_dial(cnn, baseline, params.generate, params.evaluate.curve)}
    curves |= _along_factors(split, answers)
    REPORT.mkdir(parents=True, exist_ok=True)
    with disk.beside(REPORT / "evaluation") as folder:
        _write_answers(folder, split, answers)
        _write_table(folder / "drawings.parquet", "path", _names(), drawn, of_drawings)
        _draw(folder, split, answers, metrics)
        for name, rows in curves.items():
            _write_csv(folder / f"robustness-{name}.csv", rows[0], (row.values() for row in rows))
        figures.curves("How often they are right", _panels(curves), folder / "robustness.png")
        _move(folder, metrics)
    return Evaluated(REPORT, metrics)


def _agree(split: Split, cnn: Network, baseline: Flat) -> None:
    for folder, shapes, stage in ((MODEL, cnn.shapes, "train"), (flat.FOLDER, baseline.shapes, "baseline")):
        if shapes != split.shapes:
            raise ModelError(
                f"{folder} knows the shapes {', '.join(shapes)}, the test paintings show {', '.join(split.shapes)};"
                f" run `strokewise {stage}` (or `dvc repro`)"
            )


def _answers(cnn: Network, baseline: Flat, seen: NDArray[np.uint8], on: Any) -> Answers:
    """What both say of the same paintings: `seen` uint8 (N, G, G) on the CNN's grid; `on(grid)` gives another's."""
    same = baseline.grid == cnn.grid
    return {
        "cnn": network.probabilities(cnn, seen),
        "baseline": baseline.probabilities(seen if same else on(baseline.grid)),
    }


def _drawn(shapes: tuple[str, ...], grid: int) -> NDArray[np.uint8]:
    return drawings.load(drawings.TEST, shapes, grid).pictures


def _names() -> list[str]:
    """The drawings' names below their folder, in the order in which they are loaded."""
    return [path.relative_to(drawings.TEST).as_posix() for path in drawings.paths(drawings.TEST)]


def _metrics(
    split: Split,
    cnn: Network,
    baseline: Flat,
    answers: Answers,
    params: Params,
    drawn: tuple[Split, Answers] | None = None,
) -> dict[str, Any]:
    """All of metrics.json; `drawn` are the drawings by people with what was said of them."""
    settings = params.evaluate
    decided: dict[str, Any] = {
        "test": split.digest,
        "cnn": cnn.config["fingerprint"],
        "baseline": baseline.config["fingerprint"],
        "evaluate": settings.model_dump(),
        "code": sources.digest("stages.evaluate"),
    }
    if drawn:
        decided["drawings"] = drawn[0].digest
    metrics: dict[str, Any] = {
        "paintings": len(split.labels),
        "evaluation": hashlib.sha256(json.dumps(decided, sort_keys=True).encode()).hexdigest(),
        "cnn": {
            "fingerprint": cnn.config["fingerprint"],
            **summary.model(split.labels, answers["cnn"], split.shapes),
        },
        "baseline": {
            "fingerprint": baseline.config["fingerprint"],
            "choice": baseline.config["choice"],
            **summary.model(split.labels, answers["baseline"], split.shapes),
        },
        "paired": summary.comparison(
            split.labels, answers["cnn"], answers["baseline"], settings.resamples, settings.seed
        ),
    }
    if drawn:
        labels, of = drawn[0].labels, drawn[1]
        metrics["drawings"] = {
            "count": len(labels),
            **{name: summary.model(labels, found, split.shapes) for name, found in of.items()},
            "paired": summary.comparison(labels, of["cnn"], of["baseline"], settings.resamples, settings.seed),
        }
    sentences = summary.sentences(metrics)
    return metrics | {"sentence": sentences[0], "sentences": sentences}


def _along_factors(split: Split, answers: Answers) -> dict[str, list[dict[str, Any]]]:
    """The curves along what was drawn. Doodles are left out: turned any way, they would pass for hard turned shapes."""
    factors = dataset.factors("test")
    factors["turn"] = np.abs(factors["turn"])
    shown = np.ones(len(split.labels), dtype=np.bool_)
    if dataset.OTHER in split.shapes:
        shown = split.labels != split.shapes.index(dataset.OTHER)
    right = {name: (found.argmax(axis=1) == split.labels)[shown] for name, found in answers.items()}
    return {name: summary.curve(factors[name][shown], right) for name in FACTORS}


def _along_dial(cnn: Network, baseline: Flat, generate: Generate, count: int) -> list[dict[str, Any]]:
    """The curve along the dial: the first `count` test paintings, the same lots drawn for them, at other strengths."""
    catalogue = outlines.read(CATALOGUE)
    if catalogue.shapes != cnn.shapes:
        raise DatasetError(f"{CATALOGUE} holds other shapes than the paintings show; run `dvc repro`")
    jobs = [(generate.model_copy(update={"imprecision": dial}), i) for dial in IMPRECISIONS for i in range(count)]
    done = progress.track(jobs, len(jobs), "evaluate", "paintings")
    paintings = [painter.paint(catalogue, settings, "test", i) for settings, i in done]

    def seen(grid: int) -> NDArray[np.uint8]:
        return np.stack([pictures.picture(painting.scene, grid) for painting in paintings])

    answers = _answers(cnn, baseline, seen(cnn.grid), seen)
    labels = np.array([painting.label for painting in paintings])
    right = {name: found.argmax(axis=1) == labels for name, found in answers.items()}
    return summary.curve(np.repeat(IMPRECISIONS, count), right)


def _write_answers(folder: Path, split: Split, answers: Answers) -> None:
    """predictions.parquet and the confusion tables."""
    _write_table(folder / "predictions.parquet", "index", np.arange(len(split.labels)), split, answers)
    names = np.array(split.shapes)
    for name, found in answers.items():
        rows = zip(names[split.labels], names[found.argmax(axis=1)], strict=True)
        _write_csv(folder / f"confusion-{name}.csv", ("actual", "predicted"), rows)


def _write_table(path: Path, key: str, keys: Any, split: Split, answers: Answers) -> None:
    """Labels and answers as numbers, a row a picture that `keys` name, with the shapes' names in the metadata."""
    columns: dict[str, Any] = {key: pa.array(keys, pa.string() if key == "path" else None), "label": split.labels}
    columns |= {name: found.argmax(axis=1) for name, found in answers.items()}
    for name, found in answers.items():
        columns[f"{name}_probabilities"] = pa.array(list(found), pa.list_(pa.float32()))
    pq.write_table(pa.table(columns).replace_schema_metadata({"shapes": json.dumps(split.shapes)}), path)


def _draw(folder: Path, split: Split, answers: Answers, metrics: Mapping[str, Any]) -> None:
    """Mistakes, disagreements and reliability."""
    cnn, baseline = answers["cnn"], answers["baseline"]
    said, confidence = cnn.argmax(axis=1), cnn.max(axis=1)
    right, also = said == split.labels, baseline.argmax(axis=1) == split.labels
    wrong = np.flatnonzero(~right)
    _sheet(
        folder / "mistakes.png",
        f"The CNN's worst mistakes, of {len(wrong)} on {len(right)} paintings: what it is, what it was taken for",
        split,
        [wrong[np.argsort(-confidence[wrong], kind="stable")]],
        cnn,
    )
    won, lost = np.flatnonzero(right & ~also), np.flatnonzero(~right & also)
    sure = np.argsort(-confidence, kind="stable")
    _sheet(
        folder / "disagreements.png",
        f"Only one is right, and what the other said: {len(won)} times the CNN, then {len(lost)} times the baseline",
        split,
        [sure[np.isin(sure, found)] for found in (won, lost)],
        np.where(right[:, np.newaxis], baseline, cnn),
    )
    figures.curves(
        "Is the confidence deserved?",
        [Panel("share right, against the confidence", _reliability(split, answers, metrics), diagonal=True)],
        folder / "reliability.png",
    )


def _sheet(path: Path, title: str, split: Split, parts: list[NDArray[np.intp]], said: NDArray[np.float32]) -> None:
    """The first pictures of each part as the network saw them; beneath each its shape and what was said of it."""
    rows = []
    for wanted in parts:
        chosen = wanted[: SHOWN[0] // len(parts)]
        rows += [chosen[i : i + SHOWN[1]] for i in range(0, len(chosen), SHOWN[1])]
    captions = [[f"{split.shapes[split.labels[i]]} → {_said(split.shapes, said[i])}" for i in row] for row in rows]
    seen = [[split.pictures[i] for i in row] for row in rows]
    if not rows:  # nothing to show is a sheet too: the title says so
        seen, captions = [[np.zeros((8, 8), np.uint8)] * SHOWN[1]], [[""] * SHOWN[1]]
    figures.sheet(seen, path, captions=captions, title=title, cell=CELL, colours="gray_r")


def _said(shapes: Sequence[str], probabilities: NDArray[np.float32]) -> str:
    return f"{shapes[int(probabilities.argmax())]} {100 * float(probabilities.max()):.0f} %"


def _reliability(split: Split, answers: Answers, metrics: Mapping[str, Any]) -> Mapping[str, Any]:
    return {
        f"{name}, off by {100 * metrics[name]['calibration_error']:.1f} %": [
            (bin_.mean, bin_.right.value, bin_.right.low, bin_.right.high)
            for bin_ in statistics.reliability(split.labels, found)
        ]
        for name, found in answers.items()
    }


def _panels(curves: Mapping[str, list[dict[str, Any]]]) -> list[Panel]:
    return [
        Panel(
            FACTORS.get(factor, factor),
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


def _move(folder: Path, metrics: Mapping[str, Any]) -> None:
    """Everything into its place; while it is mixed with what stood there, no metrics.json vouches for it."""
    (REPORT / "metrics.json").unlink(missing_ok=True)
    for path in sorted(folder.iterdir()):
        path.replace(REPORT / path.name)
    disk.write_json(REPORT / "metrics.json", metrics)
