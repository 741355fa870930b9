"""Scenes, uint8 (H, W) or (H, W, 3) RGB → PNG files and thumbnails."""

import cv2
import numpy as np
from numpy.typing import NDArray

# fast to write, and small for drawings
COLOUR_PNG_OPTIONS = cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_NONE
# run-length encoding is faster still where a pixel is one byte
GREY_PNG_OPTIONS = *COLOUR_PNG_OPTIONS, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE


def encode_png(scene: NDArray[np.uint8]) -> bytes:
    """Encode a scene, uint8 (H, W) or (H, W, 3) RGB, as PNG. Equal pixels give equal bytes."""
    if scene.ndim == 2:
        ok, encoded = cv2.imencode(".png", scene, GREY_PNG_OPTIONS)
    else:
        ok, encoded = cv2.imencode(".png", cv2.cvtColor(scene, cv2.COLOR_RGB2BGR), COLOUR_PNG_OPTIONS)
    assert ok
    return encoded.tobytes()


def downscale(scene: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Shrink a scene by area averaging so that its longer side is at most `side` pixels."""
    factor = side / max(scene.shape[:2])
    if factor >= 1:
        return scene
    width, height = (max(1, round(length * factor)) for length in scene.shape[1::-1])
    return np.asarray(cv2.resize(scene, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
