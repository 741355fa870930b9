"""Where runs and models are kept: `MLFLOW_TRACKING_URI`, else the project's own `mlflow.db` with `mlruns` beside it.

A store is opened for a block: MLflow is imported then and not before, asked with short timeouts and told where to
look in every call, so that nothing is left behind in the process's environment. Whatever a store fails to do
becomes `StoreUnavailable`, one line: MLflow is a projection of the pipeline, and its absence costs a warning.
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

from strokewise.errors import RegistryError
from strokewise.support import atomic_io, file_lock
from strokewise.support.mlflow_env import client_environment, errors_only
from strokewise.support.paths import SCRATCH_DIR, project_root

if TYPE_CHECKING:
    from mlflow import MlflowClient

REGISTRY_NAME = "strokewise"  # of the experiment and of the registered model
URI_VARIABLE = "MLFLOW_TRACKING_URI"
SQL_SCHEMES = ("postgresql", "mysql", "mssql")
SERVER_DEADLINE_S = (
    120.0  # for all that is said to a server; it answers each call within the environment's timeout, or not
)


class StoreUnavailable(Exception):
    """The store is gone, too slow or full: a warning's text. What was not written is written at the next time."""


@dataclass(frozen=True)
class StoreAddress:
    """A store's URI; `database` is its file if it is SQLite, `artifacts` where we put artifacts if we decide that."""

    uri: str
    database: Path | None
    artifacts: Path | None

    @property
    def served(self) -> bool:
        """Whether a server is asked (and stores the artifacts where it likes)."""
        return self.artifacts is None

    @property
    def shown(self) -> str:
        """The store as it may be printed: a password is nobody's business."""
        return self.database.name if self.database else _mask_secrets(self.uri)

    def state(self) -> list[int] | None:
        """What changes with every change of the database; None where that cannot be told from outside.

        The four bytes from 24 on count SQLite's transactions (the file format, 1.3.7), save those in a log beside it.
        """
        try:
            if self.database is None or self.database.with_name(f"{self.database.name}-wal").exists():
                return None
            with self.database.open("rb") as file:
                status, head = os.fstat(file.fileno()), file.read(28)
        except OSError:
            return None
        return [status.st_ino, status.st_size, status.st_mtime_ns, int.from_bytes(head[24:], "big")]

    def lock(self, purpose: str) -> Path:
        """The file whose holder alone may do `purpose` in this store."""
        root = self.database.parent if self.database else project_root()
        return root / SCRATCH_DIR / f"{self.database.name if self.database else 'mlflow'}.{purpose}.lock"


@dataclass(frozen=True)
class Store:
    """An open store: MLflow's client, bound to it."""

    client: "MlflowClient"
    address: StoreAddress
    _opened: float = field(default_factory=time.monotonic)

    def hurry(self) -> None:
        """Raise Unavailable once a server has used up all patience: many slow answers are as bad as none."""
        if self.address.served and time.monotonic() - self._opened > SERVER_DEADLINE_S:
            raise StoreUnavailable(f"{self.address.shown} is too slow: not done after {SERVER_DEADLINE_S:.0f} s")

    @contextlib.contextmanager
    def everywhere(self) -> Iterator[None]:
        """Make this the process's own store for the block, and leave no trace of that.

        MLflow's SQL registry looks a logged model up there, not where its client points: in a queued experiment, whose
        working directory is not the project's, it would make a second database and find nothing in it.
        """
        from mlflow.tracking._tracking_service.utils import _use_tracking_uri

        before = os.environ.get(URI_VARIABLE)
        try:
            with _use_tracking_uri(self.address.uri):
                yield
        finally:
            os.environ.pop(URI_VARIABLE, None)
            if before is not None:
                os.environ[URI_VARIABLE] = before

    def experiment(self, create: bool = True) -> str | None:
        """The id of our experiment, made or brought back from deletion if `create`."""
        found = self.client.get_experiment_by_name(REGISTRY_NAME)
        if found is None:
            return self._new_experiment() if create else None
        if found.lifecycle_stage == "deleted" and create:
            self.client.restore_experiment(found.experiment_id)
        if self.address.database and self.address.artifacts:
            _check_artifact_root(str(found.artifact_location), self.address.artifacts)
        return str(found.experiment_id)

    def _new_experiment(self) -> str:
        from mlflow.exceptions import MlflowException

        where = None if self.address.artifacts is None else (self.address.artifacts / REGISTRY_NAME).as_posix()
        try:
            return str(self.client.create_experiment(REGISTRY_NAME, artifact_location=where))
        except MlflowException:  # somebody else was faster
            found = self.client.get_experiment_by_name(REGISTRY_NAME)
            if found is None:
                raise
            return str(found.experiment_id)


def store_address() -> StoreAddress:
    """Where the store is. Raises RegistryError if `MLFLOW_TRACKING_URI` names none that MLflow could use."""
    given = os.environ.get(URI_VARIABLE, "").strip()
    if not given:
        return _sqlite_address(project_root() / "mlflow.db")
    scheme = given.partition(":")[0].partition("+")[0].lower()
    if scheme == "sqlite" and given.startswith("sqlite:///") and given != "sqlite:///":
        return _sqlite_address(project_root() / given.removeprefix("sqlite:///"))
    if scheme in SQL_SCHEMES and "://" in given:
        return StoreAddress(given, None, project_root() / "mlruns")
    if scheme in ("http", "https") and _uri_hostname(given):
        return StoreAddress(given.rstrip("/"), None, None)
    raise RegistryError(
        f"{URI_VARIABLE} is {_mask_secrets(given)!r}; it must be a server (http://host:port) or a database (sqlite:///file.db, "
        f"postgresql://…): set it right, or unset it to use this project's own mlflow.db"
    )


def _uri_hostname(uri: str) -> str | None:
    try:
        return urlsplit(uri).hostname
    except ValueError:  # an IPv6 address without its end
        return None


def _sqlite_address(database: Path) -> StoreAddress:
    return StoreAddress(f"sqlite:///{database}", database, database.parent / "mlruns")


def store_exists() -> bool:
    """Whether there is a store that could be asked: found without importing MLflow or waiting for anybody."""
    place = store_address()
    return place.database is None or place.database.exists()


@contextlib.contextmanager
def store_lock() -> Iterator[None]:
    """Only one process of this machine at a time decides what stands in the store."""
    with file_lock.exclusive_lock(store_address().lock("deciding")):
        yield


@contextlib.contextmanager
def connect(create: bool = True) -> Iterator[Store]:
    """The store at `address()`, its database made if `create`.

    Raises Unavailable for all that goes wrong with it inside the block.
    """
    place = store_address()
    if place.database and not place.database.exists() and not create:
        raise StoreUnavailable(f"there is no {place.database.name} yet")
    with client_environment():
        with errors_only():  # its import sets up logging and warnings anew: so once for it, and once after it
            from mlflow import MlflowClient
            from mlflow.exceptions import MlflowException
            from requests.exceptions import RequestException
            from sqlalchemy.exc import SQLAlchemyError
        try:
            with errors_only():
                if place.database:
                    _create_database(place.database)
                yield Store(MlflowClient(place.uri, place.uri), place)
        except FileNotFoundError:
            raise  # a file of ours
        except (MlflowException, RequestException, SQLAlchemyError, OSError) as error:
            raise StoreUnavailable(f"{place.shown}: {_masked_line(error)}") from error


def _create_database(database: Path) -> None:
    """Make MLflow's database, by one process, under another name, whole or not at all.

    MLflow's own way breaks: two processes migrate the same file, and a Ctrl-C leaves half a schema for good.
    """
    if database.exists():
        return
    with file_lock.exclusive_lock(_sqlite_address(database).lock("making")):
        if database.exists():
            return
        for left in database.parent.glob(f".{database.name}.*"):  # by one that was killed
            shutil.rmtree(left, ignore_errors=True)
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

        with atomic_io.atomic_replace(database) as fresh:
            # The default experiment's place is written down here: not the working directory of whoever was first.
            made = SqlAlchemyStore(f"sqlite:///{fresh}", str(database.parent / "mlruns"))  # type: ignore[no-untyped-call]
            made.engine.dispose()


def _check_artifact_root(location: str, artifacts: Path) -> None:
    """MLflow stores absolute paths: after a move everything would still be written to, and read from, the old place."""
    place = Path(urlsplit(location).path if location.startswith("file:") else location)
    if place.parent != artifacts and place.parent.resolve() != artifacts.resolve():
        raise StoreUnavailable(
            f"the project was moved here from {place.parent.parent}, and mlflow.db still points there: move it back, "
            "or delete mlflow.db and mlruns and run `strokewise register`, which makes them anew"
        )


def _mask_secrets(text: str) -> str:
    """Text without the user and password of any URI in it, nor what a URI is asked (a password can stand there too)."""
    return re.sub(r"(?<=://)[^/\s]*@|(?<=\w)\?\S*=\S*", "", text)


def _masked_line(error: Exception) -> str:
    text = _mask_secrets(" ".join(str(error).split()))
    return text if len(text) <= 300 else text[:297] + "..."
