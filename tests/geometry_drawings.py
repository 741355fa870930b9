"""Templates of the catalogue, and drawings of them whose geometry is known."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from strokewise.geometry.path_data import flatten_subpath
from strokewise.geometry.template import Template, load_templates
from strokewise.synthesis.outlines import load_catalogue, plain_outlines

ROOT = Path(__file__).parent.parent
TEMPLATES = load_templates(plain_outlines(load_catalogue(ROOT / "data" / "outlines")))
ALL = [template for templates in TEMPLATES.values() for template in templates]
IDENTITY = np.eye(2, 3)


def turn(degrees: float) -> NDArray[np.float64]:
    """The matrix (2, 2) of a turn, clockwise as seen."""
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[cos, -sin], [sin, cos]])


def around(linear: NDArray[np.float64], template: Template, centre: float = 100.0) -> NDArray[np.float64]:
    """The matrix (2, 3) from a viewBox that maps the centre of the outline to (centre, centre)."""
    return np.column_stack([linear, np.array([centre, centre]) - linear @ template.centre])


def drawn(template: Template, matrix: NDArray[np.float64], side: int = 200, pen: int = 4) -> NDArray[np.uint8]:
    """The ink, uint8 (side, side), of an outline under a matrix (2, 3)."""
    page = np.zeros((side, side), np.uint8)
    for subpath in template.subpaths:
        line = (
            flatten_subpath(subpath) @ matrix[:, :2].T + matrix[:, 2] - 0.5
        )  # OpenCV counts from the middle of a pixel
        cv2.polylines(page, [np.rint(line * 16).astype(np.int32)], False, 255, pen, cv2.LINE_AA, 4)
    return page


def outline_gap(template: Template, one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """The largest distance between an outline under two matrices (2, 3), whatever its symmetries, in pixels."""
    lines = [flatten_subpath(subpath, 60) for subpath in template.subpaths]
    dense = np.vstack(
        [
            line[:-1] + share * np.diff(line, axis=0)
            for line in lines
            for share in np.linspace(0, 1, 60 // len(line) + 9)
        ]
    )
    a, b = (dense @ matrix[:, :2].T + matrix[:, 2] for matrix in (one, other))
    gaps = np.hypot(*np.moveaxis(a[::7, np.newaxis] - b, 2, 0)).min(axis=1)
    return float(np.quantile(gaps, 0.98))
