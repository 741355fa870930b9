"""CNNs side by side → one HTML page: their line filters, and what each makes of the same pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

from strokewise.explain import page, sections
from strokewise.explain.activations import LayerActivation, Maps, group_by_block, layer_activations
from strokewise.explain.attribution import integrated_gradients
from strokewise.explain.layer_strips import shown_channels
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
    return ComparedModel(name=name, cnn=cnn, accuracy=accuracy, test_paintings=len(pictures), views=views)


def comparison_page(models: Sequence[ComparedModel], pictures: Pictures, labels: NDArray[np.int64]) -> str:
    """The page about models with the same shapes, for the pictures (N, G, G) of their views."""
    rows = "".join(
        f'<tr><th scope="row">{escape(model.name)}</th><td>{escape(model.cnn.params.line_filters)}</td>'
        f"<td>{count_parameters(model.cnn.layers):,}</td><td>{model.accuracy:.1%}</td></tr>"
        for model in models
    )
    filters = "".join(f"<h3>{escape(model.name)}</h3>{sections.filters_section(model.cnn)}" for model in models)
    title = "Networks side by side"
    parts = [
        f"<header><h1>{len(models)} networks side by side</h1><p>Blue is above zero, white is zero, rust is below it; "
        "maps beneath each other share a scale.</p></header>"
        '<table class="plain"><tr><th>model</th><th>line filters</th><th>numbers</th>'
        f"<th>accuracy on {models[0].test_paintings:,} test paintings</th></tr>{rows}</table>",
        f"<section><h2>The line filters</h2>{filters}</section>",
    ]
    for number, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
        cards = "".join(_model_card(model, model.views[number]) for model in models)
        parts.append(
            f'<section class="analysis"><h2>{escape(models[0].cnn.shapes[label])}</h2><div class="row">'
            f'<figure style="width:9rem">{sections.map_image(picture / 255, "the picture")}'
            f"<figcaption>what they see</figcaption></figure>{cards}</div></section>"
        )
    return page.html_document(title, parts)


def _model_card(model: ComparedModel, view: PictureView) -> str:
    """One CNN's answer, its attribution, and the maps that the first and the last block end with."""
    predicted = int(view.scores.argmax())
    ends = [members[-1] for members in group_by_block(view.activations).values() if not members[-1].is_vector]
    sprites = "".join(
        sections.map_sprite(
            [end.maps[channel] for channel in shown_channels(end, MAPS_PER_BLOCK)], end.layer.block, end.size, end.title
        )
        for end in (ends[0], ends[-1])
    )
    shape = escape(model.cnn.shapes[predicted])
    return (
        f'<div class="card"><h4>{escape(model.name)}</h4><p class="note">{shape}, {view.scores[predicted]:.1%}</p>'
        f'<div class="steps">{sprites}<figure>{sections.map_image(view.attribution, "attribution")}'
        f"<figcaption>which pixels speak for {shape}</figcaption></figure></div></div>"
    )
