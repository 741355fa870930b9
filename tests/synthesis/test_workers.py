"""Painting in several processes: the same bytes as in one, and no process survives an interruption."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from strokewise.data import shards
from strokewise.data.png import encode_png
from strokewise.params import GenerateParams
from strokewise.support.paths import PAINTINGS_DIR
from strokewise.synthesis import render, workers
from strokewise.synthesis.outlines import Catalogue

SCRATCH = Path(".strokewise/paintings")


def test_painting_in_a_shard_equals_the_painting_alone(
    tmp_path: Path, catalogue: Catalogue, defaults: GenerateParams, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "ROWS_PER_SHARD", 20)
    params = defaults.model_copy(update={"canvas": 32})
    workers.paint_shards([workers.ShardPlan("train", 1, 20)], tmp_path, catalogue, params, 1, lambda count: None)
    table = pq.read_table(tmp_path / "train" / "00001.parquet")
    for row in (0, 7, 19):
        painting = render.render_painting(catalogue, params, "train", 20 + row)
        assert table["image"][row].as_py()["bytes"] == encode_png(painting.scene)
        assert table["label"][row].as_py() == painting.label


@pytest.mark.slow
def test_number_of_processes_changes_no_byte(tmp_path: Path, catalogue: Catalogue, defaults: GenerateParams) -> None:
    params = defaults.model_copy(update={"train": 2100, "validation": 1, "test": 1, "canvas": 32})
    files = []
    for processes in (1, 3):
        counts: list[int] = []
        folder = tmp_path / str(processes)
        workers.paint_shards(workers.plan_shards(params), folder, catalogue, params, processes, counts.append)
        assert sum(counts) == 2102
        files.append({path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.parquet")})
    assert files[0] == files[1]
    assert len(files[0]) == 5


# --- `strokewise generate` in a process group of its own


@pytest.fixture
def workdir(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with three shapes."""
    for folder in sorted((root / "data" / "outlines").iterdir())[:3]:
        shutil.copytree(folder, tmp_path / "data" / "outlines" / folder.name)
    shutil.copy(root / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def process(workdir: Path, root: Path) -> Iterator["subprocess.Popen[str]"]:
    """`strokewise generate` with enough work that it can be interrupted."""
    sizes = [word for size in ("train=30000", "validation=1", "test=1") for word in ("--set", f"generate.{size}")]
    with subprocess.Popen(
        [sys.executable, "-m", "strokewise", "generate", *sizes],
        env={**os.environ, "PYTHONPATH": str(root / "src")},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def list_children(process: "subprocess.Popen[str]") -> list[tuple[int, str]]:
    """Process id and command of the other living processes in the process group of `process`."""
    listing = subprocess.run(
        ["ps", "-A", "-ww", "-o", "pid=,pgid=,stat=,args="], capture_output=True, text=True, check=True
    )
    fields = [line.split(maxsplit=3) for line in listing.stdout.splitlines()]
    return [
        (int(pid), command)
        for pid, group, state, command in fields
        if int(group) == process.pid != int(pid) and not state.startswith("Z")
    ]


def wait_until(condition: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def first_shard_is_done() -> bool:
    """Whether one shard is finished and another one has been begun."""
    return any(SCRATCH.rglob("0*.parquet")) and any(SCRATCH.rglob(".0*"))


@pytest.mark.slow
@pytest.mark.parametrize("early", [False, True])
def test_ctrl_c_ends_all_processes_and_keeps_whole_shards(process: "subprocess.Popen[str]", early: bool) -> None:
    wait_until((lambda: len(list_children(process)) > 1) if early else first_shard_is_done)
    os.killpg(process.pid, signal.SIGINT)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in stderr
    wait_until(lambda: not list_children(process), 10)
    assert not PAINTINGS_DIR.exists()
    assert not list(SCRATCH.rglob(".0*")), "half a shard"


@pytest.mark.slow
def test_workers_end_with_a_killed_parent(process: "subprocess.Popen[str]") -> None:
    wait_until(first_shard_is_done)
    process.kill()
    process.communicate()
    wait_until(lambda: not list_children(process), 10)


@pytest.mark.slow
def test_killed_worker_is_reported_in_one_line(process: "subprocess.Popen[str]") -> None:
    wait_until(first_shard_is_done)
    worker = max(pid for pid, command in list_children(process) if "spawn_main" in command)
    os.kill(worker, signal.SIGKILL)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 2
    message = "strokewise: a painting process was killed, maybe because memory ran out;"
    assert stderr.splitlines()[-1].startswith(message)
    assert "Traceback" not in stderr
    wait_until(lambda: not list_children(process), 10)
