"""The README is true: its map names every file, its paths exist (pipeline/test_experiments.py runs its commands)."""

import re
from pathlib import Path


def test_every_excuse_is_still_needed(readme_commands: list[str], readme_excused: dict[str, str]) -> None:
    assert set(readme_excused) <= set(readme_commands)
    assert len(readme_commands) > 2 * len(readme_excused), "most are run by pipeline/test_experiments.py"


def test_the_map_names_every_file_of_the_package(root: Path) -> None:
    package = root / "src" / "strokewise"
    files = {path.relative_to(package).as_posix() for path in package.rglob("*.py") if path.name != "__init__.py"}
    named = re.findall(r"^\| `([\w/]+\.py)` \|", (root / "README.md").read_text(), re.MULTILINE)
    assert sorted(named) == sorted(files - {"__main__.py"})


def test_every_path_in_the_readme_exists_or_is_made(root: Path) -> None:
    text = (root / "README.md").read_text()
    made = ("data/paintings", "data/model", "data/report", "data/outlines/house")
    for path in re.findall(r"`((?:data|src|tests)/[\w/.-]+)`", text) + re.findall(r"\]\(([^)#:]+)\)", text):
        assert path.startswith(made) or (root / path).exists(), path


def test_the_python_example_is_python(root: Path) -> None:
    for block in re.findall(r"```python\n(.*?)```", (root / "README.md").read_text(), re.DOTALL):
        compile(block, "README.md", "exec")
