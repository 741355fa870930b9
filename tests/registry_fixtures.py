"""Fixtures of the tests that register a model, wherever they stand: a project with toy results and an empty store."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from strokewise.params import Params

ROOT = Path(__file__).parent.parent
StateOf = Callable[..., Path]


@pytest.fixture(scope="session")
def states(tmp_path_factory: pytest.TempPathFactory) -> StateOf:
    """states(seed=0, weak=0.0, shapes=SHAPES): a folder with these results, made once a session; do not change it."""
    from toy_states import make_state

    folders: dict[Any, Path] = {}

    def state(**options: Any) -> Path:
        key = tuple(sorted(options.items()))
        if key not in folders:
            folders[key] = make_state(tmp_path_factory.mktemp("state"), **options)
        return folders[key]

    return state


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh MLflow database, to be copied: creating one takes seconds."""
    from strokewise.registry import store

    folder = tmp_path_factory.mktemp("database")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        with store.connect():
            return folder / "mlflow.db"


@pytest.fixture
def project(tmp_path: Path, database: Path, states: StateOf, monkeypatch: pytest.MonkeyPatch) -> StateOf:
    """project(...): replace the results in the working directory, a project with an empty store; returns its path.

    The arguments are those of `states`.
    """
    root = tmp_path / "project"
    root.mkdir()
    monkeypatch.chdir(root)
    shutil.copy(ROOT / "params.yaml", root)
    shutil.copy(database, root / "mlflow.db")

    def put_state(**options: Any) -> Path:
        shutil.rmtree(root / "data", ignore_errors=True)
        shutil.copytree(states(**options) / "data", root / "data")
        return root

    return put_state


@pytest.fixture
def params() -> Params:
    """The project's own parameters."""
    return Params.load(ROOT / "params.yaml")


@pytest.fixture
def run() -> Callable[..., subprocess.CompletedProcess[str]]:
    """run(*arguments, cwd, **environment): `strokewise ARGUMENTS` in a process of its own."""

    def strokewise(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "strokewise", *arguments]
        return subprocess.run(
            command, cwd=cwd, env=os.environ | environment, capture_output=True, text=True, timeout=180, check=False
        )

    return strokewise
