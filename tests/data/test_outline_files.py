"""The outlines beside the paintings."""

from pathlib import Path

import pytest

from strokewise.data.outline_files import OUTLINES_FILE, read_outlines
from strokewise.errors import DatasetError


def test_outlines_are_read_by_shape_and_variant(tmp_path: Path) -> None:
    (tmp_path / OUTLINES_FILE).write_text('{"cross": {"plus": "<svg>✚</svg>"}}', encoding="utf-8")
    assert read_outlines(tmp_path) == {"cross": {"plus": "<svg>✚</svg>"}}


def test_paintings_from_elsewhere_have_none(tmp_path: Path) -> None:
    assert read_outlines(tmp_path / "nowhere") == {}


@pytest.mark.parametrize("content", [b"{", b"[1]", b'{"cross": 5}', b"[" * 100_000, b"\xff\xfe\x00"])
def test_damaged_file_raises_dataset_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / OUTLINES_FILE).write_bytes(content)
    with pytest.raises(DatasetError, match="is damaged; run `strokewise generate`"):
        read_outlines(tmp_path)
