"""Doodles: every kind is drawn, none is a shape of the catalogue, and a catalogue of one shape is enough."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from strokewise.paint import doodles, outlines, sketches
from strokewise.paint.outlines import Catalogue

LOTS = np.linspace(0, 1, 400, endpoint=False)
KINDS = {**doodles.COMPOSED, **doodles.DRAWN}


def kinds(catalogue: Catalogue) -> set[str]:
    return {doodles.doodle(catalogue, float(lot), np.random.default_rng(1)).kind for lot in LOTS}


def test_every_kind_is_drawn(catalogue: Catalogue) -> None:
    assert kinds(catalogue) == set(KINDS) - set(catalogue.shapes)


def test_a_kind_with_the_name_of_a_shape_is_no_doodle(catalogue: Catalogue) -> None:
    named = replace(catalogue, shapes=(*catalogue.shapes, "spiral"), outlines=(*catalogue.outlines, ()))
    assert kinds(catalogue) - kinds(named) == {"spiral"}


@pytest.mark.parametrize("kind", sketches.KINDS)
def test_a_sketch_is_finite_lines_of_some_length(kind: str) -> None:
    for seed in range(20):
        lines = sketches.KINDS[kind](np.random.default_rng(seed))
        assert lines
        for line, closed in lines:
            assert len(line) >= 2
            assert np.isfinite(line).all()
            assert np.abs(np.diff(line)).sum() > 0
            assert not closed or abs(line[0] - line[-1]) < 1e-9


def test_a_doodle_fills_the_frame_of_an_outline(catalogue: Catalogue) -> None:
    for lot in LOTS[::4]:
        points = doodles.doodle(catalogue, float(lot), np.random.default_rng(3)).strokes.points
        assert max(np.ptp(points.real), np.ptp(points.imag)) == pytest.approx(2)


def test_a_catalogue_of_one_shape_is_enough(tmp_path: Path) -> None:
    (tmp_path / "bolt").mkdir()
    (tmp_path / "bolt" / "one.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg"><polyline points="1,0 0,5 2,4 1,9"/></svg>'
    )
    catalogue = outlines.read(tmp_path)
    assert kinds(catalogue) == set(KINDS)
