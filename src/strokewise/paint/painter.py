"""The painter: one painting out of a catalogue, the parameters and its place in a split.

    paint(catalogue, params.generate, "train", 17) -> Painting(scene uint8 (C, C) or RGB (C, C, 3), label, factors)

A pure function of its arguments. It alone knows all three layers: outlines -> hand -> ink.
"""

from dataclasses import dataclass
from typing import get_type_hints

import numpy as np
from numpy.typing import NDArray

from strokewise import params
from strokewise.paint import doodles, hand, ink
from strokewise.paint.outlines import OTHER, Catalogue

SPLITS = {"train": 0, "validation": 1, "test": 2, "preview": 3}
Factor = float | int | str | bool
FACTORS: dict[str, type] = {
    "variant": str,
    **get_type_hints(hand.Habit),
    **get_type_hints(ink.Manner),
}
"""The columns that every painting has, in their order."""


@dataclass(frozen=True, eq=False)
class Painting:
    """A painting and what was drawn by lot for it."""

    scene: NDArray[np.uint8]
    label: int
    """The place of its shape among the catalogue's."""
    factors: dict[str, Factor]
    """A value for each of `FACTORS`, in that order."""


def paint(catalogue: Catalogue, generate: params.Generate, split: str, index: int) -> Painting:
    """Paint number `index` (from 0) of a split. Shapes take turns, so every beginning of a split is balanced."""
    rng = np.random.default_rng(np.random.SeedSequence((generate.seed, SPLITS[split], index)))
    label = index % len(catalogue.shapes)
    if catalogue.shapes[label] == OTHER:
        variant, strokes = doodles.doodle(catalogue, rng)
        stretch, turn, mirror = (0.5, 2.0), 180.0, True
    else:
        outlines = catalogue.outlines[label]
        outline = outlines[int(rng.integers(len(outlines)))]
        variant, strokes = outline.variant, outline.strokes
        stretch, turn, mirror = outline.stretch, outline.turn, outline.mirror
    hand_knobs, ink_knobs = knobs(generate)
    habit = hand.habit(hand_knobs, stretch, turn, mirror, rng)
    manner = ink.manner(ink_knobs, rng)
    drawn = hand.draw(strokes, habit, rng)
    scene = ink.inked(drawn.runs, drawn.areas, manner, generate.canvas, rng)
    factors = {"variant": variant, **vars(habit), **vars(manner)}
    return Painting(scene, label, {name: kind(factors[name]) for name, kind in FACTORS.items()})


def knobs(generate: params.Generate) -> tuple[hand.Knobs, ink.Knobs]:
    """Every knob as a number: its own where it is set, else the dial `imprecision`."""
    dial = generate.imprecision
    return (
        hand.Knobs(**{name: dial if value is None else value for name, value in generate.hand}),
        ink.Knobs(**{name: dial if value is None else value for name, value in generate.ink}),
    )
