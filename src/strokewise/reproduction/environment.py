"""The environment that a commit was made for: the present one if its lock files are the same, else one built for it."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

from strokewise.code_digest import json_digest
from strokewise.errors import UserError, one_line
from strokewise.support import file_lock
from strokewise.support.paths import scratch_dir
from strokewise.support.progress import warn

LOCK_PATTERN = "requirements*.lock"
PINNED = re.compile(r"^([\w.-]+)==([^\s;\\]+)", re.MULTILINE)
LAUNCHER = "#!{python}\nimport sys\nfrom strokewise.__main__ import main\nsys.exit(main())\n"
MAX_LISTED_PINS = 4


def environment_for(checkout: Path, root: Path) -> tuple[Path, str]:
    """The interpreter to run a commit with, and what it is in words.

    Args:
        checkout: where the commit is laid out.
        root: the present checkout.

    Raises UserError if an environment is needed and cannot be built.
    """
    _write_metadata(checkout)
    wanted, present = _read_locks(checkout), _read_locks(root)
    if not wanted:
        return Path(sys.executable), "the present environment: that commit has no lock files"
    if wanted == present:
        return Path(sys.executable), "the present environment: the lock files are the same"
    changes = _describe_pins(present, wanted)
    folder = scratch_dir() / "environments" / json_digest(wanted)[:16]
    with file_lock.exclusive_lock(folder.with_name(f"{folder.name}.lock")):
        if not (folder / "complete").is_file():
            warn(f"the lock files differ ({changes}): an environment is built in {folder}, which takes minutes")
            _build(folder, checkout, changes)
    return folder / "bin" / "python", f"an environment of its own: {changes}"


def _read_locks(root: Path) -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in sorted(root.glob(LOCK_PATTERN))}


def _describe_pins(present: dict[str, str], wanted: dict[str, str]) -> str:
    """Which pins differ: "numpy 2.3.1 instead of 2.4.0"."""
    old, new = (dict(PINNED.findall("\n".join(locks.values()))) for locks in (present, wanted))
    changes = [
        f"{name} {new.get(name, 'left out')} instead of {old.get(name, 'none')}"
        for name in sorted(old.keys() | new)
        if old.get(name) != new.get(name)
    ] or ["other hashes of the same versions"]
    more = len(changes) - MAX_LISTED_PINS
    return ", ".join(changes[:MAX_LISTED_PINS]) + (f" and {more} more" if more > 0 else "")


def _build(folder: Path, checkout: Path, changes: str) -> None:
    """A virtual environment as `make` sets it up; the file `complete` is written last."""
    shutil.rmtree(folder, ignore_errors=True)
    python = folder / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    commands = [[sys.executable, "-m", "venv", str(folder)]]
    for name in ("requirements.lock", "requirements-torch.lock"):
        if (checkout / name).is_file():
            hashed = "--hash=" in (checkout / name).read_text(encoding="utf-8")
            commands.append([*install, *["--require-hashes"] * hashed, "--requirement", str(checkout / name)])
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            shutil.rmtree(folder, ignore_errors=True)
            said = [line for line in (done.stderr or done.stdout).splitlines() if line.startswith("ERROR")]
            reason = one_line(said[-1].removeprefix("ERROR: ") if said else done.stderr or done.stdout, 160)
            raise UserError(
                f"the environment of that commit ({changes}) cannot be built: {reason}; it needs a package index that"
                " has these versions"
            )
    launcher = folder / "bin" / "strokewise"
    launcher.write_text(LAUNCHER.format(python=python.absolute()), encoding="utf-8")
    os.chmod(launcher, 0o755)  # noqa: S103 - a command
    (folder / "complete").touch()


def _write_metadata(checkout: Path) -> None:
    """The version of strokewise in that commit, where `importlib.metadata` looks first: it goes into config.json."""
    source = checkout / "src" / "strokewise"
    if not source.is_dir():
        return
    project = tomllib.loads((checkout / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    if project["version"] != metadata.version("strokewise"):
        folder = checkout / "src" / "strokewise.egg-info"
        folder.mkdir(exist_ok=True)
        text = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
        (folder / "PKG-INFO").write_text(text, encoding="utf-8")
