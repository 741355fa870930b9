"""`network` parameters and a number of classes -> the list of the network's layers with their sizes and costs.

No torch here: `network.py` builds its modules from this list, and `strokewise network` prints it. Sizes are
(maps, height, width); a receptive field is the width in pixels of what one value can see of the picture.

The article's picture, layer by layer: *lines* compares each 2×2 square with line filters, *curves* looks for curves
in the lines, *shapes* (as many stages as the grid needs) for shapes in the curves; flatten, and fully connected
layers decide.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Literal

from strokewise.errors import ParamsError
from strokewise.params import Network as Settings

LINES = ("horizontal", "vertical", "rising", "falling")
NAMES = ("lines", "curves", "shapes")
LINE_KERNEL = 2  # the article's: squares of 2×2 pixels, each looked at once
SMALLEST = 2  # a depth that follows the grid stops before the map gets smaller: 2×2 still says what is where
POOL = 2
LOOKS = (-8.5, 8.5)  # degrees: who predicts looks at a picture turned a little either way, and averages the answers
STRAIGHT = (0.0,)  # the one look, at the picture as it lies, that is explained
REFRESHED = 1.5  # times the ink after a turn, cut at full ink: between pixels, the thin lines of small grids fade
GRIDS = (64, 128, 256, 512, 1024)  # that the table compares
HEADER = (
    *("layer", "", "in the article's words", "kernel", "stride", "padding"),
    *("output", "sees", "parameters", "multiply-adds"),
)

Kind = Literal["convolution", "pooling", "normalisation", "flatten", "fully connected"]


@dataclass(frozen=True)
class Layer:
    """One row of the table: what goes in and comes out as (maps, height, width), and what it costs."""

    stage: str
    kind: Kind
    kernel: int
    stride: int
    padding: int
    inputs: tuple[int, int, int]
    output: tuple[int, int, int]
    receptive_field: int
    parameters: int
    multiply_adds: int
    word: str


def layers(settings: Settings, classes: int) -> list[Layer]:
    """The layers from pixels to logits.

    Raises ParamsError, with the layer's name and sizes, where a map is too small for the next kernel.
    """
    found = list(_convolutions(settings))
    shape = found[-1].output
    maps, height, width = shape
    row = (maps * height * width, 1, 1)
    found.append(Layer("flatten", "flatten", 1, 1, 0, shape, row, settings.grid, 0, 0, "lay all maps out in one row"))
    said = ("let every value have its say", "decide: one score a shape")
    for units, word in zip((settings.hidden, classes), said, strict=True):
        if not units:
            continue  # no layer between
        fan_in = found[-1].output[0]
        out = (units, 1, 1)
        cost = fan_in * units
        found.append(
            Layer("connected", "fully connected", 1, 1, 0, (fan_in, 1, 1), out, settings.grid, cost + units, cost, word)
        )
    return found


def parameters(found: list[Layer]) -> int:
    """All numbers that belong to the layers, the frozen line filters too."""
    return sum(layer.parameters for layer in found)


def multiply_adds(found: list[Layer]) -> int:
    """Multiplications (each with its addition) to classify one picture."""
    return sum(layer.multiply_adds for layer in found)


def _convolutions(settings: Settings) -> Iterator[Layer]:
    """`lines`, `curves`, `shapes`, `shapes2`, ...: the last map is what the fully connected layers get."""
    shape, field, jump = (1, settings.grid, settings.grid), 1, 1
    for number in count():
        stage = list(_stage(settings, number, shape, field, jump))
        if _deep_enough(settings, number, stage[-1].output[1]):
            return
        for layer in stage:
            _check_room(layer)
            jump *= layer.stride
        yield from stage
        shape, field = stage[-1].output, stage[-1].receptive_field


def _deep_enough(settings: Settings, number: int, size: int) -> bool:
    """Whether the network ends before stage `number`, which would leave maps of `size`×`size`."""
    if settings.depth is not None:
        return number > settings.depth
    return number >= len(NAMES) and size < SMALLEST


def _stage(settings: Settings, number: int, shape: tuple[int, int, int], field: int, jump: int) -> Iterator[Layer]:
    """Stage `number` on maps of `shape`, whose values see `field` pixels and lie `jump` pixels apart."""
    name = NAMES[number] if number < len(NAMES) else f"{NAMES[-1]}{number - 1}"
    lines = number == 0
    maps = len(LINES) + settings.extra if lines else min(settings.width * 2 ** (number - 1), settings.widest)
    kernel = LINE_KERNEL if lines else settings.kernel
    strided = settings.pooling == "strided" and not lines
    stride = LINE_KERNEL if lines else settings.stride * (POOL if strided else 1)
    padding = 0 if lines or settings.padding == "valid" else (kernel - 1) // 2
    normalised = settings.normalisation != "none" and not lines
    output = (maps, _slid(shape[1], kernel, stride, padding), _slid(shape[2], kernel, stride, padding))
    weights = maps * shape[0] * kernel * kernel
    biases = 0 if normalised else settings.extra if lines and settings.lines == "fixed" else maps
    field += (kernel - 1) * jump
    yield Layer(
        name, "convolution", kernel, stride, padding, shape, output, field,
        weights + biases, weights * output[1] * output[2], _word(number),
    )  # fmt: skip
    jump *= stride
    if not strided and not lines:
        pooled = (maps, _slid(output[1], POOL, POOL, 0), _slid(output[2], POOL, POOL, 0))
        field += (POOL - 1) * jump
        word = "keep the best of four" if settings.pooling == "max" else "keep the mean of four"
        yield Layer(name, "pooling", POOL, POOL, 0, output, pooled, field, 0, 0, f"a smaller map: {word}")
        output = pooled
    if normalised:
        yield Layer(name, "normalisation", 1, 1, 0, output, output, field, 2 * maps, 0, "make the maps comparable")


def _slid(size: int, kernel: int, stride: int, padding: int) -> int:
    """How many places a kernel finds along `size` values, 0 if it does not fit at all."""
    room = size + 2 * padding - kernel
    return room // stride + 1 if room >= 0 else 0


def _check_room(layer: Layer) -> None:
    _, height, width = layer.inputs
    if layer.output[1] < 1:
        raise ParamsError(
            f"network: the {layer.kind} of {layer.stage} has a {layer.kernel}×{layer.kernel} kernel and a padding of "
            f"{layer.padding}, but its maps are only {height}×{width}; take a larger grid, a smaller kernel or stride, "
            "less depth (null may be too much) or padding: zero"
        )


def _word(number: int) -> str:
    return ["compare each square with line filters", "find curves in lines", "find shapes in curves"][min(number, 2)]


def fully_connected(found: list[Layer]) -> int:
    """Weights (each a multiplication) if every value of each convolution looked at every value before it."""
    return sum(
        math.prod(layer.inputs) * math.prod(layer.output)
        for layer in found
        if layer.kind in ("convolution", "fully connected")
    )


def table(settings: Settings, classes: int) -> str:
    """What `strokewise network` prints: a row a layer, then what looking at everything at once would cost."""
    found = layers(settings, classes)
    rows: list[tuple[str, ...]] = [HEADER]
    for layer in found:
        window = (f"{layer.kernel}×{layer.kernel}", f"{layer.stride}", f"{layer.padding}")
        slides = layer.kind in ("convolution", "pooling")
        maps, height, width = layer.output
        size = f"{maps} × {height} × {width}" if height * width > 1 or slides else f"{maps}"
        costs = (f"{layer.parameters:,}", f"{layer.multiply_adds:,}")
        rows.append((layer.stage, layer.kind, layer.word, *(window if slides else ("", "", "")), size,
                     f"{layer.receptive_field}×{layer.receptive_field}", *costs))  # fmt: skip
    costs = (f"{parameters(found):,}", f"{multiply_adds(found):,}")
    rows.append(("all", "", "", "", "", "", f"{classes} shapes", f"of {settings.grid}×{settings.grid}", *costs))
    looks = f"A prediction is the mean of {len(LOOKS)} looks, at the picture turned by {LOOKS[-1]:g}° either way."
    return f"{_aligned(rows, texts=3)}\n{looks}\n\n{_comparison(settings, classes)}"


def _comparison(settings: Settings, classes: int) -> str:
    """Why one looks at 2×2 squares: this network against one that looks at everything at once, for larger grids."""
    rows: list[tuple[str, ...]] = [
        ("grid", "black-and-white pictures", "parameters", "multiply-adds", "fully connected: both")
    ]
    for grid in sorted({settings.grid, *GRIDS}):
        try:
            found = layers(settings.model_copy(update={"grid": grid}), classes)
            costs = [f"{number:,}" for number in (parameters(found), multiply_adds(found), fully_connected(found))]
        except ParamsError:  # it is too deep for this grid, which is another than the one that was asked for
            costs = ["too small"] * 3
        digits = int(grid * grid * math.log10(2))
        rows.append((f"{grid}×{grid}", f"10^{digits:,}", *costs))
    return _aligned(rows, texts=0)


def _aligned(rows: Sequence[tuple[str, ...]], texts: int) -> str:
    """Columns as wide as they need; the first `texts` begin on the left, numbers end on the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    places = [f"{{:{'<' if at < texts else '>'}{width}}}" for at, width in enumerate(widths)]
    head, *body = ("  ".join(places).format(*row).rstrip() for row in rows)
    return "\n".join([head, "─" * (sum(widths) + 2 * len(widths) - 2), *body])
