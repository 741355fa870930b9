"""A page with a drawing on it -> its ink on bare paper, whatever the paper, the light and the colours were.

In: a scene, uint8 (H, W) grey or (H, W, 3) RGB. Out: ink, uint8 (H, W), 0 where the paper is bare, 255 full ink.
"""

from functools import cache

import cv2
import numpy as np
from cv2.typing import MatLike as Image
from numpy.typing import NDArray

from strokewise.errors import PictureError
from strokewise.preprocessing import document

WORKING_SIDE = 4096  # pixels: larger scenes are averaged down to it first
THUMB_SIDE = 32  # pixels: the thumbnail on which the paper is found
SAMPLE_SIDE = 32  # pixels: as many columns and rows of the scene tell its colours
FLAT_PAPER_RATIO = 0.03  # of the page's range of levels: paper whose standard deviation is less is taken for flat
RULED_LINE_COVERAGE = 0.9  # of the page's width that a line must cover to be a ruled one
MAX_SHADE_STEP = 0.1  # of the page's range of levels: shade does not step further than this from a pixel to the next
MIN_EDGE_SHARE = 0.15  # of the page's rim that a region must hold to be paper: a fill that runs off the page holds less
MIN_SHADED_LEVEL = 40  # levels: paper that is darker somewhere is no shaded white paper
SOLID_INK = 96  # of 255: what is inked less is a soft rim
MIN_CONTRAST = 12  # levels of 255 by which ink must differ from its paper
BLANK_MESSAGE = "the page is blank: nothing on it stands out from the paper; give a drawing"


def to_grey(scene: Image) -> Image:
    """Grey along the colours' own main axis, uint8 (H, W): yellow ink on white paper stays visible.

    The axis is the first principal component of a sample of the colours, drawn a little towards neutral.
    """
    if scene.ndim == 2:
        return scene
    red, green, blue = cv2.split(scene)
    if cv2.norm(red, green, cv2.NORM_INF) == 0 and cv2.norm(red, blue, cv2.NORM_INF) == 0:
        return red
    sample = cv2.resize(scene, (SAMPLE_SIDE,) * 2, interpolation=cv2.INTER_NEAREST)
    colours = sample.reshape(-1, 3).astype(np.float64)
    mean = np.full(len(colours), 1 / len(colours)) @ colours
    spread = colours.T @ colours / len(colours) - np.outer(mean, mean) + 4.0
    axis = np.linalg.eigh(spread)[1][:, -1]
    axis = axis / np.abs(axis).sum() * (1 if axis.sum() >= 0 else -1)
    turn = np.append(axis, -255 * np.minimum(axis, 0).sum())[None].astype(np.float32)
    grey: Image = cv2.transform(scene, turn)
    return grey


def extract_ink(scene: Image) -> Image:
    """Ink on bare paper, uint8 (H, W), from a page of any shade: 0 where the paper's own level is, 255 full ink.

    Raises PictureError if nothing stands out from the paper and its grain.
    """
    if max(scene.shape) > WORKING_SIDE:
        shrink = WORKING_SIDE / max(scene.shape)
        width, height = (max(1, round(side * shrink)) for side in scene.shape[1::-1])
        scene = cv2.resize(scene, (width, height), interpolation=cv2.INTER_AREA)
    grey = to_grey(scene)
    lying = document.isolate_sheet(grey)
    if lying is not None:
        try:
            return _extract_ink_from_grey(lying)
        except PictureError:  # nothing on it: it is the drawing
            pass
    return _extract_ink_from_grey(grey)


def _extract_ink_from_grey(grey: Image) -> Image:
    """Ink on bare paper from grey, uint8 (H, W) both. Raises PictureError if nothing stands out."""
    thumb = _estimate_paper(grey)
    least, most = cv2.minMaxLoc(thumb)[:2]
    paper = cv2.resize(thumb, grey.shape[::-1], interpolation=cv2.INTER_LINEAR)
    dark, light = cv2.subtract(paper, grey), cv2.subtract(grey, paper)
    shaded = MIN_SHADED_LEVEL < least < most
    for side in sorted((dark, light), key=lambda side: cv2.norm(side, cv2.NORM_L2SQR), reverse=True):
        ink, grain = side, _noise_level(grey)
        if side is dark and shaded:  # shade takes its share of the paper's light and of the ink's alike
            ink = cv2.bitwise_not(cv2.divide(grey, paper, scale=255))
            grain *= 255 / cv2.mean(thumb)[0]
        level = _full_ink_level(ink, 3 * grain)
        if level < max(MIN_CONTRAST, 4 * grain):
            break
        low = max(0.33 * level, 2.5 * grain)
        high = max(0.75 * level, low + 1)
        ramp = np.clip((np.arange(256) - low) * (255 / (high - low)), 0, 255).astype(np.uint8)
        ink = _remove_ruling(cv2.LUT(ink, ramp))
        if (
            cv2.minMaxLoc(ink)[1] >= SOLID_INK
        ):  # but rims are left of lines that are the paper's own: the other side then
            return ink
    raise PictureError(BLANK_MESSAGE)


def _full_ink_level(ink: Image, least: float) -> float:
    """How far full ink is from the paper: the mean of the higher class (Otsu's) of what is above `least`."""
    strong = np.asarray(ink)[ink > least]
    if not len(strong):
        return 0.0
    split = cv2.threshold(strong, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)[0]
    above = strong[strong > split]
    return float((above if len(above) else strong).mean())


def _remove_ruling(ink: Image) -> Image:
    """Without the lines of ruled or squared paper: three or more thin ones that run from edge to edge.

    Most paper is ruled so faintly that nothing is left of it by now.
    """
    rows, columns = _find_ruled_lines(ink), _find_ruled_lines(cv2.transpose(ink))
    if len(rows):
        ink = _erase_rows(ink, rows)
    return cv2.transpose(_erase_rows(cv2.transpose(ink), columns)) if len(columns) else ink


def _find_ruled_lines(ink: Image) -> NDArray[np.int64]:
    """The first row and the one after the last of every ruled line, (n, 2); none if they are no ruling."""
    inked = cv2.threshold(ink, 48, 1, cv2.THRESH_BINARY)[1]
    full = cv2.reduce(inked, 1, cv2.REDUCE_SUM, dtype=cv2.CV_32S).ravel() >= RULED_LINE_COVERAGE * ink.shape[1]
    if not full.any():
        return np.empty((0, 2), np.int64)
    lines = np.flatnonzero(np.diff(full, prepend=False, append=False)).reshape(-1, 2)
    thin = (lines[:, 1] - lines[:, 0]).max() <= 2 + ink.shape[0] // 40
    return lines if thin and len(lines) >= 3 else lines[:0]


def _erase_rows(ink: Image, lines: NDArray[np.int64]) -> Image:
    """Without these rows and their soft rims, save where a stroke crosses them."""
    page = np.array(ink)
    for start, end in lines + np.array([-1, 1]):
        above, below = page[max(start - 2, 0) : max(start, 1)], page[min(end, len(page) - 1) : end + 2]
        page[max(start, 0) : end] *= (above.max(0) > 48) & (below.max(0) > 48)
    return page


def _noise_level(grey: Image) -> float:
    """Standard deviation of the paper's noise in levels: from the median step between neighbours (normal noise)."""
    rows = grey[:: max(1, grey.shape[0] // 32)]
    steps = cv2.absdiff(rows[:, 1:], rows[:, :-1])
    counts = np.cumsum(np.bincount(steps.ravel(), minlength=256))
    return float(np.searchsorted(counts, counts[-1] / 2)) / 0.954


def _estimate_paper(grey: Image) -> Image:
    """The bare paper's level all over the page, uint8, as a thumbnail of at most `THUMB_SIDE` pixels.

    A median takes the strokes away and leaves shade, fills and their rims. Paper is what small steps lead to from
    the page's edge: shade is crossed, the rim of a fill is not. What lies at the level that this paper would have
    there (within a closed outline) is paper, too.
    """
    shrink = min(1.0, THUMB_SIDE / max(grey.shape))
    width, height = (max(4, round(side * shrink)) for side in grey.shape[::-1])
    thumb = cv2.medianBlur(cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA), 7)
    least, most = cv2.minMaxLoc(thumb)[:2]
    tolerance = 4 + 3 * _noise_level(thumb)
    bare = _flood_from_edges(thumb, max(tolerance, MAX_SHADE_STEP * (most - least)))
    mean, deviation = cv2.meanStdDev(thumb, mask=bare)
    if deviation[0, 0] < FLAT_PAPER_RATIO * max(64, most - least):
        return np.full_like(thumb, round(mean[0, 0]))
    level = _extrapolate_background(thumb, bare)
    off = np.abs(thumb - level)
    near = (bare > 0) | (off < tolerance + 3 * float(np.median(off[bare > 0])))
    if near.all():
        return thumb
    return np.where(near, thumb, np.rint(_extrapolate_background(thumb, near.astype(np.uint8))).clip(0, 255)).astype(
        np.uint8
    )


def _flood_from_edges(thumb: Image, tolerance: float) -> Image:
    """1 where steps of at most `tolerance` levels lead to from twelve places along the edge, else 0: uint8 (h, w)."""
    height, width = thumb.shape
    mask = np.zeros((height + 2, width + 2), np.uint8)
    count = 0
    for x in (0, width // 3, 2 * width // 3, width - 1):
        for y in (0, height // 3, 2 * height // 3, height - 1):
            if (x in (0, width - 1) or y in (0, height - 1)) and not mask[y + 1, x + 1]:
                count += 1
                cv2.floodFill(thumb, mask, (x, y), 0, tolerance, tolerance, 4 | cv2.FLOODFILL_MASK_ONLY | count << 8)
    region = mask[1:-1, 1:-1]
    rim = np.concatenate([region[0], region[-1], region[:, 0], region[:, -1]])
    held = np.bincount(rim, minlength=count + 1)
    held[0] = 0
    paper = (held >= min(MIN_EDGE_SHARE * len(rim), held.max())).astype(np.uint8)
    paper[0] = 0
    reached: Image = paper[region]
    return reached


def _extrapolate_background(thumb: Image, bare: Image) -> NDArray[np.float32]:
    """The level of the `bare` pixels, carried on beneath the others: a quadratic surface plus what it leaves, blurred.

    float32 (h, w). Far from bare paper, within a wide fill, only the surface speaks.
    """
    basis = _quadratic_basis(thumb.shape[0], thumb.shape[1])
    weight = bare.astype(np.float32)
    inside = (basis * weight.ravel()[:, None]).T
    surface = basis @ np.linalg.solve(
        inside @ basis + thumb.size * _RIDGE_PENALTY, inside @ thumb.ravel().astype(np.float32)
    )
    surface = surface.reshape(thumb.shape)
    left = cv2.GaussianBlur((thumb - surface) * weight, (0, 0), 2.0)
    level: NDArray[np.float32] = surface + left / (cv2.GaussianBlur(weight, (0, 0), 2.0) + 0.05)
    return level


@cache
def _quadratic_basis(height: int, width: int) -> NDArray[np.float32]:
    """1, x, y, x², xy, y² at every pixel, x and y in -1..1: float32 (height × width, 6)."""
    y, x = (part.ravel() for part in np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij"))
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], 1).astype(np.float32)


_RIDGE_PENALTY = np.diag(
    np.array([1e-6, 1e-3, 1e-3, 1e-3, 1e-3, 1e-3], np.float32)
)  # a flat page where little of it is bare
