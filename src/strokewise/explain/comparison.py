"""Networks side by side -> one HTML page: their line filters, what these find in the same pictures, the answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

from strokewise import architecture
from strokewise.architecture import STRAIGHT
from strokewise.explain import chapters, layers, report, why
from strokewise.explain.layers import Floats, Step
from strokewise.explain.way import channels
from strokewise.network import Network, probabilities

MAPS = 6  # a stage

Pictures = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Seen:
    """What one network makes of one picture."""

    steps: tuple[Step, ...]
    scores: Floats
    """(C,), of the look at the picture as it lies."""
    attribution: Floats
    """(G, G), for the likeliest shape."""


@dataclass(frozen=True, eq=False)
class Rival:
    """A network by the name of its folder, and what it makes of each picture."""

    name: str
    network: Network
    accuracy: float
    """On all test paintings."""
    paintings: int
    seen: list[Seen]


def rival(name: str, network: Network, shown: Pictures, pictures: Pictures, labels: NDArray[np.int64]) -> Rival:
    """Let a network look at the pictures to be shown (N, G, G), and count what it gets right of all (M, G, G)."""
    right = float((probabilities(network, pictures).argmax(1) == labels).mean())
    scores = probabilities(network, shown, looks=STRAIGHT)  # its maps and its attribution are of this look
    seen = [
        Seen(layers.steps(network, picture), row, why.attribution(network, picture, int(row.argmax())))
        for picture, row in zip(shown, scores, strict=True)
    ]
    return Rival(name, network, right, len(pictures), seen)


def page(rivals: Sequence[Rival], pictures: Pictures, labels: NDArray[np.int64]) -> str:
    """The whole page; every rival knows the same shapes."""
    shapes = rivals[0].network.shapes
    rows = "".join(
        f'<tr><th scope="row">{escape(one.name)}</th><td>{escape(one.network.settings.lines)}</td>'
        f"<td>{architecture.parameters(one.network.layers):,}</td><td>{one.accuracy:.1%}</td></tr>"
        for one in rivals
    )
    head = (
        f"<header><h1>{len(rivals)} networks side by side</h1><p>Blue is above zero, white is zero, rust is below it; "
        "maps beneath each other share a scale.</p></header>"
        '<table class="plain"><tr><th>model</th><th>line filters</th><th>numbers</th>'
        f"<th>right of {rivals[0].paintings:,} test paintings</th></tr>{rows}</table>"
    )
    filters = "".join(f"<h3>{escape(one.name)}</h3>{chapters.filters(one.network)}" for one in rivals)
    parts = [head, f"<section><h2>The line filters</h2>{filters}</section>"]
    parts += [_picture(rivals, number, shapes, int(label), pictures[number]) for number, label in enumerate(labels)]
    return report.document("Networks side by side", parts)


def _picture(rivals: Sequence[Rival], number: int, shapes: Sequence[str], label: int, picture: Pictures) -> str:
    cards = "".join(_card(one, one.seen[number], shapes) for one in rivals)
    return (
        f'<section class="story"><h2>{escape(shapes[label])}</h2><div class="row"><figure style="width:9rem">'
        f"{chapters.image(picture / 255, 'the picture')}<figcaption>what they see</figcaption></figure>{cards}</div>"
        "</section>"
    )


def _card(one: Rival, seen: Seen, shapes: Sequence[str]) -> str:
    """One network's answer, its attribution, and the maps that the lines and the last stage end with."""
    answer = int(seen.scores.argmax())
    stages = list(dict.fromkeys(step.stage for step in seen.steps if step.stage not in ("flatten", "connected")))
    ends = [[step for step in seen.steps if step.stage == stage][-1] for stage in (stages[0], stages[-1])]
    sprites = "".join(
        chapters.sprite([step.maps[channel] for channel in channels(step, MAPS)], step.stage, step.size, step.title)
        for step in ends
    )
    return (
        f'<div class="card"><h4>{escape(one.name)}</h4><p class="note">{escape(shapes[answer])}, '
        f"{seen.scores[answer]:.1%}</p><div "
        f'class="steps">{sprites}<figure>{chapters.image(seen.attribution, "attribution")}'
        f"<figcaption>which pixels speak for {escape(shapes[answer])}</figcaption></figure></div></div>"
    )
