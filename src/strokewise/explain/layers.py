"""A network and one picture uint8 (G, G) -> what every step made of it: named, frozen feature maps (C, H, W).

The steps are watched by forward hooks, which leave no trace: neither the hooks themselves nor the mode, the
gradients or the running statistics of the network are different afterwards, also when the forward pass raises.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from strokewise.network import Network, batch

Floats = NDArray[np.float32]
Seen = tuple[str, str, Floats]


@dataclass(frozen=True, eq=False)
class Step:
    """What one step of the network made of one picture.

    A convolution or pooling reads a square `window` of its input, `stride` apart, with `padding` of bare paper
    around it. Every other step up to the flattening reads one value for each that it writes (1, 1, 0).
    """

    stage: str
    """lines, curves, shapes, ..., flatten, connected."""
    what: str
    """convolution, pooling, normalisation, activation, flatten or fully connected."""
    maps: Floats
    """float32 (C, H, W): C feature maps; (F, 1, 1) from the flattening on."""
    window: int = 1
    stride: int = 1
    padding: int = 0

    @property
    def title(self) -> str:
        """Where and what, `curves: convolution`; only what where the place says no more."""
        return self.what if self.stage in ("flatten", "connected") else f"{self.stage}: {self.what}"

    @property
    def size(self) -> str:
        """The size in words: `16 maps of 32×32`, or `512 numbers`."""
        count, height, width = self.maps.shape
        return f"{count} numbers" if self.stage in ("flatten", "connected") else f"{count} maps of {width}×{height}"

    def strongest(self, count: int) -> list[int]:
        """The channels that the picture moved most, the strongest first: largest spread over the map.

        A map of a single number has no spread; there the largest number counts.
        """
        spread = self.maps.std(axis=(1, 2)) if self.maps[0].size > 1 else np.abs(self.maps[:, 0, 0])
        return [int(channel) for channel in np.argsort(-spread, kind="stable")[:count]]


def steps(network: Network, picture: NDArray[np.uint8]) -> tuple[Step, ...]:
    """Every step that the network takes for one picture (G, G), in their order; the last one's maps are the logits."""
    with evaluating(network), watching(network) as seen, torch.inference_mode():
        network(batch(picture[np.newaxis], next(network.parameters()).device))
    reach = {(layer.stage, str(layer.kind)): (layer.kernel, layer.stride, layer.padding) for layer in network.layers}
    found = []
    for stage, what, values in seen:
        maps = values[0] if values.ndim == 4 else values[0].reshape(-1, 1, 1)
        found.append(Step(stage, what, maps, *reach.get((stage, what), (1, 1, 0))))
    return tuple(found)


def line_filters(network: Network) -> Floats:
    """The filters that look at 2×2 squares of pixels, float32 (filters, 2, 2), as they are after training."""
    filters = network.get_submodule("stages.lines.convolution").filters
    assert isinstance(filters, Tensor)
    return filters.detach().cpu().numpy()[:, 0].copy()


@contextmanager
def watching(network: Network) -> Iterator[list[Seen]]:
    """Within the block, each step of a forward pass adds (stage, what it does, a copy of its output) to the list."""
    seen: list[Seen] = []
    handles = []
    try:
        for stage, what, module in _watched(network):
            handles.append(module.register_forward_hook(_noting(stage, what, seen)))
        yield seen
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Within the block every module is in evaluation mode; afterwards each is in the mode that it was in."""
    modes = [(module, module.training) for module in network.modules()]
    try:
        network.eval()
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def _watched(network: Network) -> Iterator[tuple[str, str, nn.Module]]:
    """The modules that are a step, with their place in the article's words."""
    for name, stage in network.stages.items():
        for what, module in stage.named_children():
            yield name, what, module
    yield "flatten", "flatten", network.flatten
    for module in network.connected:
        yield "connected", "fully connected" if isinstance(module, nn.Linear) else "activation", module


def _noting(stage: str, what: str, seen: list[Seen]) -> Callable[[nn.Module, Any, Tensor], None]:
    def note(module: nn.Module, inputs: Any, output: Tensor) -> None:
        # a copy: an activation that works in place would overwrite what the convolution found
        seen.append((stage, what, output.detach().float().cpu().numpy().copy()))

    return note
