"""A checkout's pipeline as DVC reads it, and earlier contents of its files: from DVC's cache, else from git."""

import contextlib
import difflib
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from strokewise.errors import UserError, one_line
from strokewise.reproduction import lock_file
from strokewise.reproduction.lock_file import StageLock
from strokewise.support.paths import DVC_LOCK_FILE

MAX_LISTED_FILES = 4


@dataclass(frozen=True)
class StageDefinition:
    """What `dvc.yaml` says of a stage."""

    command: str
    deps: frozenset[str]
    outs: frozenset[str]
    params: frozenset[str]  # sections or full names
    always_changed: bool


@dataclass(frozen=True)
class PipelineFiles:
    """The pipeline of the checkout `root`."""

    root: Path
    stages: Mapping[str, StageDefinition]
    lock: Mapping[str, StageLock]
    cache: Path
    uncached: frozenset[str]  # outputs that git keeps
    repo: Any  # dvc.repo.Repo

    def list_files(self, folder: Path) -> list[Path]:
        """The files in a folder that DVC sees."""
        return [Path(path) for path in self.repo.dvcignore.find(self.repo.fs, str(folder))]

    def digest(self, path: str) -> str | None:
        """DVC's digest of a file or folder as it is now; None if there is none."""
        place = self.root / path
        if place.is_dir():
            return lock_file.folder_digest(lock_file.folder_md5s(place, self.list_files))
        return lock_file.file_md5(place) if place.is_file() else None

    def describe_change(self, path: str, recorded: str) -> str:
        """What of a file or folder is not as recorded: files, lines or a byte, as far as the old content is known."""
        place = self.root / path
        if not place.exists():
            return f"{path} is missing"
        if not recorded.endswith(lock_file.FOLDER_SUFFIX):
            return f"{path}{self._where(path, recorded)}"
        old = lock_file.cached_listing(self.cache, recorded) or self._committed_listing(path, recorded)
        if old is None or not place.is_dir():
            return path
        new = lock_file.folder_md5s(place, self.list_files)
        names = [
            f"{path}/{name}{self._where(f'{path}/{name}', old[name])}"
            for name in sorted(old)
            if name in new and old[name] != new[name]
        ]
        names += [f"{path}/{name} (new)" for name in sorted(new.keys() - old)]
        names += [f"{path}/{name} (gone)" for name in sorted(old.keys() - new)]
        return join_some(names)

    def _where(self, path: str, recorded: str) -> str:
        """The first place at which a file differs from the content with the digest `recorded`; empty if unknown."""
        old, new = self.content(path, recorded), (self.root / path).read_bytes()
        if old is None:
            return ""
        try:
            lines = old.decode().splitlines(), new.decode().splitlines()
        except UnicodeDecodeError:
            lines = [], []
        for kind, _, _, start, _ in difflib.SequenceMatcher(None, *lines, autojunk=False).get_opcodes():
            if kind != "equal":
                return f", line {start + 1}"
        offset = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
        return f", byte {offset + 1:,} of {len(new):,}"

    def content(self, path: str, recorded: str) -> bytes | None:
        """The bytes with this digest that a file had: from the cache, else from git; None if neither has them."""
        cached = lock_file.cache_path(self.cache, recorded)
        for content in (
            cached.read_bytes() if cached.is_file() else None,
            *(self._blob(c, path) for c in self._commits),
        ):
            if content is not None and lock_file.bytes_md5(content) == recorded:
                return content
        return None

    @cached_property
    def _commits(self) -> tuple[str, ...]:
        """Commits that may hold what `dvc.lock` was made from: its own last one, and the present one."""
        own = git(self.root, "log", "-1", "--format=%H", "--", str(DVC_LOCK_FILE)).decode().strip()
        return tuple(filter(None, (own, "HEAD")))

    def _blob(self, commit: str, path: str) -> bytes | None:
        return git(self.root, "show", f"{commit}:./{path}") or None

    def _committed_listing(self, folder: str, recorded: str) -> dict[str, str] | None:
        for commit in self._commits:
            names = git(self.root, "ls-tree", "-r", "-z", "--name-only", commit, "--", folder).decode().split("\0")
            blobs = {name[len(folder) + 1 :]: self._blob(commit, name) or b"" for name in names if name}
            files = {name: lock_file.bytes_md5(content) for name, content in blobs.items()}
            if lock_file.folder_digest(files) == recorded:
                return files
        return None


@contextlib.contextmanager
def open_pipeline(root: Path) -> Iterator[PipelineFiles]:
    """Read `dvc.yaml` and `dvc.lock` of the checkout `root`. Raises UserError if there are none or they are broken."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    for name, remedy in (("dvc.yaml", "go to the root of a checkout"), (str(DVC_LOCK_FILE), "run `dvc repro` first")):
        if not (root / name).is_file():
            raise UserError(f"there is no {name} in {root.resolve()}; {remedy}")
    try:
        with Repo(str(root)) as repo:
            stages = {stage.name: _read_definition(stage) for stage in repo.index.stages}
            yield PipelineFiles(
                root=root.resolve(),
                stages=stages,
                lock=lock_file.parse_lock((root / DVC_LOCK_FILE).read_text(encoding="utf-8")),
                cache=Path(repo.cache.local.path).parents[1],
                uncached=frozenset(str(out.def_path) for out in repo.index.outs if not out.use_cache),
                repo=repo,
            )
    except DvcException as error:
        raise UserError(f"DVC cannot read the pipeline: {one_line(error)}; `dvc status` says more") from None


def _read_definition(stage: Any) -> StageDefinition:
    params = [dep for dep in stage.deps if hasattr(dep, "params")]
    return StageDefinition(
        command=stage.cmd,
        deps=frozenset(str(dep.def_path) for dep in stage.deps if dep not in params),
        outs=frozenset(str(out.def_path) for out in stage.outs),
        params=frozenset(name for dep in params for name in dep.params),
        always_changed=bool(stage.always_changed),
    )


def git(root: Path, *arguments: str) -> bytes:
    """What a git command in `root` prints, as bytes; empty if it fails or git is not installed."""
    with contextlib.suppress(OSError):
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, check=False)
        return done.stdout if done.returncode == 0 else b""
    return b""


def join_some(names: list[str]) -> str:
    """The first names, and how many more there are."""
    more = len(names) - MAX_LISTED_FILES
    return "; ".join(names[:MAX_LISTED_FILES]) + (f"; and {more} more" if more > 0 else "")
