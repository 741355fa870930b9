"""A picture uint8 (G, G) and its activations → one 2×2 square times a filter, and one pooling, number by number.

Computed here with NumPy from the pixels and the weights, not taken from the CNN's output.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from strokewise.explain.activations import LayerActivation, Maps, line_filters
from strokewise.model.cnn import CNN
from strokewise.model.inference import FULL_INK, Pictures
from strokewise.model.layers import LINE_NAMES


@dataclass(frozen=True, eq=False)
class FilterProduct:
    """One square of the picture times one line filter; `total` is the sum of all products and the bias."""

    channel: int
    row: int
    column: int
    """Of the value in the map; the square's first pixel is at (2·row, 2·column)."""
    pixels: Maps
    """(2, 2), 0 bare paper to 1 full ink."""
    weights: Maps
    """(2, 2)"""
    bias: float
    total: float
    activated: float
    """The total after the activation."""


@dataclass(frozen=True, eq=False)
class PoolingExample:
    """Four neighbours of one map become one number: the largest of them, or their mean."""

    block: str
    channel: int
    row: int
    column: int
    values: Maps
    """(2, 2), of the convolution."""
    best: bool
    """Whether the largest is kept; else the mean is."""
    result: float


def filter_product(cnn: CNN, picture: Pictures, activations: Sequence[LayerActivation]) -> FilterProduct:
    """The square and the line filter that match each other best."""
    convolved, activated = activations[0].maps, activations[1].maps
    lines = convolved[: len(LINE_NAMES)]
    channel, row, column = (int(at) for at in np.unravel_index(lines.argmax(), lines.shape))
    weights, bias = line_filters(cnn)[channel], line_biases(cnn)[channel]
    pixels = picture[2 * row : 2 * row + 2, 2 * column : 2 * column + 2].astype(np.float32) / np.float32(FULL_INK)
    return FilterProduct(
        channel=channel,
        row=row,
        column=column,
        pixels=pixels,
        weights=weights,
        bias=float(bias),
        total=float((pixels * weights).sum() + bias),
        activated=float(activated[channel, row, column]),
    )


def pooling_example(activations: Sequence[LayerActivation], best: bool) -> PoolingExample | None:
    """The first pooling, where its strongest map is largest; None if the CNN has none (its convolutions stride)."""
    at = next((number for number, step in enumerate(activations) if step.layer.kind == "pooling"), None)
    if at is None:
        return None
    before, pooled = activations[at - 1].maps, activations[at]
    channel = pooled.strongest(1)[0]
    after = pooled.maps[channel]
    row, column = (int(place) for place in np.unravel_index(after.argmax(), after.shape))
    values = before[channel, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
    return PoolingExample(
        block=pooled.layer.block,
        channel=channel,
        row=row,
        column=column,
        values=values,
        best=best,
        result=float(values.max() if best else values.mean()),
    )


def line_biases(cnn: CNN) -> Maps:
    """The biases of the line filters, (filters,); a frozen filter has none, which is zero here."""
    return cnn.line_filters.biases.detach().cpu().numpy()
