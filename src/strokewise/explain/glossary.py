"""The article's words -> what they mean, in our words, with the numbers of the network at hand."""

from strokewise import architecture
from strokewise.architecture import LOOKS
from strokewise.network import Network


def terms(network: Network) -> list[tuple[str, str]]:
    """(word, meaning) in the order in which a picture meets them; plain text with <a href> to the place on the page."""
    layers = network.layers
    lines, curves = layers[0], next(layer for layer in layers if layer.stage != "lines")
    last = [layer for layer in layers if layer.kind in ("convolution", "pooling")][-1]
    row = next(layer for layer in layers if layer.kind == "flatten")
    weights = curves.inputs[0] * curves.kernel**2
    padding = (
        f"Zeros laid around a map, so that a kernel can also be centred on its rim: {_many(curves.padding, 'ring')} in "
        f"<i>curves</i>, and its maps keep their {curves.inputs[1]}×{curves.inputs[2]} before they are pooled."
        if curves.padding
        else f"Zeros laid around a map. This network uses none: a {curves.kernel}×{curves.kernel} kernel leaves "
        f"maps of "
        f"{curves.output[1]}×{curves.output[2]} where {curves.inputs[1]}×{curves.inputs[2]} came in."
    )
    return [
        (
            "CNN, convolutional neural network",
            f"A chain of small comparisons that are the same at every place of the picture, then a decision. This "
            f"one has "
            f"{architecture.parameters(layers):,} numbers and needs {architecture.multiply_adds(layers):,} "
            f"multiplications "
            f"for a picture of {network.grid}×{network.grid} pixels.",
        ),
        (
            "kernel",
            f"The little window of weights that is laid on a map: {lines.kernel}×{lines.kernel} for the lines, "
            f"{curves.kernel}×{curves.kernel} after them.",
        ),
        (
            "filter",
            f'All weights that look for one thing. A <a href="#filters">line filter</a> is one kernel of '
            f"{lines.kernel**2} weights; a filter of <i>curves</i> is a kernel for each of the {curves.inputs[0]} "
            f"line maps, "
            f"{weights} weights together. There are {lines.output[0]} filters for lines and {curves.output[0]} for "
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
            f"What one filter found, place by place, again a picture: {lines.output[0]} maps of "
            f"{lines.output[2]}×{lines.output[1]} after the lines, {last.output[0]} of "
            f"{last.output[2]}×{last.output[1]} at "
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
            f"layers together would be one. This network uses {network.settings.activation}.",
        ),
        (
            "pooling",
            "Four neighbours become one number, "
            + {"max": "the largest", "average": "their mean", "strided": "by a convolution that moves by two"}[
                network.settings.pooling
            ]
            + ": what was found stays, where exactly is forgotten, and the next layer sees further.",
        ),
        (
            "receptive field",
            f"What one value can see of the picture: {lines.receptive_field}×{lines.receptive_field} pixels after "
            f"the lines, "
            f"{last.receptive_field}×{last.receptive_field} after <i>{last.stage}</i>. It grows with every kernel and "
            "stride, which is how lines become curves and curves become shapes.",
        ),
        (
            "flatten",
            f"Laying all maps out in one row: {row.inputs[0]}·{row.inputs[1]}·{row.inputs[2]} = {row.output[0]:,} "
            f"numbers.",
        ),
        (
            "fully connected",
            f"Every number of the row has its say in each of the {len(network.shapes)} scores; a softmax turns the "
            f"scores into shares of one. Who asks for a prediction gets the mean of {len(LOOKS)} looks, at the picture "
            f"turned by {LOOKS[-1]:g}° either way; this page shows the look at the picture as it lies.",
        ),
    ]


def _many(count: int, thing: str) -> str:
    return f"{count} {thing}" + ("s" if count != 1 else "")
