"""`train --live`: the follower logs each epoch once, ends by itself, and its run is the one that is registered."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from strokewise.errors import RegistryError
from strokewise.params import Params
from strokewise.registry import live, store
from strokewise.stages.register import register
from strokewise.support.paths import HISTORY_FILE, SCRATCH_DIR
from strokewise.training import history

Project = Callable[..., Path]
ROW = [0.5, 0.8, 0.6, 0.7, 0.003]


def cnn_run() -> tuple[Any, list[tuple[int, float]]]:
    """The one run of the CNN, and its validation loss by epoch."""
    with store.connect(create=False) as connection:
        (run,) = connection.client.search_runs([connection.experiment() or ""], "tags.model = 'cnn'")
        points = connection.client.get_metric_history(run.info.run_id, "validation/loss")
    return run, [(point.step, point.value) for point in points]


@pytest.fixture
def folder(project: Project) -> Path:
    """The folder of an unfinished training of the project's model: one of three epochs is over."""
    root = project()
    config = json.loads((root / "data/model/config.json").read_text())
    folder = root / ".strokewise/checkpoints/x"
    description = {key: config[key] for key in ("fingerprint", "paintings", "training", "network")}
    history.start_history(folder, description, [[1, *ROW]])
    return folder


def test_live_run_becomes_the_registered_run(folder: Path, params: Params) -> None:
    live.follow_training(folder, 0)  # its training process is gone: it logs what there is and ends
    first, points = cnn_run()
    assert (first.info.status, points) == ("KILLED", [(1, 0.6)])
    assert first.data.params["train.epochs"] == "3"
    history.append_epochs(folder, [[2, *ROW]])
    with (folder / HISTORY_FILE).open("a") as file:
        file.write("3,0.5,0.")  # a line that is being written
    live.follow_training(folder, 0)
    assert cnn_run()[1] == [(1, 0.6), (2, 0.6)]
    assert register(params).champion
    run, points = cnn_run()
    assert run.info.run_id == first.info.run_id
    assert (run.info.status, run.data.tags["live"]) == ("FINISHED", "adopted")
    assert points == [(1, 0.6), (2, 0.6), (3, pytest.approx(1.1 / 3))]
    assert "test/accuracy" in run.data.metrics
    assert "complete" in run.data.tags
    live.follow_training(folder, os.getppid())  # trained once more: the model has its run
    assert len(cnn_run()[1]) == 3


def test_epochs_are_logged_as_they_come_and_the_end_is_noticed(folder: Path) -> None:
    code = f"""
import pathlib, time
from strokewise.training import history
from strokewise.registry import live
folder = pathlib.Path({str(folder)!r})
with live.live_logging() as start:
    start(folder)
    while not (folder / "continue").exists(): time.sleep(0.05)
    history.append_epochs(folder, [[2, *{ROW}], [3, *{ROW}]])
"""
    trainer = subprocess.Popen([sys.executable, "-c", code])
    deadline = time.monotonic() + 60
    points: list[Any] = []
    while not points and time.monotonic() < deadline:
        time.sleep(0.2)
        try:
            run, points = cnn_run()
        except ValueError:  # no run yet
            continue
    assert (run.info.status, [epoch for epoch, _ in points]) == ("RUNNING", [1])
    (folder / "continue").touch()
    assert trainer.wait(60) == 0
    run, points = cnn_run()
    assert (run.info.status, [epoch for epoch, _ in points]) == ("FINISHED", [1, 2, 3])


def test_unreachable_server_is_one_warning(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:9")
    live.follow_training(folder, 0)
    stderr = capsys.readouterr().err
    assert stderr.count("\n") == 1
    assert stderr.startswith("strokewise: warning: training is not shown live: http://127.0.0.1:9: ")
    assert "secret" not in stderr


def test_invalid_uri_raises_registry_error_before_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://")
    with pytest.raises(RegistryError, match="MLFLOW_TRACKING_URI is 'http://'"), live.live_logging():
        raise AssertionError


def test_resumed_training_writes_its_history_anew(tmp_path: Path) -> None:
    history.start_history(tmp_path, {}, [[1, *ROW], [2, *ROW]])
    history.start_history(tmp_path, {}, [[1, *ROW]])
    history.append_epochs(tmp_path, [[2, *ROW]])
    assert (tmp_path / HISTORY_FILE).read_text() == history.history_csv([[1, *ROW], [2, *ROW]])
    history.append_epochs(SCRATCH_DIR / "not" / "there", [[1, *ROW]])  # an unwritable folder costs the live view only


def test_system_metrics_are_logged_where_they_are_asked_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.2")
    for wanted in ("", "true"):
        monkeypatch.setenv("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", wanted)
        with store.connect() as connection:
            run = connection.client.create_run(connection.experiment() or "").info.run_id
            with live._system_metrics(run):
                time.sleep(2)
            metrics = connection.client.get_run(run).data.metrics
        assert ("system/cpu_utilization_percentage" in metrics) == bool(wanted)
