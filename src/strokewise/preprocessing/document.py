"""A photographed sheet of paper on a darker table → the sheet alone, its paper continued beyond its edges.

In and out: grey, uint8 (H, W). A thumbnail is thresholded, and its largest light region is a sheet if it has the form
of one (a rectangle, or a quadrilateral when seen at an angle), is bare along the inside of its rim, and ends sharply
where something darker begins. So a light rectangle drawn on a dark page, which has no drawing inside, or an outline
with paper on both sides is not taken for a sheet.
"""

import cv2
import numpy as np
from cv2.typing import MatLike as Image
from numpy.typing import NDArray

THUMBNAIL_SIDE = 96  # pixels: the thumbnail on which the sheet is searched
MIN_TABLE_RIM = 0.3  # of the photograph's rim that shows the table
MIN_SHEET_AREA = 0.2  # of the photograph that the sheet covers
MIN_CONVEXITY = 0.88  # of its convex hull that the sheet fills
MIN_RECTANGULARITY = 0.82  # of its smallest enclosing rectangle that the sheet fills; an ellipse fills 0.79
MIN_QUADRILATERAL = 0.94  # of a slanted sheet's hull that its four corners span; an ellipse's span 0.64
MAX_CORNER_BEND = 0.04  # of the outline's length: how far a side between two corners may bend
MIN_HALF_PLANE = 0.9  # of its convex hull that the dark part fills if the sheet shows a single straight edge
MIN_BARE_SQUARE = 0.65  # of a rectangular sheet that is bare; inside a thick outline there is less
MIN_BARE_SLANTED = 0.75  # of a slanted sheet that is bare
MIN_TABLE_CONTRAST = 30  # levels by which the table is darker
MIN_BARE_RIM = 0.85  # of the sheet's rim, inside its edge, that is bare: a drawing may touch it
MIN_DARK_RIM = 0.95  # of its rim, outside its edge, that is dark
MIN_DARK_SURROUND = 0.9  # of all outside the sheet that is dark; outside a drawn outline there is paper again
KERNEL_3X3 = np.ones((3, 3), np.uint8)
EDGE_PIXELS = 2  # pixels of the thumbnail that an edge and its shadow take


def isolate_sheet(grey: Image) -> Image | None:
    """Replace the table around a sheet by the sheet's own paper, uint8 (H, W); None if no sheet lies on a table."""
    rim = np.sort(np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]]))
    table_level = rim[int(MIN_TABLE_RIM * len(rim))]
    if table_level > cv2.minMaxLoc(grey)[1] - MIN_TABLE_CONTRAST:  # most pictures: the rim is all paper
        return None
    scale = min(1.0, THUMBNAIL_SIDE / max(grey.shape))
    width, height = (max(8, round(side * scale)) for side in grey.shape[::-1])
    thumb = cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA)
    otsu = cv2.threshold(thumb, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)[0]
    for threshold in (otsu, float(table_level) + MIN_TABLE_CONTRAST):  # the second finds a sheet half in shade
        light = cv2.threshold(thumb, threshold, 255, cv2.THRESH_BINARY)[1]
        mask = _sheet_mask(light)
        if mask is not None and _lies_on_table(thumb, mask, threshold):
            break
    else:
        return None
    dark = cv2.findNonZero(cv2.bitwise_not(mask))
    single_edge = dark is not None and len(dark) >= MIN_HALF_PLANE * cv2.contourArea(cv2.convexHull(dark))
    inner = cv2.erode(mask, KERNEL_3X3, iterations=EDGE_PIXELS)
    paper = _enlarge_to(_extend_paper(thumb, cv2.bitwise_and(inner, light)), grey)
    if single_edge and _touches_edge(grey, paper, _enlarge_to(inner, grey) > 127):
        return None
    # Erode from the photograph's rim, too: slivers of the table that show there are not ink.
    mask = cv2.erode(mask, KERNEL_3X3, iterations=EDGE_PIXELS, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return np.where(_enlarge_to(mask, grey) > 127, grey, paper)


def _enlarge_to(thumb: Image, grey: Image) -> Image:
    return cv2.resize(thumb, grey.shape[::-1], interpolation=cv2.INTER_LINEAR)


def _sheet_mask(light: Image) -> Image | None:
    """Convex hull of the largest light region, uint8 (h, w) of 0 and 255; None if it has not the form of a sheet."""
    contours = cv2.findContours(light, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0]
    if not contours:  # a few light pixels, lost in the thumbnail
        return None
    contour = max(contours, key=cv2.contourArea)
    hull = cv2.convexHull(contour)
    area = cv2.contourArea(hull)
    if area < MIN_SHEET_AREA * light.size or cv2.contourArea(contour) < MIN_CONVEXITY * area:
        return None
    width, height = cv2.minAreaRect(hull)[1]
    mask = cv2.fillConvexPoly(np.zeros_like(light), hull, 255)
    bare = cv2.countNonZero(cv2.bitwise_and(mask, light)) / cv2.countNonZero(mask)
    corners = cv2.approxPolyDP(hull, MAX_CORNER_BEND * cv2.arcLength(hull, True), True)
    slanted = len(corners) == 4 and cv2.contourArea(corners) >= MIN_QUADRILATERAL * area
    rectangular = area >= MIN_RECTANGULARITY * width * height
    is_sheet = (rectangular and bare >= MIN_BARE_SQUARE) or (slanted and bare >= MIN_BARE_SLANTED)
    return mask if is_sheet else None


def _lies_on_table(thumb: Image, mask: Image, threshold: float) -> bool:
    """Whether the region is bare along the inside of its rim, and ends sharply where something darker begins."""

    def eroded(region: Image) -> Image:
        return cv2.erode(region, KERNEL_3X3, iterations=EDGE_PIXELS)

    def dilated(region: Image) -> Image:
        return cv2.dilate(region, KERNEL_3X3, iterations=EDGE_PIXELS)

    inside, outside = eroded(mask), dilated(mask)
    inner_rim = thumb[(inside > 0) & (eroded(inside) == 0)]
    outer_rim = thumb[(outside == 0) & (dilated(outside) > 0)]
    if not len(inner_rim) or not len(outer_rim) or np.mean(thumb[mask == 0] <= threshold) < MIN_DARK_SURROUND:
        return False
    contrast = np.median(inner_rim) - np.median(outer_rim)
    bare, dark = np.mean(inner_rim > threshold), np.mean(outer_rim <= threshold)
    return bool(bare >= MIN_BARE_RIM and dark >= MIN_DARK_RIM and contrast >= MIN_TABLE_CONTRAST)


def _touches_edge(grey: Image, paper: Image, inside: NDArray[np.bool_]) -> bool:
    """Whether something darker than the paper reaches the region's edge: then the page continues in a shadow.

    It may also be a drawing up to the edge of a sheet that runs off the photograph on three sides: less likely.
    """
    width = 1 + max(grey.shape) // THUMBNAIL_SIDE
    inner = cv2.erode(inside.astype(np.uint8), np.ones((2 * width + 1,) * 2, np.uint8))
    darker = cv2.medianBlur(cv2.subtract(paper, grey), 3)  # without single noisy pixels
    return bool((darker[inside & (np.asarray(inner) == 0)] > MIN_TABLE_CONTRAST).any())


def _extend_paper(thumb: Image, paper: Image) -> Image:
    """Mean level of the `paper` pixels nearby at every pixel, uint8 (h, w)."""
    level = np.full(thumb.shape, cv2.mean(thumb, mask=paper)[0], np.float32)
    weight = (paper > 0).astype(np.float32)
    for sigma in (16.0, 8.0, 4.0, 2.0):  # pixels: nearer paper counts more
        nearby = cv2.GaussianBlur(weight, (0, 0), sigma)
        mean = cv2.GaussianBlur(thumb * weight, (0, 0), sigma) / np.maximum(nearby, 1e-6)
        level += np.minimum(1, 4 * nearby) * (mean - level)
    return np.rint(level).astype(np.uint8)
