"""Errors of the temporary folder are told from those of a project that lies in the same folder."""

import errno
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from strokewise.support.temp_folder import temp_folder_problem


@pytest.fixture(autouse=True)
def _temp_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def no_space(*paths: str) -> OSError:
    if len(paths) == 2:
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), paths[0], None, paths[1])
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), *paths)


def test_error_in_a_temporary_file_is_recognised(tmp_path: Path) -> None:
    inside = f"{tempfile.mkdtemp()}/model"
    for error in (no_space(inside), no_space("data/model", inside), shutil.Error([("a", inside, "no space")])):
        assert "set TMPDIR" in str(temp_folder_problem(error))


def test_error_elsewhere_is_not(tmp_path: Path) -> None:
    for path in (f"{tmp_path}/project/mlflow.db", "data/model", str(tmp_path / "tmp")):
        assert temp_folder_problem(no_space(path)) is None


def test_too_long_path_of_a_socket_is_recognised() -> None:
    assert "shorter" in str(temp_folder_problem(OSError("AF_UNIX path too long")))
