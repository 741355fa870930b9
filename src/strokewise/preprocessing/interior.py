"""A picture, uint8 (G, G), 0 = bare paper, 255 = full ink → what its ink encloses."""

import cv2
import numpy as np
from numpy.typing import NDArray

from strokewise.preprocessing.binarize import SOLID_INK


def enclosed_paper(picture: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Where the paper of a picture (G, G) is enclosed by solid ink, so that no path leads to the edge: bool (G, G)."""
    solid = cv2.threshold(picture, SOLID_INK, 255, cv2.THRESH_BINARY)[1]
    framed = cv2.copyMakeBorder(solid, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    cv2.floodFill(framed, None, (0, 0), 128)
    return np.equal(np.asarray(framed)[1:-1, 1:-1], 0)
