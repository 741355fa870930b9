"""Distractors: every kind is drawn, none is a shape of the catalogue, and a catalogue of one shape is enough."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from strokewise.synthesis import outlines
from strokewise.synthesis.distractor_primitives import PRIMITIVES
from strokewise.synthesis.distractors import COMPOSED, sample_distractor
from strokewise.synthesis.outlines import Catalogue

UNIFORMS = np.linspace(0, 1, 400, endpoint=False)
KINDS = {*COMPOSED, *PRIMITIVES}


def sampled_kinds(catalogue: Catalogue) -> set[str]:
    return {sample_distractor(catalogue, float(uniform), np.random.default_rng(1)).kind for uniform in UNIFORMS}


def test_every_kind_is_sampled(catalogue: Catalogue) -> None:
    assert sampled_kinds(catalogue) == KINDS - set(catalogue.shapes)


def test_kind_with_the_name_of_a_shape_is_left_out(catalogue: Catalogue) -> None:
    extended = replace(catalogue, shapes=(*catalogue.shapes, "spiral"), outlines=(*catalogue.outlines, ()))
    assert sampled_kinds(catalogue) - sampled_kinds(extended) == {"spiral"}


def test_distractor_fills_the_frame_of_an_outline(catalogue: Catalogue) -> None:
    for uniform in UNIFORMS[::4]:
        points = sample_distractor(catalogue, float(uniform), np.random.default_rng(3)).strokes.points
        assert max(np.ptp(points.real), np.ptp(points.imag)) == pytest.approx(2)


def test_catalogue_of_one_shape_is_enough(tmp_path: Path) -> None:
    (tmp_path / "bolt").mkdir()
    (tmp_path / "bolt" / "one.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg"><polyline points="1,0 0,5 2,4 1,9"/></svg>'
    )
    catalogue = outlines.load_catalogue(tmp_path)
    assert sampled_kinds(catalogue) == KINDS


def can_split(sizes: list[int], shape_sizes: list[set[int]]) -> bool:
    """Whether strokes with `sizes` edges, in order, can form shapes that have one of `shape_sizes` edges each."""
    if not shape_sizes:
        return not sizes
    return any(
        sum(sizes[:count]) in shape_sizes[0] and can_split(sizes[count:], shape_sizes[1:])
        for count in range(1, len(sizes) + 1)
    )


def test_contains_names_the_shapes_in_drawing_order(catalogue: Catalogue) -> None:
    edge_counts = {
        shape: {len(outline.strokes.edge_first) for outline in outlines}
        for shape, outlines in zip(catalogue.shapes, catalogue.outlines, strict=True)
    }
    shape_counts = {"several": {2, 3, 4}, "nested": {2}, "struck": {1}, "half": {1}, "face": {1}}
    for index, uniform in enumerate(np.linspace(0, 1, 1500, endpoint=False)):
        distractor = sample_distractor(catalogue, float(uniform), np.random.default_rng(index))
        names = distractor.contains.split("+") if distractor.contains else []
        assert len(names) in shape_counts.get(distractor.kind, {0})
        if distractor.kind in ("several", "nested"):
            sizes = [stop - first for first, stop, _ in distractor.strokes.spans]
            assert can_split(sizes, [edge_counts[name] for name in names]), (distractor.kind, names, sizes)
