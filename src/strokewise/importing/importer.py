"""A collection of drawings -> data/drawings/<shape>/ or data/drawings-train/<shape>/, and a report of what came of it.

A drawing is kept as the PNG of its decoded scene, named by a digest of the pixels: no pixel is lost, what a camera
wrote beside them is, and importing it again finds it there. So an import that was interrupted is simply repeated.
What the other of the two folders holds, exactly or nearly, is left out: a drawing that was learned from judges nothing.
"""

import hashlib
import itertools
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strokewise.data import human_drawings
from strokewise.data.png import encode_png
from strokewise.errors import PictureError
from strokewise.importing.labels import LabelMap
from strokewise.importing.near_duplicates import COMPARED_SIDE, NearDuplicateIndex, duplicate_pairs
from strokewise.importing.readers import Collection, CollectionItem
from strokewise.preprocessing.decode import decode
from strokewise.preprocessing.preprocess import preprocess
from strokewise.support import atomic_io, progress
from strokewise.support.paths import DRAWINGS_DIR, TRAIN_DRAWINGS_DIR

IMPORT_BATCH = 256  # drawings in memory; at 27,000 of them the comparison costs some seconds


@dataclass
class ImportReport:
    """What happened to every drawing of a collection: each stands in exactly one of the counts."""

    imported: Counter[str] = field(default_factory=Counter)  # by shape
    there: int = 0  # already, pixel by pixel, under the same shape
    repeated: int = 0  # a second time in the collection itself
    beyond: int = 0  # the limit
    rejected: list[tuple[str, str]] = field(default_factory=list)  # name, reason
    unknown: Counter[str] = field(default_factory=Counter)  # labels that are no shape
    leaks: list[tuple[str, str]] = field(default_factory=list)  # name, what it equals in the other folder
    near: list[tuple[str, str]] = field(default_factory=list)  # imported all the same: name, what it is like
    seen: set[str] = field(default_factory=set)  # all labels


@dataclass(frozen=True)
class _PreparedDrawing:
    name: str
    shape: str
    key: str
    content: bytes
    picture: NDArray[np.uint8]


@dataclass(frozen=True)
class _ExistingDrawings:
    """What lies in a folder: the file of each key, and the pictures for `Twins`."""

    files: dict[str, str]
    twins: NearDuplicateIndex


def import_drawings(
    collection: Collection, names: LabelMap, train: bool, limit: int | None = None, dry_run: bool = False
) -> ImportReport:
    """Bring a collection in, as test data or to `train` on; at most `limit` a shape; `dry_run` writes nothing."""
    folder, across = (TRAIN_DRAWINGS_DIR, DRAWINGS_DIR) if train else (DRAWINGS_DIR, TRAIN_DRAWINGS_DIR)
    mine, other = _read_existing(folder), _read_existing(across)
    report, fresh = ImportReport(), set[str]()
    with (
        ThreadPoolExecutor(os.cpu_count()) as pool,
        progress.progress_bar(collection.total, "import", "drawings") as bar,
    ):
        for items in _batched(collection.items):
            wanted = [item for item in items if _has_known_label(item, names, report)]
            done = pool.map(lambda item: _prepare_drawing(item, names), wanted)
            found: list[_PreparedDrawing] = []
            for item, drawn in zip(wanted, done, strict=True):
                if isinstance(drawn, PictureError):
                    report.rejected.append((item.name, str(drawn)))
                else:
                    found.append(drawn)
            kept = _select_new(found, mine, other, fresh, report, limit)
            if not dry_run:
                list(pool.map(lambda drawn: _write_drawing(folder, drawn), kept))
            bar.update(len(items))
    return report


def _has_known_label(item: CollectionItem, names: LabelMap, report: ImportReport) -> bool:
    report.seen.add(item.label)
    if not item.label:
        report.rejected.append((item.name, "nothing says what shape it is"))
    elif names.shape(item.label) is None:
        report.unknown[item.label] += 1
    else:
        return True
    return False


def _prepare_drawing(item: CollectionItem, names: LabelMap) -> _PreparedDrawing | PictureError:
    """Decode one, and let it through the door to see that it can be used."""
    try:
        if item.picture is None:
            raise PictureError("the row holds no picture")
        scene = decode(item.picture)
        picture = preprocess(scene, COMPARED_SIDE)
    except PictureError as error:
        return error
    shape = names.shape(item.label)
    assert shape is not None
    return _PreparedDrawing(item.name, shape, _scene_key(scene), encode_png(scene), picture)


def _scene_key(scene: NDArray[np.uint8]) -> str:
    return hashlib.sha256(f"{scene.shape}".encode() + scene.tobytes()).hexdigest()[:24]


def _select_new(
    found: list[_PreparedDrawing],
    mine: _ExistingDrawings,
    other: _ExistingDrawings,
    fresh: set[str],
    report: ImportReport,
    limit: int | None,
) -> list[_PreparedDrawing]:
    """Those of a batch that are to be written, all others counted; near duplicates are told."""
    if not found:
        return []
    across = other.twins.of(np.stack([drawn.picture for drawn in found]))
    kept: list[_PreparedDrawing] = []
    for drawn, twin in zip(found, across, strict=True):
        file = mine.files.get(drawn.key)
        if drawn.key in other.files or twin:
            report.leaks.append((drawn.name, other.files.get(drawn.key) or str(twin)))
        elif file and Path(file).parent.name != drawn.shape:
            report.rejected.append((drawn.name, f"the same drawing is there as {file}: which of the two is it?"))
        elif drawn.key in fresh:
            report.repeated += 1
        elif file:
            report.there += 1
        elif limit is not None and report.imported[drawn.shape] >= limit:
            report.beyond += 1
        else:
            kept.append(drawn)
            report.imported[drawn.shape] += 1
            fresh.add(drawn.key)
            mine.files[drawn.key] = str(Path(drawn.shape) / f"{drawn.key}.png")
    if kept:
        stacked = np.stack([drawn.picture for drawn in kept])
        near = {at: kept[first].name for at, first in duplicate_pairs(stacked)}
        near |= {at: twin for at, twin in enumerate(mine.twins.of(stacked)) if twin}
        report.near += [(kept[at].name, like) for at, like in sorted(near.items())]
        mine.twins.add(stacked, [drawn.name for drawn in kept])
    return kept


def _write_drawing(folder: Path, drawn: _PreparedDrawing) -> None:
    with atomic_io.atomic_replace(folder / drawn.shape / f"{drawn.key}.png") as fresh:
        fresh.write_bytes(drawn.content)


def _read_existing(folder: Path) -> _ExistingDrawings:
    """What lies there already; a file that is no picture is for *evaluate* and *train* to complain of."""
    shelf, found = _ExistingDrawings({}, NearDuplicateIndex()), human_drawings.drawing_paths(folder)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for paths in _batched(found):
            read = [(path, known) for path, known in zip(paths, pool.map(_read_known, paths), strict=True) if known]
            shelf.files.update({key: str(path) for path, (key, _) in read})
            if read:
                shelf.twins.add(np.stack([picture for _, (_, picture) in read]), [str(path) for path, _ in read])
    return shelf


def _read_known(path: Path) -> tuple[str, NDArray[np.uint8]] | None:
    try:
        scene = decode(path)
        return _scene_key(scene), preprocess(scene, COMPARED_SIDE)
    except PictureError:
        return None


def _batched(items: Iterable[Any]) -> Iterator[list[Any]]:
    iterator = iter(items)
    while batch := list(itertools.islice(iterator, IMPORT_BATCH)):
        yield batch
