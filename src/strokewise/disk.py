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

SCRATCH = Path(".strokewise")
BOX = re.compile(r"\..+\.[0-9a-f]{8}")  # a folder beside its place in which something is being written
UNLOCKABLE = {errno.EBADF, errno.EINVAL, errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}  # say, NFS

_boxes: dict[Path, int | None] = {}  # of this process, with the descriptors that lock them


def home() -> Path:
    """The root of the user's checkout: DVC's, where a stage runs under DVC, else the working directory."""
    return Path(os.environ.get("DVC_ROOT") or Path.cwd())


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` to write a file or a folder at; it takes `path`'s place at the end.

    After an exception nothing is left and what stood at `path` before still stands. A file is replaced by one
    rename; a folder needs two, as none can be renamed onto another: a kill between them leaves the place empty,
    never mixed. Raises IsADirectoryError where a file is to take the place of a folder, PermissionError where nothing
    can be made.
    """
    with beside(path) as box:
        fresh = box / path.name
        yield fresh
        if path.is_dir():
            if not fresh.is_dir():  # a file never takes a folder's place, with all that is in it
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
            path.rename(_old(box))
        fresh.replace(path)


@contextlib.contextmanager
def beside(path: Path) -> Iterator[Path]:
    """Yield an empty folder beside `path`, on the same disk, that is gone with all that is in it at the end.

    What a killed process left there, the next one for the same `path` clears away. Raises PermissionError where
    nothing can be made.
    """
    _clear_after_the_dead(path)
    box = path.with_name(f".{path.name}.{os.urandom(4).hex()}")
    try:
        _make(box)
        yield box
    finally:
        _remove(box)


def clear() -> None:
    """Remove what this process has begun to write and not finished: for one that ends in the middle of things."""
    for box in list(_boxes):
        _remove(box)


def _make(box: Path) -> None:
    """Make the folder and lock it as long as this process lives and needs it."""
    _boxes[box] = None  # before it exists: an interruption at any moment finds it
    try:
        box.parent.mkdir(parents=True, exist_ok=True)
        while _boxes[box] is None:
            box.mkdir(mode=0o700, parents=True, exist_ok=True)  # who clears away may have taken an empty parent along
            _boxes[box] = _lock(box)
    except FileNotFoundError:  # a folder such as /proc, or one that was removed while somebody works in it
        raise PermissionError(errno.EPERM, "nothing can be made in this folder", str(box.parent)) from None
    except OSError as error:
        if error.errno not in UNLOCKABLE:  # where no folder can be locked, nobody clears away after the dead
            raise


def _remove(box: Path) -> None:
    path = _place(box)
    if _old(box).exists() and not path.exists():  # interrupted between the two renames
        _old(box).rename(path)
    shutil.rmtree(box, ignore_errors=True)
    descriptor = _boxes.pop(box, None)
    if descriptor is not None:
        os.close(descriptor)


def _clear_after_the_dead(path: Path) -> None:
    """Remove the boxes beside `path` that were made for it and that no living process holds."""
    with contextlib.suppress(OSError):
        for box in path.parent.iterdir():
            if BOX.fullmatch(box.name) and _place(box) == path and (descriptor := _lock(box)) is not None:
                _boxes[box] = descriptor
                _remove(box)


def _place(box: Path) -> Path:
    """What the box was made for."""
    return box.with_name(box.name[1:-9])


def _old(box: Path) -> Path:
    """Where that lies while the new takes its place."""
    return box / f"{_place(box).name}.old"


def _lock(box: Path) -> int | None:
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
    with replacing(path) as fresh:
        fresh.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as readable JSON with sorted keys: the same value gives the same bytes."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n")
