"""What the numbers of a stroke mean: points, columns, or steps with a pen state.

A table is a list of strokes' rows as they were given. Points: a row [x, y, …] for each point. Columns (Quick, Draw!): a
row of all x, a row of all y, and perhaps a row of all times. Steps: stroke-3, rows [dx, dy, lifted], and stroke-5, rows
[dx, dy, down, up, end] (Ha and Eck 2017, "A Neural Representation of Sketch Drawings").
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from strokewise.errors import PictureError

Stroke = NDArray[np.float64]  # (n, 2) points x, y
Table = NDArray[np.float64]  # (rows, values) as given
StrokeLayout = Literal["points", "columns"]

MAX_POINT_VALUES = 8  # of a point: x, y, time, pressure, tilt, ...
EXPECTED_STROKES = "give a list of strokes, each a list of [x, y] points"
UNDECIDED = (
    "the strokes can be read as points, [x, y, …], and as columns, [x, …] and [y, …]; say which they are: --strokes"
    " points or --strokes columns"
)


def has_columns(tables: Sequence[Table], layout: StrokeLayout | None, is_quickdraw: bool | None) -> bool:
    """Whether the strokes are written as columns. Decided once for the whole drawing, by what is plausible.

    Args:
        tables: of all strokes, at least one.
        layout: what the user says; it decides where it fits.
        is_quickdraw: whether they come from a record of Quick, Draw!; None if they might.

    Raises PictureError if the strokes are neither, or if both are as plausible.
    """
    fits_points = all(2 <= table.shape[1] <= MAX_POINT_VALUES for table in tables)
    fits_columns = all(table.shape[0] in (2, 3) for table in tables)
    if not fits_points and not fits_columns:
        raise PictureError(
            f"the strokes are neither lists of [x, y] nor pairs of [x, …] and [y, …]; {EXPECTED_STROKES}"
        )
    if layout is not None and {"points": fits_points, "columns": fits_columns}[layout]:
        return layout == "columns"
    if not fits_points or not fits_columns:
        return fits_columns
    if is_quickdraw:
        return True
    if all(table.shape[1] == 2 for table in tables):
        if is_quickdraw is None:
            raise PictureError(UNDECIDED)
        return False  # [[x, y], [x, y]], the form that is asked for
    third_values = np.concatenate([table[:, 2:].ravel() for table in tables])
    coordinates = np.concatenate([table[:, :2].ravel() for table in tables])
    if ((third_values >= 0) & (third_values <= 1)).all() and np.ptp(coordinates) > 2:
        return False  # pressure
    points_have_times = all(table.shape[1] == 3 for table in tables) and _increase([table[:, 2] for table in tables])
    columns_have_times = all(len(table) == 3 for table in tables) and _are_times([table[2] for table in tables])
    if points_have_times != columns_have_times:
        return columns_have_times
    if is_quickdraw is None:
        return True
    if not points_have_times and all(len(table) == 2 for table in tables) and max(t.shape[1] for t in tables) > 3:
        return True  # two rows of four or more values: a stroke of two points with so many values each is rare
    raise PictureError(UNDECIDED)


def has_steps(tables: Sequence[Table]) -> bool:
    """Whether the only table holds steps with a pen state (stroke-3 or stroke-5).

    Raises PictureError if its rows could be steps as well as points with a pressure of 0 or 1.
    """
    if len(tables) != 1 or tables[0].shape[1] not in (3, 5) or len(tables[0]) < 3:
        return False
    table = tables[0]
    pen = table[:, 2:]
    if not np.isin(pen, (0, 1)).all() or (table.shape[1] == 5 and not (pen.sum(axis=1) == 1).all()):
        return False
    if table.shape[1] == 3 and not pen.any():
        return False
    if (table[:, :2] < 0).any():
        return True
    raise PictureError(
        "the third value of each point is 0 or 1: that the pen is lifted, or how hard it is pressed; give separate"
        " strokes, each a list of [x, y] points"
    )


def add_steps(table: Table) -> list[Stroke]:
    """Convert steps to strokes: add them up, and cut after each row whose pen state is "lifted"."""
    points = np.cumsum(table[:, :2], axis=0)
    lifted = table[:, 2] == 1
    if table.shape[1] == 5:
        lifted = table[:, 3] == 1
        ends = np.flatnonzero(table[:, 4] == 1)
        points = points[: ends[0]] if len(ends) else points
    cuts = (np.flatnonzero(lifted[:-1]) + 1).tolist()
    return [stroke for stroke in np.split(points, cuts) if len(stroke)]


def _increase(times: Sequence[NDArray[np.float64]]) -> bool:
    return all((np.diff(of_stroke) >= 0).all() for of_stroke in times)


def _are_times(rows: Sequence[NDArray[np.float64]]) -> bool:
    """Whether the third rows are times: they begin at 0 and increase through the whole drawing."""
    return bool(rows[0][0] == 0) and _increase([np.concatenate(rows)])
