"""Doodles: every kind is drawn, none is a shape of the catalogue, and a catalogue of one shape is enough."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from strokewise.synthesis import distractor_primitives, distractors, outlines
from strokewise.synthesis.outlines import Catalogue

LOTS = np.linspace(0, 1, 400, endpoint=False)
KINDS = {**distractors.COMPOSED_WEIGHTS, **distractors.PRIMITIVE_WEIGHTS}


def kinds(catalogue: Catalogue) -> set[str]:
    return {distractors.sample_distractor(catalogue, float(lot), np.random.default_rng(1)).kind for lot in LOTS}


def test_every_kind_is_drawn(catalogue: Catalogue) -> None:
    assert kinds(catalogue) == set(KINDS) - set(catalogue.shapes)


def test_a_kind_with_the_name_of_a_shape_is_no_doodle(catalogue: Catalogue) -> None:
    named = replace(catalogue, shapes=(*catalogue.shapes, "spiral"), outlines=(*catalogue.outlines, ()))
    assert kinds(catalogue) - kinds(named) == {"spiral"}


@pytest.mark.parametrize("kind", distractor_primitives.PRIMITIVES)
def test_a_sketch_is_finite_lines_of_some_length(kind: str) -> None:
    for seed in range(20):
        lines = distractor_primitives.PRIMITIVES[kind](np.random.default_rng(seed))
        assert lines
        for line, closed in lines:
            assert len(line) >= 2
            assert np.isfinite(line).all()
            assert np.abs(np.diff(line)).sum() > 0
            assert not closed or abs(line[0] - line[-1]) < 1e-9


def test_a_doodle_fills_the_frame_of_an_outline(catalogue: Catalogue) -> None:
    for lot in LOTS[::4]:
        points = distractors.sample_distractor(catalogue, float(lot), np.random.default_rng(3)).strokes.points
        assert max(np.ptp(points.real), np.ptp(points.imag)) == pytest.approx(2)


def test_a_catalogue_of_one_shape_is_enough(tmp_path: Path) -> None:
    (tmp_path / "bolt").mkdir()
    (tmp_path / "bolt" / "one.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg"><polyline points="1,0 0,5 2,4 1,9"/></svg>'
    )
    catalogue = outlines.load_catalogue(tmp_path)
    assert kinds(catalogue) == set(KINDS)


def falls_into(sizes: list[int], possible: list[set[int]]) -> bool:
    """Whether pieces of so many edges each, in their order, make up shapes that may have so many each."""
    if not possible:
        return not sizes
    return any(
        sum(sizes[:count]) in possible[0] and falls_into(sizes[count:], possible[1:])
        for count in range(1, len(sizes) + 1)
    )


def test_what_a_doodle_is_made_of_is_told_in_order(catalogue: Catalogue) -> None:
    possible = {
        shape: {len(outline.strokes.edge_first) for outline in outlines}
        for shape, outlines in zip(catalogue.shapes, catalogue.outlines, strict=True)
    }
    shapes = {"several": {2, 3, 4}, "nested": {2}, "struck": {1}, "half": {1}, "face": {1}}
    for index, lot in enumerate(np.linspace(0, 1, 1500, endpoint=False)):
        made = distractors.sample_distractor(catalogue, float(lot), np.random.default_rng(index))
        names = made.contains.split("+") if made.contains else []
        assert len(names) in shapes.get(made.kind, {0})
        if made.kind in ("several", "nested"):
            sizes = [end - one for one, end, _ in made.strokes.spans]
            assert falls_into(sizes, [possible[name] for name in names]), (made.kind, names, sizes)
