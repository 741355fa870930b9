"""Files that are either whole or not there: everything is written beside its place and renamed into it.

`home()` is where the project's own store and scratch live: the checkout that the user works in, also from
within a queued DVC experiment, whose working copy is thrown away.
"""

import contextlib
import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SCRATCH = Path(".strokewise")


def home() -> Path:
    """The root of the user's checkout: DVC's, where a stage runs under DVC, else the working directory."""
    return Path(os.environ.get("DVC_ROOT") or Path.cwd())


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` to write a file or a folder at; it takes `path`'s place at the end.

    After an exception nothing is left and what stood at `path` before still stands. A file is replaced by one
    rename; a folder needs two, as none can be renamed onto another: a kill between them leaves the place empty,
    never mixed. Raises IsADirectoryError where a file is to take the place of a folder.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    box = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    fresh, old = box / path.name, box / f"{path.name}.old"
    try:
        yield fresh
        if path.is_dir():
            if not fresh.is_dir():  # a file never takes a folder's place, with all that is in it
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
            path.rename(old)
        fresh.replace(path)
    finally:
        if old.exists() and not path.exists():  # interrupted between the two
            old.rename(path)
        shutil.rmtree(box, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8 to `path`, whole or not at all."""
    with replacing(path) as fresh:
        fresh.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as readable JSON with sorted keys: the same value gives the same bytes."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n")
