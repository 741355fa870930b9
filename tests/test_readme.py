"""The README is true: every command in it runs or is excused with a reason, and its map names every file."""

import re
from pathlib import Path

import pytest

RUN_BY_THE_PIPELINE_TEST = [
    "dvc exp run -S train.epochs=40",
    "dvc exp show",
    "mkdir data/outlines/house",
    "cp house.svg data/outlines/house/front.svg",
    "dvc repro",
    "strokewise predict drawing.png",
]
EXCUSED = {
    "make repro": "sets up an environment from the registry: minutes; its parts are `make test` and `dvc repro`",
    "make test": "is what runs this",
    "strokewise ui": "serves until it is stopped: tests/registry starts it, asks it and stops it",
}


def commands(root: Path) -> list[str]:
    """The lines of the README's shell blocks, without their comments."""
    blocks = re.findall(r"```sh\n(.*?)```", (root / "README.md").read_text(), re.DOTALL)
    return [line.split("  #")[0].strip() for block in blocks for line in block.splitlines() if line.strip()]


def test_every_command_is_run_or_excused(root: Path) -> None:
    assert sorted(set(commands(root))) == sorted([*RUN_BY_THE_PIPELINE_TEST, *EXCUSED])


def test_the_map_names_every_file_of_the_package(root: Path) -> None:
    package = root / "src" / "strokewise"
    files = {path.relative_to(package).as_posix() for path in package.rglob("*.py") if path.name != "__init__.py"}
    named = re.findall(r"^\| `([\w/]+\.py)` \|", (root / "README.md").read_text(), re.MULTILINE)
    assert sorted(named) == sorted(files - {"__main__.py"})


def test_every_path_in_the_readme_exists_or_is_made(root: Path) -> None:
    text = (root / "README.md").read_text()
    made = ("data/paintings", "data/report", "data/outlines/house")
    for path in re.findall(r"`((?:data|src|tests)/[\w/.-]+)`", text) + re.findall(r"\]\(([^)#:]+)\)", text):
        assert path.startswith(made) or (root / path).exists(), path


def test_the_python_example_is_python(root: Path) -> None:
    for block in re.findall(r"```python\n(.*?)```", (root / "README.md").read_text(), re.DOTALL):
        compile(block, "README.md", "exec")


@pytest.mark.parametrize("command", EXCUSED)
def test_every_excuse_has_a_reason(command: str) -> None:
    assert len(EXCUSED[command].split()) > 3
