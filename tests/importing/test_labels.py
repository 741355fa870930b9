"""Labels: unknown shapes, in `--map` or in a whole collection, raise one line."""

from collections.abc import Callable
from pathlib import Path

import pytest

from strokewise.errors import DatasetError


def test_map_to_an_unknown_shape_raises_dataset_error(run_import: Callable[..., str]) -> None:
    with pytest.raises(DatasetError, match=r"--map 'a=b' is not THEIRS=SHAPE with a shape of ellipse, other, rect"):
        run_import("mine", "--map", "a=b")


def test_collection_of_unknown_shapes_raises_dataset_error(
    run_import: Callable[..., str],
    make_png: Callable[[int], bytes],
    write_file: Callable[[Path | str, bytes], None],
) -> None:
    write_file("strange/house/a.png", make_png(1))
    with pytest.raises(DatasetError, match=r"nothing in strange could be imported; the lines above say why"):
        run_import("strange")
