"""Choose the best of four scikit-learn models on flattened pixels, by cross-validation on the training paintings.

    cross_validate  compares them, without and with augmented copies of the paintings
    best_trial      picks the most accurate
    refit           trains it on all paintings

Pictures are uint8 (N, G, G), labels int64 (N,), copies uint8 (K, N, G, G). Several fits run in parallel, each on one
thread: the result does not depend on the number of cores.
"""

import os
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strokewise.baseline import estimator
from strokewise.support import progress

PCA_COMPONENTS = 60  # for the models that use distances
MAX_TRAINING_ROWS = 12_000  # paintings and augmented copies; the SVM's cost grows with their square


@dataclass(frozen=True)
class Trial:
    """One model with a number of augmented copies of each painting, cross-validated."""

    model: str
    copies: int
    accuracy: float
    """Over all folds together, in [0, 1]."""
    folds: tuple[float, ...]
    """Accuracy of each fold."""
    temperature: float | None
    """Divides the SVM's scores before the softmax; None for a model with `predict_proba`."""


def candidates(rows: int, seed: int) -> dict[str, Callable[[], Any]]:
    """The four models by name, each as a factory, for `rows` training rows.

    Nearest neighbours vote with equal weights: skl2onnx 1.20 silently drops `weights="distance"`. The SVM gives
    pairwise margins (see `estimator.vote_matrix`): `probability=True` is deprecated, and scikit-learn's calibration
    costs accuracy.
    """
    from sklearn.decomposition import PCA
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import SVC

    def pca() -> Any:
        return PCA(min(PCA_COMPONENTS, rows - 1), svd_solver="randomized", random_state=seed)

    return {
        "logistic regression": lambda: LogisticRegression(C=0.01, max_iter=60),
        "PCA + RBF SVM": lambda: make_pipeline(pca(), SVC(C=10, decision_function_shape="ovo")),
        "random forest": lambda: RandomForestClassifier(100, max_features="log2", random_state=seed),
        "nearest neighbours": lambda: make_pipeline(pca(), KNeighborsClassifier(min(5, rows))),
    }


def augmentation_levels(paintings: int, copies: int) -> list[int]:
    """Numbers of augmented copies to try: 0, half of `copies`, and `copies`, within `MAX_TRAINING_ROWS`."""
    most = min(copies, max(0, MAX_TRAINING_ROWS // paintings - 1))
    return sorted({0, (most + 1) // 2, most})


def cross_validate(
    pictures: NDArray[np.uint8], labels: NDArray[np.int64], copies: NDArray[np.uint8], folds: int, seed: int
) -> list[Trial]:
    """Cross-validate every candidate at every level of augmentation; the trials are in a fixed order.

    Args:
        pictures: uint8 (N, G, G), the training paintings.
        labels: int64 (N,), each shape at least once.
        copies: uint8 (K, N, G, G), augmented; `copies[k, i]` shows painting `i`. A fold is trained with copies of
            its own training part alone: a copy of a held-out painting would give its label away.
        folds: parts into which the paintings of each shape are divided.
        seed: of the folds and of the models.
    """
    held_out = stratified_folds(labels, folds, seed)
    num_shapes = int(labels.max()) + 1
    jobs = [
        (model, level, fold)
        for level in augmentation_levels(len(labels), len(copies))
        for model in candidates(len(labels), seed)
        for fold in range(folds)
    ]

    def score_fold(job: tuple[str, int, int]) -> NDArray[np.float64]:
        name, level, fold = job
        train = np.flatnonzero(held_out != fold)
        model = _fit_candidate(name, pictures[train], labels[train], copies[:level, train], seed)
        return estimator.decision_scores(model, estimator.flatten(pictures[held_out == fold]), num_shapes)

    fold_scores = dict(zip(jobs, _run_parallel(score_fold, jobs), strict=True))
    trials = []
    for name, level in dict.fromkeys(job[:2] for job in jobs):
        scores = np.zeros((len(labels), num_shapes))
        for fold in range(folds):
            scores[held_out == fold] = fold_scores[name, level, fold]
        correct = scores.argmax(axis=1) == labels
        fold_accuracies = tuple(float(correct[held_out == fold].mean()) for fold in range(folds))
        temperature = _fit_temperature(scores, labels) if "SVM" in name else None
        trials.append(Trial(name, level, float(correct.mean()), fold_accuracies, temperature))
    return trials


def best_trial(trials: list[Trial]) -> Trial:
    """The most accurate trial; of equals the one with fewer copies, then the one listed first."""
    return max(trials, key=lambda trial: (trial.accuracy, -trial.copies))


def refit(
    trial: Trial, pictures: NDArray[np.uint8], labels: NDArray[np.int64], copies: NDArray[np.uint8], seed: int
) -> Any:
    """Train the trial's model on all paintings; returns a fitted scikit-learn estimator.

    Args:
        trial: the model's name, and how many of the copies it takes.
        pictures: uint8 (N, G, G), the training paintings.
        labels: int64 (N,).
        copies: uint8 (K, N, G, G), augmented.
        seed: of the model.
    """
    with _single_threaded():
        return _fit_candidate(trial.model, pictures, labels, copies[: trial.copies], seed)


def stratified_folds(labels: NDArray[np.int64], folds: int, seed: int) -> NDArray[np.int64]:
    """The fold in which each painting is held out, int64 (N,): every shape is spread evenly, at random.

    Written out because scikit-learn's StratifiedKFold refuses or warns where a shape has fewer paintings than folds.
    """
    generator = np.random.default_rng(seed)
    order = np.lexsort((generator.random(len(labels)), labels))
    held_out = np.empty(len(labels), dtype=np.int64)
    held_out[order] = np.arange(len(labels)) % folds
    return held_out


def _fit_candidate(
    name: str, pictures: NDArray[np.uint8], labels: NDArray[np.int64], copies: NDArray[np.uint8], seed: int
) -> Any:
    """The candidate of that name, trained on uint8 (N, G, G) and uint8 (K, N, G, G)."""
    rows = estimator.flatten(np.concatenate([pictures, *copies]))
    return candidates(len(rows), seed)[name]().fit(rows, np.tile(labels, 1 + len(copies)))


def _fit_temperature(scores: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """The temperature in [0.05, 20] at which held-out scores (N, C) have the lowest log loss."""
    temperatures = np.geomspace(0.05, 20, 200)
    truth = np.arange(len(labels)), labels
    losses = [-np.log(np.maximum(estimator.softmax(scores / each)[truth], 1e-12)).mean() for each in temperatures]
    return float(temperatures[int(np.argmin(losses))])


def _run_parallel(function: Callable[[Any], Any], jobs: list[Any]) -> Iterator[Any]:
    """The results of `function` for all jobs, in their order, on all cores, with a progress bar."""
    with _single_threaded(), ThreadPoolExecutor(os.cpu_count(), initializer=_limit_thread) as pool:
        try:
            yield from progress.track(pool.map(function, jobs), len(jobs), "baseline", "fits")
        finally:
            pool.shutdown(cancel_futures=True)  # Ctrl-C waits for the running fits alone


def _limit_thread() -> None:
    import threadpoolctl

    threadpoolctl.threadpool_limits(1)  # OpenMP keeps its limit per thread, unlike BLAS


@contextmanager
def _single_threaded() -> Iterator[None]:
    """Keep BLAS and OpenMP to one thread each, and scikit-learn from warning that a bounded solver stopped early."""
    import sklearn.linear_model  # noqa: F401 - loads the libraries whose threads are limited
    import threadpoolctl
    from sklearn.exceptions import ConvergenceWarning

    with threadpoolctl.threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield
