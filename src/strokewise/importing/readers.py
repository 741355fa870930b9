"""Somebody's collection of drawings -> items, one after the other: a name for messages, a label, and the picture.

    a folder with a sub-folder a shape          a .csv with the columns path and shape, paths beside it
    a .parquet, or a folder of them             a .npy of Quick, Draw! bitmaps (N, 784), all of one shape

Parquet is read in the convention of Hugging Face's `Image`. Nothing is decoded here, and no pickle is opened.
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

from strokewise.errors import DatasetError

PARQUET_BATCH = 64  # rows of a Parquet in memory
COLLECTION_KINDS = "a folder with one sub-folder a shape, a .csv (path,shape), a .parquet or a .npy of bitmaps (N, 784)"


@dataclass(frozen=True)
class CollectionItem:
    """A drawing as the collection has it; `picture` is None where the row holds none."""

    name: str
    label: str
    picture: Path | bytes | NDArray[np.uint8] | None


@dataclass(frozen=True)
class Collection:
    """`total` items, read as they are asked for."""

    total: int
    items: Iterable[CollectionItem]


def read_collection(source: Path, shape: str | None) -> Collection:
    """What `source` holds; `shape` is the label of all of it, where it has none of its own.

    Raises DatasetError, one line, for what is none of the kinds, damaged, or lacks its columns.
    """
    kind = source.suffix.lower()
    if not source.exists():
        raise DatasetError(f"there is no {source}; name {COLLECTION_KINDS}")
    if source.is_dir():
        shards = sorted(source.glob("*.parquet"))
        return _read_parquet(shards) if shards else _read_folder(source, shape)
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
    inside = sorted((path.relative_to(source), path) for path in source.rglob("*") if path.is_file())
    shown = [(name, path) for name, path in inside if not any(part.startswith(".") for part in name.parts)]
    labels = [shape or (name.parts[0] if len(name.parts) > 1 else "") for name, _ in shown]
    return Collection(
        len(shown), (CollectionItem(str(path), label, path) for (_, path), label in zip(shown, labels, strict=True))
    )


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
        found = np.load(source, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DatasetError(f"{source} cannot be read: {' '.join(str(error).split())[:120]}; get it again") from None
    side = int(np.sqrt(found[0].size)) if found.ndim in (2, 3) and len(found) else 0
    if found.dtype != np.uint8 or not side or found.shape[1:] not in {(side * side,), (side, side)}:
        raise DatasetError(f"{source} holds {found.dtype} {found.shape}; it must hold uint8 (N, 784) bitmaps")
    rows = (
        CollectionItem(f"{source} row {at}", shape, np.array(row).reshape(side, side)) for at, row in enumerate(found)
    )
    return Collection(len(found), rows)


def _read_parquet(paths: list[Path]) -> Collection:
    try:
        opened = [(path, pq.read_metadata(path)) for path in paths]
        columns = [_find_columns(path, footer.schema.to_arrow_schema()) for path, footer in opened]
    except (OSError, pa.ArrowException) as error:
        raise DatasetError(f"{paths[0].parent} cannot be read: {' '.join(str(error).split())[:120]}") from None
    total = sum(footer.num_rows for _, footer in opened)
    return Collection(
        total, (item for path, found in zip(paths, columns, strict=True) for item in _parquet_items(path, *found))
    )


def _parquet_items(path: Path, image: str, label: str, names: list[str]) -> Iterator[CollectionItem]:
    at = 0
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(PARQUET_BATCH, columns=[image, label]):
                for picture, value in zip(batch[image].to_pylist(), batch[label].to_pylist(), strict=True):
                    told = str(value) if value is not None and not names else ""
                    named = names[value] if names and value is not None and 0 <= value < len(names) else told
                    yield CollectionItem(f"{path} row {at}", named, _cell_picture(path, picture))
                    at += 1
    except (OSError, pa.ArrowException) as error:
        raise DatasetError(f"{path} is damaged at row {at}: {' '.join(str(error).split())[:120]}") from None


def _cell_picture(path: Path, cell: Any) -> Path | bytes | None:
    if isinstance(cell, dict):
        return cell.get("bytes") or (path.parent / cell["path"] if cell.get("path") else None)
    return cell if isinstance(cell, bytes) else None


def _find_columns(path: Path, layout: pa.Schema) -> tuple[str, str, list[str]]:
    """The image column, the label column, and the classes' names if labels are numbers."""
    try:
        features = json.loads((layout.metadata or {})[b"huggingface"])["info"]["features"]
        kinds = {name: described.get("_type") for name, described in features.items()}
    except (KeyError, TypeError, ValueError, AttributeError):
        features, kinds = {}, {}
    image = next((name for name, kind in kinds.items() if kind == "Image"), "image")
    label = next((name for name, kind in kinds.items() if kind == "ClassLabel"), "label")
    if missing := {image, label} - set(layout.names):
        raise DatasetError(f"{path} has no column {' and no '.join(sorted(missing))}; it has {', '.join(layout.names)}")
    names = [str(name) for name in features.get(label, {}).get("names", [])]
    if pa.types.is_integer(layout.field(label).type) != bool(names):
        raise DatasetError(
            f"{path}: the column {label} holds {layout.field(label).type} and its schema {len(names)} class names;"
            " labels are text, or numbers with names in the schema as `datasets` writes them"
        )
    return image, label, names
