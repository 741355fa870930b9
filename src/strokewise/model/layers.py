"""The CNN's layers, described once: `network` parameters and a number of classes → a list of `Layer`.

Everything that needs to know the architecture reads this list: `cnn.py` builds its modules from it, `onnx_export.py`
its graph, `explain` its receptive fields, and `strokewise network` prints it. No torch here.

Sizes are (maps, height, width). G is `network.image_size`, the width and height of the input in pixels.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Literal

from strokewise.errors import ParamsError
from strokewise.model.tta import TTA_ANGLES
from strokewise.params import NetworkParams

LINE_NAMES = ("horizontal", "vertical", "rising", "falling")
LINE_KERNEL = 2  # each line filter compares squares of 2×2 pixels, stride 2
BLOCK_NAMES = ("lines", "curves", "shapes")  # further blocks are shapes2, shapes3, ...
BLOCK_DESCRIPTIONS = ("compare each square with line filters", "find curves in lines", "find shapes in curves")
POOL_SIZE = 2
GROUP_NORM_CHANNELS = 8  # maps that group normalisation scales together
MIN_MAP_SIDE = 2  # with `depth: null`, no block is added that would make the maps smaller than this
MAX_PARAMETERS, MAX_MAP_VALUES = 50_000_000, 2**26  # of a network, and of a layer's maps for one picture
COMPARED_IMAGE_SIZES = (64, 128, 256, 512, 1024)
TABLE_HEADER = (
    *("layer", "", "in plain words", "kernel", "stride", "padding"),
    *("output", "sees", "parameters", "multiply-adds"),
)

LayerKind = Literal["convolution", "pooling", "normalisation", "activation", "flatten", "fully connected"]
Size = tuple[int, int, int]


@dataclass(frozen=True)
class ReceptiveField:
    """The value at (row, column) of a map sees `size`×`size` pixels from (start + row·jump, start + column·jump) on."""

    size: int
    jump: int
    """Pixels between the receptive fields of neighbouring values: the product of the strides so far."""
    start: int
    """Pixel at which the first value's receptive field begins; negative inside the padding."""

    def box(self, row: int, column: int, image_size: int) -> tuple[int, int, int, int]:
        """The part of a value's receptive field that lies on the picture: top, left, bottom, right in pixels.

        Bottom and right are exclusive.
        """
        top, left = self.start + row * self.jump, self.start + column * self.jump
        return max(top, 0), max(left, 0), min(top + self.size, image_size), min(left + self.size, image_size)

    def after(self, kernel_size: int, stride: int, padding: int) -> "ReceptiveField":
        """The receptive field one layer later.

        A window widens it by (kernel_size - 1) jumps, a stride multiplies the jump. Source: Dumoulin & Visin, "A guide
        to convolution arithmetic for deep learning", 2016.
        """
        return ReceptiveField(
            size=self.size + (kernel_size - 1) * self.jump,
            jump=self.jump * stride,
            start=self.start - padding * self.jump,
        )


@dataclass(frozen=True)
class Layer:
    """One layer of the CNN: its name, sizes and costs."""

    name: str
    """Of its module in the CNN, and of its weights in the state dict: `blocks.curves.convolution`."""
    block: str
    """lines, curves, shapes, shapes2, ..., flatten or fully connected."""
    kind: LayerKind
    input_size: Size
    output_size: Size
    receptive_field: ReceptiveField
    """Group normalisation also sees the mean and spread of its whole map; that is not counted."""
    description: str = ""
    """What it does, in plain words."""
    kernel_size: int = 1
    stride: int = 1
    padding: int = 0
    bias: bool = False
    parameters: int = 0
    multiply_adds: int = 0
    """Multiplications, each with its addition, for one picture."""


def build_layers(params: NetworkParams, classes: int) -> list[Layer]:
    """The layers from pixels to logits, in the order in which they are computed.

    Raises ParamsError, with the layer's name and sizes, where a map is smaller than the next kernel, and for a network
    that no machine here could hold.
    """
    layers = list(_convolution_blocks(params))
    whole = ReceptiveField(size=params.image_size, jump=params.image_size, start=0)
    maps = layers[-1].output_size
    vector = (math.prod(maps), 1, 1)
    layers.append(Layer("flatten", "flatten", "flatten", maps, vector, whole, "lay all maps out in one row"))
    if params.hidden_units:
        hidden = (params.hidden_units, 1, 1)
        description = "let every value have its say"
        layers.append(_fully_connected("hidden", vector, hidden, whole, description))
        layers.append(_activation("fully_connected", "fully connected", hidden, whole))
        vector = hidden
    layers.append(_fully_connected("logits", vector, (classes, 1, 1), whole, "decide: one score a shape"))
    _check_cost(layers)
    return layers


def _check_cost(layers: Sequence[Layer]) -> None:
    parameters, largest = count_parameters(layers), max(math.prod(layer.output_size) for layer in layers)
    if parameters > MAX_PARAMETERS or largest > MAX_MAP_VALUES:
        raise ParamsError(
            f"the network has {parameters:,} parameters and maps of {largest:,} values; {MAX_PARAMETERS:,} and "
            f"{MAX_MAP_VALUES:,} are allowed: lower network.base_channels, max_channels, image_size or hidden_units"
        )


def count_parameters(layers: Sequence[Layer]) -> int:
    """All numbers in the layers' state, frozen line filters included, running statistics not."""
    return sum(layer.parameters for layer in layers)


def count_multiply_adds(layers: Sequence[Layer]) -> int:
    """Multiplications, each with its addition, to classify one picture."""
    return sum(layer.multiply_adds for layer in layers)


def count_fully_connected(layers: Sequence[Layer]) -> int:
    """Weights if every value of each convolution were connected with every value before it."""
    return sum(
        math.prod(layer.input_size) * math.prod(layer.output_size)
        for layer in layers
        if layer.kind in ("convolution", "fully connected")
    )


def conv_output_size(size: int, kernel_size: int, stride: int, padding: int) -> int:
    """How many places a kernel finds along `size` values; 0 if it does not fit."""
    room = size + 2 * padding - kernel_size
    return room // stride + 1 if room >= 0 else 0


def group_norm_groups(channels: int) -> int:
    """Groups of a group normalisation over `channels` maps."""
    return channels // GROUP_NORM_CHANNELS if channels % GROUP_NORM_CHANNELS == 0 else 1


def _convolution_blocks(params: NetworkParams) -> Iterator[Layer]:
    """The layers of the blocks lines, curves, shapes, shapes2, ...: the last maps are what is flattened."""
    size: Size = (1, params.image_size, params.image_size)
    field = ReceptiveField(size=1, jump=1, start=0)
    for number in count():
        block = _block_layers(params, number, size, field)
        if _is_deep_enough(params, number, block[-1].output_size[1]):
            return
        for layer in block:
            _check_map_size(layer)
        yield from block
        size, field = block[-1].output_size, block[-1].receptive_field


def _is_deep_enough(params: NetworkParams, number: int, side: int) -> bool:
    """Whether the CNN ends before block `number`, which would leave maps of `side`×`side`."""
    if params.depth is not None:
        return number > params.depth
    return number >= len(BLOCK_NAMES) and side < MIN_MAP_SIDE


def _block_layers(params: NetworkParams, number: int, size: Size, field: ReceptiveField) -> list[Layer]:
    """Block `number` on maps of `size`: convolution, pooling, normalisation, activation, as far as it has them.

    Pooling comes first so that what follows has a quarter of the values to process.
    """
    lines = number == 0
    block = BLOCK_NAMES[number] if number < len(BLOCK_NAMES) else f"{BLOCK_NAMES[-1]}{number - 1}"
    prefix = block if lines else f"blocks.{block}"
    strided = params.pooling == "strided" and not lines
    normalised = params.normalisation != "none" and not lines
    if lines:
        channels, kernel_size, stride, padding = len(LINE_NAMES) + params.extra_filters, LINE_KERNEL, LINE_KERNEL, 0
    else:
        channels = min(params.base_channels * 2 ** (number - 1), params.max_channels)
        kernel_size, stride = params.kernel_size, params.stride * (POOL_SIZE if strided else 1)
        padding = (kernel_size - 1) // 2 if params.padding == "zero" else 0
    weights = channels * size[0] * kernel_size**2
    biases = params.extra_filters if lines and params.line_filters == "fixed" else channels
    output = _map_size(channels, size, kernel_size, stride, padding)
    field = field.after(kernel_size, stride, padding)
    convolution = Layer(
        name=f"{prefix}.convolution",
        block=block,
        kind="convolution",
        input_size=size,
        output_size=output,
        receptive_field=field,
        description=BLOCK_DESCRIPTIONS[min(number, 2)],
        kernel_size=kernel_size,
        stride=stride,
        padding=padding,
        bias=not normalised,
        parameters=weights + (0 if normalised else biases),
        multiply_adds=weights * output[1] * output[2],
    )
    layers = [convolution]
    if not strided and not lines:
        pooled = _map_size(channels, output, POOL_SIZE, POOL_SIZE, padding=0)
        field = field.after(POOL_SIZE, POOL_SIZE, padding=0)
        description = f"a smaller map: keep the {'best' if params.pooling == 'max' else 'mean'} of four"
        layers.append(
            Layer(f"{prefix}.pooling", block, "pooling", output, pooled, field, description, POOL_SIZE, POOL_SIZE)
        )
        output = pooled
    if normalised:
        name, description = f"{prefix}.normalisation", "make the maps comparable"
        layers.append(Layer(name, block, "normalisation", output, output, field, description, parameters=2 * channels))
    return [*layers, _activation(prefix, block, output, field)]


def _map_size(channels: int, size: Size, kernel_size: int, stride: int, padding: int) -> Size:
    height, width = (conv_output_size(side, kernel_size, stride, padding) for side in size[1:])
    return channels, height, width


def _activation(prefix: str, block: str, size: Size, field: ReceptiveField) -> Layer:
    return Layer(f"{prefix}.activation", block, "activation", size, size, field)


def _fully_connected(name: str, inputs: Size, outputs: Size, field: ReceptiveField, description: str) -> Layer:
    weights = inputs[0] * outputs[0]
    return Layer(
        f"fully_connected.{name}",
        "fully connected",
        "fully connected",
        inputs,
        outputs,
        field,
        description,
        bias=True,
        parameters=weights + outputs[0],
        multiply_adds=weights,
    )


def _check_map_size(layer: Layer) -> None:
    _, height, width = layer.input_size
    if layer.output_size[1] < 1:
        raise ParamsError(
            f"network: the {layer.kind} of {layer.block} has a {layer.kernel_size}×{layer.kernel_size} kernel and a "
            f"padding of {layer.padding}, but its maps are only {height}×{width}; take a larger image_size, a smaller "
            "kernel_size or stride, less depth (null may be too much) or padding: zero"
        )


# --- the table that `strokewise network` prints


def layer_table(params: NetworkParams, classes: int) -> str:
    """A row a layer, then what connecting every value with every other would cost instead."""
    layers = build_layers(params, classes)
    rows: list[tuple[str, ...]] = [TABLE_HEADER]
    for layer in layers:
        if layer.kind == "activation":
            continue
        maps, height, width = layer.output_size
        slides = layer.kind in ("convolution", "pooling")
        window = (f"{layer.kernel_size}×{layer.kernel_size}", f"{layer.stride}", f"{layer.padding}")
        size = f"{maps} × {height} × {width}" if height * width > 1 or slides else f"{maps}"
        sees = f"{layer.receptive_field.size}×{layer.receptive_field.size}"
        costs = (f"{layer.parameters:,}", f"{layer.multiply_adds:,}")
        window = window if slides else ("", "", "")
        rows.append((layer.block, layer.kind, layer.description, *window, size, sees, *costs))
    costs = (f"{count_parameters(layers):,}", f"{count_multiply_adds(layers):,}")
    side = params.image_size
    rows.append(("all", "", "", "", "", "", f"{classes} shapes", f"of {side}×{side}", *costs))
    augmentation = (
        f"A prediction is the mean of {len(TTA_ANGLES)} views: the picture rotated by {TTA_ANGLES[-1]:g}° either way."
    )
    return f"{_align_columns(rows, texts=3)}\n{augmentation}\n\n{_size_comparison(params, classes)}"


def _size_comparison(params: NetworkParams, classes: int) -> str:
    """This CNN against a fully connected network, for larger and larger pictures."""
    rows: list[tuple[str, ...]] = [
        ("image size", "black-and-white pictures", "parameters", "multiply-adds", "fully connected: both")
    ]
    for side in sorted({params.image_size, *COMPARED_IMAGE_SIZES}):
        try:
            layers = build_layers(params.model_copy(update={"image_size": side}), classes)
            counts = count_parameters(layers), count_multiply_adds(layers), count_fully_connected(layers)
            costs = [f"{number:,}" for number in counts]
        except ParamsError:  # too deep for this size, which is not the one in params.yaml
            costs = ["too small"] * 3
        digits = int(side * side * math.log10(2))
        rows.append((f"{side}×{side}", f"10^{digits:,}", *costs))
    return _align_columns(rows, texts=0)


def _align_columns(rows: Sequence[tuple[str, ...]], texts: int) -> str:
    """Columns as wide as they need; the first `texts` are left-aligned, numbers right-aligned."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    places = [f"{{:{'<' if at < texts else '>'}{width}}}" for at, width in enumerate(widths)]
    head, *body = ("  ".join(places).format(*row).rstrip() for row in rows)
    return "\n".join([head, "─" * (sum(widths) + 2 * len(widths) - 2), *body])
