"""MLflow's web interface on this project's store, as a process that ends with the command that started it.

MLflow's defaults would start fifteen processes for jobs that are not used here: one worker and no jobs are enough.
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
from strokewise.registry import overview, store
from strokewise.registry.store import StoreAddress, StoreUnavailable
from strokewise.serving.ports import bind_port, server_url

UI_ENVIRONMENT = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
READY_POLL_S = 0.2  # seconds between two checks whether the server answers
UI_SHUTDOWN_TIMEOUT_S = 10.0  # from SIGTERM to SIGKILL


def serve_ui(host: str, port: int, echo: Callable[[str], None]) -> None:
    """Run MLflow's interface until Ctrl-C.

    If `MLFLOW_TRACKING_URI` names a server, only print its address: it has an interface of its own.

    Args:
        host, port: where to listen.
        echo: prints a line.

    Raises RegistryError if the port is taken, the store cannot be opened or MLflow ends by itself.
    """
    address = store.store_address()
    if address.is_server and address.is_known:
        echo(f"{store.URI_VARIABLE} names a server that has an interface of its own: open {address.display_name}")
        return
    bind_port(host, port).close()
    try:
        with store.connect() as connection:  # `mlflow server` itself would create the database unsafely
            page = overview.runs_page(connection)
    except StoreUnavailable as error:
        raise RegistryError(f"the store cannot be opened: {error}") from None
    url = server_url(host, port)
    echo(f"starting MLflow on {url} (some 10 s) ...")
    secrets = {"MLFLOW_BACKEND_STORE_URI": address.uri}
    if registry := store.registry_uri():
        secrets["MLFLOW_REGISTRY_STORE_URI"] = registry
    with _running_process(_server_command(address, host, port), secrets) as server:
        while server.poll() is None and not _is_ready(url):
            time.sleep(READY_POLL_S)
        if server.returncode is None:
            echo(f"MLflow shows the runs at {url}{page} (Ctrl-C ends it)")
            server.wait()
    raise RegistryError(f"MLflow ended by itself with exit code {server.returncode}; what it printed above says why")


def _server_command(address: StoreAddress, host: str, port: int) -> list[str]:
    """Artifacts are read where they are stored, not through the server: both ways of access see the same files."""
    return [
        *(sys.executable, "-m", "mlflow", "server", "--host", host, "--port", str(port), "--workers", "1"),
        *("--no-serve-artifacts", "--default-artifact-root", str(address.artifacts)),
        *("--uvicorn-opts", "--log-level warning"),
    ]


@contextlib.contextmanager
def _running_process(command: list[str], secrets: Mapping[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a command in a process group of its own and end the whole group with the block, also on Ctrl-C.

    `secrets` are environment variables: other users can read a command line.
    """
    server = subprocess.Popen(command, env={**os.environ, **UI_ENVIRONMENT, **secrets}, start_new_session=True)
    previous_handler = signal.signal(signal.SIGTERM, signal.default_int_handler)  # `kill` ends the group as well
    try:
        yield server
    finally:
        signal.signal(signal.SIGTERM, previous_handler)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(UI_SHUTDOWN_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def _is_ready(url: str) -> bool:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy cannot reach this machine
    try:
        with direct.open(f"{url}/health", timeout=1):
            return True
    except (urllib.error.URLError, OSError):
        return False
