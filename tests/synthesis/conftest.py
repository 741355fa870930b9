"""Fixtures: the catalogue in the repository, each outline of it, the default parameters, and inked rectangles."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from strokewise.params import GenerateParams, InkStrengths, Params
from strokewise.synthesis import ink, ink_params, outlines, paper
from strokewise.synthesis.ink_params import InkParams
from strokewise.synthesis.outlines import Catalogue, Outline

ROOT = Path(__file__).parents[2]
OUTLINES_DIR = ROOT / "data" / "outlines"
SVG_PATHS = sorted(OUTLINES_DIR.glob("*/*.svg"))


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    return outlines.load_catalogue(OUTLINES_DIR)


@pytest.fixture(params=SVG_PATHS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def svg_path(request: pytest.FixtureRequest) -> Path:
    """Each SVG of the catalogue in turn."""
    path: Path = request.param
    return path


@pytest.fixture
def outline(svg_path: Path) -> Outline:
    """Each outline of the catalogue in turn."""
    return outlines.parse_outline(svg_path.read_bytes(), svg_path)


@pytest.fixture(scope="session")
def defaults() -> GenerateParams:
    return Params.load(ROOT / "params.yaml").generate


@pytest.fixture(scope="session")
def make_ink_params() -> Callable[..., InkParams]:
    """make_ink_params(**values): a black pen on white paper in the middle of a canvas, with these fields changed."""

    def make(seed: int = 0, **values: Any) -> InkParams:
        knobs = dict.fromkeys(InkStrengths.model_fields, 0.0)
        uniforms = [0.5] * ink_params.INK_UNIFORMS
        sampled = ink_params.sample_ink_params(knobs, uniforms, 200, True, np.random.default_rng(seed))
        return replace(sampled, **values)

    return make


@pytest.fixture(scope="session")
def draw_oblong() -> Callable[..., Any]:
    """draw_oblong(params): the scene of a rectangle that is twice as wide as high, on a canvas of 200 pixels."""

    def draw(params: InkParams, seed: int = 0, canvas: int = 200) -> Any:
        rng = np.random.default_rng(seed)
        oblong = np.array([0, 2, 2 + 1j, 1j, 0])
        areas = [oblong] if params.fill != "none" else []
        mask = ink.draw_ink(oblong, np.array([], dtype=np.intp), areas, 1.0, params, canvas, rng)
        return paper.composite(mask, params, rng)

    return draw
