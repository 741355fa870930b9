"""A story -> its chapters as HTML: the way, what the units see, the arithmetic, why this shape; names escaped."""

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strokewise.explain import activations, data_uri
from strokewise.explain.activations import LayerActivation, Maps
from strokewise.explain.analysis import SHIFT_PIXELS, Analysis, Probe, top_scores
from strokewise.explain.layer_strips import filter_name, shown_channels
from strokewise.explain.max_activations import Unit
from strokewise.explain.worked_example import FilterProduct
from strokewise.model.cnn import CNN

MAP_SIDE = 32  # pixels of a map in a sprite; larger maps keep their own size
SCENE_SIDE = 256  # pixels, the longer side of a painting on the page


def network_section(story: Analysis, weights: Maps, shapes: Sequence[str], seeded: bool, count: int) -> str:
    """The steps from left to right; in a row of a stage always the same map."""
    flat = [step for step in story.steps if step.layer.block in ("flatten", "fully connected")]
    stages = [
        stage
        for stage in dict.fromkeys(step.layer.block for step in story.steps)
        if stage not in ("flatten", "fully connected")
    ]
    seen = _captioned_figure(
        story.picture / 255, f"what is seen of it, {_picture_size(story.picture)}", "what the network sees", wide=True
    )
    cards = [f'<div class="card"><h4>the picture</h4>{_scene_figure(story.scene)}{seen}</div>']
    for stage in stages:
        members = [step for step in story.steps if step.layer.block == stage]
        chosen = shown_channels(members[-1], count)
        figures = [_map_figure(step, chosen) for step in members]
        if stage == "lines":
            names = ", ".join(filter_name(channel, seeded) for channel in chosen)
            figures.insert(
                0, map_sprite([weights[channel] for channel in chosen], "filters", "2×2 pixels", f"filters: {names}")
            )
        cards.append(_section_card(stage, "".join(figures)))
    cards.append(_section_card("flatten", _vector_figure(flat[0])))
    scores = story.network.scores
    logits = {shape: _format_signed(value) for shape, value in zip(shapes, story.steps[-1].maps[:, 0, 0], strict=True)}
    cards.append(f'<div class="card"><h4>fully connected</h4>{_score_table(scores, shapes, notes=logits)}</div>')
    return f'<div class="row">{"".join(cards)}</div>'


def units_section(found: Sequence[Unit], picture: NDArray[np.uint8]) -> str:
    """For each unit: where it sees the picture best, and the nine training patches that excite it most."""
    cards = []
    for unit in found:
        patches = ""
        if len(unit.patches):
            enlarged = max(1, 24 // unit.field.size)
            side = unit.field.size * enlarged
            sheet = data_uri.stack_maps([patch / 255 for patch in unit.patches], side, max(1, side // 12), columns=3)
            label = f"the {len(unit.patches)} training patches that excite map {unit.channel + 1} of {unit.stage} most"
            patches = f'<div class="patches">{_img_tag(sheet, label)}</div>'
        cards.append(
            f'<div class="card unit"><h4>{escape(unit.stage)}, map {unit.channel + 1}</h4><div class="row">'
            f"{_boxed_picture(picture, unit.box)}{patches}</div>"
            f'<p class="note">sees {unit.field.size}×{unit.field.size} pixels, says {unit.value:.2f}</p></div>'
        )
    return f'<div class="row units">{"".join(cards)}</div>'


def arithmetic_section(story: Analysis, seeded: bool, activation: str) -> str:
    """One square times one filter, and four neighbours pooled, with the numbers."""
    product = story.product
    top_, left = 2 * product.row, 2 * product.column
    terms = " + ".join(
        f"{pixel:.2f}·{_format_signed(weight, brackets=True)}"
        for pixel, weight in zip(product.pixels.ravel().tolist(), product.weights.ravel().tolist(), strict=True)
    )
    lines = (
        f'<div class="sum">{_boxed_picture(story.picture, (top_, left, top_ + 2, left + 2))}'
        f"{_number_grid(product.pixels)}<b>×</b>{_number_grid(product.weights)}<b>=</b>"
        f"{_number_grid(product.pixels * product.weights)}</div>"
        f"<p>The square of pixels at row {top_}, column {left}, times the filter "
        f"“{escape(filter_name(product.channel, seeded))}”: {terms} + bias {_format_signed(product.bias)} = "
        f"<output>{_format_signed(product.total)}</output>. {_activation_sentence(product, activation)}</p>"
    )
    pooled = story.pooled
    if pooled is None:
        return lines + "<p>This network has no pooling step: its convolutions stride instead.</p>"
    kept = "the largest is kept" if pooled.best else "their mean is kept"
    return lines + (
        f'<div class="sum">{_number_grid(pooled.values)}<b>→</b>{_number_grid(np.array([[pooled.result]]))}</div>'
        f"<p>Pooling in <i>{escape(pooled.stage)}</i>, map {pooled.channel + 1}: of four neighbours {kept}, "
        f"<output>{_format_signed(pooled.result)}</output>. The map is half as wide and half as high afterwards.</p>"
    )


def attribution_section(story: Analysis, shapes: Sequence[str]) -> str:
    """The attribution, what covering a part changes, and the same questions to the baseline."""
    answer = shapes[story.network.covered.answer]
    share = _captioned_figure(
        story.attribution, f"each pixel's share in the score for {answer}", "attribution map", wide=True
    )
    cards = [f'<div class="card"><h4>which pixels speak for {escape(answer)}</h4>{share}</div>']
    cards.append(_probe_card("the CNN", story.network, shapes))
    if story.baseline:
        cards.append(_probe_card("the baseline", story.baseline, shapes))
    return f'<div class="row">{"".join(cards)}</div>'


def thumbnail(picture: NDArray[np.uint8]) -> str:
    """The picture as the network sees it, for the table of contents."""
    return _img_tag(data_uri.to_palette(picture / 255, 1), "")


def filters_section(network: CNN) -> str:
    """All line filters with their numbers."""
    seeded = network.params.line_filters != "learned"
    cards = "".join(
        f'<div class="card"><h4>{escape(filter_name(channel, seeded))}</h4>{_number_grid(weights)}</div>'
        for channel, weights in enumerate(activations.line_filters(network))
    )
    return f'<div class="row">{cards}</div>'


def map_image(values: NDArray[Any], alt: str) -> str:
    """A map (h, w) on a scale of its own."""
    return _img_tag(data_uri.stack_maps([values], max(values.shape), 0), alt)


def map_sprite(maps: Sequence[Maps], name: str, size: str, alt: str) -> str:
    """Maps beneath each other in one image, on one scale."""
    sheet = data_uri.stack_maps(maps, max(MAP_SIDE, maps[0].shape[0]), 4)
    name = escape(name).replace("normalisation", "normali&shy;sation")  # wider than a map
    return f"<figure>{_img_tag(sheet, alt)}<figcaption><b>{name}</b><br>{escape(size)}</figcaption></figure>"


def _scene_figure(picture: NDArray[np.uint8]) -> str:
    """The painting as it came, made smaller by leaving pixels out if it is large."""
    step = -(-max(picture.shape[:2]) // SCENE_SIDE)
    small = picture[::step, ::step]
    colours = np.ascontiguousarray(np.broadcast_to(small.reshape(*small.shape[:2], -1), (*small.shape[:2], 3)))
    image = f'<img src="{data_uri.data_uri(colours)}" alt="the painting">'
    return f'<figure style="width:9rem;margin-bottom:0.6rem">{image}<figcaption>the painting</figcaption></figure>'


def _probe_card(who: str, asked: Probe, shapes: Sequence[str]) -> str:
    """What a model says of the picture, of it with the worst square covered, and of it shifted."""
    covered = asked.covered
    answer = shapes[covered.answer]
    top_, left, bottom, right = covered.box
    after = {name: f"→ {score:.1%}" for name, score in zip(shapes, covered.after, strict=True)}
    moved = top_scores(asked.shifted, shapes, 1)[0]
    kept = "still" if moved[0] == answer else "not"
    return (
        f'<div class="card"><h4>what {escape(who)} needs</h4><div class="row">'
        f"{_captioned_figure(covered.loss, f'what covering costs {answer}', 'loss by covering', wide=True)}"
        f'<figure style="width:9rem">{_boxed_picture(covered.picture, covered.box)}'
        f"<figcaption>the worst square covered: "
        f"rows {top_}–{bottom - 1}, columns {left}–{right - 1}</figcaption></figure></div>"
        f"{_score_table(covered.before, shapes, notes=after, rows=4, also=int(covered.after.argmax()))}"
        f'<p class="note">Shifted right by {SHIFT_PIXELS} pixels: {escape(moved[0])}, {moved[1]:.1%} '
        f"({kept} {escape(answer)}).</p></div>"
    )


def _score_table(
    scores: Maps, shapes: Sequence[str], notes: dict[str, str] | None = None, rows: int | None = None, also: int = -1
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


def _map_figure(step: LayerActivation, chosen: Sequence[int]) -> str:
    numbers = ", ".join(str(channel + 1) for channel in chosen)
    maps = [step.maps[channel] for channel in chosen]
    return map_sprite(maps, step.layer.kind, step.size, f"{step.title}, maps {numbers}")


def _vector_figure(step: LayerActivation) -> str:
    values = step.maps[:, 0, 0]
    columns = next(columns for columns in (32, 16, 8, 4, 2, 1) if len(values) % columns == 0)
    sheet = data_uri.to_palette(values.reshape(-1, columns), float(np.abs(values).max()))
    return f"<figure>{_img_tag(sheet, 'the flattened maps')}<figcaption>{step.size} in one row</figcaption></figure>"


def _captioned_figure(values: NDArray[Any], caption: str, alt: str, wide: bool = False) -> str:
    style = ' style="width:9rem"' if wide else ""
    return f"<figure{style}>{map_image(values, alt)}<figcaption>{escape(caption)}</figcaption></figure>"


def _section_card(title: str, figures: str) -> str:
    return f'<div class="card"><h4>{escape(title)}</h4><div class="steps">{figures}</div></div>'


def _img_tag(pixels: NDArray[np.uint8], alt: str) -> str:
    return f'<img class="map" src="{data_uri.data_uri(pixels)}" alt="{escape(alt)}">'


def _boxed_picture(picture: NDArray[np.uint8], box: tuple[int, int, int, int]) -> str:
    """The picture with a box (top, left, bottom, right) drawn on it."""
    top_, left, bottom, right = (100 * edge / len(picture) for edge in box)
    place = f"left:{left:.2f}%;top:{top_:.2f}%;width:{right - left:.2f}%;height:{bottom - top_:.2f}%"
    return f'<div class="seen">{_img_tag(data_uri.to_palette(picture / 255, 1), "the picture")}<i style="{place}"></i></div>'


def _number_grid(numbers: NDArray[Any]) -> str:
    limit = float(np.abs(numbers).max()) or 1.0
    rows = []
    for row in numbers:
        cells = [
            f'<td style="background:color-mix(in srgb, var({"--bar" if value >= 0 else "--mark"}) '
            f'{45 * abs(value) / limit:.0f}%, transparent)">{_format_signed(value)}</td>'
            for value in row.tolist()
        ]
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return f'<table class="square">{"".join(rows)}</table>'


def _activation_sentence(product: FilterProduct, activation: str) -> str:
    if product.total > 0 and activation == "relu":
        return f"ReLU keeps what is above zero: <output>{_format_signed(product.after)}</output>."
    return f"After the activation ({escape(activation)}): <output>{_format_signed(product.after)}</output>."


def _format_signed(value: float, brackets: bool = False) -> str:
    text = f"{round(value, 2) or 0.0:.2f}".replace("-", "−")  # never a negative zero
    return f"({text})" if brackets and value < 0 else text


def _picture_size(picture: NDArray[Any]) -> str:
    return f"{picture.shape[1]}×{picture.shape[0]}"
