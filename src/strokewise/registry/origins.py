"""Where a registered version comes from, and what became of reproducing it: a tag of the version, one per machine."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from strokewise.errors import RegistryError
from strokewise.registry import store, versions
from strokewise.registry.store import StoreUnavailable, model_name

VERDICT_TAG = "reproduced"  # the last verdict in words
RECORD_TAG_PREFIX = "reproduction."  # and a digest of the machine: the whole record, JSON


@dataclass(frozen=True)
class VersionOrigin:
    """A version, its files on this machine, and the commit that it was registered from, as its tag says."""

    number: int
    status: str  # "version 3, champion"
    folder: Path
    commit: str


def find_origin(name: str) -> VersionOrigin | None:
    """The origin of the version with this number or alias; None if there is no such version.

    Raises RegistryError if the store cannot be read or has lost the version's files.
    """
    if not store.store_exists():
        return None
    try:
        with store.connect(create=False) as connection:
            snapshot = versions.read_snapshot(connection)
            number = int(name) if re.fullmatch(r"\d{1,9}", name) else snapshot.aliases.get(name)
            version = snapshot.version(number)
            if version is None:
                return None
            folder = versions.fetch_version(connection, model_name(), version.number)
            tags = connection.client.get_model_version(model_name(), str(version.number)).tags
            return VersionOrigin(version.number, snapshot.status(version), folder, tags.get("commit", ""))
    except StoreUnavailable as error:
        raise RegistryError(f"{name} cannot be read: {error}") from None


def record_verdict(fingerprint: str, machine_key: str, record: Mapping[str, Any], summary: str) -> str | None:
    """Write a verdict onto the version with this fingerprint; returns its status, None if there is none.

    Raises StoreUnavailable if the store fails.
    """
    if not store.store_exists():
        return None
    with store.connect(create=False) as connection, store.store_lock():
        snapshot = versions.read_snapshot(connection)
        version = snapshot.find_fingerprint(fingerprint)
        if version is None:
            return None
        tags = {f"{RECORD_TAG_PREFIX}{machine_key}": json.dumps(record, sort_keys=True), VERDICT_TAG: summary}
        for key, value in tags.items():  # the summary last: it says that the record is complete
            connection.client.set_model_version_tag(model_name(), str(version.number), key, value)
        return snapshot.status(version)
