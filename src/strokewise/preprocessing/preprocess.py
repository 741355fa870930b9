"""Any file, bytes or array → the picture that the models see, uint8 (G, G), 0 = bare paper, 255 = full ink.

The ink is extracted (`binarize`), cropped to its main components without the ends of connectors, normalised in
aspect, centred with a margin, and its lines are kept visible at every size. Training, evaluation, prediction and
serving all use this one function. It is pure and may be called from any thread.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from cv2.typing import MatLike as Image
from numpy.typing import NDArray

from strokewise.errors import PictureError
from strokewise.preprocessing.binarize import BLANK_MESSAGE, SOLID_INK, extract_ink
from strokewise.preprocessing.decode import decode, opencv_memory_errors

Picture = NDArray[np.uint8]
PREPROCESSING_VERSION = 2  # increased when any picture changes: a model is refused where it is another
CROP_SEARCH_SIDE = 160  # pixels: the scale at which the crop box is searched
FRAME_MARGIN = 1 / 16  # of the drawing's longer side, left bare on every side
MAX_ELONGATION = 9.0  # length over width: what is longer is normalised as if it were this
MIN_LINE_WIDTH = 1 / 43  # of `image_size`: thinner lines are dilated (1.5 of 64 pixels)
JOIN_RADIUS = 2  # pixels: ink with a gap of less than twice this is one component
SPECK_RATIO = 0.2  # of the main component's size: components that are both smaller and further away are specks
MAX_NEIGHBOUR_AREA = 0.25  # of the main component's: of what is cut off by the page's edge where it is, too
STUB_WIDTH = 0.25  # of a closed outline's width: the ends of connectors are narrower
MIN_STUB_KERNEL = 5  # pixels: in a smaller outline, a line is as wide as that
MIN_BODY_SHARE = 0.6  # of its area that remains of a closed outline without all that is narrow
MAX_STUB_LENGTH = 0.35  # of a closed outline's size
MAX_STUB_AREA = 0.12  # of a closed outline's area
MAX_STUB_ROOT = 0.6  # of the width that falls off: how wide a connector may be where it begins
PIXEL_CORNERS = np.array([[-0.5, -0.5], [-0.5, 0.5], [0.5, -0.5], [0.5, 0.5]], np.float32)  # about its centre
CROSS_KERNEL = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
SHARPEN_LUT = np.clip((np.arange(256) / 255 - 0.12) * (255 / 0.4), 0, 255).astype(np.uint8)  # restores faded lines


@dataclass(frozen=True, eq=False)
class CroppedInk:
    """The ink of a drawing at a handy resolution, and where it lies in the source."""

    ink: Picture
    """uint8 (h, w), 0 = bare paper, 255 = full ink, its longer side mostly 128 to 256 pixels."""
    scale: NDArray[np.float64]
    """(2,) width and height of its pixels, in pixels of the source."""
    corner: NDArray[np.float64]
    """(2,) where in the source its top left corner lies."""


def preprocess(source: Path | bytes | NDArray[Any], image_size: int) -> Picture:
    """Turn a picture of a drawing into the network's input: uint8 (G, G), 0 = bare paper, 255 = full ink.

    Args:
        source: A path, the bytes of a picture file, or an array (see `decode`).
        image_size: G, the side of the result in pixels.

    Raises PictureError if `decode` cannot read the source, or if nothing on the page stands out, and MemoryError.
    """
    return preprocess_with_ink(source, image_size)[0]


def preprocess_with_ink(source: Path | bytes | NDArray[Any], image_size: int) -> tuple[Picture, CroppedInk]:
    """What `preprocess` returns, and the ink that it was made of, where it lies in the source.

    The arguments and errors are those of `preprocess`.
    """
    with opencv_memory_errors():
        return _scene_to_picture(decode(source), image_size)


def _scene_to_picture(scene: NDArray[np.uint8], image_size: int) -> tuple[Picture, CroppedInk]:
    ink = extract_ink(scene)
    shrunk = np.array(scene.shape[1::-1]) / ink.shape[::-1]  # more than 1 for a very large scene
    pyramid = [ink]
    while max(pyramid[-1].shape) > CROP_SEARCH_SIDE:
        pyramid.append(_downsample_ink(pyramid[-1]))
    (left, top, right, bottom), mask = _crop_box(pyramid[-1])
    level = len(pyramid) - 1  # becomes the smallest one in which the box is twice as large as the result
    while level > 0 and max(right - left, bottom - top) * 2 ** (len(pyramid) - 1 - level) < 2 * image_size:
        level -= 1
    factor = 2 ** (len(pyramid) - 1 - level)
    ink = pyramid[level] if mask is None else _apply_mask(pyramid[level], mask, factor)
    left, top, right, bottom = left * factor, top * factor, right * factor, bottom * factor
    picture = _fit_to_square(ink, (left, top, right, bottom), image_size)
    left, top = max(left - 2, 0), max(top - 2, 0)  # soft edges of lines lie outside the box
    cropped = np.asarray(ink[top : bottom + 2, left : right + 2], np.uint8)
    return picture, CroppedInk(cropped, shrunk * 2**level, np.array([left, top]) * shrunk * 2**level)


def _downsample_ink(ink: Image) -> Image:
    """Halve the size. Each result is nearer to the maximum of four pixels than to their mean, to keep hairlines."""
    height, width = (side + side % 2 for side in ink.shape)
    even = cv2.copyMakeBorder(ink, 0, height - ink.shape[0], 0, width - ink.shape[1], cv2.BORDER_REPLICATE)
    columns = cv2.max(even[:, ::2], even[:, 1::2])
    maximum = cv2.max(columns[::2], columns[1::2])
    mean = cv2.resize(even, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    return cv2.addWeighted(maximum, 0.75, mean, 0.25, 0)


def _threshold_ink(ink: Image) -> Image:
    """255 where there is solid ink, else 0. Where all ink has faded from halving, half of its maximum is solid."""
    maximum = cv2.minMaxLoc(ink)[1]
    if maximum == 0:
        raise PictureError(BLANK_MESSAGE)
    return cv2.threshold(ink, min(SOLID_INK, maximum / 2), 255, cv2.THRESH_BINARY)[1]


def _crop_box(ink: Image) -> tuple[tuple[int, int, int, int], Image | None]:
    """Box of the main components (left, top, right, bottom in pixels), and their mask if anything was dropped.

    Components are labelled at half the size: the dilation that joins them makes the difference invisible.
    """
    solid = _threshold_ink(ink)
    joined = cv2.dilate(solid, np.ones((2 * JOIN_RADIUS + 1, 2 * JOIN_RADIUS + 1), np.uint8))[::2, ::2]
    count, labels, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8, ltype=cv2.CV_16U)
    mask = (
        _drawing_mask(np.asarray(labels), np.asarray(stats[1:], np.int64))
        if count > 2 or _runs_to_edge(solid)
        else None
    )
    if mask is not None:
        mask = mask.repeat(2, 0).repeat(2, 1)[: ink.shape[0], : ink.shape[1]]
        solid = cv2.bitwise_and(solid, np.ascontiguousarray(mask))
    left, top, width, height = cv2.boundingRect(solid)
    return (left, top, left + width, top + height), mask


def _runs_to_edge(solid: Image) -> bool:
    """Whether there is ink at the very edge of the page."""
    return any(cv2.countNonZero(edge) > 0 for edge in (solid[:1], solid[-1:], solid[:, :1], solid[:, -1:]))


def _drawing_mask(labels: NDArray[np.uint16], boxes: NDArray[np.int64]) -> NDArray[np.uint8] | None:
    """255 on the components that make up the drawing, without connectors' ends, else 0; None to keep all.

    `labels` (h, w) and `boxes` (n, 5) are OpenCV's connected components and their statistics.
    """
    main = int(boxes[:, 4].argmax())
    sides = _touched_sides(boxes, labels.shape)
    is_large = boxes[:, 4] >= MAX_NEIGHBOUR_AREA * boxes[main, 4]
    stubs = _find_stubs((labels == main + 1) * np.uint8(255)) if _runs_off(sides[main], sides[is_large]) else None
    if stubs is not None:
        sides[main] = False
    is_main = _main_components(2 * boxes, sides)
    if is_main.all() and stubs is None:
        return None
    mask = np.array([0, *is_main * 255], np.uint8)[labels]
    if stubs is not None:
        mask[stubs] = 0
    return mask


def _touched_sides(boxes: NDArray[np.int64], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Which of the page's left, top, right and bottom edges each component touches, bool (n, 4)."""
    starts, ends = boxes[:, :2], boxes[:, :2] + boxes[:, 2:4]
    return np.concatenate([starts <= 0, ends >= (shape[1], shape[0])], axis=1)


def _runs_off(main: NDArray[np.bool_], large: NDArray[np.bool_]) -> bool:
    """Whether a component, which touches edges (4,), runs off the page.

    A page that is cropped to its drawing is touched on opposite edges by what is `large` (n, 4).
    """
    return bool(main.any() and not (main & np.roll(large.any(0), 2)).any())


def _find_stubs(component: Image) -> NDArray[np.bool_] | None:
    """The ends of connectors that run from a closed outline off the page, bool (h, w); None if that is not certain.

    The outline with all that it encloses is opened: what is narrower than a quarter of it falls off. An end is a
    connector's if it is small and short, and is much narrower where it begins: a corner's tip is as wide there as
    what falls off.
    """
    kernel_side = round(STUB_WIDTH * min(cv2.boundingRect(component)[2:]))
    if kernel_side < MIN_STUB_KERNEL:
        return None
    contours = cv2.findContours(component, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
    filled = cv2.drawContours(np.zeros_like(component), contours, -1, 255, cv2.FILLED)
    bare = cv2.copyMakeBorder(filled, *(kernel_side,) * 4, cv2.BORDER_CONSTANT, value=0)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (kernel_side, kernel_side))
    inner = slice(kernel_side, -kernel_side)
    body = np.asarray(cv2.morphologyEx(bare, cv2.MORPH_OPEN, kernel))[inner, inner].copy()
    area = cv2.countNonZero(body)
    size = max(cv2.boundingRect(body)[2:])
    if area < MIN_BODY_SHARE * cv2.countNonZero(filled):
        return None
    grown = cv2.dilate(body, CROSS_KERNEL)  # without the crumbs that opening leaves around it
    rest = cv2.subtract(component, grown)
    labels, stats = cv2.connectedComponentsWithStats(rest, connectivity=8, ltype=cv2.CV_16U)[1:3]
    ends = np.asarray(stats, np.int64)[1:]
    running_off = np.flatnonzero(_touched_sides(ends, component.shape).any(1))
    around = cv2.subtract(cv2.dilate(grown, CROSS_KERNEL), grown)
    roots = np.bincount(np.asarray(labels)[np.asarray(around) > 0], minlength=len(ends) + 1)[1:]
    is_stub = (ends[:, 2:4].max(1) <= MAX_STUB_LENGTH * size) & (ends[:, 4] <= MAX_STUB_AREA * area)
    is_stub &= roots <= MAX_STUB_ROOT * kernel_side
    if not len(running_off) or not is_stub[running_off].all():
        return None
    stubs = np.isin(np.asarray(labels), running_off + 1) * np.uint8(1)
    return np.asarray(cv2.subtract(cv2.dilate(stubs, CROSS_KERNEL), body)) > 0


def _main_components(boxes: NDArray[np.int64], sides: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which components make up the drawing, bool (n,), from OpenCV's statistics of them, (n, 5) in the ink's pixels.

    `sides` are the page's left, top, right and bottom edges that each touches, (n, 4). Dropped are specks away from
    the largest component, and components that are cut off by the page's edge where the largest is not. If it is, too,
    only small ones are dropped, and none that reaches an edge whose opposite is also touched: a page that is cropped
    to its drawing is touched on opposite edges.
    """
    starts, ends, areas = boxes[:, :2], boxes[:, :2] + boxes[:, 2:4], boxes[:, 4]
    main = int(areas.argmax())
    extent = (ends - starts).max(1) - 2 * JOIN_RADIUS
    gap = np.maximum(starts - ends[main], starts[main] - ends).max(1) + 2 * JOIN_RADIUS
    near = gap <= np.minimum(SPECK_RATIO * extent[main], 3 * extent)
    if sides[main].any():
        opposite = np.roll(np.asarray(sides.any(0)), 2)
        foreign = sides.any(1) & ~(sides & opposite).any(1) & (areas < MAX_NEIGHBOUR_AREA * areas[main])
    else:
        foreign = sides.any(1) & (areas < 0.6 * areas[main])
    keep = (near | (extent >= SPECK_RATIO * extent[main])) & ~foreign
    return np.asarray(keep | (np.arange(len(boxes)) == main))


def _apply_mask(ink: Image, mask: Image, factor: int) -> Image:
    """`ink` where `mask`, which is `factor` times smaller, is not 0."""
    if factor > 1:  # repeated and cut, as the pyramid rounds sizes up: plain resizing would shift the mask
        mask = mask.repeat(factor, 0).repeat(factor, 1)[: ink.shape[0], : ink.shape[1]]
    return cv2.bitwise_and(ink, np.ascontiguousarray(mask))


def _fit_to_square(ink: Image, box: tuple[int, int, int, int], image_size: int) -> Picture:
    """Normalise the aspect of the ink in the box and centre it on (image_size, image_size) with a margin.

    Lines become at least `MIN_LINE_WIDTH` wide.
    """
    left, top, right, bottom = box
    margin = round(max(right - left, bottom - top) * FRAME_MARGIN) + 1  # soft edges of lines lie outside the box
    ink = ink[max(top - margin, 0) : bottom + margin, max(left - margin, 0) : right + margin]
    while max(ink.shape) > 2.5 * image_size:  # averaging by more than a quarter would let a hairline fade
        ink = _downsample_ink(ink)
    ink = cv2.LUT(cv2.warpAffine(ink, _normalise_aspect(ink, 2 * image_size), (2 * image_size,) * 2), SHARPEN_LUT)
    dilated = cv2.dilate(ink, CROSS_KERNEL)
    area = int(cv2.countNonZero(ink))
    width = 2 * area / max(1, cv2.countNonZero(dilated) - area)  # area over half the perimeter
    if width < 2 * MIN_LINE_WIDTH * image_size:
        ink = dilated
    return np.asarray(cv2.resize(ink, (image_size, image_size), interpolation=cv2.INTER_AREA), np.uint8)


def _normalise_aspect(ink: Image, side: int) -> NDArray[np.float64]:
    """Affine matrix (2, 3) from a point (x, y) of the ink to one of a side×side picture, filled but for its margin.

    A drawing that is n times as long as wide becomes √n times as long, along whatever axis it lies: people stretch a
    shape as they please, and the features that distinguish thin shapes lie across their length. Length and width are
    those of the ellipse with the second moments of the convex hull, which are the same for an outline and a filled
    shape.

    Moments: Casey 1970, Moment normalization of handprinted characters. The root: Liu, Nakashima, Sako, Fujisawa 2004,
    Handwritten digit recognition: investigation of normalization and feature extraction techniques.
    """
    contours = cv2.findContours(_threshold_ink(ink), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]  # hold all corners
    corners = cv2.convexHull(np.concatenate(contours)).reshape(-1, 1, 2).astype(np.float32) + PIXEL_CORNERS
    hull = cv2.convexHull(corners.reshape(-1, 2)).reshape(-1, 2)
    moments = cv2.moments(hull)
    covariance = [[moments["mu20"], moments["mu11"]], [moments["mu11"], moments["mu02"]]]
    variances, axes = np.linalg.eigh(covariance)
    elongation = min(math.sqrt(variances[1] / variances[0]), MAX_ELONGATION)
    linear = (axes * [math.sqrt(elongation), 1]) @ axes.T
    points = hull @ linear.T
    low, high = points.min(0), points.max(0)
    scale = side / (1 + 2 * FRAME_MARGIN) / (high - low).max()
    return np.column_stack([scale * linear, (side - 1) / 2 - scale * (low + high) / 2])
