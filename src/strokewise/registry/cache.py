"""Cache of what the store answered, so that *predict* and *register* need not import MLflow, which takes seconds.

An answer is valid as long as the store has not changed. Only a local database can be known not to have changed: a
server is always asked again.
"""

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from strokewise.registry import store
from strokewise.support import atomic_io
from strokewise.support.paths import scratch_dir

CACHE_FILE = "answers.json"  # in `scratch_dir()`


def get_answer(question: str) -> Any | None:
    """The cached answer; None if there is none, the store or one of the answer's files has changed.

    Raises RegistryError as `store.store_address` does.
    """
    entry = _read_cache(store.store_address().change_stamp())["answers"].get(_key(question))
    return entry["answer"] if entry and all(_stamp(Path(path)) == stamp for path, stamp in entry["paths"]) else None


def put_answer(question: str, answer: Any, paths: Sequence[Path], state: list[int] | None) -> None:
    """Cache an answer.

    Args:
        question: its key.
        answer: any JSON value.
        paths: the answer is valid only while all of these exist and files among them are as they are now.
        state: `StoreAddress.change_stamp()` when the store gave the answer; with None nothing is cached.
    """
    if state is None:
        return
    content = _read_cache(state)
    content["answers"][_key(question)] = {"answer": answer, "paths": [[str(path), _stamp(path)] for path in paths]}
    with contextlib.suppress(OSError):  # a read-only folder or a full disk: the store is asked again next time
        atomic_io.write_json(scratch_dir() / CACHE_FILE, content)


def _stamp(path: Path) -> list[int] | None:
    """Numbers that change with a file; only whether it exists for a folder; None for what is gone."""
    try:
        status = path.stat()
    except OSError:
        return None
    return [] if path.is_dir() else [status.st_size, status.st_mtime_ns]


def _key(question: str) -> str:
    """The question with the names of the experiment and of the model that it is about."""
    return f"{question} in {store.experiment_name()} of {store.model_name()}"


def _read_cache(state: list[int] | None) -> dict[str, Any]:
    """The cache's content if it is of this state of the store, else an empty cache."""
    with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
        content: dict[str, Any] = json.loads((scratch_dir() / CACHE_FILE).read_text(encoding="utf-8"))
        if state is not None and content["state"] == state:
            return content
    return {"state": state, "answers": {}}
