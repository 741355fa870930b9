"""Parquet shards: deterministic bytes, bounded memory, no partial files, readable by other tools, damage detected."""

import io
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from strokewise.data import parquet_pages, shards
from strokewise.data.dataset import load_factors, load_paintings
from strokewise.data.shards import PaintingRow, write_shard
from strokewise.errors import DatasetError


def test_equal_rows_give_equal_bytes(
    paintings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write_rows: Callable[..., None]
) -> None:
    monkeypatch.setattr(shards, "ROW_GROUP_LIMITS", (15, 2**25))
    copy = tmp_path / "copy" / "train" / "00001.parquet"
    write_rows(copy, 40, 80)
    assert copy.read_bytes() == (paintings / "train" / "00001.parquet").read_bytes()


def test_row_groups_hold_at_most_the_limit_in_bytes(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make_rows: Callable[[int, int], Iterator[PaintingRow]],
    write_rows: Callable[..., None],
) -> None:
    size = len(next(make_rows(0, 1)).image)
    monkeypatch.setattr(shards, "ROW_GROUP_LIMITS", (100, 5 * size))
    path = tmp_path / "train" / "00000.parquet"
    write_rows(path, 0, 30)
    assert pq.read_metadata(path).num_row_groups >= 5


def test_interrupted_write_leaves_no_file(
    tmp_path: Path, make_rows: Callable[[int, int], Iterator[PaintingRow]]
) -> None:
    def interrupted_rows() -> Iterator[PaintingRow]:
        yield from make_rows(0, 5)
        raise KeyboardInterrupt

    path = tmp_path / "train" / "00000.parquet"
    factors = {"radius": float, "turns": int, "filled": bool, "pen": str}
    with pytest.raises(KeyboardInterrupt):
        write_shard(path, interrupted_rows(), ("blob", "ring"), factors)
    assert list(path.parent.iterdir()) == []


def test_pillow_decodes_stored_images(paintings: Path, make_scene: Callable[[int], np.ndarray]) -> None:
    table = pq.read_table(paintings / "train" / "00000.parquet")
    image = table["image"][3].as_py()
    assert image["path"] == "train-00000003.png"
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(image["bytes"])).convert("RGB")), make_scene(3))


@pytest.mark.parametrize("size", [0, 3, 100, 2000])
def test_truncated_shard_raises_dataset_error(paintings: Path, size: int) -> None:
    path = paintings / "train" / "00001.parquet"
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(DatasetError, match=r"00001.parquet is damaged \(.*; delete it and run") as caught:
        load_paintings("train", 16, paintings)
    assert "\n" not in str(caught.value)


def test_foreign_parquet_file_raises_dataset_error(paintings: Path) -> None:
    path = paintings / "train" / "00000.parquet"
    table = pq.read_table(path)
    pq.write_table(table.drop_columns(["image"]), path)
    with pytest.raises(DatasetError, match=r"00000.parquet holds no paintings of strokewise"):
        load_paintings("train", 16, paintings)
    pq.write_table(table.replace_schema_metadata({}), path)
    with pytest.raises(DatasetError, match=r"00000.parquet holds no paintings of strokewise"):
        load_factors("train", paintings)


@pytest.mark.slow
def test_hugging_face_loads_images_and_class_names(
    paintings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_scene: Callable[[int], np.ndarray]
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    datasets = pytest.importorskip("datasets")
    shutil.copytree(paintings / "train", paintings / "validation")
    loaded = datasets.load_dataset(str(paintings), cache_dir=str(tmp_path / "cache"))
    assert set(loaded) == {"train", "validation"}
    train = loaded["train"]
    assert train.features["label"].names == ["blob", "ring"]
    assert train.num_rows == 100
    assert set(train.column_names) == {"image", "label", "radius", "turns", "filled", "pen"}
    np.testing.assert_array_equal(np.asarray(train[4]["image"]), make_scene(4))
    assert train.features["label"].int2str(train[5]["label"]) == "ring"


def test_page_that_would_fill_memory_raises_dataset_error(paintings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_pages, "MAX_PAGE_BYTES", 1000)
    with pytest.raises(DatasetError, match=r"00000.parquet is damaged \(a page of it holds [0-9,]+ bytes, 1,000 are"):
        load_paintings("train", 16, paintings)


@pytest.mark.parametrize("name", ["read_metadata", "ParquetFile"])
def test_lack_of_memory_is_not_reported_as_damage(name: str, paintings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path) -> None:
        raise pa.ArrowMemoryError("malloc of size 1 failed")

    monkeypatch.setattr(pq, name, fail)
    with pytest.raises(MemoryError):
        load_paintings("train", 16, paintings)


def test_pipe_in_the_place_of_a_shard_raises_dataset_error(paintings: Path) -> None:
    path = paintings / "train" / "00001.parquet"
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(DatasetError, match=r"00001.parquet is no file; delete it and run"):
        load_paintings("train", 16, paintings)
