"""Fixtures of all tests: an environment without the user's settings, the command line and the checkout."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from browser_page import BrowserPage, open_browser
from strokewise.cli import app

RunCli = Callable[..., tuple[int, str, str]]
Browse = Callable[..., tuple[str, str]]

pytest_plugins = ["pipeline_fixtures", "registry_fixtures"]
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
    """Run the longest files first, so that all cores finish at about the same time.

    Not those of tests/reproduction: they copy the project that one of tests/pipeline changes.
    """
    longest = {"pipeline", "test_wheel.py", "test_processes.py"}
    items.sort(key=lambda item: not longest & set(item.path.parts))


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


@pytest.fixture(scope="session")
def chromium() -> str:
    """The program of a Chromium or Chrome; without one the test is skipped, except in CI."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        message = "no browser found: install Chromium or Chrome to run this test"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    return path


@pytest.fixture(scope="session")
def browse(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Browse:
    """browse(page, *options): open a file in headless Chromium → (its standard output, its log)."""

    def run_chromium(page: Path, *options: str) -> tuple[str, str]:
        command = [
            chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--allow-file-access-from-files", "--enable-logging=stderr", "--v=0", "--hide-scrollbars",
            f"--user-data-dir={tmp_path_factory.mktemp('profile')}", *options, page.as_uri(),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        return done.stdout, done.stderr

    return run_chromium


@pytest.fixture(scope="session")
def browser_page(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrowserPage]:
    """A page in headless Chromium that is driven with real mouse, touch and keys."""
    with open_browser(chromium, tmp_path_factory.mktemp("profile")) as page:
        yield page
