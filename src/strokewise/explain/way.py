"""The steps of one picture -> the strips of its layer sheet: the line filters, what each found, maps, the scores.

A stage's strongest maps are chosen once, where the stage ends, and shown at each of its steps: a column is one map
on its way.
"""

from collections.abc import Sequence

import numpy as np

from strokewise.architecture import LINES
from strokewise.explain.layers import Floats, Step
from strokewise.figures import Strip


def strips(steps: Sequence[Step], filters: Floats, shapes: Sequence[str], seeded: bool, count: int) -> list[Strip]:
    """The layer sheet of one picture, `count` maps a stage (of the lines at least the four).

    `filters` float32 (F, 2, 2) are those of the lines; `seeded` says that the first four are still lines.
    """
    found = []
    for stage in dict.fromkeys(step.stage for step in steps):
        members = [step for step in steps if step.stage == stage]
        if stage in ("flatten", "connected"):
            found += [_row(step, shapes, last=step is steps[-1]) for step in members]
            continue
        lines = stage == "lines"
        chosen = channels(members[-1], count)
        names = [filter_name(channel, seeded) if lines else f"map {channel + 1}" for channel in chosen]
        if lines:
            shown = [filters[channel] for channel in chosen]
            found.append(Strip("the line filters", "2×2 pixels each", shown, names, heading="lines", numbers=True))
        for step in members:
            heading = stage if step is members[0] and not lines else ""
            captions = names if step is members[-1] else ()
            found.append(Strip(step.what, step.size, [step.maps[channel] for channel in chosen], captions, heading))
    return found


def channels(step: Step, count: int) -> list[int]:
    """The maps that are shown of a stage that ends with `step`: the strongest, but of the lines the four come first."""
    if step.stage != "lines":
        return step.strongest(count)
    four = list(range(len(LINES)))
    return four + [channel for channel in step.strongest(len(step.maps)) if channel not in four][: max(count - 4, 0)]


def filter_name(channel: int, seeded: bool) -> str:
    """What a line filter is called: the direction that it began with, else its number."""
    if seeded:
        return LINES[channel] if channel < len(LINES) else f"learned {channel - len(LINES) + 1}"
    return f"learned {channel + 1}"


def _row(step: Step, shapes: Sequence[str], last: bool) -> Strip:
    """The flattened vector, wrapped so that it can be looked at; the last numbers of all under the shapes' names."""
    values = step.maps[:, 0, 0]
    if last:
        return Strip(step.what, "a score a shape", [values[np.newaxis]], list(shapes), wide=True, numbers=True)
    rows = next(rows for rows in (16, 8, 4, 2, 1) if len(values) % rows == 0)
    heading = "flatten, fully connected" if step.what == "flatten" else ""
    return Strip(step.what, step.size, [values.reshape(rows, -1)], heading=heading, wide=True)
