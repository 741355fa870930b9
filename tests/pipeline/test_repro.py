"""The laws of the pipeline, seen working: nothing runs twice, the same bytes everywhere, nothing half-made or lost."""

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from strokewise import code_digest
from strokewise.registry.cache import CACHE_FILE
from strokewise.support import atomic_io

pytestmark = pytest.mark.slow


@pytest.fixture
def project(project_and_digests: Any) -> Any:
    """The project in which the pipeline has run; each test leaves it as its last commit."""
    return project_and_digests[0]


def wait_until(condition: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.05)


def holds_process_id(lock: Path) -> bool:
    return lock.exists() and lock.read_text().strip().isdigit()


def test_second_repro_changes_no_byte_and_only_confirms_the_registration(project: Any) -> None:
    digests, store = project.digests(), project.mlflow()
    output = project.run("dvc", "repro")
    assert project.stages_run(output) == ["register"]
    assert "already registered" in output
    assert project.digests() == digests
    assert project.mlflow() == store
    assert project.run("git", "status", "--porcelain") == ""


def test_repro_rebuilds_a_deleted_store(project: Any) -> None:
    store = project.mlflow()
    assert store["aliases"] == {"strokewise": {"champion": "1"}}
    (project.folder / "mlflow.db").unlink()
    shutil.rmtree(project.folder / "mlruns")
    assert project.stages_run(project.run("dvc", "repro")) == ["register"]
    assert project.mlflow() == store


def test_tracked_files_do_not_name_this_machine(project: Any) -> None:
    tracked = [*(project.folder / "data").rglob("*.json"), project.folder / "dvc.lock"]
    for path in tracked:
        assert str(project.folder) not in path.read_text(), path


def test_push_and_pull_transfer_the_results(project: Any, tmp_path: Path) -> None:
    clone = project.clone(tmp_path / "clone")
    for side in (project, clone):
        side.run("dvc", "remote", "add", "--local", "--default", "storage", str(tmp_path / "storage"))
    project.run("dvc", "push")
    clone.run("dvc", "pull")
    assert clone.digests() == project.digests()
    assert clone.stages_run(clone.run("dvc", "repro")) == ["register"]
    assert clone.mlflow() == project.mlflow()
    project.run("git", "tag", "--annotate", "--message", "released", "recogniser@v1.0.0")
    clone.run("dvc", "artifacts", "get", str(project.folder), "recogniser", "--out", str(tmp_path / "model.onnx"))
    assert (tmp_path / "model.onnx").read_bytes() == (clone.folder / "data/model/model.onnx").read_bytes()


def test_stage_needs_what_dvc_yaml_names_and_nothing_else(project: Any, tmp_path: Path) -> None:
    """Run each stage in a folder that holds only its dependencies, and compare the bytes.

    Beside them lies the code that decides no output, and so is no dependency.
    """
    stages = YAML(typ="safe").load(project.folder / "dvc.yaml")["stages"]
    package = Path("src/strokewise")
    exempt = [package / name for name in code_digest.NOT_DECIDING]
    exempt = [path if (project.folder / path).is_dir() else path.with_suffix(".py") for path in exempt]
    exempt += [package / "__init__.py", package / "__main__.py"]
    for name, stage in stages.items():
        if name == "register":  # its output is the store, see the other tests
            continue
        copy = type(project)(tmp_path / name)
        for dependency in ["params.yaml", *stage["deps"], *exempt]:
            source, target = project.folder / dependency, copy.folder / dependency
            target.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if source.is_dir() else shutil.copy)(source, target)
        copy.run(sys.executable, "-m", "strokewise", name)
        for kind in ("outs", "metrics", "plots"):
            for out in (next(iter(entry)) for entry in stage.get(kind, [])):
                place = copy.folder / out
                files = [place] if place.is_file() else sorted(place.rglob("*.*"))
                assert files, f"{name} did not write {out}"
                for path in files:
                    original = project.folder / path.relative_to(copy.folder)
                    assert path.read_bytes() == original.read_bytes(), f"{name}: {out} differs"


def test_repro_waits_for_a_stage_that_outlived_its_killed_dvc(project: Any) -> None:
    params = project.folder / "params.yaml"
    params.write_text(params.read_text().replace("epochs: 16 ", "epochs: 90 "))  # long enough to be killed at it
    lock = project.folder / ".strokewise" / "train.lock"
    lock.unlink(missing_ok=True)
    started = project.start("dvc", "repro", "train")
    wait_until(lambda: holds_process_id(lock))
    orphan = int(lock.read_text())
    started.send_signal(signal.SIGKILL)
    started.wait()
    os.kill(orphan, 0)  # raises if the stage is gone
    output = project.run("dvc", "repro", "train")
    assert f"waiting for process {orphan}" in output
    history = (project.folder / "data" / "model" / "history.csv").read_text().splitlines()
    assert len(history) == 1 + 90
    assert project.stages_run(project.run("dvc", "repro", "train")) == []
    project.reset()


def test_ctrl_c_leaves_nothing_half_made(project: Any) -> None:
    """Twice in each stage: as soon as it has started, while it imports its libraries, and later."""

    def all_paths() -> set[Path]:
        inside = (path.relative_to(project.folder) for path in project.folder.rglob("*"))
        return {path for path in inside if path.parts[0] not in (".git", ".dvc") and "__pycache__" not in path.parts}

    before = {path for path in all_paths() if path.parts[0] != ".strokewise"}
    for stage in ("generate", "train", "baseline", "evaluate", "explain", "register"):
        lock = project.folder / ".strokewise" / f"{stage}.lock"
        for seconds in (0.0, 0.5):
            lock.unlink(missing_ok=True)
            (project.folder / ".strokewise" / CACHE_FILE).unlink(missing_ok=True)  # else *register* is done at once
            started = project.start(sys.executable, "-m", "strokewise", stage)
            wait_until(lambda lock=lock: holds_process_id(lock))
            time.sleep(seconds)
            started.send_signal(signal.SIGINT)
            code = started.wait(timeout=60)
            output = project.log_file.read_text()
            assert code == 130, f"{stage}: {code}: {output}"
            assert "Traceback" not in output
    after = all_paths()
    assert {path for path in after if path.parts[0] != ".strokewise"} == before
    assert not [path for path in after if atomic_io.TEMP_DIR_NAME.fullmatch(path.name)]
    assert project.run("git", "status", "--porcelain") == ""
    project.run("dvc", "repro")
