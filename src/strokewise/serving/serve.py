"""`strokewise serve`: a registered model, or a model folder, behind MLflow's scoring server with `middleware.py` before it.

A process of its own that never imports our source, but for the guard: it runs the code that was packed with the model,
as any other MLflow server would. This process finds the model, takes the port and becomes that one.
"""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from strokewise.errors import ModelError, RegistryError
from strokewise.registry import artifacts, store, versions
from strokewise.registry.artifacts import ModelArtifact
from strokewise.registry.store import REGISTRY_NAME
from strokewise.serving import mlflow_ui, packaging
from strokewise.support import atomic_io
from strokewise.support.paths import scratch_dir

MIDDLEWARE_FILE = Path(__file__).with_name("guard.py")
# One thread a picture: several requests are scored at once, and threads that wait for each other cost more.
SCORING_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
    "OPENCV_LOG_LEVEL": "SILENT",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
PACKAGED_DIR = Path("served")  # below the scratch: a model folder that was packed to be served


def serve_model(host: str, port: int, model: str | None, say: Callable[[str], None]) -> None:
    """Become MLflow's scoring server on `host`:`port` until Ctrl-C; it prints where it is, once it answers.

    `model` is a model folder, models:/name@alias, or an alias; None means the champion. Raises RegistryError or
    ModelError if there is no such model, RegistryError if the port is taken.
    """
    listening = mlflow_ui.bind_port(host, port)
    listening.listen()  # first: the port is ours before seconds are spent; who comes early waits
    folder, named = find_packaged(model)
    url = mlflow_ui.server_url(host, port)
    say(f"starting MLflow's scoring server with {named} (some 10 s) ...")
    sys.stdout.flush()
    listening.set_inheritable(True)
    words = [str(folder), "--fd", str(listening.fileno()), "--url", url, "--named", named]
    os.environ.update({name: value for name, value in SCORING_ENVIRONMENT.items() if name not in os.environ})
    os.execv(sys.executable, [sys.executable, "-P", "-W", "ignore", str(MIDDLEWARE_FILE), *words])  # noqa: S606 - words of ours


def find_packaged(model: str | None) -> tuple[Path, str]:
    """The folder that MLflow loads (packed, with its code) and what to call it."""
    if model is None:
        found = versions.champion_dir()
        if found is None:
            raise RegistryError(
                "no champion is registered here; run `dvc repro`, or name one: strokewise serve --model data/model"
            )
        return _packaged_root(found), "the champion"
    given = Path(model)
    if model.startswith("models:/") or not (given.exists() or "/" in model or os.sep in model):
        uri = model if model.startswith("models:/") else f"models:/{REGISTRY_NAME}@{model}"
        return _packaged_root(versions.model_dir(uri)), uri
    return (given.absolute() if (given / "MLmodel").is_file() else _package_folder(given)), str(given)


def _packaged_root(folder: Path) -> Path:
    """The packed folder around a registered model's own."""
    whole = folder.parents[1]
    if not (whole / "MLmodel").is_file():
        raise RegistryError(f"{whole} holds no MLmodel, so MLflow cannot serve it; run `strokewise register`")
    return whole


def _package_folder(folder: Path) -> Path:
    """A model folder as MLflow's, made anew: our code may be another than at the last time."""
    weights = {name: kind for kind, name in zip(artifacts.MODEL_KINDS, artifacts.WEIGHT_FILES, strict=True)}
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
    place = scratch_dir() / PACKAGED_DIR / digest
    with store.quiet_mlflow():  # its import sets up logging anew
        from mlflow.models import Model
    with atomic_io.atomic_replace(place) as fresh, store.quiet_mlflow():
        packaging.package_model(ModelArtifact(weights[name], folder, config, digest, {}), example, fresh, Model())
    return place
