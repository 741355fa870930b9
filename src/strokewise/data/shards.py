"""Paintings on disk: a split is a folder of Parquet shards, in the convention of Hugging Face's `datasets`.

    data/paintings/<split>/00000.parquet, 00001.parquet, ...   `ROWS_PER_SHARD` paintings each; the last may hold fewer

Columns: `image` struct{bytes, path} (a PNG of any size), `label` int64 (index into the list of shapes in the schema of
every shard), and one column for each factor of the synthesis. Images are neither encoded nor decoded here.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from strokewise.data.parquet_pages import largest_page
from strokewise.errors import DatasetError, one_line
from strokewise.support import atomic_io

SPLITS = ("train", "validation", "test")
ROWS_PER_SHARD = 1000
ROW_GROUP_LIMITS = 200, 2**25  # rows of a row group and bytes of their images: it ends at whichever is reached first
ARROW_TYPES = {float: pa.float64(), int: pa.int64(), bool: pa.bool_(), str: pa.string()}
IMAGE_TYPE = pa.struct({"bytes": pa.binary(), "path": pa.string()})
REGENERATE_HINT = "delete it and run `strokewise generate`"


@dataclass(frozen=True)
class PaintingRow:
    """A painting as it is stored: an encoded image, the label, and the factors by name."""

    image: bytes
    label: int
    factors: Mapping[str, Any]


@dataclass(frozen=True)
class ShardFile:
    """A shard as its footer describes it. No file stays open, as there may be thousands."""

    path: Path
    schema: pa.Schema
    groups: tuple[int, ...]
    """Number of rows of each row group."""

    @property
    def rows(self) -> int:
        """Number of rows."""
        return sum(self.groups)


def write_shard(path: Path, rows: Iterable[PaintingRow], shapes: Sequence[str], factors: Mapping[str, type]) -> None:
    """Write a shard atomically, with one row group in memory at a time. Equal rows give equal bytes.

    Args:
        path: <split>/<number>.parquet; split and number become part of the images' names.
        rows: The paintings of this shard.
        shapes: Names of the labels.
        factors: Type of each factor by name: float, int, bool or str.
    """
    schema = _shard_schema(shapes, factors)
    index = int(path.stem) * ROWS_PER_SHARD
    with (
        atomic_io.atomic_replace(path) as temp_path,
        # no statistics of the images: they would repeat whole images
        pq.ParquetWriter(temp_path, schema, compression="snappy", write_statistics=["label", *factors]) as writer,
    ):
        for group in _row_groups(rows):
            names = [image_name(path.parent.name, index + offset) for offset in range(len(group))]
            table = {
                "image": [{"bytes": row.image, "path": name} for row, name in zip(group, names, strict=True)],
                "label": [row.label for row in group],
                **{name: [row.factors[name] for row in group] for name in factors},
            }
            writer.write_table(pa.table(table, schema=schema))
            index += len(group)


def _shard_schema(shapes: Sequence[str], factors: Mapping[str, type]) -> pa.Schema:
    """The schema of a shard, with the features that `datasets.load_dataset` and the Hugging Face viewer read."""
    fields = {"image": IMAGE_TYPE, "label": pa.int64(), **{name: ARROW_TYPES[kind] for name, kind in factors.items()}}
    features = {
        "image": {"_type": "Image"},
        "label": {"_type": "ClassLabel", "names": list(shapes)},
        **{name: {"_type": "Value", "dtype": _feature_dtype(fields[name])} for name in factors},
    }
    return pa.schema(fields, metadata={"huggingface": json.dumps({"info": {"features": features}})})


def _feature_dtype(arrow_type: pa.DataType) -> str:
    return "float64" if arrow_type == pa.float64() else str(arrow_type)  # Arrow's own name is "double"


def _row_groups(rows: Iterable[PaintingRow]) -> Iterator[list[PaintingRow]]:
    """Collect rows into groups that respect `ROW_GROUP_LIMITS`."""
    max_rows, max_bytes = ROW_GROUP_LIMITS
    group: list[PaintingRow] = []
    size = 0
    for row in rows:
        group.append(row)
        size += len(row.image)
        if len(group) == max_rows or size >= max_bytes:
            yield group
            group, size = [], 0
    if group:
        yield group


def read_columns(path: Path) -> dict[str, NDArray[Any]]:
    """The label and the factors of a shard by name, each an array (n,). Raises DatasetError if it is damaged."""
    shard = open_shard(path)
    table = read_shard(shard, [name for name in shard.schema.names if name != "image"])
    return {name: table[name].to_numpy() for name in table.column_names}


def count_rows(path: Path) -> int:
    """The number of rows of a shard. Raises DatasetError if it is damaged."""
    return open_shard(path).rows


def open_shard(path: Path) -> ShardFile:
    """Read the footer of a shard. Raises DatasetError if it is damaged or not a shard of paintings."""
    if not path.is_file():  # reading a pipe would block
        raise DatasetError(f"{path} is no file; {REGENERATE_HINT}")
    try:
        footer = pq.read_metadata(path)
        schema = footer.schema.to_arrow_schema()
    except MemoryError:  # pyarrow's is an ArrowException, too
        raise
    except (OSError, pa.ArrowException) as error:
        raise _damaged_error(path, error) from None
    if not shapes_in_schema(schema) or "image" not in schema.names or schema.field("image").type != IMAGE_TYPE:
        raise DatasetError(f"{path} holds no paintings of strokewise; {REGENERATE_HINT}")
    return ShardFile(path, schema, tuple(footer.row_group(number).num_rows for number in range(footer.num_row_groups)))


def shapes_in_schema(schema: pa.Schema) -> tuple[str, ...]:
    """The names of the labels in the schema of a shard; empty for any other schema."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return tuple(str(name) for name in features["label"]["names"])
    except (KeyError, TypeError, ValueError, RecursionError):
        return ()


def read_shard(shard: ShardFile, names: list[str], group: int | None = None) -> pa.Table:
    """The columns `names` of a shard or of one of its row groups. Raises DatasetError if it is damaged."""
    try:
        with pq.ParquetFile(shard.path) as file:
            largest_page(shard.path, file.metadata, names, group)  # refuses a page that would fill memory
            return file.read(names) if group is None else file.read_row_group(group, names)
    except MemoryError:
        raise
    except (OSError, ValueError, pa.ArrowException) as error:
        raise _damaged_error(shard.path, error) from None


def _damaged_error(path: Path, error: Exception) -> DatasetError:
    return DatasetError(f"{path} is damaged ({one_line(error, limit=120)}); {REGENERATE_HINT}")


def image_name(split: str, index: int) -> str:
    """The name of a stored image: the split and the index of its painting."""
    return f"{split}-{index:08d}.png"
