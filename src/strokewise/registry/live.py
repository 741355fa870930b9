"""A training as it goes in MLflow: a process of its own reads the growing `history.csv` and logs it.

*train* knows nothing of it and waits for nothing. The run it makes has the model's fingerprint and no evaluation yet;
*register* finds it, adds what is missing and makes it the run of that model (`runs.py`). A store that fails costs
one warning, and `register` logs the rest.
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

LIVE_LOCK = "live.lock"
POLL_INTERVAL_S = 0.5  # between two looks at the file
FOLLOWER_TIMEOUT_S = 30.0  # that a follower has for the last epochs once training is over, MLflow's start included


@contextlib.contextmanager
def live_logging() -> Iterator[Callable[[Path], None]]:
    """For the length of a training: yields what starts a follower of the folder in which the curves grow.

    If the training ends well, waits for the last epochs to be logged; else the follower notices and ends by itself.
    Raises RegistryError if `MLFLOW_TRACKING_URI` is wrong.
    """
    store.store_address()
    started: list[subprocess.Popen[bytes]] = []

    def start(place: Path) -> None:
        words = [sys.executable, "-m", "strokewise", "follow", str(place.absolute()), "--of", str(os.getpid())]
        # Out of reach of the terminal's Ctrl-C: it has to say in MLflow that training was stopped.
        started.append(subprocess.Popen(words, stdin=subprocess.DEVNULL, start_new_session=True))

    yield start
    for follower in started:
        try:
            follower.wait(FOLLOWER_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            follower.kill()
            follower.wait()
            _warn_not_live(f"MLflow was not done {FOLLOWER_TIMEOUT_S:.0f} s after training")


def follow_training(place: Path, trainer: int) -> None:
    """Log the curves that grow in `place` until training is over or its process, our parent `trainer`, is gone."""
    os.nice(10)  # training has the processor
    about = _read_training(place)
    try:
        with file_lock.exclusive_lock(place / LIVE_LOCK), store.connect() as opened:
            run = _live_run(opened, about)
            if run is not None:
                ended = _log_epochs(opened, run, place, trainer, about["training"]["epochs"])
                opened.client.set_terminated(run, ended)
    except StoreUnavailable as error:
        _warn_not_live(str(error))


def _read_training(place: Path) -> Mapping[str, Any]:
    try:
        about: dict[str, Any] = json.loads((place / TRAINING_FILE).read_text(encoding="utf-8"))
        return about
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{place} tells of no training ({error}); `strokewise train --live` starts its follower"
        ) from None


def _live_run(opened: Store, about: Mapping[str, Any]) -> str | None:
    """The run in which a training is shown as it goes, known by its `fingerprint`: made if there is none.

    None where this model has its run already: it was registered before.
    """
    from mlflow.entities import Param, RunStatus

    experiment = opened.experiment()
    assert experiment is not None
    fingerprint = about["fingerprint"]
    mine = {"model": "cnn", "fingerprint": fingerprint}
    if any("complete" in run.data.tags for run in runs.find_runs(opened, experiment, mine)):
        return None
    if begun := runs.find_runs(opened, experiment, {**mine, "live": "true"}):
        opened.client.update_run(begun[0].info.run_id, RunStatus.to_string(RunStatus.RUNNING))
        return str(begun[0].info.run_id)
    tags = {
        "mlflow.runName": runs.run_name("cnn", fingerprint, os.environ.get("DVC_EXP_NAME")),
        **mine,
        "live": "true",
        "mlflow.note.content": "Trained, but not evaluated yet: `dvc repro` completes this run.",
    }
    run = str(opened.client.create_run(experiment, tags=tags).info.run_id)
    values = {
        name: value
        for key in ("network", "training")
        for name, value in runs.flatten_mapping(about[key], runs.CONFIG_SECTIONS[key], ".")
    }
    opened.client.log_batch(run, params=[Param(name, str(value)) for name, value in values.items()])
    return run


def _log_epochs(opened: Store, run: str, place: Path, trainer: int, epochs: int) -> str:
    """Log every epoch once; FINISHED, or KILLED if training was over before its last epoch."""
    known = runs.logged_points(opened, run)
    seen = 0
    while True:
        over = os.getppid() != trainer  # asked first: what was written until then is still read
        rows = artifacts.read_history(place / HISTORY_FILE)
        if len(rows) != seen:
            runs.log_history(opened, run, rows, known)
            seen = len(rows)
        if rows and rows[-1]["epoch"] >= epochs:
            return "FINISHED"
        if over:
            return "KILLED"
        time.sleep(POLL_INTERVAL_S)


def _warn_not_live(what: str) -> None:
    told = f"strokewise: warning: training is not shown live: {what}; `strokewise register` logs all of it"
    print(told, file=sys.stderr, flush=True)
