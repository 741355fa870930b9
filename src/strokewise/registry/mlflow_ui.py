"""MLflow's web interface on this project's store, as processes that end with the command that started them.

MLflow's defaults would start fifteen processes for jobs that are not used here: one worker and no jobs are enough.
"""

import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable

from strokewise.errors import RegistryError
from strokewise.registry import overview, store
from strokewise.registry.store import StoreAddress, StoreUnavailable
from strokewise.serving.ports import bind_port, server_url
from strokewise.support.supervisor import supervised

UI_ENVIRONMENT = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
READY_POLL_S = 0.2  # seconds between two checks whether the server answers


def serve_ui(host: str, port: int, echo: Callable[[str], None]) -> None:
    """Run MLflow's interface until a signal.

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
    # Addresses hold passwords, and other users can read a command line.
    environment = {**os.environ, **UI_ENVIRONMENT, "MLFLOW_BACKEND_STORE_URI": address.uri}
    if registry := store.registry_uri():
        environment["MLFLOW_REGISTRY_STORE_URI"] = registry
    with supervised(_server_command(address, host, port), environment) as server:
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


def _is_ready(url: str) -> bool:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy cannot reach this machine
    try:
        with direct.open(f"{url}/health", timeout=1):
            return True
    except (urllib.error.URLError, OSError):
        return False
