"""Log a `PipelineState` in MLflow: one run for the CNN and one for the baseline.

A run is identified by the tags model, fingerprint and evaluation and logged once. Its tag `complete` is written last:
a run without it is incomplete and is replaced. The model itself is logged once a fingerprint, however often it is
evaluated.
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

from strokewise.errors import ModelError
from strokewise.model.verify import verify_model
from strokewise.registry import artifacts
from strokewise.registry.artifacts import ModelArtifact, PipelineState
from strokewise.registry.store import Store
from strokewise.serving import packaging
from strokewise.support import training_times
from strokewise.support.training_times import TrainingTimes

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel, Run

CANDIDATES_FILE = "candidates.json"  # artifact of the baseline's run
METRICS_PER_CALL = 900  # a server accepts 1,000
MAX_DIGEST_LENGTH = 36  # characters in a data set's digest
# A section of config.json -> the prefix of its parameters in MLflow.
CONFIG_SECTIONS = {"network": "network", "training": "train", "baseline": "baseline", "versions": "versions"}
DATASET_CONTEXTS = {"train": "training", "test": "evaluation"}  # MLflow's names for the splits


@dataclass(frozen=True)
class LoggedModelRef:
    """The ids of a logged model and of its run."""

    run: str
    model: str


def log_runs(connection: Store, state: PipelineState, input_example: NDArray[np.uint8]) -> dict[str, LoggedModelRef]:
    """Log what MLflow lacks of both runs; returns where "cnn" and "baseline" are logged.

    `input_example` is a scene, uint8 (H, W) or (H, W, 3). Raises ModelError if the CNN's history cannot be read.
    """
    experiment = connection.experiment()
    assert experiment is not None
    models = (state.cnn, state.baseline)
    return {model.kind: _log_run(connection, experiment, state, model, input_example) for model in models}


def logged_paths(connection: Store, logged: Mapping[str, LoggedModelRef]) -> list[Path]:
    """The local paths among those where runs and models keep their artifacts."""
    client = connection.client
    uris = [str(client.get_run(each.run).info.artifact_uri) for each in logged.values()]
    paths = [path for path in map(local_path, uris) if path is not None]
    for each in logged.values():
        folder = local_path(client.get_logged_model(each.model).artifact_location)
        if folder is not None:
            paths += [folder / "MLmodel", *sorted((folder / packaging.MODEL_ARTIFACT).glob("*"))]
    return paths


def local_path(uri: str) -> Path | None:
    """The path of an artifact URI on this machine; None if it is elsewhere."""
    path = uri.removeprefix("file://")
    return Path(path) if path.startswith("/") else None


def _log_run(
    connection: Store, experiment: str, state: PipelineState, model: ModelArtifact, input_example: NDArray[np.uint8]
) -> LoggedModelRef:
    complete = _complete_run(connection, experiment, state, model)
    if complete is None:
        times = _training_times(model)
        tags = _run_tags(state, model) | _time_tags(model, times)
        run = _adopt_live_run(connection, experiment, model, tags) if model.kind == "cnn" else None
        if run is None:
            start = None if times is None else int(1000 * times.start)
            run = connection.client.create_run(experiment, start, tags).info.run_id
        logged_model = _log_model(connection, experiment, run, state, model, input_example)
        _log_numbers(connection, run, logged_model.model_id, state, model)
        _log_datasets(connection, run, state, model)
        for path, folder in artifacts.report_files(state):
            if model.kind == "cnn" or folder == "report":
                connection.check_deadline()
                connection.client.log_artifact(run, str(path), folder)
        _log_candidates(connection, run, model)
        connection.client.set_tag(run, "complete", logged_model.model_id)
        end = None if times is None or times.end is None else int(1000 * times.end)
        if end is not None and end < connection.client.get_run(run).info.start_time:
            end = None  # a live run of a training that was taken up finished
        connection.client.set_terminated(run, "FINISHED", end)
        complete = _complete_run(connection, experiment, state, model)
        assert complete is not None
    else:
        _restore_model(connection, complete.data.tags["complete"], complete.info.run_id, model, input_example)
    return LoggedModelRef(run=complete.info.run_id, model=complete.data.tags["complete"])


def _complete_run(connection: Store, experiment: str, state: PipelineState, model: ModelArtifact) -> "Run | None":
    """The complete run of a model, the oldest if two machines made one at the same time. Deletes all others."""
    tags = {"model": model.kind, "fingerprint": model.fingerprint, "evaluation": state.evaluation}
    runs = find_runs(connection, experiment, tags)
    complete = next((run for run in runs if "complete" in run.data.tags and _artifacts_exist(connection, run)), None)
    for run in runs:
        if complete is None or run.info.run_id != complete.info.run_id:
            connection.client.delete_run(run.info.run_id)
    return complete


def _adopt_live_run(connection: Store, experiment: str, model: ModelArtifact, tags: Mapping[str, str]) -> str | None:
    """Give the tags of the complete run to the run that showed this model's training live; None if there is none."""
    from mlflow.entities import RunTag

    live_tags = {"model": "cnn", "fingerprint": model.fingerprint, "live": "true"}
    live_runs = find_runs(connection, experiment, live_tags)
    if not live_runs:
        return None
    run = str(live_runs[0].info.run_id)
    adopted_tags = [RunTag(name, value) for name, value in {**tags, "live": "adopted"}.items()]
    connection.client.log_batch(run, tags=adopted_tags)
    return run


def find_runs(connection: Store, experiment: str, tags: Mapping[str, str]) -> "list[Run]":
    """The runs with these tags, the oldest first."""
    runs = connection.client.search_runs([experiment], _tag_filter(tags), order_by=["attributes.start_time ASC"])
    return sorted(runs, key=lambda run: (run.info.start_time, run.info.run_id))


def _tag_filter(tags: Mapping[str, str]) -> str:
    return " and ".join(f"tags.{name} = '{value}'" for name, value in tags.items())


def run_name(kind: str, fingerprint: str, experiment: str | None) -> str:
    """The name of a run: kind of model, DVC's name of the experiment, first digits of the fingerprint."""
    return " ".join(filter(None, (kind, experiment, fingerprint[:8])))


def _artifacts_exist(connection: Store, run: "Run") -> bool:
    """Whether the run's local files exist (`mlruns` may have been deleted); true for files on a server."""
    path = local_path(str(run.info.artifact_uri))
    return connection.address.is_server or path is None or path.is_dir()


def _run_tags(state: PipelineState, model: ModelArtifact) -> dict[str, str]:
    tags = {
        "mlflow.runName": run_name(model.kind, model.fingerprint, state.experiment),
        "model": model.kind,
        "fingerprint": model.fingerprint,
        "evaluation": state.evaluation,
        "weights": model.weights_digest,
        "mlflow.note.content": str(state.metrics.get("sentence", "")),
        "mlflow.source.type": "PROJECT",
        "mlflow.source.name": "dvc.yaml",
    }
    if state.commit:
        tags |= {"mlflow.source.git.commit": state.commit, "dirty": str(state.dirty).lower()}
    if state.experiment:
        tags["dvc.experiment"] = state.experiment
    return tags


def _training_times(model: ModelArtifact) -> TrainingTimes | None:
    """When the model was trained; None if that was elsewhere or is not recorded."""
    times = training_times.read_times(str(model.config.get("training_digest", "")))
    return times if times is not None and times.end is not None else None


def _time_tags(model: ModelArtifact, times: TrainingTimes | None) -> dict[str, str]:
    """Who ran it, and how long training took; a time that this machine cannot know is not invented."""
    user = times.user if times else training_times.user_name()
    tags = {"mlflow.user": user} if user else {}
    if model.kind == "cnn" and times:
        tags |= {"training": "on this machine", "training_seconds": f"{times.seconds:.1f}"}
    elif model.kind == "cnn":
        tags["training"] = "pulled or replayed: the run's times are those of its registration"
    return tags


def _log_candidates(connection: Store, run: str, model: ModelArtifact) -> None:
    """Log the cross-validation of the baseline's candidates as a table, a row each, for MLflow's table view."""
    candidates = model.config.get("cross_validation") or []
    if not candidates:
        return
    rows = [
        {name: json.dumps(value) if isinstance(value, list | dict) else value for name, value in candidate.items()}
        for candidate in candidates
    ]
    columns = list(rows[0])
    table = {"columns": columns, "data": [[row.get(column) for column in columns] for row in rows]}
    connection.client.log_dict(run, table, CANDIDATES_FILE)
    shown = json.dumps([{"path": CANDIDATES_FILE, "type": "table"}])
    connection.client.set_tag(run, "mlflow.loggedArtifacts", shown)


def _log_model(
    connection: Store,
    experiment: str,
    run: str,
    state: PipelineState,
    model: ModelArtifact,
    input_example: NDArray[np.uint8],
) -> "LoggedModel":
    """Log the model unless one with this fingerprint and these weights is logged, and link it to the run."""
    from mlflow.entities import LoggedModelInput, LoggedModelOutput

    client = connection.client
    tags = {"fingerprint": model.fingerprint, "weights": model.weights_digest, "model": model.kind}
    for earlier in client.search_logged_models([experiment], _tag_filter(tags)):
        if str(earlier.status) == "READY":
            _restore_model(connection, earlier.model_id, run, model, input_example)
            client.log_inputs(run, models=[LoggedModelInput(earlier.model_id)])
            return earlier
        client.delete_logged_model(earlier.model_id)
    params = _run_params(state, model)
    logged = client.create_logged_model(experiment, model.kind, run, tags, params, model_type=model.kind)
    _upload_model(connection, logged, run, model, input_example)
    client.log_outputs(run, [LoggedModelOutput(logged.model_id, 0)])
    return client.finalize_logged_model(logged.model_id, "READY")


def _restore_model(
    connection: Store, model_id: str, run: str, model: ModelArtifact, input_example: NDArray[np.uint8]
) -> None:
    """Write the files of a logged model anew where they are gone or damaged: registered versions point at them."""
    logged = connection.client.get_logged_model(model_id)
    if not _is_whole(logged.artifact_location, model.kind):
        _upload_model(connection, logged, run, model, input_example)


def _is_whole(location: str, kind: str) -> bool:
    """Whether the files of a logged model are what was logged; files on a server are not looked at."""
    folder = local_path(location)
    if folder is None:
        return True
    try:
        verify_model(folder / packaging.MODEL_ARTIFACT, kind)
    except ModelError:
        return False
    return (folder / "MLmodel").is_file()


def _upload_model(
    connection: Store, logged: "LoggedModel", run: str, model: ModelArtifact, input_example: NDArray[np.uint8]
) -> None:
    from mlflow.models import Model

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "model"
        description = Model(
            artifact_path=logged.artifact_location, model_uuid=logged.model_id, run_id=run, model_id=logged.model_id
        )
        packaging.package_model(model.folder, input_example, folder, description)
        connection.check_deadline()
        connection.client.log_model_artifacts(logged.model_id, str(folder))
        digest = packaging.package_digest(folder)
        connection.client.set_logged_model_tags(logged.model_id, {packaging.PACKAGE_TAG: digest})


def _log_numbers(connection: Store, run: str, logged_model: str, state: PipelineState, model: ModelArtifact) -> None:
    """Log the parameters, the training history and the evaluation's metrics."""
    from mlflow.entities import Metric, Param

    now = int(time.time() * 1000)
    params = [Param(name, value) for name, value in _run_params(state, model).items()]
    connection.client.log_batch(run, params=params)
    log_history(connection, run, artifacts.model_history(model), logged_points(connection, run))
    metrics = [Metric(name, value, now, 0, model_id=logged_model) for name, value in flat_metrics(state, model).items()]
    for start in range(0, len(metrics), METRICS_PER_CALL):
        connection.check_deadline()
        connection.client.log_batch(run, metrics=metrics[start : start + METRICS_PER_CALL])


def logged_points(connection: Store, run: str) -> set[tuple[str, int]]:
    """The points of the training history that a run has: (metric, epoch)."""
    names = [name for name in connection.client.get_run(run).data.metrics if _is_history_metric(name)]
    return {(name, point.step) for name in names for point in connection.client.get_metric_history(run, name)}


def log_history(connection: Store, run: str, rows: Sequence[Mapping[str, float]], logged: set[tuple[str, int]]) -> None:
    """Log the rows of a `history.csv` except for the points in `logged`, to which the new ones are added."""
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    points = {
        (_metric_of_column(name), int(row["epoch"])): value
        for row in rows
        for name, value in row.items()
        if name != "epoch" and math.isfinite(value)
    }
    metrics = [
        Metric(name, value, now, epoch) for (name, epoch), value in points.items() if (name, epoch) not in logged
    ]
    for start in range(0, len(metrics), METRICS_PER_CALL):
        connection.client.log_batch(run, metrics=metrics[start : start + METRICS_PER_CALL])
    logged.update(points)


def _metric_of_column(column: str) -> str:
    """The metric's name of a column of history.csv; MLflow groups charts by what stands before the slash."""
    if column == "learning_rate":
        return column
    name = column.removeprefix("validation_")
    return f"{'train' if name == column else 'validation'}/{name}"


def _is_history_metric(metric: str) -> bool:
    return metric == "learning_rate" or metric.startswith(("train/", "validation/"))


def flat_metrics(state: PipelineState, model: ModelArtifact) -> dict[str, float]:
    """The evaluation as flat metrics: `test/accuracy`, `test/recall/star`, `paired/difference`, ..."""
    values = dict(flatten_mapping(model.metrics, "test"))
    values |= dict(flatten_mapping(state.metrics.get("drawings", {}).get(model.kind, {}), "drawings"))
    if model.kind == "cnn":
        values |= dict(flatten_mapping(state.metrics.get("paired", {}), "paired"))
    return {
        _metric_name(name): float(value)
        for name, value in values.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if not name.endswith("/support")  # how many paintings show a shape is no metric
    }


def _metric_name(name: str) -> str:
    """Put the recalls of all shapes into one group of charts, and the interval's ends beside their accuracy."""
    name = re.sub(r"^(test|drawings)/shapes/(.+)/(\w+)$", r"\1/\3/\2", name)
    return re.sub(r"^((?:test|drawings)/)(low|high)$", r"\1accuracy_\2", name)


def _run_params(state: PipelineState, model: ModelArtifact) -> dict[str, str]:
    """The sections of params.yaml that decided this model; what its config.json says overrides them."""
    sections = (
        ("generate", "network", "train", "evaluate") if model.kind == "cnn" else ("generate", "baseline", "evaluate")
    )
    values: dict[str, Any] = {}
    for section in sections:
        values |= dict(flatten_mapping(state.settings.get(section, {}), section, "."))
    for key, section in CONFIG_SECTIONS.items():
        values |= dict(flatten_mapping(model.config.get(key, {}), section, "."))
    for key in ("image_size", "choice", "augmented_copies", "parameters"):
        if key in model.config:
            values[key] = model.config[key]
    return {name: str(value) for name, value in values.items()}


def flatten_mapping(value: Any, prefix: str, separator: str = "/") -> Iterator[tuple[str, Any]]:
    """The leaves of nested dictionaries with their keys joined; lists are left out, as they are no param or metric."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            allowed = re.sub(r"[^\w.\- ]", "_", str(key))
            yield from flatten_mapping(inner, f"{prefix}{separator}{allowed}", separator)
    elif not isinstance(value, list | tuple) and value is not None:
        yield prefix, value


def _log_datasets(connection: Store, run: str, state: PipelineState, model: ModelArtifact) -> None:
    """Log the paintings by their digest: MLflow's own digest covers the first 10,000 numbers only."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    inputs = []
    for split, digest in {**model.config.get("paintings", {}), "test": state.test_digest}.items():
        dataset = Dataset(
            f"paintings {split}",
            digest[:MAX_DIGEST_LENGTH],
            source_type="local",
            source=json.dumps({"uri": f"data/paintings/{split}"}),
            profile=json.dumps({"split": split, "sha256": digest}),
        )
        inputs.append(DatasetInput(dataset, [InputTag("mlflow.data.context", DATASET_CONTEXTS.get(split, split))]))
    connection.client.log_inputs(run, datasets=inputs)
