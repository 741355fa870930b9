"""Toy results of a whole pipeline, made in seconds: real paintings, a real CNN, a linear baseline and measurements.

Imports torch: import it inside a fixture only.
"""

import csv
import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from onnx import TensorProto, helper, numpy_helper

from strokewise.data.dataset import Split, load_paintings
from strokewise.data.shards import PaintingRow, write_shard
from strokewise.evaluation.metrics import accuracy, compare_paired, precision_recall
from strokewise.model.cnn import CNN
from strokewise.model.config_file import write_config
from strokewise.model.inference import predict_proba, rotate, to_tensor
from strokewise.model.model_files import save_model
from strokewise.model.onnx_writer import onnx_bytes
from strokewise.model.tta import TTA_ANGLES
from strokewise.params import NetworkParams, Params
from strokewise.preprocessing.preprocess import preprocess
from strokewise.support import atomic_io

SHAPES = ("bar", "cross", "ring")
IMAGE_SIZE = 16
BASELINE_FINGERPRINT, CHOICE = "b" * 64, "PCA + RBF SVM"
ROOT = Path(__file__).parent.parent


def draw_scene(label: int, generator: np.random.Generator) -> np.ndarray:
    """A scene, uint8 (48, 48), dark on light, with one of `SHAPES` somewhere."""
    scene = np.full((48, 48), 255, np.uint8)
    x, y = (int(value) for value in generator.integers(20, 28, 2))
    width, height = (int(value) for value in generator.integers(10, 18, 2))
    if label == 0:
        cv2.rectangle(scene, (x - width, y - 4), (x + width, y + 4), 0, 2)
    elif label == 1:
        cv2.line(scene, (x - width, y), (x + width, y), 0, 2)
        cv2.line(scene, (x, y - height), (x, y + height), 0, 2)
    else:
        cv2.ellipse(scene, (x, y), (width, height), int(generator.integers(90)), 0, 360, 0, 2)
    return scene


def draw_scenes(count: int, seed: int) -> tuple[list[np.ndarray], np.ndarray]:
    """`count` scenes and their labels, the shapes in turn."""
    labels = np.arange(count) % len(SHAPES)
    generator = np.random.default_rng(seed)
    return [draw_scene(int(label), generator) for label in labels], labels


def network_params() -> NetworkParams:
    """The project's network, but small."""
    small = {"image_size": IMAGE_SIZE, "base_channels": 4, "extra_filters": 0}
    return Params.load(ROOT / "params.yaml").network.model_copy(update=small)


def train_cnn(seed: int, weak: float, shapes: Sequence[str] = SHAPES) -> CNN:
    """A CNN that is right on nearly all paintings, except for a share `weak` of the last shape's."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the network is too small for more
    torch.manual_seed(seed)
    cnn = CNN(shapes, network_params())
    scenes, labels = draw_scenes(60, 1)
    pictures = to_tensor(np.stack([preprocess(scene, IMAGE_SIZE) for scene in scenes]))
    inputs = torch.cat([rotate(pictures, degrees) for degrees in TTA_ANGLES])  # as in prediction
    targets = torch.from_numpy(labels).repeat(len(TTA_ANGLES))
    optimizer = torch.optim.Adam(cnn.parameters(), lr=0.01)
    for _ in range(60):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(cnn(inputs), targets).backward()
        optimizer.step()
    cnn.eval()
    torch.set_num_threads(threads)
    if weak:
        _weaken_last_shape(cnn, weak)
    return cnn


def _weaken_last_shape(cnn: CNN, weak: float) -> None:
    """Lower the bias of the last shape until a share `weak` of its test paintings is missed, by bisection."""
    scenes, labels = draw_scenes(120, 2)  # the test paintings
    pictures = np.stack([preprocess(scene, IMAGE_SIZE) for scene in scenes])
    bias = cnn.fully_connected[-1].bias
    original, low, high = bias[2].item(), 0.0, 64.0
    for _ in range(24):
        middle = (low + high) / 2
        with torch.no_grad():
            bias[2] = original - middle
        missed = (predict_proba(cnn, pictures[labels == 2]).argmax(1) != 2).mean()
        low, high = (middle, high) if missed < weak else (low, middle)


def linear_onnx(weights: np.ndarray, shapes: Sequence[str]) -> bytes:
    """A model's file (`onnx_file`) that is linear with a softmax."""
    nodes = [
        helper.make_node("Cast", ["pictures"], ["levels"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["levels"], ["pixels"]),
        helper.make_node("MatMul", ["pixels", "w"], ["s"]),
        helper.make_node("Softmax", ["s"], ["probabilities"]),
    ]
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info("pictures", TensorProto.UINT8, [None, IMAGE_SIZE, IMAGE_SIZE])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, len(shapes)])],
        [numpy_helper.from_array(weights.astype(np.float32) / 255, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    return onnx_bytes(model, tuple(shapes), IMAGE_SIZE, {"fingerprint": BASELINE_FINGERPRINT, "choice": CHOICE})


def make_state(root: Path, seed: int = 0, weak: float = 0.0, shapes: Sequence[str] = SHAPES) -> Path:
    """Write `root`/data as the pipeline would, with a trained CNN and a baseline that guesses; returns `root`."""
    data = root / "data"
    scenes, labels = draw_scenes(120, 2)
    rows = [
        PaintingRow(cv2.imencode(".png", scene)[1].tobytes(), int(label), {})
        for scene, label in zip(scenes, labels, strict=True)
    ]
    write_shard(data / "paintings/test/00000.parquet", rows, shapes, {})
    (data / "paintings/contact-sheet.png").write_bytes(rows[0].image)
    paintings = load_paintings("test", IMAGE_SIZE, data / "paintings")
    cnn = train_cnn(seed, weak, shapes)
    fingerprint = hashlib.sha256(f"{seed} {weak} {shapes}".encode()).hexdigest()
    config = {"fingerprint": fingerprint, "versions": {"torch": torch.__version__}, "paintings": {"train": "a" * 64}}
    history = io.StringIO()
    csv.writer(history).writerows(
        [["epoch", "loss", "accuracy", "validation_loss", "validation_accuracy", "learning_rate"]]
        + [[epoch, 1 / epoch, 1 - 0.5 / epoch, 1.1 / epoch, 1 - 0.6 / epoch, 0.003] for epoch in (1, 2, 3)]
    )
    config |= {"training": {"epochs": 3, "device": "cpu"}}
    config |= {"history": hashlib.sha256(history.getvalue().encode()).hexdigest()}
    save_model(cnn, data / "model", config)
    (data / "model/history.csv").write_bytes(history.getvalue().encode())
    _write_baseline(data / "baseline", shapes)
    predicted = {
        "cnn": predict_proba(cnn, paintings.pictures).argmax(1),
        "baseline": np.zeros(len(labels), np.int64),
    }
    _write_report(data / "report", paintings, predicted, {"cnn": fingerprint, "baseline": BASELINE_FINGERPRINT})
    return root


def _write_baseline(folder: Path, shapes: Sequence[str]) -> None:
    content = linear_onnx(np.random.default_rng(5).normal(size=(IMAGE_SIZE * IMAGE_SIZE, len(shapes))), shapes)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(content)
    config = {
        "fingerprint": BASELINE_FINGERPRINT,
        "shapes": list(shapes),
        "image_size": IMAGE_SIZE,
        "choice": CHOICE,
        "weights": hashlib.sha256(content).hexdigest(),
        "paintings": {"train": "a" * 64},
    }
    write_config(folder, config)


def _write_report(folder: Path, paintings: Split, predictions: dict[str, Any], fingerprints: dict[str, str]) -> None:
    """What *evaluate* writes, as far as *register* reads it."""
    labels, shapes = paintings.labels, paintings.shapes
    (folder / "explain").mkdir(parents=True, exist_ok=True)
    report: dict[str, Any] = {"paintings": len(labels), "sentence": "The CNN is right more often."}
    report["paired"] = asdict(compare_paired(labels, predictions["cnn"], predictions["baseline"], 200, 0))
    for kind, predicted in predictions.items():
        share = accuracy(labels, predicted)
        report[kind] = {
            "fingerprint": fingerprints[kind],
            "accuracy": share.value,
            "low": share.low,
            "high": share.high,
            "shapes": {
                shape: {"precision": precision.value, "recall": recall.value, "support": recall.total}
                for shape, (precision, recall) in zip(
                    shapes, precision_recall(labels, predicted, len(shapes)), strict=True
                )
            },
        }
        with (folder / f"confusion-{kind}.csv").open("w") as file:
            table = [[shapes[actual], shapes[answer]] for actual, answer in zip(labels, predicted, strict=True)]
            csv.writer(file).writerows([["actual", "predicted"], *table])
    report["baseline"]["choice"] = CHOICE
    key = json.dumps([paintings.digest, fingerprints], sort_keys=True).encode()
    report["evaluation"] = hashlib.sha256(key).hexdigest()
    atomic_io.write_json(folder / "details.json", report)
    atomic_io.write_json(folder / "metrics.json", {"cnn": {"accuracy": report["cnn"]["accuracy"]}})
    picture = cv2.imencode(".png", np.zeros((9, 9), np.uint8))[1].tobytes()
    for path in (folder / "mistakes.png", folder / "explain/ring.png"):
        path.write_bytes(picture)
