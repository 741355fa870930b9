"""A network, a picture uint8 (G, G), training pictures -> the story of the picture: all that the page tells of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from strokewise.architecture import STRAIGHT
from strokewise.explain import fields, layers, sums, units, why
from strokewise.explain.fields import Field
from strokewise.explain.layers import Floats, Step
from strokewise.explain.sums import Pooled, Product
from strokewise.explain.units import Excited, Unit
from strokewise.explain.why import Covered, Model
from strokewise.network import Network, probabilities

SHIFT = 5  # pixels, to the right: what a flattened picture does not survive
UNITS = 3  # shown a stage

Pictures = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Asked:
    """What one model says of the picture: as it is and shifted (scores (C,)), and with parts of it covered."""

    scores: Floats
    shifted: Floats
    covered: Covered


@dataclass(frozen=True, eq=False)
class Story:
    """One picture's way through the network, and why it ends where it does."""

    title: str
    truth: str
    """The shape that was meant; empty if nobody knows."""
    scene: Pictures
    """The picture as it came, (H, W) or (H, W, 3)."""
    picture: Pictures
    steps: tuple[Step, ...]
    fields: tuple[Field, ...]
    units: list[Unit]
    product: Product
    pooled: Pooled | None
    attribution: Floats
    """(G, G), each pixel's share in the logit of the answer."""
    network: Asked
    """The network's look at the picture as it lies, which all the rest is about."""
    predicted: Floats
    """(C,), what a prediction says: the mean of its looks."""
    baseline: Asked | None


@dataclass(frozen=True, eq=False)
class Memory:
    """Training pictures (N, G, G) and how they excite the network; without any, units are shown without patches."""

    pictures: Pictures
    excited: Excited


def remember(network: Network, pictures: Pictures) -> Memory:
    """Let the network look at training pictures, so that stories can show what else excites a unit."""
    return Memory(pictures, units.excitement(network, pictures))


def tell(
    network: Network,
    scene: Pictures,
    picture: Pictures,
    memory: Memory | None,
    baseline: Model | None,
    title: str,
    truth: str = "",
) -> Story:
    """Find out all that the page says of one picture. The network is the same afterwards."""
    with layers.evaluating(network):
        steps = layers.steps(network, picture)
        reach = fields.fields(steps, network.grid)
        seen = memory or Memory(picture[:0], units.excitement(network, picture[np.newaxis]))
        own = ask(lambda pictures: probabilities(network, pictures, looks=STRAIGHT), picture)
        return Story(
            title,
            truth,
            scene,
            picture,
            steps,
            reach,
            units.units(steps, reach, network.grid, seen.pictures, seen.excited, UNITS),
            sums.product(network, picture, steps),
            sums.pooled(steps, best=network.settings.pooling == "max"),
            why.attribution(network, picture, own.covered.answer),
            own,
            probabilities(network, picture[np.newaxis])[0],
            ask(baseline, picture) if baseline else None,
        )


def ask(model: Model, picture: Pictures) -> Asked:
    """Put the same questions to any model."""
    covered = why.covered(model, picture)
    return Asked(covered.before, model(why.shifted(picture, SHIFT)[np.newaxis])[0], covered)


def accuracy(model: Model, pictures: Pictures, labels: NDArray[np.int64]) -> tuple[float, float]:
    """The share of pictures (N, G, G) that a model gets right, as they are and shifted."""
    right = [float((model(asked).argmax(1) == labels).mean()) for asked in (pictures, why.shifted(pictures, SHIFT))]
    return right[0], right[1]


def top(scores: Floats, shapes: Sequence[str], count: int) -> list[tuple[str, float]]:
    """The `count` likeliest shapes with their scores."""
    return [(shapes[label], float(scores[label])) for label in np.argsort(-scores, kind="stable")[:count]]
