"""Feature maps and training pictures -> which places excite a map most, and the patches of pixels that it sees there.

A unit is a map of the last step of a stage: the network has one such detector for every place of the picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from strokewise.explain.fields import Field
from strokewise.explain.layers import Step, evaluating, watching
from strokewise.network import Network, batch

Pictures = NDArray[np.uint8]
SHOWN = 9  # patches of training paintings a unit
BATCH = 128


@dataclass(frozen=True, eq=False)
class Excited:
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
    field: Field
    patches: Pictures
    """(at most 9, size, size), of the training pictures that excite it most; beyond the picture is bare paper."""
    paintings: tuple[int, ...]
    """The index of each patch's painting."""


def excitement(network: Network, pictures: Pictures) -> Excited:
    """Let the network look at pictures uint8 (N, G, G) and note how much, and where, each excites each map."""
    values: dict[str, list[NDArray[np.float32]]] = {}
    places: dict[str, list[NDArray[np.int64]]] = {}
    width: dict[str, int] = {}
    device = next(network.parameters()).device
    with evaluating(network), torch.inference_mode():
        for start in range(0, len(pictures), BATCH):
            with watching(network) as seen:
                network(batch(pictures[start : start + BATCH], device))
            # a later step of a stage replaces the earlier ones: what counts is where the stage ends
            for stage, maps in {stage: maps for stage, _, maps in seen if maps.ndim == 4}.items():
                flat = maps.reshape(*maps.shape[:2], -1)
                values.setdefault(stage, []).append(flat.max(axis=2))
                places.setdefault(stage, []).append(flat.argmax(axis=2))
                width[stage] = maps.shape[3]
    return Excited(
        {stage: np.concatenate(parts) for stage, parts in values.items()},
        {stage: np.concatenate(parts) for stage, parts in places.items()},
        width,
    )


def units(
    steps: Sequence[Step], fields: Sequence[Field], grid: int, pictures: Pictures, excited: Excited, count: int
) -> list[Unit]:
    """The `count` strongest units of each stage, for the picture behind `steps`, with patches of training pictures."""
    ends = {step.stage: (step, field) for step, field in zip(steps, fields, strict=True) if step.stage in excited.width}
    found = []
    for stage, (step, field) in ends.items():
        for channel in step.strongest(count):
            maps = step.maps[channel]
            row, column = (int(place) for place in np.unravel_index(maps.argmax(), maps.shape))
            chosen = np.argsort(-excited.values[stage][:, channel], kind="stable")[: min(SHOWN, len(pictures))]
            corners = [divmod(int(excited.places[stage][index, channel]), excited.width[stage]) for index in chosen]
            patches = [patch(pictures[index], field, *corner) for index, corner in zip(chosen, corners, strict=True)]
            found.append(
                Unit(
                    stage,
                    channel,
                    float(maps[row, column]),
                    field.box(row, column, grid),
                    field,
                    np.stack(patches) if patches else np.empty((0, field.size, field.size), np.uint8),
                    tuple(int(index) for index in chosen),
                )
            )
    return found


def patch(picture: Pictures, field: Field, row: int, column: int) -> Pictures:
    """The pixels (size, size) that the unit at (row, column) sees of a picture (G, G), with bare paper around it."""
    top, left, bottom, right = field.box(row, column, len(picture))
    seen = np.zeros((field.size, field.size), np.uint8)
    y, x = top - (field.start + row * field.jump), left - (field.start + column * field.jump)
    seen[y : y + bottom - top, x : x + right - left] = picture[top:bottom, left:right]
    return seen
