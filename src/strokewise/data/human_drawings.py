"""Drawings by people on disk, a folder a shape -> what a split of paintings is: pictures, labels, a digest.

    data/drawings/<shape>/...         test data: *evaluate* reports them apart, nothing is ever trained on them
    data/drawings-train/<shape>/...   added to the training paintings; apart, so that a new test drawing trains nothing

Any picture file, at any depth; `strokewise import` puts them there as PNG, named by what they show. Names that begin
with a dot, and the README beside the folders, are no drawings. There may be none at all.
"""

import dataclasses
import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from strokewise.data.dataset import Split
from strokewise.errors import DatasetError, PictureError
from strokewise.preprocessing.preprocess import preprocess
from strokewise.support import progress
from strokewise.support.paths import project_root

FOLDER_README = "README.md"


def load_drawings(folder: Path, shapes: tuple[str, ...], image_size: int) -> Split:
    """All drawings in `folder` through the door, on all cores, sorted by shape and name; N may be 0.

    Raises DatasetError, one line, for a folder that is none of `shapes`, a file in no folder and a file that is no
    picture.
    """
    found = drawing_paths(folder)
    _warn_if_left_behind(folder, found)
    for path in found:
        _check_folder(path, folder, shapes)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        seen = list(pool.map(lambda path: _preprocess_drawing(path, image_size), found))
    labels = np.array([shapes.index(shape_of(path, folder)) for path in found], np.int64)
    stacked = np.stack(seen) if seen else np.empty((0, image_size, image_size), np.uint8)
    return Split(stacked, labels, shapes, _folder_digest(folder, found))


def drawing_paths(folder: Path) -> list[Path]:
    """The files in `folder`, sorted; none where there is no such folder."""
    inside = (path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else ()
    named = ((path.relative_to(folder), path) for path in inside)
    return sorted(
        path for name, path in named if name.parts != (FOLDER_README,) and not name.as_posix().startswith(".")
    )


def shape_of(path: Path, folder: Path) -> str:
    """The shape that a file in `folder` is a drawing of: the name of its folder; "" for a file in none."""
    parts = path.relative_to(folder).parts
    return parts[0] if len(parts) > 1 else ""


def append_drawings(paintings: Split, drawn: Split) -> Split:
    """The paintings with the drawings after them; the digest stays the paintings' own."""
    if not len(drawn.labels):
        return paintings
    return dataclasses.replace(
        paintings,
        pictures=np.concatenate([paintings.pictures, drawn.pictures]),
        labels=np.concatenate([paintings.labels, drawn.labels]),
    )


def _check_folder(path: Path, folder: Path, shapes: tuple[str, ...]) -> None:
    shape = shape_of(path, folder)
    if not shape:
        raise DatasetError(f"{path} lies in no shape's folder; move it into one, say {folder / shapes[0]}")
    if shape not in shapes:
        raise DatasetError(
            f"{folder / shape} is no shape of the model, which knows {', '.join(shapes)}; rename the folder, take it"
            f" away, or add an outline in data/outlines/{shape} and run `dvc repro`"
        )


def _preprocess_drawing(path: Path, image_size: int) -> NDArray[np.uint8]:
    try:
        return preprocess(path, image_size)
    except PictureError as error:
        raise DatasetError(f"{path} cannot be used ({error}); take it out of the folder") from None


def _folder_digest(folder: Path, found: list[Path]) -> str:
    """SHA-256 over the names and bytes."""
    total = hashlib.sha256()
    for path in found:
        name, content = path.relative_to(folder).as_posix(), hashlib.sha256(path.read_bytes()).hexdigest()
        total.update(f"{name} {content}\n".encode(errors="surrogateescape"))
    return total.hexdigest()


def _warn_if_left_behind(folder: Path, found: list[Path]) -> None:
    """A queued experiment runs in a copy that holds what git knows, and git does not know drawings."""
    at_home = project_root() / folder
    if not found and at_home.absolute() != folder.absolute() and drawing_paths(at_home):
        progress.warn(
            f"the drawings of {at_home} did not travel into this copy and are left out; queue the experiment with"
            f" `dvc exp run --queue --copy-paths {folder}`"
        )
