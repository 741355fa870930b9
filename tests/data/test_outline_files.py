"""The SVG files of the catalogue as text."""

from pathlib import Path

import pytest

from strokewise.data.outline_files import read_outline_files
from strokewise.errors import DatasetError


def test_files_are_read_by_shape_and_variant(tmp_path: Path) -> None:
    for name in ("cross/plus", "cross/latin", "house/front"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.svg").write_text(f"<svg>{name} ✚</svg>", encoding="utf-8")
    found = read_outline_files(("cross", "other"), tmp_path)
    assert found == {"cross": {"latin": "<svg>cross/latin ✚</svg>", "plus": "<svg>cross/plus ✚</svg>"}}
    assert list(found["cross"]) == ["latin", "plus"]
    assert read_outline_files(("cross",), tmp_path / "nowhere") == {}


def test_file_that_is_no_text_raises_dataset_error(tmp_path: Path) -> None:
    (tmp_path / "cross").mkdir()
    (tmp_path / "cross" / "plus.svg").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DatasetError, match="cannot be read"):
        read_outline_files(("cross",), tmp_path)
