"""`register` with an MLflow server: a real one, one that is gone and one that is slow."""

import http.server
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from foreign_process import predict_without_strokewise
from strokewise.data.dataset import load_scenes
from strokewise.registry import mlflow_ui, versions

pytestmark = pytest.mark.slow
Project = Callable[..., Path]
Run = Callable[..., "subprocess.CompletedProcess[str]"]


def test_server_keeps_the_artifacts_and_its_absence_is_a_warning(
    tmp_path: Path, project: Project, database: Path, run: Run, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = project()
    (root / "mlflow.db").unlink()
    server_root = tmp_path / "server"
    server_root.mkdir()
    shutil.copy(database, server_root)
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(free_port), "--workers", "1"]
    environment = os.environ | mlflow_ui.UI_ENVIRONMENT
    log = (tmp_path / "log").open("w")
    process = subprocess.Popen(
        command, cwd=server_root, env=environment, stdout=log, stderr=log, start_new_session=True
    )
    url = f"http://127.0.0.1:{free_port}"
    try:
        while not mlflow_ui._is_ready(url):
            assert process.poll() is None
            time.sleep(0.2)
        done = run("register", "--strict", cwd=root, MLFLOW_TRACKING_URI=url)
        assert done.returncode == 0, done.stderr
        assert "Registered version 1, champion" in done.stdout
        again = run("register", cwd=root, MLFLOW_TRACKING_URI=url)
        assert "already registered: version 1, champion" in again.stdout
        assert not (root / "mlflow.db").exists()
        assert not (root / "mlruns").exists()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
        folder = versions.champion_dir()
        assert folder is not None
        assert folder.is_relative_to(root / ".strokewise")
        for name in ("config.json", "model.safetensors"):
            assert (folder / name).read_bytes() == (root / "data/model" / name).read_bytes()
        scene = load_scenes("test", [2])[0]
        answers, _ = predict_without_strokewise("models:/strokewise@champion", root, scene)
        assert answers["text"][0]["shape"] == "ring"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)
        log.close()
    without = run("register", cwd=root, MLFLOW_TRACKING_URI=url)
    assert without.returncode == 0
    assert without.stderr.count("\n") == 1
    assert without.stderr.startswith(f"strokewise: warning: not registered, nothing is lost: {url}: ")
    assert "Registered not now" in without.stdout
    assert run("register", "--strict", cwd=root, MLFLOW_TRACKING_URI=url).returncode == 3


def test_server_that_takes_ten_seconds_an_answer_is_a_warning(project: Project, run: Run) -> None:
    class SlowHandler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            time.sleep(10)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    root = project()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), SlowHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        start = time.monotonic()
        done = run("register", cwd=root, MLFLOW_TRACKING_URI=f"http://127.0.0.1:{server.server_port}")
    finally:
        server.shutdown()
        server.server_close()
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - start < 45
    assert done.stderr.count("\n") == 1
    assert "warning: not registered, nothing is lost" in done.stderr
    assert run("register", "--strict", cwd=root).returncode == 0  # registered with the local store
