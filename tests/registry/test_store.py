"""The address of the store, its safe creation, its failures, and that no password is printed."""

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
from strokewise.registry import mlflow_ui, store
from strokewise.registry.store import StoreUnavailable


def test_default_store_is_the_projects_own_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    address = store.store_address()
    assert address.uri == f"sqlite:///{tmp_path}/mlflow.db"
    assert address.artifacts == tmp_path / "mlruns"
    assert not address.is_server
    assert not store.store_exists()


def test_queued_experiment_uses_the_store_of_the_original_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / ".dvc/tmp/exps/x"
    copy.mkdir(parents=True)
    monkeypatch.chdir(copy)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    assert store.store_address().database == tmp_path / "mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///other.db")
    assert store.store_address().uri == f"sqlite:///{tmp_path}/other.db"


@pytest.mark.parametrize(
    ("uri", "is_server"),
    [("http://127.0.0.1:5000/", True), ("https://a.b/mlflow", True), ("postgresql+psycopg2://u:p@h/d", False)],
)
def test_addresses_of_servers_and_databases(uri: str, is_server: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert store.store_address().is_server == is_server
    assert store.store_address().uri == uri.rstrip("/")


@pytest.mark.parametrize(
    "uri",
    ["file:///mlruns", "/home/mlruns", "sqlite:///", "sqlite://", "http://", "http://[::1", "nonsense"],
)
def test_invalid_uri_raises_registry_error(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(RegistryError, match=r"MLFLOW_TRACKING_URI is .*; it must be a server .* or unset it"):
        store.store_address()


@pytest.mark.parametrize("uri", ["htp://x", "databricks://profile"])
def test_unknown_kind_of_store_fails_in_the_words_of_mlflow(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    message = r"MLflow cannot use .*; set MLFLOW_TRACKING_URI right"
    with pytest.raises(RegistryError, match=message) as caught, store.connect() as connection:
        connection.experiment()
    assert "\n" not in str(caught.value)


def test_experiment_is_of_classic_machine_learning_unless_a_person_chose(
    project: Callable[..., Path],
) -> None:
    project()
    with store.connect() as connection:
        experiment = connection.experiment()
        assert connection.client.get_experiment(experiment).tags[store.KIND_TAG] == store.EXPERIMENT_KIND
        connection.client.set_experiment_tag(experiment, store.KIND_TAG, "genai_development")
        connection.experiment()
        assert connection.client.get_experiment(experiment).tags[store.KIND_TAG] == "genai_development"
        untagged = connection.client.create_experiment("untagged")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MLFLOW_EXPERIMENT_NAME", "untagged")
            patch.setattr(store, "_check_artifact_root", lambda *_: None)
            assert connection.experiment(create=False) == untagged
            assert store.KIND_TAG not in connection.client.get_experiment(untagged).tags
            connection.experiment()
        assert connection.client.get_experiment(untagged).tags[store.KIND_TAG] == store.EXPERIMENT_KIND


def test_missing_database_driver_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql+pg8000://me:secret@127.0.0.1:9/x")
    with (
        pytest.raises(RegistryError, match=r"needs the database driver pg8000.*pip install 'pg8000'") as caught,
        store.connect(),
    ):
        pass
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("uri", ["postgresql+nonsense://h/x", "postgresql://h:port/x"])
def test_unusable_database_uri_raises_registry_error(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(RegistryError, match="is no URI of a database"), store.connect():
        pass


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("folder", "is a folder"),
        ("text.db", "is damaged: it is no SQLite database"),
        ("empty.db", "is damaged: it is empty"),
        ("pipe", "is no file"),
        ("text.db/inside.db", "is in no folder"),
    ],
)
def test_path_that_is_no_database_raises_registry_error(
    name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.db").write_text("hello, this is no database")
    (tmp_path / "empty.db").touch()
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / name}")
    with pytest.raises(RegistryError, match=message):
        store.store_address()


def test_connection_leaves_the_environment_unchanged(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(database.parent)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "77")
    before = dict(os.environ)
    with store.connect() as connection:
        assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "77"  # the user's own value wins
        assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "1"
        connection.client.search_experiments()
    assert dict(os.environ) == before


def test_failure_of_the_store_is_one_line(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(database.parent)
    with (
        pytest.raises(StoreUnavailable, match=r"^mlflow.db: No Experiment with id=77 exists$"),
        store.connect() as connection,
    ):
        connection.client.get_experiment("77")
    with pytest.raises(StoreUnavailable, match="No space left"), store.connect():
        raise OSError(28, "No space left on device")


def test_connection_without_create_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreUnavailable, match=r"there is no mlflow.db yet"), store.connect(create=False):
        raise AssertionError
    assert list(tmp_path.iterdir()) == []


def test_unreachable_server_costs_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://user:secret@127.0.0.1:{port}")
    start = time.monotonic()
    with pytest.raises(StoreUnavailable, match=f"^http://127.0.0.1:{port}: ") as caught, store.connect() as connection:
        connection.experiment()
    assert time.monotonic() - start < 8
    assert len(str(caught.value)) < 400


def test_slow_server_exceeds_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    monkeypatch.setattr(store, "SERVER_DEADLINE_S", -1.0)
    with store.connect() as connection, pytest.raises(StoreUnavailable, match="is too slow: not done after -1 s"):
        connection.check_deadline()


def test_moved_project_is_reported(project: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with store.connect() as connection:
        assert connection.experiment() == connection.experiment()
    (tmp_path / "project").rename(tmp_path / "elsewhere")
    monkeypatch.chdir(tmp_path / "elsewhere")
    with pytest.raises(StoreUnavailable, match=r"moved here from .*/project, .* delete mlflow.db and mlruns"):  # noqa: SIM117
        with store.connect() as connection:
            connection.experiment()


def test_deleted_experiment_is_restored(project: object) -> None:
    with store.connect() as connection:
        experiment = connection.experiment()
        assert experiment is not None
        connection.client.delete_experiment(experiment)
        assert connection.experiment(create=False) == experiment
        assert connection.experiment() == experiment
        assert connection.client.get_experiment(experiment).lifecycle_stage == "active"


CREATE = "from strokewise.registry import store\nwith store.connect() as connection: print(connection.experiment())"


def count_tables(database: Path) -> int:
    with sqlite3.connect(database) as connection:
        count: int = connection.execute("select count(*) from sqlite_master where type = 'table'").fetchone()[0]
    connection.close()
    return count


@pytest.mark.slow
def test_eight_processes_create_one_database(
    tmp_path: Path, database: Path, run_parallel: Callable[..., list[tuple[int, str, str]]]
) -> None:
    results = run_parallel(CREATE, [tmp_path] * 8)
    assert [(code, stdout) for code, stdout, _ in results] == [(0, "1\n")] * 8  # the same experiment
    assert count_tables(tmp_path / "mlflow.db") == count_tables(database)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".strokewise", "mlflow.db"]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_interrupted_database_is_created_anew(number: signal.Signals, tmp_path: Path, database: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", CREATE], cwd=tmp_path, stderr=subprocess.PIPE)
    while not any(path.stat().st_size > 0 for path in tmp_path.glob(".mlflow.db.*/mlflow.db")):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert not (tmp_path / "mlflow.db").exists()
    done = subprocess.run([sys.executable, "-c", CREATE], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert count_tables(tmp_path / "mlflow.db") == count_tables(database)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".strokewise", "mlflow.db"]


@pytest.mark.parametrize(
    ("uri", "display_name"),
    [
        ("http://me:p@ss@h:5000/mlflow", "http://h:5000"),
        ("http://me:p/a@h:5000", "http://h:5000"),
        ("postgresql+psycopg2://me:secret@h/d?password=secret", "postgresql+psycopg2://h"),
        ("http://h:5000", "http://h:5000"),
    ],
)
def test_password_is_not_printed(uri: str, display_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert store.store_address().display_name == display_name
    if store.store_address().is_server:
        lines: list[str] = []
        mlflow_ui.serve_ui("127.0.0.1", 5000, lines.append)
        assert lines == [f"MLFLOW_TRACKING_URI names a server that has an interface of its own: open {display_name}"]


SECRET_ADDRESSES = [
    "http://u:S3cr3t/hunter2@127.0.0.1:9",
    "http://u:S3cr3t#hunter2@127.0.0.1:9",
    "http://u:S3cr3t?hunter2@127.0.0.1:9/mlflow",
    "https://u:S3cr3t@hunter2@127.0.0.1:9",
    "http://127.0.0.1:9/?token=S3cr3t-hunter2",
    "postgresql://u:S3cr3t/hunter2@127.0.0.1:9/d",
    "postgresql+nodriver://u:S3cr3t-hunter2@127.0.0.1/d",
    "mysql://u:S3cr3t%2Fhunter2@127.0.0.1:9/d?password=hunter2",
    "foo://u:S3cr3t-hunter2@127.0.0.1",
    "u:S3cr3t-hunter2@127.0.0.1:9",
    "http://u:S3cr3t-hunter2@[::1",
]


@pytest.mark.slow
@pytest.mark.parametrize("variable", ["MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", "MLFLOW_TRACKING_PASSWORD"])
@pytest.mark.parametrize("address", SECRET_ADDRESSES)
def test_no_command_prints_or_keeps_a_secret(
    address: str,
    variable: str,
    project: Callable[..., Path],
    run_cli: Callable[..., tuple[int, str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root = project()
    if variable == "MLFLOW_TRACKING_PASSWORD":
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "u")
        address = "S3cr3t-hunter2"
    monkeypatch.setenv(variable, address)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    for words in (["register"], ["history"], ["doctor"], ["predict", "--model", "champion", "x.png"]):
        _, stdout, stderr = run_cli(*words)
        assert "S3cr3t" not in stdout + stderr, words
        assert "hunter2" not in stdout + stderr, words
    kept = [path for path in root.rglob("*") if path.is_file() and path.suffix in (".json", ".lock", ".yaml", ".csv")]
    assert not [path for path in kept if b"S3cr3t" in path.read_bytes() or b"hunter2" in path.read_bytes()]
