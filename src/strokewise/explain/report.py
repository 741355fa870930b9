"""Stories of pictures and a network -> one HTML page that needs nothing beside it: no script, no network, no files."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from strokewise import architecture
from strokewise.architecture import LOOKS
from strokewise.explain import chapters, glossary, layers
from strokewise.explain.layers import Floats
from strokewise.explain.look import STYLE
from strokewise.explain.story import SHIFT, Story
from strokewise.network import Network


@dataclass(frozen=True, eq=False)
class Rival:
    """The baseline as the page shows it."""

    choice: str
    """What scikit-learn model it is."""
    stencils: Floats
    """(C, G, G), how each shape's score goes with the ink of a pixel."""
    own: tuple[float, float]
    """Its accuracy on test paintings, as they are and shifted."""
    network: tuple[float, float]
    """The CNN's on the same."""
    paintings: int
    learned_from: int
    """Training paintings behind the stencils."""


def page(network: Network, stories: Sequence[Story], rival: Rival | None, maps: int) -> str:
    """The whole page, `maps` feature maps a stage."""
    title = "What the network sees"
    parts = [_head(network, stories, rival), _filters(network)]
    parts += [_story(network, story, number, maps) for number, story in enumerate(stories)]
    parts += [_rival(network, rival)] if rival else []
    parts.append(_glossary(network))
    return document(title, parts)


def document(title: str, parts: Sequence[str]) -> str:
    """A whole HTML document around the parts of its body."""
    head = (
        f'<meta charset="utf-8">\n<title>{escape(title)}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<link rel="icon" href="data:,">\n<style>{STYLE}</style>'
    )
    body = "\n".join(parts)
    return f'<!DOCTYPE html>\n<html lang="en">\n<head>\n{head}\n</head>\n<body>\n{body}\n</body>\n</html>\n'


def _head(network: Network, stories: Sequence[Story], rival: Rival | None) -> str:
    entries = "".join(
        f'<li><a href="#picture-{number}">{chapters.thumbnail(story.picture)}{escape(story.title)}</a></li>'
        for number, story in enumerate(stories)
    )
    places = [("filters", "the line filters"), *([("baseline", "the baseline's view")] if rival else [])]
    links = " · ".join(f'<a href="#{place}">{name}</a>' for place, name in [*places, ("glossary", "the words")])
    stages = ", ".join(dict.fromkeys(layer.stage for layer in network.layers if layer.kind == "convolution"))
    return (
        f"<header><h1>What the network sees</h1><p>Pixels become lines, lines curves, curves shapes. This page follows "
        f"{len(stories)} {'picture' if len(stories) == 1 else 'pictures'} through a network of "
        f"{architecture.parameters(network.layers):,} numbers that knows {len(network.shapes)} shapes: first its "
        f"filters look "
        f"at the picture ({escape(stages)}), then a fully connected layer decides. Blue is above zero, white is "
        f"zero, rust "
        f"is below it; maps beneath each other share a scale.</p><p>{links}</p>"
        f'<nav aria-label="Pictures"><ul>{entries}</ul></nav></header>'
    )


def _filters(network: Network) -> str:
    how = {
        "fixed": "the four lines stay as they were given",
        "seeded": "the four lines are where learning began, and this is where it led",
        "learned": "all of them were learned from nothing",
    }[network.settings.lines]
    return (
        f'<section id="filters"><h2>The line filters</h2><p>Each square of 2×2 pixels is compared with '
        f"{len(layers.line_filters(network))} "
        f"filters; {how}.</p>{chapters.filters(network)}</section>"
    )


def _story(network: Network, story: Story, number: int, maps: int) -> str:
    scores, shapes = story.network.scores, network.shapes
    best = int(scores.argmax())
    seeded = network.settings.lines != "learned"
    said = int(story.predicted.argmax())
    otherwise = (
        f" A prediction, the mean of {len(LOOKS)} looks, says {escape(shapes[said])}, {story.predicted[said]:.1%}."
        if said != best
        else ""
    )
    meant = f" It was meant as {escape(story.truth)}." if story.truth and story.truth != shapes[best] else ""
    way = chapters.way(story, layers.line_filters(network), shapes, seeded, maps)
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
        f"most{hint}.</p>{chapters.units(story.units, story.picture)}"
        f"<h3>The arithmetic</h3>{chapters.arithmetic(story, seeded, network.settings.activation)}"
        f"<h3>Why {escape(shapes[best])}</h3><p>Blue pixels speak for the answer, rust ones against it. Covering a "
        f"part "
        f"shows what the answer hangs on: blue places cost it most.</p>{chapters.reasons(story, shapes)}</section>"
    )


def _rival(network: Network, rival: Rival) -> str:
    stencils = "".join(
        f'<figure style="width:6rem">{chapters.image(stencil, f"stencil of {shape}")}'
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
        f'it does not fit.</p><div class="row">{stencils}</div><h3>Shifted by {SHIFT} pixels</h3><p>The door '
        f"centres every "
        f"drawing, so that this does not happen; here {rival.paintings:,} test paintings are shifted to the right "
        f"behind "
        f'it.</p><table class="plain"><tr><th></th><th>right, as they are</th><th>right, '
        f"shifted</th></tr>{rows}</table>"
        "</section>"
    )


def _glossary(network: Network) -> str:
    entries = "".join(f"<dt>{word}</dt><dd>{meaning}</dd>" for word, meaning in glossary.terms(network))
    return f'<section id="glossary"><h2>The words</h2><dl>{entries}</dl></section>'
