"""`train --live`: the follower's run, seen to hold each epoch once, to end by itself, and to be the one registered."""

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
from strokewise.support.paths import SCRATCH_DIR
from strokewise.training import history

Put = Callable[..., Path]
ROW = [0.5, 0.8, 0.6, 0.7, 0.003]


def cnn() -> tuple[Any, list[tuple[int, float]]]:
    """The one run of the CNN, and its validation loss by epoch."""
    with store.connect(create=False) as opened:
        (run,) = opened.client.search_runs([opened.experiment() or ""], "tags.model = 'cnn'")
        points = opened.client.get_metric_history(run.info.run_id, "validation/loss")
    return run, [(point.step, point.value) for point in points]


@pytest.fixture
def place(project: Put) -> Path:
    """The folder in which a training of the project's model, of three epochs, grows: one is over."""
    root = project()
    config = json.loads((root / "data/model/config.json").read_text())
    place = root / ".strokewise/checkpoints/x"
    about = {key: config[key] for key in ("fingerprint", "paintings", "training", "network")}
    history.start_history(place, about, [[1, *ROW]])
    return place


def test_the_run_that_was_watched_is_the_run_that_is_registered(place: Path, params: Params) -> None:
    live.follow_training(place, 0)  # whose trainer is gone: it logs what there is, and ends
    first, points = cnn()
    assert (first.info.status, points) == ("KILLED", [(1, 0.6)])
    assert first.data.params["train.epochs"] == "3"
    history.append_epochs(place, [[2, *ROW]])
    with (place / history.HISTORY_FILE).open("a") as file:
        file.write("3,0.5,0.")  # a line that is being written
    live.follow_training(place, 0)
    assert cnn()[1] == [(1, 0.6), (2, 0.6)]
    assert register(params).champion
    run, points = cnn()
    assert run.info.run_id == first.info.run_id
    assert (run.info.status, run.data.tags["live"]) == ("FINISHED", "adopted")
    assert points == [(1, 0.6), (2, 0.6), (3, pytest.approx(1.1 / 3))]
    assert "test/accuracy" in run.data.metrics
    assert "complete" in run.data.tags
    live.follow_training(place, os.getppid())  # trained once more: it has its run
    assert len(cnn()[1]) == 3


def test_epochs_are_logged_as_they_come_and_the_end_is_noticed(place: Path) -> None:
    code = f"""
import pathlib, time
from strokewise.learn import diary
from strokewise.registry import live
place = pathlib.Path({str(place)!r})
with live.followed() as begun:
    begun(place)
    while not (place / "seen").exists(): time.sleep(0.05)
    diary.add(place, [[2, *{ROW}], [3, *{ROW}]])
"""
    trainer = subprocess.Popen([sys.executable, "-c", code])
    deadline = time.monotonic() + 60
    points: list[Any] = []
    while not points and time.monotonic() < deadline:
        time.sleep(0.2)
        try:
            run, points = cnn()
        except ValueError:  # no run yet
            continue
    assert (run.info.status, [epoch for epoch, _ in points]) == ("RUNNING", [1])
    (place / "seen").touch()
    assert trainer.wait(60) == 0
    run, points = cnn()
    assert (run.info.status, [epoch for epoch, _ in points]) == ("FINISHED", [1, 2, 3])


def test_a_server_that_is_gone_is_one_warning(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:9")
    live.follow_training(place, 0)
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith("strokewise: warning: training is not shown live: http://127.0.0.1:9: ")
    assert "secret" not in said


def test_a_wrong_uri_is_told_before_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "htp://me:secret@x")
    with pytest.raises(RegistryError, match="MLFLOW_TRACKING_URI is 'htp://x'"), live.live_logging():
        raise AssertionError


def test_a_resumed_training_begins_its_diary_anew(tmp_path: Path) -> None:
    history.start_history(tmp_path, {}, [[1, *ROW], [2, *ROW]])
    history.start_history(tmp_path, {}, [[1, *ROW]])
    history.append_epochs(tmp_path, [[2, *ROW]])
    assert (tmp_path / history.HISTORY_FILE).read_text() == history.history_csv([[1, *ROW], [2, *ROW]])
    history.append_epochs(SCRATCH_DIR / "not" / "there", [[1, *ROW]])  # a full disk costs the onlooker only
