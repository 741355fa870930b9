"""A `model.onnx` → the architecture and the weights of its CNN.

A packaged model is its ONNX file alone, whose nodes have the names of `layers.build_layers`: what the parameters were
can be told from them.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strokewise.errors import ModelError, ParamsError
from strokewise.model.layers import LINE_NAMES, POOL_SIZE, Layer, build_layers
from strokewise.params import NetworkParams

FloatArrays = dict[str, NDArray[np.float32]]
ACTIVATION_OPERATORS = {"LeakyRelu": "leaky_relu", "Relu": "relu", "Erf": "gelu", "Sigmoid": "silu"}
POOLING_OPERATORS = {"MaxPool": "max", "AveragePool": "average"}


def read_network(content: bytes, classes: int) -> tuple[NetworkParams, FloatArrays]:
    """The architecture and the weights, by layer and part (`blocks.curves.convolution.weight`), of an ONNX file.

    Raises ModelError if it holds no CNN, as a baseline's does not.
    """
    import onnx

    graph = onnx.load_from_string(content).graph
    arrays = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    try:
        params = _infer_params(graph, arrays)
        layers = build_layers(params, classes)
        return params, dict(_layer_weights(layers, arrays))
    except (KeyError, IndexError, ValueError, ParamsError):
        raise ModelError("this model is no CNN of strokewise; name the folder or the model.onnx of one") from None


def _infer_params(graph: Any, arrays: Mapping[str, NDArray[Any]]) -> NetworkParams:
    """The parameters of the network; where they say the same of this network, the simpler ones."""
    operators = {node.op_type for node in graph.node}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    shapes = [arrays[node.input[1]].shape for node in convolutions]  # (maps, maps before, k, k) each
    last = {attribute.name: list(attribute.ints) for attribute in convolutions[-1].attribute}
    channels = [shape[0] for shape in shapes[1:]]
    pooling = next((POOLING_OPERATORS[name] for name in POOLING_OPERATORS if name in operators), "strided")
    normalisation = "none"
    if any(".normalisation" in name for name in arrays):
        normalisation = "batch" if "BatchNormalization" in operators else "group"
    hidden = arrays.get("fully_connected.hidden.weight")
    return NetworkParams.model_validate(
        {
            "image_size": graph.input[0].type.tensor_type.shape.dim[1].dim_value,
            "line_filters": "seeded",
            "extra_filters": shapes[0][0] - len(LINE_NAMES),
            "depth": len(channels),
            "base_channels": channels[0],
            "max_channels": max(channels),
            "kernel_size": shapes[-1][2],
            "stride": last["strides"][0] // (POOL_SIZE if pooling == "strided" else 1),
            "padding": "zero" if any(last["pads"]) else "valid",
            "pooling": pooling,
            "activation": next(ACTIVATION_OPERATORS[name] for name in ACTIVATION_OPERATORS if name in operators),
            "normalisation": normalisation,
            "hidden_units": 0 if hidden is None else len(hidden),
        }
    )


def _layer_weights(layers: list[Layer], arrays: Mapping[str, NDArray[Any]]) -> FloatArrays:
    """The weights that the layers need. Raises KeyError or ValueError where they are missing or of another size."""
    weights = {}
    for layer in layers:
        channels = layer.output_size[0]
        sizes = {}
        if layer.kind in ("convolution", "fully connected"):
            sizes["weight"] = channels * layer.input_size[0] * layer.kernel_size**2
            if layer.bias or f"{layer.name}.bias" in arrays:
                sizes["bias"] = channels
        elif layer.kind == "normalisation":
            parts = [part for part in ("running_mean", "running_var") if f"{layer.name}.{part}" in arrays]
            sizes = dict.fromkeys(["weight", "bias", *parts], channels)
        for part, size in sizes.items():
            value = arrays[f"{layer.name}.{part}"]
            if value.size != size:
                raise ValueError(f"{layer.name}.{part} has {value.size} values instead of {size}")
            weights[f"{layer.name}.{part}"] = value.astype(np.float32)
    return weights
