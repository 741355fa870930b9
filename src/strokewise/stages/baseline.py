"""data/paintings/train, data/drawings-train -> data/baseline: the best of four scikit-learn models, as ONNX.

The CNN has to beat the best of them, trained on the same paintings on the same grid, with as many augmented copies
of them as help it. Which that is, cross-validation on the training paintings says; no other painting is looked at.
"""

import hashlib
import json
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strokewise import sources
from strokewise.errors import DatasetError
from strokewise.learn import contest, copies, flat, material
from strokewise.learn.flat import Flat
from strokewise.params import Params

LIBRARIES = ("numpy", "onnx", "onnxruntime", "scikit-learn", "scipy", "skl2onnx", "torch")


def baseline(params: Params, folder: Path = flat.FOLDER, shown: int | None = None) -> Flat:
    """Choose, train and save the baseline; returns it loaded from its folder.

    Learns from all paintings and drawings, or from the first `shown` paintings of each shape alone.
    Raises DatasetError where the training paintings are missing, damaged or too few to be held out in turn.
    """
    settings = params.baseline
    learned = material.gather(params.network.grid, shown)
    paintings = learned.split
    _enough(paintings.labels, paintings.shapes, settings.folds)
    # the CNN's copies are drawn with the same freedom
    augmented = copies.draw(paintings.pictures, settings.copies, settings.seed, learned.freedom)
    trials = contest.compete(paintings.pictures, paintings.labels, augmented, settings.folds, settings.seed)
    chosen = contest.best(trials)
    model = contest.fit(chosen, paintings.pictures, paintings.labels, augmented, settings.seed)
    config = {
        "fingerprint": _fingerprint(paintings.digest, learned.besides, params),
        "shapes": list(paintings.shapes),
        "grid": params.network.grid,
        "choice": chosen.model,
        "copies": chosen.copies,
        "temperature": chosen.temperature,
        "baseline": settings.model_dump(),
        "paintings": {"train": paintings.digest},
        **learned.besides,
        "cross_validation": [asdict(trial) for trial in trials],
        "versions": {library: version(library) for library in LIBRARIES},
    }
    flat.save(model, paintings.pictures, folder, config)
    return flat.load(folder)


def _enough(labels: NDArray[np.int64], shapes: tuple[str, ...], folds: int) -> None:
    """Two paintings a shape, so that one is learned from while the other is held out, and one painting a fold."""
    rarest = int(np.bincount(labels, minlength=len(shapes)).argmin())
    if np.count_nonzero(labels == rarest) < 2 or len(labels) < folds:
        raise DatasetError(
            f"{len(labels)} training paintings, {np.count_nonzero(labels == rarest)} of them of {shapes[rarest]}, are"
            f" too few to cross-validate a baseline: it needs 2 of each shape and {folds} in all;"
            f" set generate.train to {max(folds, 2 * len(shapes))} or more"
        )


def _fingerprint(paintings: str, besides: dict[str, Any], params: Params) -> str:
    """SHA-256 over what decided the baseline: the paintings it learned from, its parameters, the code."""
    decided = {
        "paintings": paintings,
        **besides,
        "baseline": params.baseline.model_dump(),
        "grid": params.network.grid,
        "code": sources.digest("stages.baseline"),
    }
    return hashlib.sha256(json.dumps(decided, sort_keys=True).encode()).hexdigest()
