"""Show a training in MLflow while it runs: a separate process reads the growing `history.csv` and logs it.

*train* neither knows of it nor waits for it. The run has the model's fingerprint but no evaluation yet; *register*
finds it, adds what is missing and makes it the run of that model (`runs.py`). A store that fails costs one warning,
and *register* logs the rest.
"""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from strokewise.errors import ModelError
from strokewise.registry import artifacts, runs, store
from strokewise.registry.store import Store, StoreUnavailable
from strokewise.support import file_lock
from strokewise.support.paths import HISTORY_FILE, TRAINING_FILE
from strokewise.support.progress import warn

LIVE_LOCK = "live.lock"
HISTORY_POLL_S = 0.5  # seconds between two reads of the history
FOLLOWER_TIMEOUT_S = 30.0  # for the last epochs after training has ended, MLflow's start included


@contextlib.contextmanager
def live_logging() -> Iterator[Callable[[Path], None]]:
    """Yield a function that starts a follower of a training folder; use the block around the training.

    If the training ends well, wait until the last epochs are logged; else the follower notices and ends by itself.
    Raises RegistryError if `MLFLOW_TRACKING_URI` is wrong.
    """
    store.store_address()
    followers: list[subprocess.Popen[bytes]] = []

    def start(folder: Path) -> None:
        command = [sys.executable, "-m", "strokewise", "follow", str(folder.absolute()), "--of", str(os.getpid())]
        # In a session of its own, so that it survives Ctrl-C and can mark the run as stopped.
        followers.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True))

    yield start
    for follower in followers:
        try:
            follower.wait(FOLLOWER_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            follower.kill()
            follower.wait()
            _warn_not_live(f"MLflow was not done {FOLLOWER_TIMEOUT_S:.0f} s after training")


def follow_training(folder: Path, trainer: int) -> None:
    """Log the history that grows in `folder` until training is over or its process is gone.

    Args:
        folder: holds `training.json` and `history.csv` of a training.
        trainer: id of the training process, which is this process's parent.

    Raises ModelError if `folder` does not describe a training.
    """
    os.nice(10)  # training needs the processor
    training = _read_training(folder)
    try:
        with file_lock.exclusive_lock(folder / LIVE_LOCK), store.connect() as connection:
            run = _live_run(connection, training)
            if run is not None:
                with _system_metrics(run):
                    status = _log_epochs(connection, run, folder, trainer, training["training"]["epochs"])
                connection.client.set_terminated(run, status)
    except StoreUnavailable as error:
        _warn_not_live(str(error))


@contextlib.contextmanager
def _system_metrics(run: str) -> Iterator[None]:
    """Log processor, memory and network of this machine where MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING asks for it."""
    if os.environ.get("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "").lower() not in ("true", "1"):
        yield
        return
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

    monitor: Any = SystemMetricsMonitor(  # type: ignore[no-untyped-call]
        run, resume_logging=True, tracking_uri=store.store_address().uri
    )
    monitor.start()
    try:
        yield
    finally:
        monitor.finish()


def _read_training(folder: Path) -> Mapping[str, Any]:
    try:
        training: dict[str, Any] = json.loads((folder / TRAINING_FILE).read_text(encoding="utf-8"))
        return training
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{folder} describes no training ({error}); `strokewise train --live` starts its follower"
        ) from None


def _live_run(connection: Store, training: Mapping[str, Any]) -> str | None:
    """The id of the live run with this fingerprint, created if needed; None if the model has a complete run already."""
    from mlflow.entities import Param, RunStatus

    experiment = connection.experiment()
    assert experiment is not None
    fingerprint = training["fingerprint"]
    model_tags = {"model": "cnn", "fingerprint": fingerprint}
    if any("complete" in run.data.tags for run in runs.find_runs(connection, experiment, model_tags)):
        return None
    if earlier := runs.find_runs(connection, experiment, {**model_tags, "live": "true"}):
        connection.client.update_run(earlier[0].info.run_id, RunStatus.to_string(RunStatus.RUNNING))
        return str(earlier[0].info.run_id)
    tags = {
        "mlflow.runName": runs.run_name("cnn", fingerprint, os.environ.get("DVC_EXP_NAME")),
        **model_tags,
        "live": "true",
        "mlflow.note.content": "Trained, but not evaluated yet: `dvc repro` completes this run.",
    }
    run = str(connection.client.create_run(experiment, tags=tags).info.run_id)
    values = {
        name: value
        for key in ("network", "training")
        for name, value in runs.flatten_mapping(training[key], runs.CONFIG_SECTIONS[key], ".")
    }
    connection.client.log_batch(run, params=[Param(name, str(value)) for name, value in values.items()])
    return run


def _log_epochs(connection: Store, run: str, folder: Path, trainer: int, epochs: int) -> str:
    """Log every epoch once. Returns the run's status: FINISHED, or KILLED if training ended before its last epoch."""
    points = runs.logged_points(connection, run)
    logged_rows = 0
    while True:
        ended = os.getppid() != trainer  # asked before reading, so that the last rows are not missed
        rows = artifacts.read_history(folder / HISTORY_FILE)
        if len(rows) != logged_rows:
            runs.log_history(connection, run, rows, points)
            logged_rows = len(rows)
        if rows and rows[-1]["epoch"] >= epochs:
            return "FINISHED"
        if ended:
            return "KILLED"
        time.sleep(HISTORY_POLL_S)


def _warn_not_live(reason: str) -> None:
    warn(f"training is not shown live: {reason}; `strokewise register` logs all of it")
