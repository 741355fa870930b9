"""The terms of the field → what they mean, in plain words and with the numbers of the CNN at hand."""

from strokewise.model.cnn import CNN
from strokewise.model.layers import count_multiply_adds, count_parameters
from strokewise.model.tta import TTA_ANGLES


def glossary_terms(cnn: CNN) -> list[tuple[str, str]]:
    """(term, meaning) in the order in which a picture meets them: HTML, with links to places on the page."""
    layers = cnn.layers
    lines, curves = layers[0], next(layer for layer in layers if layer.block != "lines")
    last = [layer for layer in layers if layer.kind in ("convolution", "pooling")][-1]
    flatten = next(layer for layer in layers if layer.kind == "flatten")
    line_kernel, kernel = _square(lines.kernel_size), _square(curves.kernel_size)
    line_maps, line_map = lines.output_size[0], _square(lines.output_size[1])
    curve_maps, curve_map = curves.output_size[0], _square(curves.output_size[1])
    last_maps, last_map = last.output_size[0], _square(last.output_size[1])
    rings = f"{curves.padding} ring" + ("s" if curves.padding != 1 else "")
    pooled = {"max": "the largest", "average": "their mean", "strided": "by a convolution that moves by two"}
    return [
        (
            "CNN, convolutional neural network",
            "A chain of small comparisons, which are the same at every place of the picture, followed by a decision. "
            f"This one has {count_parameters(layers):,} numbers and needs {count_multiply_adds(layers):,} "
            f"multiplications for a picture of {_square(cnn.image_size)} pixels.",
        ),
        (
            "kernel",
            f"The small window of weights that is laid on a map: {line_kernel} for the lines, {kernel} after them.",
        ),
        (
            "filter",
            f'All weights that look for one thing. A <a href="#filters">line filter</a> is one kernel of '
            f"{lines.kernel_size**2} weights; a filter of <i>curves</i> has a kernel for each of the {line_maps} line "
            f"maps, {line_maps * curves.kernel_size**2} weights together. There are {line_maps} filters for lines and "
            f"{curve_maps} for curves.",
        ),
        (
            "convolving",
            "Laying a filter on every place in turn, multiplying each weight by the value under it and adding up: the "
            "sum is large where the picture looks like the filter. <i>The arithmetic</i> of every picture shows one "
            "such sum in numbers.",
        ),
        (
            "feature map",
            f"What one filter finds, place by place, again a picture: {line_maps} maps of {line_map} after the lines, "
            f"{last_maps} of {last_map} at the end.",
        ),
        (
            "stride",
            f"How far a filter moves from one place to the next. The line filters move by {lines.stride}, so every "
            "pixel is read once and the map has half the width; later filters move by "
            f"{curves.stride}.",
        ),
        (
            "padding",
            f"Zeros laid around a map, so that a kernel can also be centred on its edge: {rings} in <i>curves</i>, "
            f"whose maps keep their {line_map} until they are pooled."
            if curves.padding
            else f"Zeros laid around a map. This network uses none: a {kernel} kernel turns maps of {line_map} into "
            f"maps of {curve_map}.",
        ),
        (
            "activation",
            "What is done to each sum before the next layer. ReLU keeps what is above zero and sets the rest to zero. "
            "Without an activation, all layers together could be replaced by one. This network uses "
            f"{cnn.params.activation}.",
        ),
        (
            "pooling",
            f"Four neighbours become one number, {pooled[cnn.params.pooling]}: what was found is kept, its exact place "
            "is not, and the next layer sees further.",
        ),
        (
            "receptive field",
            "The part of the picture that one value depends on: "
            f"{_square(lines.receptive_field.size)} pixels after the lines, "
            f"{_square(last.receptive_field.size)} after <i>{last.block}</i>. It grows with every kernel and stride, "
            "which is how lines become curves and curves become shapes.",
        ),
        (
            "flatten",
            f"Laying all maps out in one row: {'·'.join(map(str, flatten.input_size))} = "
            f"{flatten.output_size[0]:,} numbers.",
        ),
        (
            "fully connected",
            f"Every number of the row contributes to each of the {len(cnn.shapes)} scores; a softmax turns the scores "
            f"into probabilities. A prediction is the mean over {len(TTA_ANGLES)} views, the picture rotated by "
            f"{TTA_ANGLES[-1]:g}° either way; this page shows the look at the picture as it lies.",
        ),
    ]


def _square(side: int) -> str:
    return f"{side}×{side}"
