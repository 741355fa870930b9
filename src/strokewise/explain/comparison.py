"""Networks side by side -> one HTML page: their line filters, what these find in the same pictures, the answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

from strokewise.explain import activations, attribution, page, sections
from strokewise.explain.activations import LayerActivation, Maps
from strokewise.explain.layer_strips import shown_channels
from strokewise.model.cnn import CNN
from strokewise.model.inference import predict_proba
from strokewise.model.layers import count_parameters
from strokewise.model.tta import NO_TTA

MAPS_PER_STAGE = 6  # a stage

Pictures = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class PictureView:
    """What one network makes of one picture."""

    steps: tuple[LayerActivation, ...]
    scores: Maps
    """(C,), of the look at the picture as it lies."""
    attribution: Maps
    """(G, G), for the likeliest shape."""


@dataclass(frozen=True, eq=False)
class ComparedModel:
    """A network by the name of its folder, and what it makes of each picture."""

    name: str
    network: CNN
    accuracy: float
    """On all test paintings."""
    paintings: int
    seen: list[PictureView]


def compare_model(
    name: str, network: CNN, shown: Pictures, pictures: Pictures, labels: NDArray[np.int64]
) -> ComparedModel:
    """Let a network look at the pictures to be shown (N, G, G), and count what it gets right of all (M, G, G)."""
    right = float((predict_proba(network, pictures).argmax(1) == labels).mean())
    scores = predict_proba(network, shown, angles=NO_TTA)  # its maps and its attribution are of this look
    seen = [
        PictureView(
            activations.layer_activations(network, picture),
            row,
            attribution.integrated_gradients(network, picture, int(row.argmax())),
        )
        for picture, row in zip(shown, scores, strict=True)
    ]
    return ComparedModel(name, network, right, len(pictures), seen)


def comparison_page(rivals: Sequence[ComparedModel], pictures: Pictures, labels: NDArray[np.int64]) -> str:
    """The whole page; every rival knows the same shapes."""
    shapes = rivals[0].network.shapes
    rows = "".join(
        f'<tr><th scope="row">{escape(one.name)}</th><td>{escape(one.network.params.line_filters)}</td>'
        f"<td>{count_parameters(one.network.layers):,}</td><td>{one.accuracy:.1%}</td></tr>"
        for one in rivals
    )
    head = (
        f"<header><h1>{len(rivals)} networks side by side</h1><p>Blue is above zero, white is zero, rust is below it; "
        "maps beneath each other share a scale.</p></header>"
        '<table class="plain"><tr><th>model</th><th>line filters</th><th>numbers</th>'
        f"<th>right of {rivals[0].paintings:,} test paintings</th></tr>{rows}</table>"
    )
    filters = "".join(f"<h3>{escape(one.name)}</h3>{sections.filters_section(one.network)}" for one in rivals)
    parts = [head, f"<section><h2>The line filters</h2>{filters}</section>"]
    parts += [
        _picture_part(rivals, number, shapes, int(label), pictures[number]) for number, label in enumerate(labels)
    ]
    return page.html_document("Networks side by side", parts)


def _picture_part(
    rivals: Sequence[ComparedModel], number: int, shapes: Sequence[str], label: int, picture: Pictures
) -> str:
    cards = "".join(_model_card(one, one.seen[number], shapes) for one in rivals)
    return (
        f'<section class="story"><h2>{escape(shapes[label])}</h2><div class="row"><figure style="width:9rem">'
        f"{sections.map_image(picture / 255, 'the picture')}<figcaption>what they see</figcaption></figure>{cards}</div>"
        "</section>"
    )


def _model_card(one: ComparedModel, seen: PictureView, shapes: Sequence[str]) -> str:
    """One network's answer, its attribution, and the maps that the lines and the last stage end with."""
    answer = int(seen.scores.argmax())
    stages = list(
        dict.fromkeys(step.layer.block for step in seen.steps if step.layer.block not in ("flatten", "fully connected"))
    )
    ends = [[step for step in seen.steps if step.layer.block == stage][-1] for stage in (stages[0], stages[-1])]
    sprites = "".join(
        sections.map_sprite(
            [step.maps[channel] for channel in shown_channels(step, MAPS_PER_STAGE)],
            step.layer.block,
            step.size,
            step.title,
        )
        for step in ends
    )
    return (
        f'<div class="card"><h4>{escape(one.name)}</h4><p class="note">{escape(shapes[answer])}, '
        f"{seen.scores[answer]:.1%}</p><div "
        f'class="steps">{sprites}<figure>{sections.map_image(seen.attribution, "attribution")}'
        f"<figcaption>which pixels speak for {escape(shapes[answer])}</figcaption></figure></div></div>"
    )
