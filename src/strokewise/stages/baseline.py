"""data/paintings/train and data/drawings-train → data/baseline: the best of four scikit-learn models, as ONNX.

The CNN has to beat the best of them, trained on the same paintings at the same size, with as many augmented copies of
them as help it. Cross-validation on the training paintings chooses it; no other painting is used.
"""

from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from strokewise.baseline import augmented, estimator, selection
from strokewise.code_digest import code_digest, json_digest
from strokewise.data.training_set import load_training_set
from strokewise.errors import DatasetError
from strokewise.model.onnx_file import OnnxModel
from strokewise.params import Params
from strokewise.support import atomic_io
from strokewise.support.paths import BASELINE_DIR
from strokewise.training.augment_params import augment_limits

BASELINE_LIBRARIES = ("numpy", "onnx", "onnxruntime", "scikit-learn", "scipy", "skl2onnx", "torch")


def baseline(params: Params, folder: Path = BASELINE_DIR, paintings_per_shape: int | None = None) -> OnnxModel:
    """Choose, train and save the baseline; returns it loaded from its folder.

    Args:
        params: of params.yaml.
        folder: the folder to write.
        paintings_per_shape: train on the first so many paintings of each shape alone; None: all, and all drawings.

    Raises DatasetError if the training paintings are missing, damaged or too few for cross-validation.
    """
    folder = atomic_io.replaceable(folder)
    config, image_size = params.baseline, params.network.image_size
    training_set = load_training_set(image_size, paintings_per_shape)
    pictures, labels, shapes = training_set.split.pictures, training_set.split.labels, training_set.split.shapes
    _check_enough(labels, shapes, config.folds)
    limits = augment_limits(
        training_set.factors, training_set.split.pictures, training_set.num_drawings
    )  # the same as the CNN's
    copies = augmented.augmented_copies(pictures, config.augmented_copies, config.seed, limits)
    trials = selection.cross_validate(pictures, labels, copies, config.folds, config.seed)
    best = selection.best_trial(trials)
    model = selection.refit(best, pictures, labels, copies, config.seed)
    decided = {"baseline": config.model_dump(), "image_size": image_size, **training_set.identity}
    fingerprint = {**decided, "paintings": training_set.split.digest, "code": code_digest("stages.baseline")}
    model_config = {
        **decided,
        "fingerprint": json_digest(fingerprint),
        "shapes": list(shapes),
        "choice": best.model,
        "augmented_copies": best.copies,
        "temperature": best.temperature,
        "paintings": {"train": training_set.split.digest},
        "cross_validation": [asdict(trial) for trial in trials],
        "versions": {library: version(library) for library in BASELINE_LIBRARIES},
    }
    estimator.save_baseline(model, pictures, folder, model_config)
    return estimator.load_baseline(folder)


def _check_enough(labels: NDArray[np.int64], shapes: tuple[str, ...], folds: int) -> None:
    """Two paintings a shape, so that one is trained on while the other is held out, and one painting a fold."""
    rarest = int(np.bincount(labels, minlength=len(shapes)).argmin())
    count = np.count_nonzero(labels == rarest)
    if count < 2 or len(labels) < folds:
        raise DatasetError(
            f"{len(labels)} training paintings, {count} of them of {shapes[rarest]}, are too few to cross-validate a"
            f" baseline: it needs 2 of each shape and {folds} in all; set generate.train to"
            f" {max(folds, 2 * len(shapes))} or more"
        )
