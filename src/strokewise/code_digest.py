"""Digest of the code that a module runs: the part of a fingerprint that stands for the code.

`import_closure` follows the imports in the source without running it; a test compares `dvc.yaml` with it.
`code_digest` hashes these files as parsed, without what affects no result: docstrings, comments, layout, and the text
of raised errors, assertions, warnings and progress. So explaining or reformatting code never changes a fingerprint,
and changing an operator always does.
"""

import ast
import hashlib
import json
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parent
NOT_DECIDING = ("cli", "support", "errors", "params")  # modules and folders that affect no output
MESSAGE_CALLS = ("print", "progress.progress_bar", "progress.track", "progress.warn")  # their text is for people only


def import_closure(*modules: str, exempt: Sequence[str] = NOT_DECIDING) -> list[Path]:
    """The source files of `modules` ("stages.train", "model.cnn") and of all that they import, sorted.

    Follows every `import` in the source, also inside functions, except of the modules or folders in `exempt` and of
    the package's `__init__`. Raises FileNotFoundError if a module does not exist in this package.
    """
    files: dict[str, Path] = {}
    queue = list(modules)
    while queue:
        name = queue.pop()
        if name in files or name in exempt or name.partition(".")[0] in exempt:
            continue
        files[name] = PACKAGE.joinpath(*name.split(".")).with_suffix(".py")
        queue += _imported_modules(files[name].read_text(encoding="utf-8"))
    return sorted(files.values())


def code_digest(*modules: str) -> str:
    """SHA-256 of the names and the canonical code of `import_closure(*modules)`; equal on every supported Python."""
    digest = hashlib.sha256()
    for path in import_closure(*modules):
        name, code = path.relative_to(PACKAGE).as_posix(), canonical_code(path.read_text(encoding="utf-8"))
        digest.update(f"{name} {code}\n".encode())
    return digest.hexdigest()


def json_digest(value: Any) -> str:
    """SHA-256 of a value as JSON with sorted keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


@cache
def canonical_code(source: str) -> str:
    """Source text as one line of canonical code, without what affects no result.

    `ast.dump` would differ between versions of Python: 3.12 added fields, 3.13 leaves out empty ones.
    """
    return _serialize(_MessageRemover().visit(ast.parse(source)))


class _MessageRemover(ast.NodeTransformer):
    """Removes docstrings, text for people, and what differs between versions of Python."""

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
        # Python 3.12.1 ends some format specifications with an empty constant.
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
    """A syntax tree as text: the name of each node with its non-empty fields in their order."""
    if isinstance(value, list):
        return f"[{' '.join(map(_serialize, value))}]"
    if isinstance(value, ast.Constant):
        value = value.value
    if not isinstance(value, ast.AST):
        # Strings in ASCII: which characters `repr` escapes depends on Python's Unicode tables.
        return json.dumps(value) if isinstance(value, str) else repr(value)
    fields = ((name, inner) for name, inner in ast.iter_fields(value) if name not in ("ctx", "kind"))
    text = " ".join(f"{name}={_serialize(inner)}" for name, inner in fields if inner not in (None, []))
    return f"({type(value).__name__} {text})"


def _imported_modules(source: str) -> Iterator[str]:
    """The modules of this package that the source text imports, named from below the package."""
    names: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            # `from strokewise.model import cnn` imports a module, `from strokewise.model.cnn import CNN` a name in one
            names += [f"{node.module}.{alias.name}" for alias in node.names] + [node.module]
    own = [name.removeprefix("strokewise.") for name in names if name.startswith("strokewise.")]
    return (name for name in own if PACKAGE.joinpath(*name.split(".")).with_suffix(".py").is_file())
