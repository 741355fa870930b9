"""Which of our own files a module runs: the closure of its imports, read from the source without running it.

A model's fingerprint holds the digest of these files, and a test compares `dvc.yaml` with them, so that a
changed line retrains exactly what it can change.
"""

import ast
import hashlib
from collections.abc import Sequence
from pathlib import Path

PACKAGE = Path(__file__).parent
EXEMPT = ("cli", "errors", "params")  # they decide no output: the door, the messages, the reading of params.yaml


def closure(*modules: str, exempt: Sequence[str] = EXEMPT) -> list[Path]:
    """The files that `modules` ("stages.train", "network") import, they themselves included, sorted.

    Follows every `import` in the source, also those inside functions, but leaves out the `exempt` ones and the
    package's own `__init__`. Raises FileNotFoundError for a name that is no module of ours.
    """
    found: dict[str, Path] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name in found or name in exempt:
            continue
        found[name] = PACKAGE.joinpath(*name.split(".")).with_suffix(".py")
        waiting += _imports(found[name].read_text(encoding="utf-8"))
    return sorted(found.values())


def digest(*modules: str) -> str:
    """SHA-256 over the names and the bytes of `closure(*modules)`."""
    total = hashlib.sha256()
    for path in closure(*modules):
        content = path.read_bytes()
        total.update(f"{path.relative_to(PACKAGE).as_posix()} {len(content)}\n".encode() + content)
    return total.hexdigest()


def _imports(source: str) -> list[str]:
    """The modules of this package, named from below it, that the source text imports."""
    names: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            # `from strokewise.judge import gate` names a module; `from strokewise.network import load` a thing in one
            names += [f"{node.module}.{alias.name}" for alias in node.names] + [node.module]
    ours = [name.removeprefix("strokewise.") for name in names if name.startswith("strokewise.")]
    return [name for name in ours if PACKAGE.joinpath(*name.split(".")).with_suffix(".py").is_file()]
