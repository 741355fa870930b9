"""Git and the DVC cache -> an earlier state of the pipeline in a scratch folder, as *register* reads it.

A commit's `dvc.lock` says which file of the cache was what then. These files are put together here, so that neither
the working tree nor a worktree that git would remember is touched, and a kill leaves nothing but scratch.
"""

import contextlib
import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from strokewise.errors import RegistryError
from strokewise.params import parse_yaml
from strokewise.support import file_lock
from strokewise.support.paths import project_root, scratch_dir

DVC_LOCK, PARAMS_YAML = "dvc.lock", "params.yaml"
REPLAYED_PATHS = ("data/model", "data/baseline", "data/report", "data/paintings")  # what *register* reads of a state
SKIPPED_PATHS = ("data/paintings/train", "data/paintings/validation")  # and does not
LINKED_SUFFIX = (
    ".parquet"  # may be large and is only read; the rest is copied into MLflow, without the cache's permissions
)


class IncompleteState(Exception):
    """A commit whose state cannot be put together: why, as the end of a line."""


@dataclass(frozen=True)
class StateCommit:
    """A commit that holds a state of the pipeline; `lock` is git's name of its `dvc.lock`, empty if it has none."""

    sha: str
    title: str
    lock: str
    experiment: str | None = None  # DVC's name of it


def find_commits(revisions: Sequence[str] = ()) -> list[StateCommit]:
    """The commits that `revisions` or names of DVC experiments stand for, in that order; if none are given, those of
    the current branch that changed `dvc.lock`, oldest first, each state once.

    Raises RegistryError where there is no git repository, or no such commit.
    """
    try:
        _run_git("rev-parse", "--git-dir")
    except (OSError, subprocess.CalledProcessError):
        raise RegistryError(
            f"{project_root()} is no git repository, and sync reads the states from git's history; run it in a checkout"
        ) from None
    if revisions:
        return [_resolve_revision(revision) for revision in revisions]
    try:
        found = _run_git("rev-list", "--reverse", "--topo-order", "HEAD", "--", DVC_LOCK).split()
    except subprocess.CalledProcessError:  # no commit yet
        return []
    distinct: dict[str, StateCommit] = {}
    for commit in map(_describe_commit, found):
        if commit.lock:
            distinct.setdefault(commit.lock, commit)
    return list(distinct.values())


def _resolve_revision(revision: str) -> StateCommit:
    with contextlib.suppress(subprocess.CalledProcessError):
        return _describe_commit(
            _run_git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
        )
    for line in _run_git("for-each-ref", "--format=%(objectname) %(refname)", "refs/exps").splitlines():
        sha, _, name = line.partition(" ")
        if name.rpartition("/")[2] == revision:
            return _describe_commit(sha, revision)
    raise RegistryError(f"--rev {revision!r} is no commit and no experiment; `git log` and `dvc exp list` name them")


def _describe_commit(sha: str, experiment: str | None = None) -> StateCommit:
    lock = ""
    with contextlib.suppress(subprocess.CalledProcessError):
        lock = _run_git("rev-parse", "--verify", "--quiet", f"{sha}:./{DVC_LOCK}")
    return StateCommit(sha, _run_git("show", "--no-patch", "--format=%s", sha), lock, experiment)


@contextlib.contextmanager
def replay_dir() -> Iterator[Path]:
    """An empty folder for one state after the other, one process at a time; what a killed one left is removed."""
    folder = scratch_dir() / "sync"
    with file_lock.exclusive_lock(folder.with_name("sync.lock")):
        shutil.rmtree(folder, ignore_errors=True)
        try:
            folder.mkdir(parents=True)
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def dvc_cache_dir() -> Path:
    """Where DVC keeps its files for this project. Raises RegistryError if DVC does not say."""
    asked = [sys.executable, "-m", "dvc", "cache", "dir"]
    done = subprocess.run(asked, cwd=project_root(), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RegistryError(f"`dvc cache dir` says: {' '.join(done.stderr.split())}; run sync in the project's root")
    return project_root() / done.stdout.strip()


def checkout(commit: StateCommit, kept: Path, folder: Path) -> None:
    """Put the state of `commit` into the new folder `folder`, from git and the DVC cache `kept`.

    Raises Incomplete, saying why, if it is not all there.
    """
    if not commit.lock:
        raise IncompleteState(f"it has no {DVC_LOCK}: the pipeline had not run")
    outputs = _locked_outputs(commit)
    in_git = set(_run_git("ls-tree", "-r", "--name-only", commit.sha, "--", *REPLAYED_PATHS).splitlines())
    files = {path: out for path, out in outputs.items() if path not in in_git}
    wanted = {inner: file for path, out in files.items() for inner, file in _cache_files(kept, path, out).items()}
    if missing := [path for path, file in wanted.items() if not file.is_file()]:
        more = f" and {len(missing) - 1} more" if missing[1:] else ""
        raise IncompleteState(
            f"{missing[0]}{more} not in the DVC cache; `dvc fetch --all-commits` gets them, if they were pushed"
        )
    for path, file in wanted.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.suffix == LINKED_SUFFIX:
            place.symlink_to(file.resolve())
        else:
            shutil.copyfile(file, place)
    for path in [PARAMS_YAML, *sorted(in_git & set(outputs))]:
        _write_from_git(commit, path, folder / path, outputs.get(path, {}).get("md5"))


def _locked_outputs(commit: StateCommit) -> dict[str, Mapping[str, Any]]:
    """What the stages had made by then, as far as it is read: path -> the entry of `dvc.lock`."""
    try:
        stages = parse_yaml(_run_git("cat-file", "blob", commit.lock))["stages"].values()
        outputs = {str(out["path"]): out for stage in stages for out in stage.get("outs", ())}
    except (AttributeError, KeyError, TypeError, ValueError):
        raise IncompleteState(f"its {DVC_LOCK} cannot be read") from None
    return {
        path: out
        for path, out in outputs.items()
        if _is_under(path, REPLAYED_PATHS) and not _is_under(path, SKIPPED_PATHS)
    }


def _is_under(path: str, folders: Sequence[str]) -> bool:
    return any(PurePosixPath(path).is_relative_to(folder) for folder in folders)


def _cache_files(kept: Path, path: str, out: Mapping[str, Any]) -> dict[str, Path]:
    """The files of an output and where in the cache each lies; a folder's listing stands for it if that is missing."""
    digest = str(out.get("md5", ""))
    place = _cache_path(kept, digest, out)
    if not digest.endswith(".dir") or not place.is_file():
        return {path: place}
    listed = json.loads(place.read_text(encoding="utf-8"))
    return {f"{path}/{file['relpath']}": _cache_path(kept, file["md5"], out) for file in listed}


def _cache_path(kept: Path, digest: str, out: Mapping[str, Any]) -> Path:
    """DVC 3's place for a digest; an entry that does not name its hash is older, and so is its place."""
    return (kept / "files" / "md5" if "hash" in out else kept) / (digest[:2] or "-") / (digest[2:] or "-")


def _write_from_git(commit: StateCommit, path: str, place: Path, digest: str | None) -> None:
    """A file that git keeps. One that is not the file of `dvc.lock` belongs to another state."""
    try:
        content = subprocess.run(
            ["git", "show", f"{commit.sha}:./{path}"], cwd=project_root(), capture_output=True, check=True
        ).stdout
    except subprocess.CalledProcessError:
        raise IncompleteState(f"it has no {path}") from None
    if digest is not None and digest != hashlib.md5(content, usedforsecurity=False).hexdigest():
        raise IncompleteState(f"its {path} is not the one of its {DVC_LOCK}: they were committed apart")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)


def _run_git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=project_root(), capture_output=True, text=True, check=True)
    return done.stdout.strip()
