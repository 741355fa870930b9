"""Files that are either whole or not there: everything is written beside its place and renamed into it.

`home()` is where the project's own store and scratch live: the checkout that the user works in, also from
within a queued DVC experiment, whose working copy is thrown away.
"""

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

TEMP_DIR_NAME = re.compile(r"\..+\.[0-9a-f]{8}")  # a folder beside its place in which something is being written
UNLOCKABLE_ERRNOS = {errno.EBADF, errno.EINVAL, errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}  # say, NFS

_temp_dirs: dict[Path, int | None] = {}  # of this process, with the descriptors that lock them


@contextlib.contextmanager
def atomic_replace(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` to write a file or a folder at; it takes `path`'s place at the end.

    After an exception nothing is left and what stood at `path` before still stands. A file is replaced by one
    rename; a folder needs two, as none can be renamed onto another: a kill between them leaves the place empty,
    never mixed. Raises IsADirectoryError where a file is to take the place of a folder, PermissionError where nothing
    can be made.
    """
    with temp_dir_beside(path) as box:
        fresh = box / path.name
        yield fresh
        if path.is_dir():
            if not fresh.is_dir():  # a file never takes a folder's place, with all that is in it
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
            path.rename(_backup_of(box))
        fresh.replace(path)


@contextlib.contextmanager
def temp_dir_beside(path: Path) -> Iterator[Path]:
    """Yield an empty folder beside `path`, on the same disk, that is gone with all that is in it at the end.

    What a killed process left there, the next one for the same `path` clears away. Raises PermissionError where
    nothing can be made.
    """
    _remove_stale_temp_dirs(path)
    box = path.with_name(f".{path.name}.{os.urandom(4).hex()}")
    try:
        _create_temp_dir(box)
        yield box
    finally:
        _remove_temp_dir(box)


def remove_temp_dirs() -> None:
    """Remove what this process has begun to write and not finished: for one that ends in the middle of things."""
    for box in list(_temp_dirs):
        _remove_temp_dir(box)


def _create_temp_dir(box: Path) -> None:
    """Make the folder and lock it as long as this process lives and needs it."""
    _temp_dirs[box] = None  # before it exists: an interruption at any moment finds it
    try:
        box.parent.mkdir(parents=True, exist_ok=True)
        while _temp_dirs[box] is None:
            box.mkdir(mode=0o700, parents=True, exist_ok=True)  # who clears away may have taken an empty parent along
            _temp_dirs[box] = _try_lock_dir(box)
    except FileNotFoundError:  # a folder such as /proc, or one that was removed while somebody works in it
        raise PermissionError(errno.EPERM, "nothing can be made in this folder", str(box.parent)) from None
    except OSError as error:
        if error.errno not in UNLOCKABLE_ERRNOS:  # where no folder can be locked, nobody clears away after the dead
            raise


def _remove_temp_dir(box: Path) -> None:
    path = _target_of(box)
    if _backup_of(box).exists() and not path.exists():  # interrupted between the two renames
        _backup_of(box).rename(path)
    shutil.rmtree(box, ignore_errors=True)
    descriptor = _temp_dirs.pop(box, None)
    if descriptor is not None:
        os.close(descriptor)


def _remove_stale_temp_dirs(path: Path) -> None:
    """Remove the boxes beside `path` that were made for it and that no living process holds."""
    with contextlib.suppress(OSError):
        for box in path.parent.iterdir():
            if (
                TEMP_DIR_NAME.fullmatch(box.name)
                and _target_of(box) == path
                and (descriptor := _try_lock_dir(box)) is not None
            ):
                _temp_dirs[box] = descriptor
                _remove_temp_dir(box)


def _target_of(box: Path) -> Path:
    """What the box was made for."""
    return box.with_name(box.name[1:-9])


def _backup_of(box: Path) -> Path:
    """Where that lies while the new takes its place."""
    return box / f"{_target_of(box).name}.old"


def _try_lock_dir(box: Path) -> int | None:
    """A descriptor that holds the folder, or None where somebody else does, or it is gone (being cleared away).

    Raises OSError where folders cannot be locked.
    """
    descriptor = None
    try:
        descriptor = os.open(box, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), box.stat()):
            held, descriptor = descriptor, None
            return held
    except (FileNotFoundError, BlockingIOError):
        pass
    finally:
        if descriptor is not None:
            os.close(descriptor)
    return None


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8 to `path`, whole or not at all."""
    with atomic_replace(path) as fresh:
        fresh.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as readable JSON with sorted keys: the same value gives the same bytes."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n")
