"""A collection of drawings → its items one by one: a name for messages, a label, and the picture.

    a folder with a sub-folder a shape          a .csv with the columns path and shape, paths beside it
    a .parquet, or a folder of them             a .npy of Quick, Draw! bitmaps (N, 784), all of one shape

Parquet is read in the convention of Hugging Face's `Image`. Nothing is decoded here, and no pickle is loaded.
"""

import csv
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from strokewise.errors import DatasetError, one_line

PARQUET_BATCH = 64  # rows of a Parquet file in memory
COLLECTION_KINDS = "a folder with one sub-folder a shape, a .csv (path,shape), a .parquet or a .npy of bitmaps (N, 784)"


@dataclass(frozen=True)
class CollectionItem:
    """A drawing as it is in the collection; `picture` is None if its row holds none."""

    name: str
    label: str
    picture: Path | bytes | NDArray[np.uint8] | None


@dataclass(frozen=True)
class Collection:
    """`total` items, which are read while iterating over them."""

    total: int
    items: Iterable[CollectionItem]


def read_collection(source: Path, shape: str | None) -> Collection:
    """Open the collection in the file or folder `source`.

    `shape` is the label of all its items, for a .npy or a folder of pictures.

    Raises DatasetError if it is none of the supported kinds, is damaged, or lacks a column.
    """
    if not source.exists():
        raise DatasetError(f"there is no {source}; name {COLLECTION_KINDS}")
    if source.is_dir():
        shards = sorted(source.glob("*.parquet"))
        return _read_parquet(shards) if shards else _read_folder(source, shape)
    kind = source.suffix.lower()
    if kind == ".npy":
        return _read_bitmaps(source, shape)
    if shape is not None:
        raise DatasetError(f"--shape is for a .npy or a folder of pictures; {source} names the shapes itself")
    if kind == ".csv":
        return _read_csv(source)
    if kind == ".parquet":
        return _read_parquet([source])
    raise DatasetError(f"{source} is no collection of drawings; name {COLLECTION_KINDS}")


def _read_folder(source: Path, shape: str | None) -> Collection:
    files = sorted((path.relative_to(source), path) for path in source.rglob("*") if path.is_file())
    items = [
        CollectionItem(str(path), shape or (name.parts[0] if len(name.parts) > 1 else ""), path)
        for name, path in files
        if not any(part.startswith(".") for part in name.parts)
    ]
    return Collection(len(items), items)


def _read_csv(source: Path) -> Collection:
    try:
        with source.open(newline="", encoding="utf-8-sig") as lines:
            table = csv.DictReader(lines)
            if not {"path", "shape"} <= set(table.fieldnames or ()):
                raise DatasetError(f"{source} has the columns {table.fieldnames}; it needs path and shape")
            rows = [(row["path"] or "", row["shape"] or "") for row in table]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{source} cannot be read: {error}; give a CSV in UTF-8") from None
    return Collection(len(rows), (CollectionItem(path, shape, source.parent / path) for path, shape in rows))


def _read_bitmaps(source: Path, shape: str | None) -> Collection:
    if shape is None:
        raise DatasetError(f"{source} does not say what it shows; add --shape, say --shape ellipse")
    try:
        bitmaps = np.load(source, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DatasetError(f"{source} cannot be read: {one_line(error)}; get it again") from None
    side = int(np.sqrt(bitmaps[0].size)) if bitmaps.ndim in (2, 3) and len(bitmaps) else 0
    if bitmaps.dtype != np.uint8 or not side or bitmaps.shape[1:] not in {(side * side,), (side, side)}:
        raise DatasetError(f"{source} holds {bitmaps.dtype} {bitmaps.shape}; it must hold uint8 (N, 784) bitmaps")
    items = (
        CollectionItem(f"{source} row {row}", shape, np.array(bitmap).reshape(side, side))
        for row, bitmap in enumerate(bitmaps)
    )
    return Collection(len(bitmaps), items)


def _read_parquet(paths: list[Path]) -> Collection:
    try:
        footers = [pq.read_metadata(path) for path in paths]
        schemas = [footer.schema.to_arrow_schema() for footer in footers]
        columns = [_find_columns(path, schema) for path, schema in zip(paths, schemas, strict=True)]
    except (OSError, pa.ArrowException) as error:
        raise DatasetError(f"{paths[0].parent} cannot be read: {one_line(error)}") from None
    items = (item for path, names in zip(paths, columns, strict=True) for item in _parquet_items(path, *names))
    return Collection(sum(footer.num_rows for footer in footers), items)


def _parquet_items(
    path: Path, image_column: str, label_column: str, class_names: list[str]
) -> Iterator[CollectionItem]:
    row = 0
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(PARQUET_BATCH, columns=[image_column, label_column]):
                cells = zip(batch[image_column].to_pylist(), batch[label_column].to_pylist(), strict=True)
                for image, value in cells:
                    label = _label_text(value, class_names)
                    yield CollectionItem(f"{path} row {row}", label, _cell_picture(path, image))
                    row += 1
    except (OSError, pa.ArrowException) as error:
        raise DatasetError(f"{path} is damaged at row {row}: {one_line(error)}") from None


def _label_text(value: Any, class_names: list[str]) -> str:
    """The label of a cell, a text or an index into `class_names`; "" if it is null or out of range."""
    if value is None:
        return ""
    if not class_names:
        return str(value)
    return class_names[value] if 0 <= value < len(class_names) else ""


def _cell_picture(path: Path, cell: Any) -> Path | bytes | None:
    if isinstance(cell, dict):
        return cell.get("bytes") or (path.parent / cell["path"] if cell.get("path") else None)
    return cell if isinstance(cell, bytes) else None


def _find_columns(path: Path, schema: pa.Schema) -> tuple[str, str, list[str]]:
    """The image column, the label column, and the names of the classes if labels are numbers."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        kinds = {name: feature.get("_type") for name, feature in features.items()}
    except (KeyError, TypeError, ValueError, AttributeError):
        features, kinds = {}, {}
    image = next((name for name, kind in kinds.items() if kind == "Image"), "image")
    label = next((name for name, kind in kinds.items() if kind == "ClassLabel"), "label")
    if missing := {image, label} - set(schema.names):
        raise DatasetError(f"{path} has no column {' and no '.join(sorted(missing))}; it has {', '.join(schema.names)}")
    class_names = [str(name) for name in features.get(label, {}).get("names", [])]
    if pa.types.is_integer(schema.field(label).type) != bool(class_names):
        raise DatasetError(
            f"{path}: the column {label} holds {schema.field(label).type} and its schema {len(class_names)} class"
            " names; labels are text, or numbers with names in the schema as `datasets` writes them"
        )
    return image, label, class_names
