"""`strokewise init`: what is laid out, what is refused, and that nothing stays after a failure.

`test_wheel.py` runs the pipeline of such a project.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from strokewise import code_digest, project
from strokewise.errors import ProjectError
from strokewise.support import resources


def read_yaml(text: str) -> dict[str, Any]:
    content: dict[str, Any] = YAML(typ="safe").load(text)
    return content


@pytest.fixture
def ours(root: Path) -> str:
    return (root / "dvc.yaml").read_text()


def test_pipeline_has_the_stages_of_ours_with_a_digest_instead_of_source(ours: str) -> None:
    laid_out, expected = read_yaml(project.project_pipeline(ours)), read_yaml(ours)
    code = laid_out["stages"].pop("code")
    for name, stage in expected["stages"].items():
        stage["deps"] = sorted([dep for dep in stage["deps"] if not dep.startswith("src/")] + [f"data/code/{name}"])
    assert laid_out["stages"] == expected["stages"]
    assert laid_out["plots"] == expected["plots"]
    assert code["always_changed"]
    assert code["outs"] == [f"data/code/{name}" for name in expected["stages"]]


def test_pipeline_does_not_name_our_source_and_stays_readable(ours: str) -> None:
    text = project.project_pipeline(ours)
    assert "src" not in text
    kept = [line for line in ours.partition("\nstages:\n")[2].splitlines() if "- src/" not in line]
    assert set(kept) <= set(text.splitlines())  # quotes, comments and layout


def test_digests_are_written_for_every_stage_and_repeatable(tmp_path: Path, ours: str) -> None:
    for folder in (tmp_path / "a", tmp_path / "b"):
        project.write_code_digests(folder)
    digests = {path.name: path.read_text() for path in (tmp_path / "a").iterdir()}
    assert sorted(digests) == sorted(read_yaml(ours)["stages"])
    assert len(set(digests.values())) == len(digests)
    assert digests == {path.name: path.read_text() for path in (tmp_path / "b").iterdir()}


def test_digest_covers_code_and_other_files_but_no_comment(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "strokewise"
    subprocess.run(["cp", "-r", code_digest.PACKAGE, package], check=True)
    monkeypatch.setattr(project, "PACKAGE", package)
    monkeypatch.setattr(code_digest, "PACKAGE", package)

    def changed(file: str, addition: str) -> set[str]:
        before, after = tmp_path / "before", tmp_path / "after"
        project.write_code_digests(before)
        with (package / file).open("a") as opened:
            opened.write(addition)
        project.write_code_digests(after)
        return {path.name for path in after.iterdir() if path.read_text() != (before / path.name).read_text()}

    assert changed("explain/page.py", "# a comment\n") == set()
    assert changed("explain/page.py", "EXTRA = 1\n") == {"explain"}
    assert changed("explain/templates/style.css", "p {}\n") == {"explain"}
    assert changed("training/trainer.py", "EXTRA = 1\n") == {"train"}
    assert "generate" in changed("synthesis/hand.py", "EXTRA = 1\n")
    assert changed("cli/app.py", "EXTRA = 1\n") == set()


@pytest.mark.slow
@pytest.mark.parametrize("prepared", ["missing", "empty", "git"])
def test_project_is_complete_and_staged(prepared: str, root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "my-shapes"
    if prepared != "missing":
        folder.mkdir(parents=True)
    if prepared == "git":
        subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    shapes = project.create_project(folder)
    assert shapes == sorted(path.name for path in (root / "data" / "outlines").iterdir())
    staged = subprocess.run(["git", "ls-files"], cwd=folder, capture_output=True, text=True, check=True).stdout
    expected = {path.as_posix() for path in resources.project_files(root)} | {"README.md", ".dvc/.gitignore"}
    assert set(staged.splitlines()) == expected
    assert {path.name for path in folder.iterdir()} == {name.split("/")[0] for name in expected} | {".git"}
    assert (folder / ".dvc" / "config").read_bytes() == (root / ".dvc" / "config").read_bytes()
    assert (folder / "params.yaml").read_bytes() == (root / "params.yaml").read_bytes()
    assert "# my-shapes" in (folder / "README.md").read_text()
    for made in ("data/code/train", "data/model/config.json", "mlflow.db", ".strokewise/lock"):
        assert subprocess.run(["git", "check-ignore", "--quiet", made], cwd=folder).returncode == 0
    command = [sys.executable, "-m", "dvc", "status", "--json"]
    status = read_yaml(subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout)
    assert status["generate"][0]["changed deps"]["data/code/generate"] == "deleted"  # a stage of its own makes it


def test_folder_that_is_not_empty_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ProjectError, match="is not empty; name a folder"):
        project.create_project(tmp_path)
    with pytest.raises(ProjectError, match="is a file; name a folder"):
        project.create_project(tmp_path / "mine.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_project_without_git_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ProjectError, match="git is not installed"):
        project.create_project(tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("existed", [False, True])
def test_nothing_stays_after_a_failure(existed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, programs = tmp_path / "new", tmp_path / "bin"
    programs.mkdir()
    (programs / "git").write_text("#!/bin/sh\necho no room >&2\nexit 1\n")
    (programs / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    if existed:
        folder.mkdir()
    with pytest.raises(ProjectError, match=r"git init failed in .*new: no room"):
        project.create_project(folder)
    assert folder.exists() == existed
    assert not existed or not list(folder.iterdir())


def test_missing_dvc_is_told_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(project, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError) as caught:
        project.create_project(tmp_path / "new")
    assert caught.value.name == "dvc"
