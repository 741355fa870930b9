"""The article's words -> what they mean, in our words, with the numbers of the network at hand."""

from strokewise.model.cnn import CNN
from strokewise.model.layers import count_multiply_adds, count_parameters
from strokewise.model.tta import TTA_ANGLES


def glossary_terms(network: CNN) -> list[tuple[str, str]]:
    """(word, meaning) in the order in which a picture meets them; plain text with <a href> to the place on the page."""
    layers = network.layers
    lines, curves = layers[0], next(layer for layer in layers if layer.block != "lines")
    last = [layer for layer in layers if layer.kind in ("convolution", "pooling")][-1]
    row = next(layer for layer in layers if layer.kind == "flatten")
    weights = curves.input_size[0] * curves.kernel_size**2
    padding = (
        f"Zeros laid around a map, so that a kernel can also be centred on its rim: {_plural(curves.padding, 'ring')} in "
        f"<i>curves</i>, and its maps keep their {curves.input_size[1]}×{curves.input_size[2]} before they are pooled."
        if curves.padding
        else f"Zeros laid around a map. This network uses none: a {curves.kernel_size}×{curves.kernel_size} kernel leaves "
        f"maps of "
        f"{curves.output_size[1]}×{curves.output_size[2]} where {curves.input_size[1]}×{curves.input_size[2]} came in."
    )
    return [
        (
            "CNN, convolutional neural network",
            f"A chain of small comparisons that are the same at every place of the picture, then a decision. This "
            f"one has "
            f"{count_parameters(layers):,} numbers and needs {count_multiply_adds(layers):,} "
            f"multiplications "
            f"for a picture of {network.image_size}×{network.image_size} pixels.",
        ),
        (
            "kernel",
            f"The little window of weights that is laid on a map: {lines.kernel_size}×{lines.kernel_size} for the lines, "
            f"{curves.kernel_size}×{curves.kernel_size} after them.",
        ),
        (
            "filter",
            f'All weights that look for one thing. A <a href="#filters">line filter</a> is one kernel of '
            f"{lines.kernel_size**2} weights; a filter of <i>curves</i> is a kernel for each of the {curves.input_size[0]} "
            f"line maps, "
            f"{weights} weights together. There are {lines.output_size[0]} filters for lines and {curves.output_size[0]} for "
            f"curves.",
        ),
        (
            "convolving",
            "Laying a filter on every place in turn, multiplying weight by value and adding up: large where the "
            "picture looks "
            "like the filter. One such sum is done by hand under <i>the arithmetic</i> of every picture.",
        ),
        (
            "feature map",
            f"What one filter found, place by place, again a picture: {lines.output_size[0]} maps of "
            f"{lines.output_size[2]}×{lines.output_size[1]} after the lines, {last.output_size[0]} of "
            f"{last.output_size[2]}×{last.output_size[1]} at "
            "the end.",
        ),
        (
            "stride",
            f"How far a filter moves from one place to the next. The line filters move by {lines.stride}, so no "
            f"pixel is "
            f"looked at twice and the map has half the width; later filters move by {curves.stride}.",
        ),
        ("padding", padding),
        (
            "activation",
            "What is done to each sum before it goes on. ReLU keeps what is above zero: found, or not found. "
            "Without it all "
            f"layers together would be one. This network uses {network.params.activation}.",
        ),
        (
            "pooling",
            "Four neighbours become one number, "
            + {"max": "the largest", "average": "their mean", "strided": "by a convolution that moves by two"}[
                network.params.pooling
            ]
            + ": what was found stays, where exactly is forgotten, and the next layer sees further.",
        ),
        (
            "receptive field",
            f"What one value can see of the picture: {lines.receptive_field.size}×{lines.receptive_field.size} pixels after "
            f"the lines, "
            f"{last.receptive_field.size}×{last.receptive_field.size} after <i>{last.block}</i>. It grows with every kernel and "
            "stride, which is how lines become curves and curves become shapes.",
        ),
        (
            "flatten",
            f"Laying all maps out in one row: {row.input_size[0]}·{row.input_size[1]}·{row.input_size[2]} = {row.output_size[0]:,} "
            f"numbers.",
        ),
        (
            "fully connected",
            f"Every number of the row has its say in each of the {len(network.shapes)} scores; a softmax turns the "
            f"scores into shares of one. Who asks for a prediction gets the mean of {len(TTA_ANGLES)} looks, at the picture "
            f"turned by {TTA_ANGLES[-1]:g}° either way; this page shows the look at the picture as it lies.",
        ),
    ]


def _plural(count: int, thing: str) -> str:
    return f"{count} {thing}" + ("s" if count != 1 else "")
