"""The whole pipeline at toy size, with real DVC and real MLflow, in a clone of its own: the laws, seen working.

One project is made and run once; the tests then use it in the order in which they stand.
"""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from strokewise import disk, sources

pytestmark = pytest.mark.slow

SHAPES = ("ellipse", "star", "triangle")  # and other
TOY = {  # as small as still lets the CNN win: what is tested is the plumbing, not the model
    "generate": {"train": 240, "validation": 24, "test": 160, "imprecision": 0.5},
    "network": {"grid": 32},
    "train": {"epochs": 12, "threads": 1},
    "baseline": {"folds": 2, "copies": 0},
    "evaluate": {"resamples": 200, "curve": 16},
    "explain": {"maps": 2},
    "register": {"margin": 0.0, "alpha": 0.9, "floor": 0.0},
}
BIN = Path(sys.executable).parent
HOUSE = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 100">
  <path d="M10 50 L50 10 L90 50 M20 42 V90 H80 V42 M42 90 V62 H58 V90" fill="none" stroke="black"/>
</svg>
"""


class Project:
    """A checkout of its own in a temporary folder, and the commands typed in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "DVC_"))
        }
        self.environment |= {
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_AUTHOR_NAME": "A. Tester",
            "GIT_AUTHOR_EMAIL": "tester@localhost",
            "GIT_COMMITTER_NAME": "A. Tester",
            "GIT_COMMITTER_EMAIL": "tester@localhost",
            "PYTHONPATH": "src",
        }

    def run(self, *words: str, fails: bool = False) -> str:
        """The command's whole output; it must succeed unless it is meant to fail."""
        done = subprocess.run(
            words, cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert (done.returncode != 0) == fails, f"{' '.join(words)} exited with {done.returncode}:\n{done.stdout}"
        return done.stdout

    def start(self, *words: str) -> "subprocess.Popen[bytes]":
        with (self.folder.parent / "started.log").open("wb") as log:
            return subprocess.Popen(
                words, cwd=self.folder, env=self.environment, stdout=log, stderr=log, preexec_fn=_hears_ctrl_c
            )

    def digests(self) -> dict[str, str]:
        """Every file that DVC tracks, and its lock."""
        files = [path for path in (self.folder / "data").rglob("*") if path.is_file() and "outlines" not in path.parts]
        files.append(self.folder / "dvc.lock")
        return {
            path.relative_to(self.folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(files)
        }

    def commit(self, message: str) -> None:
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--message", message)

    def mlflow(self) -> dict[str, Any]:
        """What the store says, without ids, times and the commit it was said at: runs, versions and aliases."""
        code = r"""
import json, mlflow, re
client = mlflow.MlflowClient()
timeless = lambda tags: re.sub(r'"at": "[^"]*"', "", tags.pop("decision")) + json.dumps(tags)
runs = client.search_runs([e.experiment_id for e in client.search_experiments()])
told_anew = {"complete", "commit", "dirty"}
mine = lambda tags: {k: v for k, v in sorted(tags.items()) if not k.startswith("mlflow.") and k not in told_anew}
print(json.dumps({
    "runs": sorted((json.dumps([mine(r.data.tags), r.data.params, r.data.metrics], sort_keys=True)) for r in runs),
    "versions": sorted([str(v.version), timeless(mine(v.tags))] for v in client.search_model_versions("")),
    "aliases": {m.name: {a: str(v) for a, v in m.aliases.items()} for m in client.search_registered_models()},
}))
"""
        answer: dict[str, Any] = json.loads(self.run(str(BIN / "python"), "-W", "ignore", "-c", code).splitlines()[-1])
        return answer


def _hears_ctrl_c() -> None:
    """Whoever runs the tests in the background has them, and all they start, ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def copy_of_the_working_tree(root: Path, folder: Path) -> Project:
    """What git would clone, with the uncommitted changes of the tree under test, and toy parameters."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    for name in filter(None, listed.split("\0")):
        shape = Path(name).parts[2] if name.startswith("data/outlines/") else None
        if (
            (root / name).is_file()
            and shape in {None, *SHAPES}
            and name not in ("dvc.lock", "data/report/metrics.json")
        ):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / name, folder / name)
    yaml = YAML()
    params = yaml.load(folder / "params.yaml")
    for section, values in TOY.items():
        params[section].update(values)
    yaml.dump(params, folder / "params.yaml")
    project = Project(folder)
    project.run("git", "init", "--quiet", "--initial-branch", "main")
    project.commit("A fresh clone")
    return project


@pytest.fixture(scope="module")
def project(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = copy_of_the_working_tree(root, tmp_path_factory.mktemp("toy") / "project")
    said = made.run("dvc", "repro")
    assert "champion" in said, said
    made.commit("The pipeline has run")
    return made


def stages_run(said: str) -> list[str]:
    return re.findall(r"^Running stage '(\w+)'", said, re.MULTILINE)


def wait_until(condition: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def test_a_second_repro_changes_no_byte_and_only_confirms_the_registration(project: Project) -> None:
    before, store = project.digests(), project.mlflow()
    said = project.run("dvc", "repro")
    assert stages_run(said) == ["register"]
    assert "already registered" in said
    assert project.digests() == before
    assert project.mlflow() == store
    assert project.run("git", "status", "--porcelain") == ""


def test_a_lost_store_comes_back(project: Project) -> None:
    before = project.mlflow()
    assert before["aliases"] == {"strokewise": {"champion": "1"}}
    (project.folder / "mlflow.db").unlink()
    shutil.rmtree(project.folder / "mlruns")
    assert stages_run(project.run("dvc", "repro")) == ["register"]
    assert project.mlflow() == before


def test_every_number_in_the_lock_is_free_of_this_machine(project: Project) -> None:
    tracked = [*(project.folder / "data").rglob("*.json"), project.folder / "dvc.lock"]
    for path in tracked:
        assert str(project.folder) not in path.read_text(), path


def test_a_fresh_clone_reaches_the_same_bytes(project: Project, tmp_path: Path) -> None:
    clone = Project(tmp_path / "clone")
    project.run("git", "clone", "--quiet", str(project.folder), str(clone.folder))
    assert stages_run(clone.run("dvc", "repro")) == ["generate", "train", "baseline", "evaluate", "explain", "register"]
    assert clone.digests() == project.digests()
    assert clone.run("git", "status", "--porcelain") == ""


def test_push_and_pull_carry_the_results(project: Project, tmp_path: Path) -> None:
    clone = Project(tmp_path / "clone")
    project.run("git", "clone", "--quiet", str(project.folder), str(clone.folder))
    for side in (project, clone):
        side.run("dvc", "remote", "add", "--local", "--default", "shelf", str(tmp_path / "shelf"))
    project.run("dvc", "push")
    clone.run("dvc", "pull")
    assert clone.digests() == project.digests()
    assert stages_run(clone.run("dvc", "repro")) == ["register"]
    assert clone.mlflow() == project.mlflow()


def test_a_stage_needs_what_dvc_yaml_names_and_nothing_else(project: Project, tmp_path: Path) -> None:
    """Each stage runs in a folder that holds only its dependencies, and makes the same bytes."""
    described = YAML(typ="safe").load(project.folder / "dvc.yaml")["stages"]
    rooms = [f"commands/{path.stem}" for path in (sources.PACKAGE / "commands").glob("*.py")]
    exempt = [*sources.EXEMPT, *rooms, "interrupts", "wording", "locking", "__main__", "__init__"]  # what these import
    for name, stage in described.items():
        if name == "register":  # its output is the store, see the other tests
            continue
        box = Project(tmp_path / name)
        for dep in ["params.yaml", *stage["deps"], *(f"src/strokewise/{module}.py" for module in exempt)]:
            source, target = project.folder / dep, box.folder / dep
            target.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if source.is_dir() else shutil.copy)(source, target)
        box.run(str(BIN / "python"), "-m", "strokewise", name)
        for kind in ("outs", "metrics", "plots"):
            for out in (next(iter(entry)) for entry in stage.get(kind, [])):
                made = [box.folder / out] if (box.folder / out).is_file() else sorted((box.folder / out).rglob("*.*"))
                assert made, f"{name} did not make {out}"
                for path in made:
                    twin = project.folder / path.relative_to(box.folder)
                    assert path.read_bytes() == twin.read_bytes(), f"{name}: {out} differs"


def test_dvc_as_its_users_know_it(project: Project) -> None:
    assert "evaluate" in project.run("dvc", "dag")
    assert "always changed" in project.run("dvc", "status")
    assert "cnn" in project.run("dvc", "metrics", "show")
    project.run("dvc", "plots", "show", "--out", str(project.folder.parent / "plots"))
    page = (project.folder.parent / "plots" / "index.html").read_text()
    assert "confusion-cnn.csv" in page
    assert "mistakes.png" in page


def test_every_command_of_the_readme_works(
    project: Project, readme_commands: list[str], readme_excused: dict[str, str]
) -> None:
    """In their order, in a folder with a drawing and an outline; what they are said to do is seen afterwards."""
    runs, known = len(project.mlflow()["runs"]), project.run("dvc", "exp", "list")
    scene = sorted((project.folder / "data" / "report" / "explain").glob("*.png"))[0]
    shutil.copy(scene, project.folder / "drawing.png")
    (project.folder / "house.svg").write_text(HOUSE)
    for command in readme_commands:
        if command not in readme_excused:
            said = project.run("sh", "-c", command)
            if command.startswith("strokewise predict"):
                assert re.match(r"\w+ +\d+% drawing\.png", said)
            if command.startswith("dvc exp run"):
                assert re.search(r"train\.epochs\s+12\s+40", project.run("dvc", "params", "diff"))
                assert "cnn.accuracy" in project.run("dvc", "metrics", "diff")
    assert known != project.run("dvc", "exp", "list")
    assert len(project.mlflow()["runs"]) == runs + 4  # a CNN and a baseline for each of two new states
    assert "house" in json.loads((project.folder / "data" / "model" / "config.json").read_text())["shapes"]
    assert project.mlflow()["aliases"]["strokewise"].keys() >= {"champion", "challenger"}, "it knows other shapes"
    project.run("git", "reset", "--quiet", "--hard")
    project.run("git", "clean", "--quiet", "--force", "-d")
    project.run("dvc", "checkout")


def test_a_queued_experiment_runs_the_code_it_was_queued_with(project: Project) -> None:
    runs = len(project.mlflow()["runs"])
    project.run("dvc", "exp", "run", "--queue", "--name", "queued", "-S", "train.epochs=4")
    stage = project.folder / "src" / "strokewise" / "stages" / "train.py"
    code = stage.read_text()
    stage.write_text("raise SystemExit('the workspace has moved on')\n")
    try:
        project.run("dvc", "exp", "run", "--run-all")
    finally:
        stage.write_text(code)
    assert "Success" in project.run("dvc", "queue", "status")
    assert len(project.mlflow()["runs"]) > runs
    assert project.run("git", "status", "--porcelain") == ""


def test_a_stage_that_outlived_its_killed_dvc_does_not_collide_with_the_next(project: Project) -> None:
    params = project.folder / "params.yaml"
    params.write_text(params.read_text().replace("epochs: 12 ", "epochs: 90 "))  # long enough to be found at it
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
    assert stages_run(project.run("dvc", "repro", "train")) == []
    project.run("git", "reset", "--quiet", "--hard")
    project.run("dvc", "checkout")


def test_ctrl_c_leaves_nothing_half_made(project: Project) -> None:
    """Twice in each stage: as soon as it has begun, which is while it imports its libraries, and later."""

    def everything() -> set[Path]:
        inside = (path.relative_to(project.folder) for path in project.folder.rglob("*"))
        return {path for path in inside if path.parts[0] not in (".git", ".dvc") and "__pycache__" not in path.parts}

    before = {path for path in everything() if path.parts[0] != ".strokewise"}
    for stage in ("generate", "train", "baseline", "evaluate", "explain", "register"):
        lock = project.folder / ".strokewise" / f"{stage}.lock"
        for seconds in (0.0, 0.5):
            lock.unlink(missing_ok=True)
            started = project.start(str(BIN / "python"), "-m", "strokewise", stage)
            wait_until(lambda lock=lock: lock.exists() and lock.read_text().strip().isdigit())
            time.sleep(seconds)
            started.send_signal(signal.SIGINT)
            code = started.wait(timeout=60)
            said = (project.folder.parent / "started.log").read_text()
            assert code == 130, f"{stage}: {code}: {said}"
            assert "Traceback" not in said
    after = everything()
    assert {path for path in after if path.parts[0] != ".strokewise"} == before
    assert not [path for path in after if disk.BOX.fullmatch(path.name)]
    assert project.run("git", "status", "--porcelain") == ""
    project.run("dvc", "repro")
