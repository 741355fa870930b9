"""What the store answered, for as long as it has not changed since: asking it means to import MLflow, for seconds.

Only a database of our own can be known not to have changed; a server is always asked.
"""

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from strokewise import disk
from strokewise.registry import store

PLACE = "answers.json"  # in `disk.SCRATCH`


def recalled(question: str) -> Any | None:
    """The answer that the store gave when it was in its present state; None if it gave none, or what it named is gone.

    Raises RegistryError as `store.address` does.
    """
    known = _known(store.address().state())["answers"].get(question)
    return known["answer"] if known and all(Path(path).exists() for path in known["paths"]) else None


def remember(question: str, answer: Any, paths: Sequence[Path], state: list[int] | None) -> None:
    """Keep an answer, JSON, that the store gave in `state` and that holds while `paths` exist."""
    if state is None:
        return
    known = _known(state)
    known["answers"][question] = {"answer": answer, "paths": [str(path) for path in paths]}
    with contextlib.suppress(OSError):  # a folder that may not be written to, a full disk: asked again next time
        disk.write_json(disk.home() / disk.SCRATCH / PLACE, known)


def _known(state: list[int] | None) -> dict[str, Any]:
    """All that was answered in this state of the store."""
    with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
        kept: dict[str, Any] = json.loads((disk.home() / disk.SCRATCH / PLACE).read_text(encoding="utf-8"))
        if state is not None and kept["state"] == state:
            return kept
    return {"state": state, "answers": {}}
