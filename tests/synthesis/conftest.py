"""The catalogue as it stands, every outline of it by name, and the parameters' defaults."""

from pathlib import Path

import pytest

from strokewise.params import GenerateParams, Params
from strokewise.synthesis import outlines
from strokewise.synthesis.outlines import Catalogue, Outline

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "data" / "outlines"
FILES = sorted(FOLDER.glob("*/*.svg"))


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    return outlines.load_catalogue(FOLDER)


@pytest.fixture(params=FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def svg(request: pytest.FixtureRequest) -> Path:
    """Each SVG of the catalogue in turn: a new one is tested by being there."""
    path: Path = request.param
    return path


@pytest.fixture
def outline(svg: Path) -> Outline:
    return outlines.parse_outline(svg.read_bytes(), svg)


@pytest.fixture(scope="session")
def defaults() -> GenerateParams:
    return Params.load(ROOT / "params.yaml").generate
