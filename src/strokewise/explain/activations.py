"""A CNN and one picture uint8 (G, G) → what every layer made of it: named, frozen feature maps (C, H, W).

The layers are recorded by forward hooks that leave no trace: the hooks, the mode, the gradients and the running
statistics of the CNN are as before afterwards, also when the forward pass raises.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from strokewise.model.cnn import CNN
from strokewise.model.inference import Pictures, to_tensor
from strokewise.model.layers import LINE_NAMES, Layer

Maps = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class LayerActivation:
    """What one layer of the CNN made of one picture."""

    layer: Layer
    maps: Maps
    """float32 (C, H, W): C feature maps; (F, 1, 1) from the flattening on."""

    @property
    def is_vector(self) -> bool:
        """Whether it is one row of numbers instead of maps."""
        return self.layer.block in ("flatten", "fully connected")

    @property
    def title(self) -> str:
        """Block and kind, `curves: convolution`; only the kind where the block says no more."""
        return self.layer.kind if self.is_vector else f"{self.layer.block}: {self.layer.kind}"

    @property
    def size(self) -> str:
        """The size in words: `16 maps of 32×32`, or `512 numbers`."""
        count, height, width = self.maps.shape
        return f"{count} numbers" if self.is_vector else f"{count} maps of {width}×{height}"

    def strongest(self, count: int) -> list[int]:
        """The `count` channels that the picture moved most, the strongest first: largest spread over the map.

        A map of a single number has no spread; there the largest number counts.
        """
        spread = self.maps.std(axis=(1, 2)) if self.maps[0].size > 1 else np.abs(self.maps[:, 0, 0])
        return [int(channel) for channel in np.argsort(-spread, kind="stable")[:count]]


def layer_activations(cnn: CNN, picture: Pictures) -> tuple[LayerActivation, ...]:
    """The output of every layer for one picture uint8 (G, G), in their order; the last one's maps are the logits."""
    with eval_mode(cnn), record_activations(cnn) as recorded, torch.inference_mode():
        cnn(to_tensor(picture[np.newaxis], next(cnn.parameters()).device))
    return tuple(
        LayerActivation(layer, values[0] if values.ndim == 4 else values[0].reshape(-1, 1, 1))
        for layer, values in recorded
    )


def group_by_block(activations: Sequence[LayerActivation]) -> dict[str, list[LayerActivation]]:
    """The activations of each block by its name, in their order."""
    return {block: list(group) for block, group in groupby(activations, key=lambda activation: activation.layer.block)}


def line_filters(cnn: CNN) -> Maps:
    """The filters that look at 2×2 squares of pixels, float32 (filters, 2, 2), as they are after training."""
    return cnn.line_filters.filters.detach().cpu().numpy()[:, 0].copy()


def filter_names(cnn: CNN) -> list[str]:
    """A name for each of the line filters: the direction that it started with, else its number."""
    names = [] if cnn.params.line_filters == "learned" else list(LINE_NAMES)
    learned = len(cnn.line_filters.filters) - len(names)
    return names + [f"learned {number}" for number in range(1, learned + 1)]


@contextmanager
def record_activations(cnn: CNN) -> Iterator[list[tuple[Layer, Maps]]]:
    """Within the block, each layer of a forward pass adds (layer, a copy of its output (N, ...)) to the list."""
    recorded: list[tuple[Layer, Maps]] = []
    handles = []
    try:
        for layer in cnn.layers:
            handles.append(cnn.get_submodule(layer.name).register_forward_hook(_recording_hook(layer, recorded)))
        yield recorded
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def eval_mode(module: nn.Module) -> Iterator[None]:
    """Within the block every module is in evaluation mode; afterwards each is in the mode that it was in."""
    modes = [(part, part.training) for part in module.modules()]
    try:
        module.eval()
        yield
    finally:
        for part, mode in modes:
            part.training = mode


def _recording_hook(layer: Layer, recorded: list[tuple[Layer, Maps]]) -> Callable[[nn.Module, Any, Tensor], None]:
    def record(module: nn.Module, inputs: Any, output: Tensor) -> None:
        # a copy: an activation that works in place would overwrite the output of the convolution
        recorded.append((layer, output.detach().float().cpu().numpy().copy()))

    return record
