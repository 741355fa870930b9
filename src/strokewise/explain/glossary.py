"""The layers of a network → the numbers that the glossary (`templates/glossary.html`) says of it. No torch here."""

from collections.abc import Sequence
from dataclasses import dataclass

from strokewise.model.layers import Layer, count_multiply_adds, count_parameters
from strokewise.model.tta import TTA_ANGLES


@dataclass(frozen=True)
class GlossaryFacts:
    """What the words mean in one network; sizes are text, `3×3`."""

    parameters: int
    multiply_adds: int
    image: str
    line_kernel: str
    line_weights: int
    line_stride: int
    line_maps: int
    line_map: str
    line_field: str
    second_block: str
    """The block after the lines."""
    second_maps: int
    second_map: str
    second_weights: int
    kernel: str
    stride: int
    padding: int
    last_block: str
    last_maps: int
    last_map: str
    last_field: str
    flatten_sizes: tuple[int, int, int]
    flatten_length: int
    shapes: int
    activation: str
    pooling: str
    views: int
    view_angle: str


def glossary_facts(layers: Sequence[Layer], activation: str, pooling: str) -> GlossaryFacts:
    """The facts of the network with these layers."""
    lines, second = layers[0], next(layer for layer in layers if layer.block != "lines")
    last = [layer for layer in layers if layer.kind in ("convolution", "pooling")][-1]
    flatten = next(layer for layer in layers if layer.kind == "flatten")
    return GlossaryFacts(
        parameters=count_parameters(layers),
        multiply_adds=count_multiply_adds(layers),
        image=_square(lines.input_size[1]),
        line_kernel=_square(lines.kernel_size),
        line_weights=lines.kernel_size**2,
        line_stride=lines.stride,
        line_maps=lines.output_size[0],
        line_map=_square(lines.output_size[1]),
        line_field=_square(lines.receptive_field.size),
        second_block=second.block,
        second_maps=second.output_size[0],
        second_map=_square(second.output_size[1]),
        second_weights=lines.output_size[0] * second.kernel_size**2,
        kernel=_square(second.kernel_size),
        stride=second.stride,
        padding=second.padding,
        last_block=last.block,
        last_maps=last.output_size[0],
        last_map=_square(last.output_size[1]),
        last_field=_square(last.receptive_field.size),
        flatten_sizes=flatten.input_size,
        flatten_length=flatten.output_size[0],
        shapes=layers[-1].output_size[0],
        activation=activation,
        pooling=pooling,
        views=len(TTA_ANGLES),
        view_angle=f"{TTA_ANGLES[-1]:g}",
    )


def _square(side: int) -> str:
    return f"{side}×{side}"
