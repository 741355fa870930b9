"""`strokewise doctor`: check this machine and this folder, and say how to fix what is wrong.

A check is one function: the folder in, findings out. Whatever it raises becomes a finding, too. Nothing is changed.
Heavy libraries are imported by the checks that need them.
"""

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from strokewise.errors import UserError, one_line
from strokewise.support import extras
from strokewise.support.atomic_io import TEMP_DIR_NAME
from strokewise.support.findings import Finding, Findings
from strokewise.support.paths import MODEL_DIR, PARAMS_FILE, SCRATCH_DIR

if TYPE_CHECKING:
    from strokewise.registry.store import Store

COMMAND_TIMEOUT_S = 60  # for git and DVC
CONNECT_TIMEOUT_S = 3.0  # for a server to accept a connection
MIN_FREE_BYTES = 200 * 2**20  # with less, nothing runs
LOW_FREE_BYTES = 2 * 2**30  # with less, a pipeline may not run to its end
MAX_LISTED_NAMES = 4
PIN_PATTERN = re.compile(r"^([\w.-]+)==([^\s;]+)", re.MULTILINE)


def run_checks(root: Path) -> Findings:
    """Yield all findings about the folder `root` as they come; exceptions of the checks become findings."""
    for check in CHECKS:
        name = check.__name__.removeprefix("check_").replace("_", " ")
        try:
            yield from check(root)
        except UserError as error:
            yield Finding(name, "bad", one_line(error), "do as it says")
        except ModuleNotFoundError as error:
            extra = "[pipeline]" if extras.missing_extra(error) else ""
            action = f"make repro in a checkout, else pip install 'strokewise{extra}'"
            yield Finding(name, "bad", f"{error.name} is not installed", action)
        except Exception as error:  # anything may be broken: that is what is searched for
            message = f"{type(error).__name__}: {one_line(error)}"
            yield Finding(name, "bad", message, "this was not foreseen: fix it, or report it as a bug")


# --- the machine


def check_python(root: Path) -> Findings:
    """The interpreter, and whether it runs the source of this checkout."""
    yield Finding("python", "ok", f"{sys.version.split()[0]} at {sys.executable}")
    source, checkout = Path(__file__).resolve().parent, (root / "src" / "strokewise").resolve()
    if checkout.is_dir() and source != checkout:
        yield Finding("python", "warn", f"this command runs {source}, not this checkout", "source .venv/bin/activate")


def check_versions(root: Path) -> Findings:
    """Installed packages, against the requirements of strokewise, and the pins of the checkout.

    What only the extra `pipeline` installs is required where there is a pipeline to run.
    """
    locks = [path.read_text(encoding="utf-8") for path in sorted(root.glob("requirements*.lock"))]
    pins = dict(pin for lock in locks for pin in PIN_PATTERN.findall(lock))
    requirements = [line for line in metadata.requires("strokewise") or [] if "extra ==" not in line]
    required = {match[0] for line in requirements if (match := re.match(r"[\w.-]+", line))}
    if (root / "dvc.yaml").exists():
        required |= set(extras.PIPELINE_PACKAGES.values())
    set_up = "make repro sets up the environment" if pins else "pip install 'strokewise[pipeline]'"
    installed = {name: _installed_version(name) for name in {*pins, *required}}
    missing = sorted(name for name in required if installed[name] is None)
    different = [
        f"{name} {version} instead of {pins[name]}"
        for name, version in sorted(installed.items())
        if version and name in pins and version.partition("+")[0] != pins[name].partition("+")[0]
    ]
    if missing:
        yield Finding("versions", "bad", f"not installed: {_join_some(missing)}", set_up)
    if different:
        message = f"not as pinned: {_join_some(different)}"
        yield Finding("versions", "warn", message, "make repro sets it up again as pinned")
    if not missing and not different:
        message = f"as requirements.lock has them ({len(pins)})" if pins else f"all {len(required)} are installed"
        yield Finding("versions", "ok", message)


def _installed_version(name: str) -> str | None:
    with contextlib.suppress(metadata.PackageNotFoundError):
        return metadata.version(name)
    return None


def check_threads(root: Path) -> Findings:
    """CPU cores, and OpenMP settings that make threads wait for each other."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    message = f"{cores} cores, OMP_NUM_THREADS {os.environ.get('OMP_NUM_THREADS', 'not set')}"
    policy = os.environ.get("OMP_WAIT_POLICY", "PASSIVE")
    count = os.environ.get("OMP_NUM_THREADS", "1").split(",")[0]
    if policy.upper() != "PASSIVE":
        action = "unset it: threads that spin while they wait are ten times slower beside another busy process"
        yield Finding("threads", "warn", f"OMP_WAIT_POLICY is {policy}", action)
    if not count.isdecimal() or int(count) > cores or int(count) < 1:
        yield Finding("threads", "warn", message, f"set OMP_NUM_THREADS to 1..{cores}, or unset it")
    else:
        yield Finding("threads", "ok", message)


def check_disk(root: Path) -> Findings:
    """Free space for paintings, checkpoints and DVC's cache."""
    free = shutil.disk_usage(root).free
    state = "bad" if free < MIN_FREE_BYTES else "warn" if free < LOW_FREE_BYTES else "ok"
    action = "" if state == "ok" else "make room; `dvc gc --workspace` removes old results"
    yield Finding("disk", state, f"{free / 2**30:.1f} GiB free in {root}", action)


# --- the checkout


def check_parameters(root: Path) -> Findings:
    """`params.yaml`, as every stage reads it, and the number of threads in it."""
    if not (root / PARAMS_FILE).exists():
        if (root / "dvc.yaml").exists():
            yield Finding("parameters", "bad", "params.yaml is missing", "git checkout params.yaml")
        return
    from strokewise.params import Params

    threads, cores = Params.load(root / PARAMS_FILE).train.threads, os.cpu_count() or 1
    if threads > cores:
        action = f"set it to {cores}: the number of threads changes the weights, so it is never changed for you"
        yield Finding("parameters", "warn", f"train.threads is {threads}, more than there are cores", action)
    else:
        yield Finding("parameters", "ok", "params.yaml is valid")


def check_git(root: Path) -> Findings:
    """A git repository with a commit, which DVC's experiments need."""
    if not (root / "dvc.yaml").exists():
        message = f"{root} is no checkout of strokewise: there is no pipeline to run"
        yield Finding("checkout", "warn", message, "cd to the checkout; `predict` and `serve` work anywhere")
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


def check_paths(root: Path) -> Findings:
    """Paths that DVC's experiments cannot work with: a queued one waits for ever, upstream."""
    if not (root / "dvc.yaml").exists():
        return
    remotes = _run_command(root, "git", "config", "--get-regexp", r"remote\..*\.url").stdout.splitlines()
    paths = {"this folder": str(root.resolve())} | {
        f"git remote {name.split('.')[1]}": url for name, _, url in (line.partition(" ") for line in remotes)
    }
    unsuitable = [f"{name} ({path})" for name, path in paths.items() if "#" in path or not path.isascii()]
    if unsuitable:
        message = f"a # or a letter outside ASCII in the path of {_join_some(unsuitable)}"
        yield Finding("paths", "warn", message, "move it: `dvc exp run --queue` and `--temp` would wait for ever")


def check_dvc(root: Path) -> Findings:
    """DVC's own folder, its lock, and which stages would run."""
    if not (root / "dvc.yaml").exists():
        return
    if not (root / ".dvc").is_dir():
        yield Finding("dvc", "bad", "DVC is not initialised here", "dvc init, or git checkout .dvc")
        return
    lock = root / ".dvc" / "tmp" / "rwlock"
    try:
        writers = json.loads(lock.read_text(encoding="utf-8")).get("write", {}) if lock.exists() else {}
        pids = {int(writer["pid"]) for writer in writers.values()}
    except (ValueError, AttributeError, TypeError, KeyError):
        yield Finding("dvc", "bad", f"{lock} is damaged", f"when no dvc runs: rm {lock}")
        return
    if pids:
        message = f"locked by process {', '.join(map(str, sorted(pids)))}"
        yield Finding("dvc", "warn", message, f"wait for it; if it is no dvc: rm {lock}")
        return
    done = _run_command(root, sys.executable, "-m", "dvc", "status", "--json")
    if done.returncode:
        errors = [line.removeprefix("ERROR: ") for line in done.stderr.splitlines() if line.startswith("ERROR")]
        yield Finding("dvc", "bad", f"dvc status: {errors[-1] if errors else 'it failed'}", "dvc status says more")
        return
    changed = sorted(set(json.loads(done.stdout or "{}")) - {"code", "register"})  # which always run
    if changed:
        yield Finding("dvc", "warn", f"not up to date: {_join_some(changed)}", "dvc repro")
    else:
        yield Finding("dvc", "ok", "the results are those of the parameters and the code")


def check_leftovers(root: Path) -> Findings:
    """Temporary folders that a killed command left; they take space only."""
    kept = [root / "data", root / SCRATCH_DIR / "checkpoints"]
    folders = [root, root / SCRATCH_DIR, *kept, *(path for folder in kept for path in folder.glob("*/"))]
    paths = [path for folder in folders if folder.is_dir() for path in folder.iterdir()]
    names = [str(path.relative_to(root)) for path in sorted(paths) if TEMP_DIR_NAME.fullmatch(path.name)]
    if names:
        action = f"when nothing runs: rm -r {' '.join(names)}"
        yield Finding("leftovers", "warn", f"half-written: {_join_some(names)}", action)
    else:
        yield Finding("leftovers", "ok", "nothing half-written")


# --- the registry and the models


def check_store(root: Path) -> Findings:
    """The tracking store, whether its files are where it says, and whether there is a champion."""
    from strokewise.registry import store, versions

    address = store.store_address()
    if not store.store_exists():
        if (root / "dvc.yaml").exists():
            yield Finding("store", "ok", "nothing is registered yet; `dvc repro` does it")
        else:
            action = f"set {store.URI_VARIABLE} to the store of a team, or cd to a checkout"
            yield Finding(
                "store", "warn", "there is no registry here: `predict` uses the reference model, or --model", action
            )
        return
    if address.is_known and (problem := _connection_problem(address.uri)):
        action = f"start it, or unset {store.URI_VARIABLE} to use this project's own mlflow.db"
        yield Finding("store", "bad", problem, action)
        return
    name = address.database or urlsplit(address.uri).hostname
    try:
        with store.connect(create=False) as connection:
            snapshot = versions.read_snapshot(connection)
            yield Finding("store", "ok", f"{name}: {len(snapshot.versions)} versions are registered")
            connection.experiment(create=False)  # raises if the project was moved
            numbers = [version.number for version in snapshot.versions]
            missing = [str(number) for number in numbers if not _has_files(connection, number)]
    except store.StoreUnavailable as error:
        moved = "moved" in str(error)
        action = "do as it says" if moved else "set it right, or move it aside and run `strokewise register`"
        yield Finding("artifacts" if moved else "store", "bad", one_line(error), action)
        return
    if missing:
        action = "if the project was moved or mlruns deleted: delete mlflow.db too and run `strokewise register`"
        yield Finding("artifacts", "bad", f"the files of version {_join_some(missing)} are gone", action)
    else:
        yield Finding("artifacts", "ok", "every version's files are where the store says")
    if snapshot.champion is None:
        action = "`strokewise history` says what the gate refused; until then `predict` uses data/model"
        yield Finding("champion", "warn", "there is no champion", action)


def _has_files(connection: "Store", number: int) -> bool:
    """Whether the files of a version exist; True if they are on another machine."""
    from strokewise.registry.store import model_name
    from strokewise.serving import packaging

    source = connection.client.get_model_version_download_uri(model_name(), str(number))
    if not source.startswith(("/", "file:")):
        return True
    return (Path(unquote(urlsplit(source).path)) / packaging.MODEL_ARTIFACT / "config.json").is_file()


def check_champion(root: Path) -> Findings:
    """The champion, verified and loaded as by `strokewise predict`."""
    from strokewise.registry import versions

    try:
        folder = versions.champion_dir()
    except UserError:
        return  # reported by `check_store`
    if folder is not None:
        yield Finding("champion", "ok", f"it loads, and knows {_count_shapes(folder)} shapes")


def check_model(root: Path) -> Findings:
    """The model in `data/model`."""
    folder = root / MODEL_DIR
    if folder.is_dir():
        yield Finding("model", "ok", f"data/model loads, and knows {_count_shapes(folder)} shapes")


def _count_shapes(folder: Path) -> int:
    """The number of shapes of a CNN. Raises ModelError if one of its files is not what was written."""
    from strokewise.model.verify import verify_model
    from strokewise.recogniser import Recogniser

    verify_model(folder, "cnn")
    return len(Recogniser(folder).shapes)


def _connection_problem(uri: str) -> str:
    """Why no server accepts connections at `uri`, empty if one does; MLflow would take long to report it."""
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname, parts.port
    except ValueError:  # a password with a slash; what it says would show the password
        return "its address cannot be read: write special characters of a password as %2F and the like"
    if host is None:
        return ""
    port = port or {"https": 443, "http": 80}.get(parts.scheme, 5432)
    try:
        socket.create_connection((host, port), CONNECT_TIMEOUT_S).close()
    except OSError as error:
        return f"nobody answers at {host}:{port} ({error.strerror or error})"
    return ""


CHECKS: tuple[Callable[[Path], Findings], ...] = (
    *(check_python, check_versions, check_threads, check_disk),
    *(check_parameters, check_git, check_paths, check_dvc, check_leftovers),
    *(check_store, check_champion, check_model),
)


def _run_command(root: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, check=False)


def _join_some(names: Sequence[str]) -> str:
    """The first names, and the number of the others."""
    others = len(names) - MAX_LISTED_NAMES
    return ", ".join(names[:MAX_LISTED_NAMES]) + (f" and {others} more" if others > 0 else "")
