"""Paintings on disk: a split is a folder of Parquet shards, in the convention of Hugging Face's `datasets`.

    data/paintings/<split>/00000.parquet, 00001.parquet, ...   `ROWS_PER_SHARD` paintings each, the last may hold fewer

A row: `image` struct{bytes, path} (a PNG, any size), `label` int64 (the index of the shape in the list of shapes that
every shard's schema carries), and a column for each factor that was drawn. Nothing is decoded here.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from strokewise.errors import DatasetError
from strokewise.support import atomic_io

OTHER = "other"  # the shape of doodles: what is none of the others
SPLITS = ("train", "validation", "test")
ROWS_PER_SHARD = 1000  # paintings a shard
ROW_GROUP_LIMITS = 200, 2**25  # rows, and bytes of their images, that are in memory at a time: whichever is less
ARROW_TYPES = {float: pa.float64(), int: pa.int64(), bool: pa.bool_(), str: pa.string()}
IMAGE_TYPE = pa.struct({"bytes": pa.binary(), "path": pa.string()})
REGENERATE_HINT = "delete it and run `strokewise generate`"


@dataclass(frozen=True)
class PaintingRow:
    """A painting as it is stored: an encoded picture, the label, and the factors by name."""

    image: bytes
    label: int
    factors: Mapping[str, Any]


@dataclass(frozen=True)
class ShardFile:
    """A shard as its footer describes it; no file stays open, as there may be thousands."""

    path: Path
    schema: pa.Schema
    groups: tuple[int, ...]
    """Rows a group."""

    @property
    def rows(self) -> int:
        return sum(self.groups)


def shard_schema(shapes: Sequence[str], factors: Mapping[str, type]) -> pa.Schema:
    """The shards' schema, with the features that `datasets.load_dataset` and its viewer read."""
    fields = {"image": IMAGE_TYPE, "label": pa.int64(), **{name: ARROW_TYPES[kind] for name, kind in factors.items()}}
    features = {
        "image": {"_type": "Image"},
        "label": {"_type": "ClassLabel", "names": list(shapes)},
        **{name: {"_type": "Value", "dtype": _feature_dtype(fields[name])} for name in factors},
    }
    return pa.schema(fields, metadata={"huggingface": json.dumps({"info": {"features": features}})})


def write_shard(path: Path, rows: Iterable[PaintingRow], shapes: Sequence[str], factors: Mapping[str, type]) -> None:
    """Write the shard `path` (<split>/<number>.parquet), whole or not at all, a group of rows in memory at a time.

    The same rows give the same bytes.
    """
    layout = shard_schema(shapes, factors)
    index = int(path.stem) * ROWS_PER_SHARD
    measured = ["label", *factors]  # statistics of the images would hold whole images
    with (
        atomic_io.atomic_replace(path) as fresh,
        pq.ParquetWriter(fresh, layout, compression="snappy", write_statistics=measured) as writer,
    ):
        for group in _row_groups(rows):
            names = [image_name(path.parent.name, index + at) for at in range(len(group))]
            table = {
                "image": [{"bytes": row.image, "path": name} for row, name in zip(group, names, strict=True)],
                "label": [row.label for row in group],
                **{name: [row.factors[name] for row in group] for name in factors},
            }
            writer.write_table(pa.table(table, schema=layout))
            index += len(group)


def _row_groups(rows: Iterable[PaintingRow]) -> Iterator[list[PaintingRow]]:
    """Rows in groups of at most `ROW_GROUP_LIMITS`."""
    group: list[PaintingRow] = []
    size = 0
    for row in rows:
        group.append(row)
        size += len(row.image)
        if len(group) == ROW_GROUP_LIMITS[0] or size >= ROW_GROUP_LIMITS[1]:
            yield group
            group, size = [], 0
    if group:
        yield group


def read_columns(path: Path) -> dict[str, NDArray[Any]]:
    """The labels and factors of a shard by name, each an array (n,). Raises DatasetError if it is damaged."""
    shard = open_shard(path)
    table = read_shard(shard, [name for name in shard.schema.names if name != "image"])
    return {name: table[name].to_numpy() for name in table.column_names}


def count_rows(path: Path) -> int:
    """The number of rows of a shard. Raises DatasetError if it is damaged."""
    return open_shard(path).rows


def open_shard(path: Path) -> ShardFile:
    try:
        footer = pq.read_metadata(path)
        layout = footer.schema.to_arrow_schema()
    except (OSError, pa.ArrowException) as error:
        raise DatasetError(f"{path} is damaged ({_line(error)}); {REGENERATE_HINT}") from None
    if not shapes_in_schema(layout) or "image" not in layout.names or layout.field("image").type != IMAGE_TYPE:
        raise DatasetError(f"{path} holds no paintings of strokewise; {REGENERATE_HINT}")
    return ShardFile(path, layout, tuple(footer.row_group(number).num_rows for number in range(footer.num_row_groups)))


def shapes_in_schema(layout: pa.Schema) -> tuple[str, ...]:
    """The names of the labels that a shard's schema carries; none if it is not ours."""
    try:
        features = json.loads((layout.metadata or {})[b"huggingface"])["info"]["features"]
        return tuple(str(name) for name in features["label"]["names"])
    except (KeyError, TypeError, ValueError):
        return ()


def read_shard(shard: ShardFile, names: list[str], group: int | None = None) -> pa.Table:
    """All rows of a shard, or those of one group."""
    try:
        with pq.ParquetFile(shard.path) as file:
            return file.read(names) if group is None else file.read_row_group(group, names)
    except (OSError, pa.ArrowException) as error:
        raise DatasetError(f"{shard.path} is damaged ({_line(error)}); {REGENERATE_HINT}") from None


def image_name(split: str, index: int) -> str:
    return f"{split}-{index:08d}.png"


def _feature_dtype(kind: pa.DataType) -> str:
    return "float64" if kind == pa.float64() else str(kind)  # Arrow says "double"


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:120]
