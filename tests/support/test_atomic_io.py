"""Files and folders are replaced as a whole or not at all."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from strokewise.support import atomic_io


def test_file_and_folder_are_replaced(tmp_path: Path) -> None:
    for _ in range(2):
        with atomic_io.atomic_replace(tmp_path / "folder") as new_path:
            new_path.mkdir()
            (new_path / "a").write_text("new")
        atomic_io.write_text(tmp_path / "file", "new")
    assert (tmp_path / "folder" / "a").read_text() == "new"
    assert (tmp_path / "file").read_text() == "new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_failure_in_the_block_leaves_the_old_folder_and_nothing_else(tmp_path: Path, error: BaseException) -> None:
    def write_half_and_fail() -> None:
        with atomic_io.atomic_replace(tmp_path / "folder") as new_path:
            new_path.mkdir()
            (new_path / "half").write_text("written")
            raise error

    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a").write_text("old")
    with pytest.raises(type(error)):
        write_half_and_fail()
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")] == ["folder", "folder/a"]


def test_file_never_replaces_a_folder(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a").write_text("old")
    with pytest.raises(IsADirectoryError, match="folder"):
        atomic_io.write_text(tmp_path / "folder", "new")
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")] == ["folder", "folder/a"]


def test_old_folder_is_restored_if_the_second_rename_is_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    def replace_folder() -> None:
        with atomic_io.atomic_replace(tmp_path / "folder") as new_path:
            new_path.mkdir()

    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a").write_text("old")
    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        replace_folder()
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")] == ["folder", "folder/a"]


def test_temp_dir_of_a_killed_process_is_removed_and_that_of_a_running_one_is_not(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from strokewise.support import atomic_io\n"
        "with atomic_io.atomic_replace(Path('folder')) as new_path:\n"
        "    new_path.mkdir(); print(new_path, flush=True); sys.stdin.read()"
    )
    (tmp_path / ".folder.mine").mkdir()  # no temporary folder of ours
    running = subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert running.stdout is not None
    temp_path = tmp_path / running.stdout.readline().strip()
    atomic_io.write_text(tmp_path / "folder", "another's")
    assert temp_path.is_dir()
    running.kill()
    running.communicate()
    assert temp_path.is_dir()
    atomic_io.write_text(tmp_path / "folder", "a third's")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".folder.mine", "folder"]


def test_folder_in_which_nothing_can_be_created_raises_permission_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deleted = tmp_path / "deleted"
    deleted.mkdir()
    monkeypatch.chdir(deleted)
    deleted.rmdir()
    for path in (Path("file"), deleted.relative_to(tmp_path) / "file"):
        with pytest.raises(PermissionError, match="nothing can be made in this folder"), atomic_io.atomic_replace(path):
            pytest.fail("it was created")
    assert not atomic_io._temp_dirs, "nothing is left to remove"


def test_write_json_gives_equal_bytes_for_equal_values_and_refuses_nan(tmp_path: Path) -> None:
    atomic_io.write_json(tmp_path / "a", {"b": 1, "a": [0.1]})
    atomic_io.write_json(tmp_path / "b", {"a": [0.1], "b": 1})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert json.loads((tmp_path / "a").read_text()) == {"a": [0.1], "b": 1}
    with pytest.raises(ValueError, match="Out of range float"):
        atomic_io.write_json(tmp_path / "a", {"x": float("nan")})
    assert json.loads((tmp_path / "a").read_text()) == {"a": [0.1], "b": 1}


@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_what_is_no_file_is_never_replaced(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "target"
    with socket.socket(socket.AF_UNIX) as listener:
        os.mkfifo(path) if kind == "pipe" else listener.bind(str(path))
        before = path.stat().st_mode
        with pytest.raises(FileExistsError, match="neither a file nor a folder"):
            atomic_io.write_text(path, "text")
        link = tmp_path / "link"
        link.symlink_to(path)
        with pytest.raises(FileExistsError, match="neither a file nor a folder"):
            atomic_io.replaceable(link)
        assert path.stat().st_mode == before


def test_link_is_replaced_unless_it_is_followed_on_purpose(tmp_path: Path) -> None:
    target, link = tmp_path / "cache" / "object", tmp_path / "link"
    target.parent.mkdir()
    target.write_text("kept")
    link.symlink_to(target)
    assert atomic_io.replaceable(link) == target.resolve()
    atomic_io.write_text(atomic_io.replaceable(link), "new")
    assert (link.is_symlink(), target.read_text()) == (True, "new")
    atomic_io.write_text(link, "own")  # as a stage does, whose output may be a link into DVC's cache
    assert (link.is_symlink(), link.read_text(), target.read_text()) == (False, "own", "new")
    dangling = tmp_path / "dangling"
    dangling.symlink_to(tmp_path / "later")
    atomic_io.write_text(atomic_io.replaceable(dangling), "there")
    assert (tmp_path / "later").read_text() == "there"


def test_mount_point_is_refused_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert os.path.ismount("/proc")
    with pytest.raises(OSError, match="a mount point, which cannot be replaced"):
        atomic_io.replaceable(Path("/proc"))
    monkeypatch.setattr(os.path, "ismount", lambda path: Path(path) == tmp_path / "model")
    (tmp_path / "model").mkdir()
    with pytest.raises(OSError, match="a mount point"), atomic_io.atomic_replace(tmp_path / "model"):
        pytest.fail("the work began")


def test_link_that_leads_to_itself_is_refused(tmp_path: Path) -> None:
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    for name in ("one", "two"):
        with pytest.raises(OSError, match="a link that leads to itself"):
            atomic_io.replaceable(tmp_path / name)
    (tmp_path / "dangling").symlink_to("nowhere")
    assert atomic_io.replaceable(tmp_path / "dangling") == (tmp_path / "nowhere").resolve()
