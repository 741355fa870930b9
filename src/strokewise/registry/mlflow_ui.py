"""MLflow's own web interface on this project's store, as a process that ends with the command that started it.

MLflow's defaults would start fifteen processes for jobs that nothing here uses: one worker and no jobs are enough.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping

from strokewise.errors import RegistryError
from strokewise.registry import store
from strokewise.registry.store import StoreAddress, StoreUnavailable
from strokewise.serving.ports import bind_port, server_url

UI_ENVIRONMENT = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
POLL_INTERVAL_S = 0.2
SHUTDOWN_TIMEOUT_S = 10.0  # from asking the server to end until it is ended


def serve_ui(host: str, port: int, say: Callable[[str], None]) -> None:
    """Run MLflow's interface until Ctrl-C; `say` is told where it is, once it answers.

    Raises RegistryError if the port is taken or MLflow ends by itself. If the store is a server already, only says so.
    """
    place = store.store_address()
    if place.served:
        say(f"{store.URI_VARIABLE} names a server that has an interface of its own: open {place.shown}")
        return
    bind_port(host, port).close()
    try:
        with store.connect():
            pass  # a bare MLflow would make the database in its own, unsafe way
    except StoreUnavailable as error:
        raise RegistryError(f"the store cannot be opened: {error}") from None
    here = server_url(host, port)
    say(f"starting MLflow on {here} (some 10 s) ...")
    with _running_process(_server_command(place, host, port), {"MLFLOW_BACKEND_STORE_URI": place.uri}) as server:
        while server.poll() is None and not _is_ready(here):
            time.sleep(POLL_INTERVAL_S)
        if server.returncode is None:
            say(f"MLflow shows the runs at {here} (Ctrl-C ends it)")
            server.wait()
    raise RegistryError(f"MLflow ended by itself with exit code {server.returncode}; what it printed above says why")


def _server_command(place: StoreAddress, host: str, port: int) -> list[str]:
    """Artifacts are read where they lie, not through the server: what is made here is readable with it and without."""
    return [
        *(sys.executable, "-m", "mlflow", "server", "--host", host, "--port", str(port), "--workers", "1"),
        *("--no-serve-artifacts", "--default-artifact-root", str(place.artifacts)),
        *("--uvicorn-opts", "--log-level warning"),
    ]


@contextlib.contextmanager
def _running_process(command: list[str], secrets: Mapping[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    """A process with its children in a group of their own: Ctrl-C reaches us, and we end all of them.

    `secrets` go into its environment: everybody may read a command line.
    """
    server = subprocess.Popen(command, env={**os.environ, **UI_ENVIRONMENT, **secrets}, start_new_session=True)
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # a plain `kill` ends them too
    try:
        yield server
    finally:
        signal.signal(signal.SIGTERM, before)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(SHUTDOWN_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def _is_ready(url: str) -> bool:
    straight = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy would look on its own machine
    try:
        with straight.open(f"{url}/health", timeout=1):
            return True
    except (urllib.error.URLError, OSError):
        return False
