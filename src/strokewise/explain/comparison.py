"""CNNs side by side → one HTML page: their line filters, and what each makes of the same pictures."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from strokewise.explain import views
from strokewise.explain.activations import LayerActivation, Maps, layer_activations
from strokewise.explain.attribution import integrated_gradients
from strokewise.explain.html import render_template
from strokewise.model.cnn import CNN
from strokewise.model.inference import Pictures, predict_proba
from strokewise.model.layers import count_parameters
from strokewise.model.tta import NO_TTA

MAPS_PER_BLOCK = 6


@dataclass(frozen=True, eq=False)
class PictureView:
    """What one CNN makes of one picture, without test-time augmentation."""

    activations: tuple[LayerActivation, ...]
    scores: Maps
    """(C,)"""
    attribution: Maps
    """(G, G), for the shape with the highest score."""


@dataclass(frozen=True, eq=False)
class ComparedModel:
    """A CNN by the name of its folder, and what it makes of each picture."""

    name: str
    cnn: CNN
    parameters: int
    accuracy: float
    """On all test paintings."""
    test_paintings: int
    views: list[PictureView]


def compare_model(
    name: str, cnn: CNN, *, shown: Pictures, pictures: Pictures, labels: NDArray[np.int64]
) -> ComparedModel:
    """Analyse the pictures to be `shown` (N, G, G), and measure the accuracy on all test `pictures` (M, G, G)."""
    accuracy = float((predict_proba(cnn, pictures).argmax(1) == labels).mean())
    views = [
        PictureView(
            activations=layer_activations(cnn, picture),
            scores=scores,
            attribution=integrated_gradients(cnn, picture, int(scores.argmax())),
        )
        for picture, scores in zip(shown, predict_proba(cnn, shown, angles=NO_TTA), strict=True)
    ]
    return ComparedModel(
        name=name,
        cnn=cnn,
        parameters=count_parameters(cnn.layers),
        accuracy=accuracy,
        test_paintings=len(pictures),
        views=views,
    )


def comparison_page(models: Sequence[ComparedModel], pictures: Pictures, labels: NDArray[np.int64]) -> str:
    """The page about models with the same shapes, for the pictures (N, G, G) of their views."""
    return render_template(
        "comparison.html",
        title="Networks side by side",
        view=views,
        models=models,
        pictures=list(pictures),
        labels=labels.tolist(),
        maps_per_block=MAPS_PER_BLOCK,
    )
