"""A whole state of the pipeline in a folder, small and quick to make: real paintings, networks, measurements."""

import csv
import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from strokewise.data.dataset import Split, load_paintings
from strokewise.data.shards import PaintingRow, write_shard
from strokewise.model.cnn import CNN
from strokewise.model.inference import predict_proba, rotate, to_tensor
from strokewise.model.model_files import save_model
from strokewise.model.tta import TTA_ANGLES
from strokewise.params import NetworkParams as Settings
from strokewise.params import Params
from strokewise.preprocessing.preprocess import preprocess
from strokewise.support import atomic_io

SHAPES = ("bar", "cross", "ring")
GRID = 16
ROOT = Path(__file__).parent.parent.parent


def painting(label: int, generator: np.random.Generator) -> np.ndarray:
    """A scene, uint8 (48, 48): dark on light, one of `SHAPES`, somewhere."""
    page = np.full((48, 48), 255, np.uint8)
    x, y = (int(value) for value in generator.integers(20, 28, 2))
    wide, high = (int(value) for value in generator.integers(10, 18, 2))
    if label == 0:
        cv2.rectangle(page, (x - wide, y - 4), (x + wide, y + 4), 0, 2)
    elif label == 1:
        cv2.line(page, (x - wide, y), (x + wide, y), 0, 2)
        cv2.line(page, (x, y - high), (x, y + high), 0, 2)
    else:
        cv2.ellipse(page, (x, y), (wide, high), int(generator.integers(90)), 0, 360, 0, 2)
    return page


def paint(count: int, seed: int) -> tuple[list[np.ndarray], np.ndarray]:
    labels = np.arange(count) % len(SHAPES)
    generator = np.random.default_rng(seed)
    return [painting(int(label), generator) for label in labels], labels


def settings(root: Path = ROOT) -> Settings:
    return Params.load(root / "params.yaml").network.model_copy(update={"grid": GRID, "width": 4, "extra": 0})


def train(seed: int, weak: float, shapes: Sequence[str] = SHAPES) -> CNN:
    """A network that is right on nearly all paintings, but for a share `weak` of the last shape's."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # it is small, and a neighbour's threads would be waited for
    torch.manual_seed(seed)
    net = CNN(shapes, settings())
    scenes, labels = paint(60, 1)
    inked = to_tensor(np.stack([preprocess(scene, GRID) for scene in scenes]))
    seen = torch.cat([rotate(inked, degrees) for degrees in TTA_ANGLES])  # as it will look at them
    right = torch.from_numpy(labels).repeat(len(TTA_ANGLES))
    optimiser = torch.optim.Adam(net.parameters(), lr=0.01)
    for _ in range(60):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(net(seen), right).backward()
        optimiser.step()
    net.eval()
    torch.set_num_threads(threads)
    if weak:
        scenes, labels = paint(120, 2)  # those that judge
        inked = np.stack([preprocess(scene, GRID) for scene in scenes])
        bias = net.connected[-1].bias
        fair, low, high = bias[2].item(), 0.0, 64.0
        for _ in range(24):  # by how much it has to dislike the last shape to miss so many
            middle = (low + high) / 2
            with torch.no_grad():
                bias[2] = fair - middle
            missed = (predict_proba(net, inked[labels == 2]).argmax(1) != 2).mean()
            low, high = (middle, high) if missed < weak else (low, middle)
    return net


def flat(weights: np.ndarray) -> bytes:
    """An ONNX file: `pixels` (N, G·G) -> `probabilities` (N, C), linear with a softmax."""
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["pixels", "w"], ["s"]), helper.make_node("Softmax", ["s"], ["probabilities"])],
        "flat",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, [None, GRID * GRID])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, len(SHAPES)])],
        [numpy_helper.from_array(weights.astype(np.float32), "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    return model.SerializeToString(deterministic=True)


def make(root: Path, seed: int = 0, weak: float = 0.0, shapes: Sequence[str] = SHAPES) -> Path:
    """Make `root`/data as the pipeline would: a network, and a baseline that guesses."""
    data = root / "data"
    scenes, labels = paint(120, 2)
    rows = [
        PaintingRow(cv2.imencode(".png", scene)[1].tobytes(), int(label), {})
        for scene, label in zip(scenes, labels, strict=True)
    ]
    write_shard(data / "paintings/test/00000.parquet", rows, shapes, {})
    (data / "paintings/contact-sheet.png").write_bytes(rows[0].image)
    paintings = load_paintings("test", GRID, data / "paintings")
    net = train(seed, weak, shapes)
    named = hashlib.sha256(f"{seed} {weak} {shapes}".encode()).hexdigest()
    decided = {"fingerprint": named, "versions": {"torch": torch.__version__}, "paintings": {"train": "a" * 64}}
    save_model(net, data / "model", decided | {"training": {"epochs": 3, "device": "cpu"}})
    with (data / "model/history.csv").open("w") as file:
        csv.writer(file).writerows(
            [["epoch", "loss", "accuracy", "validation_loss", "validation_accuracy", "learning_rate"]]
            + [[epoch, 1 / epoch, 1 - 0.5 / epoch, 1.1 / epoch, 1 - 0.6 / epoch, 0.003] for epoch in (1, 2, 3)]
        )
    content = flat(np.random.default_rng(5).normal(size=(GRID * GRID, len(shapes))))
    flat_config = {
        "fingerprint": "b" * 64,
        "shapes": list(shapes),
        "grid": GRID,
        "choice": "PCA + RBF SVM",
        "weights": hashlib.sha256(content).hexdigest(),
        "paintings": {"train": "a" * 64},
    }
    (data / "baseline").mkdir(parents=True, exist_ok=True)
    (data / "baseline/model.onnx").write_bytes(content)
    atomic_io.write_json(data / "baseline/config.json", flat_config)
    said = {
        "cnn": predict_proba(net, paintings.pictures).argmax(1),
        "baseline": np.zeros(len(labels), np.int64),
    }
    report(data / "report", paintings, said, {"cnn": named, "baseline": "b" * 64})
    return root


def report(folder: Path, paintings: Split, said: dict[str, Any], fingerprints: dict[str, str]) -> None:
    """What *evaluate* writes, as far as *register* reads it."""
    labels, shapes = paintings.labels, paintings.shapes
    (folder / "explain").mkdir(parents=True, exist_ok=True)
    metrics: dict[str, Any] = {"paintings": len(labels), "sentence": "The CNN is right more often."}
    metrics["paired"] = asdict(metrics.compare_paired(labels, said["cnn"], said["baseline"], 200, 0))
    for kind, answers in said.items():
        right = metrics.accuracy(labels, answers)
        measured = metrics.precision_recall(labels, answers, len(shapes))
        metrics[kind] = {
            "fingerprint": fingerprints[kind],
            "accuracy": right.value,
            "low": right.low,
            "high": right.high,
            "shapes": {
                shape: {"precision": precision.value, "recall": recall.value, "support": recall.total}
                for shape, (precision, recall) in zip(shapes, measured, strict=True)
            },
        }
        with (folder / f"confusion-{kind}.csv").open("w") as file:
            table = [[shapes[true], shapes[answer]] for true, answer in zip(labels, answers, strict=True)]
            csv.writer(file).writerows([["actual", "predicted"], *table])
    metrics["baseline"]["choice"] = "PCA + RBF SVM"
    decided = json.dumps([paintings.digest, fingerprints], sort_keys=True).encode()
    metrics["evaluation"] = hashlib.sha256(decided).hexdigest()
    atomic_io.write_json(folder / "metrics.json", metrics)
    picture = cv2.imencode(".png", np.zeros((9, 9), np.uint8))[1].tobytes()
    for path in (folder / "mistakes.png", folder / "explain/ring.png"):
        path.write_bytes(picture)


@pytest.fixture(scope="session")
def states(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """A state by seed, weakness and shapes, made once a session; copy it before you change it."""
    made: dict[Any, Path] = {}

    def state(**how: Any) -> Path:
        key = tuple(sorted(how.items()))
        if key not in made:
            made[key] = make(tmp_path_factory.mktemp("state"), **how)
        return made[key]

    return state


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh MLflow database, to be copied: making one takes seconds."""
    from strokewise.registry import store

    path = tmp_path_factory.mktemp("database")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        with store.connect():
            return path / "mlflow.db"


@pytest.fixture
def project(
    tmp_path: Path, database: Path, states: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Path]:
    """Puts a state into the working directory, a project with an empty store, and returns that directory."""
    root = tmp_path / "project"
    root.mkdir()
    monkeypatch.chdir(root)
    shutil.copy(ROOT / "params.yaml", root)
    shutil.copy(database, root / "mlflow.db")

    def put(**how: Any) -> Path:
        shutil.rmtree(root / "data", ignore_errors=True)
        shutil.copytree(states(**how) / "data", root / "data")
        return root

    return put


@pytest.fixture
def params() -> Params:
    return Params.load(ROOT / "params.yaml")


@pytest.fixture
def run() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `strokewise WORDS` in a process of its own."""

    def strokewise(*words: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
        import os

        command = [sys.executable, "-m", "strokewise", *words]
        return subprocess.run(
            command, cwd=cwd, env=os.environ | environment, capture_output=True, text=True, timeout=180, check=False
        )

    return strokewise


PART = """
import json, os, sys
import mlflow.store.tracking.sqlalchemy_store
import strokewise.stages.register
code, *places = sys.argv[1:]
children = []
for place in places:
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        os.chdir(place)
        for number, name in ((1, "said"), (2, "complained")):
            os.dup2(os.open(name + f".{os.getpid()}", os.O_CREAT | os.O_WRONLY), number)
        exec(code)
        sys.exit()
    children.append(child)
for child in children:
    print(child, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.fixture
def at_once() -> Callable[..., list[tuple[int, str, str]]]:
    """Run Python code in a process a folder, all at once -> exit code, output, errors of each.

    They part after MLflow was imported: that takes seconds each, and none would meet another so soon after.
    """

    def run(code: str, places: Sequence[Path], **environment: str) -> list[tuple[int, str, str]]:
        import os

        command = [sys.executable, "-c", PART, code, *map(str, places)]
        done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        ended = []
        for place, line in zip(places, done.stdout.splitlines(), strict=True):
            child, status = line.split()
            files = [place / f"{name}.{child}" for name in ("said", "complained")]
            ended.append((int(status), *(file.read_text() for file in files)))
            for file in files:
                file.unlink()
        return ended

    return run
