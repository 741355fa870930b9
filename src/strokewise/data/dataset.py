"""The paintings of a split → pictures uint8 (N, G, G), labels, scenes as painted, and the factors that were drawn."""

import hashlib
import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from strokewise.data.shards import (
    REGENERATE_HINT,
    ROWS_PER_SHARD,
    ShardFile,
    image_name,
    open_shard,
    read_columns,
    read_shard,
    shapes_in_schema,
)
from strokewise.errors import DatasetError, PictureError
from strokewise.preprocessing.decode import decode
from strokewise.preprocessing.preprocess import preprocess
from strokewise.support.paths import PAINTINGS_DIR


@dataclass(frozen=True)
class Split:
    """A split as it is learned or judged: pictures uint8 (N, G, G), labels int64 (N,), shapes by label, digest."""

    pictures: NDArray[np.uint8]
    labels: NDArray[np.int64]
    shapes: tuple[str, ...]
    digest: str


def load_paintings(split: str, image_size: int, folder: Path = PAINTINGS_DIR) -> Split:
    """All pictures of a split through the door, on all cores; in the order in which they were painted.

    Raises DatasetError if shards are missing, damaged, foreign or of other shapes than each other.
    """
    shards = _open_shards(split, folder)
    total = sum(shard.rows for shard in shards)
    found = np.empty((total, image_size, image_size), np.uint8)
    labels = np.empty(total, np.int64)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        waiting: deque[Future[None]] = deque()
        for start, group in _read_groups(split, shards):
            labels[start : start + len(group)] = group["label"].to_numpy()
            waiting.append(pool.submit(_preprocess_group, found, start, group["image"], split))
            if len(waiting) > 16:  # groups in memory
                waiting.popleft().result()
        for last in waiting:
            last.result()
    shapes = shapes_in_schema(shards[0].schema)
    if labels.min() < 0 or labels.max() >= len(shapes):
        raise DatasetError(f"{folder / split} has labels that no shape belongs to; {REGENERATE_HINT}")
    return Split(found, labels, shapes, split_digest(split, folder))


def subset_per_shape(labels: NDArray[np.int64], each: int) -> NDArray[np.intp]:
    """Where the first `each` paintings of every shape stand, in order: a larger subset begins with the smaller."""
    rank = np.empty(len(labels), np.intp)  # how many of its shape come before
    for shape in np.unique(labels):
        rank[labels == shape] = np.arange(np.count_nonzero(labels == shape))
    return np.flatnonzero(rank < each)


def load_scenes(split: str, indices: Sequence[int], folder: Path = PAINTINGS_DIR) -> list[NDArray[np.uint8]]:
    """The paintings with these indices as painted, each uint8 (H, W) or (H, W, 3), in the order asked for."""
    wanted = {int(index) for index in indices}
    found: dict[int, NDArray[np.uint8]] = {}
    shards = _open_shards(split, folder)
    total = sum(shard.rows for shard in shards)
    if wanted and not 0 <= min(wanted) <= max(wanted) < total:
        raise DatasetError(f"{folder / split} holds paintings 0 to {total - 1}; asked for {min(wanted)}..{max(wanted)}")
    for start, group in _read_groups(split, shards, wanted):
        for index in wanted & set(range(start, start + len(group))):
            found[index] = decode(group["image"][index - start]["bytes"].as_py())
    return [found[int(index)] for index in indices]


def load_factors(split: str, folder: Path = PAINTINGS_DIR) -> dict[str, NDArray[Any]]:
    """Every factor that was drawn, by name: an array (N,) of float64, int64, bool or text."""
    parts = [read_columns(shard.path) for shard in _open_shards(split, folder)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0] if name != "label"}


def split_digest(split: str, folder: Path = PAINTINGS_DIR) -> str:
    """SHA-256 over the names and bytes of a split's shards."""
    total = hashlib.sha256()
    for path in _shard_paths(split, folder):
        with path.open("rb") as file:
            total.update(f"{path.name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return total.hexdigest()


def _shard_paths(split: str, folder: Path) -> list[Path]:
    found = sorted((folder / split).glob("*.parquet"))
    if not found:
        raise DatasetError(f"no paintings in {folder / split}; run `strokewise generate` (or `dvc repro`) first")
    for number, path in enumerate(found):
        if path.name != f"{number:05d}.parquet":
            raise DatasetError(
                f"{folder / split} has {path.name} where {number:05d}.parquet belongs; {REGENERATE_HINT}"
            )
    return found


def _open_shards(split: str, folder: Path) -> list[ShardFile]:
    """A split's shards in order, each seen to belong to the first."""
    shards = [open_shard(path) for path in _shard_paths(split, folder)]
    for shard in shards:
        if not shard.schema.equals(shards[0].schema, check_metadata=True):
            raise DatasetError(
                f"{shard.path} has other shapes or factors than {shards[0].path.name}; {REGENERATE_HINT}"
            )
        if shard.rows != ROWS_PER_SHARD and shard is not shards[-1]:
            raise DatasetError(
                f"{shard.path} holds {shard.rows} paintings instead of {ROWS_PER_SHARD}; {REGENERATE_HINT}"
            )
    return shards


def _read_groups(split: str, shards: list[ShardFile], wanted: set[int] | None = None) -> Iterator[tuple[int, pa.Table]]:
    """Groups of rows, each with the index of its first; only those that hold a `wanted` index."""
    start = 0
    for shard in shards:
        for number, rows in enumerate(shard.groups):
            if wanted is None or not wanted.isdisjoint(range(start, start + rows)):
                group = read_shard(shard, ["image", "label"], number)
                if (name := group["image"][0]["path"].as_py()) != image_name(split, start):
                    raise DatasetError(f"{shard.path} belongs elsewhere: {name} is in it; {REGENERATE_HINT}")
                yield start, group
            start += rows


def _preprocess_group(found: NDArray[np.uint8], start: int, images: pa.ChunkedArray, split: str) -> None:
    """Let a group of encoded images through the door, into `found` from `start` on."""
    for at, image in enumerate(images, start):
        try:
            found[at] = preprocess(image["bytes"].as_py() or b"", found.shape[1])
        except PictureError as error:
            told = f"painting {at} of {split} cannot be used ({error})"
            raise DatasetError(f"{told}; delete the folder of {split} and run `strokewise generate`") from None
