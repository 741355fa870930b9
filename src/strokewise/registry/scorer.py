"""`strokewise serve`: a registered model, or a model folder, behind MLflow's scoring server with `guard.py` before it.

A process of its own that never imports our source, but for the guard: it runs the code that was packed with the model,
as any other MLflow server would. This process finds the model, takes the port and becomes that one.
"""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from strokewise import disk
from strokewise.errors import ModelError, RegistryError
from strokewise.registry import packing, server, state, store, versions
from strokewise.registry.state import Made
from strokewise.registry.store import NAME

GUARD = Path(__file__).with_name("guard.py")
# One thread a picture: several requests are scored at once, and threads that wait for each other cost more.
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
    "OPENCV_LOG_LEVEL": "SILENT",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
PACKED = Path("served")  # below the scratch: a model folder that was packed to be served


def serve(host: str, port: int, model: str | None, say: Callable[[str], None]) -> None:
    """Become MLflow's scoring server on `host`:`port` until Ctrl-C; it prints where it is, once it answers.

    `model` is a model folder, models:/name@alias, or an alias; None means the champion. Raises RegistryError or
    ModelError if there is no such model, RegistryError if the port is taken.
    """
    listening = server.bound(host, port)
    listening.listen()  # first: the port is ours before seconds are spent; who comes early waits
    folder, named = find(model)
    url = server.url(host, port)
    say(f"starting MLflow's scoring server with {named} (some 10 s) ...")
    sys.stdout.flush()
    listening.set_inheritable(True)
    words = [str(folder), "--fd", str(listening.fileno()), "--url", url, "--named", named]
    os.environ.update({name: value for name, value in ENVIRONMENT.items() if name not in os.environ})
    os.execv(sys.executable, [sys.executable, "-P", "-W", "ignore", str(GUARD), *words])  # noqa: S606 - words of ours


def find(model: str | None) -> tuple[Path, str]:
    """The folder that MLflow loads (packed, with its code) and what to call it."""
    if model is None:
        found = versions.champion()
        if found is None:
            raise RegistryError(
                "no champion is registered here; run `dvc repro`, or name one: strokewise serve --model data/model"
            )
        return _whole(found), "the champion"
    given = Path(model)
    if model.startswith("models:/") or not (given.exists() or "/" in model or os.sep in model):
        uri = model if model.startswith("models:/") else f"models:/{NAME}@{model}"
        return _whole(versions.folder(uri)), uri
    return (given.absolute() if (given / "MLmodel").is_file() else _packed(given)), str(given)


def _whole(folder: Path) -> Path:
    """The packed folder around a registered model's own."""
    whole = folder.parents[1]
    if not (whole / "MLmodel").is_file():
        raise RegistryError(f"{whole} holds no MLmodel, so MLflow cannot serve it; run `strokewise register`")
    return whole


def _packed(folder: Path) -> Path:
    """A model folder as MLflow's, made anew: our code may be another than at the last time."""
    weights = {name: kind for kind, name in zip(state.MODELS, state.WEIGHTS, strict=True)}
    name = next((name for name in weights if (folder / name).is_file()), None)
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        digest = str(config["weights"])
    except (OSError, ValueError, KeyError, TypeError):
        digest = ""
    if name is None or not digest.isalnum():
        raise ModelError(f"{folder} holds no whole model; name a folder that `strokewise train` wrote, or an alias")
    example = np.full((32, 32), 255, np.uint8)
    example[8:24, 15:17] = 0
    place = disk.home() / disk.SCRATCH / PACKED / digest
    with store.silent():  # its import sets up logging anew
        from mlflow.models import Model
    with disk.replacing(place) as fresh, store.silent():
        packing.pack(Made(weights[name], folder, config, digest, {}), example, fresh, Model())
    return place
