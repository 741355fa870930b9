"""A photographed sheet that lies on something darker -> the sheet alone, as if it went on for ever.

In and out: grey, uint8 (H, W). Any other picture is told apart from that: a light rectangle drawn on a dark page is a
light region, too, but it is not bare along its rim with a drawing inside.
"""

import cv2
import numpy as np
from cv2.typing import MatLike as Image
from numpy.typing import NDArray

SIDE = 96  # pixels: the thumbnail on which the sheet is searched
RIM = 0.3  # of the photograph's rim, at least, that shows what the sheet lies on
LEAST = 0.2  # of the photograph that a sheet covers
CONVEX = 0.88  # of its convex hull that a sheet fills
SQUARE = 0.82  # of the smallest rectangle around it that a sheet fills: an ellipse would fill 0.79
ANGLED = 0.94  # of a sheet seen slantwise, which fills less of a rectangle, that four corners hold: of an ellipse 0.64
BEND = 0.04  # of its outline by which the way from corner to corner may bend
HALF = 0.9  # of its convex hull that the dark part fills if the light one ends in a single straight edge
BARE = 0.65  # of a sheet that is left bare: within a thick outline there is less
BARER = 0.75  # of one seen slantwise
STEP = 30  # levels by which what it lies on is darker
RIMMED = 0.85  # of its rim, on this side of its edge, that is bare: a drawing may touch it
SHARP = 0.95  # of its rim, on the other side, that is dark
AROUND = 0.9  # of all that lies beyond it that is dark: beyond a drawn outline there is paper again
NEIGHBOURS = np.ones((3, 3), np.uint8)
SHRUNK = 2  # pixels of the thumbnail that its edge and the edge's shadow take


def alone(grey: Image) -> Image | None:
    """`grey` with the sheet's own paper carried on beyond its edge; None if no sheet lies there on something darker."""
    rim = np.sort(np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]]))
    if rim[int(RIM * len(rim))] > cv2.minMaxLoc(grey)[1] - STEP:  # most pictures: nothing but paper at the rim
        return None
    shrink = min(1.0, SIDE / max(grey.shape))
    width, height = (max(8, round(side * shrink)) for side in grey.shape[::-1])
    thumb = cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA)
    otsu = cv2.threshold(thumb, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)[0]
    for split in (otsu, float(rim[int(RIM * len(rim))]) + STEP):  # the second finds a sheet half in shade
        light = cv2.threshold(thumb, split, 255, cv2.THRESH_BINARY)[1]
        mask = _sheet(light)
        if mask is not None and _lies(thumb, mask, split):
            break
    else:
        return None
    dark = cv2.findNonZero(cv2.bitwise_not(mask))
    half = dark is not None and len(dark) >= HALF * cv2.contourArea(cv2.convexHull(dark))
    inner = cv2.erode(mask, NEIGHBOURS, iterations=SHRUNK)
    paper = _enlarged(_carried(thumb, cv2.bitwise_and(inner, light)), grey)
    if half and _crossed(grey, paper, _enlarged(inner, grey) > 127):
        return None
    mask = cv2.erode(mask, NEIGHBOURS, iterations=SHRUNK, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return np.where(_enlarged(mask, grey) > 127, grey, paper)  # slivers of a table at the photograph's rim are no ink


def _enlarged(thumb: Image, grey: Image) -> Image:
    return cv2.resize(thumb, grey.shape[::-1], interpolation=cv2.INTER_LINEAR)


def _sheet(light: Image) -> Image | None:
    """The largest light region as a convex one, uint8 (h, w) of 0 and 255, if it has the form of a sheet."""
    outlines = cv2.findContours(light, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0]
    if not outlines:  # a few light pixels, lost in the thumbnail
        return None
    outline = max(outlines, key=cv2.contourArea)
    hull = cv2.convexHull(outline)
    area = cv2.contourArea(hull)
    if area < LEAST * light.size or cv2.contourArea(outline) < CONVEX * area:
        return None
    across, along = cv2.minAreaRect(hull)[1]
    mask = cv2.fillConvexPoly(np.zeros_like(light), hull, 255)
    bare = cv2.countNonZero(cv2.bitwise_and(mask, light)) / cv2.countNonZero(mask)
    corners = cv2.approxPolyDP(hull, BEND * cv2.arcLength(hull, True), True)
    slantwise = len(corners) == 4 and cv2.contourArea(corners) >= ANGLED * area
    square = area >= SQUARE * across * along
    return mask if (square and bare >= BARE) or (slantwise and bare >= BARER) else None


def _lies(thumb: Image, mask: Image, split: float) -> bool:
    """Whether the region is bare all along the inside of its rim, and ends sharply where something darker begins."""
    inside, outside = cv2.erode(mask, NEIGHBOURS, iterations=SHRUNK), cv2.dilate(mask, NEIGHBOURS, iterations=SHRUNK)
    within = thumb[(inside > 0) & (cv2.erode(inside, NEIGHBOURS, iterations=SHRUNK) == 0)]
    beyond = thumb[(outside == 0) & (cv2.dilate(outside, NEIGHBOURS, iterations=SHRUNK) > 0)]
    if not len(within) or not len(beyond) or np.mean(thumb[mask == 0] <= split) < AROUND:
        return False
    bare, sharp = np.mean(within > split), np.mean(beyond <= split)
    return bool(bare >= RIMMED and sharp >= SHARP and np.median(within) - np.median(beyond) >= STEP)


def _crossed(grey: Image, paper: Image, within: NDArray[np.bool_]) -> bool:
    """Whether something darker than the paper reaches the region's edge: then the page goes on in a shadow.

    Or somebody drew to the very edge of a sheet that runs off the photograph on three sides: less likely.
    """
    width = 1 + max(grey.shape) // SIDE
    inner = cv2.erode(within.astype(np.uint8), np.ones((2 * width + 1,) * 2, np.uint8))
    darker = cv2.medianBlur(cv2.subtract(paper, grey), 3)  # a grain of noise is no stroke
    return bool((darker[within & (np.asarray(inner) == 0)] > STEP).any())


def _carried(thumb: Image, paper: Image) -> Image:
    """The mean level of the nearest `paper`, uint8 (h, w)."""
    level = np.full(thumb.shape, cv2.mean(thumb, mask=paper)[0], np.float32)
    weight = (paper > 0).astype(np.float32)
    for sigma in (16.0, 8.0, 4.0, 2.0):  # pixels: the nearer, the more it counts
        near = cv2.GaussianBlur(weight, (0, 0), sigma)
        mean = cv2.GaussianBlur(thumb * weight, (0, 0), sigma) / np.maximum(near, 1e-6)
        level += np.minimum(1, 4 * near) * (mean - level)
    return np.rint(level).astype(np.uint8)
