"""The laws, seen working: nothing runs twice, the same bytes everywhere, nothing half-made or lost."""

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
from strokewise.support import atomic_io

pytestmark = pytest.mark.slow


def wait_until(condition: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def test_a_second_repro_changes_no_byte_and_only_confirms_the_registration(project: Any) -> None:
    before, store = project.digests(), project.mlflow()
    said = project.run("dvc", "repro")
    assert project.stages_run(said) == ["register"]
    assert "already registered" in said
    assert project.digests() == before
    assert project.mlflow() == store
    assert project.run("git", "status", "--porcelain") == ""


def test_a_lost_store_comes_back(project: Any) -> None:
    before = project.mlflow()
    assert before["aliases"] == {"strokewise": {"champion": "1"}}
    (project.folder / "mlflow.db").unlink()
    shutil.rmtree(project.folder / "mlruns")
    assert project.stages_run(project.run("dvc", "repro")) == ["register"]
    assert project.mlflow() == before


def test_every_number_in_the_lock_is_free_of_this_machine(project: Any) -> None:
    tracked = [*(project.folder / "data").rglob("*.json"), project.folder / "dvc.lock"]
    for path in tracked:
        assert str(project.folder) not in path.read_text(), path


def test_a_fresh_clone_reaches_the_same_bytes(project: Any, tmp_path: Path) -> None:
    clone = project.clone(tmp_path / "clone")
    everything = ["generate", "train", "baseline", "evaluate", "explain", "register"]
    assert clone.stages_run(clone.run("dvc", "repro")) == everything
    assert clone.digests() == project.digests()
    assert clone.run("git", "status", "--porcelain") == ""


def test_push_and_pull_carry_the_results(project: Any, tmp_path: Path) -> None:
    clone = project.clone(tmp_path / "clone")
    for side in (project, clone):
        side.run("dvc", "remote", "add", "--local", "--default", "shelf", str(tmp_path / "shelf"))
    project.run("dvc", "push")
    clone.run("dvc", "pull")
    assert clone.digests() == project.digests()
    assert clone.stages_run(clone.run("dvc", "repro")) == ["register"]
    assert clone.mlflow() == project.mlflow()


def test_a_stage_needs_what_dvc_yaml_names_and_nothing_else(project: Any, tmp_path: Path) -> None:
    """Each stage runs in a folder that holds only its dependencies, and makes the same bytes."""
    described = YAML(typ="safe").load(project.folder / "dvc.yaml")["stages"]
    rooms = [f"commands/{path.stem}" for path in (code_digest.PACKAGE / "commands").glob("*.py")]
    exempt = [
        *code_digest.NOT_DECIDING,
        *rooms,
        "interrupts",
        "wording",
        "locking",
        "__main__",
        "__init__",
    ]  # what these import
    for name, stage in described.items():
        if name == "register":  # its output is the store, see the other tests
            continue
        box = type(project)(tmp_path / name)
        for dep in ["params.yaml", *stage["deps"], *(f"src/strokewise/{module}.py" for module in exempt)]:
            source, target = project.folder / dep, box.folder / dep
            target.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if source.is_dir() else shutil.copy)(source, target)
        box.run(sys.executable, "-m", "strokewise", name)
        for kind in ("outs", "metrics", "plots"):
            for out in (next(iter(entry)) for entry in stage.get(kind, [])):
                made = [box.folder / out] if (box.folder / out).is_file() else sorted((box.folder / out).rglob("*.*"))
                assert made, f"{name} did not make {out}"
                for path in made:
                    twin = project.folder / path.relative_to(box.folder)
                    assert path.read_bytes() == twin.read_bytes(), f"{name}: {out} differs"


def test_a_stage_that_outlived_its_killed_dvc_does_not_collide_with_the_next(project: Any) -> None:
    params = project.folder / "params.yaml"
    params.write_text(params.read_text().replace("epochs: 16 ", "epochs: 90 "))  # long enough to be found at it
    lock = project.folder / ".strokewise" / "train.lock"
    lock.unlink(missing_ok=True)
    started = project.start("dvc", "repro", "train")
    wait_until(lambda: lock.exists() and lock.read_text().strip().isdigit())
    orphan = int(lock.read_text())
    started.send_signal(signal.SIGKILL)
    started.wait()
    os.kill(orphan, 0)  # the stage lives on
    said = project.run("dvc", "repro", "train")
    assert f"waiting for process {orphan}" in said
    history = (project.folder / "data" / "model" / "history.csv").read_text().splitlines()
    assert len(history) == 1 + 90
    assert project.stages_run(project.run("dvc", "repro", "train")) == []
    project.run("git", "reset", "--quiet", "--hard")
    project.run("dvc", "checkout")


def test_ctrl_c_leaves_nothing_half_made(project: Any) -> None:
    """Twice in each stage: as soon as it has begun, which is while it imports its libraries, and later."""

    def everything() -> set[Path]:
        inside = (path.relative_to(project.folder) for path in project.folder.rglob("*"))
        return {path for path in inside if path.parts[0] not in (".git", ".dvc") and "__pycache__" not in path.parts}

    before = {path for path in everything() if path.parts[0] != ".strokewise"}
    for stage in ("generate", "train", "baseline", "evaluate", "explain", "register"):
        lock = project.folder / ".strokewise" / f"{stage}.lock"
        for seconds in (0.0, 0.5):
            lock.unlink(missing_ok=True)
            (project.folder / ".strokewise" / "answers.json").unlink(missing_ok=True)  # else *register* is done at once
            started = project.start(sys.executable, "-m", "strokewise", stage)
            wait_until(lambda lock=lock: lock.exists() and lock.read_text().strip().isdigit())
            time.sleep(seconds)
            started.send_signal(signal.SIGINT)
            code = started.wait(timeout=60)
            said = (project.folder.parent / "started.log").read_text()
            assert code == 130, f"{stage}: {code}: {said}"
            assert "Traceback" not in said
    after = everything()
    assert {path for path in after if path.parts[0] != ".strokewise"} == before
    assert not [path for path in after if atomic_io.TEMP_DIR_NAME.fullmatch(path.name)]
    assert project.run("git", "status", "--porcelain") == ""
    project.run("dvc", "repro")
