"""The whole pipeline at toy size, with real DVC and real MLflow, in a checkout of its own."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from strokewise.registry import store
from strokewise.support import file_lock

SHAPES = ("ellipse", "star", "triangle")  # and other
TOY_PARAMS = {  # as small as still lets the CNN win: what is tested is the plumbing, not the model
    "generate": {"train": 240, "validation": 24, "test": 160, "imprecision": 0.5},
    "network": {"image_size": 32},
    "train": {"epochs": 16, "batch_size": 64, "threads": 1},
    "baseline": {"folds": 2, "augmented_copies": 0},
    "evaluate": {"bootstrap_samples": 200, "imprecision_samples": 16},
    "explain": {"feature_maps": 2},
    "register": {"min_improvement": 0.0, "alpha": 0.9, "min_recall": 0.0},
}
BIN = Path(sys.executable).parent


class Project:
    """A checkout in a temporary folder, and the commands that are run in it."""

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

    def run(self, *command: str) -> str:
        """Run a command that must succeed; returns stdout and stderr together."""
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert done.returncode == 0, f"{' '.join(command)} exited with {done.returncode}:\n{done.stdout}"
        return done.stdout

    def start(self, *command: str) -> "subprocess.Popen[bytes]":
        """Start a command in the background; its output goes to `log_file`."""
        with self.log_file.open("wb") as log:
            return subprocess.Popen(
                command, cwd=self.folder, env=self.environment, stdout=log, stderr=log, preexec_fn=_restore_sigint
            )

    @property
    def log_file(self) -> Path:
        return self.folder.parent / "started.log"

    def digests(self) -> dict[str, str]:
        """SHA-256 of every file that the pipeline made, and of dvc.lock."""
        files = [path for path in (self.folder / "data").rglob("*") if path.is_file() and "outlines" not in path.parts]
        files.append(self.folder / "dvc.lock")
        return {
            path.relative_to(self.folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(files)
        }

    def commit(self, message: str) -> None:
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--message", message)

    def reset(self) -> None:
        """Go back to the last commit, and to what the pipeline had made by then."""
        self.run("git", "reset", "--quiet", "--hard")
        self.run("git", "clean", "--quiet", "--force", "-d")
        self.run("dvc", "checkout")

    def mlflow(self) -> dict[str, Any]:
        """What MLflow's store holds, without ids, times and commits: runs, versions and aliases."""
        with tempfile.TemporaryDirectory() as copy, pytest.MonkeyPatch.context() as patch:
            shutil.copy(self.folder / "mlflow.db", copy)  # MLflow would keep the project's own open
            patch.setenv("DVC_ROOT", copy)
            with store.connect(create=False) as connection:
                return _store_content(connection.client)

    @staticmethod
    def stages_run(output: str) -> list[str]:
        """The stages that `dvc repro` ran, by its output."""
        return re.findall(r"^Running stage '(\w+)'", output, re.MULTILINE)

    def run_cli(self, *arguments: str) -> tuple[int, str, str]:
        """Run `strokewise ARGUMENTS` with this project's own code → (exit code, stdout, stderr)."""
        command = [sys.executable, "-m", "strokewise", *arguments]
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout, done.stderr

    def copy(self, folder: Path, register: bool = True) -> "Project":
        """A copy with all results and DVC's cache; its champion is registered in a store of its own if asked."""
        shutil.copytree(self.folder, folder, ignore=shutil.ignore_patterns("mlflow.db", "mlruns", ".strokewise"))
        copied = Project(folder)
        if register:
            copied.run(sys.executable, "-m", "strokewise", "register")
        return copied

    def clone(self, folder: Path) -> "Project":
        """A git clone of this project."""
        self.run("git", "clone", "--quiet", str(self.folder), str(folder))
        return Project(folder)


def _store_content(client: Any) -> dict[str, Any]:
    def without_times(tags: dict[str, str]) -> str:
        return re.sub(r'"at": "[^"]*"', "", tags.pop("decision")) + json.dumps(tags)

    def lasting(tags: dict[str, str]) -> dict[str, str]:
        changing = {"complete", "commit", "dirty", "training", "training_seconds"}
        return {k: v for k, v in sorted(tags.items()) if not k.startswith("mlflow.") and k not in changing}

    runs = client.search_runs([each.experiment_id for each in client.search_experiments()])
    return {
        "runs": sorted(json.dumps([lasting(r.data.tags), r.data.params, r.data.metrics], sort_keys=True) for r in runs),
        "versions": sorted([str(v.version), without_times(lasting(v.tags))] for v in client.search_model_versions("")),
        "aliases": {m.name: {a: str(v) for a, v in m.aliases.items()} for m in client.search_registered_models()},
    }


def _restore_sigint() -> None:
    """Tests that run in the background ignore SIGINT, and all that they start would inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def copy_working_tree(root: Path, folder: Path) -> Project:
    """What git would clone, with the uncommitted changes of the tree under test, few shapes and toy parameters."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    for name in filter(None, listed.split("\0")):
        shape = Path(name).parts[2] if name.startswith("data/outlines/") else None
        result = name in ("dvc.lock", "data/report/metrics.json")
        if (root / name).is_file() and shape in {None, *SHAPES} and not result:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / name, folder / name)
    yaml = YAML()
    params = yaml.load(folder / "params.yaml")
    for section, values in TOY_PARAMS.items():
        assert values.keys() <= params[section].keys()
        params[section].update(values)
    yaml.dump(params, folder / "params.yaml")
    project = Project(folder)
    project.run("git", "init", "--quiet", "--initial-branch", "main")
    project.commit("A fresh clone")
    return project


@pytest.fixture(scope="session")
def project_and_digests(root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, dict[str, str]]:
    """A project in which the pipeline has run once, and the digests of its files then.

    All processes of pytest-xdist share it: the first that needs it makes it. Only one test file may change it; others
    take a git clone, which holds the last commit.
    """
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder, digests = shared / "toy" / "project", shared / "toy" / "digests.json"
    with file_lock.exclusive_lock(shared / "toy.lock"):
        if not digests.is_file():
            shutil.rmtree(folder, ignore_errors=True)
            project = copy_working_tree(root, folder)
            output = project.run("dvc", "repro")
            assert "champion" in output, output
            project.commit("The pipeline has run")
            digests.write_text(json.dumps(project.digests()))
    return Project(folder), json.loads(digests.read_text())
