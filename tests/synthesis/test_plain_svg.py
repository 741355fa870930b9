"""An outline as one simple path: the same line, within a thousandth of its size."""

import re
from pathlib import Path

import numpy as np
import pytest

from strokewise.geometry.path_data import flatten_subpath, parse_path
from strokewise.synthesis import svg
from strokewise.synthesis.outlines import Outline, parse_outline


def densely(points: np.ndarray, count: int = 40) -> np.ndarray:
    return np.concatenate([points[:-1] + share * np.diff(points) for share in np.linspace(0, 1, count)])


def test_path_is_the_outline(svg_path: Path, outline: Outline) -> None:
    lines = svg.extract_polylines(svg.parse_svg(svg_path.read_bytes(), svg_path), svg_path)
    subpaths = parse_path(re.search(r' d="([^"]+)"', outline.plain_svg)[1])  # type: ignore[index]
    assert [part.closed for part in subpaths] == [closed for _, closed in lines]
    for part, (line, _) in zip(subpaths, lines, strict=True):
        plain = flatten_subpath(part, 200) @ [1, 1j]
        size = np.abs(line - line[0]).max()
        there = np.abs(line[:, None] - densely(plain)).min(axis=1).max()
        back = np.abs(plain[:, None] - densely(line)).min(axis=1).max()
        assert max(there, back) < 2e-3 * size
    assert len(outline.plain_svg) < 1500


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e5])
def test_any_unit_is_written_with_enough_digits(size: float) -> None:
    content = f'<svg xmlns="http://www.w3.org/2000/svg"><circle cx="0" cy="0" r="{size}" stroke="#000"/></svg>'
    (part,) = parse_path(re.search(r' d="([^"]+)"', parse_outline(content.encode(), Path("a.svg")).plain_svg)[1])  # type: ignore[index]
    radii = np.hypot(*flatten_subpath(part).T)
    np.testing.assert_allclose(radii, size, rtol=3e-3)


def test_attributes_travel_with_the_path() -> None:
    head = '<svg xmlns="http://www.w3.org/2000/svg" data-fit="similarity" data-mirror="yes" data-points="tail 1 2.5">'
    plain = parse_outline(f'{head}<path d="M0 0L9 9" stroke="#000"/></svg>'.encode(), Path("a.svg")).plain_svg
    assert 'data-fit="similarity" data-mirror="yes" data-points="tail 1 2.5"' in plain
