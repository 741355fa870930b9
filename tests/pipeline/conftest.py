"""The whole pipeline at toy size, with real DVC and real MLflow, in a clone of its own.

One project a file is made and run once; the tests then use it in the order in which they stand.
"""

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

SHAPES = ("ellipse", "star", "triangle")  # and other
TOY = {  # as small as still lets the CNN win: what is tested is the plumbing, not the model
    "generate": {"train": 240, "validation": 24, "test": 160, "imprecision": 0.5},
    "network": {"grid": 32},
    "train": {"epochs": 16, "batch_size": 64, "threads": 1},
    "baseline": {"folds": 2, "copies": 0},
    "evaluate": {"resamples": 200, "curve": 16},
    "explain": {"maps": 2},
    "register": {"margin": 0.0, "alpha": 0.9, "floor": 0.0},
}
BIN = Path(sys.executable).parent


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
        with tempfile.TemporaryDirectory() as copy, pytest.MonkeyPatch.context() as patch:
            shutil.copy(self.folder / "mlflow.db", copy)  # MLflow would keep the project's own open
            patch.setenv("DVC_ROOT", copy)
            with store.connect(create=False) as opened:
                return _said(opened.client)

    @staticmethod
    def stages_run(said: str) -> list[str]:
        """The stages that `dvc repro` ran, by what it said."""
        return re.findall(r"^Running stage '(\w+)'", said, re.MULTILINE)

    def clone(self, folder: Path) -> "Project":
        """What git clones of it."""
        self.run("git", "clone", "--quiet", str(self.folder), str(folder))
        return Project(folder)


def _said(client: Any) -> dict[str, Any]:
    def timeless(tags: dict[str, str]) -> str:
        return re.sub(r'"at": "[^"]*"', "", tags.pop("decision")) + json.dumps(tags)

    def mine(tags: dict[str, str]) -> dict[str, str]:
        told_anew = {"complete", "commit", "dirty"}
        return {k: v for k, v in sorted(tags.items()) if not k.startswith("mlflow.") and k not in told_anew}

    runs = client.search_runs([each.experiment_id for each in client.search_experiments()])
    return {
        "runs": sorted(json.dumps([mine(r.data.tags), r.data.params, r.data.metrics], sort_keys=True) for r in runs),
        "versions": sorted([str(v.version), timeless(mine(v.tags))] for v in client.search_model_versions("")),
        "aliases": {m.name: {a: str(v) for a, v in m.aliases.items()} for m in client.search_registered_models()},
    }


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
