"""The runs of a registered state: logged once, replaced if incomplete, and tagged with commit and experiment."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from registry_queries import artifact_paths, search_logged_models, search_runs
from strokewise.errors import ModelError, RegistryError
from strokewise.loading import load
from strokewise.model.config_file import write_config
from strokewise.model.verify import verify_model
from strokewise.params import Params
from strokewise.registry import versions
from strokewise.registry.store import Store
from strokewise.stages.register import register
from strokewise.support import atomic_io

pytestmark = pytest.mark.slow
Project = Callable[..., Path]


def test_deleted_artifacts_are_logged_again(project: Project, params: Params) -> None:
    root = project()
    register(params)
    shutil.rmtree(root / "mlruns")
    with pytest.raises(RegistryError, match=r"the files of strokewise version 1 are gone .* delete mlflow.db too"):
        versions.champion_dir()
    register(params)
    assert len(search_runs()) == 2
    assert all("report/metrics.json" in artifact_paths(run) for run in search_runs())


def test_another_evaluation_is_another_run_of_the_same_model(project: Project, params: Params) -> None:
    root = project()
    register(params)
    metrics = json.loads((root / "data/report/details.json").read_text())
    atomic_io.write_json(root / "data/report/details.json", metrics | {"evaluation": "e" * 64})
    result = register(params)
    assert "already registered: version 1, champion" in result.summary
    assert len(search_runs(model="cnn")) == len(search_runs(model="baseline")) == 2
    assert len(search_logged_models()) == 2


def test_run_names_commit_experiment_and_uncommitted_changes(
    project: Project, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = project()
    monkeypatch.setenv("DVC_EXP_NAME", "pied-wren")

    def git(*arguments: str) -> str:
        author = ("-c", "user.name=t", "-c", "user.email=t@t")
        done = subprocess.run(["git", *author, *arguments], cwd=root, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    git("init", "-q")
    git("add", "params.yaml")
    git("commit", "-qm", "first")
    register(params)
    (clean,) = search_runs(model="cnn")
    assert clean.data.tags["mlflow.source.git.commit"] == git("rev-parse", "HEAD")
    assert clean.data.tags["dirty"] == "false"
    assert clean.data.tags["dvc.experiment"] == "pied-wren"
    (root / "params.yaml").write_text("changed")
    project(seed=1)
    (root / "params.yaml").write_text("changed")
    register(params)
    assert {run.data.tags["dirty"] for run in search_runs(model="cnn")} == {"false", "true"}


def test_deadline_is_checked_between_calls(project: Project, params: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    project()
    checks = []
    monkeypatch.setattr(Store, "check_deadline", lambda connection: checks.append(connection))
    register(params)
    assert len(checks) > 10


def test_run_has_the_times_of_its_training_and_the_user(project: Project, params: Params) -> None:
    root = project()
    config, digest = json.loads((root / "data/model/config.json").read_text()), "d" * 64
    write_config(root / "data/model", config | {"training_digest": digest})
    times = {"start": 1000.0, "end": 1060.0, "seconds": 50.0, "user": "ada", "part_start": 1010.0}
    atomic_io.write_json(root / ".strokewise/times" / f"{digest}.json", times)
    register(params)
    (run,) = search_runs(model="cnn")
    assert (run.info.start_time, run.info.end_time) == (1_000_000, 1_060_000)
    assert run.data.tags["mlflow.user"] == "ada"
    assert run.data.tags["training_seconds"] == "50.0"
    register(params)
    assert len(search_runs()) == 2


def test_run_of_a_training_elsewhere_says_so(project: Project, params: Params) -> None:
    project()
    register(params)
    (run,) = search_runs(model="cnn")
    assert run.data.tags["training"].startswith("pulled or replayed")
    assert "training_seconds" not in run.data.tags


def test_report_page_predictions_and_candidates_are_artifacts(project: Project, params: Params) -> None:
    root = project()
    (root / "data/report/index.html").write_text("<p>page</p>")
    (root / "data/report/predictions.parquet").write_bytes(b"PAR1")
    config = json.loads((root / "data/baseline/config.json").read_text())
    candidates = [{"model": "random forest", "copies": 0, "accuracy": 0.5, "folds": [0.4, 0.6], "temperature": None}]
    write_config(root / "data/baseline", config | {"cross_validation": candidates})
    register(params)
    (baseline,), (cnn,) = search_runs(model="baseline"), search_runs(model="cnn")
    assert {"report/index.html", "report/predictions.parquet", "candidates.json"} <= artifact_paths(baseline)
    assert {"report/index.html", "report/predictions.parquet"} <= artifact_paths(cnn)
    table = json.loads((Path(baseline.info.artifact_uri) / "candidates.json").read_text())
    assert dict(zip(table["columns"], table["data"][0], strict=True))["accuracy"] == 0.5


@pytest.mark.slow
@pytest.mark.parametrize("name", ["model.onnx", "model.safetensors", "config.json", "MLmodel"])
def test_damaged_version_is_noticed_and_made_whole_by_registering_again(
    name: str, project: Project, params: Params
) -> None:
    project()
    register(params)
    folder = versions.champion_dir()
    assert folder is not None
    file = folder / name if name != "MLmodel" else folder.parents[1] / name
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2] + content[len(content) // 2 + 1 :])
    if name == "model.onnx":
        with pytest.raises(ModelError, match="is damaged"):
            load()
    if name == "MLmodel":
        file.unlink()
    assert "already registered: version 1, champion" in register(params).summary
    verify_model(folder, "cnn")
    assert file.is_file()
    assert load().shapes
    assert len(search_runs()) == 2
