"""Distractors that need no catalogue: each kind gives finite lines."""

import numpy as np
import pytest

from strokewise.synthesis.distractor_primitives import PRIMITIVES


@pytest.mark.parametrize("kind", PRIMITIVES)
def test_primitive_gives_finite_lines_of_positive_length(kind: str) -> None:
    draw_primitive, _ = PRIMITIVES[kind]
    for seed in range(20):
        lines = draw_primitive(np.random.default_rng(seed))
        assert lines
        for line, closed in lines:
            assert len(line) >= 2
            assert np.isfinite(line).all()
            assert np.abs(np.diff(line)).sum() > 0
            assert not closed or abs(line[0] - line[-1]) < 1e-9
