"""A network, a picture uint8 (G, G), training pictures -> the story of the picture: all that the page tells of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from strokewise.explain import activations, attribution, max_activations, worked_example
from strokewise.explain.activations import LayerActivation, Maps
from strokewise.explain.attribution import Occlusion, Predictor
from strokewise.explain.max_activations import MaxActivations, Unit
from strokewise.explain.worked_example import FilterProduct, PoolingExample
from strokewise.model.cnn import CNN
from strokewise.model.inference import predict_proba
from strokewise.model.tta import NO_TTA

SHIFT_PIXELS = 5  # pixels, to the right: what a flattened picture does not survive
UNITS_PER_STAGE = 3  # shown a stage

Pictures = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Probe:
    """What one model says of the picture: as it is and shifted (scores (C,)), and with parts of it covered."""

    scores: Maps
    shifted: Maps
    covered: Occlusion


@dataclass(frozen=True, eq=False)
class Analysis:
    """One picture's way through the network, and why it ends where it does."""

    title: str
    truth: str
    """The shape that was meant; empty if nobody knows."""
    scene: Pictures
    """The picture as it came, (H, W) or (H, W, 3)."""
    picture: Pictures
    steps: tuple[LayerActivation, ...]
    units: list[Unit]
    product: FilterProduct
    pooled: PoolingExample | None
    attribution: Maps
    """(G, G), each pixel's share in the logit of the answer."""
    network: Probe
    """The network's look at the picture as it lies, which all the rest is about."""
    predicted: Maps
    """(C,), what a prediction says: the mean of its looks."""
    baseline: Probe | None


@dataclass(frozen=True, eq=False)
class ReferenceSet:
    """Training pictures (N, G, G) and how they excite the network; without any, units are shown without patches."""

    pictures: Pictures
    excited: MaxActivations


def build_reference(network: CNN, pictures: Pictures) -> ReferenceSet:
    """Let the network look at training pictures, so that stories can show what else excites a unit."""
    return ReferenceSet(pictures, max_activations.max_activations(network, pictures))


def analyse(
    network: CNN,
    scene: Pictures,
    picture: Pictures,
    memory: ReferenceSet | None,
    baseline: Predictor | None,
    title: str,
    truth: str = "",
) -> Analysis:
    """Find out all that the page says of one picture. The network is the same afterwards."""
    with activations.eval_mode(network):
        steps = activations.layer_activations(network, picture)
        seen = memory or ReferenceSet(picture[:0], max_activations.max_activations(network, picture[np.newaxis]))
        own = probe(lambda pictures: predict_proba(network, pictures, angles=NO_TTA), picture)
        return Analysis(
            title,
            truth,
            scene,
            picture,
            steps,
            max_activations.strongest_units(steps, network.image_size, seen.pictures, seen.excited, UNITS_PER_STAGE),
            worked_example.filter_product(network, picture, steps),
            worked_example.pooling_example(steps, best=network.params.pooling == "max"),
            attribution.integrated_gradients(network, picture, own.covered.answer),
            own,
            predict_proba(network, picture[np.newaxis])[0],
            probe(baseline, picture) if baseline else None,
        )


def probe(model: Predictor, picture: Pictures) -> Probe:
    """Put the same questions to any model."""
    covered = attribution.occlude(model, picture)
    return Probe(covered.before, model(attribution.shift_right(picture, SHIFT_PIXELS)[np.newaxis])[0], covered)


def shifted_accuracy(model: Predictor, pictures: Pictures, labels: NDArray[np.int64]) -> tuple[float, float]:
    """The share of pictures (N, G, G) that a model gets right, as they are and shifted."""
    right = [
        float((model(asked).argmax(1) == labels).mean())
        for asked in (pictures, attribution.shift_right(pictures, SHIFT_PIXELS))
    ]
    return right[0], right[1]


def top_scores(scores: Maps, shapes: Sequence[str], count: int) -> list[tuple[str, float]]:
    """The `count` likeliest shapes with their scores."""
    return [(shapes[label], float(scores[label])) for label in np.argsort(-scores, kind="stable")[:count]]
