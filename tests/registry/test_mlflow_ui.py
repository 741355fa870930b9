"""`strokewise ui` as a process: it starts, shows the runs and ends without leaving a child."""

# ruff: noqa: S310 - the only URLs opened are those of servers started here

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from strokewise.params import Params
from strokewise.registry import overview
from strokewise.stages.register import register

pytestmark = pytest.mark.slow
Project = Callable[..., Path]
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@contextlib.contextmanager
def running_ui(root: Path, port: int) -> Iterator["subprocess.Popen[str]"]:
    """`strokewise ui` in a process of its own, once it answers."""
    command = [sys.executable, "-m", "strokewise", "ui", "--port", str(port)]
    process = subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if "shows the runs at" in line:
                break
        else:
            raise AssertionError("it never answered")
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)


def descendants(process: int) -> list[int]:
    """The ids of all processes below a process."""
    done = subprocess.run(["pgrep", "-P", str(process)], capture_output=True, text=True, check=False)
    children = [int(child) for child in done.stdout.split()]
    return children + [below for child in children for below in descendants(child)]


def test_ui_shows_the_runs_and_ends_with_its_children(
    project: Project, params: Params, run: Run, free_port: int
) -> None:
    root = project()
    register(params)
    url = f"http://127.0.0.1:{free_port}"
    with running_ui(root, free_port) as process:
        body = json.dumps({"experiment_ids": ["1"]}).encode()
        request = Request(f"{url}/api/2.0/mlflow/runs/search", body, {"Content-Type": "application/json"})
        runs = json.load(urlopen(request, timeout=20))["runs"]
        assert sorted(each["info"]["run_name"].split()[0] for each in runs) == ["baseline", "cnn"]
        cnn = next(each["info"]["run_id"] for each in runs if each["info"]["run_name"].startswith("cnn"))
        with urlopen(f"{url}/get-artifact?path=report/mistakes.png&run_uuid={cnn}", timeout=20) as response:
            assert response.read() == (root / "data/report/mistakes.png").read_bytes()
        second = run("ui", "--port", str(free_port), cwd=root)
        assert second.returncode == 2
        message = f"strokewise: cannot listen on 127.0.0.1:{free_port} (Address already in use); take another"
        assert message in second.stderr
        body = json.load(urlopen(f"{url}/api/2.0/mlflow/experiments/get?experiment_id=1", timeout=20))
        tags = {tag["key"]: tag["value"] for tag in body["experiment"]["tags"]}
        charts = json.loads(tags[overview.VIEW_TAG])["compareRunCharts"]
        assert "test/accuracy" in [chart["metricKey"] for chart in charts]
        children = descendants(process.pid)
        assert children
    assert process.returncode == 130
    assert not [child for child in children if Path(f"/proc/{child}").exists()]


def test_ui_of_a_server_prints_its_address(project: Project, run: Run) -> None:
    done = run("ui", cwd=project(), MLFLOW_TRACKING_URI="http://127.0.0.1:5999")
    assert done.returncode == 0
    assert "open http://127.0.0.1:5999" in done.stdout
