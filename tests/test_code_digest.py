"""The import closure against what Python really loads, and what changes the digest of the code."""

import subprocess
import sys
from pathlib import Path

import pytest

from strokewise import code_digest


@pytest.mark.parametrize("module", ["model.cnn", "data.dataset", "synthesis.render", "evaluation.gate"])
def test_import_closure_holds_every_module_that_python_loads(module: str) -> None:
    own_files = "m.__file__ for n, m in sys.modules.items() if n.startswith('strokewise.')"
    code = f"import sys, strokewise.{module}; print('\\n'.join({own_files}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    files = {Path(line).relative_to(code_digest.PACKAGE) for line in loaded.split()}
    deciding = {path for path in files if path.with_suffix("").parts[0] not in code_digest.NOT_DECIDING}
    closure = {path.relative_to(code_digest.PACKAGE) for path in code_digest.import_closure(module)}
    assert {path for path in deciding if path.name != "__init__.py"} <= closure


STORED = "041ab543642b202c8cf3bec6933d4b2aa6a221210e85b95693f98ad1d43e0a83"
CODE = """
import numpy as np
from strokewise.support import progress

LIMIT = 3


def mean(values: list[float]) -> float:
    if not values:
        raise ValueError(f"no values; give {LIMIT}")
    for value in progress.track(values, len(values), "mean", "values"):
        assert value < LIMIT, "too large"
    return sum(values) / len(values) - 0.5
"""
EQUIVALENT = {  # what is changed -> old and new text
    "a docstring": ("-> float:\n", '-> float:\n    """The mean."""\n'),
    "a comment": ("LIMIT = 3", "LIMIT = 3  # the most"),
    "layout": ("sum(values) / len(values) - 0.5", "(\n        sum(values) / len(values)\n    ) - 0.5"),
    "an error's text": ("no values; give", "there are none; name"),
    "an assertion's text": ("too large", "too much"),
    "progress": ('"mean", "values"', '"averaging", "numbers"'),
}
DIFFERENT = {
    "an operator": ("/ len", "* len"),
    "a constant": ("LIMIT = 3", "LIMIT = 4"),
    "an error's class": ("ValueError", "TypeError"),
    "a condition": ("if not values", "if values"),
    "a name": ("mean(values", "average(values"),
    "an import": ("import numpy as np", "import scipy as np"),
    "an annotation": ("list[float]", "list[int]"),  # those of a dataclass decide its columns
}


def digest_of(source: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(code_digest, "PACKAGE", folder)
    (folder / "a.py").write_text("from strokewise import b\n")
    (folder / "b.py").write_text(source)
    return code_digest.code_digest("a")


@pytest.mark.parametrize("change", EQUIVALENT)
def test_change_without_effect_keeps_the_digest(change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = EQUIVALENT[change]
    assert old in CODE
    first = digest_of(CODE, tmp_path, monkeypatch)
    assert digest_of(CODE.replace(old, new), tmp_path, monkeypatch) == first


@pytest.mark.parametrize("change", DIFFERENT)
def test_change_with_an_effect_changes_the_digest(change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = DIFFERENT[change]
    assert old in CODE
    first = digest_of(CODE, tmp_path, monkeypatch)
    assert digest_of(CODE.replace(old, new), tmp_path, monkeypatch) != first


def test_digest_covers_imported_files_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = digest_of(CODE, tmp_path, monkeypatch)
    (tmp_path / "c.py").write_text("changed = 'but nobody imports it'\n")
    (tmp_path / "support").mkdir()
    (tmp_path / "support" / "progress.py").write_text("changed = 'but it decides nothing'\n")
    assert code_digest.code_digest("a") == first
    (tmp_path / "a.py").write_text("from strokewise.b import mean\n")
    assert code_digest.code_digest("a") != first


def test_digest_is_the_same_on_every_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stored, as made by 3.11: `ast.dump` of this source differs between 3.11, 3.12 and 3.13."""
    source = """
@final
class Box[int]:
    sides: tuple[float, ...] = (1.0, -2e-3)
    name: str = f"a {sides!r:>{9}} b" "c" + "\\u00e9\\U000e0001"

    async def area(self, /, *more: int, unit: complex = 2j, **rest: bytes) -> float:
        match more:
            case [first, *_] if (twice := 2 * first) > 0x10: return twice
            case {"a": None}: pass
        async with rest as (a, b): return {**a, "b": [*b]}[..., 1:2, ::3]
        try: yield lambda x=b"": not x
        except* (OSError, ValueError) as group: del group
""".replace("Box[int]", "Box(Base, metaclass=Meta)")
    assert digest_of(source, tmp_path, monkeypatch) == STORED


def test_init_files_of_folders_are_empty() -> None:
    for folder in code_digest.PACKAGE.iterdir():
        if folder.is_dir() and (folder / "__init__.py").exists():
            assert not (folder / "__init__.py").read_text().strip(), "the closure does not read them"


def test_unknown_module_raises_file_not_found_error() -> None:
    with pytest.raises(FileNotFoundError):
        code_digest.import_closure("no.such.module")
