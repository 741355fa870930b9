"""Feature maps and training pictures → where a map is largest, and the patches of pixels that it sees there.

A unit is a map of the last layer of a block: the CNN applies the same detector at every place of the picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from strokewise.explain.activations import LayerActivation, eval_mode, group_by_block, record_activations
from strokewise.model.cnn import CNN
from strokewise.model.inference import Pictures, to_tensor
from strokewise.model.layers import ReceptiveField

PATCHES_PER_UNIT = 9
FORWARD_BATCH = 128


@dataclass(frozen=True, eq=False)
class MaxActivations:
    """By block: the largest value of each map over each picture (N, C), and where it is.

    A place is row · width + column, where `width` is that of the block's maps.
    """

    values: dict[str, NDArray[np.float32]]
    places: dict[str, NDArray[np.int64]]
    width: dict[str, int]


@dataclass(frozen=True, eq=False)
class Unit:
    """A map that the picture excites, where it is largest, what it sees there, and which patches excite it most."""

    block: str
    channel: int
    value: float
    box: tuple[int, int, int, int]
    """top, left, bottom, right of its receptive field on the picture, in pixels."""
    receptive_field: ReceptiveField
    patches: Pictures
    """(at most 9, size, size), of the training pictures that excite it most; beyond the picture is bare paper."""
    paintings: tuple[int, ...]
    """The index of each patch's painting."""


def max_activations(cnn: CNN, pictures: Pictures) -> MaxActivations:
    """How much, and where, each of the pictures uint8 (N, G, G) excites each map that a block ends with."""
    values: dict[str, list[NDArray[np.float32]]] = {}
    places: dict[str, list[NDArray[np.int64]]] = {}
    width: dict[str, int] = {}
    device = next(cnn.parameters()).device
    with eval_mode(cnn), torch.inference_mode():
        for start in range(0, len(pictures), FORWARD_BATCH):
            with record_activations(cnn) as recorded:
                cnn(to_tensor(pictures[start : start + FORWARD_BATCH], device))
            # a later layer of a block replaces the earlier ones
            for block, maps in {layer.block: maps for layer, maps in recorded if maps.ndim == 4}.items():
                flat = maps.reshape(*maps.shape[:2], -1)
                values.setdefault(block, []).append(flat.max(axis=2))
                places.setdefault(block, []).append(flat.argmax(axis=2))
                width[block] = maps.shape[3]
    return MaxActivations(
        values={block: np.concatenate(parts) for block, parts in values.items()},
        places={block: np.concatenate(parts) for block, parts in places.items()},
        width=width,
    )


def strongest_units(
    activations: Sequence[LayerActivation], pictures: Pictures, maxima: MaxActivations, count: int
) -> list[Unit]:
    """The `count` strongest units of each block for one picture, with patches of the training pictures.

    Args:
        activations: of the picture.
        pictures: the training pictures uint8 (N, G, G), of which there may be none.
        maxima: of the training pictures.
        count: units a block.
    """
    image_size = activations[0].layer.input_size[1]
    units = []
    for block, members in group_by_block(activations).items():
        if block not in maxima.width:
            continue
        field = members[-1].layer.receptive_field
        for channel in members[-1].strongest(count):
            maps = members[-1].maps[channel]
            row, column = (int(place) for place in np.unravel_index(maps.argmax(), maps.shape))
            order = np.argsort(-maxima.values[block][:, channel], kind="stable")
            paintings = order[: min(PATCHES_PER_UNIT, len(pictures))]
            corners = [divmod(int(maxima.places[block][index, channel]), maxima.width[block]) for index in paintings]
            patches = [
                extract_patch(pictures[index], field, *corner) for index, corner in zip(paintings, corners, strict=True)
            ]
            units.append(
                Unit(
                    block=block,
                    channel=channel,
                    value=float(maps[row, column]),
                    box=field.box(row, column, image_size),
                    receptive_field=field,
                    patches=np.stack(patches) if patches else np.empty((0, field.size, field.size), np.uint8),
                    paintings=tuple(int(index) for index in paintings),
                )
            )
    return units


def extract_patch(picture: Pictures, field: ReceptiveField, row: int, column: int) -> Pictures:
    """The pixels (size, size) that the unit at (row, column) sees of a picture (G, G), with bare paper around it."""
    top, left, bottom, right = field.box(row, column, len(picture))
    patch = np.zeros((field.size, field.size), np.uint8)
    y, x = top - (field.start + row * field.jump), left - (field.start + column * field.jump)
    patch[y : y + bottom - top, x : x + right - left] = picture[top:bottom, left:right]
    return patch
