"""Render one painting, given the catalogue, the parameters and its place in a split.

    render_painting(catalogue, params.generate, "train", 17)
        → Painting(scene uint8 (C, C) or RGB (C, C, 3), label, factors)

A pure function of its arguments. The only module that knows all three layers: outlines → hand → ink.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, TypedDict, get_type_hints

import numpy as np
from numpy.typing import NDArray

from strokewise.data.shapes import OTHER
from strokewise.params import GenerateParams
from strokewise.synthesis import distractors, hand, hand_params, ink, ink_params, paper
from strokewise.synthesis.hand_params import HandParams
from strokewise.synthesis.ink_params import InkParams
from strokewise.synthesis.outlines import Catalogue
from strokewise.synthesis.strokes import Indices, Points

DISTRACTOR_TURNS = 3  # paintings of `other` for one of each shape: two dozen kinds of doodles share them
HYPERCUBE_SIZE = 24  # paintings of a shape over which each number of a Latin hypercube is spread
HYPERCUBE_DIMENSIONS = 1 + hand_params.HAND_UNIFORMS + ink_params.INK_UNIFORMS
SPLIT_SEEDS = {"train": 0, "validation": 1, "test": 2, "preview": 3}
Factor = float | int | str | bool


class Allowance(TypedDict):
    """What a variant allows: see `outlines.Outline`."""

    stretch: tuple[float, float]
    turn: float
    mirror: bool


@dataclass(frozen=True)
class Subject:
    """What is painted, and how far it may be changed; every field is a column, and its text is on the dataset card."""

    variant: Annotated[str, "which of the shape's outlines, or the kind of doodle"]
    contains: Annotated[str, "the shapes that a doodle is made of, in the order of drawing, with a + between"]
    min_stretch: Annotated[float, "the least `stretch` that a painting of this variant may have"]
    max_stretch: Annotated[float, "the largest"]
    max_turn: Annotated[float, "the largest `turn` that it may have, either way"]
    mirrorable: Annotated[bool, "whether it may be `mirrored`"]


FACTOR_ANNOTATIONS = {
    name: annotation
    for part in (Subject, HandParams, InkParams)
    for name, annotation in get_type_hints(part, include_extras=True).items()
}
FACTOR_TYPES: dict[str, type] = {name: annotation.__origin__ for name, annotation in FACTOR_ANNOTATIONS.items()}
"""The factors of every painting with their types, in the order of the columns."""
FACTOR_MEANINGS: dict[str, str] = {name: annotation.__metadata__[0] for name, annotation in FACTOR_ANNOTATIONS.items()}
"""What each factor means, for people."""


@dataclass(frozen=True, eq=False)
class Painting:
    """A painting and all that was sampled for it."""

    scene: NDArray[np.uint8]
    label: int
    """The index of its shape in the catalogue."""
    factors: dict[str, Factor]
    """The value of each of `FACTOR_TYPES`, in that order."""
    path: hand.PenPath | None
    """Of the pen; None for a doodle, which has no true geometry."""
    ink_values: InkParams
    """How the path is inked, its place on the canvas among it."""

    @property
    def target(self) -> tuple[Indices, Points] | None:
        """The true geometry: points (D,) of its outline's strokes, and where on the canvas (D,) the hand took them, but
        for hooks, tremor, overshoots and gaps. A pixel covers x to x + 1. None for a doodle."""
        if self.path is None:
            return None
        scale, shift, _ = ink.place_on_canvas(self.path.line, self.ink_values, len(self.scene))
        numbers, points = self.path.target
        return numbers, points * scale + shift + complex(0.5, 0.5)


def render_painting(catalogue: Catalogue, generate: GenerateParams, split: str, index: int) -> Painting:
    """Paint number `index` (from 0) of a split. Shapes take turns, so the first paintings of a split are balanced."""
    rng = np.random.default_rng(np.random.SeedSequence((generate.seed, SPLIT_SEEDS[split], index)))
    label, number = class_of(catalogue, index)
    variant, *uniforms = latin_hypercube(generate.seed, SPLIT_SEEDS[split], label, number)
    hand_uniforms, ink_uniforms = uniforms[: hand_params.HAND_UNIFORMS], uniforms[hand_params.HAND_UNIFORMS :]
    hand_knobs, ink_knobs = resolve_knobs(generate)
    is_distractor = catalogue.shapes[label] == OTHER
    if is_distractor:
        distractor = distractors.sample_distractor(catalogue, variant, rng)
        variant_name, contains, strokes = distractor.kind, distractor.contains, distractor.strokes
        turn = distractors.MAX_TURN_DEG.get(distractor.kind, 180.0)
        allowed = Allowance(stretch=(0.5, 2.0), turn=turn, mirror=distractor.kind != "letters")
    else:
        outlines = catalogue.outlines[label]
        outline = outlines[int(variant * len(outlines))]
        variant_name, contains, strokes = outline.variant, "", outline.strokes
        allowed = Allowance(stretch=outline.stretch, turn=outline.turn, mirror=outline.mirror)
    subject = {"variant": variant_name, "contains": contains, **hand_params.reachable_limits(hand_knobs, **allowed)}
    # a filling would hide that a doodle is one shape inside another
    closed = any(is_closed for _, _, is_closed in strokes.spans) and not (is_distractor and len(strokes.spans) > 1)
    hand_values = hand_params.sample_hand_params(hand_knobs, hand_uniforms, rng, **allowed)
    ink_values = ink_params.sample_ink_params(ink_knobs, ink_uniforms, generate.canvas, closed, rng)
    path = hand.draw_strokes(strokes, hand_values, rng)
    areas = path.areas if ink_values.fill != "none" else []
    mask = ink.draw_ink(path.line, path.pen_downs, areas, path.detail, ink_values, generate.canvas, rng)
    scene = paper.composite(mask, ink_values, rng)
    factors = {**subject, **vars(hand_values), **vars(ink_values)}
    return Painting(scene, label, factors, None if is_distractor else path, ink_values)


def class_of(catalogue: Catalogue, index: int) -> tuple[int, int]:
    """The label of painting `index`, and how many paintings of that label precede it in the split."""
    cycle = _class_cycle(catalogue.shapes)
    cycles, position = divmod(index, len(cycle))
    label = cycle[position]
    return label, cycles * cycle.count(label) + cycle[:position].count(label)


@lru_cache(maxsize=16)
def _class_cycle(shapes: tuple[str, ...]) -> list[int]:
    """The labels in the order in which they are painted, again and again."""
    named = [label for label, shape in enumerate(shapes) if shape != OTHER]
    others = [label for label, shape in enumerate(shapes) if shape == OTHER]
    return named + others * DISTRACTOR_TURNS


def latin_hypercube(seed: int, split_seed: int, label: int, number: int) -> list[float]:
    """`HYPERCUBE_DIMENSIONS` numbers in [0, 1) for painting `number` of a shape.

    Each is spread evenly over every `HYPERCUBE_SIZE` paintings (Latin hypercube sampling, McKay 1979), so few paintings
    cover what would otherwise need many, and still each painting is a function of its own index.
    """
    block, row = divmod(number, HYPERCUBE_SIZE)
    uniforms: list[float] = _hypercube_block(seed, split_seed, label, block)[row].tolist()
    return uniforms


@lru_cache(maxsize=1024)
def _hypercube_block(seed: int, split_seed: int, label: int, block: int) -> NDArray[np.float64]:
    """(HYPERCUBE_SIZE, HYPERCUBE_DIMENSIONS): each column has one number in each of SIZE equal parts of [0, 1)."""
    rng = np.random.default_rng(np.random.SeedSequence((seed, split_seed, label, block, HYPERCUBE_DIMENSIONS)))
    order = rng.random((HYPERCUBE_SIZE, HYPERCUBE_DIMENSIONS)).argsort(axis=0)
    return (order + rng.random((HYPERCUBE_SIZE, HYPERCUBE_DIMENSIONS))) / HYPERCUBE_SIZE


@lru_cache(maxsize=16)
def resolve_knobs(generate: GenerateParams) -> tuple[Mapping[str, float], Mapping[str, float]]:
    """The knobs of the hand and of the ink by name: each as set, or `imprecision` where it is null."""
    hand_knobs, ink_knobs = (
        {name: generate.imprecision if value is None else value for name, value in knobs}
        for knobs in (generate.hand, generate.ink)
    )
    return hand_knobs, ink_knobs
