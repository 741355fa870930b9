"""Where the store is, that making it is safe, and that nothing of it leaks."""

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from strokewise.errors import RegistryError
from strokewise.registry import store
from strokewise.registry.store import StoreUnavailable


def test_the_store_is_the_projects_own_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    own = store.store_address()
    assert own.uri == f"sqlite:///{tmp_path}/mlflow.db"
    assert own.artifacts == tmp_path / "mlruns"
    assert not own.served
    assert not store.store_exists()


def test_a_queued_experiment_uses_the_store_of_the_original_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / ".dvc/tmp/exps/x"
    copy.mkdir(parents=True)
    monkeypatch.chdir(copy)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    assert store.store_address().database == tmp_path / "mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///other.db")
    assert store.store_address().uri == f"sqlite:///{tmp_path}/other.db"


@pytest.mark.parametrize(
    ("uri", "served"),
    [("http://127.0.0.1:5000/", True), ("https://a.b/mlflow", True), ("postgresql+psycopg2://u:p@h/d", False)],
)
def test_addresses_of_servers_and_databases(uri: str, served: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert store.store_address().served == served
    assert store.store_address().uri == uri.rstrip("/")


@pytest.mark.parametrize(
    "uri",
    ["htp://x", "file:///mlruns", "/home/mlruns", "sqlite:///", "sqlite://", "http://", "http://[::1", "databricks"],
)
def test_a_wrong_uri_is_told_in_one_line(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(RegistryError, match=r"MLFLOW_TRACKING_URI is .*; it must be a server .* or unset it"):
        store.store_address()


def test_opening_leaves_no_trace_in_the_environment(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(database.parent)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "77")
    before = dict(os.environ)
    with store.connect() as opened:
        assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "77"  # the user's own value wins
        assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "1"
        opened.client.search_experiments()
    assert dict(os.environ) == before


def test_whatever_a_store_fails_to_do_is_one_line(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(database.parent)
    with (
        pytest.raises(StoreUnavailable, match=r"^mlflow.db: No Experiment with id=77 exists$"),
        store.connect() as opened,
    ):
        opened.client.get_experiment("77")
    with pytest.raises(StoreUnavailable, match="No space left"), store.connect():
        raise OSError(28, "No space left on device")


def test_nothing_is_made_by_only_looking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreUnavailable, match=r"there is no mlflow.db yet"), store.connect(create=False):
        raise AssertionError
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_is_gone_costs_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://user:secret@127.0.0.1:{port}")
    began = time.monotonic()
    with pytest.raises(StoreUnavailable, match=f"^http://127.0.0.1:{port}: ") as caught, store.connect() as opened:
        opened.experiment()
    assert time.monotonic() - began < 8
    assert len(str(caught.value)) < 400


def test_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    monkeypatch.setattr(store, "PATIENCE_S", -1.0)
    with store.connect() as opened, pytest.raises(StoreUnavailable, match="is too slow: not done after -1 s"):
        opened.hurry()


def test_a_moved_project_is_noticed(project: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with store.connect() as opened:
        assert opened.experiment() == opened.experiment()
    (tmp_path / "project").rename(tmp_path / "elsewhere")
    monkeypatch.chdir(tmp_path / "elsewhere")
    with pytest.raises(StoreUnavailable, match=r"moved here from .*/project, .* delete mlflow.db and mlruns"):  # noqa: SIM117
        with store.connect() as opened:
            opened.experiment()


def test_a_deleted_experiment_comes_back(project: object) -> None:
    with store.connect() as opened:
        known = opened.experiment()
        assert known is not None
        opened.client.delete_experiment(known)
        assert opened.experiment(create=False) == known
        assert opened.experiment() == known
        assert opened.client.get_experiment(known).lifecycle_stage == "active"


OPEN = "from strokewise.registry import store\nwith store.opened() as s: print(s.experiment())"


def tables(database: Path) -> int:
    with sqlite3.connect(database) as connection:
        count: int = connection.execute("select count(*) from sqlite_master where type = 'table'").fetchone()[0]
    connection.close()
    return count


@pytest.mark.slow
def test_eight_processes_make_one_database(
    tmp_path: Path, database: Path, at_once: Callable[..., list[tuple[int, str, str]]]
) -> None:
    assert [(code, said) for code, said, _ in at_once(OPEN, [tmp_path] * 8)] == [(0, "1\n")] * 8  # one experiment
    assert tables(tmp_path / "mlflow.db") == tables(database)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".strokewise", "mlflow.db"]


@pytest.mark.slow
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL])
def test_a_database_that_broke_off_is_made_anew(ending: signal.Signals, tmp_path: Path, database: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", OPEN], cwd=tmp_path, stderr=subprocess.PIPE)
    while not any(path.stat().st_size > 0 for path in tmp_path.glob(".mlflow.db.*/mlflow.db")):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(ending)
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert not (tmp_path / "mlflow.db").exists()
    done = subprocess.run([sys.executable, "-c", OPEN], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert tables(tmp_path / "mlflow.db") == tables(database)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".strokewise", "mlflow.db"]


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("http://me:p@ss@h:5000/mlflow", "http://h:5000/mlflow"),
        ("postgresql+psycopg2://me:secret@h/d?password=secret", "postgresql+psycopg2://h/d"),
        ("http://h:5000", "http://h:5000"),
    ],
)
def test_a_password_is_never_shown(uri: str, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert store.store_address().shown == shown
    if store.store_address().served:
        from strokewise.serving import mlflow_ui

        said: list[str] = []
        mlflow_ui.serve_ui("127.0.0.1", 5000, said.append)
        assert said == [f"MLFLOW_TRACKING_URI names a server that has an interface of its own: open {shown}"]
