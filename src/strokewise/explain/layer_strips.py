"""The activations of one picture → the strips of its layer sheet: line filters, feature maps, scores.

A block's strongest maps are chosen once, by the last layer of the block, and shown for each of its layers: a column
follows one map through the block.
"""

from collections.abc import Sequence

from strokewise.explain.activations import LayerActivation, filter_names, group_by_block, line_filters
from strokewise.model.cnn import CNN
from strokewise.model.layers import LINE_NAMES
from strokewise.plots import Strip


def layer_strips(activations: Sequence[LayerActivation], cnn: CNN, count: int) -> list[Strip]:
    """The strips of one picture, `count` maps a block (of the lines at least the four), from top to bottom."""
    strips = []
    for block, members in group_by_block(activations).items():
        if members[0].is_vector:
            strips += [_vector_strip(member, cnn.shapes, last=member is activations[-1]) for member in members]
            continue
        channels = shown_channels(members[-1], count)
        names = [f"map {channel + 1}" for channel in channels]
        if block == "lines":
            names = [filter_names(cnn)[channel] for channel in channels]
            tiles = [line_filters(cnn)[channel] for channel in channels]
            strips.append(
                Strip("the line filters", "2×2 pixels each", tiles, captions=names, heading=block, numbers=True)
            )
        for member in members:
            strips.append(
                Strip(
                    member.layer.kind,
                    member.size,
                    [member.maps[channel] for channel in channels],
                    captions=names if member is members[-1] else (),
                    heading=block if member is members[0] and block != "lines" else "",
                )
            )
    return strips


def shown_channels(activation: LayerActivation, count: int) -> list[int]:
    """The maps to show of a block that ends with `activation`: the strongest, but of the lines the four come first."""
    if activation.layer.block != "lines":
        return activation.strongest(count)
    four = list(range(len(LINE_NAMES)))
    others = [channel for channel in activation.strongest(len(activation.maps)) if channel not in four]
    return four + others[: max(count - len(four), 0)]


def _vector_strip(activation: LayerActivation, shapes: Sequence[str], last: bool) -> Strip:
    """A vector, wrapped into rows; the last one, the logits, in one row under the shapes' names."""
    values, kind = activation.maps[:, 0, 0], activation.layer.kind
    if last:
        return Strip(kind, "a score a shape", [values.reshape(1, -1)], captions=list(shapes), wide=True, numbers=True)
    rows = next(rows for rows in (16, 8, 4, 2, 1) if len(values) % rows == 0)
    heading = "flatten, fully connected" if kind == "flatten" else ""
    return Strip(kind, activation.size, [values.reshape(rows, -1)], heading=heading, wide=True)
