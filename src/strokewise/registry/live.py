"""A training as it goes in MLflow: a process of its own reads the growing `history.csv` and logs it.

*train* knows nothing of it and waits for nothing. The run it makes has the model's fingerprint and no evaluation yet;
*register* finds it, adds what is missing and makes it the run of that model (`tracking.py`). A store that fails costs
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

from strokewise import locking
from strokewise.errors import ModelError
from strokewise.registry import state, store, tracking
from strokewise.registry.store import Store, Unavailable

ABOUT, CURVES, LOCK = "training.json", "history.csv", "live.lock"  # the first two are what *train* writes
EVERY_S = 0.5  # between two looks at the file
FAREWELL_S = 30.0  # that a follower has for the last epochs once training is over, MLflow's start included


@contextlib.contextmanager
def followed() -> Iterator[Callable[[Path], None]]:
    """For the length of a training: yields what starts a follower of the folder in which the curves grow.

    If the training ends well, waits for the last epochs to be logged; else the follower notices and ends by itself.
    Raises RegistryError if `MLFLOW_TRACKING_URI` is wrong.
    """
    store.address()
    started: list[subprocess.Popen[bytes]] = []

    def start(place: Path) -> None:
        words = [sys.executable, "-m", "strokewise", "follow", str(place.absolute()), "--of", str(os.getpid())]
        # Out of reach of the terminal's Ctrl-C: it has to say in MLflow that training was stopped.
        started.append(subprocess.Popen(words, stdin=subprocess.DEVNULL, start_new_session=True))

    yield start
    for follower in started:
        try:
            follower.wait(FAREWELL_S)
        except subprocess.TimeoutExpired:
            follower.kill()
            follower.wait()
            _warn(f"MLflow was not done {FAREWELL_S:.0f} s after training")


def follow(place: Path, trainer: int) -> None:
    """Log the curves that grow in `place` until training is over or its process, our parent `trainer`, is gone."""
    os.nice(10)  # training has the processor
    about = _about(place)
    try:
        with locking.exclusive(place / LOCK), store.opened() as opened:
            run = _run(opened, about)
            if run is not None:
                ended = _log(opened, run, place, trainer, about["training"]["epochs"])
                opened.client.set_terminated(run, ended)
    except Unavailable as error:
        _warn(str(error))


def _about(place: Path) -> Mapping[str, Any]:
    try:
        about: dict[str, Any] = json.loads((place / ABOUT).read_text(encoding="utf-8"))
        return about
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{place} tells of no training ({error}); `strokewise train --live` starts its follower"
        ) from None


def _run(opened: Store, about: Mapping[str, Any]) -> str | None:
    """The run in which a training is shown as it goes, known by its `fingerprint`: made if there is none.

    None where this model has its run already: it was registered before.
    """
    from mlflow.entities import Param, RunStatus

    experiment = opened.experiment()
    assert experiment is not None
    fingerprint = about["fingerprint"]
    mine = {"model": "cnn", "fingerprint": fingerprint}
    if any("complete" in run.data.tags for run in tracking.found(opened, experiment, mine)):
        return None
    if begun := tracking.found(opened, experiment, {**mine, "live": "true"}):
        opened.client.update_run(begun[0].info.run_id, RunStatus.to_string(RunStatus.RUNNING))
        return str(begun[0].info.run_id)
    tags = {
        "mlflow.runName": tracking.name("cnn", fingerprint, os.environ.get("DVC_EXP_NAME")),
        **mine,
        "live": "true",
        "mlflow.note.content": "Trained, but not evaluated yet: `dvc repro` completes this run.",
    }
    run = str(opened.client.create_run(experiment, tags=tags).info.run_id)
    values = {
        name: value
        for key in ("network", "training")
        for name, value in tracking.flat(about[key], tracking.SECTIONS[key], ".")
    }
    opened.client.log_batch(run, params=[Param(name, str(value)) for name, value in values.items()])
    return run


def _log(opened: Store, run: str, place: Path, trainer: int, epochs: int) -> str:
    """Log every epoch once; FINISHED, or KILLED if training was over before its last epoch."""
    known = tracking.logged(opened, run)
    seen = 0
    while True:
        over = os.getppid() != trainer  # asked first: what was written until then is still read
        rows = state.curves(place / CURVES)
        if len(rows) != seen:
            tracking.curves(opened, run, rows, known)
            seen = len(rows)
        if rows and rows[-1]["epoch"] >= epochs:
            return "FINISHED"
        if over:
            return "KILLED"
        time.sleep(EVERY_S)


def _warn(what: str) -> None:
    told = f"strokewise: warning: training is not shown live: {what}; `strokewise register` logs all of it"
    print(told, file=sys.stderr, flush=True)
