"""The registered model: its versions, aliases and events, and the way from a model's name to its folder.

    champion    answers `strokewise predict`
    challenger  passed the gate, but was not shown to be better than the champion
    previous    was champion before

There is one version a fingerprint. Events are tags of the registered model and are only ever added.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from strokewise.errors import RegistryError, one_line
from strokewise.registry import cache, store
from strokewise.registry.store import Store, StoreUnavailable, model_name
from strokewise.serving import packaging
from strokewise.support import atomic_io
from strokewise.support.paths import scratch_dir

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel

EVENT_TAG_PREFIX = "event."  # of the tags that are events
MAX_SHOWN = 100  # characters of a model's name in a message
MODEL_URI = re.compile(r"models:/(?P<name>[^/@]+)(?:@(?P<alias>[\w-]+)|/(?P<number>\d+))")


@dataclass(frozen=True)
class ModelVersionRecord:
    """A registered version."""

    number: int
    fingerprint: str
    weights_digest: str
    decision: Mapping[str, Any] | None  # the gate's; None if a person registered the version
    applied: bool  # whether aliases and events follow the decision already
    run: str  # id of the run that it comes from


@dataclass(frozen=True)
class RegistryEvent:
    """An entry of the history: what happened to which version, when, and why."""

    at: str  # UTC, ISO 8601
    action: str  # champion, challenger, refused, overtaken, rollback or promote
    version: int | None
    previous: int | None  # the champion until then
    fingerprint: str
    reason: str
    decision_key: str = ""  # of a refusal: the evaluation and rules that it depends on


@dataclass(frozen=True)
class RegistrySnapshot:
    """The content of the registry at one moment."""

    versions: tuple[ModelVersionRecord, ...]  # by number
    aliases: Mapping[str, int]
    events: tuple[RegistryEvent, ...]  # oldest first

    def version(self, number: int | None) -> ModelVersionRecord | None:
        """The version with this number, if any."""
        return next((version for version in self.versions if version.number == number), None)

    def find_fingerprint(self, fingerprint: str) -> ModelVersionRecord | None:
        """The version with this fingerprint, if any: the first if two machines registered it at the same time."""
        return next((version for version in self.versions if version.fingerprint == fingerprint), None)

    @property
    def champion(self) -> ModelVersionRecord | None:
        """The version that holds the alias `champion`, if any."""
        return self.version(self.aliases.get("champion"))

    def status(self, version: ModelVersionRecord) -> str:
        """The number and aliases of a version: "version 3, champion"."""
        aliases = sorted(alias for alias, number in self.aliases.items() if number == version.number)
        return ", ".join([f"version {version.number}", *aliases])


def read_snapshot(connection: Store) -> RegistrySnapshot:
    """Read the registered model; an empty snapshot if there is none yet."""
    model = get_registered_model(connection)
    if model is None:
        return RegistrySnapshot(versions=(), aliases={}, events=())
    records = map(_parse_version, connection.client.search_model_versions(f"name='{model_name()}'"))
    tags = sorted((key, value) for key, value in model.tags.items() if key.startswith(EVENT_TAG_PREFIX))
    return RegistrySnapshot(
        versions=tuple(sorted(records, key=lambda version: version.number)),
        aliases={alias: int(number) for alias, number in model.aliases.items()},
        events=tuple(RegistryEvent(**json.loads(value)) for _, value in tags),
    )


def get_registered_model(connection: Store) -> "RegisteredModel | None":
    """MLflow's registered model, if there is one."""
    from mlflow.exceptions import MlflowException

    try:
        return connection.client.get_registered_model(model_name())
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise


def _parse_version(version: "ModelVersion") -> ModelVersionRecord:
    tags = version.tags
    return ModelVersionRecord(
        number=int(version.version),
        fingerprint=tags.get("fingerprint", ""),
        weights_digest=tags.get("weights", ""),
        decision=json.loads(tags["decision"]) if "decision" in tags else None,
        applied="applied" in tags or "decision" not in tags,  # nothing to apply if a person registered it
        run=version.run_id or "",
    )


def record_event(connection: Store, event: RegistryEvent) -> None:
    """Add an event to the history; adding the same one again (after a crash) changes nothing."""
    key = f"{EVENT_TAG_PREFIX}{event.at}.{event.action}.{event.fingerprint[:8] or event.version}"
    key = key.replace(":", "").replace("+", "")
    value = json.dumps(vars(event), sort_keys=True, ensure_ascii=False)
    connection.client.set_registered_model_tag(model_name(), key, value)


def utc_now() -> str:
    """The time in ISO 8601 with microseconds: it sorts as text."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def read_events() -> list[RegistryEvent]:
    """All events, oldest first. Raises RegistryError if the registry cannot be read."""
    if not store.store_exists():
        return []
    try:
        with store.connect(create=False) as connection:
            return list(read_snapshot(connection).events)
    except StoreUnavailable as error:
        raise RegistryError(f"the history cannot be read: {error}") from None


def champion_dir() -> Path | None:
    """The champion's model folder on this machine; None if there is no champion.

    MLflow is imported only if there is a store and it has changed since the last call. Raises RegistryError if the
    store cannot be read.
    """
    if not store.store_exists():
        return None
    stamp, cached = store.store_address().change_stamp(), cache.get_answer("champion")
    if cached is not None:
        return Path(cached)
    try:
        with store.connect(create=False) as connection:
            champion = read_snapshot(connection).champion
            folder = None if champion is None else fetch_version(connection, model_name(), champion.number)
    except StoreUnavailable as error:
        raise RegistryError(
            f"the champion cannot be read: {error}; name a folder with --model to do without it"
        ) from None
    if folder is not None:
        cache.put_answer("champion", str(folder), [folder / "config.json"], stamp)
    return folder


def model_dir(uri: str) -> Path:
    """The model folder of `models:/name@alias` or `models:/name/3`. Raises RegistryError if there is none."""
    match, shown = MODEL_URI.fullmatch(uri), one_line(uri, MAX_SHOWN)
    if match is None:
        raise RegistryError(
            f"{shown} names no registered model; write models:/{model_name()}@champion or models:/{model_name()}/3"
        )
    if not store.store_exists():
        raise RegistryError(f"{shown} cannot be read: nothing is registered here yet; run `dvc repro` first")
    from mlflow.exceptions import MlflowException

    try:
        with store.connect(create=False) as connection:
            try:
                name, number = match["name"], match["number"]
                if number is None:
                    number = connection.client.get_model_version_by_alias(name, match["alias"]).version
                return fetch_version(connection, name, int(number))
            except MlflowException as error:
                if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                    raise
                raise RegistryError(f"{shown} does not exist; `strokewise history` lists the versions") from None
    except StoreUnavailable as error:
        raise RegistryError(f"{shown} cannot be read: {error}") from None


def named_model_dir(model: str) -> Path | None:
    """The model folder of "models:/name@alias", "models:/name/3" or an alias alone; None if `model` is a path.

    Raises RegistryError if there is no such model.
    """
    if model.startswith("models:/"):
        return model_dir(model)
    try:
        is_path = Path(model).exists()
    except OSError:  # a name that no file can have
        is_path = False
    return None if is_path or "/" in model or os.sep in model else model_dir(f"models:/{model_name()}@{model}")


def fetch_version(connection: Store, name: str, number: int) -> Path:
    """The model folder of a version: its place in a local store, or a download that is kept in `.strokewise`.

    Raises RegistryError if a local store has lost the files.
    """
    version = connection.client.get_model_version(name, str(number))
    source = connection.client.get_model_version_download_uri(name, str(number))
    if source.startswith(("/", "file:")):
        folder = Path(unquote(urlsplit(source).path)) / packaging.MODEL_ARTIFACT
        if not (folder / "config.json").is_file():
            raise RegistryError(
                f"the files of {name} version {number} are gone from {folder}; if the project was moved or mlruns "
                "deleted, delete mlflow.db too and run `strokewise register`"
            )
        return folder
    key = _download_key(connection, version.tags.get("weights", ""), name, number)
    downloaded = scratch_dir() / "registered" / key
    if not (downloaded / packaging.MODEL_ARTIFACT / "config.json").is_file():
        from mlflow.artifacts import download_artifacts

        with atomic_io.atomic_replace(downloaded) as temporary:  # with the code beside it
            downloads, uri = str(temporary.parent / "download"), connection.address.uri
            shutil.move(download_artifacts(artifact_uri=source, dst_path=downloads, tracking_uri=uri), temporary)
    return downloaded / packaging.MODEL_ARTIFACT


def _download_key(connection: Store, weights_digest: str, name: str, number: int) -> str:
    """The folder name of a download: the digest of its weights or, without this tag, of server, name and number."""
    if re.fullmatch("[0-9a-f]{64}", weights_digest):
        return weights_digest
    return hashlib.sha256(f"{connection.address.display_name} {name} {number}".encode()).hexdigest()[:32]
