"""What the store answered, for as long as it has not changed since: asking it means to import MLflow, for seconds.

Only a database of our own can be known not to have changed; a server is always asked.
"""

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from strokewise.registry import store
from strokewise.support import atomic_io
from strokewise.support.paths import scratch_dir

CACHE_FILE = "answers.json"  # in `SCRATCH_DIR`


def get_answer(question: str) -> Any | None:
    """The answer that the store gave when it was in its present state; None if it gave none, or what it named is gone.

    Raises RegistryError as `store.store_address` does.
    """
    known = _read_cache(store.store_address().state())["answers"].get(question)
    return known["answer"] if known and all(Path(path).exists() for path in known["paths"]) else None


def put_answer(question: str, answer: Any, paths: Sequence[Path], state: list[int] | None) -> None:
    """Keep an answer, JSON, that the store gave in `state` and that holds while `paths` exist."""
    if state is None:
        return
    known = _read_cache(state)
    known["answers"][question] = {"answer": answer, "paths": [str(path) for path in paths]}
    with contextlib.suppress(OSError):  # a folder that may not be written to, a full disk: asked again next time
        atomic_io.write_json(scratch_dir() / CACHE_FILE, known)


def _read_cache(state: list[int] | None) -> dict[str, Any]:
    """All that was answered in this state of the store."""
    with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
        kept: dict[str, Any] = json.loads((scratch_dir() / CACHE_FILE).read_text(encoding="utf-8"))
        if state is not None and kept["state"] == state:
            return kept
    return {"state": state, "answers": {}}
