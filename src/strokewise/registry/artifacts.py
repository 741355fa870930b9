"""Read the pipeline's results from disk: the folders of both models and of the report → a frozen `PipelineState`.

Everything that MLflow shows is derived from it. This module does not use MLflow.
"""

import csv
import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from strokewise.code_digest import json_digest
from strokewise.data.dataset import split_digest
from strokewise.errors import ModelError, one_line
from strokewise.model.verify import verify_model
from strokewise.params import RegisterParams
from strokewise.support.paths import BASELINE_DIR, HISTORY_FILE, MODEL_DIR, PAINTINGS_DIR, REPORT_DIR
from strokewise.support.regular_file import read_regular

REPORT_PATTERNS = ("*.png", "*.csv", "*.json", "*.html", "predictions.parquet")
MAX_REPORT_BYTES = 2**26  # of details.json, a table or a history
MEASURED = {  # the numbers in details.json that a registration prints, by section
    **dict.fromkeys(("cnn", "baseline"), ("accuracy", "low", "high")),
    "paired": ("difference", "low", "high", "p"),
}
MODEL_DIRS = {"cnn": MODEL_DIR, "baseline": BASELINE_DIR}  # by kind
# What decides a result: a run is marked as dirty if one of these differs from the commit.
TRACKED_PATHS = ("src", "data/outlines", "params.yaml", "dvc.yaml")


@dataclass(frozen=True)
class ModelArtifact:
    """A trained model: its folder, the content of its `config.json` and what *evaluate* measured."""

    kind: str  # cnn or baseline
    folder: Path
    config: Mapping[str, Any]
    weights_digest: str  # SHA-256 of the weight file
    metrics: Mapping[str, Any]

    @property
    def fingerprint(self) -> str:
        """The digest of everything that decided the model."""
        return str(self.config["fingerprint"])

    @property
    def shapes(self) -> tuple[str, ...]:
        """The names of the shapes, in the order of the labels."""
        return tuple(self.config["shapes"])


@dataclass(frozen=True)
class PipelineState:
    """All results of one run of the pipeline. `settings` are the sections of `params.yaml` by name."""

    cnn: ModelArtifact
    baseline: ModelArtifact
    metrics: Mapping[str, Any]  # the content of details.json
    settings: Mapping[str, Mapping[str, Any]]
    test_digest: str  # of the test paintings
    report: Path
    paintings: Path
    commit: str | None
    dirty: bool  # whether code, catalogue or parameters differ from the commit
    experiment: str | None  # the name that DVC gave it

    @property
    def evaluation(self) -> str:
        """The digest of the evaluation; with a model's fingerprint it identifies an MLflow run."""
        return str(self.metrics["evaluation"])


def read_state(
    settings: Mapping[str, Mapping[str, Any]],
    root: Path = Path(),
    commit: str | None = None,
    experiment: str | None = None,
) -> PipelineState:
    """Read the results below `root`.

    Args:
        settings: the sections of `params.yaml` by name.
        root: the folder that holds `data`.
        commit: the commit that the results were taken from; None for the working tree, where git is asked.
        experiment: DVC's name of the experiment that they belong to. Only used with `commit`.

    Raises ModelError if a part is missing, damaged or of another state, DatasetError if the test paintings are.
    """
    metrics = _read_json(root / REPORT_DIR / "details.json", "evaluate", ("evaluation", "paired", "paintings"))
    _check_measured(metrics, root / REPORT_DIR / "details.json")
    cnn, baseline = (_read_model(kind, root / folder, metrics) for kind, folder in MODEL_DIRS.items())
    dirty = False
    if commit is None:
        commit, dirty = _git_state(root)
        experiment = os.environ.get("DVC_EXP_NAME") or None
    return PipelineState(
        cnn=cnn,
        baseline=baseline,
        metrics=metrics,
        settings=settings,
        test_digest=split_digest("test", root / PAINTINGS_DIR),
        report=root / REPORT_DIR,
        paintings=root / PAINTINGS_DIR,
        commit=commit,
        dirty=dirty,
        experiment=experiment,
    )


def _read_model(kind: str, folder: Path, metrics: Mapping[str, Any]) -> ModelArtifact:
    config = verify_model(folder, kind)
    measured = metrics.get(kind)
    if not isinstance(measured, dict) or measured.get("fingerprint") != config.get("fingerprint"):
        raise ModelError(f"data/report is about another model than {folder}; run `strokewise evaluate`")
    return ModelArtifact(kind, folder, config, weights_digest=config["weights"], metrics=measured)


def _read_json(path: Path, stage: str, required: Sequence[str]) -> dict[str, Any]:
    """Read a JSON object that `stage` writes; raises ModelError if it lacks one of the `required` keys."""
    try:
        value = json.loads(read_regular(path, MAX_REPORT_BYTES).decode("utf-8"))
        if not isinstance(value, dict):
            raise ValueError("it holds no object")
        if missing := [key for key in required if key not in value]:
            raise ValueError(f"it has no {' and no '.join(missing)}")
        return value
    except FileNotFoundError:
        raise ModelError(f"there is no {path}; run `dvc repro`, or `strokewise {stage}`") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path} cannot be read: {one_line(error, 120)}; run `strokewise {stage}`") from None


def _check_measured(metrics: Mapping[str, Any], path: Path) -> None:
    """Raise ModelError unless all that the summary prints is there, and is a number."""
    for section, names in MEASURED.items():
        values = metrics.get(section)
        for name in names:
            if not isinstance(values, dict) or not isinstance(values.get(name), int | float):
                raise ModelError(f"{path} is damaged: {section}.{name} is no number; run `strokewise evaluate`")
    if not isinstance(metrics["paintings"], int):
        raise ModelError(f"{path} is damaged: paintings is no number; run `strokewise evaluate`")


def state_key(state: PipelineState, rules: RegisterParams) -> str:
    """Digest of everything that a registration depends on: both models, the evaluation and the gate's rules."""
    models = [[model.fingerprint, model.weights_digest] for model in (state.cnn, state.baseline)]
    return json_digest([models, state.evaluation, rules.model_dump(exclude_defaults=True)])


def model_history(model: ModelArtifact) -> list[dict[str, float]]:
    """The rows of the model's `history.csv`, one an epoch; empty for a model without one.

    Raises ModelError if the file cannot be read.
    """
    path = model.folder / HISTORY_FILE
    try:
        return read_history(path)
    except (OSError, TypeError, ValueError, csv.Error) as error:
        raise ModelError(f"{path} cannot be read: {one_line(error, 120)}; run `strokewise train`") from None


def read_history(path: Path) -> list[dict[str, float]]:
    """The complete rows of a `history.csv` that may still be growing; empty if there is no such file."""
    try:
        complete = read_regular(path, MAX_REPORT_BYTES).decode("utf-8").rpartition("\n")[0]
    except FileNotFoundError:
        return []
    rows = csv.DictReader(complete.splitlines())
    return [{name: float(value) for name, value in row.items() if value} for row in rows]


def test_predictions(state: PipelineState) -> tuple[list[int], list[int], list[int]]:
    """Labels, the CNN's and the baseline's predictions of all test paintings, from the report's confusion tables.

    All are positions in the CNN's shapes. Raises ModelError if a table cannot be read or the tables do not match.
    """
    label_of = {shape: label for label, shape in enumerate(state.cnn.shapes)}
    tables = []
    for kind in MODEL_DIRS:
        path = state.report / f"confusion-{kind}.csv"
        try:
            lines = read_regular(path, MAX_REPORT_BYTES).decode("utf-8").splitlines()
            tables.append([(label_of[row["actual"]], label_of[row["predicted"]]) for row in csv.DictReader(lines)])
        except (OSError, LookupError, ValueError, csv.Error) as error:
            raise ModelError(
                f"{path} cannot be read: {one_line(repr(error), 120)}; run `strokewise evaluate`"
            ) from None
    cnn, baseline = tables
    labels = [label for label, _ in cnn]
    if labels != [label for label, _ in baseline] or not labels:
        raise ModelError(f"the confusion tables in {state.report} do not belong together; run `strokewise evaluate`")
    return labels, [predicted for _, predicted in cnn], [predicted for _, predicted in baseline]


def report_files(state: PipelineState) -> list[tuple[Path, str]]:
    """The page, pictures and tables of the report, each with the folder of the run's artifacts that it goes to."""
    files = [(path, "report") for pattern in REPORT_PATTERNS for path in state.report.glob(pattern)]
    files += [(path, "report/explain") for path in (state.report / "explain").glob("*.png")]
    files += [(path, "paintings") for path in state.paintings.glob("*.png")]
    return sorted(files)


def _git_state(root: Path) -> tuple[str | None, bool]:
    """The commit, and whether a tracked path differs from it; (None, False) outside a git repository."""
    commit = git_output(root, "rev-parse", "HEAD")
    return commit or None, bool(commit and git_output(root, "status", "--porcelain", "--", *TRACKED_PATHS))


def git_output(root: Path, *arguments: str) -> str:
    """What a git command in `root` prints; empty if it fails or git is not installed."""
    command = ["git", "-C", str(root), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
