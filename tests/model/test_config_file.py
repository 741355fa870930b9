"""config.json: any change is found, and strange files are refused in one line, at once."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from strokewise.errors import ModelError
from strokewise.model import config_file
from strokewise.model.config_file import check_shape_names, read_config, write_config

CONFIG = {"shapes": ["circle", "cross"], "fingerprint": "f", "network": {"activation": "relu"}}


def test_what_was_written_is_read(tmp_path: Path) -> None:
    written = write_config(tmp_path, CONFIG)
    assert read_config(tmp_path) == written
    assert {name: value for name, value in written.items() if name != "digest"} == CONFIG


@pytest.mark.parametrize(
    "change",
    [
        {"shapes": ["cross", "circle"]},
        {"fingerprint": "g"},
        {"network": {"activation": "silu"}},
        {"digest": "0" * 64},
        {"digest": None},
        {"more": 1},
    ],
    ids=str,
)
def test_any_change_is_found(change: dict[str, Any], tmp_path: Path) -> None:
    config = write_config(tmp_path, CONFIG)
    (tmp_path / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(ModelError, match=r"config.json is damaged or of another version: it is not as it was written"):
        read_config(tmp_path)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"3", b'{"shapes": []}', b"[" * 100_000, b'{"a":' * 50_000, b"\xff\xfe", b"1" * 10_000, b"null"],
    ids=lambda content: content[:12],
)
def test_strange_json_is_refused_in_one_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(ModelError, match="damaged or of another version") as caught:
        read_config(tmp_path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400 + len(str(tmp_path))


@pytest.mark.parametrize(
    "names",
    [[], "circle", {"a": 1}, [1, 2], ["a", "a"], ["a", ""], ["a", "b\x1b[31m"], ["a" * 101], ["a", None], ["a"] * 1001],
    ids=lambda names: str(names)[:20],
)
def test_names_that_cannot_be_are_refused(names: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="shape"):
        check_shape_names(names)
    write_config(tmp_path, CONFIG | {"shapes": names})
    with pytest.raises(ModelError, match="shape"):
        read_config(tmp_path)


def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"config.json is missing; run `strokewise baseline`"):
        read_config(tmp_path, "baseline")
    os.mkfifo(tmp_path / "config.json")  # reading it would block
    with pytest.raises(ModelError, match=r"config.json is no file"):
        read_config(tmp_path)
    (tmp_path / "config.json").unlink()
    (tmp_path / "config.json").mkdir()
    with pytest.raises(ModelError, match=r"config.json is no file"):
        read_config(tmp_path)


def test_size_is_checked_before_reading(tmp_path: Path) -> None:
    with (tmp_path / "config.json").open("wb") as file:
        file.truncate(2**40)  # sparse
    with pytest.raises(ModelError, match=r"1,099,511,627,776 bytes, 1,048,576 are allowed"):
        read_config(tmp_path)
    with pytest.raises(ModelError, match=f"{config_file.MAX_MODEL_BYTES:,} are allowed"):
        config_file.read_model_file(tmp_path / "config.json", "train")
