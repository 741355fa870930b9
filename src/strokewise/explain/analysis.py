"""A CNN and a picture uint8 (G, G), with training pictures to compare with → an `Analysis`: all that the page shows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from strokewise.explain.activations import LayerActivation, Maps, eval_mode, layer_activations
from strokewise.explain.attribution import Occlusion, Predictor, integrated_gradients, occlude, shift_right
from strokewise.explain.max_activations import MaxActivations, Unit, max_activations, strongest_units
from strokewise.explain.worked_example import FilterProduct, PoolingExample, filter_product, pooling_example
from strokewise.model.cnn import CNN
from strokewise.model.inference import Pictures, predict_proba
from strokewise.model.tta import NO_TTA

SHIFT_PIXELS = 5  # to the right: a model of flattened pixels fails on shifted pictures
UNITS_PER_BLOCK = 3


@dataclass(frozen=True, eq=False)
class Probe:
    """One model's scores (C,) for a picture: as it is, shifted, and with parts of it covered."""

    scores: Maps
    shifted: Maps
    occlusion: Occlusion


@dataclass(frozen=True, eq=False)
class Analysis:
    """One picture's way through the CNN, and why it is classified as it is."""

    title: str
    truth: str
    """The true shape; empty if it is not known."""
    scene: Pictures
    """The picture before preprocessing, (H, W) or (H, W, 3)."""
    picture: Pictures
    activations: tuple[LayerActivation, ...]
    units: list[Unit]
    filter_product: FilterProduct
    pooling: PoolingExample | None
    attribution: Maps
    """(G, G), each pixel's share in the logit of the shape with the highest score."""
    cnn: Probe
    """Of the picture as it lies, without test-time augmentation, like all the rest."""
    prediction: Maps
    """(C,), what a prediction returns: the mean over the picture rotated either way."""
    baseline: Probe | None


@dataclass(frozen=True, eq=False)
class ReferenceSet:
    """Training pictures (N, G, G) and how they excite the CNN."""

    pictures: Pictures
    max_activations: MaxActivations


def build_reference(cnn: CNN, pictures: Pictures) -> ReferenceSet:
    """Record how training pictures (N, G, G) excite the CNN, so that an analysis can show patches of them."""
    return ReferenceSet(pictures, max_activations(cnn, pictures))


def analyse(
    cnn: CNN,
    picture: Pictures,
    *,
    scene: Pictures,
    title: str,
    truth: str = "",
    reference: ReferenceSet | None = None,
    baseline: Predictor | None = None,
) -> Analysis:
    """Compute all that the page shows about one picture. The CNN is left unchanged.

    Args:
        cnn: in any mode.
        picture: uint8 (G, G), after preprocessing.
        scene: the picture before preprocessing, (H, W) or (H, W, 3).
        title: its heading on the page.
        truth: the true shape, if it is known.
        reference: training pictures; without any, units are shown without patches.
        baseline: probed like the CNN, if given.
    """
    with eval_mode(cnn):
        activations = layer_activations(cnn, picture)
        reference = reference or ReferenceSet(picture[:0], max_activations(cnn, picture[np.newaxis]))
        cnn_probe = probe(lambda pictures: predict_proba(cnn, pictures, angles=NO_TTA), picture)
        return Analysis(
            title=title,
            truth=truth,
            scene=scene,
            picture=picture,
            activations=activations,
            units=strongest_units(activations, reference.pictures, reference.max_activations, UNITS_PER_BLOCK),
            filter_product=filter_product(cnn, picture, activations),
            pooling=pooling_example(activations, best=cnn.params.pooling == "max"),
            attribution=integrated_gradients(cnn, picture, cnn_probe.occlusion.predicted),
            cnn=cnn_probe,
            prediction=predict_proba(cnn, picture[np.newaxis])[0],
            baseline=probe(baseline, picture) if baseline else None,
        )


def probe(model: Predictor, picture: Pictures) -> Probe:
    """Score the picture (G, G) as it is, shifted and partly covered, with any model."""
    occlusion = occlude(model, picture)
    shifted = model(shift_right(picture, SHIFT_PIXELS)[np.newaxis])[0]
    return Probe(scores=occlusion.before, shifted=shifted, occlusion=occlusion)


def shifted_accuracy(model: Predictor, pictures: Pictures, labels: NDArray[np.int64]) -> tuple[float, float]:
    """A model's accuracy on pictures (N, G, G), as they are and shifted."""
    before, after = (
        float((model(given).argmax(1) == labels).mean()) for given in (pictures, shift_right(pictures, SHIFT_PIXELS))
    )
    return before, after


def top_scores(scores: Maps, shapes: Sequence[str], count: int) -> list[tuple[str, float]]:
    """The `count` shapes with the highest scores (C,), each with its score."""
    return [(shapes[label], float(scores[label])) for label in np.argsort(-scores, kind="stable")[:count]]
