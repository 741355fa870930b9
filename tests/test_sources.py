"""The closure of imports, against what Python really loads."""

import subprocess
import sys
from pathlib import Path

import pytest

from strokewise import sources


@pytest.mark.parametrize("module", ["network", "dataset", "paint.painter", "judge.gate"])
def test_whatever_importing_a_module_loads_is_in_its_closure(module: str) -> None:
    ours_only = "m.__file__ for n, m in sys.modules.items() if n.startswith('strokewise.')"
    code = f"import sys, strokewise.{module}; print('\\n'.join({ours_only}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    ours = {Path(line) for line in loaded.split()}
    exempt = {sources.PACKAGE / f"{name}.py" for name in (*sources.EXEMPT, "wording")}
    rooms = {path for path in ours if path.name == "__init__.py"}
    assert ours - exempt - rooms <= set(sources.closure(module))


def test_the_digest_tells_every_changed_byte_and_every_moved_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "PACKAGE", tmp_path)
    (tmp_path / "a.py").write_text("from strokewise import b\n")
    (tmp_path / "b.py").write_text("import os\n")
    (tmp_path / "c.py").write_text("import sys\n")
    first = sources.digest("a")
    (tmp_path / "c.py").write_text("changed, but nobody imports it\n")
    assert sources.digest("a") == first
    (tmp_path / "b.py").write_text("import os  # changed\n")
    second = sources.digest("a")
    assert second != first
    (tmp_path / "a.py").write_text("from strokewise.b import path\n")
    assert sources.digest("a") not in {first, second}


def test_empty_packages_stay_empty() -> None:
    for room in sources.PACKAGE.iterdir():
        if room.is_dir() and (room / "__init__.py").exists():
            assert not (room / "__init__.py").read_text().strip(), "the closure does not read a room's __init__"


def test_an_unknown_module_is_our_mistake() -> None:
    with pytest.raises(FileNotFoundError):
        sources.closure("no.such.module")
