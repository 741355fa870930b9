"""A collection of drawings → data/drawings/<shape>/ or data/drawings-train/<shape>/, and a report of every drawing.

A drawing is stored as the PNG of its decoded scene, named by a digest of its pixels: no pixel is lost, but the metadata
that a camera adds is, and an import that was interrupted can simply be repeated. A drawing whose duplicate or near
duplicate lies in the other of the two folders is left out, so that no test drawing is trained on.
"""

import hashlib
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from strokewise.data import human_drawings
from strokewise.data.png import encode_png
from strokewise.errors import PictureError
from strokewise.importing.labels import LabelMap
from strokewise.importing.near_duplicates import COMPARED_SIDE, NearDuplicateIndex, duplicate_pairs
from strokewise.importing.readers import Collection, CollectionItem
from strokewise.preprocessing.decode import MAX_FILE_BYTES, decode, opencv_memory_errors
from strokewise.preprocessing.preprocess import preprocess
from strokewise.support import atomic_io, progress
from strokewise.support.batching import batched
from strokewise.support.paths import DRAWINGS_DIR, TRAIN_DRAWINGS_DIR

IMPORT_BATCH = 256, 2**26  # drawings in memory, and bytes of them as encoded; at 27,000 comparing takes some seconds


@dataclass
class ImportReport:
    """What happened to the drawings of a collection. Each is counted once, in a field up to `leaks`."""

    imported: Counter[str] = field(default_factory=Counter)
    """By shape."""
    already_present: int = 0
    """The same pixels lie under the same shape already."""
    repeated: int = 0
    """The same pixels came earlier in the collection."""
    over_limit: int = 0
    rejected: list[tuple[str, str]] = field(default_factory=list)
    """Name and reason."""
    unknown_labels: Counter[str] = field(default_factory=Counter)
    """Drawings by label, for labels that are not a shape."""
    leaks: list[tuple[str, str]] = field(default_factory=list)
    """Name, and the file or drawing in the other folder that is the same or nearly."""
    near_duplicates: list[tuple[str, str]] = field(default_factory=list)
    """Of the imported ones: name, and what it nearly equals."""
    labels: set[str] = field(default_factory=set)
    """All labels of the collection."""


@dataclass(frozen=True)
class _PreparedDrawing:
    """A drawing that can be imported: its picture is uint8 (G, G), `content` the PNG to write."""

    name: str
    shape: str
    key: str
    content: bytes
    picture: NDArray[np.uint8]


@dataclass(frozen=True)
class _ExistingDrawings:
    """The drawings of a folder: the file of each key, and their pictures."""

    files: dict[str, str]
    pictures: NearDuplicateIndex


def import_drawings(
    collection: Collection, label_map: LabelMap, train: bool, limit: int | None = None, dry_run: bool = False
) -> ImportReport:
    """Import a collection.

    Args:
        collection: The drawings.
        label_map: Translates their labels to shapes.
        train: Import as training data; else as test data.
        limit: How many drawings of each shape are imported at most, the first ones.
        dry_run: Write nothing.
    """
    folder, other_folder = (TRAIN_DRAWINGS_DIR, DRAWINGS_DIR) if train else (DRAWINGS_DIR, TRAIN_DRAWINGS_DIR)
    existing, other = _read_existing(folder), _read_existing(other_folder)
    report, new_keys = ImportReport(), set[str]()
    with (
        ThreadPoolExecutor(os.cpu_count()) as pool,
        progress.progress_bar(collection.total, "import", "drawings") as bar,
    ):
        for batch in batched(collection.items, *IMPORT_BATCH, _encoded_bytes):
            items = [item for item in batch if _has_known_label(item, label_map, report)]
            results = pool.map(lambda item: _prepare_drawing(item, label_map), items)
            prepared: list[_PreparedDrawing] = []
            for item, result in zip(items, results, strict=True):
                if isinstance(result, PictureError):
                    report.rejected.append((item.name, str(result)))
                else:
                    prepared.append(result)
            new = _select_new(prepared, existing, other, new_keys, report, limit)
            if not dry_run:
                list(pool.map(lambda drawing: _write_drawing(folder, drawing), new))
            bar.update(len(batch))
    return report


def _encoded_bytes(item: CollectionItem) -> int:
    """The size of a drawing; 0 for a file that is missing."""
    match item.picture:
        case Path() as path:
            try:
                return min(path.stat().st_size, MAX_FILE_BYTES)  # more is not read
            except (OSError, ValueError):
                return 0
        case bytes() as content:
            return len(content)
        case np.ndarray() as bitmap:
            return int(bitmap.nbytes)
    return 0


def _has_known_label(item: CollectionItem, label_map: LabelMap, report: ImportReport) -> bool:
    report.labels.add(item.label)
    if isinstance(item.picture, PictureError):
        report.rejected.append((item.name, str(item.picture)))
    elif not item.label:
        report.rejected.append((item.name, "nothing says what shape it is"))
    elif label_map.shape(item.label) is None:
        report.unknown_labels[item.label] += 1
    else:
        return True
    return False


def _prepare_drawing(item: CollectionItem, label_map: LabelMap) -> _PreparedDrawing | PictureError:
    """Decode and preprocess a drawing; return the error if it cannot be used."""
    try:
        if item.picture is None:
            raise PictureError("the row holds no picture")
        assert not isinstance(item.picture, PictureError)  # has been reported
        with opencv_memory_errors():
            scene = decode(item.picture)
            picture, content = preprocess(scene, COMPARED_SIDE), encode_png(scene)
    except PictureError as error:
        return error
    except MemoryError:
        return PictureError("there is too little memory to read it; shrink it, or close other programs")
    shape = label_map.shape(item.label)
    assert shape is not None
    return _PreparedDrawing(item.name, shape, _scene_key(scene), content, picture)


def _scene_key(scene: NDArray[np.uint8]) -> str:
    return hashlib.sha256(f"{scene.shape}".encode() + scene.tobytes()).hexdigest()[:24]


def _select_new(
    prepared: list[_PreparedDrawing],
    existing: _ExistingDrawings,
    other: _ExistingDrawings,
    new_keys: set[str],
    report: ImportReport,
    limit: int | None,
) -> list[_PreparedDrawing]:
    """Select the drawings of a batch that are to be written, and count all of them in the report.

    The selected ones are added to `existing`, the drawings of the folder, and to `new_keys`, those of the collection.
    `other` holds the drawings of the other folder; `limit` is the number of drawings of a shape.
    """
    if not prepared:
        return []
    leaked_from = other.pictures.find(np.stack([drawing.picture for drawing in prepared]))
    new: list[_PreparedDrawing] = []
    for drawing, near_duplicate in zip(prepared, leaked_from, strict=True):
        file = existing.files.get(drawing.key)
        if drawing.key in other.files or near_duplicate:
            report.leaks.append((drawing.name, other.files.get(drawing.key) or str(near_duplicate)))
        elif file and Path(file).parent.name != drawing.shape:
            report.rejected.append((drawing.name, f"the same drawing is there as {file}: which of the two is it?"))
        elif drawing.key in new_keys:
            report.repeated += 1
        elif file:
            report.already_present += 1
        elif limit is not None and report.imported[drawing.shape] >= limit:
            report.over_limit += 1
        else:
            new.append(drawing)
            report.imported[drawing.shape] += 1
            new_keys.add(drawing.key)
            existing.files[drawing.key] = str(Path(drawing.shape) / f"{drawing.key}.png")
    if new:
        pictures = np.stack([drawing.picture for drawing in new])
        matches = {later: new[earlier].name for later, earlier in duplicate_pairs(pictures)}
        matches |= {index: name for index, name in enumerate(existing.pictures.find(pictures)) if name}
        report.near_duplicates += [(new[index].name, name) for index, name in sorted(matches.items())]
        existing.pictures.add(pictures, [drawing.name for drawing in new])
    return new


def _write_drawing(folder: Path, drawing: _PreparedDrawing) -> None:
    with atomic_io.atomic_replace(folder / drawing.shape / f"{drawing.key}.png") as temporary:
        temporary.write_bytes(drawing.content)


def _read_existing(folder: Path) -> _ExistingDrawings:
    """Read the drawings of a folder. Unreadable files are skipped: *evaluate* and *train* report them."""
    existing = _ExistingDrawings({}, NearDuplicateIndex())
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for paths in batched(human_drawings.drawing_paths(folder), IMPORT_BATCH[0]):
            results = zip(map(str, paths), pool.map(_read_key_and_picture, paths), strict=True)
            readable = [(path, *result) for path, result in results if result]
            existing.files.update({key: path for path, key, _ in readable})
            if readable:
                pictures = np.stack([picture for _, _, picture in readable])
                existing.pictures.add(pictures, [path for path, _, _ in readable])
    return existing


def _read_key_and_picture(path: Path) -> tuple[str, NDArray[np.uint8]] | None:
    try:
        scene = decode(path)
        return _scene_key(scene), preprocess(scene, COMPARED_SIDE)
    except PictureError:
        return None
