"""Which of our own files a module runs, and one digest over what they do.

`import_closure` follows the imports in the source without running it: a test compares `dvc.yaml` with it. `code_digest` is the
part of a fingerprint that stands for the code. It hashes the code as parsed, without what decides no result:
docstrings, comments, layout, and the text of raised errors, assertions, warnings and progress. So explaining or
reformatting never makes another model, and changing an operator always does.
"""

import ast
import hashlib
import json
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parent
NOT_DECIDING = ("cli", "support", "errors", "params")  # modules and folders that decide no output
MESSAGE_CALLS = ("print", "progress.progress_bar", "progress.track", "progress.warn")  # text for people alone


def import_closure(*modules: str, exempt: Sequence[str] = NOT_DECIDING) -> list[Path]:
    """The files that `modules` ("stages.train", "network") import, they themselves included, sorted.

    Follows every `import` in the source, also those inside functions, but leaves out the `exempt` modules or folders
    and the package's own `__init__`. Raises FileNotFoundError for a name that is no module of ours.
    """
    found: dict[str, Path] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name in found or name in exempt or name.partition(".")[0] in exempt:
            continue
        found[name] = PACKAGE.joinpath(*name.split(".")).with_suffix(".py")
        waiting += _imported_modules(found[name].read_text(encoding="utf-8"))
    return sorted(found.values())


def code_digest(*modules: str) -> str:
    """SHA-256 over the names and the canonical code of `closure(*modules)`; the same on every supported Python."""
    total = hashlib.sha256()
    for path in import_closure(*modules):
        total.update(
            f"{path.relative_to(PACKAGE).as_posix()} {canonical_code(path.read_text(encoding='utf-8'))}\n".encode()
        )
    return total.hexdigest()


def json_digest(value: Any) -> str:
    """SHA-256 of a value as JSON with sorted keys: what a fingerprint is made of."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


@cache
def canonical_code(source: str) -> str:
    """The code of a source text as one line of text, without what decides no result.

    `ast.dump` would differ between versions of Python: 3.12 added fields, 3.13 leaves empty ones out.
    """
    return _serialize(_MessageRemover().visit(ast.parse(source)))


class _MessageRemover(ast.NodeTransformer):
    """Takes out docstrings, text that only people read, and what differs between versions of Python."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            return None
        return self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        for call in ast.walk(node):
            if isinstance(call, ast.Call):
                _remove_text_arguments(call)
        return self.generic_visit(node)

    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        node.msg = None
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if ast.unparse(node.func) in MESSAGE_CALLS:
            _remove_text_arguments(node)
        return self.generic_visit(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        # 3.12.1 ends some format specifications with an empty text
        node.values = [part for part in node.values if not (isinstance(part, ast.Constant) and part.value == "")]
        return self.generic_visit(node)


def _remove_text_arguments(call: ast.Call) -> None:
    call.args = [argument for argument in call.args if not _contains_text(argument)]
    call.keywords = [keyword for keyword in call.keywords if not _contains_text(keyword.value)]


def _contains_text(node: ast.AST) -> bool:
    return any(
        isinstance(part, ast.JoinedStr) or (isinstance(part, ast.Constant) and isinstance(part.value, str))
        for part in ast.walk(node)
    )


def _serialize(value: Any) -> str:
    """A syntax tree as text: every node's name with its fields that are not empty, in their order."""
    if isinstance(value, ast.AST):
        fields = ((name, inner) for name, inner in ast.iter_fields(value) if name not in ("ctx", "kind"))
        held = " ".join(f"{name}={_serialize(inner)}" for name, inner in fields if inner not in (None, []))
        return (
            f"({type(value).__name__} {held})"
            if not isinstance(value, ast.Constant)
            else _serialize_constant(value.value)
        )
    if isinstance(value, list):
        return f"[{' '.join(map(_serialize, value))}]"
    return _serialize_constant(value)


def _serialize_constant(value: Any) -> str:
    """Strings in ASCII: which letters `repr` escapes depends on Python's Unicode tables."""
    return json.dumps(value) if isinstance(value, str) else repr(value)


def _imported_modules(source: str) -> Iterator[str]:
    """The modules of this package, named from below it, that the source text imports."""
    names: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            # `from strokewise.judge import gate` names a module; `from strokewise.network import load` a thing in one
            names += [f"{node.module}.{alias.name}" for alias in node.names] + [node.module]
    ours = [name.removeprefix("strokewise.") for name in names if name.startswith("strokewise.")]
    return (name for name in ours if PACKAGE.joinpath(*name.split(".")).with_suffix(".py").is_file())
