"""The SVG files of the catalogue as text, unread: they travel with a model, so that it can give back clean outlines."""

from collections.abc import Sequence
from pathlib import Path

from strokewise.errors import DatasetError
from strokewise.support.paths import OUTLINES_DIR
from strokewise.support.regular_file import read_regular

MAX_OUTLINE_BYTES = 2**20  # more than *generate* reads


def read_outline_files(shapes: Sequence[str], folder: Path = OUTLINES_DIR) -> dict[str, dict[str, str]]:
    """The text of every variant of every shape that has a folder, by shape and variant, sorted.

    Raises DatasetError for a file that cannot be read as text.
    """
    files = {shape: sorted((folder / shape).glob("*.svg")) for shape in shapes}
    try:
        return {
            shape: {path.stem: read_regular(path, MAX_OUTLINE_BYTES).decode("utf-8") for path in paths}
            for shape, paths in sorted(files.items())
            if paths
        }
    except (OSError, ValueError) as error:
        raise DatasetError(f"an outline in {folder} cannot be read: {error}; save it as SVG in UTF-8") from None
