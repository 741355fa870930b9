"""data/paintings/train, data/drawings-train -> data/baseline: the best of four scikit-learn models, as ONNX.

The CNN has to beat the best of them, trained on the same paintings on the same image_size, with as many augmented copies
of them as help it. Which that is, cross-validation on the training paintings says; no other painting is looked at.
"""

from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strokewise.baseline import augmented, estimator, selection
from strokewise.baseline.estimator import BaselineModel
from strokewise.code_digest import code_digest, json_digest
from strokewise.data.training_set import load_training_set
from strokewise.errors import DatasetError
from strokewise.params import Params
from strokewise.support.paths import BASELINE_DIR
from strokewise.training.augmentation import augment_limits

BASELINE_LIBRARIES = ("numpy", "onnx", "onnxruntime", "scikit-learn", "scipy", "skl2onnx", "torch")


def baseline(params: Params, folder: Path = BASELINE_DIR, paintings_per_shape: int | None = None) -> BaselineModel:
    """Choose, train and save the baseline; returns it loaded from its folder.

    Learns from all paintings and drawings, or from the first `paintings_per_shape` paintings of each shape alone.
    Raises DatasetError where the training paintings are missing, damaged or too few to be held out in turn.
    """
    settings = params.baseline
    training_set = load_training_set(params.network.image_size, paintings_per_shape)
    paintings = training_set.split
    _check_enough(paintings.labels, paintings.shapes, settings.folds)
    limits = augment_limits(training_set.factors, paintings.labels, training_set.num_drawings)  # those of the CNN
    copies = augmented.augmented_copies(paintings.pictures, settings.augmented_copies, settings.seed, limits)
    trials = selection.cross_validate(paintings.pictures, paintings.labels, copies, settings.folds, settings.seed)
    chosen = selection.best_trial(trials)
    model = selection.refit(chosen, paintings.pictures, paintings.labels, copies, settings.seed)
    config = {
        "fingerprint": _baseline_fingerprint(paintings.digest, training_set.identity, params),
        "shapes": list(paintings.shapes),
        "image_size": params.network.image_size,
        "choice": chosen.model,
        "augmented_copies": chosen.copies,
        "temperature": chosen.temperature,
        "baseline": settings.model_dump(),
        "paintings": {"train": paintings.digest},
        **training_set.identity,
        "cross_validation": [asdict(trial) for trial in trials],
        "versions": {library: version(library) for library in BASELINE_LIBRARIES},
    }
    estimator.save_baseline(model, paintings.pictures, folder, config)
    return estimator.load_baseline(folder)


def _check_enough(labels: NDArray[np.int64], shapes: tuple[str, ...], folds: int) -> None:
    """Two paintings a shape, so that one is learned from while the other is held out, and one painting a fold."""
    rarest = int(np.bincount(labels, minlength=len(shapes)).argmin())
    if np.count_nonzero(labels == rarest) < 2 or len(labels) < folds:
        raise DatasetError(
            f"{len(labels)} training paintings, {np.count_nonzero(labels == rarest)} of them of {shapes[rarest]}, are"
            f" too few to cross-validate a baseline: it needs 2 of each shape and {folds} in all;"
            f" set generate.train to {max(folds, 2 * len(shapes))} or more"
        )


def _baseline_fingerprint(paintings: str, identity: dict[str, Any], params: Params) -> str:
    """SHA-256 over what decided the baseline: the paintings it learned from, its parameters, the code."""
    decided = {
        "paintings": paintings,
        **identity,
        "baseline": params.baseline.model_dump(),
        "image_size": params.network.image_size,
        "code": code_digest("stages.baseline"),
    }
    return json_digest(decided)
