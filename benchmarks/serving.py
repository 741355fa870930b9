"""`strokewise serve` under load on loopback, against MLflow's scoring server with the packaged model, in the same run.

    python benchmarks/serving.py [--seconds 60] [--clients 16] [--port 5931]

Both serve the same untrained network of the default size, one after the other, each warmed up. Every client keeps its
connection and requests one 128-pixel PNG at a time, the next as soon as the last is answered.
"""

import argparse
import base64
import contextlib
import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import torch
from mlflow.models import Model

from strokewise.data.png import encode_png
from strokewise.model.cnn import CNN
from strokewise.model.model_files import save_model
from strokewise.params import Params
from strokewise.serving import packaging
from strokewise.support.mlflow_env import client_environment, errors_only
from strokewise.synthesis import outlines, render

ROOT = Path(__file__).parents[1]
# One thread per picture: MLflow scores several requests at once, and threads that wait for each other cost more.
MLFLOW_ENVIRONMENT = ("OMP_NUM_THREADS=1", "OMP_WAIT_POLICY=PASSIVE", "MLFLOW_DISABLE_TELEMETRY=true")


def save_untrained_model(folder: Path, packaged: Path) -> bytes:
    """Save an untrained model in `folder` and as MLflow loads it in `packaged`, and return the body of a request."""
    torch.manual_seed(0)
    params, catalogue = Params.load(ROOT / "params.yaml"), outlines.load_catalogue(ROOT / "data" / "outlines")
    shapes = [*(path.name for path in (ROOT / "data" / "outlines").iterdir()), "other"]
    save_model(CNN(sorted(shapes), params.network), folder, {"fingerprint": "0" * 64})
    scene = render.render_painting(catalogue, params.generate, "preview", 0).scene
    with client_environment(), errors_only():
        packaging.package_model(folder, scene, packaged, Model())
    return json.dumps({"inputs": [base64.b64encode(encode_png(scene)).decode()]}).encode()


@contextlib.contextmanager
def running_server(command: list[str], port: int) -> Iterator[psutil.Process]:
    """A server process that answers."""
    start = time.perf_counter()
    # MLflow looks for uvicorn on the PATH
    path = {"PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}
    process = subprocess.Popen(command, env=os.environ | path, stdout=subprocess.DEVNULL)
    try:
        while True:
            with contextlib.suppress(OSError, http.client.HTTPException):
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
                connection.request("GET", "/ping")
                if connection.getresponse().status == 200:
                    break
            assert process.poll() is None
            time.sleep(0.1)
        print(f"  ready after {time.perf_counter() - start:.1f} s")
        yield psutil.Process(process.pid)
    finally:
        children = psutil.Process(process.pid).children(recursive=True)
        process.terminate()
        process.wait(30)
        psutil.wait_procs(children, 30)  # until then the port is taken


def run_client(port: int, body: bytes, end: float) -> tuple[list[float], int]:
    """Send requests until the time `end` → seconds of each, and the number that was not answered with 200."""
    latencies, errors = [], 0
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    while (start := time.perf_counter()) < end:
        try:
            connection.request("POST", "/invocations", body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            response.read()
            errors += response.status != 200
        except (OSError, http.client.HTTPException):
            errors += 1
            connection.close()
        latencies.append(time.perf_counter() - start)
    connection.close()
    return latencies, errors


def memory_mib(server: psutil.Process) -> float:
    """Memory of the process and its children: MLflow's command starts a server process of its own."""
    return sum(process.memory_info().rss for process in (server, *server.children(recursive=True))) / 2**20


def measure(name: str, command: list[str], port: int, body: bytes, clients: int, seconds: float) -> tuple[float, float]:
    """Start a server and put it under load; prints and returns the median in seconds and the requests per second."""
    print(f"{name}:")
    with running_server(command, port) as server:
        run_client(port, body, time.perf_counter() + 1)
        memory_before = memory_mib(server)
        end = time.perf_counter() + seconds
        with ThreadPoolExecutor(clients) as pool:
            results = list(pool.map(lambda _: run_client(port, body, end), range(clients)))
        memory_after = memory_mib(server)
    latencies = np.concatenate([latencies for latencies, _ in results])
    p50, p99 = np.percentile(latencies, [50, 99])
    print(f"  {clients} clients, {seconds:g} s: p50 {p50 * 1000:.1f} ms, p99 {p99 * 1000:.1f} ms")
    print(f"  {len(latencies) / seconds:.0f} requests/s, {sum(errors for _, errors in results)} errors")
    print(f"  memory of all its processes {memory_before:.0f} MiB before, {memory_after:.0f} MiB after")
    return float(p50), len(latencies) / seconds


def main() -> None:
    """Measure both servers, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--port", type=int, default=5931)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, contextlib.chdir(scratch):
        body = save_untrained_model(Path("model"), Path("packaged"))
        port = ["--port", str(options.port)]
        mlflow = [
            "env",
            *MLFLOW_ENVIRONMENT,
            sys.executable,
            "-m",
            "mlflow",
            "models",
            "serve",
            "--model-uri",
            "packaged",
        ]
        mlflow += ["--env-manager", "local", *port]
        strokewise = [sys.executable, "-m", "strokewise", "serve", "--model", "model", *port]
        load = (options.port, body, options.clients, options.seconds)
        mlflow_p50, mlflow_rate = measure("MLflow's scoring server", mlflow, *load)
        p50, rate = measure("strokewise serve", strokewise, *load)
    print(f"strokewise serve / MLflow: p50 {p50 / mlflow_p50:.2f}, requests/s {rate / mlflow_rate:.2f}")


if __name__ == "__main__":
    main()
