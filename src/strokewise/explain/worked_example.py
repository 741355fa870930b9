"""A picture uint8 (G, G) and its steps -> the arithmetic of one 2×2 square and of one pooling step, number by number.

Computed here with NumPy from the pixels and the weights, not read off the network's answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from strokewise.explain.activations import LayerActivation, Maps, line_filters
from strokewise.model.cnn import CNN
from strokewise.model.inference import FULL_INK

NAMED_FILTERS = 4  # the filters that are lines by name come first


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
    after: float
    """What the activation leaves of it."""


@dataclass(frozen=True, eq=False)
class PoolingExample:
    """Four neighbours of one map become one number: the best of them, or their mean."""

    stage: str
    channel: int
    row: int
    column: int
    values: Maps
    """(2, 2), what the convolution found."""
    best: bool
    """Whether the largest is kept; else the mean is."""
    result: float


def filter_product(network: CNN, picture: NDArray[np.uint8], steps: Sequence[LayerActivation]) -> FilterProduct:
    """The square and the line filter that fit each other best."""
    found, activated = steps[0].maps, steps[1].maps
    channel, row, column = (
        int(at) for at in np.unravel_index(found[:NAMED_FILTERS].argmax(), found[:NAMED_FILTERS].shape)
    )
    weights = line_filters(network)
    pixels = picture[2 * row : 2 * row + 2, 2 * column : 2 * column + 2].astype(np.float32) / np.float32(FULL_INK)
    bias = line_biases(network)[channel]
    total = float((pixels * weights[channel]).sum() + bias)
    after = float(activated[channel, row, column])
    return FilterProduct(channel, row, column, pixels, weights[channel], float(bias), total, after)


def pooling_example(steps: Sequence[LayerActivation], best: bool) -> PoolingExample | None:
    """The first pooling step, where its strongest map is largest; None if the network has none (it strides instead)."""
    at = next((number for number, step in enumerate(steps) if step.layer.kind == "pooling"), None)
    if at is None:
        return None
    before, after = steps[at - 1].maps, steps[at].maps
    channel = steps[at].strongest(1)[0]
    row, column = (int(place) for place in np.unravel_index(after[channel].argmax(), after[channel].shape))
    values = before[channel, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
    result = float(values.max() if best else values.mean())
    return PoolingExample(steps[at].layer.block, channel, row, column, values, best, result)


def line_biases(cnn: CNN) -> Maps:
    """The biases of the line filters, (filters,); a frozen filter has none."""
    return cnn.line_filters.biases.detach().cpu().numpy()
