"""A folder of drawings by people, with a sub-folder a shape → a `Split`, as for paintings.

    data/drawings/<shape>/...         test data: *evaluate* reports on them separately; nothing is trained on them
    data/drawings-train/<shape>/...   training data, added to the paintings

Any picture file, at any depth; `strokewise import` writes PNG files named by a digest of their pixels. Names that begin
with a dot, and the README and `vertices.json` beside the sub-folders, are ignored. Both folders may be missing or
empty.
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
from strokewise.support import native_output, progress
from strokewise.support.paths import project_root

FOLDER_README = "README.md"
VERTICES_FILE = "vertices.json"  # the known corners of drawings, see `evaluation.snapping`


def load_drawings(folder: Path, shapes: tuple[str, ...], image_size: int) -> Split:
    """Load and preprocess all drawings in `folder`, sorted by shape and name, on all cores; N may be 0.

    Args:
        folder: Where the drawings lie.
        shapes: The names that sub-folders may have; a label is an index into them.
        image_size: Side of the pictures in pixels.

    Raises DatasetError if a sub-folder is none of `shapes`, a file lies in no sub-folder, or is not a picture.
    """
    paths = drawing_paths(folder)
    _warn_if_left_behind(folder, paths)
    for path in paths:
        _check_folder(path, folder, shapes)
    with ThreadPoolExecutor(os.cpu_count()) as pool, native_output.silent_libraries():
        pictures = list(pool.map(lambda path: _preprocess_drawing(path, image_size), paths))
    labels = np.array([shapes.index(shape_of(path, folder)) for path in paths], np.int64)
    stacked = np.stack(pictures) if pictures else np.empty((0, image_size, image_size), np.uint8)
    vertices = [path for path in (folder / VERTICES_FILE,) if path.is_file()]
    return Split(stacked, labels, shapes, _folder_digest(folder, paths + vertices))


def drawing_paths(folder: Path) -> list[Path]:
    """The drawings in `folder`, sorted; an empty list if there is no such folder."""
    files = (path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else ()
    named = ((path.relative_to(folder), path) for path in files)
    return sorted(
        path
        for name, path in named
        if name.parts not in ((FOLDER_README,), (VERTICES_FILE,))
        and not any(part.startswith(".") for part in name.parts)
    )


def shape_of(path: Path, folder: Path) -> str:
    """The shape that a file in `folder` shows: the name of its sub-folder; "" if it lies in none."""
    parts = path.relative_to(folder).parts
    return parts[0] if len(parts) > 1 else ""


def append_drawings(paintings: Split, drawings: Split) -> Split:
    """The paintings followed by the drawings, with the paintings' digest."""
    if not len(drawings.labels):
        return paintings
    return dataclasses.replace(
        paintings,
        pictures=np.concatenate([paintings.pictures, drawings.pictures]),
        labels=np.concatenate([paintings.labels, drawings.labels]),
    )


def _check_folder(path: Path, folder: Path, shapes: tuple[str, ...]) -> None:
    """Raise DatasetError if a drawing lies in no sub-folder, or in one that is not a shape."""
    shape = shape_of(path, folder)
    if not shape:
        raise DatasetError(f"{path} lies in no shape's folder; move it into one, say {folder / shapes[0]}")
    if shape not in shapes:
        raise DatasetError(
            f"{folder / shape} is no shape of the model, which knows {', '.join(shapes)}; rename the folder, remove"
            f" it, or add an outline in data/outlines/{shape} and run `dvc repro`"
        )


def _preprocess_drawing(path: Path, image_size: int) -> NDArray[np.uint8]:
    try:
        return preprocess(path, image_size)
    except PictureError as error:
        raise DatasetError(f"{path} cannot be used ({error}); take it out of the folder") from None


def _folder_digest(folder: Path, paths: list[Path]) -> str:
    """SHA-256 over the names and bytes of the files."""
    digest = hashlib.sha256()
    for path in paths:
        name, content = path.relative_to(folder).as_posix(), hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{name} {content}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _warn_if_left_behind(folder: Path, paths: list[Path]) -> None:
    """Warn in a queued experiment without drawings: its copy of the checkout lacks what git ignores."""
    original = project_root() / folder
    if not paths and original.absolute() != folder.absolute() and drawing_paths(original):
        progress.warn(
            f"the drawings of {original} were not copied for this experiment and are left out; queue it with"
            f" `dvc exp run --queue --copy-paths {folder}`"
        )
