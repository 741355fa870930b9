"""Write files and folders atomically: into a temporary folder beside the target, then renamed into place."""

import contextlib
import errno
import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TEMP_DIR_NAME = re.compile(r"\..+\.[0-9a-f]{8}")  # a temporary folder beside its target: .<target>.<random>
UNLOCKABLE_ERRNOS = {errno.EBADF, errno.EINVAL, errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}  # say, NFS

_temp_dirs: dict[Path, int | None] = {}  # of this process, with the file descriptors that lock them


@contextlib.contextmanager
def atomic_replace(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write a file or a folder at; it replaces `path` at the end of the block.

    After an exception, `path` is unchanged and nothing else is left. A file is replaced by one rename. A folder needs
    two, because no folder can be renamed onto another: after a kill between them `path` is missing, never mixed.

    A symbolic link at `path` is replaced, not followed: it may lead into DVC's cache. `replaceable` follows it.

    Raises FileExistsError or OSError as `replaceable` does, IsADirectoryError if a file was written and `path` is a
    folder, PermissionError if nothing can be created.
    """
    if not path.is_symlink():
        replaceable(path)
    with temp_dir_beside(path) as temp_dir:
        new_path = temp_dir / path.name
        yield new_path
        if path.is_dir():
            if not new_path.is_dir():  # would delete all that the folder contains
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
            path.rename(_backup_path(temp_dir))
        new_path.replace(path)


def replaceable(path: Path) -> Path:
    """The path to replace so that `path` shows what was written: where it leads if it is a symbolic link.

    Call it before long work with a path that a user has named. Raises FileExistsError if it is a device, a pipe or a
    socket, and OSError if it is a link that leads to itself, or a mount point: nothing can be renamed onto one.
    """
    target = Path(os.path.realpath(path)) if path.is_symlink() else path
    if target.is_symlink():
        raise OSError(errno.ELOOP, "a link that leads to itself", str(path))
    if target.exists() and not target.is_file() and not target.is_dir():
        raise FileExistsError(errno.EEXIST, "neither a file nor a folder, so it is not replaced", str(path))
    if os.path.ismount(target):
        raise OSError(errno.EBUSY, "a mount point, which cannot be replaced", str(path))
    return target


@contextlib.contextmanager
def temp_dir_beside(path: Path) -> Iterator[Path]:
    """Yield an empty folder beside `path`, on the same disk; it is removed with its contents at the end.

    Folders that killed processes left for the same `path` are removed first. Raises PermissionError if nothing can be
    created.
    """
    _remove_stale_temp_dirs(path)
    temp_dir = path.with_name(f".{path.name}.{os.urandom(4).hex()}")
    try:
        _create_temp_dir(temp_dir)
        yield temp_dir
    finally:
        _remove_temp_dir(temp_dir)


def remove_temp_dirs() -> None:
    """Remove all temporary folders of this process, for an exit that does not run the `finally` blocks."""
    for temp_dir in list(_temp_dirs):
        _remove_temp_dir(temp_dir)


def _create_temp_dir(temp_dir: Path) -> None:
    """Create the folder and lock it until it is removed or this process ends."""
    _temp_dirs[temp_dir] = None  # before it exists, so that an interruption at any moment removes it
    try:
        temp_dir.parent.mkdir(parents=True, exist_ok=True)
        while _temp_dirs[temp_dir] is None:
            temp_dir.mkdir(mode=0o700, parents=True, exist_ok=True)  # another process may have removed it unlocked
            _temp_dirs[temp_dir] = _try_lock_dir(temp_dir)
    except FileNotFoundError:  # a folder such as /proc, or a working directory that was deleted
        raise PermissionError(errno.EPERM, "nothing can be made in this folder", str(temp_dir.parent)) from None
    except OSError as error:
        if error.errno not in UNLOCKABLE_ERRNOS:  # without locks, stale folders stay: nobody can tell that they are
            raise


def _remove_temp_dir(temp_dir: Path) -> None:
    target = _target_path(temp_dir)
    if _backup_path(temp_dir).exists() and not target.exists():  # interrupted between the two renames
        _backup_path(temp_dir).rename(target)
    shutil.rmtree(temp_dir, ignore_errors=True)
    descriptor = _temp_dirs.pop(temp_dir, None)
    if descriptor is not None:
        os.close(descriptor)


def _remove_stale_temp_dirs(path: Path) -> None:
    """Remove the temporary folders for `path` that no running process has locked."""
    with contextlib.suppress(OSError):
        for entry in path.parent.iterdir():
            if not TEMP_DIR_NAME.fullmatch(entry.name) or _target_path(entry) != path:
                continue
            if (descriptor := _try_lock_dir(entry)) is not None:
                _temp_dirs[entry] = descriptor
                _remove_temp_dir(entry)


def _target_path(temp_dir: Path) -> Path:
    """The path that the temporary folder was created for."""
    return temp_dir.with_name(temp_dir.name[1:-9])


def _backup_path(temp_dir: Path) -> Path:
    """Where the old target lies while the new one is renamed into its place."""
    return temp_dir / f"{_target_path(temp_dir).name}.old"


def _try_lock_dir(folder: Path) -> int | None:
    """A file descriptor that locks the folder; None if another process has locked or removed it.

    Raises OSError where folders cannot be locked.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return None
    with contextlib.ExitStack() as on_failure:
        on_failure.callback(os.close, descriptor)
        with contextlib.suppress(FileNotFoundError, BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), folder.stat()):
                on_failure.pop_all()
                return descriptor
    return None


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` atomically, as UTF-8."""
    with atomic_replace(path) as new_path:
        new_path.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write `value` to `path` atomically, as indented JSON with sorted keys; equal values give equal bytes.

    Raises ValueError for NaN and infinities.
    """
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n")
