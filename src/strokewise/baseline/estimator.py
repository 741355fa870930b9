"""The baseline as it is kept: a scikit-learn model on flattened pixels, written as ONNX and read back for predicting.

    pictures uint8 (N, G, G) -> rows float32 (N, G·G) in [0, 1] -> probabilities float32 (N, C)

No pickle, the same bytes for the same model; predicting needs onnxruntime alone, neither scikit-learn nor what it
imports. Which model it is, `contest` finds out.
"""

import hashlib
import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strokewise.errors import ModelError
from strokewise.support.atomic_io import atomic_replace, write_json
from strokewise.support.paths import BASELINE_DIR

ONNX_BATCH = 1024  # pictures a call of onnxruntime: 16 MB at 64×64
BASELINE_OPSET = 18  # of ONNX; part of the file's bytes

Pictures = NDArray[np.uint8]


@dataclass(frozen=True)
class BaselineModel:
    """A loaded baseline: int label = position in `shapes`; `config` is the folder's config.json."""

    shapes: tuple[str, ...]
    image_size: int
    config: dict[str, Any]
    session: Any  # onnxruntime.InferenceSession

    def predict_proba(self, pictures: Pictures) -> NDArray[np.float32]:
        """uint8 (N, G, G) -> float32 (N, C), each row summing to 1."""
        batches = [flatten(pictures[i : i + ONNX_BATCH]) for i in range(0, len(pictures), ONNX_BATCH)]
        found = [self.session.run(["probabilities"], {"pixels": batch})[0] for batch in batches]
        return np.concatenate(found) if found else np.zeros((0, len(self.shapes)), dtype=np.float32)


def save_baseline(model: Any, pictures: Pictures, folder: Path, config: dict[str, Any]) -> None:
    """Write a fitted scikit-learn classifier: `model.onnx` and, last, `config.json`, into the new folder `folder`.

    Args:
        model: it gives probabilities, or the margins of pairwise decisions (an SVM's), one column a pair.
        pictures: uint8 (N, G, G), any that the file must answer as the model does: a converter that drops a
            setting without a word is found out here.
        config: at least `shapes`, `image_size`, `choice` (the model's name) and `temperature`, which divides the margins'
            votes before the softmax, None for a model that gives probabilities.
    """
    content = _to_onnx(model, config["temperature"], config["image_size"])
    expected = decision_scores(model, flatten(pictures), len(config["shapes"]))
    if config["temperature"] is not None:
        expected = softmax(expected / config["temperature"])
    with atomic_replace(folder) as fresh:
        fresh.mkdir()
        (fresh / "model.onnx").write_bytes(content)
        write_json(fresh / "config.json", config | {"weights": hashlib.sha256(content).hexdigest()})
        difference = np.abs(load_baseline(fresh).predict_proba(pictures) - expected).max()
        assert difference < 1e-3, f"{config['choice']} as ONNX answers otherwise, by {difference:.2g}"


def load_baseline(folder: Path = BASELINE_DIR) -> BaselineModel:
    """Read a baseline from its folder alone. Raises ModelError where it is missing, incomplete or damaged."""
    import onnxruntime

    repair = "run `strokewise baseline` (or `dvc repro`) to make it"
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        content = (folder / "model.onnx").read_bytes()
    except (OSError, ValueError):
        raise ModelError(f"{folder} holds no complete baseline; {repair}") from None
    if not isinstance(config, dict) or hashlib.sha256(content).hexdigest() != config.get("weights"):
        raise ModelError(f"{folder}/model.onnx is not the file that {folder}/config.json was written for; {repair}")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # the same sums in the same order everywhere
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return BaselineModel(tuple(config["shapes"]), config["image_size"], config, session)


def flatten(pictures: Pictures) -> NDArray[np.float32]:
    """uint8 (N, G, G) -> float32 (N, G·G) in [0, 1]."""
    return pictures.reshape(len(pictures), -1).astype(np.float32) / np.float32(255)


def decision_scores(model: Any, flattened: NDArray[np.float32], shapes: int) -> NDArray[np.float64]:
    """What `model` thinks of each shape, float64 (N, shapes): probabilities, or the SVM's sums of votes.

    A shape that the model never saw (all its paintings were held out) gets the lowest score of all.
    """
    if hasattr(model, "predict_proba"):
        found = model.predict_proba(flattened)
    else:
        margins = model.decision_function(flattened)
        margins = np.stack([-margins, margins], axis=1) if margins.ndim == 1 else margins
        found = np.clip(margins, -1, 1) @ vote_matrix(len(model.classes_))
    whole = np.full((len(flattened), shapes), found.min() - 1)
    whole[:, model.classes_] = found
    return whole


def vote_matrix(shapes: int) -> NDArray[np.float64]:
    """For whom (+1) and against whom (-1) each pairwise decision votes, (pairs, shapes); with two shapes there is one
    decision, and both its ends are given.

    A vote counts as much as it is sure, at most one: this answers as counting whole votes does, but unlike a count
    it also says how sure the answer is, once a softmax with one temperature (Guo et al. 2017) has scaled it.
    """
    if shapes == 2:
        return np.eye(2)
    first, second = np.triu_indices(shapes, 1)
    return np.eye(shapes)[first] - np.eye(shapes)[second]


def softmax(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each row (N, C) as a distribution."""
    raised = np.exp(values - values.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def _to_onnx(model: Any, temperature: float | None, image_size: int) -> bytes:
    """`model` as an ONNX file: `pixels` float32 (N, G·G) -> `probabilities` float32 (N, C).

    Convert a model once a process: nearest neighbours come out with other names the second time.
    """
    from onnx import TensorProto, helper, numpy_helper
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType

    last = model[-1] if hasattr(model, "steps") else model
    options: dict[str, Any] = {"zipmap": False} | ({} if temperature is None else {"raw_scores": True})
    pixels = [("pixels", FloatTensorType([None, image_size * image_size]))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # it reads attributes of SVC that scikit-learn 1.11 drops
        converted = to_onnx(model, initial_types=pixels, options={id(last): options}, target_opset=BASELINE_OPSET)
    graph = converted.graph
    answer, shapes = graph.output[1].name, len(model.classes_)
    if temperature is None:
        graph.node.append(helper.make_node("Identity", [answer], ["answer"]))
    else:
        values = {"low": np.float32(-1), "high": np.float32(1), "votes": np.float32(vote_matrix(shapes) / temperature)}
        graph.initializer.extend(numpy_helper.from_array(np.asarray(value), name) for name, value in values.items())
        graph.node.append(helper.make_node("Clip", [answer, "low", "high"], ["margins"]))
        graph.node.append(helper.make_node("MatMul", ["margins", "votes"], ["sums"]))
        graph.node.append(helper.make_node("Softmax", ["sums"], ["answer"], axis=1))
    del graph.output[:]
    for node in graph.node:  # the converter's own output may have the name that ours is to have
        node.input[:] = [f"{name}_" if name == "probabilities" else name for name in node.input]
        node.output[:] = [f"{name}_" if name == "probabilities" else name for name in node.output]
    graph.node[-1].output[0] = "probabilities"
    graph.output.append(helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, shapes]))
    domains = sorted(converted.opset_import, key=lambda entry: entry.domain)  # the converter's come out of a set
    del converted.opset_import[:]
    converted.opset_import.extend(domains)
    content: bytes = converted.SerializeToString(deterministic=True)
    return content
