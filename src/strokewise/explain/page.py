"""Analyses of pictures and a CNN → one HTML page without scripts, other files or access to the network."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from strokewise.explain import activations, glossary, sections
from strokewise.explain.activations import Maps
from strokewise.explain.analysis import SHIFT_PIXELS, Analysis
from strokewise.model.cnn import CNN
from strokewise.model.layers import count_parameters
from strokewise.model.tta import TTA_ANGLES

STYLE_FILE = Path(__file__).with_name("style.css")


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


def explanation_page(cnn: CNN, analyses: Sequence[Analysis], baseline: ModelSummary | None, feature_maps: int) -> str:
    """The whole page, with `feature_maps` maps a block."""
    parts = [_header(cnn, analyses, baseline), _filters_part(cnn)]
    parts += [_analysis_part(cnn, analysis, number, feature_maps) for number, analysis in enumerate(analyses)]
    parts += [_baseline_part(cnn, baseline)] if baseline else []
    parts.append(_glossary_part(cnn))
    return html_document("What the network sees", parts)


def html_document(title: str, parts: Sequence[str]) -> str:
    """A whole HTML document around the parts of its body."""
    head = (
        f'<meta charset="utf-8">\n<title>{escape(title)}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<link rel="icon" href="data:,">\n<style>\n{STYLE_FILE.read_text(encoding="utf-8")}</style>'
    )
    body = "\n".join(parts)
    return f'<!DOCTYPE html>\n<html lang="en">\n<head>\n{head}\n</head>\n<body>\n{body}\n</body>\n</html>\n'


def _header(cnn: CNN, analyses: Sequence[Analysis], baseline: ModelSummary | None) -> str:
    entries = "".join(
        f'<li><a href="#picture-{number}">{sections.thumbnail(analysis.picture)}{escape(analysis.title)}</a></li>'
        for number, analysis in enumerate(analyses)
    )
    anchors = [("filters", "the line filters"), *([("baseline", "the baseline")] if baseline else [])]
    links = " · ".join(f'<a href="#{anchor}">{name}</a>' for anchor, name in [*anchors, ("glossary", "the words")])
    blocks = ", ".join(layer.block for layer in cnn.layers if layer.kind == "convolution")
    pictures = "1 picture" if len(analyses) == 1 else f"{len(analyses)} pictures"
    return (
        "<header><h1>What the network sees</h1>"
        f"<p>Pixels become lines, lines become curves, curves become shapes. This page follows {pictures} through a "
        f"network of {count_parameters(cnn.layers):,} numbers that knows {len(cnn.shapes)} shapes: first its filters "
        f"look at the picture ({escape(blocks)}), then a fully connected layer decides. Blue is above zero, white is "
        "zero, rust is below it; maps beneath each other share a scale.</p>"
        f'<p>{links}</p><nav aria-label="Pictures"><ul>{entries}</ul></nav></header>'
    )


def _filters_part(cnn: CNN) -> str:
    origin = {
        "fixed": "the four lines are fixed",
        "seeded": "the first four started as lines and were trained further",
        "learned": "all of them were learned from random weights",
    }[cnn.params.line_filters]
    return (
        '<section id="filters"><h2>The line filters</h2>'
        f"<p>Each square of 2×2 pixels is compared with {len(activations.line_filters(cnn))} filters; {origin}.</p>"
        f"{sections.filters_section(cnn)}</section>"
    )


def _analysis_part(cnn: CNN, analysis: Analysis, number: int, feature_maps: int) -> str:
    scores, best = analysis.cnn.scores, int(analysis.cnn.scores.argmax())
    shape = escape(cnn.shapes[best])
    answer = f"Read as <output>{shape}</output>, {scores[best]:.1%}."
    predicted = int(analysis.prediction.argmax())
    if predicted != best:
        answer += f" A prediction, the mean of {len(TTA_ANGLES)} views, says {escape(cnn.shapes[predicted])}, "
        answer += f"{analysis.prediction[predicted]:.1%}."
    if analysis.truth and analysis.truth != cnn.shapes[best]:
        answer += f" It was meant as {escape(analysis.truth)}."
    patches = ""
    if any(len(unit.patches) for unit in analysis.units):
        patches = ", and beside it are the patches of training paintings that excite the same map most"
    return (
        f'<section class="analysis" id="picture-{number}"><h2>{escape(analysis.title)}</h2><p>{answer}</p>'
        "<h3>The way through the network</h3>"
        "<p>From left to right, the strongest maps of each block; within a block, a row follows one map.</p>"
        f"{sections.network_section(analysis, cnn, feature_maps)}"
        "<h3>What the strongest units see</h3>"
        f"<p>The frame is the receptive field of the value that the picture excites most{patches}.</p>"
        f"{sections.units_section(analysis.units, analysis.picture)}"
        f"<h3>The arithmetic</h3>{sections.arithmetic_section(analysis, cnn)}"
        f"<h3>Why {shape}</h3>"
        "<p>Blue pixels speak for the answer, rust ones against it. Covering a part of the picture shows what the "
        "answer depends on: covering the blue places costs it most.</p>"
        f"{sections.attribution_section(analysis, cnn.shapes)}</section>"
    )


def _baseline_part(cnn: CNN, baseline: ModelSummary) -> str:
    stencils = "".join(
        f'<figure style="width:6rem">{sections.map_image(values, f"stencil of {shape}")}'
        f"<figcaption>{escape(shape)}</figcaption></figure>"
        for shape, values in zip(cnn.shapes, baseline.ink_correlation, strict=True)
    )
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{before:.1%}</td><td>{after:.1%}</td></tr>'
        for name, (before, after) in (
            ("the CNN", baseline.cnn_accuracy),
            (f"the baseline ({baseline.estimator})", baseline.baseline_accuracy),
        )
    )
    return (
        '<section id="baseline"><h2>The baseline’s view</h2>'
        "<p>The baseline gets the same pixels as one long row and does not know which of them are neighbours. Each "
        "picture shows the correlation of a shape’s score with the ink of each pixel over "
        f"{baseline.train_paintings:,} training paintings: blue is positive, rust negative. It works like a stencil: "
        "ink in other places does not fit.</p>"
        f'<div class="row">{stencils}</div>'
        f"<h3>Shifted by {SHIFT_PIXELS} pixels</h3>"
        f"<p>Preprocessing centres every drawing, so that this does not happen; here {baseline.test_paintings:,} test "
        "paintings are shifted to the right after preprocessing.</p>"
        '<table class="plain"><tr><th></th><th>accuracy as they are</th><th>accuracy shifted</th></tr>'
        f"{rows}</table></section>"
    )


def _glossary_part(cnn: CNN) -> str:
    entries = "".join(f"<dt>{term}</dt><dd>{meaning}</dd>" for term, meaning in glossary.glossary_terms(cnn))
    return f'<section id="glossary"><h2>The words</h2><dl>{entries}</dl></section>'
