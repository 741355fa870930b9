"""The steps of one picture -> the strips of its layer sheet: the line filters, what each found, maps, the scores.

A stage's strongest maps are chosen once, where the stage ends, and shown at each of its steps: a column is one map
on its way.
"""

from collections.abc import Sequence

import numpy as np

from strokewise.explain.activations import LayerActivation, Maps
from strokewise.model.layers import LINE_NAMES
from strokewise.plots import Strip


def layer_strips(
    steps: Sequence[LayerActivation], filters: Maps, shapes: Sequence[str], seeded: bool, count: int
) -> list[Strip]:
    """The layer sheet of one picture, `count` maps a stage (of the lines at least the four).

    `filters` float32 (F, 2, 2) are those of the lines; `seeded` says that the first four are still lines.
    """
    found = []
    for stage in dict.fromkeys(step.layer.block for step in steps):
        members = [step for step in steps if step.layer.block == stage]
        if stage in ("flatten", "fully connected"):
            found += [_vector_strip(step, shapes, last=step is steps[-1]) for step in members]
            continue
        lines = stage == "lines"
        chosen = shown_channels(members[-1], count)
        names = [filter_name(channel, seeded) if lines else f"map {channel + 1}" for channel in chosen]
        if lines:
            shown = [filters[channel] for channel in chosen]
            found.append(Strip("the line filters", "2×2 pixels each", shown, names, heading="lines", numbers=True))
        for step in members:
            heading = stage if step is members[0] and not lines else ""
            captions = names if step is members[-1] else ()
            found.append(
                Strip(step.layer.kind, step.size, [step.maps[channel] for channel in chosen], captions, heading)
            )
    return found


def shown_channels(step: LayerActivation, count: int) -> list[int]:
    """The maps that are shown of a stage that ends with `step`: the strongest, but of the lines the four come first."""
    if step.layer.block != "lines":
        return step.strongest(count)
    four = list(range(len(LINE_NAMES)))
    return four + [channel for channel in step.strongest(len(step.maps)) if channel not in four][: max(count - 4, 0)]


def filter_name(channel: int, seeded: bool) -> str:
    """What a line filter is called: the direction that it began with, else its number."""
    if seeded:
        return LINE_NAMES[channel] if channel < len(LINE_NAMES) else f"learned {channel - len(LINE_NAMES) + 1}"
    return f"learned {channel + 1}"


def _vector_strip(step: LayerActivation, shapes: Sequence[str], last: bool) -> Strip:
    """The flattened vector, wrapped so that it can be looked at; the last numbers of all under the shapes' names."""
    values = step.maps[:, 0, 0]
    if last:
        return Strip(step.layer.kind, "a score a shape", [values[np.newaxis]], list(shapes), wide=True, numbers=True)
    rows = next(rows for rows in (16, 8, 4, 2, 1) if len(values) % rows == 0)
    heading = "flatten, fully connected" if step.layer.kind == "flatten" else ""
    return Strip(step.layer.kind, step.size, [values.reshape(rows, -1)], heading=heading, wide=True)
