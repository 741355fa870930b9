"""An `Analysis` → the sections about it as HTML. Names are escaped."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strokewise.explain.activations import LayerActivation, Maps, filter_names, group_by_block, line_filters
from strokewise.explain.analysis import SHIFT_PIXELS, Analysis, Probe, top_scores
from strokewise.explain.data_uri import data_uri, stack_maps, to_palette
from strokewise.explain.layer_strips import shown_channels
from strokewise.explain.max_activations import Unit
from strokewise.explain.worked_example import FilterProduct
from strokewise.model.cnn import CNN
from strokewise.model.inference import Pictures

MAP_SIDE = 32  # pixels of a map in a sprite; larger maps keep their own size
SCENE_SIDE = 256  # pixels, the longer side of a painting on the page


def network_section(analysis: Analysis, cnn: CNN, feature_maps: int) -> str:
    """The layers from left to right, `feature_maps` maps a block; a row follows one map through its block."""
    size = f"{analysis.picture.shape[1]}×{analysis.picture.shape[0]}"
    picture = _captioned_figure(analysis.picture / 255, f"after preprocessing, {size}", "what the network sees")
    cards = [f'<div class="card"><h4>the picture</h4>{_scene_figure(analysis.scene)}{picture}</div>']
    for block, members in group_by_block(analysis.activations).items():
        if block == "flatten":
            cards.append(_layers_card(block, _vector_figure(members[0])))
        elif block == "fully connected":
            logits = {shape: _signed(value) for shape, value in zip(cnn.shapes, members[-1].maps[:, 0, 0], strict=True)}
            table = _score_table(analysis.cnn.scores, cnn.shapes, notes=logits)
            cards.append(f'<div class="card"><h4>{block}</h4>{table}</div>')
        else:
            channels = shown_channels(members[-1], feature_maps)
            figures = "".join(_map_figure(member, channels) for member in members)
            if block == "lines":
                names = ", ".join(filter_names(cnn)[channel] for channel in channels)
                filters = [line_filters(cnn)[channel] for channel in channels]
                figures = map_sprite(filters, "filters", "2×2 pixels", f"filters: {names}") + figures
            cards.append(_layers_card(block, figures))
    return f'<div class="row">{"".join(cards)}</div>'


def units_section(units: Sequence[Unit], picture: Pictures) -> str:
    """For each unit: the part of the picture that it sees, and the training patches that excite it most."""
    cards = []
    for unit in units:
        size = unit.receptive_field.size
        patches = ""
        if len(unit.patches):
            side = size * max(1, 24 // size)
            sheet = stack_maps([patch / 255 for patch in unit.patches], side, max(1, side // 12), columns=3)
            label = f"the {len(unit.patches)} training patches that excite map {unit.channel + 1} of {unit.block} most"
            patches = f'<div class="patches">{_img_tag(sheet, label)}</div>'
        cards.append(
            f'<div class="card unit"><h4>{escape(unit.block)}, map {unit.channel + 1}</h4>'
            f'<div class="row">{_boxed_picture(picture, unit.box)}{patches}</div>'
            f'<p class="note">{size}×{size} pixels, value {unit.value:.2f}</p></div>'
        )
    return f'<div class="row units">{"".join(cards)}</div>'


def arithmetic_section(analysis: Analysis, cnn: CNN) -> str:
    """One square times one filter, and four neighbours pooled, with the numbers."""
    product = analysis.filter_product
    top, left = 2 * product.row, 2 * product.column
    terms = " + ".join(
        f"{pixel:.2f}·{_signed(weight, brackets=True)}"
        for pixel, weight in zip(product.pixels.ravel().tolist(), product.weights.ravel().tolist(), strict=True)
    )
    multiplied = (
        f'<div class="sum">{_boxed_picture(analysis.picture, (top, left, top + 2, left + 2))}'
        f"{_number_grid(product.pixels)}<b>×</b>{_number_grid(product.weights)}<b>=</b>"
        f"{_number_grid(product.pixels * product.weights)}</div>"
        f"<p>The square of pixels at row {top}, column {left}, times the filter "
        f"“{escape(filter_names(cnn)[product.channel])}”: {terms} + bias {_signed(product.bias)} = "
        f"<output>{_signed(product.total)}</output>. {_activation_sentence(product, cnn.params.activation)}</p>"
    )
    pooling = analysis.pooling
    if pooling is None:
        return multiplied + "<p>This network has no pooling layer: its convolutions stride instead.</p>"
    return multiplied + (
        f'<div class="sum">{_number_grid(pooling.values)}<b>→</b>{_number_grid(np.array([[pooling.result]]))}</div>'
        f"<p>Pooling in <i>{escape(pooling.block)}</i>, map {pooling.channel + 1}: of four neighbours, "
        f"{'the largest' if pooling.best else 'their mean'} is kept, <output>{_signed(pooling.result)}</output>. The "
        "map is half as wide and half as high afterwards.</p>"
    )


def attribution_section(analysis: Analysis, shapes: Sequence[str]) -> str:
    """The attribution, and what shifting and covering the picture change for the CNN and the baseline."""
    answer = shapes[analysis.cnn.occlusion.predicted]
    attribution = _captioned_figure(
        analysis.attribution, f"each pixel's share in the score for {answer}", "attribution map"
    )
    cards = [f'<div class="card"><h4>which pixels speak for {escape(answer)}</h4>{attribution}</div>']
    cards.append(_probe_card("the CNN", analysis.cnn, shapes))
    if analysis.baseline:
        cards.append(_probe_card("the baseline", analysis.baseline, shapes))
    return f'<div class="row">{"".join(cards)}</div>'


def thumbnail(picture: Pictures) -> str:
    """The picture as the network sees it, for the table of contents."""
    return _img_tag(to_palette(picture / 255, 1), "")


def filters_section(cnn: CNN) -> str:
    """All line filters with their numbers."""
    cards = "".join(
        f'<div class="card"><h4>{escape(name)}</h4>{_number_grid(weights)}</div>'
        for name, weights in zip(filter_names(cnn), line_filters(cnn), strict=True)
    )
    return f'<div class="row">{cards}</div>'


def map_image(values: NDArray[Any], alt: str) -> str:
    """A map (h, w) on a scale of its own."""
    return _img_tag(stack_maps([values], max(values.shape), 0), alt)


def map_sprite(maps: Sequence[Maps], name: str, size: str, alt: str) -> str:
    """Maps beneath each other in one image, on one scale."""
    sheet = stack_maps(maps, max(MAP_SIDE, maps[0].shape[0]), 4)
    name = escape(name).replace("normalisation", "normali&shy;sation")  # wider than a map
    return f"<figure>{_img_tag(sheet, alt)}<figcaption><b>{name}</b><br>{escape(size)}</figcaption></figure>"


def _scene_figure(scene: Pictures) -> str:
    """The painting before preprocessing, subsampled if it is large."""
    step = -(-max(scene.shape[:2]) // SCENE_SIDE)
    small = scene[::step, ::step]
    colours = np.ascontiguousarray(np.broadcast_to(small.reshape(*small.shape[:2], -1), (*small.shape[:2], 3)))
    image = f'<img src="{data_uri(colours)}" alt="the painting">'
    return f'<figure style="width:9rem;margin-bottom:0.6rem">{image}<figcaption>the painting</figcaption></figure>'


def _probe_card(name: str, probe: Probe, shapes: Sequence[str]) -> str:
    """A model's scores for the picture, for it with the worst square covered, and for it shifted."""
    occlusion = probe.occlusion
    answer = shapes[occlusion.predicted]
    loss = _captioned_figure(occlusion.loss, f"what covering costs {answer}", "loss by covering")
    top, left, bottom, right = occlusion.box
    after = {shape: f"→ {score:.1%}" for shape, score in zip(shapes, occlusion.after, strict=True)}
    table = _score_table(occlusion.before, shapes, notes=after, rows=4, also=int(occlusion.after.argmax()))
    shape, score = top_scores(probe.shifted, shapes, 1)[0]
    return (
        f'<div class="card"><h4>what {escape(name)} needs</h4><div class="row">{loss}'
        f'<figure style="width:9rem">{_boxed_picture(occlusion.picture, occlusion.box)}'
        f"<figcaption>the worst square covered: rows {top}–{bottom - 1}, columns {left}–{right - 1}</figcaption>"
        f"</figure></div>{table}"
        f'<p class="note">Shifted right by {SHIFT_PIXELS} pixels: {escape(shape)}, {score:.1%} '
        f"({'still' if shape == answer else 'not'} {escape(answer)}).</p></div>"
    )


def _score_table(
    scores: Maps, shapes: Sequence[str], notes: Mapping[str, str], rows: int | None = None, also: int = -1
) -> str:
    """A bar a shape, in the shapes' order: all, or the `rows` shapes with the highest scores and the label `also`."""
    labels = set(np.argsort(-scores, kind="stable")[:rows].tolist()) | ({also} if also >= 0 else set())
    lines = []
    for label in sorted(labels):
        best = ' class="best"' if label == int(scores.argmax()) else ""
        lines.append(
            f'<tr{best}><th scope="row">{escape(shapes[label])}</th><td><span class="bar" '
            f'style="--share:{scores[label]:.1%}"></span></td><td>{scores[label]:.1%}</td>'
            f"<td>{escape(notes[shapes[label]])}</td></tr>"
        )
    return f'<table class="scores">{"".join(lines)}</table>'


def _map_figure(activation: LayerActivation, channels: Sequence[int]) -> str:
    numbers = ", ".join(str(channel + 1) for channel in channels)
    maps = [activation.maps[channel] for channel in channels]
    return map_sprite(maps, activation.layer.kind, activation.size, f"{activation.title}, maps {numbers}")


def _vector_figure(activation: LayerActivation) -> str:
    values = activation.maps[:, 0, 0]
    columns = next(columns for columns in (32, 16, 8, 4, 2, 1) if len(values) % columns == 0)
    sheet = to_palette(values.reshape(-1, columns), float(np.abs(values).max()))
    image = _img_tag(sheet, "the flattened maps")
    return f"<figure>{image}<figcaption>{activation.size} in one row</figcaption></figure>"


def _captioned_figure(values: NDArray[Any], caption: str, alt: str) -> str:
    return f'<figure style="width:9rem">{map_image(values, alt)}<figcaption>{escape(caption)}</figcaption></figure>'


def _layers_card(title: str, figures: str) -> str:
    return f'<div class="card"><h4>{escape(title)}</h4><div class="steps">{figures}</div></div>'


def _img_tag(pixels: NDArray[np.uint8], alt: str) -> str:
    return f'<img class="map" src="{data_uri(pixels)}" alt="{escape(alt)}">'


def _boxed_picture(picture: Pictures, box: tuple[int, int, int, int]) -> str:
    """The picture with a box (top, left, bottom, right) drawn on it."""
    top, left, bottom, right = (100 * edge / len(picture) for edge in box)
    place = f"left:{left:.2f}%;top:{top:.2f}%;width:{right - left:.2f}%;height:{bottom - top:.2f}%"
    image = _img_tag(to_palette(picture / 255, 1), "the picture")
    return f'<div class="boxed">{image}<i style="{place}"></i></div>'


def _number_grid(numbers: NDArray[Any]) -> str:
    """A table of the numbers (h, w), the larger the darker."""
    limit = float(np.abs(numbers).max()) or 1.0
    rows = []
    for row in numbers.tolist():
        cells = [
            f'<td style="background:color-mix(in srgb, var({"--bar" if value >= 0 else "--mark"}) '
            f'{45 * abs(value) / limit:.0f}%, transparent)">{_signed(value)}</td>'
            for value in row
        ]
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return f'<table class="square">{"".join(rows)}</table>'


def _activation_sentence(product: FilterProduct, activation: str) -> str:
    if product.total > 0 and activation == "relu":
        return f"ReLU keeps what is above zero: <output>{_signed(product.activated)}</output>."
    return f"After the activation ({escape(activation)}): <output>{_signed(product.activated)}</output>."


def _signed(value: float, brackets: bool = False) -> str:
    text = f"{round(value, 2) or 0.0:.2f}".replace("-", "−")  # never a negative zero
    return f"({text})" if brackets and value < 0 else text
