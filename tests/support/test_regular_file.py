"""Reading what may be no file: at once, or an error."""

import os
import socket
from pathlib import Path

import pytest

from strokewise.support.regular_file import read_regular


def test_file_up_to_the_limit_is_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    (tmp_path / "link").symlink_to(path)
    assert read_regular(path, 5) == read_regular(tmp_path / "link", 9) == b"12345"
    with pytest.raises(ValueError, match="more than 4 bytes"):
        read_regular(path, 4)
    os.truncate(path, 2**42)  # sparse
    with pytest.raises(ValueError, match="more than 1,000 bytes"):
        read_regular(path, 1000)


def test_what_is_no_file_raises_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        for name in ("pipe", "folder", "socket", "/dev/zero"):
            with pytest.raises(ValueError, match="it is no file"):
                read_regular(tmp_path / name, 1000)
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OSError, match="symbolic links"):
        read_regular(tmp_path / "loop", 1000)
    with pytest.raises(FileNotFoundError):
        read_regular(tmp_path / "nowhere", 1000)
