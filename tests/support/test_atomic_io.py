"""Whole or not there."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from strokewise.support import atomic_io
from strokewise.support.paths import project_root


def test_a_file_and_a_folder_are_replaced_whole(tmp_path: Path) -> None:
    for _ in range(2):
        with atomic_io.atomic_replace(tmp_path / "folder") as fresh:
            fresh.mkdir()
            (fresh / "a").write_text("new")
        atomic_io.write_text(tmp_path / "file", "new")
    assert (tmp_path / "folder" / "a").read_text() == "new"
    assert (tmp_path / "file").read_text() == "new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


@pytest.mark.parametrize("mistake", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_after_a_failure_the_old_stands_and_nothing_else_is_left(tmp_path: Path, mistake: BaseException) -> None:
    def fail_half_way() -> None:
        with atomic_io.atomic_replace(tmp_path / "folder") as fresh:
            fresh.mkdir()
            (fresh / "half").write_text("written")
            raise mistake

    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a").write_text("old")
    with pytest.raises(type(mistake)):
        fail_half_way()
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")] == ["folder", "folder/a"]


def test_a_file_never_takes_the_place_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a").write_text("old")
    with pytest.raises(IsADirectoryError, match="folder"):
        atomic_io.write_text(tmp_path / "folder", "new")
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")] == ["folder", "folder/a"]


def test_what_stood_there_comes_back_if_nothing_can_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    def replace_it() -> None:
        with atomic_io.atomic_replace(tmp_path / "folder") as fresh:
            fresh.mkdir()

    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a").write_text("old")
    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        replace_it()
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")] == ["folder", "folder/a"]


def test_what_a_killed_process_left_is_cleared_away_and_what_a_living_one_writes_is_not(tmp_path: Path) -> None:
    begin = (
        "import os, sys; from pathlib import Path; from strokewise import disk\n"
        "with disk.replacing(Path('folder')) as fresh:\n"
        "    fresh.mkdir(); print(fresh, flush=True); sys.stdin.read()"
    )
    (tmp_path / ".folder.mine").mkdir()  # not ours
    running = subprocess.Popen(
        [sys.executable, "-c", begin], cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert running.stdout is not None
    begun = tmp_path / running.stdout.readline().strip()
    atomic_io.write_text(tmp_path / "folder", "another's")
    assert begun.is_dir()
    running.kill()
    running.communicate()
    assert begun.is_dir()
    atomic_io.write_text(tmp_path / "folder", "a third's")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".folder.mine", "folder"]


def test_a_folder_in_which_nothing_can_be_made_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    for path in (Path("file"), gone.relative_to(tmp_path) / "file"):
        with pytest.raises(PermissionError, match="nothing can be made in this folder"), atomic_io.atomic_replace(path):
            pytest.fail("it was made")
    assert not atomic_io._temp_dirs, "nothing is left to clear away"


def test_json_has_the_same_bytes_for_the_same_value_and_refuses_what_json_has_no_word_for(tmp_path: Path) -> None:
    atomic_io.write_json(tmp_path / "a", {"b": 1, "a": [0.1]})
    atomic_io.write_json(tmp_path / "b", {"a": [0.1], "b": 1})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert json.loads((tmp_path / "a").read_text()) == {"a": [0.1], "b": 1}
    with pytest.raises(ValueError, match="Out of range float"):
        atomic_io.write_json(tmp_path / "a", {"x": float("nan")})
    assert json.loads((tmp_path / "a").read_text()) == {"a": [0.1], "b": 1}


def test_home_is_the_checkout_that_dvc_was_called_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert project_root() == tmp_path
    monkeypatch.setenv("DVC_ROOT", "/somewhere/else")
    assert project_root() == Path("/somewhere/else")
