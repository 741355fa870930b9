"""The MLflow store: `MLFLOW_TRACKING_URI`, else the project's own `mlflow.db` with `mlruns` beside it.

A connection is open for a block. MLflow is imported then and not before, uses short timeouts and is given the URI in
every call, so that the process's environment does not change. Every failure of a store becomes `StoreUnavailable`
with a message of one line: MLflow is a projection of the pipeline, and its absence costs a warning.
"""

import contextlib
import os
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from strokewise.errors import RegistryError, one_line
from strokewise.support import atomic_io, file_lock, temp_folder
from strokewise.support.mlflow_env import client_environment, errors_only
from strokewise.support.paths import SCRATCH_DIR, project_root

if TYPE_CHECKING:
    from mlflow import MlflowClient

DEFAULT_NAME = "strokewise"  # of the experiment and of the registered model
URI_VARIABLE = "MLFLOW_TRACKING_URI"
REGISTRY_URI_VARIABLE = "MLFLOW_REGISTRY_URI"  # of the store of the registered models, if it is another
EXPERIMENT_VARIABLE = "MLFLOW_EXPERIMENT_NAME"
MODEL_VARIABLE = "STROKEWISE_MODEL_NAME"
EXPERIMENT_KIND = "custom_model_development"  # MLflow's value for classic machine learning
KIND_TAG = "mlflow.experimentKind"  # without it MLflow opens on an overview of GenAI traces, not on the runs
KNOWN_SCHEMES = ("sqlite", "file", "http", "https", "postgresql", "mysql", "mssql")  # what is wrong in them is known
SQL_SCHEMES = ("postgresql", "mysql", "mssql")
DRIVER_PACKAGES = {"psycopg2": "psycopg2-binary", "psycopg": "psycopg[binary]", "MySQLdb": "mysqlclient"}
"""Modules of database drivers whose package has another name."""
MIN_SECRET_LENGTH = 3  # characters: what is shorter would be found anywhere
SECRET_VARIABLES = ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")
SQLITE_MAGIC = b"SQLite format 3\0"
SERVER_DEADLINE_S = 120.0  # for all calls of a connection to a server; CLIENT_ENVIRONMENT limits each single one


class StoreUnavailable(Exception):
    """The store is gone, too slow or full. The message is the text of a warning; the next registration completes it."""


@dataclass(frozen=True)
class StoreAddress:
    """The URI of a store and the local paths that belong to it."""

    uri: str
    database: Path | None  # the file of an SQLite database
    artifacts: Path | None  # the folder for artifacts; None where a server decides that
    is_known: bool = True  # False: MLflow itself says whether it can use the URI

    @property
    def is_server(self) -> bool:
        """Whether the store is an MLflow server, which keeps the artifacts itself."""
        return self.artifacts is None

    @property
    def display_name(self) -> str:
        """The store as it may be printed, without user and password."""
        return self.database.name if self.database else _mask_uri(self.uri)

    def change_stamp(self) -> list[int] | None:
        """Numbers that change with every change of the database; None if changes cannot be detected.

        The four bytes at offset 24 count SQLite's transactions (https://sqlite.org/fileformat.html, 1.3.7), except
        those in a write-ahead log.
        """
        try:
            if self.database is None or registry_uri() or self.database.with_name(f"{self.database.name}-wal").exists():
                return None
            with self.database.open("rb") as file:
                status, head = os.fstat(file.fileno()), file.read(28)
        except OSError:
            return None
        return [status.st_ino, status.st_size, status.st_mtime_ns, int.from_bytes(head[24:], "big")]

    def lock(self, purpose: str) -> Path:
        """The lock file of this store for a purpose."""
        root = self.database.parent if self.database else project_root()
        return root / SCRATCH_DIR / f"{self.database.name if self.database else 'mlflow'}.{purpose}.lock"


@dataclass(frozen=True)
class Store:
    """An open connection to a store: MLflow's client, bound to it."""

    client: "MlflowClient"
    address: StoreAddress
    _start: float = field(default_factory=time.monotonic)

    def check_deadline(self) -> None:
        """Raises StoreUnavailable if a server has taken longer than `SERVER_DEADLINE_S` in total."""
        if self.address.is_server and time.monotonic() - self._start > SERVER_DEADLINE_S:
            raise StoreUnavailable(f"{self.address.display_name} is too slow: not done after {SERVER_DEADLINE_S:.0f} s")

    @contextlib.contextmanager
    def as_process_default(self) -> Iterator[None]:
        """Make this the process's default store for the block.

        MLflow's SQL registry looks up a logged model in the default store, not in its client's: in a queued
        experiment, whose working directory is not the project's, it would create a second, empty database.
        """
        from mlflow.tracking._tracking_service.utils import _use_tracking_uri

        previous = os.environ.get(URI_VARIABLE)
        try:
            with _use_tracking_uri(self.address.uri):
                yield
        finally:
            os.environ.pop(URI_VARIABLE, None)
            if previous is not None:
                os.environ[URI_VARIABLE] = previous

    def experiment(self, create: bool = True) -> str | None:
        """The id of the experiment, created or restored if `create`; None if there is none.

        Raises StoreUnavailable if the project was moved since the experiment was created.
        """
        name = experiment_name()
        experiment = self.client.get_experiment_by_name(name)
        if experiment is None:
            return self._create_experiment(name) if create else None
        if experiment.lifecycle_stage == "deleted" and create:
            self.client.restore_experiment(experiment.experiment_id)
        if create and KIND_TAG not in experiment.tags:  # never over what a person chose
            self.client.set_experiment_tag(experiment.experiment_id, KIND_TAG, EXPERIMENT_KIND)
        if self.address.database and self.address.artifacts:
            _check_artifact_root(str(experiment.artifact_location), self.address.artifacts)
        return str(experiment.experiment_id)

    def _create_experiment(self, name: str) -> str:
        from mlflow.exceptions import MlflowException

        location = None if self.address.artifacts is None else (self.address.artifacts / name).as_posix()
        try:
            return str(self.client.create_experiment(name, location, tags={KIND_TAG: EXPERIMENT_KIND}))
        except MlflowException:  # another process may have created it meanwhile
            experiment = self.client.get_experiment_by_name(name)
            if experiment is None:
                raise
            return str(experiment.experiment_id)


def experiment_name() -> str:
    """The name of the MLflow experiment: `MLFLOW_EXPERIMENT_NAME`, else "strokewise"."""
    return os.environ.get(EXPERIMENT_VARIABLE, "").strip() or DEFAULT_NAME


def model_name() -> str:
    """The name of the registered model: `STROKEWISE_MODEL_NAME`, else "strokewise".

    Raises RegistryError for a name that a URI models:/name@alias cannot hold.
    """
    name = os.environ.get(MODEL_VARIABLE, "").strip() or DEFAULT_NAME
    if re.search(r"[/:@'\"%\x00-\x1f]", name):
        raise RegistryError(
            f"{MODEL_VARIABLE} is {name!r}; a registered model's name has none of / : @ % and no quotes: take another"
        )
    return name


def store_address() -> StoreAddress:
    """The address of the store.

    Raises RegistryError if `MLFLOW_TRACKING_URI` names none that MLflow can use, or a path that is no database.
    """
    uri = os.environ.get(URI_VARIABLE, "").strip()
    if not uri:
        return _sqlite_address(project_root() / "mlflow.db")
    scheme = uri.partition(":")[0].partition("+")[0].lower()
    if scheme == "sqlite" and uri.startswith("sqlite:///") and uri != "sqlite:///":
        return _sqlite_address(project_root() / uri.removeprefix("sqlite:///"))
    if scheme in SQL_SCHEMES and "://" in uri:
        return StoreAddress(uri, database=None, artifacts=project_root() / "mlruns")
    if scheme in ("http", "https") and _uri_hostname(uri):
        return StoreAddress(uri.rstrip("/"), database=None, artifacts=None)
    if scheme not in KNOWN_SCHEMES and (re.match(r"[a-z][a-z0-9+.-]*://", uri) or scheme.startswith("databricks")):
        return StoreAddress(uri, database=None, artifacts=None, is_known=False)
    raise RegistryError(
        f"{URI_VARIABLE} is {_mask_uri(uri)!r}; it must be a server (http://host:port) or a database "
        "(sqlite:///file.db, postgresql://…): set it right, or unset it to use this project's own mlflow.db"
    )


def registry_uri() -> str | None:
    """`MLFLOW_REGISTRY_URI`, if it names another store than `MLFLOW_TRACKING_URI`; an SQLite path is absolute.

    Raises RegistryError if it is no address.
    """
    uri = os.environ.get(REGISTRY_URI_VARIABLE, "").strip().rstrip("/")
    if uri.startswith("sqlite:///"):
        uri = f"sqlite:///{project_root() / uri.removeprefix('sqlite:///')}"
    if uri.lower().startswith(("http:", "https:")) and not _uri_hostname(uri):
        raise RegistryError(f"{REGISTRY_URI_VARIABLE} is {_mask_uri(uri)!r}; it must be a server or a database")
    return uri if uri and uri != store_address().uri else None


def _uri_hostname(uri: str) -> str | None:
    try:
        return urlsplit(uri).hostname
    except ValueError:  # an IPv6 address without its closing bracket
        return None


def _sqlite_address(database: Path) -> StoreAddress:
    """Raises RegistryError where MLflow would retry for minutes: what is there is no database."""
    problem = ""
    try:
        if database.exists() and not database.is_file():
            problem = "is a folder" if database.is_dir() else "is no file"
        elif database.exists():
            with database.open("rb") as file:
                if (head := file.read(len(SQLITE_MAGIC))) != SQLITE_MAGIC:
                    problem = "is damaged: it is no SQLite database" if head else "is damaged: it is empty"
        elif not _nearest_existing(database.parent).is_dir():
            problem = "is in no folder"
    except OSError as error:
        problem = f"cannot be opened ({error.strerror})"
    if problem:
        raise RegistryError(
            f"{database} {problem}; move it away and run `strokewise sync`, which makes it anew, or name a database"
            f" with {URI_VARIABLE}=sqlite:///FILE"
        )
    return StoreAddress(f"sqlite:///{database}", database=database, artifacts=database.parent / "mlruns")


def _nearest_existing(folder: Path) -> Path:
    return next(parent for parent in (folder, *folder.parents) if parent.exists())


def store_exists() -> bool:
    """Whether a store is configured and, if it is a local database, exists; answered without importing MLflow."""
    address = store_address()
    return address.database is None or address.database.exists()


@contextlib.contextmanager
def store_lock() -> Iterator[None]:
    """Hold the lock under which a process of this machine changes versions and aliases."""
    with file_lock.exclusive_lock(store_address().lock("decision")):
        yield


@contextlib.contextmanager
def connect(create: bool = True) -> Iterator[Store]:
    """Open the store at `store_address()`; its database is created if it is missing and `create` is true.

    Raises RegistryError if the driver of an SQL database is missing, and StoreUnavailable for everything that fails in
    the store inside the block.
    """
    address = store_address()
    if address.database and not address.database.exists() and not create:
        raise StoreUnavailable(f"there is no {address.database.name} yet")
    with client_environment():
        with errors_only():  # the import sets up logging and warnings anew: one block for it and one after it
            from mlflow import MlflowClient
            from mlflow.exceptions import MlflowException
            from requests.exceptions import RequestException
            from sqlalchemy.exc import SQLAlchemyError
        for uri in filter(None, (address.uri, registry_uri())):
            if uri.partition(":")[0].partition("+")[0].lower() in SQL_SCHEMES:
                _check_driver(uri)
        try:
            with errors_only():
                if address.database:
                    _create_database(address.database)
                yield Store(MlflowClient(address.uri, registry_uri() or address.uri), address)
        except FileNotFoundError:
            raise  # a file of the pipeline, not of the store
        except (MlflowException, RequestException, SQLAlchemyError, OSError) as error:
            if isinstance(error, OSError) and temp_folder.temp_folder_problem(error):
                raise  # the store is not to blame
            message = f"{address.display_name}: {one_line(_mask_secrets(str(error)))}"
            if not address.is_known:
                raise RegistryError(f"MLflow cannot use {message}; set {URI_VARIABLE} right, or unset it") from None
            raise StoreUnavailable(message) from error


def _check_driver(uri: str) -> None:
    """Raises RegistryError if SQLAlchemy cannot load the database driver that the URI names; connects to nothing."""
    from sqlalchemy import create_engine
    from sqlalchemy.exc import ArgumentError

    try:
        create_engine(uri).dispose()
    except ModuleNotFoundError as error:
        package = DRIVER_PACKAGES.get(str(error.name), str(error.name))
        raise RegistryError(
            f"{_mask_uri(uri)} needs the database driver {error.name}, which is not installed: run"
            f" `pip install '{package}'`"
        ) from None
    except (ArgumentError, ValueError) as error:  # an unknown dialect or driver, a malformed URI
        raise RegistryError(
            f"{_mask_uri(uri)} is no URI of a database: {one_line(_mask_secrets(str(error)))}"
        ) from None


def _create_database(database: Path) -> None:
    """Create MLflow's database in one process, under a temporary name, whole or not at all.

    MLflow itself lets two processes migrate the same file, and Ctrl-C leaves an incomplete schema.
    """
    if database.exists():
        return
    with file_lock.exclusive_lock(_sqlite_address(database).lock("creation")):
        if database.exists():
            return
        for leftover in database.parent.glob(f".{database.name}.*"):  # of a killed process
            shutil.rmtree(leftover, ignore_errors=True)
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

        with atomic_io.atomic_replace(database) as temporary:
            # This sets the default experiment's artifact folder; MLflow would use the working directory.
            created = SqlAlchemyStore(f"sqlite:///{temporary}", str(database.parent / "mlruns"))  # type: ignore[no-untyped-call]
            created.engine.dispose()


def _check_artifact_root(location: str, artifacts: Path) -> None:
    """MLflow stores absolute paths: after a move of the project it would still use the old folder."""
    folder = Path(urlsplit(location).path if location.startswith("file:") else location)
    if folder.parent != artifacts and folder.parent.resolve() != artifacts.resolve():
        raise StoreUnavailable(
            f"the project was moved here from {folder.parent.parent}, and mlflow.db still points there: move it back, "
            "or delete mlflow.db and mlruns and run `strokewise register`, which makes them anew"
        )


def _mask_secrets(text: str) -> str:
    """Leave of every address in a text its scheme, host and port, and nothing of user, password, path or query.

    What the environment holds is replaced as it is, whatever characters a password has; other addresses are searched.
    """
    secrets = [os.environ.get(variable, "").strip() for variable in SECRET_VARIABLES]
    for variable in (URI_VARIABLE, REGISTRY_URI_VARIABLE):
        uri = os.environ.get(variable, "").strip()
        if "@" in uri or "?" in uri:
            text = text.replace(uri, _mask_uri(uri))
        credentials = uri.partition("://")[2].rpartition("@")[0]
        password = credentials.partition(":")[2]
        secrets += [credentials, password, *re.split(r"[/?#@:%]", password), *re.findall(r"[?&][^=&]*=([^&]+)", uri)]
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "***") if len(secret) >= MIN_SECRET_LENGTH else text
    return re.sub(r"\b[A-Za-z][\w+.-]*://[^\s'\"<>]*", lambda match: _mask_uri(match[0]), text)


def _mask_uri(uri: str) -> str:
    """The scheme, host and port of an address; a path of this machine stays as it is."""
    scheme, separator, rest = uri.rpartition("://") if "://" not in uri else uri.partition("://")
    if scheme.partition("+")[0] in ("sqlite", "file", "models", "runs"):
        return uri
    host = re.split(r"[/?#]", rest.rpartition("@")[2], maxsplit=1)[0]
    return f"{scheme}{separator}{host}"
