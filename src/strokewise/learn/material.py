"""data/paintings/train, data/drawings-train -> what both models learn from: the CNN and the baseline get the same.

The drawings by people, if there are any, stand after the paintings.
"""

from dataclasses import dataclass
from typing import Any

from strokewise import dataset, drawings
from strokewise.dataset import Split
from strokewise.learn import augment
from strokewise.learn.augment import Freedom


@dataclass(frozen=True)
class Material:
    """Pictures with labels, how far each may be changed, and what of it is not told by the paintings' digest."""

    split: Split
    freedom: Freedom | None
    besides: dict[str, Any]
    """For the fingerprint and `config.json`; empty where all paintings and no drawings are learned from."""


def gather(grid: int, shown: int | None = None) -> Material:
    """All training paintings and drawings; or of each shape the first `shown` paintings, and no drawings.

    Raises DatasetError where paintings are missing or damaged, or drawings do not belong to them.
    """
    paintings = dataset.load("train", grid)
    factors = dataset.factors("train")
    if shown is not None:
        chosen = dataset.first(paintings.labels, shown)
        some = Split(paintings.pictures[chosen], paintings.labels[chosen], paintings.shapes, paintings.digest)
        freedom = augment.freedom({name: values[chosen] for name, values in factors.items()}, some.labels)
        return Material(some, freedom, {"paintings_a_shape": shown})
    drawn = drawings.load(drawings.TRAIN, paintings.shapes, grid)
    count = len(drawn.labels)
    freedom = augment.freedom(factors, paintings.labels, count)
    besides = {"drawings": {"train": drawn.digest, "count": count}} if count else {}
    return Material(drawings.added(paintings, drawn), freedom, besides)
