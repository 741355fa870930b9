"""Pages with a circle on them, files of them, and a comparison of pictures that allows lines a pixel of play."""

import io
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from strokewise.preprocessing.preprocess import preprocess


def circle(side: int = 128, width: int = 3, ink: int = 0, paper: int = 255, radius: float = 0.3) -> np.ndarray:
    """A circle on an even page, uint8 (side, side); a negative width fills it; the radius is a share of the side."""
    page = np.full((side, side), paper, np.uint8)
    cv2.circle(page, (side // 2, side // 2), round(side * radius), ink, width, cv2.LINE_AA)
    return page


@pytest.fixture(scope="session")
def draw_circle() -> Callable[..., np.ndarray]:
    """draw_circle(side, width, ink, paper, radius): a page with a circle, uint8 (side, side)."""
    return circle


@pytest.fixture(scope="session")
def circle_picture() -> np.ndarray:
    """The default circle, preprocessed to 64×64."""
    return preprocess(circle(), 64)


@pytest.fixture(scope="session")
def encode() -> Callable[..., bytes]:
    """encode(image, format, **options): a file as Pillow writes it; `image` is Pillow's or an array."""

    def save(image: Image.Image | np.ndarray, file_format: str, **options: Any) -> bytes:
        file = io.BytesIO()
        (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(file, file_format, **options)
        return file.getvalue()

    return save


@pytest.fixture(scope="session")
def is_similar() -> Callable[..., bool]:
    """is_similar(one, two, min_overlap): whether each has nearly all ink of the other, give or take a pixel."""

    def overlap(one: np.ndarray, two: np.ndarray) -> float:
        common = cv2.countNonZero(cv2.bitwise_and(one, cv2.dilate(two, np.ones((3, 3), np.uint8))) // 128)
        return common / max(1, cv2.countNonZero(one // 128))

    def similar(one: np.ndarray, two: np.ndarray, min_overlap: float = 0.97) -> bool:
        return min(overlap(one, two), overlap(two, one)) >= min_overlap

    return similar
