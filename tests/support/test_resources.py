"""The files of a new project, in a checkout; `test_wheel.py` looks for them in an installed wheel."""

import subprocess
from pathlib import Path

import pytest

from strokewise.support import resources


def test_a_checkout_is_its_own_template(root: Path) -> None:
    assert resources.template_dir() == root


def test_project_files_hold_all_outlines_and_nothing_that_git_ignores(root: Path) -> None:
    files = {path.as_posix() for path in resources.project_files(root)}
    tracked = subprocess.run(["git", "ls-files"], cwd=root, capture_output=True, text=True, check=True).stdout
    outlines = {name for name in tracked.splitlines() if name.startswith("data/outlines/")}
    assert outlines
    assert outlines <= files <= set(tracked.splitlines())


def test_missing_project_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no dvc\.yaml in"):
        resources.project_files(tmp_path)
