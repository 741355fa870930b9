"""A scene → its ink on bare paper, whatever the paper, the light and the colours were.

In: a scene, uint8 (H, W) grey or (H, W, 3) RGB. Out: ink, uint8 (H, W), 0 = bare paper, 255 = full ink.

1. Colours become grey along their first principal component.
2. A sheet of paper that was photographed on a darker table is isolated (`document`).
3. The level of the bare paper is estimated on a thumbnail: a median filter removes the strokes, a flood fill from the
   page's edges separates paper, whose shade changes gradually, from filled areas and from strokes that are too thick
   for the filter, and a quadratic surface continues the paper beneath them.
4. The lines of ruled or squared paper are erased from the difference to the paper.
5. What is left of it is scaled between two thresholds, which follow from the level of full ink (Otsu's threshold) and
   from the noise. Ink may be darker or lighter than the paper: the side with more energy is tried first.
"""

from functools import cache
from typing import Any, NamedTuple

import cv2
import numpy as np
from cv2.typing import MatLike as Image
from numpy.typing import NDArray

from strokewise.errors import PictureError
from strokewise.preprocessing import document

MAX_SCENE_SIDE = 4096  # pixels: larger scenes are averaged down to it first
PAPER_THUMBNAIL_SIDE = 32  # pixels: the thumbnail on which the paper is estimated
COLOUR_SAMPLE_SIDE = 32  # pixels: as many columns and rows of the scene are sampled for the colours
FLAT_PAPER_RATIO = 0.03  # of the page's range of levels: paper whose standard deviation is less counts as flat
RULED_LINE_COVERAGE = 0.85  # of the page's width: what a ruled line covers at least
MAX_BESIDE_RULING = 0.5  # of the page's width that is inked beside a ruled line: strokes that cross it
MAX_RULING_SLOPE = 0.06  # of the page's width: by how much a ruled line rises or falls over it
MIN_STRONG_RULING = 3  # lines that may be as strong as the drawing
FAINT_RULING = 0.65  # of full ink: the strength of a single ruled line
RULING_VARIATION = 1.5  # times a ruled line's strength: what is stronger on it belongs to a stroke
WEAK_INK = 0.2  # of full ink: what a ruled line must exceed to be searched
RULING_SLOPES = np.array([-0.03, -0.015, 0, 0.015, 0.03])  # that are tried for a line with one visible end
RULING_SAMPLES = 64  # points of a line that are looked at
VERTICAL_KERNEL = np.ones((3, 1), np.uint8)
MAX_SHADE_STEP = 0.1  # of the page's range of levels: the largest step of shade from a pixel to the next
MIN_EDGE_SHARE = 0.15  # of the page's edge that a region of paper holds; a fill that runs off the page holds less
MIN_SHADED_LEVEL = 40  # levels: paper that is darker somewhere is not taken for white paper in shade
MIN_STROKE_DEPTH = 0.25  # of the page's range of levels: what differs less from both sides may be shade
CLEAR_MAJORITY = 0.6  # of the page that is lighter than its middle level: then it is the paper, and no stroke is
STROKE_KERNEL = np.ones((15, 15), np.uint8)  # pixels of the thumbnail: wider areas are no strokes
SOLID_INK = 96  # of 255: weaker ink is the soft edge of a line
LINE_INK = 48  # of 255: weaker ink counts neither as a ruled line nor as a stroke that crosses one
MIN_CONTRAST = 12  # levels of 255 by which ink must differ from its paper
BLANK_MESSAGE = "the page is blank: nothing on it stands out from the paper; give a drawing"
RIDGE_PENALTY = np.diag(np.array([1e-6, 1e-3, 1e-3, 1e-3, 1e-3, 1e-3], np.float32))  # flat where little paper is bare


class RuledLines(NamedTuple):
    """Straight thin lines from the left to the right edge of a page."""

    starts: NDArray[np.float64]  # (n,) rows in the first column
    ends: NDArray[np.float64]  # (n,) rows in the last column
    strengths: NDArray[np.uint8]  # (n,) level of the ink that the lines themselves have
    reach: int  # rows that the thickest takes on either side of its middle, with its soft edge


def to_grey(scene: Image) -> Image:
    """Convert to grey along the colours' own main axis, uint8 (H, W): yellow ink on white paper stays visible.

    The axis is the first principal component of a sample of the colours, regularised a little towards neutral.
    """
    if scene.ndim == 2:
        return scene
    red, green, blue = cv2.split(scene)
    if cv2.norm(red, green, cv2.NORM_INF) == 0 and cv2.norm(red, blue, cv2.NORM_INF) == 0:
        return red
    sample = cv2.resize(scene, (COLOUR_SAMPLE_SIDE,) * 2, interpolation=cv2.INTER_NEAREST)
    colours = sample.reshape(-1, 3).astype(np.float64)
    mean = np.full(len(colours), 1 / len(colours)) @ colours
    covariance = colours.T @ colours / len(colours) - np.outer(mean, mean) + 4.0
    axis = np.linalg.eigh(covariance)[1][:, -1]
    axis = axis / np.abs(axis).sum() * (1 if axis.sum() >= 0 else -1)
    projection = np.append(axis, -255 * np.minimum(axis, 0).sum())[None].astype(np.float32)  # (1, 4), with an offset
    grey: Image = cv2.transform(scene, projection)
    return grey


def extract_ink(scene: Image) -> Image:
    """Extract the ink from a page of any shade, uint8 (H, W): 0 = bare paper, 255 = full ink.

    A scene of more than `MAX_SCENE_SIDE` pixels is scaled down first.

    Raises PictureError if nothing stands out from the paper and its noise.
    """
    if max(scene.shape) > MAX_SCENE_SIDE:
        scale = MAX_SCENE_SIDE / max(scene.shape)
        width, height = (max(1, round(side * scale)) for side in scene.shape[1::-1])
        scene = cv2.resize(scene, (width, height), interpolation=cv2.INTER_AREA)
    grey = to_grey(scene)
    sheet = document.isolate_sheet(grey)
    if sheet is not None:
        try:
            return _extract_ink_from_grey(sheet)
        except PictureError:  # the sheet is blank: it is itself the drawing, a light shape on a dark page
            pass
    return _extract_ink_from_grey(grey)


def _extract_ink_from_grey(grey: Image) -> Image:
    """Grey to ink, uint8 (H, W) both. Raises PictureError if nothing stands out."""
    thumb = _estimate_paper(grey)
    darkest, lightest = cv2.minMaxLoc(thumb)[:2]
    paper = cv2.resize(thumb, grey.shape[::-1], interpolation=cv2.INTER_LINEAR)
    darker, lighter = cv2.subtract(paper, grey), cv2.subtract(grey, paper)
    shaded = MIN_SHADED_LEVEL < darkest < lightest
    grey_noise = _noise_level(grey)
    for difference in sorted((darker, lighter), key=lambda image: cv2.norm(image, cv2.NORM_L2SQR), reverse=True):
        ink, noise = difference, grey_noise
        if difference is darker and shaded:  # shade dims paper and ink by the same factor
            ink = cv2.bitwise_not(cv2.divide(grey, paper, scale=255))
            noise *= 255 / cv2.mean(thumb)[0]
        level = _full_ink_level(ink, 3 * noise)
        if level < max(MIN_CONTRAST, 4 * noise):
            break
        low = max(0.33 * level, 2.5 * noise)
        high = max(0.75 * level, low + 1)
        ramp = np.clip((np.arange(256) - low) * (255 / (high - low)), 0, 255).astype(np.uint8)
        ink = cv2.LUT(_remove_ruling(ink, level, noise), ramp)
        if cv2.minMaxLoc(ink)[1] >= SOLID_INK:  # less is what erased ruled lines leave: try the other side
            return ink
    raise PictureError(BLANK_MESSAGE)


def _full_ink_level(ink: Image, floor: float) -> float:
    """Difference between full ink and paper: the mean of the higher of Otsu's two classes of what exceeds `floor`."""
    strong = np.asarray(ink)[ink > int(floor)]  # whole numbers: compared to a float, all levels would become floats
    if not len(strong):
        return 0.0
    threshold = int(cv2.threshold(strong, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)[0])
    above = strong[strong > threshold]
    return float((above if len(above) else strong).mean())


def _remove_ruling(ink: Image, level: float, noise: float) -> Image:
    """Erase the lines of ruled or squared paper from the difference to the paper.

    They are thin and straight and run from edge to edge nearly along the page. A single one must be fainter than the
    drawing, whose full ink has this `level`; from three on they may be as strong. Most paper is ruled so faintly that
    its lines do not exceed the noise.
    """
    weak = cv2.threshold(ink, max(WEAK_INK * level, 2 * noise), 255, cv2.THRESH_BINARY)[1]
    rows = columns = None
    if cv2.countNonZero(weak[:, :1]) or cv2.countNonZero(weak[:, -1:]):
        rows = _find_ruled_lines(ink, weak, level)
    if cv2.countNonZero(weak[:1]) or cv2.countNonZero(weak[-1:]):
        columns = _find_ruled_lines(cv2.transpose(ink), cv2.transpose(weak), level)
    return ink if rows is None and columns is None else _erase_ruling(ink, rows, columns, level)


def _find_ruled_lines(ink: Image, weak: Image, level: float) -> RuledLines | None:
    """Find the ruled lines that run from left to right; None if there is none.

    `weak` is 255 where there is as much ink as a ruled line has, else 0.
    """
    height, width = weak.shape
    strip = 2 + width // 64
    runs = [_thin_runs(weak[:, :strip]), _thin_runs(weak[:, -strip:])]
    starts, ends, paired = _pair_ends(runs[0][:, 0], runs[1][:, 0], width)
    if not len(starts):
        return None
    x = np.rint(np.linspace(0, width - 1, RULING_SAMPLES)).astype(np.intp)
    y = np.rint(starts[:, None] + (ends - starts)[:, None] * (x / max(1, width - 1))).astype(np.intp)
    y = y.clip(0, height - 1)
    beside = 3 + height // 40
    padded = cv2.copyMakeBorder(weak, beside, beside, 0, 0, cv2.BORDER_CONSTANT, value=0)
    inked = np.asarray(cv2.dilate(padded, VERTICAL_KERNEL))
    above, on, below = (np.count_nonzero(inked[y + offset, x], 1) / len(x) for offset in (0, beside, 2 * beside))
    is_line = (on >= RULED_LINE_COVERAGE) & (np.maximum(above, below) < MAX_BESIDE_RULING)
    if not is_line.any():
        return None
    starts, ends, paired, y = starts[is_line], ends[is_line], paired[is_line], y[is_line]
    strongest = np.asarray(cv2.dilate(ink, np.ones((2 * beside - 1, 1), np.uint8)))  # not the soft edge of a stroke
    strengths = np.sort(strongest[y, x], axis=1)[:, int(0.3 * len(x))]
    faint = strengths <= FAINT_RULING * level
    strong = ~faint & paired
    count = min(len(np.unique(starts[strong])), len(np.unique(ends[strong])))
    is_ruling = faint | (strong & (count >= MIN_STRONG_RULING))
    if not is_ruling.any():
        return None
    thickness = max(float(side[:, 1].max(initial=1)) for side in runs)
    return RuledLines(starts[is_ruling], ends[is_ruling], strengths[is_ruling], int(thickness / 2) + 1)


def _pair_ends(left: NDArray[np.float64], right: NDArray[np.float64], width: int) -> tuple[NDArray[Any], ...]:
    """First and last row of every line that the rows in which one may end allow, and whether both are such, (n,) each.

    Where other ink hides one end, a few slopes are tried.
    """
    rise = right - left[:, None]
    pairs = np.abs(rise) <= MAX_RULING_SLOPE * width
    starts, ends = [left[np.nonzero(pairs)[0]]], [right[np.nonzero(pairs)[1]]]
    slopes = RULING_SLOPES * width
    for alone, known, other in ((~pairs.any(1), left, (starts, ends)), (~pairs.any(0), right, (ends, starts))):
        if alone.any():
            rows = np.repeat(known[alone], len(slopes))
            other[0].append(rows)
            other[1].append(rows + np.tile(slopes, np.count_nonzero(alone)))
    is_pair = np.arange(sum(map(len, starts))) < len(starts[0])
    return np.concatenate(starts), np.concatenate(ends), is_pair


def _thin_runs(strip: Image) -> NDArray[np.float64]:
    """Middle row and thickness of every thin run of ink in a strip of the page's edge, (n, 2)."""
    inked = np.concatenate([[False], cv2.reduce(strip, 1, cv2.REDUCE_AVG).ravel() >= 128, [False]])
    runs = np.flatnonzero(inked[1:] != inked[:-1]).reshape(-1, 2)
    thickness = runs[:, 1] - runs[:, 0]
    thin = thickness <= 3 + len(strip) // 40
    return np.column_stack([(runs.sum(1) - 1) / 2, thickness])[thin]


def _erase_ruling(ink: Image, rows: RuledLines | None, columns: RuledLines | None, level: float) -> Image:
    """Erase lines from left to right and from top to bottom, except where a stroke crosses them or is stronger.

    Where two lines cross each other they are stronger, too: there, only a stroke that goes on remains.
    """
    limits = [
        np.zeros_like(ink),
        np.zeros(ink.shape[::-1], np.uint8),
    ]  # on a line, what its own ink does not exceed; else 0
    for limit, lines in zip(limits, (rows, columns), strict=True):
        if lines is not None:
            for start, end, strength in zip(lines.starts, lines.ends, lines.strengths, strict=True):
                own = float(strength)
                most = min(RULING_VARIATION * own, (own + level) / 2) if own <= FAINT_RULING * level else 255
                cv2.line(
                    limit, (0, round(start)), (limit.shape[1] - 1, round(end)), max(1, int(most)), 2 * lines.reach + 1
                )
    limits[1] = cv2.transpose(limits[1])
    limit = cv2.max(limits[0], limits[1])
    bare = cv2.threshold(limit, 0, 255, cv2.THRESH_BINARY_INV)[1]
    is_crossing = cv2.threshold(cv2.min(limits[0], limits[1]), 0, 255, cv2.THRESH_BINARY)[1]
    solid = cv2.bitwise_and(cv2.threshold(ink, LINE_INK / 255 * level, 255, cv2.THRESH_BINARY)[1], bare)
    reach = max(lines.reach for lines in (rows, columns) if lines is not None)
    beside_stroke = cv2.dilate(solid, np.ones((2 * reach + 3, 2 * reach + 3), np.uint8))
    stronger = cv2.bitwise_and(
        cv2.compare(ink, limit, cv2.CMP_GT), cv2.bitwise_or(beside_stroke, cv2.bitwise_not(is_crossing))
    )
    keep = cv2.dilate(stronger, document.KERNEL_3X3)  # with the soft edge of the stroke
    for lines, across in ((rows, (-1, 1)), (columns, (1, -1))):
        if lines is not None:
            kernel = np.ones([2 * lines.reach + 5 if side < 0 else 1 for side in across], np.uint8)
            keep = cv2.bitwise_or(keep, cv2.morphologyEx(solid, cv2.MORPH_CLOSE, kernel))
    return cv2.bitwise_and(ink, cv2.bitwise_or(keep, bare))


def _noise_level(grey: Image) -> float:
    """Standard deviation of the paper's noise in levels, from the median difference of neighbours (normal noise)."""
    rows = grey[:: max(1, grey.shape[0] // 32)]
    if rows.shape[1] < 2:
        return 0.0
    steps = np.asarray(cv2.absdiff(rows[:, 1:], rows[:, :-1])).ravel()
    middle = (len(steps) - 1) // 2
    return float(np.partition(steps, middle)[middle]) / 0.954


def _estimate_paper(grey: Image) -> Image:
    """Level of the bare paper all over the page, uint8, as a thumbnail of at most `PAPER_THUMBNAIL_SIDE` pixels.

    A median filter removes the strokes and leaves shade and filled areas. Paper is what small steps lead to from the
    page's edge: they cross shade, but not the rim of a filled area, nor enter a thick stroke. What lies at the level
    that this paper would have there (within a closed outline) is paper, too.
    """
    scale = min(1.0, PAPER_THUMBNAIL_SIDE / max(grey.shape))
    width, height = (max(4, round(side * scale)) for side in grey.shape[::-1])
    small = cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA)
    thumb = cv2.medianBlur(small, 7)
    darkest, lightest = cv2.minMaxLoc(thumb)[:2]
    tolerance = 4 + 3 * _noise_level(thumb)
    shade_step = max(tolerance, MAX_SHADE_STEP * (lightest - darkest))
    bare = _flood_from_edges(thumb, shade_step, np.zeros_like(thumb))
    max_deviation = FLAT_PAPER_RATIO * max(64, lightest - darkest)
    mean, deviation = cv2.meanStdDev(thumb, mask=bare)
    if deviation[0, 0] >= max_deviation:  # paper in shade, or a flood that entered strokes over their blurred rims
        light_share = np.count_nonzero(small > (lightest + darkest) // 2) / small.size
        strokes = _find_thick_strokes(
            thumb,
            max(2 * tolerance, MIN_STROKE_DEPTH * (lightest - darkest)),
            darker=bool(light_share >= 1 - CLEAR_MAJORITY),
            lighter=bool(light_share <= CLEAR_MAJORITY),
        )
        bare = _flood_from_edges(thumb, shade_step, strokes)
        mean, deviation = cv2.meanStdDev(thumb, mask=bare)
    if deviation[0, 0] < max_deviation:
        return np.full_like(thumb, round(mean[0, 0]))
    residual = np.abs(thumb - _extrapolate_background(thumb, bare))
    is_paper = (bare > 0) | (residual < tolerance + 3 * float(np.median(residual[bare > 0])))
    if is_paper.all():
        return thumb
    background = np.rint(_extrapolate_background(thumb, is_paper.astype(np.uint8))).clip(0, 255)
    return np.where(is_paper, thumb, background).astype(np.uint8)


def _find_thick_strokes(thumb: Image, depth: float, *, darker: bool, lighter: bool) -> Image:
    """1 on strokes and small areas that differ by more than `depth` levels from what lies around, else 0: uint8 (h, w).

    Those that are `darker`, those that are `lighter`, or both. Closing and opening fill what is narrower than the
    kernel. The thumbnail is continued beyond its edges as it approaches them (odd reflection), so that neither a slope
    nor a step of shade is taken for a stroke.
    """
    border = (STROKE_KERNEL.shape[0] // 2,) * 4
    replicated = cv2.copyMakeBorder(thumb, *border, cv2.BORDER_REPLICATE)
    reflected = cv2.copyMakeBorder(thumb, *border, cv2.BORDER_REFLECT_101)
    continued = cv2.addWeighted(replicated, 2, reflected, -1, 0, dtype=cv2.CV_32F)
    strokes = np.zeros_like(thumb)
    for wanted, operation in ((darker, cv2.MORPH_BLACKHAT), (lighter, cv2.MORPH_TOPHAT)):
        if wanted:
            step = np.asarray(cv2.morphologyEx(continued, operation, STROKE_KERNEL))
            strokes[(step > depth)[border[0] : -border[0], border[0] : -border[0]]] = 1
    return strokes


def _flood_from_edges(thumb: Image, tolerance: float, blocked: Image) -> Image:
    """1 where steps of at most `tolerance` levels lead to from twelve seeds along the edge, else 0: uint8 (h, w).

    The steps do not enter what is `blocked` (1, else 0; uint8 (h, w)).
    """
    height, width = thumb.shape
    mask = cv2.copyMakeBorder(blocked * 255, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    count = 0
    for x in (0, width // 3, 2 * width // 3, width - 1):
        for y in (0, height // 3, 2 * height // 3, height - 1):
            if (x in (0, width - 1) or y in (0, height - 1)) and not mask[y + 1, x + 1]:
                count += 1
                cv2.floodFill(thumb, mask, (x, y), 0, tolerance, tolerance, 4 | cv2.FLOODFILL_MASK_ONLY | count << 8)
    regions = np.asarray(mask)[1:-1, 1:-1]
    regions[regions == 255] = 0
    edge = np.concatenate([regions[0], regions[-1], regions[:, 0], regions[:, -1]])
    edge_pixels = np.bincount(edge, minlength=count + 1)  # of each region
    edge_pixels[0] = 0
    is_paper = (edge_pixels >= min(MIN_EDGE_SHARE * len(edge), edge_pixels.max())).astype(np.uint8)
    is_paper[0] = 0
    paper: Image = is_paper[regions]
    return paper


def _extrapolate_background(thumb: Image, bare: Image) -> NDArray[np.float32]:
    """Continue the level of the `bare` pixels beneath the others: a quadratic surface plus its blurred residual.

    float32 (h, w). Far from bare paper, in a wide filled area, only the surface counts.
    """
    basis = _quadratic_basis(thumb.shape[0], thumb.shape[1])
    weight = bare.astype(np.float32)
    weighted = (basis * weight.ravel()[:, None]).T
    penalty = thumb.size * RIDGE_PENALTY
    surface = basis @ np.linalg.solve(weighted @ basis + penalty, weighted @ thumb.ravel().astype(np.float32))
    surface = surface.reshape(thumb.shape)
    residual = cv2.GaussianBlur((thumb - surface) * weight, (0, 0), 2.0)
    level: NDArray[np.float32] = surface + residual / (cv2.GaussianBlur(weight, (0, 0), 2.0) + 0.05)
    return level


@cache
def _quadratic_basis(height: int, width: int) -> NDArray[np.float32]:
    """1, x, y, x², xy, y² at every pixel, x and y in -1..1: float32 (height × width, 6)."""
    y, x = (part.ravel() for part in np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij"))
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], 1).astype(np.float32)
