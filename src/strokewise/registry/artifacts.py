"""What the pipeline made, as it lies on disk: the folders of both models and the report -> a frozen `PipelineState`.

Everything that MLflow shows is projected from this; nothing here knows MLflow.
"""

import csv
import hashlib
import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from strokewise.errors import ModelError

MODEL_KINDS = {"cnn": "model", "baseline": "baseline"}  # -> their folders below data
WEIGHT_FILES = ("model.safetensors", "model.onnx")
TRACKED_PATHS = (
    "src",
    "data/outlines",
    "params.yaml",
    "dvc.yaml",
)  # what decides a result: a change here makes a commit dirty


@dataclass(frozen=True)
class ModelArtifact:
    """A trained model: its folder, its `config.json` and what *evaluate* measured of it."""

    kind: str  # cnn or baseline
    folder: Path
    config: Mapping[str, Any]
    weights: str  # SHA-256 of the weights' file
    measured: Mapping[str, Any]

    @property
    def fingerprint(self) -> str:
        return str(self.config["fingerprint"])

    @property
    def shapes(self) -> tuple[str, ...]:
        return tuple(self.config["shapes"])


@dataclass(frozen=True)
class PipelineState:
    """A state of the pipeline. `settings` are the sections of `params.yaml` by name; a run is keyed by the
    model's fingerprint and `evaluation`."""

    cnn: ModelArtifact
    baseline: ModelArtifact
    metrics: Mapping[str, Any]
    settings: Mapping[str, Mapping[str, Any]]
    judged: str  # digest of the test paintings
    report: Path
    paintings: Path
    commit: str | None
    dirty: bool
    experiment: str | None  # DVC's name of it

    @property
    def evaluation(self) -> str:
        return str(self.metrics["evaluation"])


def read_state(
    settings: Mapping[str, Mapping[str, Any]],
    judged: str,
    root: Path = Path(),
    commit: str | None = None,
    experiment: str | None = None,
) -> PipelineState:
    """The state that lies in `root`/data: that of `commit` where it was taken from one, else the working tree's.

    Raises ModelError if a part is missing, damaged or of another state.
    """
    data = root / "data"
    metrics = _read_json(data / "report" / "metrics.json", "evaluate", ("evaluation", "paired", "paintings"))
    cnn, baseline = (_read_model(kind, data / folder, metrics) for kind, folder in MODEL_KINDS.items())
    dirty = False
    if commit is None:
        commit, dirty = _git_state(root)
        experiment = os.environ.get("DVC_EXP_NAME") or None
    return PipelineState(
        cnn,
        baseline,
        metrics,
        settings,
        judged,
        data / "report",
        data / "paintings",
        commit,
        dirty,
        experiment,
    )


def _read_model(kind: str, folder: Path, metrics: Mapping[str, Any]) -> ModelArtifact:
    stage = "train" if kind == "cnn" else "baseline"
    config = _read_json(folder / "config.json", stage, ("fingerprint", "shapes"))
    weights = next((folder / name for name in WEIGHT_FILES if (folder / name).is_file()), None)
    if weights is None:
        raise ModelError(f"{folder} holds no weights ({' or '.join(WEIGHT_FILES)}); run `strokewise {stage}`")
    measured = metrics.get(kind)
    if not isinstance(measured, dict) or measured.get("fingerprint") != config.get("fingerprint"):
        raise ModelError(f"data/report is about another model than {folder}; run `strokewise evaluate`")
    return ModelArtifact(kind, folder, config, hashlib.sha256(weights.read_bytes()).hexdigest(), measured)


def _read_json(path: Path, stage: str, needed: Sequence[str]) -> dict[str, Any]:
    """The object in a file that `stage` writes, seen to have the keys that are `needed`."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(value, dict):
            raise ValueError("it holds no object")
        if lacking := [key for key in needed if key not in value]:
            raise ValueError(f"it has no {' and no '.join(lacking)}")
        return value
    except FileNotFoundError:
        raise ModelError(f"there is no {path}; run `dvc repro`, or `strokewise {stage}`") from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {error}; run `strokewise {stage}`") from None


def state_key(state: PipelineState, rules: Mapping[str, Any]) -> str:
    """What a decision depends on, SHA-256: both models, the measurement and the gate's rules."""
    models = [[made.fingerprint, made.weights] for made in (state.cnn, state.baseline)]
    return hashlib.sha256(json.dumps([models, state.evaluation, dict(rules)], sort_keys=True).encode()).hexdigest()


def model_history(made: ModelArtifact) -> list[dict[str, float]]:
    """The rows of `history.csv`, an epoch each; none for a model without one."""
    path = made.folder / "history.csv"
    try:
        return read_history(path)
    except (OSError, TypeError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {error}; run `strokewise train`") from None


def read_history(path: Path) -> list[dict[str, float]]:
    """The rows of a `history.csv`, which may still grow: a line without its end is not yet one. None without a file."""
    try:
        whole = path.read_text(encoding="utf-8").rpartition("\n")[0]
    except FileNotFoundError:
        return []
    return [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(whole.splitlines())]


def test_predictions(state: PipelineState) -> tuple[list[int], list[int], list[int]]:
    """Truth, CNN and baseline for every test painting, as positions in the CNN's shapes, from the confusion tables."""
    at = {shape: position for position, shape in enumerate(state.cnn.shapes)}
    tables = []
    for kind in MODEL_KINDS:
        path = state.report / f"confusion-{kind}.csv"
        try:
            with path.open(newline="", encoding="utf-8") as lines:
                tables.append([(at[row["actual"]], at[row["predicted"]]) for row in csv.DictReader(lines)])
        except (OSError, KeyError) as error:
            raise ModelError(f"{path} cannot be read: {error!r}; run `strokewise evaluate`") from None
    cnn, baseline = tables
    if [truth for truth, _ in cnn] != [truth for truth, _ in baseline] or not cnn:
        raise ModelError(f"the confusion tables in {state.report} do not belong together; run `strokewise evaluate`")
    return [truth for truth, _ in cnn], [said for _, said in cnn], [said for _, said in baseline]


def report_files(state: PipelineState) -> list[tuple[Path, str]]:
    """The pictures and tables of the report, and the folder that each belongs into beside the run."""
    found = [(path, "report") for pattern in ("*.png", "*.csv", "*.json") for path in state.report.glob(pattern)]
    found += [(path, "report/explain") for path in (state.report / "explain").glob("*.png")]
    found += [(path, "paintings") for path in state.paintings.glob("*.png")]
    return sorted(found)


def _git_state(root: Path) -> tuple[str | None, bool]:
    """The commit, and whether code, catalogue or parameters differ from it; (None, False) where there is no git."""
    commit = _git_output(root, "rev-parse", "HEAD")
    if not commit:
        return None, False
    return commit, bool(_git_output(root, "status", "--porcelain", "--", *TRACKED_PATHS))


def _git_output(root: Path, *words: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
