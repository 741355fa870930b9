"""`strokewise serve` under load on loopback, beside MLflow's scoring server without the guard, in the same run.

    python tests/bench/serving.py [--seconds 60] [--clients 16] [--port 5931]

Both serve the same network of the default size, untrained, each alone and warmed up. Clients keep their connection
and ask for one 128-pixel PNG at a time, the next as soon as the last is answered.
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

from strokewise.data.png import encode_png
from strokewise.model.cnn import CNN
from strokewise.model.model_files import save_model
from strokewise.params import Params
from strokewise.serving import serve
from strokewise.synthesis import outlines, render

ROOT = Path(__file__).parents[2]


def make(folder: Path) -> bytes:
    """An untrained model in `folder`, and a request."""
    torch.manual_seed(0)
    params, catalogue = Params.load(ROOT / "params.yaml"), outlines.load_catalogue(ROOT / "data" / "outlines")
    shapes = [*sorted(path.name for path in (ROOT / "data" / "outlines").iterdir()), "other"]
    save_model(CNN(sorted(shapes), params.network), folder, {"fingerprint": "0" * 64})
    scene = render.render_painting(catalogue, params.generate, "preview", 0).scene
    return json.dumps({"inputs": [base64.b64encode(encode_png(scene)).decode()]}).encode()


@contextlib.contextmanager
def running(command: list[str], port: int) -> Iterator[psutil.Process]:
    """A server, from its first answer on."""
    began = time.perf_counter()
    # MLflow looks for uvicorn on the PATH
    found = {"PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}
    process = subprocess.Popen(command, env=os.environ | found | serve.SCORING_ENVIRONMENT, stdout=subprocess.DEVNULL)
    try:
        while True:
            with contextlib.suppress(OSError, http.client.HTTPException):
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
                connection.request("GET", "/ping")
                if connection.getresponse().status == 200:
                    break
            assert process.poll() is None
            time.sleep(0.1)
        print(f"  ready after {time.perf_counter() - began:.1f} s")
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(30)


def client(port: int, body: bytes, end: float) -> tuple[list[float], int]:
    """Seconds a request until `end`, and how many were not answered with 200."""
    took, errors = [], 0
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    while (began := time.perf_counter()) < end:
        try:
            connection.request("POST", "/invocations", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            errors += answer.status != 200
        except (OSError, http.client.HTTPException):
            errors += 1
            connection.close()
        took.append(time.perf_counter() - began)
    connection.close()
    return took, errors


def memory(server: psutil.Process) -> int:
    """Bytes, of the process and those that it started: MLflow's command waits for a server of its own."""
    return sum(process.memory_info().rss for process in (server, *server.children(recursive=True)))


def load(name: str, command: list[str], port: int, body: bytes, clients: int, seconds: float) -> tuple[float, float]:
    """Print and return the median in seconds and the requests a second."""
    print(f"{name}:")
    with running(command, port) as server:
        client(port, body, time.perf_counter() + 1)
        before = memory(server)
        end = time.perf_counter() + seconds
        with ThreadPoolExecutor(clients) as pool:
            ended = list(pool.map(lambda _: client(port, body, end), range(clients)))
        after = memory(server)
    took = np.concatenate([times for times, _ in ended])
    p50, p99 = np.percentile(took, [50, 99])
    print(f"  {clients} clients, {seconds:g} s: p50 {p50 * 1000:.1f} ms, p99 {p99 * 1000:.1f} ms")
    print(f"  {len(took) / seconds:.0f} requests/s, {sum(errors for _, errors in ended)} errors")
    print(f"  memory of all its processes {before / 2**20:.0f} MiB before, {after / 2**20:.0f} MiB after")
    return float(p50), len(took) / seconds


def main() -> None:
    """Measure both; the ratio is the price of the guard."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--port", type=int, default=5931)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, contextlib.chdir(scratch):
        body = make(Path("model"))
        packed, _ = serve.find_packaged("model")
        port = ["--port", str(asked.port)]
        bare = [sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local", "-m", str(packed), *port]
        ours = [sys.executable, "-m", "strokewise", "serve", "--model", str(packed), *port]
        how = (asked.port, body, asked.clients, asked.seconds)
        bare_p50, bare_rate = load("MLflow's scoring server alone", bare, *how)
        p50, rate = load("strokewise serve", ours, *how)
    print(f"strokewise serve / MLflow alone: p50 {p50 / bare_p50:.2f}, requests/s {rate / bare_rate:.2f}")


if __name__ == "__main__":
    main()
