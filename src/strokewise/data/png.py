"""Scenes, uint8 (H, W) or (H, W, 3) RGB → PNG files and thumbnails."""

import cv2
import numpy as np
from numpy.typing import NDArray

Scene = NDArray[np.uint8]

PNG_OPTIONS = (
    cv2.IMWRITE_PNG_COMPRESSION,
    1,
    cv2.IMWRITE_PNG_FILTER,
    cv2.IMWRITE_PNG_FILTER_NONE,
)  # fast, and small for lines
GREY_PNG_OPTIONS = (
    *PNG_OPTIONS,
    cv2.IMWRITE_PNG_STRATEGY,
    cv2.IMWRITE_PNG_STRATEGY_RLE,
)  # faster still where a pixel is one byte


def encode_png(scene: Scene) -> bytes:
    """A scene, uint8 (H, W) or (H, W, 3) RGB, as PNG: the same pixels give the same bytes."""
    if scene.ndim == 2:
        done, coded = cv2.imencode(".png", scene, GREY_PNG_OPTIONS)
    else:
        done, coded = cv2.imencode(".png", cv2.cvtColor(scene, cv2.COLOR_RGB2BGR), PNG_OPTIONS)
    assert done
    return coded.tobytes()


def downscale(scene: Scene, side: int) -> Scene:
    """A scene whose longer side is at most `side` pixels, by averaging areas: for sheets."""
    shrink = side / max(scene.shape[:2])
    if shrink >= 1:
        return scene
    width, height = (max(1, round(length * shrink)) for length in scene.shape[1::-1])
    return np.asarray(cv2.resize(scene, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
