"""Fixtures: the catalogue in the repository, each outline of it, and the default parameters."""

from pathlib import Path

import pytest

from strokewise.params import GenerateParams, Params
from strokewise.synthesis import outlines
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
