"""A small train split: 100 discs and rings in shards of 40, row groups of 15."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from strokewise.data import dataset, shards
from strokewise.data.png import encode_png
from strokewise.data.shards import PaintingRow, write_shard

SHAPES = ("blob", "ring")
FACTORS = {"radius": float, "turns": int, "filled": bool, "pen": str}
ROWS_PER_SHARD = 40


@pytest.fixture(scope="session")
def make_scene() -> Callable[[int], np.ndarray]:
    """make_scene(index): a disc or a ring, grey or RGB, whose size depends on its index."""

    def scene(index: int) -> np.ndarray:
        page = np.full((64, 64) if index % 3 else (64, 64, 3), 240, np.uint8)
        cv2.circle(page, (32, 32), 8 + index % 20, (30, 30, 90) if page.ndim == 3 else 30, -1 if index % 2 == 0 else 3)
        return page

    return scene


@pytest.fixture(scope="session")
def make_rows(make_scene: Callable[[int], np.ndarray]) -> Callable[[int, int], Iterator[PaintingRow]]:
    """make_rows(start, stop): the rows with these indices, encoded, labelled and with their factors."""

    def rows(start: int, stop: int) -> Iterator[PaintingRow]:
        for index in range(start, stop):
            factors = {
                "radius": 8 + index % 20 + 0.5,
                "turns": index,
                "filled": index % 2 == 0,
                "pen": f"pen {index % 4}",
            }
            yield PaintingRow(encode_png(make_scene(index)), index % 2, factors)

    return rows


@pytest.fixture(scope="session")
def write_rows(make_rows: Callable[[int, int], Iterator[PaintingRow]]) -> Callable[..., None]:
    """write_rows(path, start, stop): write these rows as the shard `path`."""

    def write(path: Path, start: int, stop: int, shapes: Sequence[str] = SHAPES) -> None:
        write_shard(path, make_rows(start, stop), shapes, FACTORS)

    return write


@pytest.fixture(scope="session")
def written_paintings(tmp_path_factory: pytest.TempPathFactory, write_rows: Callable[..., None]) -> Path:
    """A folder with a train split of three shards, the last one not full."""
    folder = tmp_path_factory.mktemp("paintings")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "ROWS_PER_SHARD", ROWS_PER_SHARD)
        patch.setattr(shards, "ROW_GROUP_LIMITS", (15, 2**25))
        for number in range(3):
            start = number * ROWS_PER_SHARD
            write_rows(folder / "train" / f"{number:05d}.parquet", start, min(100, start + ROWS_PER_SHARD))
    return folder


@pytest.fixture
def paintings(written_paintings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that folder which a test may damage; shards hold 40 paintings while it runs."""
    for module in (shards, dataset):
        monkeypatch.setattr(module, "ROWS_PER_SHARD", ROWS_PER_SHARD)
    return Path(shutil.copytree(written_paintings, tmp_path / "paintings"))
