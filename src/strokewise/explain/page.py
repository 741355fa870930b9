"""Stories of pictures and a network -> one HTML page that needs nothing beside it: no script, no network, no files."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from strokewise.explain import activations, glossary, sections
from strokewise.explain.activations import Maps
from strokewise.explain.analysis import SHIFT_PIXELS, Analysis
from strokewise.explain.style import STYLE_SHEET
from strokewise.model.cnn import CNN
from strokewise.model.layers import count_parameters
from strokewise.model.tta import TTA_ANGLES


@dataclass(frozen=True, eq=False)
class ModelSummary:
    """The baseline as the page shows it."""

    choice: str
    """What scikit-learn model it is."""
    stencils: Maps
    """(C, G, G), how each shape's score goes with the ink of a pixel."""
    own: tuple[float, float]
    """Its accuracy on test paintings, as they are and shifted."""
    network: tuple[float, float]
    """The CNN's on the same."""
    paintings: int
    learned_from: int
    """Training paintings behind the stencils."""


def explanation_page(network: CNN, stories: Sequence[Analysis], rival: ModelSummary | None, maps: int) -> str:
    """The whole page, `maps` feature maps a stage."""
    title = "What the network sees"
    parts = [_header(network, stories, rival), _filter_part(network)]
    parts += [_analysis_part(network, story, number, maps) for number, story in enumerate(stories)]
    parts += [_baseline_part(network, rival)] if rival else []
    parts.append(_glossary_part(network))
    return html_document(title, parts)


def html_document(title: str, parts: Sequence[str]) -> str:
    """A whole HTML document around the parts of its body."""
    head = (
        f'<meta charset="utf-8">\n<title>{escape(title)}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<link rel="icon" href="data:,">\n<style>{STYLE_SHEET}</style>'
    )
    body = "\n".join(parts)
    return f'<!DOCTYPE html>\n<html lang="en">\n<head>\n{head}\n</head>\n<body>\n{body}\n</body>\n</html>\n'


def _header(network: CNN, stories: Sequence[Analysis], rival: ModelSummary | None) -> str:
    entries = "".join(
        f'<li><a href="#picture-{number}">{sections.thumbnail(story.picture)}{escape(story.title)}</a></li>'
        for number, story in enumerate(stories)
    )
    places = [("filters", "the line filters"), *([("baseline", "the baseline's view")] if rival else [])]
    links = " · ".join(f'<a href="#{place}">{name}</a>' for place, name in [*places, ("glossary", "the words")])
    stages = ", ".join(dict.fromkeys(layer.block for layer in network.layers if layer.kind == "convolution"))
    return (
        f"<header><h1>What the network sees</h1><p>Pixels become lines, lines curves, curves shapes. This page follows "
        f"{len(stories)} {'picture' if len(stories) == 1 else 'pictures'} through a network of "
        f"{count_parameters(network.layers):,} numbers that knows {len(network.shapes)} shapes: first its "
        f"filters look "
        f"at the picture ({escape(stages)}), then a fully connected layer decides. Blue is above zero, white is "
        f"zero, rust "
        f"is below it; maps beneath each other share a scale.</p><p>{links}</p>"
        f'<nav aria-label="Pictures"><ul>{entries}</ul></nav></header>'
    )


def _filter_part(network: CNN) -> str:
    how = {
        "fixed": "the four lines stay as they were given",
        "seeded": "the four lines are where learning began, and this is where it led",
        "learned": "all of them were learned from nothing",
    }[network.params.line_filters]
    return (
        f'<section id="filters"><h2>The line filters</h2><p>Each square of 2×2 pixels is compared with '
        f"{len(activations.line_filters(network))} "
        f"filters; {how}.</p>{sections.filters_section(network)}</section>"
    )


def _analysis_part(network: CNN, story: Analysis, number: int, maps: int) -> str:
    scores, shapes = story.network.scores, network.shapes
    best = int(scores.argmax())
    seeded = network.params.line_filters != "learned"
    said = int(story.predicted.argmax())
    otherwise = (
        f" A prediction, the mean of {len(TTA_ANGLES)} looks, says {escape(shapes[said])}, {story.predicted[said]:.1%}."
        if said != best
        else ""
    )
    meant = f" It was meant as {escape(story.truth)}." if story.truth and story.truth != shapes[best] else ""
    way = sections.network_section(story, activations.line_filters(network), shapes, seeded, maps)
    hint = (
        ", beside it the patches of training paintings that excite the same map most"
        if any(len(unit.patches) for unit in story.units)
        else ""
    )
    return (
        f'<section class="story" id="picture-{number}"><h2>{escape(story.title)}</h2>'
        f"<p>Read as <output>{escape(shapes[best])}</output>, {scores[best]:.1%}.{otherwise}{meant}</p>"
        f"<h3>The way through the network</h3><p>From left to right, the strongest maps of each stage; within a "
        f"stage a row "
        f"is one map on its way.</p>{way}"
        f"<h3>What the strongest units see</h3><p>The frame is the receptive field of the value that the picture "
        f"excites "
        f"most{hint}.</p>{sections.units_section(story.units, story.picture)}"
        f"<h3>The arithmetic</h3>{sections.arithmetic_section(story, seeded, network.params.activation)}"
        f"<h3>Why {escape(shapes[best])}</h3><p>Blue pixels speak for the answer, rust ones against it. Covering a "
        f"part "
        f"shows what the answer hangs on: blue places cost it most.</p>{sections.attribution_section(story, shapes)}</section>"
    )


def _baseline_part(network: CNN, rival: ModelSummary) -> str:
    stencils = "".join(
        f'<figure style="width:6rem">{sections.map_image(stencil, f"stencil of {shape}")}'
        f"<figcaption>{escape(shape)}</figcaption></figure>"
        for shape, stencil in zip(network.shapes, rival.stencils, strict=True)
    )
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{before:.1%}</td><td>{after:.1%}</td></tr>'
        for name, (before, after) in (("the CNN", rival.network), (f"the baseline ({rival.choice})", rival.own))
    )
    return (
        f'<section id="baseline"><h2>The baseline’s view</h2><p>The baseline gets the same pixels as one long row and '
        f"knows nothing of neighbours. Each picture shows how a shape’s score goes with the ink of each pixel over "
        f"{rival.learned_from:,} training paintings: blue with it, rust against it. It is a stencil: what does not "
        f"lie on "
        f'it does not fit.</p><div class="row">{stencils}</div><h3>Shifted by {SHIFT_PIXELS} pixels</h3><p>The door '
        f"centres every "
        f"drawing, so that this does not happen; here {rival.paintings:,} test paintings are shifted to the right "
        f"behind "
        f'it.</p><table class="plain"><tr><th></th><th>right, as they are</th><th>right, '
        f"shifted</th></tr>{rows}</table>"
        "</section>"
    )


def _glossary_part(network: CNN) -> str:
    entries = "".join(f"<dt>{word}</dt><dd>{meaning}</dd>" for word, meaning in glossary.glossary_terms(network))
    return f'<section id="glossary"><h2>The words</h2><dl>{entries}</dl></section>'
