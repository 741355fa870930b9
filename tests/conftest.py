"""What every test stands on: an environment without the user's settings, and the checkout under test."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from strokewise.cli import app

RunCli = Callable[..., tuple[int, str, str]]

ROOT = Path(__file__).parent.parent
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch is imported, which is before any fixture runs


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No tracking server, no DVC experiment and no torchrun of the person who runs the tests leaks in."""
    for name in list(os.environ):
        if name.startswith(("MLFLOW_", "DVC_")) or name in {"RANK", "WORLD_SIZE", "LOCAL_RANK"}:
            monkeypatch.delenv(name)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first: then all cores come to an end together."""
    items.sort(key=lambda item: "pipeline" not in item.path.parts)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """What a test or a fixture starts can be interrupted: an ignored SIGINT would be inherited by every child.

    It is ignored where tests are begun in a background.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def run_cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> RunCli:
    """Type `strokewise WORDS` in this process -> exit code, what it printed, what it printed as an error."""

    def strokewise(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["strokewise", *words])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            app.run()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return strokewise


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout under test."""
    return ROOT
