"""`strokewise doctor`: this machine and this folder -> findings, one a thing looked at, each with what to do.

A check is one function: the folder in, findings out. It may raise whatever it likes: that is a finding, too. Nothing
is changed, made or repaired. Heavy libraries are imported by the checks that need them.
"""

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from strokewise.errors import UserError
from strokewise.support.paths import SCRATCH_DIR

if TYPE_CHECKING:
    from strokewise.registry.store import Store

COMMAND_TIMEOUT_S = 60  # for git and DVC
CONNECT_TIMEOUT_S = 3.0  # for a server to answer at all
MIN_FREE_BYTES, LOW_FREE_BYTES = 200 * 2**20, 2 * 2**30  # free: below it nothing runs; below it a pipeline may not
LEFTOVER_NAME = re.compile(r"^\..+\.[a-z0-9_]{8}$")  # how `atomic_io.atomic_replace` names what is being written
PIN_PATTERN = re.compile(r"^([\w.-]+)==([^\s;]+)", re.MULTILINE)


@dataclass(frozen=True)
class Finding:
    """What was looked at, how it is (ok, warn: works but look at it, bad: does not work), and what to do."""

    check: str
    state: str
    said: str
    todo: str = ""


Findings = Iterator[Finding]


def run_checks(root: Path) -> Iterator[Finding]:
    """All findings about the folder `root`, as they come; nothing is raised but Ctrl-C."""
    for check in CHECKS:
        name = check.__name__.replace("_", " ")
        try:
            yield from check(root)
        except UserError as error:
            yield Finding(name, "bad", _line(error), "do as it says")
        except ModuleNotFoundError as error:
            yield Finding(name, "bad", f"{error.name} is not installed", "make repro, or pip install strokewise again")
        except Exception as error:  # whatever is broken is what is looked for
            yield Finding(
                name, "bad", f"{type(error).__name__}: {_line(error)}", "this was not foreseen; mend or report"
            )


def python(root: Path) -> Findings:
    """The interpreter, and whose source it runs."""
    said = f"{sys.version.split()[0]} at {sys.executable}"
    yield Finding("python", "ok", said)
    source, here = Path(__file__).resolve().parent, (root / "src" / "strokewise").resolve()
    if here.is_dir() and source != here:
        yield Finding("python", "warn", f"this command runs {source}, not this checkout", "source .venv/bin/activate")


def versions(root: Path) -> Findings:
    """What is installed, against the pins of the checkout; elsewhere against what strokewise asks for."""
    lock = root / "requirements.lock"
    pins = dict(PIN_PATTERN.findall(lock.read_text(encoding="utf-8"))) if lock.is_file() else {}
    asked = [line for line in metadata.requires("strokewise") or [] if "extra ==" not in line]
    needed = {match[0] for line in asked if (match := re.match(r"[\w.-]+", line))}
    installed = {name: _installed_version(name) for name in {*pins, *needed}}
    missing = sorted(name for name in needed if installed[name] is None)
    others = [
        f"{name} {have} instead of {pins[name]}"
        for name, have in sorted(installed.items())
        if have and name in pins and have.partition("+")[0] != pins[name].partition("+")[0]
    ]
    if missing:
        yield Finding("versions", "bad", f"not installed: {_join_some(missing)}", "make repro sets up the environment")
    if others:
        yield Finding(
            "versions", "warn", f"not as pinned: {_join_some(others)}", "make repro sets it up again as pinned"
        )
    if not missing and not others:
        said = f"as requirements.lock has them ({len(pins)})" if pins else f"all {len(needed)} are installed"
        yield Finding("versions", "ok", said)


def _installed_version(name: str) -> str | None:
    with contextlib.suppress(metadata.PackageNotFoundError):
        return metadata.version(name)
    return None


def threads(root: Path) -> Findings:
    """Cores, and settings that make them wait for each other."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    said = f"{cores} cores, OMP_NUM_THREADS {os.environ.get('OMP_NUM_THREADS', 'not set')}"
    policy = os.environ.get("OMP_WAIT_POLICY", "PASSIVE")
    count = os.environ.get("OMP_NUM_THREADS", "1").split(",")[0]
    if policy.upper() != "PASSIVE":
        todo = "unset it: waiting threads that spin cost a tenfold beside a busy neighbour"
        yield Finding("threads", "warn", f"OMP_WAIT_POLICY is {policy}", todo)
    if not count.isdecimal() or int(count) > cores or int(count) < 1:
        yield Finding("threads", "warn", said, f"set OMP_NUM_THREADS to 1..{cores}, or unset it")
    else:
        yield Finding("threads", "ok", said)


def free_space(root: Path) -> Findings:
    """Room for paintings, checkpoints and DVC's cache."""
    free = shutil.disk_usage(root).free
    state = "bad" if free < MIN_FREE_BYTES else "warn" if free < LOW_FREE_BYTES else "ok"
    todo = "" if state == "ok" else "make room; `dvc gc --workspace` removes old results"
    yield Finding("disk", state, f"{free / 2**30:.1f} GiB free in {root}", todo)


def parameters(root: Path) -> Findings:
    """`params.yaml`, as every stage reads it, and the threads it asks for."""
    from strokewise.params import Params

    if not (root / "params.yaml").exists():
        if (root / "dvc.yaml").exists():
            yield Finding("parameters", "bad", "params.yaml is missing", "git checkout params.yaml")
        return
    asked = Params.load(root / "params.yaml").train.threads
    if asked > (os.cpu_count() or 1):
        todo = f"set it to {os.cpu_count()}: the number of threads changes the weights, so it is never changed for you"
        yield Finding("parameters", "warn", f"train.threads is {asked}, more than there are cores", todo)
    else:
        yield Finding("parameters", "ok", "params.yaml is sound")


def git(root: Path) -> Findings:
    """A repository with a commit: DVC's experiments stand on it."""
    if not (root / "dvc.yaml").exists():
        yield Finding("checkout", "ok", f"{root} is no checkout: only a registered model or a folder can be used here")
        return
    if shutil.which("git") is None:
        yield Finding("git", "bad", "git is not installed or not on PATH", "install git")
    elif _run_command(root, "git", "rev-parse", "--git-dir").returncode:
        yield Finding("git", "bad", "this is no git repository", "git init && git add --all && git commit")
    elif _run_command(root, "git", "rev-parse", "--verify", "HEAD").returncode:
        yield Finding("git", "warn", "nothing is committed yet", "git add --all && git commit: `dvc exp` needs one")
    else:
        changed = len(_run_command(root, "git", "status", "--porcelain").stdout.splitlines())
        yield Finding("git", "ok", f"{changed} files changed since the last commit" if changed else "all is committed")


def dvc(root: Path) -> Findings:
    """DVC's own folder, its lock, and which stages would run."""
    if not (root / "dvc.yaml").exists():
        return
    if not (root / ".dvc").is_dir():
        yield Finding("dvc", "bad", "DVC is not initialised here", "dvc init, or git checkout .dvc")
        return
    busy = root / ".dvc" / "tmp" / "rwlock"
    try:
        writing = json.loads(busy.read_text(encoding="utf-8")).get("write", {}) if busy.exists() else {}
        running = {int(each["pid"]) for each in writing.values()}
    except (ValueError, AttributeError, TypeError, KeyError):
        yield Finding("dvc", "bad", f"{busy} is damaged", f"when no dvc runs: rm {busy}")
        return
    if running:
        pids = ", ".join(map(str, sorted(running)))
        yield Finding("dvc", "warn", f"locked by process {pids}", f"wait for it; if it is no dvc: rm {busy}")
        return
    done = _run_command(root, sys.executable, "-m", "dvc", "status", "--json")
    if done.returncode:
        said = next(reversed([line for line in done.stderr.splitlines() if line.startswith("ERROR")]), "it failed")
        yield Finding("dvc", "bad", f"dvc status: {said.removeprefix('ERROR: ')}", "dvc status says more")
        return
    changed = sorted(set(json.loads(done.stdout or "{}")) - {"register"})  # which always runs
    if changed:
        yield Finding("dvc", "warn", f"not up to date: {_join_some(changed)}", "dvc repro")
    else:
        yield Finding("dvc", "ok", "the results are those of the parameters and the code")


def leftovers(root: Path) -> Findings:
    """What a killed command left half-written; it disturbs nothing but takes room."""
    places = [
        root,
        root / SCRATCH_DIR,
        root / "data",
        *(path for path in (root / "data").glob("*/") if path.is_dir()),
    ]
    left = sorted(
        path for place in places if place.is_dir() for path in place.iterdir() if LEFTOVER_NAME.match(path.name)
    )
    if left:
        names = [str(path.relative_to(root)) for path in left]
        yield Finding(
            "leftovers", "warn", f"half-written: {_join_some(names)}", f"when nothing runs: rm -r {' '.join(names)}"
        )
    else:
        yield Finding("leftovers", "ok", "nothing half-written")


# --- the registry and the models


def store(root: Path) -> Findings:
    """The tracking store, whether its files lie where it says, and whether the champion can be had and loaded."""
    from strokewise.registry import store as place
    from strokewise.registry import versions as registered

    address = place.store_address()
    if not place.store_exists():
        yield Finding("store", "ok", "nothing is registered yet; `dvc repro` does it")
        return
    if silent := _connection_problem(address.uri):
        yield Finding(
            "store", "bad", silent, f"start it, or unset {place.URI_VARIABLE} to use this project's own mlflow.db"
        )
        return
    shown = address.database or urlsplit(address.uri).hostname
    try:
        with place.connect(create=False) as opened:
            shelf = registered.read_snapshot(opened)
            yield Finding("store", "ok", f"{shown}: {len(shelf.versions)} versions are registered")
            opened.experiment(create=False)  # raises if the project was moved
            gone = [str(version.number) for version in shelf.versions if not _has_files(opened, version.number)]
    except place.StoreUnavailable as error:
        moved = "moved" in str(error)
        todo = "do as it says" if moved else "set it right, or move it aside and run `strokewise register`"
        yield Finding("artifacts" if moved else "store", "bad", _line(error), todo)
        return
    if gone:
        todo = "if the project was moved or mlruns deleted: delete mlflow.db too and run `strokewise register`"
        yield Finding("artifacts", "bad", f"the files of version {_join_some(gone)} are gone", todo)
    else:
        yield Finding("artifacts", "ok", "every version's files are where the store says")
    if shelf.champion is None:
        todo = "`strokewise history` says what the gate refused; until then `predict` uses data/model"
        yield Finding("champion", "warn", "there is no champion", todo)


def _has_files(opened: "Store", number: int) -> bool:
    """Whether a version's files are there, as far as this machine can see."""
    from strokewise.registry.store import REGISTRY_NAME
    from strokewise.serving import packaging

    source = opened.client.get_model_version_download_uri(REGISTRY_NAME, str(number))
    if not source.startswith(("/", "file:")):
        return True
    return (Path(unquote(urlsplit(source).path)) / packaging.MODEL_ARTIFACT / "config.json").is_file()


def champion(root: Path) -> Findings:
    """The champion, loaded as `strokewise predict` does."""
    from strokewise import recogniser
    from strokewise.registry import versions as registered

    try:
        folder = registered.champion_dir()
    except UserError:
        return  # which the store's check has told
    if folder is not None:
        yield Finding("champion", "ok", f"it loads, and knows {len(recogniser.Recogniser(folder).shapes)} shapes")


def model(root: Path) -> Findings:
    """The model that the pipeline made last."""
    from strokewise import recogniser

    folder = root / "data" / "model"
    if folder.is_dir():
        yield Finding("model", "ok", f"data/model loads, and knows {len(recogniser.Recogniser(folder).shapes)} shapes")


def _connection_problem(uri: str) -> str:
    """Why nobody answers at a server's address; it would take MLflow long to say so."""
    parts = urlsplit(uri)
    if parts.hostname is None:
        return ""
    port = parts.port or {"https": 443, "http": 80}.get(parts.scheme, 5432)
    try:
        socket.create_connection((parts.hostname, port), CONNECT_TIMEOUT_S).close()
    except OSError as error:
        return f"nobody answers at {parts.hostname}:{port} ({error.strerror or error})"
    return ""


CHECKS: tuple[Callable[[Path], Findings], ...]
CHECKS = (python, versions, threads, free_space, parameters, git, dvc, leftovers, store, champion, model)


def _run_command(root: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(words, cwd=root, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, check=False)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def _join_some(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
