"""A `State` -> one MLflow run for the CNN and one for the baseline, found again by their tags, never a second one.

A run is keyed by model, fingerprint and evaluation. Its tag `complete` is written last: a run without it broke off
half way and is replaced. The model itself is logged once a fingerprint, however often it is evaluated.
"""

import json
import math
import re
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from strokewise.registry import artifacts
from strokewise.registry.artifacts import ModelArtifact, PipelineState
from strokewise.registry.store import Store
from strokewise.serving import packaging

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel, Run

METRICS_PER_CALL = 900  # metrics a call; a server takes 1,000
MAX_DIGEST_LENGTH = 36  # characters, of a data set
CONFIG_SECTIONS = {
    "network": "network",
    "training": "train",
    "baseline": "baseline",
    "versions": "versions",
}  # of config.json
DATASET_CONTEXTS = {"train": "training", "test": "evaluation"}  # MLflow's words


@dataclass(frozen=True)
class LoggedModelRef:
    """Where a model was logged: its run, and the model in MLflow's terms."""

    run: str
    model: str
    fresh: bool  # this call logged it


def log_runs(store: Store, made: PipelineState, example: NDArray[np.uint8]) -> dict[str, LoggedModelRef]:
    """Bring both runs into MLflow as far as they are not there; "cnn" and "baseline" -> where."""
    experiment = store.experiment()
    assert experiment is not None
    return {model.kind: _log_run(store, experiment, made, model, example) for model in (made.cnn, made.baseline)}


def logged_paths(store: Store, logged: Mapping[str, LoggedModelRef]) -> list[Path]:
    """Where runs and models keep what was logged, as far as that is on this machine."""
    places = [str(store.client.get_run(each.run).info.artifact_uri) for each in logged.values()]
    places += [f"{store.client.get_logged_model(each.model).artifact_location}/MLmodel" for each in logged.values()]
    paths = [place.removeprefix("file://") for place in places]
    return [Path(path) for path in paths if path.startswith("/")]


def _log_run(
    store: Store, experiment: str, made: PipelineState, model: ModelArtifact, example: NDArray[np.uint8]
) -> LoggedModelRef:
    complete = _complete_run(store, experiment, made, model)
    if complete is not None:
        return LoggedModelRef(complete.info.run_id, complete.data.tags["complete"], False)
    tags = _run_tags(made, model)
    run = _adopt_live_run(store, experiment, model, tags) if model.kind == "cnn" else None
    if run is None:
        run = store.client.create_run(experiment, tags=tags).info.run_id
    logged = _log_model(store, experiment, run, made, model, example)
    _log_numbers(store, run, logged.model_id, made, model)
    _log_datasets(store, run, made, model)
    for path, folder in artifacts.report_files(made):
        if model.kind == "cnn" or folder == "report":
            store.hurry()
            store.client.log_artifact(run, str(path), folder)
    store.client.set_tag(run, "complete", logged.model_id)
    store.client.set_terminated(run, "FINISHED")
    kept = _complete_run(store, experiment, made, model)
    assert kept is not None
    return LoggedModelRef(kept.info.run_id, kept.data.tags["complete"], True)


def _complete_run(store: Store, experiment: str, made: PipelineState, model: ModelArtifact) -> "Run | None":
    """The complete run of this key, the oldest if two machines made one at once; all others are removed."""
    runs = find_runs(
        store, experiment, {"model": model.kind, "fingerprint": model.fingerprint, "evaluation": made.evaluation}
    )
    kept = next((run for run in runs if "complete" in run.data.tags and _artifacts_exist(store, run)), None)
    for run in runs:
        if kept is None or run.info.run_id != kept.info.run_id:
            store.client.delete_run(run.info.run_id)
    return kept


def _adopt_live_run(store: Store, experiment: str, model: ModelArtifact, tags: Mapping[str, str]) -> str | None:
    """The run in which this model's training was shown as it went, if it was: from now on it is that of `tags`."""
    from mlflow.entities import RunTag

    begun = find_runs(store, experiment, {"model": "cnn", "fingerprint": model.fingerprint, "live": "true"})
    if not begun:
        return None
    run = str(begun[0].info.run_id)
    told = [RunTag(name, value) for name, value in {**tags, "live": "adopted"}.items()]
    store.client.log_batch(run, tags=told)
    return run


def find_runs(store: Store, experiment: str, tags: Mapping[str, str]) -> "list[Run]":
    """The runs with these tags, the oldest first."""
    wanted = " and ".join(f"tags.{name} = '{value}'" for name, value in tags.items())
    runs = store.client.search_runs([experiment], wanted, order_by=["attributes.start_time ASC"])
    return sorted(runs, key=lambda run: (run.info.start_time, run.info.run_id))


def run_name(kind: str, fingerprint: str, experiment: str | None) -> str:
    """What tells runs apart at a glance: the kind, DVC's name of the experiment, the beginning of the fingerprint."""
    return " ".join(filter(None, (kind, experiment, fingerprint[:8])))


def _artifacts_exist(store: Store, run: "Run") -> bool:
    """Whether the run's files are still there, as far as this machine can see: `mlruns` may have been deleted."""
    where = str(run.info.artifact_uri).removeprefix("file://")
    return store.address.served or not where.startswith("/") or Path(where).is_dir()


def _run_tags(made: PipelineState, model: ModelArtifact) -> dict[str, str]:
    tags = {
        "mlflow.runName": run_name(model.kind, model.fingerprint, made.experiment),
        "model": model.kind,
        "fingerprint": model.fingerprint,
        "evaluation": made.evaluation,
        "weights": model.weights,
        "mlflow.note.content": str(made.metrics.get("sentence", "")),
        "mlflow.source.type": "PROJECT",
        "mlflow.source.name": "dvc.yaml",
    }
    if made.commit:
        tags |= {"mlflow.source.git.commit": made.commit, "dirty": str(made.dirty).lower()}
    if made.experiment:
        tags["dvc.experiment"] = made.experiment
    return tags


def _log_model(
    store: Store, experiment: str, run: str, made: PipelineState, model: ModelArtifact, example: NDArray[np.uint8]
) -> "LoggedModel":
    """The model of this fingerprint and these weights, logged if it is not there yet, and tied to the run."""
    from mlflow.entities import LoggedModelInput, LoggedModelOutput
    from mlflow.models import Model

    tags = {"fingerprint": model.fingerprint, "weights": model.weights, "model": model.kind}
    wanted = " and ".join(f"tags.{name} = '{value}'" for name, value in tags.items())
    for found in store.client.search_logged_models([experiment], wanted):
        if str(found.status) == "READY" and _model_files_exist(store, found.artifact_location):
            store.client.log_inputs(run, models=[LoggedModelInput(found.model_id)])
            return found
        store.client.delete_logged_model(found.model_id)
    parameters = _run_parameters(made, model)
    logged = store.client.create_logged_model(experiment, model.kind, run, tags, parameters, model_type=model.kind)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "model"
        described = Model(
            artifact_path=logged.artifact_location, model_uuid=logged.model_id, run_id=run, model_id=logged.model_id
        )
        packaging.package_model(model.folder, model.kind, example, folder, described)
        store.hurry()
        store.client.log_model_artifacts(logged.model_id, str(folder))
    store.client.log_outputs(run, [LoggedModelOutput(logged.model_id, 0)])
    return store.client.finalize_logged_model(logged.model_id, "READY")


def _model_files_exist(store: Store, location: str) -> bool:
    where = location.removeprefix("file://")
    return store.address.served or not where.startswith("/") or (Path(where) / "MLmodel").is_file()


def _log_numbers(store: Store, run: str, logged_model: str, made: PipelineState, model: ModelArtifact) -> None:
    """Parameters, the curves over epochs, and what *evaluate* measured."""
    from mlflow.entities import Metric, Param

    now = int(time.time() * 1000)
    parameters = [Param(name, value) for name, value in _run_parameters(made, model).items()]
    store.client.log_batch(run, params=parameters)
    log_history(store, run, artifacts.model_history(model), logged_points(store, run))
    metrics = [Metric(name, value, now, 0, model_id=logged_model) for name, value in flat_metrics(made, model).items()]
    for start in range(0, len(metrics), METRICS_PER_CALL):
        store.hurry()
        store.client.log_batch(run, metrics=metrics[start : start + METRICS_PER_CALL])


def logged_points(store: Store, run: str) -> set[tuple[str, int]]:
    """The points of the curves that the run has: metric and epoch."""
    names = [name for name in store.client.get_run(run).data.metrics if _is_history_metric(name)]
    return {(name, point.step) for name in names for point in store.client.get_metric_history(run, name)}


def log_history(store: Store, run: str, rows: Sequence[Mapping[str, float]], known: set[tuple[str, int]]) -> None:
    """Log the rows of a `history.csv`, without the points that are `known`, and make these known."""
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    points = {
        (_metric_of_column(name), int(row["epoch"])): value
        for row in rows
        for name, value in row.items()
        if name != "epoch" and math.isfinite(value)
    }
    metrics = [Metric(name, value, now, epoch) for (name, epoch), value in points.items() if (name, epoch) not in known]
    for start in range(0, len(metrics), METRICS_PER_CALL):
        store.client.log_batch(run, metrics=metrics[start : start + METRICS_PER_CALL])
    known.update(points)


def _metric_of_column(column: str) -> str:
    """A column of history.csv as the metric's name; the slash puts the curves of one part side by side in the UI."""
    if column == "learning_rate":
        return column
    name = column.removeprefix("validation_")
    return f"{'train' if name == column else 'validation'}/{name}"


def _is_history_metric(metric: str) -> bool:
    return metric == "learning_rate" or metric.startswith(("train/", "validation/"))


def flat_metrics(made: PipelineState, model: ModelArtifact) -> dict[str, float]:
    """What was measured as flat metrics: `test/accuracy`, `test/recall/star`, `paired/difference`, ..."""
    found = dict(flatten_mapping(model.measured, "test"))
    found |= dict(flatten_mapping(made.metrics.get("drawings", {}).get(model.kind, {}), "drawings"))
    if model.kind == "cnn":
        found |= dict(flatten_mapping(made.metrics.get("paired", {}), "paired"))
    return {
        _metric_name(name): float(value)
        for name, value in found.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if not name.endswith("/support")  # how many paintings show a shape is no measurement
    }


def _metric_name(name: str) -> str:
    """All shapes' recalls in one group of charts; the interval's ends beside the number that they belong to."""
    name = re.sub(r"^(test|drawings)/shapes/(.+)/(\w+)$", r"\1/\3/\2", name)
    return re.sub(r"^((?:test|drawings)/)(low|high)$", r"\1accuracy_\2", name)


def _run_parameters(made: PipelineState, model: ModelArtifact) -> dict[str, str]:
    """The sections of params.yaml that decided this model, as resolved, and what else its config.json knows."""
    mine = ("generate", "network", "train") if model.kind == "cnn" else ("generate", "baseline")
    values = {
        name: value for section in mine for name, value in flatten_mapping(made.settings.get(section, {}), section, ".")
    }
    values |= dict(flatten_mapping(made.settings.get("evaluate", {}), "evaluate", "."))
    for key, section in CONFIG_SECTIONS.items():
        values |= dict(flatten_mapping(model.config.get(key, {}), section, "."))
    for key in ("image_size", "choice", "augmented_copies", "parameters"):
        if key in model.config:
            values[key] = model.config[key]
    return {name: str(value) for name, value in values.items()}


def flatten_mapping(value: Any, prefix: str, joint: str = "/") -> Iterator[tuple[str, Any]]:
    """The leaves of nested dictionaries with their keys joined; lists are left out: they are no parameter or metric."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            plain = re.sub(r"[^\w.\- ]", "_", str(key))
            yield from flatten_mapping(inner, f"{prefix}{joint}{plain}", joint)
    elif not isinstance(value, list | tuple) and value is not None:
        yield prefix, value


def _log_datasets(store: Store, run: str, made: PipelineState, model: ModelArtifact) -> None:
    """The paintings by our own digest: MLflow's own looks at the first 10,000 numbers only."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    inputs = []
    for split, digest in {**model.config.get("paintings", {}), "test": made.judged}.items():
        data = Dataset(
            f"paintings {split}",
            digest[:MAX_DIGEST_LENGTH],
            source_type="local",
            source=json.dumps({"uri": f"data/paintings/{split}"}),
            profile=json.dumps({"split": split, "sha256": digest}),
        )
        inputs.append(DatasetInput(data, [InputTag("mlflow.data.context", DATASET_CONTEXTS.get(split, split))]))
    store.client.log_inputs(run, datasets=inputs)
