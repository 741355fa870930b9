"""The registered model: its versions, who holds which alias, and the way from a name to a model folder.

    champion  answers `strokewise predict`      challenger  passed, not shown better      previous  champion before

A version is one fingerprint, and says so in its tags. What happened stands in the registered model's own tags, a
line an event, only ever added to.
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

from strokewise.errors import RegistryError
from strokewise.registry import cache, store
from strokewise.registry.store import REGISTRY_NAME, Store, StoreUnavailable
from strokewise.serving import packaging
from strokewise.support import atomic_io
from strokewise.support.paths import SCRATCH_DIR, project_root

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel

EVENT_TAG_PREFIX = "history."  # the tags that are lines of the history begin with it
MODEL_URI = re.compile(r"models:/(?P<name>[^/@]+)(?:@(?P<alias>[\w-]+)|/(?P<number>\d+))")


@dataclass(frozen=True)
class ModelVersionRecord:
    """A registered version. `decision` is the gate's, as it was made; `settled` once its aliases were given."""

    number: int
    fingerprint: str
    weights: str
    decision: Mapping[str, Any] | None
    settled: bool
    run: str


@dataclass(frozen=True)
class RegistryEvent:
    """A line of the history: what happened to which version, when, and why."""

    at: str  # UTC, ISO 8601
    what: str  # champion, challenger, refused, overtaken, rollback, promote
    version: int | None
    before: int | None  # the champion until then
    fingerprint: str
    reason: str
    question: str = ""  # what a refusal answered: evaluation and rules


@dataclass(frozen=True)
class RegistrySnapshot:
    """All that the registry knows about our model at one moment."""

    versions: tuple[ModelVersionRecord, ...]  # by number
    aliases: Mapping[str, int]
    events: tuple[RegistryEvent, ...]  # in the order in which they happened

    def numbered(self, number: int | None) -> ModelVersionRecord | None:
        return next((version for version in self.versions if version.number == number), None)

    def of(self, fingerprint: str) -> ModelVersionRecord | None:
        """The version of a fingerprint, the first if two machines registered it at once."""
        return next((version for version in self.versions if version.fingerprint == fingerprint), None)

    @property
    def champion(self) -> ModelVersionRecord | None:
        return self.numbered(self.aliases.get("champion"))

    def standing(self, version: ModelVersionRecord) -> str:
        """ "version 3, champion" """
        held = sorted(alias for alias, number in self.aliases.items() if number == version.number)
        return ", ".join([f"version {version.number}", *held])


def read_snapshot(opened: Store) -> RegistrySnapshot:
    """Read the registered model; an empty shelf if there is none yet."""
    model = get_registered_model(opened)
    if model is None:
        return RegistrySnapshot((), {}, ())
    found = [_parse_version(version) for version in opened.client.search_model_versions(f"name='{REGISTRY_NAME}'")]
    aliases = {alias: int(number) for alias, number in model.aliases.items()}
    lines = sorted((key, value) for key, value in model.tags.items() if key.startswith(EVENT_TAG_PREFIX))
    events = tuple(RegistryEvent(**json.loads(value)) for _, value in lines)
    return RegistrySnapshot(tuple(sorted(found, key=lambda version: version.number)), aliases, events)


def get_registered_model(opened: Store) -> "RegisteredModel | None":
    from mlflow.exceptions import MlflowException

    try:
        return opened.client.get_registered_model(REGISTRY_NAME)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise


def _parse_version(version: "ModelVersion") -> ModelVersionRecord:
    tags = version.tags
    return ModelVersionRecord(
        int(version.version),
        tags.get("fingerprint", ""),
        tags.get("weights", ""),
        json.loads(tags["decision"]) if "decision" in tags else None,
        "settled" in tags or "decision" not in tags,  # one that a person registered is none of our business
        version.run_id or "",
    )


def record_event(opened: Store, event: RegistryEvent) -> None:
    """Add a line to the history. The same event said twice (after a crash) is one line."""
    key = f"{EVENT_TAG_PREFIX}{event.at}.{event.what}.{event.fingerprint[:8] or event.version}".replace(
        ":", ""
    ).replace("+", "")
    opened.client.set_registered_model_tag(
        REGISTRY_NAME, key, json.dumps(vars(event), sort_keys=True, ensure_ascii=False)
    )


def utc_now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")


def read_events() -> list[RegistryEvent]:
    """Every event so far. Raises RegistryError if the registry cannot be asked."""
    if not store.store_exists():
        return []
    try:
        with store.connect(create=False) as opened:
            return list(read_snapshot(opened).events)
    except StoreUnavailable as error:
        raise RegistryError(f"the history cannot be read: {error}") from None


def champion_dir() -> Path | None:
    """The champion's model folder on this machine; None if no champion was registered.

    MLflow is imported only if there is a store to ask, and it has changed since it was last asked. Raises
    RegistryError if it cannot be asked.
    """
    if not store.store_exists():
        return None
    state, known = store.store_address().state(), cache.get_answer("champion")
    if known is not None:
        return Path(known)
    try:
        with store.connect(create=False) as opened:
            holder = read_snapshot(opened).champion
            found = None if holder is None else fetch_version(opened, REGISTRY_NAME, holder.number)
    except StoreUnavailable as error:
        raise RegistryError(f"the champion cannot be had: {error}; name a folder with --model to do without") from None
    if found is not None:
        cache.put_answer("champion", str(found), [found / "config.json"], state)
    return found


def model_dir(uri: str) -> Path:
    """The model folder of `models:/name@alias` or `models:/name/3`. Raises RegistryError if there is none."""
    named = MODEL_URI.fullmatch(uri)
    if named is None:
        raise RegistryError(
            f"{uri!r} names no registered model; write models:/{REGISTRY_NAME}@champion or models:/{REGISTRY_NAME}/3"
        )
    if not store.store_exists():
        raise RegistryError(f"{uri} cannot be had: nothing is registered here yet; run `dvc repro` first")
    from mlflow.exceptions import MlflowException

    try:
        with store.connect(create=False) as opened:
            try:
                name, number = named["name"], named["number"]
                if number is None:
                    number = opened.client.get_model_version_by_alias(name, named["alias"]).version
                return fetch_version(opened, name, int(number))
            except MlflowException as error:
                if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                    raise
                raise RegistryError(f"{uri} does not exist; `strokewise history` tells which versions do") from None
    except StoreUnavailable as error:
        raise RegistryError(f"{uri} cannot be had: {error}") from None


def named_model_dir(model: str) -> Path | None:
    """The model folder of "models:/name@alias", "models:/name/3" or an alias alone; None if `model` is a path.

    Raises RegistryError if it names no model.
    """
    if model.startswith("models:/"):
        return model_dir(model)
    try:
        is_path = Path(model).exists()
    except OSError:  # a name that no file can have
        is_path = True
    return None if is_path or "/" in model or os.sep in model else model_dir(f"models:/{REGISTRY_NAME}@{model}")


def served_model(model: str | None) -> tuple[Path, str]:
    """The model folder to serve, and what to call it; `model` as for `named_model_dir`, None is the champion.

    Raises RegistryError if there is no such model.
    """
    if model is not None:
        return named_model_dir(model) or Path(model), model
    champion = champion_dir()
    if champion is None:
        raise RegistryError(
            "no champion is registered here; run `dvc repro`, or name one: strokewise serve --model data/model"
        )
    return champion, "the champion"


def fetch_version(opened: Store, name: str, number: int) -> Path:
    """The model folder of a version: where it lies, or a copy below `.strokewise` that is kept for the next time."""
    version = opened.client.get_model_version(name, str(number))
    source = opened.client.get_model_version_download_uri(name, str(number))
    if source.startswith(("/", "file:")):
        lies = Path(unquote(urlsplit(source).path)) / packaging.MODEL_ARTIFACT
        if not (lies / "config.json").is_file():
            raise RegistryError(
                f"the files of {name} version {number} are gone from {lies}; if the project was moved or mlruns "
                "deleted, delete mlflow.db too and run `strokewise register`"
            )
        return lies
    kept = (
        project_root()
        / SCRATCH_DIR
        / "registered"
        / _download_key(opened, version.tags.get("weights", ""), name, number)
    )
    if not (kept / packaging.MODEL_ARTIFACT / "config.json").is_file():
        from mlflow.artifacts import download_artifacts

        with atomic_io.atomic_replace(kept) as fresh:  # the code beside it too: `strokewise serve` runs it
            got = download_artifacts(
                artifact_uri=source, dst_path=str(fresh.parent / "download"), tracking_uri=opened.address.uri
            )
            shutil.move(got, fresh)
    return kept / packaging.MODEL_ARTIFACT


def _download_key(opened: Store, weights: str, name: str, number: int) -> str:
    """What a fetched folder is kept under: its weights; where no tag tells them, the version of this very server."""
    if re.fullmatch("[0-9a-f]{64}", weights):
        return weights
    return hashlib.sha256(f"{opened.address.shown} {name} {number}".encode()).hexdigest()[:32]
