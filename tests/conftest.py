"""Fixtures of all tests: an environment without the user's settings, the command line and the checkout."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from strokewise.cli import app

RunCli = Callable[..., tuple[int, str, str]]

pytest_plugins = ["registry_fixtures"]
ROOT = Path(__file__).parent.parent
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch is imported, which is before any fixture runs


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the variables of MLflow, DVC and torchrun."""
    for name in list(os.environ):
        if name.startswith(("MLFLOW_", "DVC_")) or name in {"RANK", "WORLD_SIZE", "LOCAL_RANK"}:
            monkeypatch.delenv(name)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the longest files first, so that all cores finish at about the same time."""
    items.sort(key=lambda item: "pipeline" not in item.path.parts)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Handle SIGINT: tests that run in the background ignore it, and their child processes would inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def run_cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> RunCli:
    """run_cli(*arguments): run `strokewise ARGUMENTS` in this process → (exit code, stdout, stderr)."""

    def strokewise(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["strokewise", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            app.run()
        output = capsys.readouterr()
        return int(caught.value.code or 0), output.out, output.err

    return strokewise


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout under test."""
    return ROOT
