"""`strokewise serve`: a model behind MLflow's scoring server, with `middleware.py` in front of it.

The server is a process of its own that imports none of our source but the middleware: it runs the code that was
packaged with the model, as any other MLflow server would. This process takes the port and becomes that one.
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
# One thread a picture: several requests are scored at once, and threads that wait for each other cost more.
SCORING_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
    "OPENCV_LOG_LEVEL": "SILENT",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
PACKAGED_DIR = Path("served")  # below the scratch: a model folder that was packaged to be served


def serve_model(host: str, port: int, find: Callable[[], tuple[Path, str]], say: Callable[[str], None]) -> None:
    """Become MLflow's scoring server on `host`:`port` until Ctrl-C; it prints where it is, once it answers.

    Args:
        host, port: where to listen.
        find: returns a model folder, packaged or not, and what to call it; called once the port is taken, as asking a
            registry takes seconds.
        say: prints a line.

    Raises RegistryError if the port is taken, ModelError if the folder holds no complete model, and what `find` raises.
    """
    listening = bind_port(host, port)
    listening.listen()  # a client that comes early waits
    folder, name = find()
    packaged, url = packaged_dir(folder), server_url(host, port)
    say(f"starting MLflow's scoring server with {name} (some 10 s) ...")
    sys.stdout.flush()
    listening.set_inheritable(True)
    words = [str(packaged), "--fd", str(listening.fileno()), "--url", url, "--named", name]
    os.environ.update({name: value for name, value in SCORING_ENVIRONMENT.items() if name not in os.environ})
    os.execv(sys.executable, [sys.executable, "-P", "-W", "ignore", str(MIDDLEWARE_FILE), *words])  # noqa: S606 - words of ours


def packaged_dir(folder: Path) -> Path:
    """The folder that MLflow loads: `folder` itself, the packaged one around it, or one made from it.

    Raises ModelError if `folder` holds no complete model.
    """
    for whole in (folder.absolute(), *folder.absolute().parents[1:2]):
        if (whole / "MLmodel").is_file():
            return whole
    kind = packaging.model_kind(folder)
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        digest = str(config["weights"])
    except (OSError, ValueError, KeyError, TypeError):
        digest = ""
    if kind is None or not digest.isalnum():
        raise ModelError(f"{folder} holds no whole model; name a folder that `strokewise train` wrote, or an alias")
    example = np.full((32, 32), 255, np.uint8)
    example[8:24, 15:17] = 0
    place = scratch_dir() / PACKAGED_DIR / digest  # made anew each time: our code may have changed
    with client_environment(), errors_only():
        from mlflow.models import Model
    with atomic_io.atomic_replace(place) as fresh, client_environment(), errors_only():
        packaging.package_model(folder, kind, example, fresh, Model())
    return place
