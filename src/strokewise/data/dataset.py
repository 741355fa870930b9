"""The Parquet shards of a split → pictures uint8 (N, G, G), labels, scenes as painted, and factors.

Only a few row groups are in memory at a time; their pictures are preprocessed in a pool of threads.
"""

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

MAX_PENDING_GROUPS = 16  # row groups that wait in memory for a thread


@dataclass(frozen=True)
class Split:
    """A labelled set of pictures, ready for training or evaluation."""

    pictures: NDArray[np.uint8]
    """(N, G, G), 0 = bare paper, 255 = full ink."""
    labels: NDArray[np.int64]
    """(N,), each an index into `shapes`."""
    shapes: tuple[str, ...]
    digest: str
    """SHA-256 of the files that it was read from."""


def load_paintings(split: str, image_size: int, folder: Path = PAINTINGS_DIR) -> Split:
    """Load and preprocess all paintings of a split, in the order in which they were painted, on all cores.

    Args:
        split: The split's name, a folder within `folder`.
        image_size: Side of the pictures in pixels.
        folder: Where the paintings lie.

    Raises DatasetError if shards are missing, damaged, not the project's, or differ in their shapes or factors.
    """
    shards = _open_shards(split, folder)
    total = sum(shard.rows for shard in shards)
    pictures = np.empty((total, image_size, image_size), np.uint8)
    labels = np.empty(total, np.int64)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        pending: deque[Future[None]] = deque()
        for start, group in _read_groups(split, shards):
            labels[start : start + len(group)] = group["label"].to_numpy()
            pending.append(pool.submit(_preprocess_group, pictures, start, group["image"], split))
            if len(pending) > MAX_PENDING_GROUPS:
                pending.popleft().result()
        for future in pending:
            future.result()
    shapes = shapes_in_schema(shards[0].schema)
    if labels.min() < 0 or labels.max() >= len(shapes):
        raise DatasetError(f"{folder / split} has labels that no shape belongs to; {REGENERATE_HINT}")
    return Split(pictures, labels, shapes, split_digest(split, folder))


def subset_per_shape(labels: NDArray[np.int64], count: int) -> NDArray[np.intp]:
    """Indices of the first `count` paintings of every shape, ascending: a larger subset contains the smaller."""
    rank = np.empty(len(labels), np.intp)  # the number of earlier paintings of the same shape
    for shape in np.unique(labels):
        rank[labels == shape] = np.arange(np.count_nonzero(labels == shape))
    return np.flatnonzero(rank < count)


def load_scenes(split: str, indices: Sequence[int], folder: Path = PAINTINGS_DIR) -> list[NDArray[np.uint8]]:
    """Load paintings as painted, each uint8 (H, W) or (H, W, 3) RGB, in the order of `indices`.

    Raises DatasetError if an index is out of range, or shards are missing or damaged.
    """
    wanted = {int(index) for index in indices}
    scenes: dict[int, NDArray[np.uint8]] = {}
    shards = _open_shards(split, folder)
    total = sum(shard.rows for shard in shards)
    if wanted and not 0 <= min(wanted) <= max(wanted) < total:
        raise DatasetError(f"{folder / split} holds paintings 0 to {total - 1}; asked for {min(wanted)}..{max(wanted)}")
    for start, group in _read_groups(split, shards, wanted):
        for index in wanted & set(range(start, start + len(group))):
            scenes[index] = decode(group["image"][index - start]["bytes"].as_py())
    return [scenes[int(index)] for index in indices]


def load_factors(split: str, folder: Path = PAINTINGS_DIR) -> dict[str, NDArray[Any]]:
    """Load the factors of a split by name, each an array (N,) of float64, int64, bool or text."""
    parts = [read_columns(shard.path) for shard in _open_shards(split, folder)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0] if name != "label"}


def split_digest(split: str, folder: Path = PAINTINGS_DIR) -> str:
    """SHA-256 over the names and bytes of a split's shards."""
    digest = hashlib.sha256()
    for path in _shard_paths(split, folder):
        with path.open("rb") as file:
            digest.update(f"{path.name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()


def _shard_paths(split: str, folder: Path) -> list[Path]:
    """Paths of a split's shards in order. Raises DatasetError if there are none, or one is missing."""
    paths = sorted((folder / split).glob("*.parquet"))
    if not paths:
        raise DatasetError(f"no paintings in {folder / split}; run `strokewise generate` (or `dvc repro`) first")
    for number, path in enumerate(paths):
        expected = f"{number:05d}.parquet"
        if path.name != expected:
            raise DatasetError(f"{folder / split} has {path.name} where {expected} belongs; {REGENERATE_HINT}")
        if not path.is_file():  # reading a pipe would block
            raise DatasetError(f"{path} is no file; {REGENERATE_HINT}")
    return paths


def _open_shards(split: str, folder: Path) -> list[ShardFile]:
    """Open a split's shards in order. Raises DatasetError if one does not match the first."""
    shards = [open_shard(path) for path in _shard_paths(split, folder)]
    first = shards[0]
    for shard in shards:
        if not shard.schema.equals(first.schema, check_metadata=True):
            raise DatasetError(f"{shard.path} has other shapes or factors than {first.path.name}; {REGENERATE_HINT}")
        if shard.rows != ROWS_PER_SHARD and shard is not shards[-1]:
            raise DatasetError(
                f"{shard.path} holds {shard.rows} paintings instead of {ROWS_PER_SHARD}; {REGENERATE_HINT}"
            )
    return shards


def _read_groups(split: str, shards: list[ShardFile], wanted: set[int] | None = None) -> Iterator[tuple[int, pa.Table]]:
    """Yield row groups, each with the index of its first row; only those with a `wanted` index, if given."""
    start = 0
    for shard in shards:
        for number, rows in enumerate(shard.groups):
            if wanted is None or not wanted.isdisjoint(range(start, start + rows)):
                group = read_shard(shard, ["image", "label"], number)
                if (name := group["image"][0]["path"].as_py()) != image_name(split, start):
                    raise DatasetError(f"{shard.path} belongs elsewhere: {name} is in it; {REGENERATE_HINT}")
                yield start, group
            start += rows


def _preprocess_group(pictures: NDArray[np.uint8], start: int, images: pa.ChunkedArray, split: str) -> None:
    """Preprocess a group of encoded images into `pictures`, from index `start` on."""
    for index, image in enumerate(images, start):
        try:
            pictures[index] = preprocess(image["bytes"].as_py() or b"", pictures.shape[1])
        except PictureError as error:
            raise DatasetError(
                f"painting {index} of {split} cannot be used ({error}); delete the folder of {split} and run"
                " `strokewise generate`"
            ) from None
