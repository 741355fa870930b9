"""float32 (N, 1, G, G) pictures, 0 bare paper to 1 full ink -> (N, C) logits, a column a shape. Architecture only.

The CNN in the article's words: pixels -> lines -> curves -> shapes -> flatten -> fully connected. How many stages
there are and how large each is decides `architecture.layers`. A network saves itself as a folder and rebuilds itself
from that folder alone: `model.safetensors` and `config.json`, no pickle.
"""

import hashlib
import json
import math
from collections import OrderedDict
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.nn import functional

from strokewise import architecture, disk
from strokewise.architecture import LINE_KERNEL, LINES, LOOKS, REFRESHED, Layer
from strokewise.errors import ModelError
from strokewise.params import Network as Settings

FULL_INK = 255.0
GROUP = 8  # maps that group normalisation scales together

# Ink on the line, none beside it; each sums to zero, so an evenly inked square looks like no line at all.
LINE_FILTERS = (
    torch.tensor(
        [[[1, 1], [-1, -1]], [[1, -1], [1, -1]], [[-1, 1], [1, -1]], [[1, -1], [-1, 1]]],
        dtype=torch.float32,
    ).unsqueeze(1)
    / 2
)  # (4, 1, 2, 2), in the order of LINES
assert len(LINE_FILTERS) == len(LINES)


class LineFilters(nn.Module):
    """(N, 1, G, G) -> (N, 4 + extra, G/2, G/2): how much each 2×2 square of pixels looks like each line.

    `fixed`: the four line filters stay as they are; `seeded`: they are where learning starts; `learned`: they are
    not used. The extra filters are always learned.
    """

    frozen: Tensor

    def __init__(self, lines: str, extra: int) -> None:
        super().__init__()
        count = extra + (0 if lines == "fixed" else len(LINES))
        learned = nn.Conv2d(1, max(count, 1), LINE_KERNEL)
        assert learned.bias is not None
        self.weight, self.bias = (
            nn.Parameter(learned.weight[:count].detach().clone()),
            nn.Parameter(learned.bias[:count].detach().clone()),
        )
        self.register_buffer("frozen", LINE_FILTERS.clone() if lines == "fixed" else LINE_FILTERS[:0].clone())
        if lines == "seeded":
            with torch.no_grad():
                self.weight[: len(LINES)] = LINE_FILTERS

    @property
    def filters(self) -> Tensor:
        """All filters (4 + extra, 1, 2, 2), the four lines first."""
        return torch.cat([self.frozen, self.weight])

    def forward(self, pictures: Tensor) -> Tensor:
        bias = functional.pad(self.bias, (len(self.frozen), 0))  # a fixed filter has no threshold to learn
        # Each square is read once, so this is one matrix product: it learns four times as fast as conv2d here.
        found = functional.linear(_squares(pictures), self.filters.flatten(1), bias)  # (N, G/2, G/2, 4 + extra)
        return found.permute(0, 3, 1, 2)


def _squares(pictures: Tensor) -> Tensor:
    """(N, 1, G, G) -> (N, G/2, G/2, 4): the pixels of each 2×2 square, row by row; an odd last row is left out."""
    half = pictures.shape[-1] // LINE_KERNEL
    even = pictures[:, 0, : half * LINE_KERNEL, : half * LINE_KERNEL]
    return even.reshape(-1, half, LINE_KERNEL, half, LINE_KERNEL).transpose(2, 3).flatten(3)


class Network(nn.Module):
    """The CNN for `shapes`, freshly initialised from torch's random state.

    `stages` maps "lines", "curves", "shapes", "shapes2", ... to a sequence of convolution, pooling, normalisation and
    activation, as far as it has them. Raises ParamsError if the settings do not fit together.
    """

    def __init__(self, shapes: Sequence[str], settings: Settings) -> None:
        super().__init__()
        self.shapes = tuple(shapes)
        self.grid = settings.grid
        self.settings = settings
        self.config: dict[str, Any] = {}
        self.layers = architecture.layers(settings, len(self.shapes))
        built = {name: list(group) for name, group in groupby(self.layers, key=lambda layer: layer.stage)}
        connected = built.pop("connected")
        built.pop("flatten")
        self.stages = nn.ModuleDict({name: _stage(found, settings) for name, found in built.items()})
        self.flatten = nn.Flatten()
        self.connected = _connected(connected, settings)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's types lack this form

    def forward(self, pictures: Tensor) -> Tensor:
        maps = pictures  # (N, 1, G, G)
        for stage in self.stages.values():
            maps = stage(maps)  # (N, more maps, half the height, half the width)
        row = self.flatten(maps)  # (N, maps · height · width)
        logits: Tensor = self.connected(row)  # (N, C)
        return logits


def _stage(found: list[Layer], settings: Settings) -> nn.Sequential:
    """Convolution, pooling, normalisation, activation: pooled first, the rest has a quarter of the values to touch."""
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    normalised = any(layer.kind == "normalisation" for layer in found)
    for layer in found:
        parts[layer.kind] = _part(layer, settings, bias=not normalised)
    parts["activation"] = _activation(settings)
    return nn.Sequential(parts)


def _part(layer: Layer, settings: Settings, bias: bool) -> nn.Module:
    maps = layer.output[0]
    if layer.kind == "pooling":
        return {"max": nn.MaxPool2d, "average": nn.AvgPool2d}[settings.pooling](layer.kernel)
    if layer.kind == "normalisation":
        if settings.normalisation == "batch":
            return nn.BatchNorm2d(maps)
        return nn.GroupNorm(maps // GROUP if maps % GROUP == 0 else 1, maps)
    if layer.stage == "lines":
        return LineFilters(settings.lines, settings.extra)
    return nn.Conv2d(layer.inputs[0], maps, layer.kernel, layer.stride, layer.padding, bias=bias)


def _connected(found: list[Layer], settings: Settings) -> nn.Sequential:
    parts: list[nn.Module] = []
    for layer in found:
        parts += [nn.Linear(layer.inputs[0], layer.output[0]), _activation(settings)]
    return nn.Sequential(*parts[:-1])  # logits are not activated


def _activation(settings: Settings) -> nn.Module:
    kinds: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "leaky": nn.LeakyReLU, "gelu": nn.GELU, "silu": nn.SiLU}
    return kinds[settings.activation]()


def batch(pictures: NDArray[np.uint8] | Tensor, device: torch.device | str = "cpu") -> Tensor:
    """uint8 (N, G, G) pictures -> float32 (N, 1, G, G) in [0, 1]. The scale is a constant, never a statistic."""
    held = torch.as_tensor(pictures, device=device)
    return held.unsqueeze(1).float().div_(FULL_INK)


def turned(pictures: Tensor, degrees: float) -> Tensor:
    """(N, 1, G, G) pictures in [0, 1] turned clockwise about their middle, lines as strong as before.

    Bare paper comes in at the corners; pictures that are not turned come back as they are.
    """
    if degrees == 0:
        return pictures
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    turn = pictures.new_tensor([[[cos, sin, 0.0], [-sin, cos, 0.0]]])
    places = functional.affine_grid(turn, [1, *pictures.shape[1:]], align_corners=False)  # the same for all
    faded = functional.grid_sample(pictures, places.expand(len(pictures), -1, -1, -1), align_corners=False)
    return (faded * REFRESHED).clamp(max=1)


def probabilities(
    network: Network, pictures: NDArray[np.uint8], size: int = 32, looks: Sequence[float] = LOOKS
) -> NDArray[np.float32]:
    """uint8 (N, G, G) pictures -> float32 (N, C), each row a distribution over the shapes; `size` at a time.

    The mean of what the network says to each picture turned by each of `looks`, in degrees: two looks are right oftener
    than one, and cost nothing to learn (numbers in `stages/train.py`). Raises ModelError for pictures of another grid
    than the network's.
    """
    if pictures.ndim != 3 or pictures.shape[1:] != (network.grid, network.grid):
        raise ModelError(
            f"pictures of shape {pictures.shape} do not fit a network of grid {network.grid}; "
            f"give (N, {network.grid}, {network.grid})"
        )
    assert not network.training
    device = next(network.parameters()).device
    found = np.empty((len(pictures), len(network.shapes)), np.float32)
    with torch.inference_mode():
        for start in range(0, len(pictures), size):
            part = batch(np.ascontiguousarray(pictures[start : start + size]), device)
            logits = network(torch.cat([turned(part, degrees) for degrees in looks])).float()
            answers = logits.softmax(1).view(len(looks), len(part), -1)
            found[start : start + size] = answers.mean(0).cpu().numpy()
    return found


def save(network: Network, folder: Path, config: dict[str, Any]) -> None:
    """Write `model.safetensors` and `config.json` into `folder`, with what is needed to rebuild the network.

    `config` is the caller's knowledge (fingerprint, training, ...); shapes, grid, architecture, number of parameters
    and the weights' digest are added. The caller makes the folder appear at once (`disk.replacing`).
    """
    folder.mkdir(parents=True, exist_ok=True)
    content = weights(network)
    (folder / "model.safetensors").write_bytes(content)
    network.config = {
        **config,
        "shapes": list(network.shapes),
        "grid": network.grid,
        "network": network.settings.model_dump(),
        "parameters": architecture.parameters(network.layers),
        "weights": hashlib.sha256(content).hexdigest(),
    }
    disk.write_json(folder / "config.json", network.config)


def weights(network: Network) -> bytes:
    """The parameters and statistics as the bytes of a safetensors file."""
    return safetensors.torch.save({name: value.cpu().contiguous() for name, value in network.state_dict().items()})


def load(folder: Path) -> Network:
    """Rebuild the network of a model folder, ready to predict (`eval`), with its `config`.

    Raises ModelError if the folder is missing, incomplete or damaged.
    """
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        content = (folder / "model.safetensors").read_bytes()
    except FileNotFoundError as error:
        raise ModelError(
            f"no model in {folder}: {Path(error.filename).name} is missing; run `strokewise train`, or name a folder "
            "that it wrote"
        ) from None
    except (OSError, ValueError) as error:
        raise ModelError(f"the model in {folder} cannot be read: {error}; train it again") from None
    try:
        settings = Settings.model_validate(config["network"])
        with torch.random.fork_rng(devices=[]):  # its first weights are not kept: the caller's randomness is neither
            network = Network(config["shapes"], settings)
        network.load_state_dict(safetensors.torch.load(content))
        known = config["weights"]
    except (KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"the model in {folder} is damaged or of another version: {reason}; train it again") from None
    if hashlib.sha256(content).hexdigest() != known:
        raise ModelError(f"the weights in {folder} are not those that its config.json describes; train it again")
    network.config = config
    return network.eval()
