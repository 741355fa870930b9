"""`strokewise serve`: MLflow's scoring server with `middleware.py` in front of it.

The server process imports nothing of our source but the middleware: it runs the code that was packaged with the model,
as any other MLflow server would. This process binds the port and is then replaced by the server.
"""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from strokewise.errors import ModelError
from strokewise.serving import packaging
from strokewise.serving.ports import bind_port, server_url
from strokewise.support import atomic_io
from strokewise.support.mlflow_env import client_environment, errors_only
from strokewise.support.paths import scratch_dir

MIDDLEWARE_FILE = Path(__file__).with_name("middleware.py")
# One thread per picture: several requests are scored at once, and threads that wait for each other cost more.
SCORING_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
    "OPENCV_LOG_LEVEL": "SILENT",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
SERVED_DIR = "served"  # in the scratch folder: model folders that were packaged to be served


def serve_model(host: str, port: int, find: Callable[[], tuple[Path, str]], echo: Callable[[str], None]) -> None:
    """Replace this process by MLflow's scoring server on `host`:`port`, which runs until SIGINT.

    Args:
        host, port: where to listen.
        find: returns a model folder, packaged or not, and its display name; called after the port is bound, because
            a registry takes seconds to answer.
        echo: prints a line.

    Raises RegistryError if the port is taken, ModelError if the folder holds no complete model, and what `find` raises.
    """
    listener = bind_port(host, port)
    listener.listen()  # early clients wait
    folder, name = find()
    packaged, url = packaged_dir(folder), server_url(host, port)
    echo(f"starting MLflow's scoring server with {name} (some 10 s) ...")
    sys.stdout.flush()
    listener.set_inheritable(True)
    for variable, value in SCORING_ENVIRONMENT.items():
        os.environ.setdefault(variable, value)
    arguments = [str(packaged), "--fd", str(listener.fileno()), "--url", url, "--name", name]
    command = [sys.executable, "-P", "-W", "ignore", str(MIDDLEWARE_FILE), *arguments]
    os.execv(sys.executable, command)  # noqa: S606 - no shell, and a file of this package


def packaged_dir(folder: Path) -> Path:
    """The folder for MLflow to load: `folder` itself if it is packaged, the packaged folder around it, or a new one.

    A new one is written at every call, because the code may have changed. Raises ModelError if `folder` holds no
    complete model.
    """
    for candidate in (folder.absolute(), *folder.absolute().parents[1:2]):
        if (candidate / "MLmodel").is_file():
            return candidate
    kind = packaging.model_kind(folder)
    try:
        weights_digest = str(json.loads((folder / "config.json").read_text(encoding="utf-8"))["weights"])
    except (OSError, ValueError, KeyError, TypeError):
        weights_digest = ""
    if kind is None or not weights_digest.isalnum():
        raise ModelError(f"{folder} holds no complete model; name a folder that `strokewise train` wrote, or an alias")
    example = np.full((32, 32), 255, np.uint8)
    example[8:24, 15:17] = 0
    packaged = scratch_dir() / SERVED_DIR / weights_digest
    with client_environment(), errors_only():
        from mlflow.models import Model
    with atomic_io.atomic_replace(packaged) as new_path, client_environment(), errors_only():
        packaging.package_model(folder, kind, example, new_path, Model())
    return packaged
