"""Loading a split: paintings come back in order and to the pixel, and missing or damaged shards are reported."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from strokewise.data.dataset import load_factors, load_paintings, load_scenes, split_digest
from strokewise.errors import DatasetError
from strokewise.preprocessing.preprocess import preprocess


def test_load_paintings_returns_all_paintings_in_order(
    paintings: Path, make_scene: Callable[[int], np.ndarray]
) -> None:
    split = load_paintings("train", 32, paintings)
    assert split.pictures.shape == (100, 32, 32)
    assert split.shapes == ("blob", "ring")
    assert split.labels.dtype == np.int64
    np.testing.assert_array_equal(split.labels, np.arange(100) % 2)
    for index in (0, 14, 15, 39, 40, 99):
        np.testing.assert_array_equal(split.pictures[index], preprocess(make_scene(index), 32))


def test_load_scenes_is_lossless_and_keeps_the_given_order(
    paintings: Path, make_scene: Callable[[int], np.ndarray]
) -> None:
    indices = [99, 0, 41, 0]
    for index, scene in zip(indices, load_scenes("train", indices, paintings), strict=True):
        np.testing.assert_array_equal(scene, make_scene(index))
    assert load_scenes("train", [], paintings) == []
    with pytest.raises(DatasetError, match=r"holds paintings 0 to 99; asked for 5\.\.100"):
        load_scenes("train", [5, 100], paintings)


def test_load_factors_returns_one_column_per_factor(paintings: Path) -> None:
    factors = load_factors("train", paintings)
    assert list(factors) == ["radius", "turns", "filled", "pen"]
    np.testing.assert_array_equal(factors["turns"], np.arange(100))
    np.testing.assert_array_equal(factors["radius"], 8.5 + np.arange(100) % 20)
    assert factors["filled"].dtype == bool
    assert factors["pen"][5] == "pen 1"


def test_split_digest_covers_names_and_bytes_of_the_shards(paintings: Path) -> None:
    expected = hashlib.sha256()
    for path in sorted((paintings / "train").iterdir()):
        expected.update(f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    assert split_digest("train", paintings) == expected.hexdigest() == load_paintings("train", 16, paintings).digest


def test_missing_split_raises_dataset_error_naming_the_command(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no paintings in .*train; run `strokewise generate`"):
        load_paintings("train", 16, tmp_path)


def test_missing_shard_raises_dataset_error(paintings: Path) -> None:
    (paintings / "train" / "00001.parquet").unlink()
    with pytest.raises(DatasetError, match=r"has 00002.parquet where 00001.parquet belongs"):
        load_paintings("train", 16, paintings)


def test_corrupt_pixels_raise_dataset_error(paintings: Path) -> None:
    path = paintings / "train" / "00001.parquet"
    content = bytearray(path.read_bytes())
    offset = content.index(b"IDAT", 2000)
    content[offset : offset + 60] = bytes(60)
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=r"painting \d+ of train cannot be used .*; delete|00001.parquet is damaged"):
        load_paintings("train", 16, paintings)


def test_shards_of_other_shapes_or_sizes_raise_dataset_error(paintings: Path, write_rows: Callable[..., None]) -> None:
    path = paintings / "train" / "00001.parquet"
    write_rows(path, 40, 80, shapes=("blob", "square"))
    with pytest.raises(DatasetError, match=r"00001.parquet has other shapes or factors than 00000.parquet"):
        load_paintings("train", 16, paintings)
    write_rows(path, 40, 70)
    with pytest.raises(DatasetError, match=r"00001.parquet holds 30 paintings instead of 40"):
        load_paintings("train", 16, paintings)


def test_shard_in_the_wrong_split_or_position_raises_dataset_error(paintings: Path) -> None:
    shutil.copytree(paintings / "train", paintings / "test")
    with pytest.raises(DatasetError, match=r"belongs elsewhere: train-00000000.png is in it"):
        load_paintings("test", 16, paintings)
    shutil.copy(paintings / "train" / "00000.parquet", paintings / "train" / "00001.parquet")
    with pytest.raises(DatasetError, match=r"00001.parquet belongs elsewhere: train-00000000.png is in it"):
        load_paintings("train", 16, paintings)
