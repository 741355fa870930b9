"""A model folder → the same network as one ONNX file, for a browser, a phone or any other runtime.

    pictures uint8 (N, G, G), 0 bare paper to 255 full ink → probabilities float32 (N, C), N free

Scaling, test-time augmentation and softmax are inside the graph; what preprocessing does before is described in the
file's metadata, with the shapes. The graph is built from `layers.build_layers`: the same folder gives the same bytes,
and no torch is needed.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

from strokewise.errors import ModelError, one_line
from strokewise.model.layers import Layer, build_layers, group_norm_groups
from strokewise.model.onnx_file import ONNX_FILE, open_onnx
from strokewise.model.onnx_writer import onnx_bytes
from strokewise.model.tta import INK_GAIN, TTA_ANGLES
from strokewise.params import NetworkParams

CNN_OPSET = 17  # old enough for every runtime in use, and all that is needed
IR_VERSION = 8
NORM_EPSILON = 1e-5  # of torch's normalisations
LEAKY_SLOPE = 0.01  # of torch's leaky ReLU
MAX_DIFFERENCE = 1e-4  # between the probabilities of ONNX Runtime and PyTorch

WeightArrays = dict[str, NDArray[Any]]
OnnxNode = tuple[str, list[str], list[str], dict[str, Any]]  # operator, inputs, outputs, attributes


def write_onnx(folder: Path, outlines: Mapping[str, Mapping[str, str]]) -> float:
    """Write `model.onnx` into a model folder, once ONNX Runtime and PyTorch agree on random pictures.

    Args:
        folder: with weights and config.
        outlines: the SVG text of every variant of every shape, which becomes part of the file.

    Returns the largest difference between their probabilities. Raises ModelError if the folder holds no network.
    """
    from strokewise.model.inference import predict_proba
    from strokewise.model.model_files import load_model

    cnn = load_model(folder)
    content = build_onnx(folder, outlines)
    rng = np.random.default_rng(0)
    noise = 255 * (rng.random((64, cnn.image_size, cnn.image_size)) < np.linspace(0.02, 0.5, 64)[:, None, None])
    pictures = noise.astype(np.uint8)
    difference = float(
        np.abs(open_onnx(content, folder / ONNX_FILE).predict_proba(pictures) - predict_proba(cnn, pictures)).max()
    )
    assert difference < MAX_DIFFERENCE, f"ONNX Runtime and PyTorch differ by {difference:.2g}"
    (folder / ONNX_FILE).write_bytes(content)
    return difference


def build_onnx(folder: Path, outlines: Mapping[str, Mapping[str, str]]) -> bytes:
    """The ONNX file of a model folder. Raises ModelError if the folder holds no network."""
    from onnx import TensorProto, checker, helper, numpy_helper

    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        weights = safetensors.numpy.load((folder / "model.safetensors").read_bytes())
        params, shapes = NetworkParams.model_validate(config["network"]), tuple(config["shapes"])
        constants: WeightArrays = {}
        nodes = [
            helper.make_node(operator, inputs, outputs, name=outputs[0], **attributes)
            for operator, inputs, outputs, attributes in _graph_nodes(params, len(shapes), weights, constants)
        ]
    except (OSError, KeyError, TypeError, ValueError, SafetensorError) as error:
        raise ModelError(
            f"{folder} holds no network ({one_line(error, 200)}); name a folder of `strokewise train`"
        ) from None
    side = params.image_size
    graph = helper.make_graph(
        nodes,
        "strokewise",
        [helper.make_tensor_value_info("pictures", TensorProto.UINT8, ["N", side, side])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", len(shapes)])],
        [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", CNN_OPSET)], ir_version=IR_VERSION, producer_name="strokewise"
    )
    checker.check_model(model, full_check=True)
    metadata = {
        "outlines": json.dumps(outlines, ensure_ascii=False, sort_keys=True),
        "opset": str(CNN_OPSET),
        "fingerprint": str(config.get("fingerprint", "")),
        "weights": str(config.get("weights", "")),
    }
    return onnx_bytes(model, shapes, side, metadata)


def _graph_nodes(
    params: NetworkParams, classes: int, weights: WeightArrays, constants: WeightArrays
) -> Iterator[OnnxNode]:
    """The graph's nodes in order; the weights and other constants that they read are added to `constants`."""
    constants |= {"channel": np.array([1]), "full_ink": np.array(255, np.float32)}
    yield "Cast", ["pictures"], ["levels"], {"to": 1}
    yield "Div", ["levels", "full_ink"], ["ink"], {}
    yield "Unsqueeze", ["ink", "channel"], ["pixels"], {}
    yield from _tta_nodes(params.image_size, constants)
    last = "views"
    for layer in build_layers(params, classes):
        yield from _layer_nodes(layer, params, weights, constants, last)
        last = layer.name
    constants["by_look"] = np.array([len(TTA_ANGLES), -1, classes])
    yield "Reshape", [last, "by_look"], ["logits_by_look"], {}
    yield "Softmax", ["logits_by_look"], ["probabilities_by_look"], {"axis": 2}
    yield "ReduceMean", ["probabilities_by_look"], ["probabilities"], {"axes": [0], "keepdims": 0}


def _tta_nodes(side: int, constants: WeightArrays) -> Iterator[OnnxNode]:
    """All pictures rotated by the first angle, then all by the next: `inference.rotate` as a graph."""
    constants |= {"first_axis": np.array([0]), "grid_shape": np.array([side, side, 2])}
    constants |= {"ink_gain": np.array(INK_GAIN, np.float32), "one": np.array(1, np.float32)}
    yield "Shape", ["pixels"], ["shape"], {}
    yield "Gather", ["shape", "first_axis"], ["count"], {"axis": 0}
    yield "Concat", ["count", "grid_shape"], ["grids_shape"], {"axis": 0}
    at = (2 * np.arange(side) + 1) / side - 1  # the pixels' centres, from -1 to 1
    x, y = np.meshgrid(at, at)
    for look, degrees in enumerate(TTA_ANGLES):
        place = (x + 1j * y) * np.exp(-1j * np.radians(degrees))
        constants[f"grid{look}"] = np.stack([place.real, place.imag], 2)[np.newaxis].astype(np.float32)
        yield "Expand", [f"grid{look}", "grids_shape"], [f"grids{look}"], {}
        yield "GridSample", ["pixels", f"grids{look}"], [f"look{look}"], {"mode": "bilinear"}
    yield "Concat", [f"look{look}" for look in range(len(TTA_ANGLES))], ["faded"], {"axis": 0}
    yield "Mul", ["faded", "ink_gain"], ["stronger"], {}
    yield "Min", ["stronger", "one"], ["views"], {}


def _layer_nodes(
    layer: Layer, params: NetworkParams, weights: WeightArrays, constants: WeightArrays, source: str
) -> Iterator[OnnxNode]:
    """The nodes of one layer, which reads the value named `source` and writes the one named `layer.name`."""
    name = layer.name
    window = {"kernel_shape": [layer.kernel_size] * 2, "strides": [layer.stride] * 2}
    match layer.kind:
        case "convolution":
            weight, bias = _convolution_weights(weights, name)
            constants[f"{name}.weight"] = weight
            inputs = [source, f"{name}.weight"]
            if bias is not None:
                constants[f"{name}.bias"] = bias
                inputs.append(f"{name}.bias")
            yield "Conv", inputs, [name], window | {"pads": [layer.padding] * 4}
        case "pooling":
            yield {"max": "MaxPool", "average": "AveragePool"}[params.pooling], [source], [name], window
        case "normalisation" if params.normalisation == "batch":
            parts = [f"{name}.{part}" for part in ("weight", "bias", "running_mean", "running_var")]
            constants |= {part: weights[part] for part in parts}
            yield "BatchNormalization", [source, *parts], [name], {"epsilon": NORM_EPSILON}
        case "normalisation":
            yield from _group_norm_nodes(layer, weights, constants, source)
        case "activation":
            yield from _activation_nodes(params.activation, constants, source, name)
        case "flatten":
            yield "Flatten", [source], [name], {"axis": 1}
        case "fully connected":
            parts = [f"{name}.weight", f"{name}.bias"]
            constants |= {part: weights[part] for part in parts}
            yield "Gemm", [source, *parts], [name], {"transB": 1}


def _convolution_weights(weights: WeightArrays, name: str) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """A convolution's filters and biases; frozen line filters come first and have no bias."""
    weight, bias, frozen = (weights.get(f"{name}.{part}") for part in ("weight", "bias", "frozen"))
    assert weight is not None
    if frozen is None or bias is None:
        return weight, bias
    return np.concatenate([frozen, weight]), np.concatenate([np.zeros(len(frozen), np.float32), bias])


def _group_norm_nodes(layer: Layer, weights: WeightArrays, constants: WeightArrays, source: str) -> Iterator[OnnxNode]:
    """Normalise each group as if it were one map, then scale and shift every map by itself."""
    name, (maps, height, width) = layer.name, layer.output_size
    groups = group_norm_groups(maps)
    constants |= {f"{name}.{part}": weights[f"{name}.{part}"].reshape(maps, 1, 1) for part in ("weight", "bias")}
    constants |= {f"{name}.ones": np.ones(groups, np.float32), f"{name}.zeros": np.zeros(groups, np.float32)}
    constants |= {f"{name}.grouped": np.array([0, groups, -1]), f"{name}.shape": np.array([0, maps, height, width])}
    yield "Reshape", [source, f"{name}.grouped"], [f"{name}.groups"], {}
    inputs = [f"{name}.groups", f"{name}.ones", f"{name}.zeros"]
    yield "InstanceNormalization", inputs, [f"{name}.normalised"], {"epsilon": NORM_EPSILON}
    yield "Reshape", [f"{name}.normalised", f"{name}.shape"], [f"{name}.maps"], {}
    yield "Mul", [f"{name}.maps", f"{name}.weight"], [f"{name}.scaled"], {}
    yield "Add", [f"{name}.scaled", f"{name}.bias"], [name], {}


def _activation_nodes(kind: str, constants: WeightArrays, source: str, name: str) -> Iterator[OnnxNode]:
    """The activation `kind` of network.activation."""
    match kind:
        case "relu":
            yield "Relu", [source], [name], {}
        case "leaky_relu":
            yield "LeakyRelu", [source], [name], {"alpha": LEAKY_SLOPE}
        case "silu":
            yield "Sigmoid", [source], [f"{name}.gate"], {}
            yield "Mul", [source, f"{name}.gate"], [name], {}
        case _:  # x / 2 · (1 + erf(x / √2))
            assert kind == "gelu"
            constants |= {
                part: np.array(value, np.float32) for part, value in {"root": 2**0.5, "half": 0.5, "one": 1}.items()
            }
            yield "Div", [source, "root"], [f"{name}.scaled"], {}
            yield "Erf", [f"{name}.scaled"], [f"{name}.erf"], {}
            yield "Add", [f"{name}.erf", "one"], [f"{name}.gate"], {}
            yield "Mul", [source, f"{name}.gate"], [f"{name}.twice"], {}
            yield "Mul", [f"{name}.twice", "half"], [name], {}
