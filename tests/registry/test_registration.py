"""`register` against a real MLflow store: a new state, the same state again, and a store that lost something."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pytest

from registry_queries import artifact_paths, event_actions, read_snapshot, search_logged_models, search_runs
from strokewise.params import Params
from strokewise.registry import runs, store, versions
from strokewise.stages.register import RegisterResult, register

Project = Callable[..., Path]


def test_first_state_becomes_two_runs_and_the_champion(project: Project, params: Params) -> None:
    root = project()
    result = register(params)
    assert result.champion
    assert result.warning is None
    assert "Registered version 1, champion" in result.summary
    (cnn,), (baseline,) = search_runs(model="cnn"), search_runs(model="baseline")
    config = json.loads((root / "data/model/config.json").read_text())
    metrics = json.loads((root / "data/report/details.json").read_text())
    for run in (cnn, baseline):
        assert run.info.status == "FINISHED"
        assert run.data.tags["evaluation"] == metrics["evaluation"]
        assert {data.dataset.name for data in run.inputs.dataset_inputs} == {"paintings train", "paintings test"}
        assert len(run.outputs.model_outputs) == 1
    assert cnn.data.tags["fingerprint"] == config["fingerprint"]
    assert cnn.data.params["train.epochs"] == "3"  # of config.json, not of params.yaml
    assert cnn.data.params["network.image_size"] == "16"
    assert baseline.data.params["choice"] == "PCA + RBF SVM"
    assert cnn.data.metrics["test/accuracy"] == metrics["cnn"]["accuracy"]
    assert cnn.data.metrics["test/accuracy_low"] == metrics["cnn"]["low"]
    assert baseline.data.metrics["test/recall/cross"] == metrics["baseline"]["shapes"]["cross"]["recall"]
    assert cnn.data.metrics["paired/wins"] == metrics["paired"]["wins"]
    assert artifact_paths(cnn) == {
        *(
            "report/metrics.json",
            "report/details.json",
            "report/mistakes.png",
            "report/decision.json",
            "report/explain/ring.png",
        ),
        *("report/confusion-cnn.csv", "report/confusion-baseline.csv", "paintings/contact-sheet.png"),
    }
    with store.connect() as connection:
        curve = connection.client.get_metric_history(cnn.info.run_id, "validation/loss")
    assert [(point.step, point.value) for point in curve] == [(1, 1.1), (2, 0.55), (3, pytest.approx(1.1 / 3))]
    snapshot = read_snapshot()
    assert [version.run for version in snapshot.versions] == [cnn.info.run_id]
    assert snapshot.aliases == {"champion": 1}
    assert snapshot.champion is not None
    assert snapshot.champion.decision is not None
    assert snapshot.champion.decision["numbers"]["baseline"]["wins"] == metrics["paired"]["wins"]
    assert not list(root.glob("mlartifacts"))


@pytest.mark.slow
def test_summary_fits_a_terminal(project: Project, params: Params) -> None:
    project()
    result = register(params)
    assert isinstance(result, RegisterResult)
    lines = result.summary.splitlines()
    assert len(lines) <= 15
    assert all(len(line) <= 120 for line in lines)
    assert [line.split()[0] for line in lines[:4]] == ["CNN", "Baseline", "Difference", "Registered"]
    assert "p < 0.001: significant, on 120 paintings" in lines[2]


@pytest.mark.slow
def test_same_state_again_changes_nothing(project: Project, params: Params) -> None:
    root = project()
    register(params)
    before = {path: path.stat().st_mtime_ns for path in (root / "mlruns").rglob("*")}
    again = register(params)
    assert again.champion
    assert "already registered: version 1, champion" in again.summary
    assert {path: path.stat().st_mtime_ns for path in (root / "mlruns").rglob("*")} == before
    assert len(search_runs()) == 2
    assert event_actions(read_snapshot()) == [("champion", 1)]


@pytest.mark.slow
def test_deleted_store_is_restored(project: Project, params: Params, database: Path) -> None:
    root = project()
    register(params)
    first = {run.data.tags["model"]: run for run in search_runs()}
    shutil.copy(database, root / "mlflow.db")
    shutil.rmtree(root / "mlruns")
    result = register(params)
    assert "Registered version 1, champion" in result.summary
    for run in search_runs():
        before = first[run.data.tags["model"]]
        assert run.data.params == before.data.params
        assert run.data.metrics == before.data.metrics
        varying = {"complete"}
        assert {k: v for k, v in run.data.tags.items() if k not in varying} == {
            k: v for k, v in before.data.tags.items() if k not in varying
        }


@pytest.mark.slow
def test_full_disk_is_a_warning_and_the_incomplete_run_is_replaced(
    project: Project, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    project()

    def disk_full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(runs, "_log_datasets", disk_full)
        result = register(params)
    assert not result.champion
    assert result.warning is not None
    assert "not registered, nothing is lost: mlflow.db: [Errno 28] No space left on device" in result.warning
    assert "\n" not in result.warning
    assert [run.info.status for run in search_runs()] == ["RUNNING"]
    assert register(params).champion
    assert sorted(run.data.tags["model"] for run in search_runs()) == ["baseline", "cnn"]
    assert len(search_logged_models()) == 2


def test_queued_experiment_registers_in_the_original_root(
    project: Project, params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = project()
    copy = tmp_path / "copy"
    shutil.move(root / "data", copy / "data")
    monkeypatch.setenv("DVC_ROOT", str(root))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    monkeypatch.chdir(copy)
    assert "Registered version 1, champion" in register(params).summary
    assert [path.name for path in copy.iterdir()] == ["data"]
    assert os.environ["MLFLOW_TRACKING_URI"] == ""
    assert mlflow.get_tracking_uri() == f"sqlite:///{copy}/mlflow.db"  # MLflow's own default, unchanged
    assert versions.champion_dir() is not None


@pytest.mark.slow
def test_dry_run_writes_nothing(project: Project, params: Params) -> None:
    root = project(weak=0.2)
    (root / "mlflow.db").unlink()
    first = register(params, dry_run=True)
    assert first.champion
    assert "Registered would become a new version, champion" in first.summary
    assert not (root / "mlflow.db").exists()
    register(params)
    project()
    assert "would become a new version, champion" in register(params, dry_run=True).summary
    project(weak=0.6)
    assert "would be refused" in register(params, dry_run=True).summary
    project(weak=0.2)
    assert "already registered: version 1, champion" in register(params, dry_run=True).summary
    assert len(search_runs()) == 2
    assert event_actions(read_snapshot()) == [("champion", 1)]
