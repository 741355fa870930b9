"""What every test stands on: an environment without the user's settings, and the checkout under test."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch is imported, which is before any fixture runs


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No tracking server, no DVC experiment and no torchrun of the person who runs the tests leaks in."""
    for name in list(os.environ):
        if name.startswith(("MLFLOW_", "DVC_")) or name in {"RANK", "WORLD_SIZE", "LOCAL_RANK"}:
            monkeypatch.delenv(name)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout under test."""
    return ROOT
