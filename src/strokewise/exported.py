"""A model folder -> the same network as one ONNX file, for a browser, a telephone or any other runtime.

    pictures uint8 (N, G, G), 0 bare paper to 255 full ink -> probabilities float32 (N, C), N free

The scale, the looks (`architecture.LOOKS`) and the softmax are inside; what the door does before stands in the file's
metadata, with the shapes. The graph is built layer by layer from `architecture.layers`: the same folder gives the same
bytes, and no torch is needed.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

from strokewise import architecture, disk
from strokewise.architecture import LOOKS, REFRESHED, Layer
from strokewise.errors import ModelError
from strokewise.params import Network as Settings

OPSET = 17  # old enough for every runtime in use, and all that is needed
IR_VERSION = 8
EPSILON = 1e-5  # of torch's normalisations
LEAK = 0.01  # of torch's leaky ReLU
GROUP = 8  # maps that group normalisation scales together, as in network.py
CLOSE = 1e-4  # as near as another runtime's sums must come to torch's
PREPROCESSING = (
    "pictures: uint8 (N, {grid}, {grid}), 0 = bare paper, 255 = full ink, whatever the colours were. Crop to the ink. "
    "Take the second moments of its convex hull: along the shorter of the two axes that they have, stretch it by the "
    "square root of how many times (at most 9) the other is longer. Centre it in a square with a margin of 1/16 of "
    "its longer side, and scale it to {grid}x{grid} with anti-aliased lines at least 1/43 of the side wide. Division "
    "by 255, the looks at the picture turned a little either way, softmax and their mean are part of the graph."
)

Weights = dict[str, NDArray[Any]]


def write(folder: Path, path: Path) -> float:
    """Write the network of a model folder to `path`, once onnxruntime has answered as torch does.

    Gives back the largest difference between their probabilities. Raises ModelError if the folder holds no network.
    """
    from strokewise import network

    loaded = network.load(folder)
    content = build(folder)
    rng = np.random.default_rng(0)
    strokes = 255 * (rng.random((64, loaded.grid, loaded.grid)) < np.linspace(0.02, 0.5, 64)[:, None, None])
    pictures = strokes.astype(np.uint8)
    difference = float(np.abs(answers(content, pictures) - network.probabilities(loaded, pictures)).max())
    assert difference < CLOSE, f"the network as ONNX answers otherwise, by {difference:.2g}"
    with disk.replacing(path) as fresh:
        fresh.write_bytes(content)
    return difference


def answers(content: bytes, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What onnxruntime makes of uint8 (N, G, G) with a file's bytes: float32 (N, C)."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    found: NDArray[np.float32] = session.run(["probabilities"], {"pictures": pictures})[0]
    return found


def build(folder: Path) -> bytes:
    """The ONNX file of a model folder. Raises ModelError if the folder holds no network."""
    from onnx import TensorProto, checker, helper, numpy_helper

    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        weights = safetensors.numpy.load((folder / "model.safetensors").read_bytes())
        settings, shapes = Settings.model_validate(config["network"]), list(config["shapes"])
        constants: Weights = {}
        nodes = [
            helper.make_node(kind, inputs, outputs, name=outputs[0], **options)
            for kind, inputs, outputs, options in _nodes(settings, len(shapes), weights, constants)
        ]
    except (OSError, KeyError, TypeError, ValueError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"{folder} holds no network ({reason}); name a folder of `strokewise train`") from None
    grid = settings.grid
    graph = helper.make_graph(
        nodes,
        "strokewise",
        [helper.make_tensor_value_info("pictures", TensorProto.UINT8, ["N", grid, grid])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", len(shapes)])],
        [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="strokewise"
    )
    told = {
        "shapes": json.dumps(shapes, ensure_ascii=False),
        "preprocessing": PREPROCESSING.format(grid=grid),
        "opset": str(OPSET),
        "fingerprint": str(config.get("fingerprint", "")),
        "weights": str(config.get("weights", "")),
    }
    helper.set_model_props(model, told)
    checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


Node = tuple[str, list[str], list[str], dict[str, Any]]  # operator, inputs, outputs, attributes


def _nodes(settings: Settings, classes: int, weights: Weights, constants: Weights) -> Iterator[Node]:
    """The graph's nodes in order; what they need beside each other's outputs is put into `constants`."""
    constants |= {"channel": np.array([1]), "ink": np.array(255, np.float32)}
    yield "Cast", ["pictures"], ["levels"], {"to": 1}
    yield "Div", ["levels", "ink"], ["shares"], {}
    yield "Unsqueeze", ["shares", "channel"], ["pixels"], {}
    yield from _looks(settings.grid, constants)
    last = "looks"
    found = architecture.layers(settings, classes)
    for at, layer in enumerate(found):
        name = f"{layer.stage}.{layer.kind.replace(' ', '_')}{at}"
        yield from _node(layer, settings, weights, constants, last, name)
        last = name
        ends = layer.stage != "flatten" and at + 1 < len(found)
        if ends and (layer.stage == "connected" or found[at + 1].stage != layer.stage):
            yield from _activated(settings.activation, constants, last, f"{name}.activation")
            last = f"{name}.activation"
    constants["apart"] = np.array([len(LOOKS), -1, classes])
    yield "Reshape", [last, "apart"], ["answers"], {}
    yield "Softmax", ["answers"], ["shares of each"], {"axis": 2}
    yield "ReduceMean", ["shares of each"], ["probabilities"], {"axes": [0], "keepdims": 0}


def _looks(grid: int, constants: Weights) -> Iterator[Node]:
    """All pictures turned by the first angle, then all by the next."""
    constants |= {"nought": np.array([0]), "places of one": np.array([grid, grid, 2])}
    constants |= {"refreshed": np.array(REFRESHED, np.float32), "full": np.array(1, np.float32)}
    yield "Shape", ["pixels"], ["sizes"], {}
    yield "Gather", ["sizes", "nought"], ["count"], {"axis": 0}
    yield "Concat", ["count", "places of one"], ["places of all"], {"axis": 0}
    at = (2 * np.arange(grid) + 1) / grid - 1  # the middles of the pixels, from -1 to 1
    x, y = np.meshgrid(at, at)
    for look, degrees in enumerate(LOOKS):
        place = (x + 1j * y) * np.exp(-1j * np.radians(degrees))
        constants[f"turn{look}"] = np.stack([place.real, place.imag], 2)[np.newaxis].astype(np.float32)
        yield "Expand", [f"turn{look}", "places of all"], [f"places{look}"], {}
        yield "GridSample", ["pixels", f"places{look}"], [f"look{look}"], {"mode": "bilinear"}
    yield "Concat", [f"look{look}" for look in range(len(LOOKS))], ["faded"], {"axis": 0}
    yield "Mul", ["faded", "refreshed"], ["stronger"], {}
    yield "Min", ["stronger", "full"], ["looks"], {}


def _node(
    layer: Layer, settings: Settings, weights: Weights, constants: Weights, given: str, name: str
) -> Iterator[Node]:
    prefix = f"stages.{layer.stage}.{layer.kind}."
    window = {"kernel_shape": [layer.kernel] * 2, "strides": [layer.stride] * 2}
    if layer.kind == "convolution":
        constants[f"{name}.weight"], bias = _filters(weights, prefix)
        inputs = [given, f"{name}.weight"]
        if bias is not None:
            constants[f"{name}.bias"] = bias
            inputs.append(f"{name}.bias")
        yield "Conv", inputs, [name], window | {"pads": [layer.padding] * 4}
    elif layer.kind == "pooling":
        yield {"max": "MaxPool", "average": "AveragePool"}[settings.pooling], [given], [name], window
    elif layer.kind == "normalisation":
        yield from _normalised(layer, settings, weights, constants, given, name)
    elif layer.kind == "flatten":
        yield "Flatten", [given], [name], {"axis": 1}
    else:
        number = 0 if "connected.0.weight" not in constants else 2
        constants |= {
            f"connected.{number}.{part}": weights[f"connected.{number}.{part}"] for part in ("weight", "bias")
        }
        yield "Gemm", [given, f"connected.{number}.weight", f"connected.{number}.bias"], [name], {"transB": 1}


def _filters(weights: Weights, prefix: str) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """A convolution's filters and thresholds; the frozen line filters come first and have none."""
    weight, bias = weights[f"{prefix}weight"], weights.get(f"{prefix}bias")
    frozen = weights.get(f"{prefix}frozen")
    if frozen is None or bias is None:
        return weight, bias
    return np.concatenate([frozen, weight]), np.concatenate([np.zeros(len(frozen), np.float32), bias])


def _normalised(
    layer: Layer, settings: Settings, weights: Weights, constants: Weights, given: str, name: str
) -> Iterator[Node]:
    own = {part: weights[f"stages.{layer.stage}.normalisation.{part}"] for part in ("weight", "bias")}
    maps, height, width = layer.output
    if settings.normalisation == "batch":
        own |= {part: weights[f"stages.{layer.stage}.normalisation.{part}"] for part in ("running_mean", "running_var")}
        constants |= {f"{name}.{part}": value for part, value in own.items()}
        yield "BatchNormalization", [given, *(f"{name}.{part}" for part in own)], [name], {"epsilon": EPSILON}
        return
    groups = maps // GROUP if maps % GROUP == 0 else 1  # each group as if it were one map, then every map's own scale
    constants |= {f"{name}.{part}": value.reshape(maps, 1, 1) for part, value in own.items()}
    constants |= {f"{name}.one": np.ones(groups, np.float32), f"{name}.zero": np.zeros(groups, np.float32)}
    constants |= {
        f"{name}.grouped": np.array([0, groups, -1]),
        f"{name}.whole": np.array([0, maps, height, width]),
    }
    yield "Reshape", [given, f"{name}.grouped"], [f"{name}.groups"], {}
    inputs = [f"{name}.groups", f"{name}.one", f"{name}.zero"]
    yield "InstanceNormalization", inputs, [f"{name}.even"], {"epsilon": EPSILON}
    yield "Reshape", [f"{name}.even", f"{name}.whole"], [f"{name}.maps"], {}
    yield "Mul", [f"{name}.maps", f"{name}.weight"], [f"{name}.scaled"], {}
    yield "Add", [f"{name}.scaled", f"{name}.bias"], [name], {}


def _activated(kind: str, constants: Weights, given: str, name: str) -> Iterator[Node]:
    if kind == "relu":
        yield "Relu", [given], [name], {}
    elif kind == "leaky":
        yield "LeakyRelu", [given], [name], {"alpha": LEAK}
    elif kind == "silu":
        yield "Sigmoid", [given], [f"{name}.gate"], {}
        yield "Mul", [given, f"{name}.gate"], [name], {}
    else:
        assert kind == "gelu"  # x / 2 · (1 + erf(x / √2))
        constants |= {
            name: np.array(value, np.float32) for name, value in {"root": 2**0.5, "half": 0.5, "one": 1}.items()
        }
        yield "Div", [given, "root"], [f"{name}.scaled"], {}
        yield "Erf", [f"{name}.scaled"], [f"{name}.erf"], {}
        yield "Add", [f"{name}.erf", "one"], [f"{name}.gate"], {}
        yield "Mul", [given, f"{name}.gate"], [f"{name}.twice"], {}
        yield "Mul", [f"{name}.twice", "half"], [name], {}
