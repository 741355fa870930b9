"""A picture uint8 (G, G) and its steps -> the arithmetic of one 2×2 square and of one pooling step, number by number.

Computed here with NumPy from the pixels and the weights, not read off the network's answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from strokewise.explain.layers import Floats, Step, line_filters
from strokewise.network import FULL_INK, Network

LINES = 4  # the filters that are lines by name come first


@dataclass(frozen=True, eq=False)
class Product:
    """One square of the picture times one line filter; `total` is the sum of all products and the bias."""

    channel: int
    row: int
    column: int
    """Of the value in the map; the square's first pixel is at (2·row, 2·column)."""
    pixels: Floats
    """(2, 2), 0 bare paper to 1 full ink."""
    weights: Floats
    """(2, 2)"""
    bias: float
    total: float
    after: float
    """What the activation leaves of it."""


@dataclass(frozen=True, eq=False)
class Pooled:
    """Four neighbours of one map become one number: the best of them, or their mean."""

    stage: str
    channel: int
    row: int
    column: int
    values: Floats
    """(2, 2), what the convolution found."""
    best: bool
    """Whether the largest is kept; else the mean is."""
    result: float


def product(network: Network, picture: NDArray[np.uint8], steps: Sequence[Step]) -> Product:
    """The square and the line filter that fit each other best."""
    found, activated = steps[0].maps, steps[1].maps
    channel, row, column = (int(at) for at in np.unravel_index(found[:LINES].argmax(), found[:LINES].shape))
    weights = line_filters(network)
    pixels = picture[2 * row : 2 * row + 2, 2 * column : 2 * column + 2].astype(np.float32) / np.float32(FULL_INK)
    bias = line_biases(network)[channel]
    total = float((pixels * weights[channel]).sum() + bias)
    after = float(activated[channel, row, column])
    return Product(channel, row, column, pixels, weights[channel], float(bias), total, after)


def pooled(steps: Sequence[Step], best: bool) -> Pooled | None:
    """The first pooling step, where its strongest map is largest; None if the network has none (it strides instead)."""
    at = next((number for number, step in enumerate(steps) if step.what == "pooling"), None)
    if at is None:
        return None
    before, after = steps[at - 1].maps, steps[at].maps
    channel = steps[at].strongest(1)[0]
    row, column = (int(place) for place in np.unravel_index(after[channel].argmax(), after[channel].shape))
    values = before[channel, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
    result = float(values.max() if best else values.mean())
    return Pooled(steps[at].stage, channel, row, column, values, best, result)


def line_biases(network: Network) -> Floats:
    """The thresholds of the line filters, (filters,); a fixed filter has none."""
    module = network.get_submodule("stages.lines.convolution")
    assert isinstance(module.bias, Tensor)
    learned = module.bias.detach().cpu().numpy()
    return np.concatenate([np.zeros(len(line_filters(network)) - len(learned), np.float32), learned])
