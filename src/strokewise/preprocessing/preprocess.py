"""Any file, bytes or array → the picture that the models see, uint8 (G, G), 0 = bare paper, 255 = full ink.

Dark or light ink is found on whatever paper, cropped, normalised in aspect, centred with a margin, and its lines are
kept visible. Training, evaluation, prediction and serving all use this one function. It is pure: any thread may call it.
"""

import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from cv2.typing import MatLike as Image
from numpy.typing import NDArray

from strokewise.errors import PictureError
from strokewise.preprocessing.binarize import BLANK_MESSAGE, SOLID_INK, extract_ink
from strokewise.preprocessing.decode import decode

Picture = NDArray[np.uint8]
SEARCH_SIDE = 160  # pixels: the picture on which the ink is searched for its frame
FRAME_MARGIN = 1 / 16  # of the ink's longer side, left free around it
MAX_ELONGATION = 9.0  # times as long as wide: what is longer is evened as this is
MIN_LINE_WIDTH = 1 / 43  # of the image_size: thinner lines are thickened (to 1.5 of 64 pixels)
JOIN_RADIUS = 2  # pixels: ink closer than twice this is one part
SPECK_RATIO = 0.2  # of the largest part: smaller ones that lie further away than this are specks


def preprocess(source: Path | bytes | NDArray[Any], image_size: int) -> Picture:
    """The canonical picture of `source`: uint8 (image_size, image_size), 0 = bare paper, 255 = full ink.

    Raises PictureError for whatever `decode` refuses and for a page on which nothing stands out.
    """
    ink = extract_ink(decode(source))
    pyramid = [ink]
    while max(pyramid[-1].shape) > SEARCH_SIDE:
        pyramid.append(_downsample_ink(pyramid[-1]))
    (left, top, right, bottom), kept = _crop_box(pyramid[-1])
    level = len(pyramid) - 1  # the smallest on which the frame still holds twice the image_size's pixels
    while level > 0 and max(right - left, bottom - top) * 2 ** (len(pyramid) - 1 - level) < 2 * image_size:
        level -= 1
    factor = 2 ** (len(pyramid) - 1 - level)
    ink = pyramid[level] if kept is None else _mask_components(pyramid[level], kept, factor)
    return _fit_to_square(ink, left * factor, top * factor, right * factor, bottom * factor, image_size)


def _downsample_ink(ink: Image) -> Image:
    """Half the size, nearer to the maximum of four pixels than to their mean, so that a hairline does not fade away."""
    tall, wide = (side + side % 2 for side in ink.shape)
    even = cv2.copyMakeBorder(ink, 0, tall - ink.shape[0], 0, wide - ink.shape[1], cv2.BORDER_REPLICATE)
    columns = cv2.max(even[:, ::2], even[:, 1::2])
    most = cv2.max(columns[::2], columns[1::2])
    mean = cv2.resize(even, (wide // 2, tall // 2), interpolation=cv2.INTER_AREA)
    return cv2.addWeighted(most, 0.75, mean, 0.25, 0)


def _threshold_ink(ink: Image) -> Image:
    """255 where there is ink, 0 on its soft rims; where halving has faded all of it, half of the most will do."""
    most = cv2.minMaxLoc(ink)[1]
    if most == 0:
        raise PictureError(BLANK_MESSAGE)
    return cv2.threshold(ink, min(SOLID_INK, most / 2), 255, cv2.THRESH_BINARY)[1]


def _crop_box(ink: Image) -> tuple[tuple[int, int, int, int], Image | None]:
    """Where the shape is: left, top, right, bottom in pixels, and 255 where its parts are, if others were dropped.

    A part is ink with gaps of at most 4 pixels. Parts are told apart at half the size: the gaps hide it.
    """
    solid = _threshold_ink(ink)
    joined = cv2.dilate(solid, np.ones((2 * JOIN_RADIUS + 1, 2 * JOIN_RADIUS + 1), np.uint8))[::2, ::2]
    count, labels, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8, ltype=cv2.CV_16U)
    kept: Image | None = None
    if count > 2 and not (keep := _main_components(2 * np.asarray(stats[1:], np.int64), ink.shape)).all():
        inside = np.array([0, *keep * 255], np.uint8)[np.asarray(labels)]
        kept = inside.repeat(2, 0).repeat(2, 1)[: ink.shape[0], : ink.shape[1]]
        solid = cv2.bitwise_and(solid, np.ascontiguousarray(kept))
    left, top, width, height = cv2.boundingRect(solid)
    return (left, top, left + width, top + height), kept


def _main_components(stats: NDArray[np.int64], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Which parts make the shape, bool (n,), from OpenCV's statistics of them (n, 5), in pixels.

    Dropped are specks away from the largest part, and what comes in over the page's edge where the largest does not.
    """
    starts, ends, areas = stats[:, :2], stats[:, :2] + stats[:, 2:4], stats[:, 4]
    main = int(areas.argmax())
    extent = (ends - starts).max(1) - 2 * JOIN_RADIUS
    gap = np.maximum(starts - ends[main], starts[main] - ends).max(1) + 2 * JOIN_RADIUS
    near = gap <= np.minimum(SPECK_RATIO * extent[main], 3 * extent)
    cut = np.asarray(((starts <= 0) | (ends >= [shape[1] - 1, shape[0] - 1])).any(1))
    foreign = cut & ~cut[main] & (areas < 0.6 * areas[main])
    keep = (near | (extent >= SPECK_RATIO * extent[main])) & ~foreign
    return np.asarray(keep | (np.arange(len(stats)) == main))


def _mask_components(ink: Image, kept: Image, factor: int) -> Image:
    """`ink` where `kept`, which is `factor` times smaller, is not 0."""
    if factor > 1:  # the pyramid rounds up, so a plain stretch would slip
        kept = kept.repeat(factor, 0).repeat(factor, 1)[: ink.shape[0], : ink.shape[1]]
    return cv2.bitwise_and(ink, np.ascontiguousarray(kept))


def _fit_to_square(ink: Image, left: int, top: int, right: int, bottom: int, image_size: int) -> Picture:
    """The ink within the box, evened and centred with its margin on (image_size, image_size), lines at least `MIN_LINE_WIDTH` wide."""
    around = round(max(right - left, bottom - top) * FRAME_MARGIN) + 1  # soft rims lie outside of the box
    ink = ink[max(top - around, 0) : bottom + around, max(left - around, 0) : right + around]
    while max(ink.shape) > 2.5 * image_size:  # averaging by more than a quarter would let a hairline fade
        ink = _downsample_ink(ink)
    ink = cv2.LUT(cv2.warpAffine(ink, _normalise_aspect(ink, 2 * image_size), (2 * image_size,) * 2), _SHARPEN_LUT)
    grown = cv2.dilate(ink, _CROSS_KERNEL)
    solid = int(cv2.countNonZero(ink))
    width = 2 * solid / max(1, cv2.countNonZero(grown) - solid)  # area over half the rim's length
    if width < 2 * MIN_LINE_WIDTH * image_size:
        ink = grown
    return np.asarray(cv2.resize(ink, (image_size, image_size), interpolation=cv2.INTER_AREA), np.uint8)


def _normalise_aspect(ink: Image, side: int) -> NDArray[np.float64]:
    """(2, 3), from a place (x, y) in the ink to one in a picture of side×side that the shape fills but for its margin.

    On the way a shape that is n times as long as wide becomes √n times as long, along whatever axis it lies: people
    stretch a shape as they please, and what tells a thin one from another is seen across it. Length and width are
    those of the ellipse with the second moments of the convex hull, the same for an outline and a filling.

    Moments: Casey 1970, Moment normalization of handprinted characters. The root: Liu, Nakashima, Sako, Fujisawa 2004,
    Handwritten digit recognition: investigation of normalization and feature extraction techniques.
    """
    corners = cv2.convexHull(cv2.findNonZero(_threshold_ink(ink))).reshape(-1, 1, 2).astype(np.float32) + _PIXEL_CORNERS
    hull = cv2.convexHull(corners.reshape(-1, 2)).reshape(-1, 2)
    found = cv2.moments(hull)
    lengths, axes = np.linalg.eigh([[found["mu20"], found["mu11"]], [found["mu11"], found["mu02"]]])  # squared
    longer = min(math.sqrt(lengths[1] / lengths[0]), MAX_ELONGATION)
    linear = (axes * [math.sqrt(longer), 1]) @ axes.T
    ends = hull @ linear.T
    low, high = ends.min(0), ends.max(0)
    scale = side / (1 + 2 * FRAME_MARGIN) / (high - low).max()
    return np.column_stack([scale * linear, (side - 1) / 2 - scale * (low + high) / 2])


_PIXEL_CORNERS = np.array(
    [[-0.5, -0.5], [-0.5, 0.5], [0.5, -0.5], [0.5, 0.5]], np.float32
)  # its corners about its middle
_CROSS_KERNEL = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
_SHARPEN_LUT = np.clip((np.arange(256) / 255 - 0.12) * (255 / 0.4), 0, 255).astype(
    np.uint8
)  # a faded line is full again
