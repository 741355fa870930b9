"""The closure of imports, against what Python really loads."""

import subprocess
import sys
from pathlib import Path

import pytest

from strokewise import code_digest


@pytest.mark.parametrize("module", ["network", "dataset", "paint.painter", "judge.gate"])
def test_whatever_importing_a_module_loads_is_in_its_closure(module: str) -> None:
    ours_only = "m.__file__ for n, m in sys.modules.items() if n.startswith('strokewise.')"
    code = f"import sys, strokewise.{module}; print('\\n'.join({ours_only}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    ours = {Path(line) for line in loaded.split()}
    exempt = {code_digest.PACKAGE / f"{name}.py" for name in (*code_digest.NOT_DECIDING, "wording")}
    rooms = {path for path in ours if path.name == "__init__.py"}
    assert ours - exempt - rooms <= set(code_digest.import_closure(module))


STORED = "041ab543642b202c8cf3bec6933d4b2aa6a221210e85b95693f98ad1d43e0a83"
CODE = """
import numpy as np
from strokewise import progress

LIMIT = 3


def mean(values: list[float]) -> float:
    if not values:
        raise ValueError(f"no values; give {LIMIT}")
    for value in progress.track(values, len(values), "mean", "values"):
        assert value < LIMIT, "too large"
    return sum(values) / len(values) - 0.5
"""
SAME = {
    "a docstring": ("-> float:\n", '-> float:\n    """The mean."""\n'),
    "a comment": ("LIMIT = 3", "LIMIT = 3  # the most"),
    "layout": ("sum(values) / len(values) - 0.5", "(\n        sum(values) / len(values)\n    ) - 0.5"),
    "an error's text": ("no values; give", "there are none; name"),
    "an assertion's text": ("too large", "too much"),
    "progress": ('"mean", "values"', '"averaging", "numbers"'),
}
OTHER = {
    "an operator": ("/ len", "* len"),
    "a constant": ("LIMIT = 3", "LIMIT = 4"),
    "an error's kind": ("ValueError", "TypeError"),
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


@pytest.mark.parametrize("what", SAME)
def test_what_decides_nothing_leaves_the_digest_as_it_is(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = SAME[what]
    assert old in CODE
    first = digest_of(CODE, tmp_path, monkeypatch)
    assert digest_of(CODE.replace(old, new), tmp_path, monkeypatch) == first


@pytest.mark.parametrize("what", OTHER)
def test_what_decides_something_changes_the_digest(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = OTHER[what]
    assert old in CODE
    first = digest_of(CODE, tmp_path, monkeypatch)
    assert digest_of(CODE.replace(old, new), tmp_path, monkeypatch) != first


def test_the_digest_follows_imports_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = digest_of(CODE, tmp_path, monkeypatch)
    (tmp_path / "c.py").write_text("changed = 'but nobody imports it'\n")
    (tmp_path / "progress.py").write_text("changed = 'but it decides nothing'\n")
    assert code_digest.code_digest("a") == first
    (tmp_path / "a.py").write_text("from strokewise.b import mean\n")
    assert code_digest.code_digest("a") != first


def test_the_digest_is_the_same_on_every_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_empty_packages_stay_empty() -> None:
    for room in code_digest.PACKAGE.iterdir():
        if room.is_dir() and (room / "__init__.py").exists():
            assert not (room / "__init__.py").read_text().strip(), "the closure does not read a room's __init__"


def test_an_unknown_module_is_our_mistake() -> None:
    with pytest.raises(FileNotFoundError):
        code_digest.import_closure("no.such.module")
