"""Registration in several processes at the same time, and in one that is killed."""

import contextlib
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from registry_queries import event_actions, read_snapshot, search_runs
from strokewise.params import Params
from strokewise.stages.register import register

pytestmark = pytest.mark.slow
Project = Callable[..., Path]
RunParallel = Callable[..., list[tuple[int, str, str]]]
Run = Callable[..., "subprocess.CompletedProcess[str]"]
REGISTER = "sys.argv = ['strokewise', 'register']; from strokewise.__main__ import main; main()"
PROGRESS_QUERIES = {  # SQL with a result as soon as *register* has got so far
    "a model": "select 1 from logged_models",
    "both runs": "select 1 from tags where key = 'complete' group by key having count(*) = 2",
    "a version": "select 1 from model_versions",
}


def make_checkouts(root: Path, count: int, states: Callable[..., Path], options: list[dict[str, Any]]) -> list[Path]:
    """Checkouts that share the store of `root`, as queued experiments do; their states take `options` in turn."""
    checkouts = []
    for number in range(count):
        checkout = root / f"copy{number}"
        shutil.copytree(states(**options[number % len(options)]) / "data", checkout / "data")
        shutil.copy(root / "params.yaml", checkout)
        checkouts.append(checkout)
    return checkouts


def register_parallel(run_parallel: RunParallel, checkouts: list[Path], root: Path) -> list[str]:
    """What `strokewise register` prints in each of these checkouts, all at the same time."""
    results = run_parallel(REGISTER, checkouts, DVC_ROOT=str(root))
    assert [code for code, _, _ in results] == [0] * len(checkouts), results
    assert not any("warning" in stderr for _, _, stderr in results), results
    return [stdout for _, stdout, _ in results]


def test_eight_processes_register_one_model_without_a_database(
    project: Project, states: Callable[..., Path], run_parallel: RunParallel
) -> None:
    root = project()
    (root / "mlflow.db").unlink()
    outputs = register_parallel(run_parallel, make_checkouts(root, 8, states, [{}]), root)
    assert sum("Registered version 1, champion" in output for output in outputs) == 1
    assert sum("already registered: version 1, champion" in output for output in outputs) == 7
    assert len(search_runs()) == 2
    snapshot = read_snapshot()
    assert [version.number for version in snapshot.versions] == [1]
    assert [event.action for event in snapshot.events] == ["champion"]


def test_eight_processes_register_eight_models(
    project: Project, states: Callable[..., Path], params: Params, run_parallel: RunParallel
) -> None:
    root = project()
    options = [{"seed": seed, "weak": weak} for seed in (0, 1) for weak in (0.0, 0.1, 0.2, 0.25)]
    register_parallel(run_parallel, make_checkouts(root, 8, states, options), root)
    assert len(search_runs()) == 16
    snapshot = read_snapshot()
    assert [version.number for version in snapshot.versions] == list(range(1, 9))
    assert len({version.fingerprint for version in snapshot.versions}) == 8
    assert sum(event.action in ("champion", "challenger") for event in snapshot.events) == 8
    assert snapshot.champion is not None
    for each in options:  # and by the gate's own test none of the others is better
        project(**each)
        result = register(params)
        name = "champion" if result.champion else f"version {snapshot.champion.number}"
        assert "already registered" in result.summary, name
    best = snapshot.champion.decision
    assert best is not None
    assert best["numbers"]["accuracy"]["value"] > 0.95


@pytest.mark.parametrize("progress", PROGRESS_QUERIES)
def test_killed_registration_is_completed(progress: str, project: Project, run: Run) -> None:
    root = project()
    process = subprocess.Popen([sys.executable, "-m", "strokewise", "register"], cwd=root, stdout=subprocess.DEVNULL)
    with contextlib.closing(sqlite3.connect(root / "mlflow.db", timeout=30)) as connection:
        while connection.execute(PROGRESS_QUERIES[progress]).fetchone() is None:
            assert process.poll() is None
    process.kill()
    process.wait()
    done = run("register", "--strict", cwd=root)
    assert done.returncode == 0, done.stderr
    assert "version 1, champion" in done.stdout
    run_tags = [each.data.tags for each in search_runs()]
    assert sorted(tags["model"] for tags in run_tags) == ["baseline", "cnn"]
    assert all("complete" in tags for tags in run_tags)
    snapshot = read_snapshot()
    assert snapshot.aliases == {"champion": 1}
    assert event_actions(snapshot) == [("champion", 1)]
