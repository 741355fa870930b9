"""A photographed sheet that lies on something darker -> the sheet alone, as if it went on for ever.

In and out: grey, uint8 (H, W). Any other picture is told apart from that: a light rectangle drawn on a dark page is a
light region, too, but it is not bare along its rim with a drawing inside.
"""

import cv2
import numpy as np
from cv2.typing import MatLike as Image
from numpy.typing import NDArray

THUMBNAIL_SIDE = 96  # pixels: the thumbnail on which the sheet is searched
MIN_TABLE_RIM = 0.3  # of the photograph's rim, at least, that shows what the sheet lies on
MIN_SHEET_AREA = 0.2  # of the photograph that a sheet covers
MIN_CONVEXITY = 0.88  # of its convex hull that a sheet fills
MIN_RECTANGULARITY = 0.82  # of the smallest rectangle around it that a sheet fills: an ellipse would fill 0.79
MIN_QUADRILATERAL = (
    0.94  # of a sheet seen slantwise, which fills less of a rectangle, that four corners hold: of an ellipse 0.64
)
MAX_CORNER_BEND = 0.04  # of its outline by which the way from corner to corner may bend
MIN_HALF_PLANE = 0.9  # of its convex hull that the dark part fills if the light one ends in a single straight edge
MIN_BARE_SQUARE = 0.65  # of a sheet that is left bare: within a thick outline there is less
MIN_BARE_SLANTED = 0.75  # of one seen slantwise
MIN_TABLE_CONTRAST = 30  # levels by which what it lies on is darker
MIN_BARE_RIM = 0.85  # of its rim, on this side of its edge, that is bare: a drawing may touch it
MIN_DARK_RIM = 0.95  # of its rim, on the other side, that is dark
MIN_DARK_SURROUND = 0.9  # of all that lies beyond it that is dark: beyond a drawn outline there is paper again
KERNEL_3X3 = np.ones((3, 3), np.uint8)
EDGE_PIXELS = 2  # pixels of the thumbnail that its edge and the edge's shadow take


def isolate_sheet(grey: Image) -> Image | None:
    """`grey` with the sheet's own paper carried on beyond its edge; None if no sheet lies there on something darker."""
    rim = np.sort(np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]]))
    if (
        rim[int(MIN_TABLE_RIM * len(rim))] > cv2.minMaxLoc(grey)[1] - MIN_TABLE_CONTRAST
    ):  # most pictures: nothing but paper at the rim
        return None
    shrink = min(1.0, THUMBNAIL_SIDE / max(grey.shape))
    width, height = (max(8, round(side * shrink)) for side in grey.shape[::-1])
    thumb = cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA)
    otsu = cv2.threshold(thumb, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)[0]
    for split in (
        otsu,
        float(rim[int(MIN_TABLE_RIM * len(rim))]) + MIN_TABLE_CONTRAST,
    ):  # the second finds a sheet half in shade
        light = cv2.threshold(thumb, split, 255, cv2.THRESH_BINARY)[1]
        mask = _sheet_mask(light)
        if mask is not None and _lies_on_table(thumb, mask, split):
            break
    else:
        return None
    dark = cv2.findNonZero(cv2.bitwise_not(mask))
    half = dark is not None and len(dark) >= MIN_HALF_PLANE * cv2.contourArea(cv2.convexHull(dark))
    inner = cv2.erode(mask, KERNEL_3X3, iterations=EDGE_PIXELS)
    paper = _enlarge_to(_extend_paper(thumb, cv2.bitwise_and(inner, light)), grey)
    if half and _touches_edge(grey, paper, _enlarge_to(inner, grey) > 127):
        return None
    mask = cv2.erode(mask, KERNEL_3X3, iterations=EDGE_PIXELS, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return np.where(_enlarge_to(mask, grey) > 127, grey, paper)  # slivers of a table at the photograph's rim are no ink


def _enlarge_to(thumb: Image, grey: Image) -> Image:
    return cv2.resize(thumb, grey.shape[::-1], interpolation=cv2.INTER_LINEAR)


def _sheet_mask(light: Image) -> Image | None:
    """The largest light region as a convex one, uint8 (h, w) of 0 and 255, if it has the form of a sheet."""
    outlines = cv2.findContours(light, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0]
    if not outlines:  # a few light pixels, lost in the thumbnail
        return None
    outline = max(outlines, key=cv2.contourArea)
    hull = cv2.convexHull(outline)
    area = cv2.contourArea(hull)
    if area < MIN_SHEET_AREA * light.size or cv2.contourArea(outline) < MIN_CONVEXITY * area:
        return None
    across, along = cv2.minAreaRect(hull)[1]
    mask = cv2.fillConvexPoly(np.zeros_like(light), hull, 255)
    bare = cv2.countNonZero(cv2.bitwise_and(mask, light)) / cv2.countNonZero(mask)
    corners = cv2.approxPolyDP(hull, MAX_CORNER_BEND * cv2.arcLength(hull, True), True)
    slantwise = len(corners) == 4 and cv2.contourArea(corners) >= MIN_QUADRILATERAL * area
    square = area >= MIN_RECTANGULARITY * across * along
    return mask if (square and bare >= MIN_BARE_SQUARE) or (slantwise and bare >= MIN_BARE_SLANTED) else None


def _lies_on_table(thumb: Image, mask: Image, split: float) -> bool:
    """Whether the region is bare all along the inside of its rim, and ends sharply where something darker begins."""
    inside, outside = (
        cv2.erode(mask, KERNEL_3X3, iterations=EDGE_PIXELS),
        cv2.dilate(mask, KERNEL_3X3, iterations=EDGE_PIXELS),
    )
    within = thumb[(inside > 0) & (cv2.erode(inside, KERNEL_3X3, iterations=EDGE_PIXELS) == 0)]
    beyond = thumb[(outside == 0) & (cv2.dilate(outside, KERNEL_3X3, iterations=EDGE_PIXELS) > 0)]
    if not len(within) or not len(beyond) or np.mean(thumb[mask == 0] <= split) < MIN_DARK_SURROUND:
        return False
    bare, sharp = np.mean(within > split), np.mean(beyond <= split)
    return bool(
        bare >= MIN_BARE_RIM and sharp >= MIN_DARK_RIM and np.median(within) - np.median(beyond) >= MIN_TABLE_CONTRAST
    )


def _touches_edge(grey: Image, paper: Image, within: NDArray[np.bool_]) -> bool:
    """Whether something darker than the paper reaches the region's edge: then the page goes on in a shadow.

    Or somebody drew to the very edge of a sheet that runs off the photograph on three sides: less likely.
    """
    width = 1 + max(grey.shape) // THUMBNAIL_SIDE
    inner = cv2.erode(within.astype(np.uint8), np.ones((2 * width + 1,) * 2, np.uint8))
    darker = cv2.medianBlur(cv2.subtract(paper, grey), 3)  # a grain of noise is no stroke
    return bool((darker[within & (np.asarray(inner) == 0)] > MIN_TABLE_CONTRAST).any())


def _extend_paper(thumb: Image, paper: Image) -> Image:
    """The mean level of the nearest `paper`, uint8 (h, w)."""
    level = np.full(thumb.shape, cv2.mean(thumb, mask=paper)[0], np.float32)
    weight = (paper > 0).astype(np.float32)
    for sigma in (16.0, 8.0, 4.0, 2.0):  # pixels: the nearer, the more it counts
        near = cv2.GaussianBlur(weight, (0, 0), sigma)
        mean = cv2.GaussianBlur(thumb * weight, (0, 0), sigma) / np.maximum(near, 1e-6)
        level += np.minimum(1, 4 * near) * (mean - level)
    return np.rint(level).astype(np.uint8)
