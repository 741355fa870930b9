"""Feature maps and training pictures -> which places excite a map most, and the patches of pixels that it sees there.

A unit is a map of the last step of a stage: the network has one such detector for every place of the picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from strokewise.explain.activations import LayerActivation, eval_mode, record_activations
from strokewise.model.cnn import CNN
from strokewise.model.inference import to_tensor
from strokewise.model.layers import ReceptiveField

Pictures = NDArray[np.uint8]
PATCHES_PER_UNIT = 9  # patches of training paintings a unit
FORWARD_BATCH = 128


@dataclass(frozen=True, eq=False)
class MaxActivations:
    """For each stage the largest value of each map over each picture, and where: arrays (N, C), place = row·W + column.

    `width` is the W of each stage's maps.
    """

    values: dict[str, NDArray[np.float32]]
    places: dict[str, NDArray[np.int64]]
    width: dict[str, int]


@dataclass(frozen=True, eq=False)
class Unit:
    """A map that the picture excites, where it does so most, what it sees there, and what else excites it."""

    stage: str
    channel: int
    value: float
    box: tuple[int, int, int, int]
    """top, left, bottom, right of its receptive field on the picture, in pixels."""
    field: ReceptiveField
    patches: Pictures
    """(at most 9, size, size), of the training pictures that excite it most; beyond the picture is bare paper."""
    paintings: tuple[int, ...]
    """The index of each patch's painting."""


def max_activations(network: CNN, pictures: Pictures) -> MaxActivations:
    """Let the network look at pictures uint8 (N, G, G) and note how much, and where, each excites each map."""
    values: dict[str, list[NDArray[np.float32]]] = {}
    places: dict[str, list[NDArray[np.int64]]] = {}
    width: dict[str, int] = {}
    device = next(network.parameters()).device
    with eval_mode(network), torch.inference_mode():
        for start in range(0, len(pictures), FORWARD_BATCH):
            with record_activations(network) as seen:
                network(to_tensor(pictures[start : start + FORWARD_BATCH], device))
            # a later step of a stage replaces the earlier ones: what counts is where the stage ends
            for stage, maps in {layer.block: maps for layer, maps in seen if maps.ndim == 4}.items():
                flat = maps.reshape(*maps.shape[:2], -1)
                values.setdefault(stage, []).append(flat.max(axis=2))
                places.setdefault(stage, []).append(flat.argmax(axis=2))
                width[stage] = maps.shape[3]
    return MaxActivations(
        {stage: np.concatenate(parts) for stage, parts in values.items()},
        {stage: np.concatenate(parts) for stage, parts in places.items()},
        width,
    )


def strongest_units(
    steps: Sequence[LayerActivation],
    image_size: int,
    pictures: Pictures,
    excited: MaxActivations,
    count: int,
) -> list[Unit]:
    """The `count` strongest units of each stage, for the picture behind `steps`, with patches of training pictures."""
    ends = {step.layer.block: step for step in steps if step.layer.block in excited.width}
    found = []
    for stage, step in ends.items():
        field = step.layer.receptive_field
        for channel in step.strongest(count):
            maps = step.maps[channel]
            row, column = (int(place) for place in np.unravel_index(maps.argmax(), maps.shape))
            chosen = np.argsort(-excited.values[stage][:, channel], kind="stable")[
                : min(PATCHES_PER_UNIT, len(pictures))
            ]
            corners = [divmod(int(excited.places[stage][index, channel]), excited.width[stage]) for index in chosen]
            patches = [
                extract_patch(pictures[index], field, *corner) for index, corner in zip(chosen, corners, strict=True)
            ]
            found.append(
                Unit(
                    stage,
                    channel,
                    float(maps[row, column]),
                    field.box(row, column, image_size),
                    field,
                    np.stack(patches) if patches else np.empty((0, field.size, field.size), np.uint8),
                    tuple(int(index) for index in chosen),
                )
            )
    return found


def extract_patch(picture: Pictures, field: ReceptiveField, row: int, column: int) -> Pictures:
    """The pixels (size, size) that the unit at (row, column) sees of a picture (G, G), with bare paper around it."""
    top, left, bottom, right = field.box(row, column, len(picture))
    seen = np.zeros((field.size, field.size), np.uint8)
    y, x = top - (field.start + row * field.jump), left - (field.start + column * field.jump)
    seen[y : y + bottom - top, x : x + right - left] = picture[top:bottom, left:right]
    return seen
