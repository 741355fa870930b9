"""Fixtures of the registry's tests; those that other tests share are in `registry_fixtures.py`."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from strokewise.params import Params
from strokewise.stages.register import register

FORK_CHILDREN = """
import json, os, sys
import mlflow.store.tracking.sqlalchemy_store
import strokewise.stages.register
code, *folders = sys.argv[1:]
children = []
for folder in folders:
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        os.chdir(folder)
        for number, name in ((1, "stdout"), (2, "stderr")):
            os.dup2(os.open(name + f".{os.getpid()}", os.O_CREAT | os.O_WRONLY), number)
        exec(code)
        sys.exit()
    children.append(child)
for child in children:
    print(child, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.fixture
def run_parallel() -> Callable[..., list[tuple[int, str, str]]]:
    """Run Python code in one process a folder, all at the same time → (exit code, stdout, stderr) of each.

    The processes are forked after MLflow was imported: the import takes seconds, and they would not meet.
    """

    def run(code: str, folders: Sequence[Path], **environment: str) -> list[tuple[int, str, str]]:
        command = [sys.executable, "-c", FORK_CHILDREN, code, *map(str, folders)]
        done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        results = []
        for folder, line in zip(folders, done.stdout.splitlines(), strict=True):
            child, status = line.split()
            files = [folder / f"{name}.{child}" for name in ("stdout", "stderr")]
            results.append((int(status), *(file.read_text() for file in files)))
            for file in files:
                file.unlink()
        return results

    return run


@pytest.fixture
def champion_and_challenger(project: Callable[..., Path], params: Params) -> None:
    """A registry whose version 1 is champion and whose version 2 is challenger."""
    for options in ({}, {"seed": 1}):
        project(**options)
        register(params)


@pytest.fixture
def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
