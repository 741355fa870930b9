"""A collection of drawings → its items one by one: a name for messages, a label, and the picture.

    a folder with a sub-folder a shape          a .csv with the columns path and shape, paths beside it
    a .parquet, or a folder of them             a .npy of Quick, Draw! bitmaps (N, 784), all of one shape

Parquet is read in the convention of Hugging Face's `Image`. Nothing is decoded here, and no pickle is loaded.
"""

import csv
import io
import itertools
import json
import math
import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from strokewise.data.parquet_pages import largest_page
from strokewise.errors import DatasetError, PictureError, one_line

PARQUET_BATCH = 64, 2**27  # rows of a Parquet file in memory, and bytes of its pages
MAX_DRAWINGS = 1_000_000  # of a collection: each is compared with all that are there
MAX_NPY_HEADER = 2**16  # bytes of a .npy that are read before its shape is known
MAX_CSV_BYTES = 2**28  # of a list
MAX_LISTED_COLUMNS = 10
COLLECTION_KINDS = "a folder with one sub-folder a shape, a .csv (path,shape), a .parquet or a .npy of bitmaps (N, 784)"


@dataclass(frozen=True)
class CollectionItem:
    """A drawing as it is in the collection; `picture` is None if its row holds none, an error if it cannot be read."""

    name: str
    label: str
    picture: Path | bytes | NDArray[np.uint8] | PictureError | None


@dataclass(frozen=True)
class Collection:
    """`total` items, which are read while iterating over them."""

    total: int
    items: Iterable[CollectionItem]


def read_collection(source: Path, shape: str | None) -> Collection:
    """Open the collection in the file or folder `source`.

    `shape` is the label of all its items, for a .npy or a folder of pictures. What cannot be read beside others that
    can becomes an item whose picture is the error.

    Raises DatasetError if it is none of the supported kinds, is damaged, or lacks a column.
    """
    try:
        os.stat(source)
    except FileNotFoundError:
        raise DatasetError(f"there is no {source}; name {COLLECTION_KINDS}") from None
    except (OSError, ValueError) as error:  # a loop of links, a name too long or with NUL
        reason = getattr(error, "strerror", None) or error
        raise DatasetError(f"{source} cannot be opened: {reason}; name {COLLECTION_KINDS}") from None
    if source.is_dir():
        shards = sorted(source.glob("*.parquet"))
        return _read_parquet(shards) if shards else _read_folder(source, shape)
    if not source.is_file():  # reading a pipe or a socket could wait for ever
        raise DatasetError(f"{source} is no file; name {COLLECTION_KINDS}")
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
    items: list[CollectionItem] = []

    def reject(error: OSError) -> None:
        reason = PictureError(f"the folder cannot be read: {error.strerror}")
        items.append(CollectionItem(str(error.filename), "", reason))

    for parent, folders, files in os.walk(source, onerror=reject):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in folders:
            if (link := Path(parent, name)).is_symlink():  # it may lead back to a folder above
                items.append(CollectionItem(str(link), "", PictureError("links to folders are not followed: copy it")))
        for path in (Path(parent, name) for name in sorted(files) if not name.startswith(".")):
            parts = path.relative_to(source).parts
            items.append(CollectionItem(str(path), shape or (parts[0] if len(parts) > 1 else ""), path))
    return Collection(len(items), items)


def _read_csv(source: Path) -> Collection:
    if (size := source.stat().st_size) > MAX_CSV_BYTES:
        raise DatasetError(f"{source} holds {size:,} bytes; at most {MAX_CSV_BYTES:,} are read: split it")
    try:
        with source.open(newline="", encoding="utf-8-sig") as lines:
            items = list(itertools.islice(_csv_items(source, csv.reader(lines)), MAX_DRAWINGS + 1))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{source} cannot be read: {one_line(error)}; give a CSV in UTF-8") from None
    _check_count(source, len(items))
    return Collection(len(items), items)


def _csv_items(source: Path, table: Any) -> Iterator[CollectionItem]:
    """The items of a csv.reader; a line that is no CSV becomes an error, and the next one is read."""
    columns: list[str] = next(table, [])
    if columns.count("path") != 1 or columns.count("shape") != 1:
        raise DatasetError(f"{source} has the columns {_join_columns(columns)}; it needs path and shape, once each")
    path_column, shape_column = columns.index("path"), columns.index("shape")
    while True:
        try:
            row = next(table, None)
        except csv.Error as error:
            yield CollectionItem(f"{source} line {table.line_num}", "", PictureError(f"this is no CSV: {error}"))
            continue
        if row is None:
            return
        if row:
            row += [""] * (len(columns) - len(row))
            yield CollectionItem(row[path_column], row[shape_column], source.parent / row[path_column])


def _join_columns(names: Sequence[str]) -> str:
    """The first column names, and the number of the others."""
    others = len(names) - MAX_LISTED_COLUMNS
    listed = ", ".join(one_line(name, 40) for name in names[:MAX_LISTED_COLUMNS]) or "(none)"
    return listed + (f" and {others:,} more" if others > 0 else "")


def _read_bitmaps(source: Path, shape: str | None) -> Collection:
    if shape is None:
        raise DatasetError(f"{source} does not say what it shows; add --shape, say --shape ellipse")
    try:
        bitmaps = _map_bitmaps(source)
    except (OSError, ValueError) as error:
        raise DatasetError(f"{source} cannot be read: {one_line(error)}; get it again") from None
    _check_count(source, len(bitmaps))
    side = math.isqrt(math.prod(bitmaps.shape[1:]))
    items = (
        CollectionItem(f"{source} row {row}", shape, np.array(bitmap).reshape(side, side))
        for row, bitmap in enumerate(bitmaps)
    )
    return Collection(len(bitmaps), items)


def _map_bitmaps(source: Path) -> NDArray[np.uint8]:
    """Map the uint8 (N, S·S) or (N, S, S) in a .npy; nothing of the claimed size is allocated, no pickle is loaded.

    Raises ValueError if the header is damaged, and DatasetError if the array is another one or not all there.
    """
    with source.open("rb") as file:
        header = io.BytesIO(file.read(MAX_NPY_HEADER))
    if header.getvalue().startswith(b"PK"):
        raise DatasetError(f"{source} is a .npz archive; unpack it (`unzip {source}`) and import the .npy files in it")
    try:
        version = np.lib.format.read_magic(header)
        first = np.lib.format.read_array_header_1_0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of files that Python 2 wrote
            dimensions, fortran, dtype = (first if version == (1, 0) else np.lib.format.read_array_header_2_0)(header)
    except (
        MemoryError,
        RecursionError,
        SyntaxError,
        TokenError,
        TypeError,
        LookupError,
    ):  # of the parser: 64 KB fill no memory
        raise ValueError("the header of the .npy is damaged") from None
    if dtype.hasobject:
        raise DatasetError(f"{source} holds Python objects (a pickle), which are never loaded; it must hold uint8")
    side = math.isqrt(max(0, math.prod(dimensions[1:]))) if len(dimensions) in (2, 3) else 0
    is_counted = all(type(size) is int and size > 0 for size in dimensions)
    if dtype != np.uint8 or not is_counted or not side or dimensions[1:] not in {(side * side,), (side, side)}:
        claimed = one_line(f"{dtype} {dimensions}", 80)
        raise DatasetError(f"{source} holds {claimed}; it must hold uint8 (N, 784) bitmaps")
    found = source.stat().st_size - header.tell()
    if math.prod(dimensions) > found:
        raise DatasetError(f"{source} claims {one_line(dimensions, 80)} and holds {found:,} bytes of it: get it again")
    order: Any = "F" if fortran else "C"
    return np.memmap(source, np.uint8, "r", header.tell(), dimensions, order)


def _read_parquet(paths: list[Path]) -> Collection:
    """Read the footers of Parquet files; those that cannot be used become errors if another one can."""
    shards: list[tuple[Path, tuple[str, str, list[str]]]] = []
    items: list[CollectionItem] = []
    total, errors = 0, list[DatasetError]()
    for path in paths:
        try:
            footer, columns = _read_footer(path)
        except DatasetError as error:
            errors.append(error)
            items.append(CollectionItem(str(path), "", PictureError(str(error))))
            continue
        shards.append((path, columns))
        total += footer.num_rows
    if not shards:
        raise errors[0]
    _check_count(paths[0].parent if len(paths) > 1 else paths[0], total)
    rows = (item for path, columns in shards for item in _parquet_items(path, *columns))
    return Collection(total + len(items), itertools.chain(items, rows))


def _check_count(source: Path, count: int) -> None:
    if count > MAX_DRAWINGS:
        raise DatasetError(f"{source} holds {count:,} drawings; {MAX_DRAWINGS:,} are imported at a time: split it")


def _read_footer(path: Path) -> tuple[pq.FileMetaData, tuple[str, str, list[str]]]:
    if not path.is_file():
        raise DatasetError(f"{path} is no file; a .parquet must be one")
    try:
        footer = pq.read_metadata(path)
        return footer, _find_columns(path, footer.schema.to_arrow_schema())
    except MemoryError:  # pyarrow's is an ArrowException, too
        raise
    except (OSError, ValueError, pa.ArrowException) as error:
        raise DatasetError(f"{path} cannot be read: {one_line(error)}; get it again") from None


def _parquet_items(
    path: Path, image_column: str, label_column: str, class_names: list[str]
) -> Iterator[CollectionItem]:
    row = 0
    try:
        with pq.ParquetFile(path, pre_buffer=False) as file:
            columns = [image_column, label_column]
            rows, size = PARQUET_BATCH  # a page may be a dictionary that holds one picture for all rows
            rows = max(1, min(rows, size // max(1, largest_page(path, file.metadata, columns))))
            for batch in file.iter_batches(rows, columns=columns):
                cells = zip(batch[image_column].to_pylist(), batch[label_column].to_pylist(), strict=True)
                for image, value in cells:
                    label = _label_text(value, class_names)
                    yield CollectionItem(f"{path} row {row}", label, _cell_picture(path, image))
                    row += 1
    except MemoryError:
        raise
    except (OSError, ValueError, pa.ArrowException) as error:
        yield CollectionItem(f"{path} from row {row} on", "", PictureError(f"it cannot be read: {one_line(error)}"))


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
    features = _hugging_face_features(schema)
    kinds = {name: feature.get("_type") for name, feature in features.items()}
    image = next((name for name, kind in kinds.items() if kind == "Image"), "image")
    label = next((name for name, kind in kinds.items() if kind == "ClassLabel"), "label")
    if missing := {image, label} - set(schema.names):
        names = " and no ".join(sorted(missing))
        raise DatasetError(f"{path} has no column {one_line(names)}; it has {_join_columns(schema.names)}")
    if doubled := [name for name in (image, label) if schema.names.count(name) > 1]:
        raise DatasetError(f"{path} has several columns {doubled[0]}; rename all but one")
    kind = schema.field(image).type
    if not _holds_pictures(kind):
        raise DatasetError(
            f"{path}: the column {image} holds {one_line(kind, 80)}; pictures are binary, or a struct of bytes and path"
        )
    kind, listed = schema.field(label).type, features.get(label, {}).get("names")
    class_names = [str(name) for name in listed] if isinstance(listed, list) else []
    is_number = pa.types.is_integer(kind)
    if is_number != bool(class_names) or not (is_number or _is_text(kind)):
        raise DatasetError(
            f"{path}: the column {label} holds {one_line(kind, 80)} and its schema {len(class_names)} class"
            " names; labels are text, or numbers with names in the schema as `datasets` writes them"
        )
    return image, label, class_names


def _hugging_face_features(schema: pa.Schema) -> dict[str, dict[str, Any]]:
    """The features in the schema's metadata; empty if there are none or they are something else."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {name: feature for name, feature in features.items() if isinstance(feature, dict)}
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        return {}


def _holds_pictures(kind: pa.DataType) -> bool:
    if not pa.types.is_struct(kind):
        return _is_binary(kind)
    fields = [kind.field(index) for index in range(kind.num_fields)]
    known = [field for field in fields if field.name in ("bytes", "path")]
    usable = [field for field in known if (_is_binary if field.name == "bytes" else _is_text)(field.type)]
    return 0 < len(known) == len(usable) == len({field.name for field in known})


def _is_binary(kind: pa.DataType) -> bool:
    types = pa.types
    return any(is_kind(kind) for is_kind in (types.is_binary, types.is_large_binary, types.is_fixed_size_binary))


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
