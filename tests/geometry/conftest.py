"""Templates of the catalogue."""

import pytest

from geometry_drawings import TEMPLATES
from strokewise.geometry.template import Template


@pytest.fixture(scope="session")
def templates() -> dict[str, tuple[Template, ...]]:
    """Those of the catalogue, by shape."""
    return TEMPLATES
