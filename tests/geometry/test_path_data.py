"""Path data: read, sampled, transformed, written, and read again."""

import numpy as np
import pytest

from strokewise.geometry.path_data import flatten_subpath, parse_path, transform_path, write_path

HEART = "M50 88 C20 66 8 50 8 33 L8 10 Z M1.5 2e1 L-3 4"


def test_written_path_reads_as_the_same() -> None:
    path = parse_path(HEART)
    again = parse_path(write_path(path))
    assert [len(part.pieces) for part in again] == [3, 1]
    assert [part.closed for part in again] == [True, False]
    for part, other in zip(path, again, strict=True):
        np.testing.assert_allclose(flatten_subpath(part), flatten_subpath(other))


def test_transform_of_the_path_is_that_of_its_points() -> None:
    matrix = np.array([[2.0, -1.0, 5.0], [0.5, 3.0, -7.0]])
    path = parse_path(HEART)
    for part, moved in zip(path, transform_path(path, matrix), strict=True):
        np.testing.assert_allclose(flatten_subpath(moved), flatten_subpath(part) @ matrix[:, :2].T + matrix[:, 2])


def test_polygon_has_its_corners_once() -> None:
    (square,) = parse_path("M0 0 L4 0 L4 3 L0 3 Z")
    assert square.is_polygon
    np.testing.assert_array_equal(square.corners, [[0, 0], [4, 0], [4, 3], [0, 3]])


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "draws nothing"), ("M1 2", "draws nothing"), ("M0 0 H4", "is not of the commands"),
     ("M0 0 L1", "is not of the commands"), ("M0 0 A1 1 0 0 1 2 2", "is not of the commands"), ("hello", "commands")],
)  # fmt: skip
def test_other_text_raises_value_error(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_path(text)
