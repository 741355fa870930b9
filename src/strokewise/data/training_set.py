"""data/paintings/train and data/drawings-train → the training set, the same for the CNN and the baseline."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from strokewise.data import human_drawings
from strokewise.data.dataset import Split, load_factors, load_paintings, subset_per_shape
from strokewise.support.paths import TRAIN_DRAWINGS_DIR


@dataclass(frozen=True)
class TrainingSet:
    """Paintings, followed by drawings by people if there are any."""

    split: Split
    """All pictures and labels; the digest is the paintings' alone."""
    factors: Mapping[str, NDArray[Any]]
    """The factors of the paintings by name, (number of paintings,) each."""
    num_drawings: int
    """How many of the last pictures are drawings by people."""
    identity: dict[str, Any]
    """What identifies the set besides the paintings' digest; empty for all paintings and no drawings."""


def load_training_set(image_size: int, paintings_per_shape: int | None = None) -> TrainingSet:
    """Load all training paintings and drawings, or the first `paintings_per_shape` paintings of each shape alone.

    Raises DatasetError if paintings are missing or damaged, or drawings are not of the paintings' shapes.
    """
    paintings = load_paintings("train", image_size)
    factors = load_factors("train")
    if paintings_per_shape is not None:
        indices = subset_per_shape(paintings.labels, paintings_per_shape)
        subset = dataclasses.replace(paintings, pictures=paintings.pictures[indices], labels=paintings.labels[indices])
        subset_factors = {name: values[indices] for name, values in factors.items()}
        return TrainingSet(subset, subset_factors, 0, {"paintings_per_shape": paintings_per_shape})
    drawings = human_drawings.load_drawings(TRAIN_DRAWINGS_DIR, paintings.shapes, image_size)
    count = len(drawings.labels)
    identity = {"drawings": {"train": drawings.digest, "count": count}} if count else {}
    return TrainingSet(human_drawings.append_drawings(paintings, drawings), factors, count, identity)
