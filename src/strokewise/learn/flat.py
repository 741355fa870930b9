"""The baseline: pictures uint8 (N, G, G), flattened to G·G numbers, into the best of four scikit-learn models.

    contest  compares the four by cross-validation on the training paintings, without and with augmented copies
    fit      trains the winner on all of them
    save     writes it as ONNX: no pickle, the same bytes for the same model
    load     brings it back for predicting, which needs neither scikit-learn nor what it imports

Every fit runs on one thread, several fits beside each other: the result does not depend on the number of cores.
"""

import hashlib
import json
import os
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strokewise import progress
from strokewise.disk import replacing, write_json
from strokewise.errors import ModelError

FOLDER = Path("data/baseline")
COMPONENTS = 60  # principal components in front of a model that goes by distances
ROWS = 12_000  # augmented copies make up at most so many rows; the SVM's cost grows with their square
BATCH = 1024  # pictures a call of onnxruntime: 16 MB at 64×64
OPSET = 18  # of ONNX; part of the file's bytes

Pictures = NDArray[np.uint8]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Trial:
    """One model with so many augmented copies a painting, cross-validated."""

    model: str
    copies: int
    accuracy: float  # over all folds together, in [0, 1]
    folds: tuple[float, ...]  # of each fold
    temperature: float | None  # scores are divided by it before the softmax; None where the model gives probabilities


@dataclass(frozen=True)
class Flat:
    """A loaded baseline: int label = position in `shapes`; `config` is the folder's config.json."""

    shapes: tuple[str, ...]
    grid: int
    config: dict[str, Any]
    session: Any  # onnxruntime.InferenceSession

    def probabilities(self, pictures: Pictures) -> NDArray[np.float32]:
        """uint8 (N, G, G) -> float32 (N, C), each row summing to 1."""
        batches = [_rows(pictures[i : i + BATCH]) for i in range(0, len(pictures), BATCH)]
        found = [self.session.run(["probabilities"], {"pixels": batch})[0] for batch in batches]
        return np.concatenate(found) if found else np.zeros((0, len(self.shapes)), dtype=np.float32)


def candidates(rows: int, seed: int) -> dict[str, Callable[[], Any]]:
    """The four models by name, each ready to be made for `rows` training rows.

    Nearest neighbours vote with equal weights: skl2onnx 1.20 silently drops `weights="distance"`. The SVM gives
    scores; `probability=True` is deprecated and scikit-learn's calibration costs it accuracy, so a softmax with
    one temperature follows (Guo et al. 2017), which leaves its answers as they are.
    """
    from sklearn.decomposition import PCA
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import SVC

    def components() -> Any:
        return PCA(min(COMPONENTS, rows - 1), svd_solver="randomized", random_state=seed)

    return {
        "logistic regression": lambda: LogisticRegression(C=0.01, max_iter=200),
        "PCA + RBF SVM": lambda: make_pipeline(components(), SVC(C=10)),
        "random forest": lambda: RandomForestClassifier(60, random_state=seed),
        "nearest neighbours": lambda: make_pipeline(components(), KNeighborsClassifier(min(5, rows))),
    }


def levels(paintings: int, copies: int) -> list[int]:
    """How many augmented copies a painting are tried: none, half of `copies`, all of them; never more than `ROWS`."""
    most = min(copies, max(0, ROWS // paintings - 1))
    return sorted({0, (most + 1) // 2, most})


def contest(pictures: Pictures, labels: Labels, copies: Pictures, folds: int, seed: int) -> list[Trial]:
    """Cross-validate every candidate at every level of augmentation; the list is in a fixed order.

    Args:
        pictures: uint8 (N, G, G), the training paintings.
        labels: int64 (N,), each shape at least once.
        copies: uint8 (K, N, G, G), augmented; `copies[k, i]` shows painting `i`. A fold is trained with copies of
            its own training part only: a copy of a held-out painting would give its answer away.
        folds: parts that the paintings of each shape are dealt into.
        seed: of the dealing and of the models' own randomness.
    """
    held_out = _deal(labels, folds, seed)
    jobs = [
        (model, level, fold)
        for level in levels(len(labels), len(copies))
        for model in candidates(len(labels), seed)
        for fold in range(folds)
    ]

    def answer(job: tuple[str, int, int]) -> NDArray[np.float64]:
        name, level, fold = job
        learned = np.flatnonzero(held_out != fold)
        model = _fitted(name, pictures[learned], labels[learned], copies[:level, learned], seed)
        return _scores(model, _rows(pictures[held_out == fold]), int(labels.max()) + 1)

    answers = dict(zip(jobs, _beside_each_other(answer, jobs), strict=True))
    trials = []
    for name, level in dict.fromkeys(job[:2] for job in jobs):
        scores = np.zeros((len(labels), int(labels.max()) + 1))
        for fold in range(folds):
            scores[held_out == fold] = answers[name, level, fold]
        right = scores.argmax(axis=1) == labels
        each = tuple(float(right[held_out == fold].mean()) for fold in range(folds))
        temperature = _temperature(scores, labels) if "SVM" in name else None
        trials.append(Trial(name, level, float(right.mean()), each, temperature))
    return trials


def best(trials: list[Trial]) -> Trial:
    """The most accurate trial; of equals the one with fewer copies, then the one listed first."""
    return max(trials, key=lambda trial: (trial.accuracy, -trial.copies))


def fit(trial: Trial, pictures: Pictures, labels: Labels, copies: Pictures, seed: int) -> Any:
    """Train the winner on all paintings and its share of their copies; returns a scikit-learn estimator."""
    with _one_thread():
        return _fitted(trial.model, pictures, labels, copies[: trial.copies], seed)


def save(model: Any, trial: Trial, pictures: Pictures, folder: Path, config: dict[str, Any]) -> None:
    """Write `model.onnx` and, last, `config.json` (`config` and what was chosen) into the new folder `folder`.

    `pictures` uint8 (N, G, G) are any that the model should answer as before: a converter that drops a setting
    without a word is found out here.
    """
    content = _onnx(model, trial.temperature, config["grid"])
    expected = _probabilities(model, trial.temperature, _rows(pictures), len(config["shapes"]))
    with replacing(folder) as fresh:
        fresh.mkdir()
        (fresh / "model.onnx").write_bytes(content)
        chosen = {
            "choice": trial.model,
            "copies": trial.copies,
            "temperature": trial.temperature,
            "weights": hashlib.sha256(content).hexdigest(),
        }
        write_json(fresh / "config.json", config | chosen)
        difference = np.abs(load(fresh).probabilities(pictures) - expected).max()
        assert difference < 1e-3, f"{trial.model} as ONNX answers otherwise, by {difference:.2g}"


def load(folder: Path = FOLDER) -> Flat:
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
    return Flat(tuple(config["shapes"]), config["grid"], config, session)


def _rows(pictures: Pictures) -> NDArray[np.float32]:
    """uint8 (N, G, G) -> float32 (N, G·G) in [0, 1]."""
    return pictures.reshape(len(pictures), -1).astype(np.float32) / np.float32(255)


def _deal(labels: Labels, folds: int, seed: int) -> NDArray[np.int64]:
    """The fold in which each painting is held out, int64 (N,): every shape is dealt round, shuffled.

    Written out because scikit-learn's StratifiedKFold refuses or warns where a shape has fewer paintings than folds.
    """
    generator = np.random.default_rng(seed)
    order = np.lexsort((generator.random(len(labels)), labels))
    held_out = np.empty(len(labels), dtype=np.int64)
    held_out[order] = np.arange(len(labels)) % folds
    return held_out


def _fitted(name: str, pictures: Pictures, labels: Labels, copies: Pictures, seed: int) -> Any:
    """The named candidate, trained on uint8 (N, G, G) and uint8 (K, N, G, G)."""
    rows = _rows(np.concatenate([pictures, *copies]))
    return candidates(len(rows), seed)[name]().fit(rows, np.tile(labels, 1 + len(copies)))


def _scores(model: Any, rows: NDArray[np.float32], shapes: int) -> NDArray[np.float64]:
    """What `model` thinks of each shape, float64 (N, shapes): probabilities, or the SVM's scores.

    A shape that the model never saw (all its paintings were held out) gets the lowest score of all.
    """
    found = model.predict_proba(rows) if hasattr(model, "predict_proba") else model.decision_function(rows)
    if found.ndim == 1:  # two shapes: one score, for the second
        found = np.stack([-found, found], axis=1)
    scores = np.full((len(rows), shapes), found.min() - 1)
    scores[:, model.classes_] = found
    return scores


def _probabilities(
    model: Any, temperature: float | None, rows: NDArray[np.float32], shapes: int
) -> NDArray[np.float64]:
    scores = _scores(model, rows, shapes)
    return scores if temperature is None else _softmax(scores / temperature)


def _softmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def _temperature(scores: NDArray[np.float64], labels: Labels) -> float:
    """The temperature in [0.05, 20] at which held-out scores (N, C) have the lowest log loss."""
    tried = np.geomspace(0.05, 20, 200)
    truth = np.arange(len(labels)), labels
    losses = [-np.log(np.maximum(_softmax(scores / t)[truth], 1e-12)).mean() for t in tried]
    return float(tried[int(np.argmin(losses))])


def _onnx(model: Any, temperature: float | None, grid: int) -> bytes:
    """`model` as an ONNX file: `pixels` float32 (N, G·G) -> `probabilities` float32 (N, C).

    Convert a model once a process: nearest neighbours come out with other names the second time.
    """
    from onnx import TensorProto, helper, numpy_helper
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType

    last = model[-1] if hasattr(model, "steps") else model
    options: dict[str, Any] = {"zipmap": False} | ({} if temperature is None else {"raw_scores": True})
    pixels = [("pixels", FloatTensorType([None, grid * grid]))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # it reads attributes of SVC that scikit-learn 1.11 drops
        converted = to_onnx(model, initial_types=pixels, options={id(last): options}, target_opset=OPSET)
    graph = converted.graph
    scores, shapes = graph.output[1].name, len(model.classes_)
    if temperature is None:
        graph.node.append(helper.make_node("Identity", [scores], ["answer"]))
    else:
        graph.initializer.append(numpy_helper.from_array(np.float32(temperature).reshape(1), "temperature"))
        graph.node.append(helper.make_node("Div", [scores, "temperature"], ["cooled"]))
        graph.node.append(helper.make_node("Softmax", ["cooled"], ["answer"], axis=1))
    del graph.output[:]
    for node in graph.node:  # the converter's own output may have the name that ours is to have
        node.input[:] = [f"{name}_" if name == "probabilities" else name for name in node.input]
        node.output[:] = [f"{name}_" if name == "probabilities" else name for name in node.output]
    graph.node[-1].output[0] = "probabilities"
    graph.output.append(helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, shapes]))
    content: bytes = converted.SerializeToString(deterministic=True)
    return content


def _beside_each_other(work: Callable[[Any], Any], jobs: list[Any]) -> Iterator[Any]:
    """The results of `work` for all jobs, in their order, on all cores, with a progress bar."""
    with _one_thread(), ThreadPoolExecutor(os.cpu_count(), initializer=_bound_this_thread) as pool:
        try:
            yield from progress.track(pool.map(work, jobs), len(jobs), "baseline", "fits")
        finally:
            pool.shutdown(cancel_futures=True)  # Ctrl-C waits for the running fits only


def _bound_this_thread() -> None:
    import threadpoolctl

    threadpoolctl.threadpool_limits(1)  # OpenMP keeps its limit per thread, unlike BLAS


@contextmanager
def _one_thread() -> Iterator[None]:
    """Keep BLAS and OpenMP to one thread each, and scikit-learn from warning that a bounded solver stopped early."""
    import sklearn.linear_model  # noqa: F401 - loads the libraries whose threads are to be bounded
    import threadpoolctl
    from sklearn.exceptions import ConvergenceWarning

    with threadpoolctl.threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield
