"""A commit laid out apart from the working tree, and its pipeline run there.

The folder is a git clone that shares the objects of this repository. It lies in the scratch folder; one that a killed
process left is taken up again: DVC skips what it had finished.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from strokewise.errors import UserError, one_line
from strokewise.registry.artifacts import git_output
from strokewise.reproduction.lock_file import StageLock
from strokewise.support import atomic_io, file_lock
from strokewise.support.paths import DRAWINGS_DIR, DVC_LOCK_FILE, TRAIN_DRAWINGS_DIR, scratch_dir

STAGE_STARTED = re.compile(r"Running stage '([\w@.-]+)'")
STAGE_CACHED = re.compile(r"Stage '([\w@.-]+)' is cached")
OWN_VARIABLES = ("MLFLOW_", "DVC_", "STROKEWISE_")  # of the caller: the run apart must not write into its store


@dataclass(frozen=True)
class Checkout:
    """A commit that is laid out."""

    sha: str
    root: Path  # of the project in it
    lock_descriptor: int  # inherited by what runs there, so that a killed caller's run is waited for


def resolve_commit(root: Path, revision: str) -> str:
    """The id of a commit: of a branch, tag or DVC experiment, say. Raises UserError if there is none."""
    if not git_output(root, "rev-parse", "--git-dir"):
        raise UserError(f"{root} is no git repository; run it in a checkout")
    verify = ("rev-parse", "--verify", "--quiet", "--end-of-options")
    if sha := git_output(root, *verify, f"{revision}^{{commit}}"):
        return sha
    for line in git_output(root, "for-each-ref", "--format=%(objectname) %(refname)", "refs/exps").splitlines():
        sha, _, name = line.partition(" ")
        if name.rpartition("/")[2] == revision:
            return sha
    raise UserError(
        f"{revision!r} is no version, alias, commit or experiment; `strokewise history`, `git log` and `dvc exp list`"
        " name them"
    )


def commits_with_lock(root: Path) -> list[str]:
    """All commits of all branches and experiments that changed `dvc.lock`, the newest first."""
    return git_output(root, "log", "--all", "--format=%H", "--", str(DVC_LOCK_FILE)).split()


@contextlib.contextmanager
def lay_out(root: Path, sha: str, shared_cache: Path | None) -> Iterator[Checkout]:
    """Lay out a commit without its results, for one process at a time; the folder is removed, but for Ctrl-C.

    Args:
        root: the checkout whose repository has the commit.
        sha: of the commit.
        shared_cache: DVC's cache to use; None is an empty one of its own.

    Raises UserError if git fails.
    """
    base = scratch_dir() / "reproduce"
    folder = base / f"{sha[:12]}{'' if shared_cache else '-fresh'}"
    lock = file_lock.acquire_lock(base / f"{folder.name}.lock")
    try:
        if not folder.is_dir():
            with atomic_io.atomic_replace(folder) as temporary:
                _clone(root, sha, temporary, shared_cache)
        yield Checkout(sha, folder / git_output(root, "rev-parse", "--show-prefix"), lock)
        shutil.rmtree(folder, ignore_errors=True)
    except UserError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    finally:
        os.close(lock)


def _clone(root: Path, sha: str, folder: Path, shared_cache: Path | None) -> None:
    top = git_output(root, "rev-parse", "--show-toplevel")
    for command in (
        ("clone", "--quiet", "--shared", "--no-checkout", top, str(folder)),
        ("-C", str(folder), "-c", "advice.detachedHead=false", "checkout", "--quiet", "--detach", sha),
    ):
        done = subprocess.run(["git", *command], capture_output=True, text=True, check=False)
        if done.returncode:
            raise UserError(f"{sha[:8]} cannot be laid out: {one_line(done.stderr)}; `git fetch` may bring it")
    project = folder / git_output(root, "rev-parse", "--show-prefix")
    if not (project / ".dvc").is_dir():
        raise UserError(f"{sha[:8]} has no pipeline: there is no .dvc; name a commit that has one")
    (project / DVC_LOCK_FILE).unlink(missing_ok=True)  # DVC would take the results that it names from the cache
    if shared_cache:
        (project / ".dvc" / "config.local").write_text(f"[cache]\n    dir = {shared_cache}\n", encoding="utf-8")
    for drawings in (DRAWINGS_DIR, TRAIN_DRAWINGS_DIR):  # a user's own are in no commit
        if (root / drawings).is_dir():
            shutil.copytree(root / drawings, project / drawings, dirs_exist_ok=True)


def run_pipeline(checkout: Checkout, stages: Mapping[str, StageLock], python: Path) -> dict[str, str]:
    """Run the stages that write files; returns how each came about: "ran" or "run cache".

    Args:
        checkout: where.
        stages: of the commit.
        python: the interpreter of the environment to run in; its folder comes first in PATH.

    What the stages print goes to stderr. Raises UserError if a stage fails.
    """
    targets = [name for name, stage in stages.items() if stage.outs]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(OWN_VARIABLES)}
    environment |= {"PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}", "DVC_NO_ANALYTICS": "1"}
    os.set_inheritable(checkout.lock_descriptor, True)
    process = subprocess.Popen(
        [str(python), "-m", "dvc", "repro", *targets],
        cwd=checkout.root,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        pass_fds=(checkout.lock_descriptor,),
        start_new_session=True,  # Ctrl-C is passed on once, to all of them: DVC alone would wait for its stage
    )
    how: dict[str, str] = {}
    last = ""
    try:
        assert process.stdout is not None
        for line in process.stdout:
            sys.stderr.write(line)
            sys.stderr.flush()
            if match := STAGE_STARTED.search(line):
                how[match[1]] = "ran"
            elif match := STAGE_CACHED.search(line):
                how[match[1]] = "run cache"
            if line.strip() and not line.startswith("ERROR: failed to reproduce"):
                last = line
        process.wait()
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
        process.wait()
        raise
    if process.returncode:
        stage = next(reversed(how), "")
        raise UserError(
            f"{checkout.sha[:8]} is not reproducible here: {f'{stage} failed: ' if stage else ''}{one_line(last, 200)}"
        )
    return how
