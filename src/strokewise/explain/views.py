"""Analyses, activations and pictures → what the templates of the pages show of them: images, rows and boxes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strokewise.explain.activations import LayerActivation, Maps, filter_names, group_by_block, line_filters
from strokewise.explain.analysis import Analysis, top_scores
from strokewise.explain.attribution import Occlusion
from strokewise.explain.data_uri import data_uri, stack_maps, to_palette
from strokewise.explain.html import signed
from strokewise.explain.layer_strips import shown_channels
from strokewise.explain.max_activations import Unit
from strokewise.explain.worked_example import FilterProduct
from strokewise.model.cnn import CNN
from strokewise.model.inference import Pictures

MAP_SIDE = 32  # pixels of a map in a sprite; larger maps keep their own size
SCENE_SIDE = 256  # pixels, the longer side of a painting on the page


@dataclass(frozen=True)
class ScoreRow:
    """A bar of a table of scores."""

    shape: str
    score: float
    best: bool
    note: str


@dataclass(frozen=True, eq=False)
class MapSprite:
    """Maps beneath each other in one image, on one scale."""

    maps: Sequence[Maps]
    name: str
    size: str
    alt: str


@dataclass(frozen=True, eq=False)
class BlockCard:
    """A block of the network: its maps, its vector or the scores."""

    block: str
    sprites: Sequence[MapSprite] = ()
    vector: Maps | None = None
    scores: Sequence[ScoreRow] = ()


def block_cards(analysis: Analysis, cnn: CNN, feature_maps: int) -> Iterator[BlockCard]:
    """The blocks from left to right, `feature_maps` maps each; a row follows one map through its block."""
    for block, members in group_by_block(analysis.activations).items():
        if block == "flatten":
            yield BlockCard(block, vector=members[0].maps[:, 0, 0])
        elif block == "fully connected":
            logits = {shape: signed(value) for shape, value in zip(cnn.shapes, members[-1].maps[:, 0, 0], strict=True)}
            yield BlockCard(block, scores=list(_score_rows(analysis.cnn.scores, cnn.shapes, logits)))
        else:
            channels = shown_channels(members[-1], feature_maps)
            sprites = [_map_sprite(member, channels) for member in members]
            if block == "lines":
                names = ", ".join(filter_names(cnn)[channel] for channel in channels)
                filters = [line_filters(cnn)[channel] for channel in channels]
                sprites.insert(0, MapSprite(filters, "filters", "2×2 pixels", f"filters: {names}"))
            yield BlockCard(block, sprites)


def block_ends(activations: Sequence[LayerActivation]) -> tuple[LayerActivation, LayerActivation]:
    """The last layer of the first and of the last block that has maps."""
    ends = [members[-1] for members in group_by_block(activations).values() if not members[-1].is_vector]
    return ends[0], ends[-1]


def strongest_maps(activation: LayerActivation, count: int) -> list[Maps]:
    """The maps of a layer that are shown of it."""
    return [activation.maps[channel] for channel in shown_channels(activation, count)]


def block_names(cnn: CNN) -> list[str]:
    """The blocks that have filters."""
    return [layer.block for layer in cnn.layers if layer.kind == "convolution"]


def named_filters(cnn: CNN) -> list[tuple[str, Maps]]:
    """All line filters, (2, 2) each."""
    return list(zip(filter_names(cnn), line_filters(cnn), strict=True))


def filter_terms(product: FilterProduct) -> list[tuple[float, float]]:
    """Each pixel of a square and the weight that it is multiplied by."""
    return list(zip(product.pixels.ravel().tolist(), product.weights.ravel().tolist(), strict=True))


def has_patches(analysis: Analysis) -> bool:
    """Whether there are training paintings to compare with."""
    return any(len(unit.patches) for unit in analysis.units)


def covered_rows(occlusion: Occlusion, shapes: Sequence[str]) -> list[ScoreRow]:
    """The highest scores before and after the worst square is covered."""
    after = {shape: f"→ {score:.1%}" for shape, score in zip(shapes, occlusion.after, strict=True)}
    return list(_score_rows(occlusion.before, shapes, after, rows=4, also=int(occlusion.after.argmax())))


def best_score(scores: Maps, shapes: Sequence[str]) -> tuple[str, float]:
    """The likeliest shape and its score."""
    return top_scores(scores, shapes, 1)[0]


def shaded_rows(numbers: NDArray[Any] | list[list[float]]) -> list[list[tuple[float, str, int]]]:
    """Numbers (h, w) as rows of (value, colour of its sign, how strong in percent): the larger the darker."""
    values = np.asarray(numbers)
    limit = float(np.abs(values).max()) or 1.0
    return [
        [(value, "--bar" if value >= 0 else "--mark", int(f"{45 * abs(value) / limit:.0f}")) for value in row]
        for row in values.tolist()
    ]


def box_style(picture: Pictures, box: tuple[int, int, int, int]) -> str:
    """The CSS of a box (top, left, bottom, right) that is drawn on a picture."""
    top, left, bottom, right = (100 * edge / len(picture) for edge in box)
    return f"left:{left:.2f}%;top:{top:.2f}%;width:{right - left:.2f}%;height:{bottom - top:.2f}%"


def picture_uri(picture: Pictures) -> str:
    """The picture as the network sees it."""
    return data_uri(to_palette(picture / 255, 1))


def map_uri(values: NDArray[Any]) -> str:
    """A map (h, w) on a scale of its own."""
    return data_uri(stack_maps([values], max(values.shape), 0))


def sprite_uri(maps: Sequence[Maps]) -> str:
    """Maps beneath each other, on one scale."""
    return data_uri(stack_maps(maps, max(MAP_SIDE, maps[0].shape[0]), 4))


def vector_uri(values: Maps) -> str:
    """A vector in rows."""
    columns = next(columns for columns in (32, 16, 8, 4, 2, 1) if len(values) % columns == 0)
    return data_uri(to_palette(values.reshape(-1, columns), float(np.abs(values).max())))


def patches_uri(unit: Unit) -> str:
    """The training patches that excite a unit most, three a row."""
    size = unit.receptive_field.size
    side = size * max(1, 24 // size)
    return data_uri(stack_maps([patch / 255 for patch in unit.patches], side, max(1, side // 12), columns=3))


def scene_uri(scene: Pictures) -> str:
    """The painting before preprocessing, subsampled if it is large."""
    step = -(-max(scene.shape[:2]) // SCENE_SIDE)
    small = scene[::step, ::step]
    return data_uri(np.ascontiguousarray(np.broadcast_to(small.reshape(*small.shape[:2], -1), (*small.shape[:2], 3))))


def _map_sprite(activation: LayerActivation, channels: Sequence[int]) -> MapSprite:
    numbers = ", ".join(str(channel + 1) for channel in channels)
    maps = [activation.maps[channel] for channel in channels]
    return MapSprite(maps, activation.layer.kind, activation.size, f"{activation.title}, maps {numbers}")


def _score_rows(
    scores: Maps, shapes: Sequence[str], notes: Mapping[str, str], rows: int | None = None, also: int = -1
) -> Iterator[ScoreRow]:
    """A bar a shape, in the shapes' order: all, or the `rows` shapes with the highest scores and the label `also`."""
    labels = set(np.argsort(-scores, kind="stable")[:rows].tolist()) | ({also} if also >= 0 else set())
    for label in sorted(labels):
        yield ScoreRow(shapes[label], float(scores[label]), label == int(scores.argmax()), notes[shapes[label]])
