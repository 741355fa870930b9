"""`dvc.lock`: what each stage read and wrote, by digest; and the same digests of files as they are now.

A digest is DVC's: the MD5 of a file; of a folder, the MD5 of the list of its files, ending in `.dir`. Every byte is
read: DVC itself trusts sizes and times.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from strokewise.errors import UserError
from strokewise.params import parse_yaml
from strokewise.support.paths import DVC_LOCK_FILE

FOLDER_SUFFIX = ".dir"
ListFiles = Callable[[Path], list[Path]]
"""A folder → the files in it that DVC sees."""


@dataclass(frozen=True)
class StageLock:
    """What `dvc.lock` says of a stage: paths with their digests, and parameters by their full names."""

    command: str
    deps: Mapping[str, str]
    outs: Mapping[str, str]
    params: Mapping[str, Any]


def parse_lock(text: str) -> dict[str, StageLock]:
    """The stages of a `dvc.lock` by name. Raises UserError if it cannot be read."""
    try:
        stages = parse_yaml(text)["stages"]
        return {name: _parse_stage(stage) for name, stage in stages.items()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{DVC_LOCK_FILE} cannot be read ({error!r}); bring it back with `git checkout {DVC_LOCK_FILE}`"
        ) from None


def _parse_stage(stage: Mapping[str, Any]) -> StageLock:
    params = [item for values in stage.get("params", {}).values() for item in flatten_params(values)]
    return StageLock(
        command=stage["cmd"],
        deps={dep["path"]: dep["md5"] for dep in stage.get("deps", [])},
        outs={out["path"]: out["md5"] for out in stage.get("outs", [])},
        params=dict(params),
    )


def flatten_params(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of nested sections with their full names: ("generate.hand.turn", None)."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from flatten_params(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def file_md5(path: Path) -> str:
    """The MD5 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def bytes_md5(content: bytes) -> str:
    """The MD5 of bytes."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def folder_md5s(folder: Path, list_files: ListFiles) -> dict[str, str]:
    """The digests of the files in a folder, by their path relative to it."""
    return {path.relative_to(folder).as_posix(): file_md5(path) for path in list_files(folder)}


def folder_digest(files: Mapping[str, str]) -> str:
    """DVC's digest of a folder, from its files' digests."""
    return bytes_md5(folder_listing(files)) + FOLDER_SUFFIX


def folder_listing(files: Mapping[str, str]) -> bytes:
    """The list of a folder's files as DVC stores it."""
    rows = [{"md5": md5, "relpath": path} for path, md5 in sorted(files.items(), key=lambda item: item[0].split("/"))]
    return json.dumps(rows, sort_keys=True).encode()


def cached_listing(cache: Path, digest: str) -> dict[str, str] | None:
    """The files of a folder in DVC's cache with their digests; None if the cache lacks the list."""
    try:
        rows = json.loads(cache_path(cache, digest).read_bytes())
        return {row["relpath"]: row["md5"] for row in rows}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def cache_path(cache: Path, digest: str) -> Path:
    """Where DVC's cache keeps the bytes of a digest."""
    return cache / "files" / "md5" / digest[:2] / digest[2:]
