"""The painter: one painting out of a catalogue, the parameters and its place in a split.

    paint(catalogue, params.generate, "train", 17) -> Painting(scene uint8 (C, C) or RGB (C, C, 3), label, factors)

A pure function of its arguments. It alone knows all three layers: outlines -> hand -> ink.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, get_type_hints

import numpy as np
from numpy.typing import NDArray

from strokewise import params
from strokewise.data.shards import OTHER
from strokewise.synthesis import distractors, hand, hand_params, ink, ink_params, paper
from strokewise.synthesis.hand_params import HandParams
from strokewise.synthesis.ink_params import InkParams
from strokewise.synthesis.outlines import Catalogue

DISTRACTOR_TURNS = 2  # turns of `other` for one of a shape: two dozen kinds of doodles have to share them
HYPERCUBE_SIZE = 24  # paintings of a shape over which each of these numbers is spread
HYPERCUBE_DIMENSIONS = 1 + hand_params.HAND_UNIFORMS + ink_params.INK_UNIFORMS
SPLIT_SEEDS = {"train": 0, "validation": 1, "test": 2, "preview": 3}
Factor = float | int | str | bool


@dataclass(frozen=True)
class Subject:
    """What is painted; every field is a column of the data set, and its text is on the set's card."""

    variant: Annotated[str, "which of the shape's outlines, or the kind of doodle"]
    contains: Annotated[str, "the shapes that a doodle is made of, in the order of drawing, with a + between"]


def _factor_fields(extras: bool) -> dict[str, Any]:
    """The fields of a painting's three parts, in the order of the columns; `extras` keeps their texts."""
    return {
        name: kind
        for part in (Subject, HandParams, InkParams)
        for name, kind in get_type_hints(part, include_extras=extras).items()
    }


FACTOR_TYPES: dict[str, type] = _factor_fields(extras=False)
"""The columns that every painting has, in their order."""
FACTOR_MEANINGS: dict[str, str] = {name: kind.__metadata__[0] for name, kind in _factor_fields(extras=True).items()}
"""What each of them says, for people."""


@dataclass(frozen=True, eq=False)
class Painting:
    """A painting and what was drawn by lot for it."""

    scene: NDArray[np.uint8]
    label: int
    """The place of its shape among the catalogue's."""
    factors: dict[str, Factor]
    """A value for each of `FACTOR_TYPES`, in that order."""


def render_painting(catalogue: Catalogue, generate: params.GenerateParams, split: str, index: int) -> Painting:
    """Paint number `index` (from 0) of a split. Shapes take turns, so every beginning of a split is balanced."""
    rng = np.random.default_rng(np.random.SeedSequence((generate.seed, SPLIT_SEEDS[split], index)))
    label, turn = class_of(catalogue, index)
    which, *lots = latin_hypercube(generate.seed, SPLIT_SEEDS[split], label, turn)
    doodled = catalogue.shapes[label] == OTHER
    if doodled:
        doodle = distractors.sample_distractor(catalogue, which, rng)
        subject, strokes = Subject(doodle.kind, doodle.contains), doodle.strokes
        allowed = (0.5, 2.0), distractors.MAX_TURN_DEG.get(doodle.kind, 180.0), doodle.kind != "letters"
    else:
        outlines = catalogue.outlines[label]
        outline = outlines[int(which * len(outlines))]
        subject, strokes = Subject(outline.variant, ""), outline.strokes
        allowed = outline.stretch, outline.turn, outline.mirror
    # a filling would hide that a doodle is one shape within another
    fillable = any(closed for _, _, closed in strokes.parts) and not (doodled and len(strokes.parts) > 1)
    hand_knobs, ink_knobs = resolve_knobs(generate)
    how = hand_params.sample_hand_params(hand_knobs, *allowed, lots[: hand_params.HAND_UNIFORMS], rng)
    inking = ink_params.sample_ink_params(ink_knobs, lots[hand_params.HAND_UNIFORMS :], generate.canvas, fillable, rng)
    drawn = hand.draw_strokes(strokes, how, rng)
    areas = drawn.areas if inking.fill != "none" else []
    mask = ink.draw_ink(drawn.line, drawn.breaks, areas, drawn.detail, inking, generate.canvas, rng)
    return Painting(paper.composite(mask, inking, rng), label, {**vars(subject), **vars(how), **vars(inking)})


def class_of(catalogue: Catalogue, index: int) -> tuple[int, int]:
    """The label of painting `index`, and how many of that label came before it. Doodles are painted oftener."""
    turns = _class_cycle(catalogue.shapes)
    before, place = divmod(index, len(turns))
    label = turns[place]
    return label, before * turns.count(label) + turns[:place].count(label)


@lru_cache(maxsize=16)
def _class_cycle(shapes: tuple[str, ...]) -> list[int]:
    """The labels in the order in which they are painted, over and over."""
    named = [label for label, shape in enumerate(shapes) if shape != OTHER]
    others = [label for label, shape in enumerate(shapes) if shape == OTHER]
    return named + others * DISTRACTOR_TURNS


def latin_hypercube(seed: int, split: int, label: int, turn: int) -> list[float]:
    """`HYPERCUBE_DIMENSIONS` numbers from [0, 1) for painting number `turn` of a shape.

    Each is spread evenly over every `HYPERCUBE_SIZE` paintings (a Latin hypercube, McKay 1979): few paintings then cover what
    many would, and still each is a function of its own index.
    """
    block, place = divmod(turn, HYPERCUBE_SIZE)
    numbers: list[float] = _hypercube_block(seed, split, label, block)[place].tolist()
    return numbers


@lru_cache(maxsize=1024)
def _hypercube_block(seed: int, split: int, label: int, block: int) -> NDArray[np.float64]:
    """(BLOCK, DIMENSIONS): in each column one number from each of `HYPERCUBE_SIZE` equal parts of [0, 1), in any order."""
    rng = np.random.default_rng(np.random.SeedSequence((seed, split, label, block, HYPERCUBE_DIMENSIONS)))
    order = rng.random((HYPERCUBE_SIZE, HYPERCUBE_DIMENSIONS)).argsort(axis=0)
    return (order + rng.random((HYPERCUBE_SIZE, HYPERCUBE_DIMENSIONS))) / HYPERCUBE_SIZE


@lru_cache(maxsize=16)
def resolve_knobs(generate: params.GenerateParams) -> tuple[hand_params.HandKnobValues, ink_params.InkKnobValues]:
    """Every knob as a number: its own where it is set, else the dial `imprecision`."""
    dial = generate.imprecision
    return (
        hand_params.HandKnobValues(**{name: dial if value is None else value for name, value in generate.hand}),
        ink_params.InkKnobValues(**{name: dial if value is None else value for name, value in generate.ink}),
    )
