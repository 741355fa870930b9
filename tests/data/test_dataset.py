"""Paintings on disk: what was written comes back, the same bytes every time, and damage is named."""

import hashlib
import io
import shutil
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from strokewise.data import dataset
from strokewise.data.dataset import load_factors, load_paintings, load_scenes, split_digest
from strokewise.data.png import encode_png
from strokewise.data.shards import PaintingRow, write_shard
from strokewise.errors import DatasetError
from strokewise.preprocessing.preprocess import preprocess

SHAPES = ("blob", "ring")
FACTORS = {"radius": float, "turns": int, "filled": bool, "pen": str}


def scene(index: int) -> np.ndarray:
    """A disc or a ring, grey or in colour, of a size that its index gives."""
    page = np.full((64, 64) if index % 3 else (64, 64, 3), 240, np.uint8)
    cv2.circle(page, (32, 32), 8 + index % 20, (30, 30, 90) if page.ndim == 3 else 30, -1 if index % 2 == 0 else 3)
    return page


def rows(start: int, stop: int) -> Iterator[PaintingRow]:
    for index in range(start, stop):
        factors = {"radius": 8 + index % 20 + 0.5, "turns": index, "filled": index % 2 == 0, "pen": f"pen {index % 4}"}
        yield PaintingRow(encode_png(scene(index)), index % 2, factors)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A train split of two and a half small shards, written with fewer rows a shard than usual."""
    folder = tmp_path_factory.mktemp("paintings")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dataset, "ROWS", 40)
        patch.setattr(dataset, "GROUP", (15, 2**25))
        for number in range(3):
            path = folder / "train" / f"{number:05d}.parquet"
            write_shard(path, rows(number * 40, min(100, number * 40 + 40)), SHAPES, FACTORS)
    return folder


@pytest.fixture
def paintings(written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of them that a test may damage."""
    monkeypatch.setattr(dataset, "ROWS", 40)
    return Path(shutil.copytree(written, tmp_path / "paintings"))


def test_what_was_written_comes_back_in_order(paintings: Path) -> None:
    split = load_paintings("train", 32, paintings)
    assert split.pictures.shape == (100, 32, 32)
    assert split.shapes == SHAPES
    assert split.labels.dtype == np.int64
    np.testing.assert_array_equal(split.labels, np.arange(100) % 2)
    for index in (0, 14, 15, 39, 40, 99):
        np.testing.assert_array_equal(split.pictures[index], preprocess(scene(index), 32))


def test_scenes_come_back_to_the_pixel_in_any_order(paintings: Path) -> None:
    wanted = [99, 0, 41, 0]
    for index, found in zip(wanted, load_scenes("train", wanted, paintings), strict=True):
        np.testing.assert_array_equal(found, scene(index))
    assert load_scenes("train", [], paintings) == []
    with pytest.raises(DatasetError, match=r"holds paintings 0 to 99; asked for 5\.\.100"):
        load_scenes("train", [5, 100], paintings)


def test_factors_are_columns(paintings: Path) -> None:
    factors = load_factors("train", paintings)
    assert list(factors) == list(FACTORS)
    np.testing.assert_array_equal(factors["turns"], np.arange(100))
    np.testing.assert_array_equal(factors["radius"], 8.5 + np.arange(100) % 20)
    assert factors["filled"].dtype == bool
    assert factors["pen"][5] == "pen 1"


def test_the_same_rows_are_the_same_bytes_and_the_digest_is_of_the_bytes(paintings: Path, tmp_path: Path) -> None:
    again = tmp_path / "again" / "train" / "00001.parquet"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dataset, "GROUP", (15, 2**25))
        write_shard(again, rows(40, 80), SHAPES, FACTORS)
    assert again.read_bytes() == (paintings / "train" / "00001.parquet").read_bytes()
    expected = hashlib.sha256()
    for path in sorted((paintings / "train").iterdir()):
        expected.update(f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    assert split_digest("train", paintings) == expected.hexdigest() == load_paintings("train", 16, paintings).digest


def test_groups_hold_no_more_bytes_than_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = len(next(rows(0, 1)).image)
    monkeypatch.setattr(dataset, "GROUP", (100, 5 * size))
    path = tmp_path / "train" / "00000.parquet"
    write_shard(path, rows(0, 30), SHAPES, FACTORS)
    assert pq.read_metadata(path).num_row_groups >= 5


def test_an_interrupted_shard_leaves_nothing(tmp_path: Path) -> None:
    def broken() -> Iterator[PaintingRow]:
        yield from rows(0, 5)
        raise KeyboardInterrupt

    path = tmp_path / "train" / "00000.parquet"
    with pytest.raises(KeyboardInterrupt):
        write_shard(path, broken(), SHAPES, FACTORS)
    assert list(path.parent.iterdir()) == []


def test_pillow_reads_the_images(paintings: Path) -> None:
    table = pq.read_table(paintings / "train" / "00000.parquet")
    image = table["image"][3].as_py()
    assert image["path"] == "train-00000003.png"
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(image["bytes"])).convert("RGB")), scene(3))


def test_missing_paintings_say_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no paintings in .*train; run `strokewise generate`"):
        load_paintings("train", 16, tmp_path)


def test_a_missing_shard_is_named(paintings: Path) -> None:
    (paintings / "train" / "00001.parquet").unlink()
    with pytest.raises(DatasetError, match=r"has 00002.parquet where 00001.parquet belongs"):
        load_paintings("train", 16, paintings)


@pytest.mark.parametrize("cut", [0, 3, 100, 2000])
def test_a_truncated_shard_is_named(paintings: Path, cut: int) -> None:
    path = paintings / "train" / "00001.parquet"
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(DatasetError, match=r"00001.parquet is damaged \(.*; delete it and run") as caught:
        load_paintings("train", 16, paintings)
    assert "\n" not in str(caught.value)


def test_scrambled_pixels_are_named(paintings: Path) -> None:
    path = paintings / "train" / "00001.parquet"
    content = bytearray(path.read_bytes())
    place = content.index(b"IDAT", 2000)
    content[place : place + 60] = bytes(60)
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=r"painting \d+ of train cannot be used .*; delete|00001.parquet is damaged"):
        load_paintings("train", 16, paintings)


def test_a_foreign_file_is_named(paintings: Path) -> None:
    path = paintings / "train" / "00000.parquet"
    table = pq.read_table(path)
    pq.write_table(table.drop_columns(["image"]), path)
    with pytest.raises(DatasetError, match=r"00000.parquet holds no paintings of strokewise"):
        load_paintings("train", 16, paintings)
    pq.write_table(table.replace_schema_metadata({}), path)
    with pytest.raises(DatasetError, match=r"00000.parquet holds no paintings of strokewise"):
        load_factors("train", paintings)


def test_shards_of_other_shapes_or_sizes_are_named(paintings: Path) -> None:
    path = paintings / "train" / "00001.parquet"
    write_shard(path, rows(40, 80), ("blob", "square"), FACTORS)
    with pytest.raises(DatasetError, match=r"00001.parquet has other shapes or factors than 00000.parquet"):
        load_paintings("train", 16, paintings)
    write_shard(path, rows(40, 70), SHAPES, FACTORS)
    with pytest.raises(DatasetError, match=r"00001.parquet holds 30 paintings instead of 40"):
        load_paintings("train", 16, paintings)


def test_a_shard_in_the_wrong_split_or_place_is_named(paintings: Path) -> None:
    shutil.copytree(paintings / "train", paintings / "test")
    with pytest.raises(DatasetError, match=r"belongs elsewhere: train-00000000.png is in it"):
        load_paintings("test", 16, paintings)
    shutil.copy(paintings / "train" / "00000.parquet", paintings / "train" / "00001.parquet")
    with pytest.raises(DatasetError, match=r"00001.parquet belongs elsewhere: train-00000000.png is in it"):
        load_paintings("train", 16, paintings)


@pytest.mark.slow
def test_hugging_face_opens_it_with_images_and_class_names(
    paintings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    datasets = pytest.importorskip("datasets")
    shutil.copytree(paintings / "train", paintings / "validation")
    opened = datasets.load_dataset(str(paintings), cache_dir=str(tmp_path / "cache"))
    assert set(opened) == {"train", "validation"}
    train = opened["train"]
    assert train.features["label"].names == list(SHAPES)
    assert train.num_rows == 100
    assert set(train.column_names) == {"image", "label", *FACTORS}
    np.testing.assert_array_equal(np.asarray(train[4]["image"]), scene(4))
    assert train.features["label"].int2str(train[5]["label"]) == "ring"
