"""Rebuild MLflow from git and the DVC cache: earlier states of the pipeline are registered one after the other.

The files of a commit are copied into a scratch folder, so that neither the working tree nor git changes, and a killed
process leaves only scratch.
"""

import contextlib
import hashlib
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from strokewise.errors import ParamsError, RegistryError, UserError, one_line
from strokewise.params import Params, parse_yaml
from strokewise.registry import artifacts, registration, store
from strokewise.registry.artifacts import git_output
from strokewise.registry.promotion import RegistrationOutcome
from strokewise.registry.store import StoreUnavailable
from strokewise.support import file_lock
from strokewise.support.paths import DVC_LOCK_FILE, PARAMS_FILE, project_root, scratch_dir

RESTORED_PATHS = (  # all that registering reads, besides params.yaml
    "data/model",
    "data/baseline",
    "data/report",
    "data/paintings/test",
    "data/paintings/contact-sheet.png",
)


class IncompleteState(Exception):
    """A commit's state cannot be restored. The message says why, as the end of a line."""


@dataclass(frozen=True)
class StateCommit:
    """A commit that holds a state of the pipeline."""

    sha: str
    title: str
    lock_blob: str  # git's id of its dvc.lock; empty if it has none
    experiment: str | None = None  # the name that DVC gave it


@dataclass(frozen=True)
class ReplayedState:
    """What became of a commit's state: an outcome, or the reason why it was skipped."""

    commit: StateCommit
    outcome: RegistrationOutcome | None = None
    skipped: str | None = None


def replay(revisions: Sequence[str] = ()) -> Iterator[ReplayedState]:
    """Register earlier states in MLflow; yields one result a commit, skipped ones included.

    Args:
        revisions: commits or names of DVC experiments, in the order to register them. If empty, all commits of the
            current branch that changed `dvc.lock`, oldest first, each state once.

    Raises RegistryError if there is no git repository or no such commit, `MLFLOW_TRACKING_URI` is wrong, or the store
    fails. Replaying again continues where it stopped.
    """
    store.store_address()
    commits = _find_commits(revisions)
    with _replay_dir() as folder:
        for commit in commits:
            yield _replay_commit(commit, folder / commit.sha)


def _find_commits(revisions: Sequence[str]) -> list[StateCommit]:
    root = project_root()
    if not git_output(root, "rev-parse", "--git-dir"):
        raise RegistryError(
            f"{root} is no git repository, and sync reads the states from git's history; run it in a checkout"
        )
    if revisions:
        return [_resolve_revision(revision) for revision in revisions]
    shas = git_output(root, "rev-list", "--reverse", "--topo-order", "HEAD", "--", str(DVC_LOCK_FILE)).split()
    first_of: dict[str, StateCommit] = {}  # by the content of dvc.lock
    for commit in map(_describe_commit, shas):
        if commit.lock_blob:
            first_of.setdefault(commit.lock_blob, commit)
    return list(first_of.values())


def _resolve_revision(revision: str) -> StateCommit:
    verify = ("rev-parse", "--verify", "--quiet", "--end-of-options")
    if sha := git_output(project_root(), *verify, f"{revision}^{{commit}}"):
        return _describe_commit(sha)
    experiments = git_output(project_root(), "for-each-ref", "--format=%(objectname) %(refname)", "refs/exps")
    for line in experiments.splitlines():
        sha, _, name = line.partition(" ")
        if name.rpartition("/")[2] == revision:
            return _describe_commit(sha, revision)
    raise RegistryError(f"--rev {revision!r} is no commit and no experiment; `git log` and `dvc exp list` name them")


def _describe_commit(sha: str, experiment: str | None = None) -> StateCommit:
    root = project_root()
    return StateCommit(
        sha=sha,
        title=git_output(root, "show", "--no-patch", "--format=%s", sha),
        lock_blob=git_output(root, "rev-parse", "--verify", "--quiet", f"{sha}:./{DVC_LOCK_FILE}"),
        experiment=experiment,
    )


@contextlib.contextmanager
def _replay_dir() -> Iterator[Path]:
    """An empty scratch folder, for one process at a time; what a killed process left there is removed."""
    folder = scratch_dir() / "sync"
    with file_lock.exclusive_lock(folder.with_name("sync.lock")):
        shutil.rmtree(folder, ignore_errors=True)
        try:
            folder.mkdir(parents=True)
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _replay_commit(commit: StateCommit, folder: Path) -> ReplayedState:
    """Restore one state in `folder`, register it and remove it. Raises RegistryError if the store fails."""
    try:
        params = _restore(commit, folder)
        state = artifacts.read_state(params.model_dump(), folder, commit.sha, commit.experiment)
        outcome = registration.register_state(
            state,
            params.register_,
            bootstrap_samples=params.evaluate.bootstrap_samples,
            seed=params.evaluate.seed,
        )
    except (IncompleteState, UserError) as error:
        return ReplayedState(commit, skipped=str(error).replace(f"{folder}/", ""))
    except StoreUnavailable as error:
        raise RegistryError(f"sync stopped at {commit.sha[:8]}: {error}; the same command goes on") from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return ReplayedState(commit, outcome=outcome)


def _restore(commit: StateCommit, folder: Path) -> Params:
    """Copy the state of a commit into the new folder `folder`, from git and DVC's local cache; returns its parameters.

    Raises IncompleteState if a part is missing or the parameters are those of another version.
    """
    if not commit.lock_blob:
        raise IncompleteState(f"it has no {DVC_LOCK_FILE}: the pipeline had not run")
    from dvc.api import DVCFileSystem
    from dvc.exceptions import DvcException
    from dvc_data.index import DataIndexDirError

    git_root = git_output(project_root(), "rev-parse", "--show-toplevel")
    prefix = git_output(project_root(), "rev-parse", "--show-prefix")
    local_only = {"core": {"remote": ""}}  # missing files are reported, not downloaded one by one
    filesystem = DVCFileSystem(git_root, rev=commit.sha, subrepos=bool(prefix), config=local_only)

    def copy(path: str) -> None:
        try:
            filesystem.get(prefix + path, str(folder / path), recursive=True)
        except (FileNotFoundError, DataIndexDirError):
            raise IncompleteState(
                f"{path} is not in the DVC cache; `dvc fetch --all-commits` gets it, if it was pushed"
            ) from None

    try:
        with contextlib.closing(filesystem):
            copy(PARAMS_FILE.as_posix())
            params = Params.load(folder / PARAMS_FILE)
            for path in RESTORED_PATHS:
                copy(path)
            stages = parse_yaml(filesystem.read_text(f"{prefix}{DVC_LOCK_FILE}"))["stages"].values()
    except ParamsError as error:
        raise IncompleteState(f"{error}; only the strokewise of that commit can register it") from None
    except DvcException as error:
        raise IncompleteState(f"its dvc.yaml or {DVC_LOCK_FILE} cannot be read: {one_line(error)}") from None
    for out in (out for stage in stages for out in stage.get("outs", ())):
        file = folder / out["path"]
        if file.is_file() and hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest() != out.get("md5"):
            raise IncompleteState(f"its {out['path']} is not the one of its {DVC_LOCK_FILE}: they were committed apart")
    return params
