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
from strokewise.dataset import OTHER
from strokewise.paint import doodles, habit, hand, ink, manner, paper
from strokewise.paint.habit import Habit
from strokewise.paint.manner import Manner
from strokewise.paint.outlines import Catalogue

DOODLES = 2  # turns of `other` for one of a shape: two dozen kinds of doodles have to share them
BLOCK = 24  # paintings of a shape over which each of these numbers is spread
DIMENSIONS = 1 + habit.LOTS + manner.LOTS
SPLITS = {"train": 0, "validation": 1, "test": 2, "preview": 3}
Factor = float | int | str | bool


@dataclass(frozen=True)
class Subject:
    """What is painted; every field is a column of the data set, and its text is on the set's card."""

    variant: Annotated[str, "which of the shape's outlines, or the kind of doodle"]
    contains: Annotated[str, "the shapes that a doodle is made of, in the order of drawing, with a + between"]


def _fields(extras: bool) -> dict[str, Any]:
    """The fields of a painting's three parts, in the order of the columns; `extras` keeps their texts."""
    return {
        name: kind
        for part in (Subject, Habit, Manner)
        for name, kind in get_type_hints(part, include_extras=extras).items()
    }


FACTORS: dict[str, type] = _fields(extras=False)
"""The columns that every painting has, in their order."""
MEANINGS: dict[str, str] = {name: kind.__metadata__[0] for name, kind in _fields(extras=True).items()}
"""What each of them says, for people."""


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
    label, turn = whose_turn(catalogue, index)
    which, *lots = spread(generate.seed, SPLITS[split], label, turn)
    doodled = catalogue.shapes[label] == OTHER
    if doodled:
        doodle = doodles.doodle(catalogue, which, rng)
        subject, strokes = Subject(doodle.kind, doodle.contains), doodle.strokes
        allowed = (0.5, 2.0), doodles.UPRIGHT.get(doodle.kind, 180.0), doodle.kind != "letters"
    else:
        outlines = catalogue.outlines[label]
        outline = outlines[int(which * len(outlines))]
        subject, strokes = Subject(outline.variant, ""), outline.strokes
        allowed = outline.stretch, outline.turn, outline.mirror
    # a filling would hide that a doodle is one shape within another
    fillable = any(closed for _, _, closed in strokes.parts) and not (doodled and len(strokes.parts) > 1)
    hand_knobs, ink_knobs = knobs(generate)
    how = habit.habit(hand_knobs, *allowed, lots[: habit.LOTS], rng)
    inking = manner.manner(ink_knobs, lots[habit.LOTS :], generate.canvas, fillable, rng)
    drawn = hand.draw(strokes, how, rng)
    areas = drawn.areas if inking.fill != "none" else []
    mask = ink.inked(drawn.line, drawn.breaks, areas, drawn.detail, inking, generate.canvas, rng)
    return Painting(paper.on_paper(mask, inking, rng), label, {**vars(subject), **vars(how), **vars(inking)})


def whose_turn(catalogue: Catalogue, index: int) -> tuple[int, int]:
    """The label of painting `index`, and how many of that label came before it. Doodles are painted oftener."""
    turns = _turns(catalogue.shapes)
    before, place = divmod(index, len(turns))
    label = turns[place]
    return label, before * turns.count(label) + turns[:place].count(label)


@lru_cache(maxsize=16)
def _turns(shapes: tuple[str, ...]) -> list[int]:
    """The labels in the order in which they are painted, over and over."""
    named = [label for label, shape in enumerate(shapes) if shape != OTHER]
    others = [label for label, shape in enumerate(shapes) if shape == OTHER]
    return named + others * DOODLES


def spread(seed: int, split: int, label: int, turn: int) -> list[float]:
    """`DIMENSIONS` numbers from [0, 1) for painting number `turn` of a shape.

    Each is spread evenly over every `BLOCK` paintings (a Latin hypercube, McKay 1979): few paintings then cover what
    many would, and still each is a function of its own index.
    """
    block, place = divmod(turn, BLOCK)
    numbers: list[float] = _hypercube(seed, split, label, block)[place].tolist()
    return numbers


@lru_cache(maxsize=1024)
def _hypercube(seed: int, split: int, label: int, block: int) -> NDArray[np.float64]:
    """(BLOCK, DIMENSIONS): in each column one number from each of `BLOCK` equal parts of [0, 1), in any order."""
    rng = np.random.default_rng(np.random.SeedSequence((seed, split, label, block, DIMENSIONS)))
    order = rng.random((BLOCK, DIMENSIONS)).argsort(axis=0)
    return (order + rng.random((BLOCK, DIMENSIONS))) / BLOCK


@lru_cache(maxsize=16)
def knobs(generate: params.Generate) -> tuple[habit.Knobs, manner.Knobs]:
    """Every knob as a number: its own where it is set, else the dial `imprecision`."""
    dial = generate.imprecision
    return (
        habit.Knobs(**{name: dial if value is None else value for name, value in generate.hand}),
        manner.Knobs(**{name: dial if value is None else value for name, value in generate.ink}),
    )
