"""Points, columns or steps: decided by what is plausible for the whole drawing, or left to the user."""

from typing import Any

import numpy as np
import pytest

from strokewise.errors import PictureError
from strokewise.preprocessing.stroke_layout import UNDECIDED, add_steps, has_columns, has_steps

POINTS: dict[str, list[Any]] = {
    "pairs": [[[10, 20], [30, 40]]],
    "pressure that falls": [[[10, 10, 0.9], [90, 10, 0.2]], [[90, 10, 0.8], [90, 60, 0.1]]],
    "pressure that rises": [[[10, 10, 0.2], [90, 10, 0.9]]],
    "times": [[[10, 10, 0], [90, 10, 5], [90, 60, 9]]],
    "times, tilt": [[[10, 10, 0, 3], [90, 10, 5, 3], [90, 60, 9, 2], [10, 60, 12, 2]]],
}
COLUMNS: dict[str, list[Any]] = {
    "many points": [[[1, 2, 3, 4, 5], [9, 8, 7, 6, 5]]],
    "more than a point can hold": [[list(range(20)), list(range(20))]],
    "times from zero": [[[10, 90, 50], [90, 40, 10], [0, 17, 35]], [[5, 9, 2], [1, 2, 8], [40, 50, 60]]],
}
EITHER: dict[str, list[Any]] = {
    "two rows of three": [[[10, 20, 30], [10, 50, 20]]],
    "pressure in the device's units": [[[10, 10, 800], [90, 10, 300]]],
    "three falling rows": [[[10, 10, 800], [90, 10, 500], [90, 60, 300]]],
}


def tables(drawing: list[Any]) -> list[Any]:
    return [np.array(stroke, np.float64) for stroke in drawing]


@pytest.mark.parametrize("name", POINTS)
def test_points_are_recognised(name: str) -> None:
    assert not has_columns(tables(POINTS[name]), None, is_quickdraw=False)


@pytest.mark.parametrize("name", COLUMNS)
def test_columns_are_recognised(name: str) -> None:
    assert has_columns(tables(COLUMNS[name]), None, is_quickdraw=False)


@pytest.mark.parametrize("name", EITHER)
def test_undecided_strokes_are_refused_unless_the_user_says(name: str) -> None:
    with pytest.raises(PictureError) as caught:
        has_columns(tables(EITHER[name]), None, is_quickdraw=False)
    assert str(caught.value) == UNDECIDED
    assert has_columns(tables(EITHER[name]), "columns", is_quickdraw=False)
    assert not has_columns(tables(EITHER[name]), "points", is_quickdraw=False)


def test_records_of_quickdraw_are_columns() -> None:
    pairs = tables([[[10, 90], [10, 10]]])
    assert has_columns(pairs, None, is_quickdraw=True)
    with pytest.raises(PictureError):
        has_columns(pairs, None, is_quickdraw=None)  # only the key `drawing`, which other apps use as well


def test_impossible_layout_is_not_forced() -> None:
    assert not has_columns(tables([[[1, 2], [3, 4], [5, 6], [7, 8]]]), "columns", is_quickdraw=False)
    with pytest.raises(PictureError, match="neither lists of"):
        has_columns(tables([[[1], [2], [3], [4]]]), None, is_quickdraw=False)


def test_steps_are_told_from_points_by_negative_differences() -> None:
    steps = np.array([[10, 10, 0], [80, 0, 1], [0, 50, 0], [-80, 0, 1.0]])
    assert has_steps([steps])
    assert [stroke.tolist() for stroke in add_steps(steps)] == [[[10, 10], [90, 10]], [[90, 60], [10, 60]]]
    assert not has_steps([steps, steps]), "steps are one list"
    assert not has_steps([steps * [1, 1, 0.5]]), "a pen state is 0 or 1"
    with pytest.raises(PictureError, match="the pen is lifted, or how hard it is pressed"):
        has_steps([np.abs(steps)])


def test_steps_of_five_values_stop_at_their_end() -> None:
    steps = np.array([[1, 1, 1, 0, 0], [-1, 5, 0, 1, 0], [2, 2, 1, 0, 0], [0, 0, 0, 0, 1], [9, 9, 1, 0, 0.0]])
    assert has_steps([steps])
    assert [stroke.tolist() for stroke in add_steps(steps)] == [[[1, 1], [0, 6]], [[2, 8]]]
