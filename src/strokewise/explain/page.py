"""Analyses of pictures and a CNN → one HTML page without scripts, other files or access to the network."""

from collections.abc import Sequence
from dataclasses import dataclass

from strokewise.explain import views
from strokewise.explain.activations import Maps
from strokewise.explain.analysis import SHIFT_PIXELS, Analysis
from strokewise.explain.glossary import glossary_facts
from strokewise.explain.html import render_template
from strokewise.model.cnn import CNN


@dataclass(frozen=True, eq=False)
class ModelSummary:
    """The baseline as the page shows it, beside the CNN."""

    estimator: str
    """What kind of scikit-learn model it is."""
    ink_correlation: Maps
    """(C, G, G): how each shape's score goes with the ink of a pixel."""
    baseline_accuracy: tuple[float, float]
    """On test paintings, as they are and shifted."""
    cnn_accuracy: tuple[float, float]
    """The CNN's on the same."""
    test_paintings: int
    train_paintings: int
    """Behind the correlation."""


def explanation_page(
    cnn: CNN, analyses: Sequence[Analysis], baseline: ModelSummary | None, feature_maps: int, live_page: str = ""
) -> str:
    """The whole page, with `feature_maps` maps a block; `live_page` is the name of the file beside it to draw on."""
    return render_template(
        "index.html",
        title="What the network sees",
        view=views,
        cnn=cnn,
        analyses=analyses,
        baseline=baseline,
        feature_maps=feature_maps,
        facts=glossary_facts(cnn.layers, cnn.params.activation, cnn.params.pooling),
        live_page=live_page,
        shift_pixels=SHIFT_PIXELS,
    )
