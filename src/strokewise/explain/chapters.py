"""A story -> its chapters as HTML: the way, what the units see, the arithmetic, why this shape; names escaped."""

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strokewise.explain import layers, png
from strokewise.explain.layers import Floats, Step
from strokewise.explain.story import SHIFT, Asked, Story, top
from strokewise.explain.sums import Product
from strokewise.explain.units import Unit
from strokewise.explain.way import channels, filter_name
from strokewise.network import Network

CELL = 32  # pixels of a map in a sprite; larger maps keep their own size
SCENE = 256  # pixels, the longer side of a painting on the page


def way(story: Story, weights: Floats, shapes: Sequence[str], seeded: bool, count: int) -> str:
    """The steps from left to right; in a row of a stage always the same map."""
    flat = [step for step in story.steps if step.stage in ("flatten", "connected")]
    stages = [
        stage for stage in dict.fromkeys(step.stage for step in story.steps) if stage not in ("flatten", "connected")
    ]
    seen = _figure(
        story.picture / 255, f"what is seen of it, {_size(story.picture)}", "what the network sees", wide=True
    )
    cards = [f'<div class="card"><h4>the picture</h4>{_scene(story.scene)}{seen}</div>']
    for stage in stages:
        members = [step for step in story.steps if step.stage == stage]
        chosen = channels(members[-1], count)
        figures = [_maps(step, chosen) for step in members]
        if stage == "lines":
            names = ", ".join(filter_name(channel, seeded) for channel in chosen)
            figures.insert(
                0, sprite([weights[channel] for channel in chosen], "filters", "2×2 pixels", f"filters: {names}")
            )
        cards.append(_card(stage, "".join(figures)))
    cards.append(_card("flatten", _flat(flat[0])))
    scores = story.network.scores
    logits = {shape: _signed(value) for shape, value in zip(shapes, story.steps[-1].maps[:, 0, 0], strict=True)}
    cards.append(f'<div class="card"><h4>fully connected</h4>{_scores(scores, shapes, notes=logits)}</div>')
    return f'<div class="row">{"".join(cards)}</div>'


def units(found: Sequence[Unit], picture: NDArray[np.uint8]) -> str:
    """For each unit: where it sees the picture best, and the nine training patches that excite it most."""
    cards = []
    for unit in found:
        patches = ""
        if len(unit.patches):
            enlarged = max(1, 24 // unit.field.size)
            side = unit.field.size * enlarged
            sheet = png.stacked([patch / 255 for patch in unit.patches], side, max(1, side // 12), columns=3)
            label = f"the {len(unit.patches)} training patches that excite map {unit.channel + 1} of {unit.stage} most"
            patches = f'<div class="patches">{_img(sheet, label)}</div>'
        cards.append(
            f'<div class="card unit"><h4>{escape(unit.stage)}, map {unit.channel + 1}</h4><div class="row">'
            f"{_seen(picture, unit.box)}{patches}</div>"
            f'<p class="note">sees {unit.field.size}×{unit.field.size} pixels, says {unit.value:.2f}</p></div>'
        )
    return f'<div class="row units">{"".join(cards)}</div>'


def arithmetic(story: Story, seeded: bool, activation: str) -> str:
    """One square times one filter, and four neighbours pooled, with the numbers."""
    product = story.product
    top_, left = 2 * product.row, 2 * product.column
    terms = " + ".join(
        f"{pixel:.2f}·{_signed(weight, brackets=True)}"
        for pixel, weight in zip(product.pixels.ravel().tolist(), product.weights.ravel().tolist(), strict=True)
    )
    lines = (
        f'<div class="sum">{_seen(story.picture, (top_, left, top_ + 2, left + 2))}'
        f"{_square(product.pixels)}<b>×</b>{_square(product.weights)}<b>=</b>"
        f"{_square(product.pixels * product.weights)}</div>"
        f"<p>The square of pixels at row {top_}, column {left}, times the filter "
        f"“{escape(filter_name(product.channel, seeded))}”: {terms} + bias {_signed(product.bias)} = "
        f"<output>{_signed(product.total)}</output>. {_activated(product, activation)}</p>"
    )
    pooled = story.pooled
    if pooled is None:
        return lines + "<p>This network has no pooling step: its convolutions stride instead.</p>"
    kept = "the largest is kept" if pooled.best else "their mean is kept"
    return lines + (
        f'<div class="sum">{_square(pooled.values)}<b>→</b>{_square(np.array([[pooled.result]]))}</div>'
        f"<p>Pooling in <i>{escape(pooled.stage)}</i>, map {pooled.channel + 1}: of four neighbours {kept}, "
        f"<output>{_signed(pooled.result)}</output>. The map is half as wide and half as high afterwards.</p>"
    )


def reasons(story: Story, shapes: Sequence[str]) -> str:
    """The attribution, what covering a part changes, and the same questions to the baseline."""
    answer = shapes[story.network.covered.answer]
    share = _figure(story.attribution, f"each pixel's share in the score for {answer}", "attribution map", wide=True)
    cards = [f'<div class="card"><h4>which pixels speak for {escape(answer)}</h4>{share}</div>']
    cards.append(_asked("the CNN", story.network, shapes))
    if story.baseline:
        cards.append(_asked("the baseline", story.baseline, shapes))
    return f'<div class="row">{"".join(cards)}</div>'


def thumbnail(picture: NDArray[np.uint8]) -> str:
    """The picture as the network sees it, for the table of contents."""
    return _img(png.levels(picture / 255, 1), "")


def filters(network: Network) -> str:
    """All line filters with their numbers."""
    seeded = network.settings.lines != "learned"
    cards = "".join(
        f'<div class="card"><h4>{escape(filter_name(channel, seeded))}</h4>{_square(weights)}</div>'
        for channel, weights in enumerate(layers.line_filters(network))
    )
    return f'<div class="row">{cards}</div>'


def image(values: NDArray[Any], alt: str) -> str:
    """A map (h, w) on a scale of its own."""
    return _img(png.stacked([values], max(values.shape), 0), alt)


def sprite(maps: Sequence[Floats], name: str, size: str, alt: str) -> str:
    """Maps beneath each other in one image, on one scale."""
    sheet = png.stacked(maps, max(CELL, maps[0].shape[0]), 4)
    name = escape(name).replace("normalisation", "normali&shy;sation")  # wider than a map
    return f"<figure>{_img(sheet, alt)}<figcaption><b>{name}</b><br>{escape(size)}</figcaption></figure>"


def _scene(picture: NDArray[np.uint8]) -> str:
    """The painting as it came, made smaller by leaving pixels out if it is large."""
    step = -(-max(picture.shape[:2]) // SCENE)
    small = picture[::step, ::step]
    colours = np.ascontiguousarray(np.broadcast_to(small.reshape(*small.shape[:2], -1), (*small.shape[:2], 3)))
    image = f'<img src="{png.address(colours)}" alt="the painting">'
    return f'<figure style="width:9rem;margin-bottom:0.6rem">{image}<figcaption>the painting</figcaption></figure>'


def _asked(who: str, asked: Asked, shapes: Sequence[str]) -> str:
    """What a model says of the picture, of it with the worst square covered, and of it shifted."""
    covered = asked.covered
    answer = shapes[covered.answer]
    top_, left, bottom, right = covered.box
    after = {name: f"→ {score:.1%}" for name, score in zip(shapes, covered.after, strict=True)}
    moved = top(asked.shifted, shapes, 1)[0]
    kept = "still" if moved[0] == answer else "not"
    return (
        f'<div class="card"><h4>what {escape(who)} needs</h4><div class="row">'
        f"{_figure(covered.loss, f'what covering costs {answer}', 'loss by covering', wide=True)}"
        f'<figure style="width:9rem">{_seen(covered.picture, covered.box)}'
        f"<figcaption>the worst square covered: "
        f"rows {top_}–{bottom - 1}, columns {left}–{right - 1}</figcaption></figure></div>"
        f"{_scores(covered.before, shapes, notes=after, rows=4, also=int(covered.after.argmax()))}"
        f'<p class="note">Shifted right by {SHIFT} pixels: {escape(moved[0])}, {moved[1]:.1%} '
        f"({kept} {escape(answer)}).</p></div>"
    )


def _scores(
    scores: Floats, shapes: Sequence[str], notes: dict[str, str] | None = None, rows: int | None = None, also: int = -1
) -> str:
    """A bar a shape, in the shapes' order; only the `rows` likeliest (and `also`) if it says so."""
    shown = set(np.argsort(-scores, kind="stable")[:rows].tolist()) | ({also} if also >= 0 else set())
    lines = []
    for label in sorted(shown):
        best = ' class="best"' if label == int(scores.argmax()) else ""
        note = f"<td>{escape((notes or {}).get(shapes[label], ''))}</td>"
        lines.append(
            f'<tr{best}><th scope="row">{escape(shapes[label])}</th><td><span class="bar" '
            f'style="--share:{scores[label]:.1%}"></span></td><td>{scores[label]:.1%}</td>{note}</tr>'
        )
    return f'<table class="scores">{"".join(lines)}</table>'


def _maps(step: Step, chosen: Sequence[int]) -> str:
    numbers = ", ".join(str(channel + 1) for channel in chosen)
    maps = [step.maps[channel] for channel in chosen]
    return sprite(maps, step.what, step.size, f"{step.title}, maps {numbers}")


def _flat(step: Step) -> str:
    values = step.maps[:, 0, 0]
    columns = next(columns for columns in (32, 16, 8, 4, 2, 1) if len(values) % columns == 0)
    sheet = png.levels(values.reshape(-1, columns), float(np.abs(values).max()))
    return f"<figure>{_img(sheet, 'the flattened maps')}<figcaption>{step.size} in one row</figcaption></figure>"


def _figure(values: NDArray[Any], caption: str, alt: str, wide: bool = False) -> str:
    style = ' style="width:9rem"' if wide else ""
    return f"<figure{style}>{image(values, alt)}<figcaption>{escape(caption)}</figcaption></figure>"


def _card(title: str, figures: str) -> str:
    return f'<div class="card"><h4>{escape(title)}</h4><div class="steps">{figures}</div></div>'


def _img(pixels: NDArray[np.uint8], alt: str) -> str:
    return f'<img class="map" src="{png.address(pixels)}" alt="{escape(alt)}">'


def _seen(picture: NDArray[np.uint8], box: tuple[int, int, int, int]) -> str:
    """The picture with a box (top, left, bottom, right) drawn on it."""
    top_, left, bottom, right = (100 * edge / len(picture) for edge in box)
    place = f"left:{left:.2f}%;top:{top_:.2f}%;width:{right - left:.2f}%;height:{bottom - top_:.2f}%"
    return f'<div class="seen">{_img(png.levels(picture / 255, 1), "the picture")}<i style="{place}"></i></div>'


def _square(numbers: NDArray[Any]) -> str:
    limit = float(np.abs(numbers).max()) or 1.0
    rows = []
    for row in numbers:
        cells = [
            f'<td style="background:color-mix(in srgb, var({"--bar" if value >= 0 else "--mark"}) '
            f'{45 * abs(value) / limit:.0f}%, transparent)">{_signed(value)}</td>'
            for value in row.tolist()
        ]
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return f'<table class="square">{"".join(rows)}</table>'


def _activated(product: Product, activation: str) -> str:
    if product.total > 0 and activation == "relu":
        return f"ReLU keeps what is above zero: <output>{_signed(product.after)}</output>."
    return f"After the activation ({escape(activation)}): <output>{_signed(product.after)}</output>."


def _signed(value: float, brackets: bool = False) -> str:
    text = f"{round(value, 2) or 0.0:.2f}".replace("-", "−")  # never a negative zero
    return f"({text})" if brackets and value < 0 else text


def _size(picture: NDArray[Any]) -> str:
    return f"{picture.shape[1]}×{picture.shape[0]}"
