"""The baseline: a scikit-learn classifier on flattened pixels, saved as ONNX and loaded for prediction.

    pictures uint8 (N, G, G) → rows float32 (N, G·G) in [0, 1] → probabilities float32 (N, C)

Which classifier it is, `selection` finds out. No pickle; the same model gives the same bytes. The file takes pictures,
like the CNN's (`onnx_file`), and prediction needs neither scikit-learn nor what it imports.
"""

import hashlib
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strokewise.model.config_file import write_config
from strokewise.model.onnx_file import ONNX_FILE, OnnxModel, load_onnx
from strokewise.model.onnx_writer import onnx_bytes
from strokewise.support.atomic_io import atomic_replace
from strokewise.support.paths import BASELINE_DIR

BASELINE_OPSET = 18  # of ONNX; part of the file's bytes


def save_baseline(model: Any, pictures: NDArray[np.uint8], folder: Path, config: dict[str, Any]) -> None:
    """Write a fitted scikit-learn classifier: `model.onnx` and, last, `config.json`, replacing `folder`.

    Args:
        model: has `predict_proba`, or the `decision_function` of an SVM, one column a pair of shapes.
        pictures: uint8 (N, G, G), on which the written file is compared with the model: the converter silently drops
            some settings.
        folder: the folder to write.
        config: at least `shapes`, `image_size`, `fingerprint`, `choice` (the model's name) and `temperature`, which
            divides an SVM's votes before the softmax; None for a model with `predict_proba`.
    """
    content = _to_onnx(model, config)
    expected = decision_scores(model, flatten(pictures), len(config["shapes"]))
    if config["temperature"] is not None:
        expected = softmax(expected / config["temperature"])
    with atomic_replace(folder) as fresh:
        fresh.mkdir()
        (fresh / ONNX_FILE).write_bytes(content)
        write_config(fresh, config | {"weights": hashlib.sha256(content).hexdigest()})
        difference = np.abs(load_onnx(fresh).predict_proba(pictures) - expected).max()
        assert difference < 1e-3, f"{config['choice']} as ONNX predicts differently, by {difference:.2g}"


def load_baseline(folder: Path = BASELINE_DIR) -> OnnxModel:
    """Load a baseline from its folder. Raises ModelError if it is missing, incomplete or damaged."""
    return load_onnx(folder, stage="baseline")


def flatten(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """uint8 (N, G, G) → float32 (N, G·G) in [0, 1]."""
    return pictures.reshape(len(pictures), -1).astype(np.float32) / np.float32(255)


def decision_scores(model: Any, rows: NDArray[np.float32], num_shapes: int) -> NDArray[np.float64]:
    """Score every shape for rows (N, G·G): probabilities, or an SVM's sums of votes, float64 (N, num_shapes).

    A shape that the model never saw (all its paintings were held out) gets less than the lowest score.
    """
    if hasattr(model, "predict_proba"):
        scores = model.predict_proba(rows)
    else:
        margins = model.decision_function(rows)
        margins = np.stack([-margins, margins], axis=1) if margins.ndim == 1 else margins
        scores = np.clip(margins, -1, 1) @ vote_matrix(len(model.classes_))
    all_scores = np.full((len(rows), num_shapes), scores.min() - 1)
    all_scores[:, model.classes_] = scores
    return all_scores


def vote_matrix(num_shapes: int) -> NDArray[np.float64]:
    """Which shape each pairwise decision of an SVM speaks for (+1) and against (-1), (pairs, num_shapes).

    With two shapes there is one decision, of which both signs are given. Each vote counts as much as its margin, one
    at the most. The most-voted shape is nearly always that of counting whole votes, but the sums also say how sure
    the answer is, once a softmax with one temperature (Guo et al. 2017) has scaled them.
    """
    if num_shapes == 2:
        return np.eye(2)
    first, second = np.triu_indices(num_shapes, 1)
    return np.eye(num_shapes)[first] - np.eye(num_shapes)[second]


def softmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each row (N, C) as a distribution."""
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _to_onnx(model: Any, config: dict[str, Any]) -> bytes:
    """`model` as an ONNX file of pictures: see `onnx_file`.

    Convert a model once a process: nearest neighbours get other node names the second time.
    """
    from onnx import TensorProto, helper, numpy_helper
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType

    temperature, side = config["temperature"], config["image_size"]
    classifier = model[-1] if hasattr(model, "steps") else model
    options: dict[str, Any] = {"zipmap": False} | ({} if temperature is None else {"raw_scores": True})
    pixels = [("pixels", FloatTensorType([None, side * side]))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # it reads attributes of SVC that scikit-learn 1.11 drops
        converted = to_onnx(model, initial_types=pixels, options={id(classifier): options}, target_opset=BASELINE_OPSET)
    graph = converted.graph
    output, num_shapes = graph.output[1].name, len(model.classes_)
    if temperature is None:
        graph.node.append(helper.make_node("Identity", [output], ["answer"]))
    else:
        votes = np.float32(vote_matrix(num_shapes) / temperature)
        constants = {"low": np.float32(-1), "high": np.float32(1), "votes": votes}
        graph.initializer.extend(numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items())
        graph.node.append(helper.make_node("Clip", [output, "low", "high"], ["margins"]))
        graph.node.append(helper.make_node("MatMul", ["margins", "votes"], ["sums"]))
        graph.node.append(helper.make_node("Softmax", ["sums"], ["answer"], axis=1))
    del graph.output[:]
    for node in graph.node:  # the converter's own output may already be called `probabilities`
        node.input[:] = [f"{name}_" if name == "probabilities" else name for name in node.input]
        node.output[:] = [f"{name}_" if name == "probabilities" else name for name in node.output]
    graph.node[-1].output[0] = "probabilities"
    graph.output.append(helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, num_shapes]))
    _flatten_in_graph(graph, side)
    domains = sorted(converted.opset_import, key=lambda entry: entry.domain)  # the converter's order is that of a set
    del converted.opset_import[:]
    converted.opset_import.extend(domains)
    metadata = {"fingerprint": config["fingerprint"], "choice": config["choice"]}
    return onnx_bytes(converted, tuple(config["shapes"]), side, metadata)


def _flatten_in_graph(graph: Any, side: int) -> None:
    """Put `flatten` before a graph that takes rows named `pixels`: it takes `pictures` then."""
    from onnx import TensorProto, helper, numpy_helper

    del graph.input[:]
    graph.input.append(helper.make_tensor_value_info("pictures", TensorProto.UINT8, [None, side, side]))
    constants = {"full_ink": np.float32(255), "row_shape": np.array([-1, side * side])}
    graph.initializer.extend(numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items())
    first = [
        helper.make_node("Cast", ["pictures"], ["levels"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["levels", "full_ink"], ["ink"]),
        helper.make_node("Reshape", ["ink", "row_shape"], ["pixels"]),
    ]
    nodes = [*first, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
