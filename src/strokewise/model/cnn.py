"""The CNN: float32 (N, 1, G, G) pictures, 0 bare paper to 1 full ink → (N, C) logits, a column a shape.

    line filters → blocks of convolution, pooling, normalisation, activation → flatten → fully connected

`layers.py` decides how many blocks there are and how large each layer is; predicting is in `inference.py`, saving and
loading in `model_files.py`.
"""

from collections import OrderedDict
from collections.abc import Sequence
from itertools import groupby
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from strokewise.model.layers import LINE_KERNEL, LINE_NAMES, Layer, build_layers, group_norm_groups
from strokewise.params import NetworkParams

# Ink on the line, none beside it. Each sums to zero, so an evenly inked square matches no line at all.
LINE_FILTERS = (
    torch.tensor(
        [[[1, 1], [-1, -1]], [[1, -1], [1, -1]], [[-1, 1], [1, -1]], [[1, -1], [-1, 1]]],
        dtype=torch.float32,
    ).unsqueeze(1)
    / 2
)  # (4, 1, 2, 2), in the order of LINE_NAMES
assert len(LINE_FILTERS) == len(LINE_NAMES)
ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
}


class CNN(nn.Module):
    """The CNN for `shapes`, freshly initialised from torch's global random state.

    Args:
        shapes: names of the classes, in the order of the logits.
        params: the architecture, `network` of params.yaml.

    Raises ParamsError if the parameters do not fit together.
    """

    def __init__(self, shapes: Sequence[str], params: NetworkParams) -> None:
        super().__init__()
        self.shapes = tuple(shapes)
        self.params = params
        self.image_size = params.image_size
        self.config: dict[str, Any] = {}  # of the model folder that it was loaded from or saved to
        self.layers = build_layers(params, len(self.shapes))
        blocks = {name: list(layers) for name, layers in groupby(self.layers, key=lambda layer: layer.block)}
        self.lines = _Block(blocks.pop("lines"), params)
        fully_connected, _ = blocks.pop("fully connected"), blocks.pop("flatten")
        self.blocks = nn.ModuleDict({name: _Block(layers, params) for name, layers in blocks.items()})
        self.flatten = nn.Flatten()
        self.fully_connected = _Block(fully_connected, params)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's types lack this form

    def forward(self, pictures: Tensor) -> Tensor:
        """float32 (N, 1, G, G) in [0, 1] → float32 (N, C) logits."""
        maps = self.lines(pictures)  # (N, lines, G/2, G/2): how much each 2×2 square looks like each line
        for block in self.blocks.values():  # curves, shapes, shapes2, ...
            maps = block(maps)  # (N, more maps, half the height, half the width)
        vector = self.flatten(maps)  # (N, maps · height · width)
        logits: Tensor = self.fully_connected(vector)  # (N, C)
        return logits

    @property
    def line_filters(self) -> "LineFilters":
        """The first layer."""
        filters = self.lines.get_submodule("convolution")
        assert isinstance(filters, LineFilters)
        return filters


class _Block(nn.Sequential):
    """Layers one after the other, each under the last part of its name."""

    def __init__(self, layers: Sequence[Layer], params: NetworkParams) -> None:
        super().__init__(OrderedDict((layer.name.rpartition(".")[2], _module(layer, params)) for layer in layers))


def _module(layer: Layer, params: NetworkParams) -> nn.Module:
    """The module that computes a layer."""
    channels_in, channels = layer.input_size[0], layer.output_size[0]
    match layer.kind:
        case "convolution" if layer.block == "lines":
            return LineFilters(params.line_filters, params.extra_filters)
        case "convolution":
            return nn.Conv2d(channels_in, channels, layer.kernel_size, layer.stride, layer.padding, bias=layer.bias)
        case "pooling":
            return {"max": nn.MaxPool2d, "average": nn.AvgPool2d}[params.pooling](layer.kernel_size)
        case "normalisation" if params.normalisation == "batch":
            return nn.BatchNorm2d(channels)
        case "normalisation":
            return nn.GroupNorm(group_norm_groups(channels), channels)
        case "activation":
            return ACTIVATIONS[params.activation]()
        case "fully connected":
            return nn.Linear(channels_in, channels)
    raise AssertionError(layer.kind)


class LineFilters(nn.Module):
    """(N, 1, G, G) → (N, 4 + extra, G/2, G/2): how much each 2×2 square of pixels looks like each line.

    Args:
        kind: `fixed`: the four line filters stay as they are; `seeded`: they are where learning starts; `learned`:
            they are not used.
        extra: number of further filters, always learned.
    """

    frozen: Tensor

    def __init__(self, kind: str, extra: int) -> None:
        super().__init__()
        count = extra + (0 if kind == "fixed" else len(LINE_NAMES))
        initial = nn.Conv2d(1, max(count, 1), LINE_KERNEL)
        assert initial.bias is not None
        self.weight = nn.Parameter(initial.weight[:count].detach().clone())
        self.bias = nn.Parameter(initial.bias[:count].detach().clone())
        self.register_buffer("frozen", LINE_FILTERS.clone() if kind == "fixed" else LINE_FILTERS[:0].clone())
        if kind == "seeded":
            with torch.no_grad():
                self.weight[: len(LINE_NAMES)] = LINE_FILTERS

    @property
    def filters(self) -> Tensor:
        """All filters (4 + extra, 1, 2, 2), the four lines first."""
        return torch.cat([self.frozen, self.weight])

    @property
    def biases(self) -> Tensor:
        """Their biases (4 + extra,); a frozen filter has none."""
        return functional.pad(self.bias, (len(self.frozen), 0))

    def forward(self, pictures: Tensor) -> Tensor:
        """float32 (N, 1, G, G) → float32 (N, 4 + extra, G/2, G/2)."""
        # Each square is read once, so this is one matrix product: it trains four times as fast as conv2d here.
        maps = functional.linear(_squares(pictures), self.filters.flatten(1), self.biases)  # (N, G/2, G/2, 4 + extra)
        return maps.permute(0, 3, 1, 2)


def _squares(pictures: Tensor) -> Tensor:
    """(N, 1, G, G) → (N, G/2, G/2, 4): the pixels of each 2×2 square, row by row; an odd last row is left out."""
    half = pictures.shape[-1] // LINE_KERNEL
    even = pictures[:, 0, : half * LINE_KERNEL, : half * LINE_KERNEL]
    return even.reshape(-1, half, LINE_KERNEL, half, LINE_KERNEL).transpose(2, 3).flatten(3)
