"""Paintings on disk: a split is a folder of Parquet shards, in the convention of Hugging Face's `datasets`.

    data/paintings/<split>/00000.parquet, 00001.parquet, ...   `ROWS` paintings each, the last one maybe fewer

A row: `image` struct{bytes, path} (a PNG, any size), `label` int64 (the shape's place in the list of shapes that
every shard's schema carries), and a column for each factor that was drawn. In: rows and shards. Out: pictures,
uint8 (N, G, G), through the one door; scenes as painted; the factors; a digest over the shards' bytes.
"""

import hashlib
import json
import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from strokewise import disk, pictures
from strokewise.errors import DatasetError, PictureError

FOLDER = Path("data/paintings")
OTHER = "other"  # the shape of doodles: what is none of the others
SPLITS = ("train", "validation", "test")
ROWS = 1000  # paintings a shard
GROUP = 200, 2**25  # rows, and bytes of their images, that are in memory at a time: whichever is less
ARROW = {float: pa.float64(), int: pa.int64(), bool: pa.bool_(), str: pa.string()}
IMAGE = pa.struct({"bytes": pa.binary(), "path": pa.string()})
AGAIN = "delete it and run `strokewise generate`"


@dataclass(frozen=True)
class Row:
    """A painting as it is stored: an encoded picture, the label, and the factors by name."""

    image: bytes
    label: int
    factors: Mapping[str, Any]


@dataclass(frozen=True)
class Split:
    """A split as it is learned or judged: pictures uint8 (N, G, G), labels int64 (N,), shapes by label, digest."""

    pictures: NDArray[np.uint8]
    labels: NDArray[np.int64]
    shapes: tuple[str, ...]
    digest: str


@dataclass(frozen=True)
class _Shard:
    """A shard as its footer describes it; no file stays open, as there may be thousands."""

    path: Path
    schema: pa.Schema
    groups: tuple[int, ...]
    """Rows a group."""

    @property
    def rows(self) -> int:
        return sum(self.groups)


def schema(shapes: Sequence[str], factors: Mapping[str, type]) -> pa.Schema:
    """The shards' schema, with the features that `datasets.load_dataset` and its viewer read."""
    fields = {"image": IMAGE, "label": pa.int64(), **{name: ARROW[kind] for name, kind in factors.items()}}
    features = {
        "image": {"_type": "Image"},
        "label": {"_type": "ClassLabel", "names": list(shapes)},
        **{name: {"_type": "Value", "dtype": _value(fields[name])} for name in factors},
    }
    return pa.schema(fields, metadata={"huggingface": json.dumps({"info": {"features": features}})})


def write_shard(path: Path, rows: Iterable[Row], shapes: Sequence[str], factors: Mapping[str, type]) -> None:
    """Write the shard `path` (<split>/<number>.parquet), whole or not at all, a group of rows in memory at a time.

    The same rows give the same bytes.
    """
    layout = schema(shapes, factors)
    index = int(path.stem) * ROWS
    measured = ["label", *factors]  # statistics of the images would hold whole images
    with (
        disk.replacing(path) as fresh,
        pq.ParquetWriter(fresh, layout, compression="snappy", write_statistics=measured) as writer,
    ):
        for group in _grouped(rows):
            names = [_name(path.parent.name, index + at) for at in range(len(group))]
            table = {
                "image": [{"bytes": row.image, "path": name} for row, name in zip(group, names, strict=True)],
                "label": [row.label for row in group],
                **{name: [row.factors[name] for row in group] for name in factors},
            }
            writer.write_table(pa.table(table, schema=layout))
            index += len(group)


def _grouped(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Rows in groups of at most `GROUP`."""
    group: list[Row] = []
    size = 0
    for row in rows:
        group.append(row)
        size += len(row.image)
        if len(group) == GROUP[0] or size >= GROUP[1]:
            yield group
            group, size = [], 0
    if group:
        yield group


def load(split: str, grid: int, folder: Path = FOLDER) -> Split:
    """All pictures of a split through the door, on all cores; in the order in which they were painted.

    Raises DatasetError if shards are missing, damaged, foreign or of other shapes than each other.
    """
    shards = _shards(split, folder)
    total = sum(shard.rows for shard in shards)
    found = np.empty((total, grid, grid), np.uint8)
    labels = np.empty(total, np.int64)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        waiting: deque[Future[None]] = deque()
        for start, group in _groups(split, shards):
            labels[start : start + len(group)] = group["label"].to_numpy()
            waiting.append(pool.submit(_enter, found, start, group["image"], split))
            if len(waiting) > 16:  # groups in memory
                waiting.popleft().result()
        for last in waiting:
            last.result()
    shapes = _shapes(shards[0].schema)
    if labels.min() < 0 or labels.max() >= len(shapes):
        raise DatasetError(f"{folder / split} has labels that no shape belongs to; {AGAIN}")
    return Split(found, labels, shapes, digest(split, folder))


def first(labels: NDArray[np.int64], each: int) -> NDArray[np.intp]:
    """Where the first `each` paintings of every shape stand, in order: a larger subset begins with the smaller."""
    rank = np.empty(len(labels), np.intp)  # how many of its shape come before
    for shape in np.unique(labels):
        rank[labels == shape] = np.arange(np.count_nonzero(labels == shape))
    return np.flatnonzero(rank < each)


def scenes(split: str, indices: Sequence[int], folder: Path = FOLDER) -> list[NDArray[np.uint8]]:
    """The paintings with these indices as painted, each uint8 (H, W) or (H, W, 3), in the order asked for."""
    wanted = {int(index) for index in indices}
    found: dict[int, NDArray[np.uint8]] = {}
    shards = _shards(split, folder)
    total = sum(shard.rows for shard in shards)
    if wanted and not 0 <= min(wanted) <= max(wanted) < total:
        raise DatasetError(f"{folder / split} holds paintings 0 to {total - 1}; asked for {min(wanted)}..{max(wanted)}")
    for start, group in _groups(split, shards, wanted):
        for index in wanted & set(range(start, start + len(group))):
            found[index] = pictures.decode(group["image"][index - start]["bytes"].as_py())
    return [found[int(index)] for index in indices]


def factors(split: str, folder: Path = FOLDER) -> dict[str, NDArray[Any]]:
    """Every factor that was drawn, by name: an array (N,) of float64, int64, bool or text."""
    parts = [columns(shard.path) for shard in _shards(split, folder)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0] if name != "label"}


def columns(path: Path) -> dict[str, NDArray[Any]]:
    """The labels and factors of a shard by name, each an array (n,). Raises DatasetError if it is damaged."""
    shard = _shard(path)
    table = _read(shard, [name for name in shard.schema.names if name != "image"])
    return {name: table[name].to_numpy() for name in table.column_names}


def digest(split: str, folder: Path = FOLDER) -> str:
    """SHA-256 over the names and bytes of a split's shards."""
    total = hashlib.sha256()
    for path in _paths(split, folder):
        with path.open("rb") as file:
            total.update(f"{path.name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return total.hexdigest()


def count(path: Path) -> int:
    """The number of rows of a shard. Raises DatasetError if it is damaged."""
    return _shard(path).rows


def _paths(split: str, folder: Path) -> list[Path]:
    found = sorted((folder / split).glob("*.parquet"))
    if not found:
        raise DatasetError(f"no paintings in {folder / split}; run `strokewise generate` (or `dvc repro`) first")
    for number, path in enumerate(found):
        if path.name != f"{number:05d}.parquet":
            raise DatasetError(f"{folder / split} has {path.name} where {number:05d}.parquet belongs; {AGAIN}")
    return found


def _shards(split: str, folder: Path) -> list[_Shard]:
    """A split's shards in order, each seen to belong to the first."""
    shards = [_shard(path) for path in _paths(split, folder)]
    for shard in shards:
        if not shard.schema.equals(shards[0].schema, check_metadata=True):
            raise DatasetError(f"{shard.path} has other shapes or factors than {shards[0].path.name}; {AGAIN}")
        if shard.rows != ROWS and shard is not shards[-1]:
            raise DatasetError(f"{shard.path} holds {shard.rows} paintings instead of {ROWS}; {AGAIN}")
    return shards


def _shard(path: Path) -> _Shard:
    try:
        footer = pq.read_metadata(path)
        layout = footer.schema.to_arrow_schema()
    except (OSError, pa.ArrowException) as error:
        raise DatasetError(f"{path} is damaged ({_line(error)}); {AGAIN}") from None
    if not _shapes(layout) or "image" not in layout.names or layout.field("image").type != IMAGE:
        raise DatasetError(f"{path} holds no paintings of strokewise; {AGAIN}")
    return _Shard(path, layout, tuple(footer.row_group(number).num_rows for number in range(footer.num_row_groups)))


def _shapes(layout: pa.Schema) -> tuple[str, ...]:
    """The names of the labels that a shard's schema carries; none if it is not ours."""
    try:
        features = json.loads((layout.metadata or {})[b"huggingface"])["info"]["features"]
        return tuple(str(name) for name in features["label"]["names"])
    except (KeyError, TypeError, ValueError):
        return ()


def _groups(split: str, shards: list[_Shard], wanted: set[int] | None = None) -> Iterator[tuple[int, pa.Table]]:
    """Groups of rows, each with the index of its first; only those that hold a `wanted` index."""
    start = 0
    for shard in shards:
        for number, rows in enumerate(shard.groups):
            if wanted is None or not wanted.isdisjoint(range(start, start + rows)):
                group = _read(shard, ["image", "label"], number)
                if (name := group["image"][0]["path"].as_py()) != _name(split, start):
                    raise DatasetError(f"{shard.path} belongs elsewhere: {name} is in it; {AGAIN}")
                yield start, group
            start += rows


def _read(shard: _Shard, names: list[str], group: int | None = None) -> pa.Table:
    """All rows of a shard, or those of one group."""
    try:
        with pq.ParquetFile(shard.path) as file:
            return file.read(names) if group is None else file.read_row_group(group, names)
    except (OSError, pa.ArrowException) as error:
        raise DatasetError(f"{shard.path} is damaged ({_line(error)}); {AGAIN}") from None


def _enter(found: NDArray[np.uint8], start: int, images: pa.ChunkedArray, split: str) -> None:
    """Let a group of encoded images through the door, into `found` from `start` on."""
    for at, image in enumerate(images, start):
        try:
            found[at] = pictures.picture(image["bytes"].as_py() or b"", found.shape[1])
        except PictureError as error:
            told = f"painting {at} of {split} cannot be used ({error})"
            raise DatasetError(f"{told}; delete the folder of {split} and run `strokewise generate`") from None


def _name(split: str, index: int) -> str:
    return f"{split}-{index:08d}.png"


def _value(kind: pa.DataType) -> str:
    return "float64" if kind == pa.float64() else str(kind)  # Arrow says "double"


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:120]
