"""The one door for pixels: any file, bytes or array -> the picture that the network sees.

`decode`: a path, encoded bytes or an array -> a scene, uint8 (H, W) grey or (H, W, 3) RGB.
`picture`: the same -> a picture, uint8 (G, G), 0 = bare paper, 255 = full ink: the paper evened out, light or
dark ink found by itself, cropped to the ink, evened, centred with a margin, its lines never lost.
Training, judging, prediction and serving all pass here. Pure functions without state: any thread may call them.
"""

import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from cv2.typing import MatLike as Image
from numpy.typing import NDArray

from strokewise import headers
from strokewise.errors import PictureError
from strokewise.page import BLANK, FAINTEST, SOLID, ink_on

Scene = NDArray[np.uint8]
Picture = NDArray[np.uint8]

PNG = (cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_NONE)  # fast, and small for lines
GREY_PNG = (*PNG, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE)  # faster still where a pixel is one byte
BGR_TO_RGB = {3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGBA}
LEAST_SIDE = 8  # pixels: below it nothing has a shape
MOST_PIXELS = 2**26  # 8192×8192, above a telephone's camera
MOST_BYTES = 2**27  # of an encoded file
SEARCH_SIDE = 160  # pixels: the picture on which the ink is searched for its frame
MARGIN = 1 / 16  # of the ink's longer side, left free around it
LONGEST = 9.0  # times as long as wide: what is longer is evened as this is
THINNEST = 1 / 43  # of the grid: thinner lines are thickened (to 1.5 of 64 pixels)
REACH = 2  # pixels: ink closer than twice this is one part
SPECK = 0.2  # of the largest part: smaller ones that lie further away than this are specks


def picture(source: Path | bytes | NDArray[Any], grid: int) -> Picture:
    """The canonical picture of `source`: uint8 (grid, grid), 0 = bare paper, 255 = full ink.

    Raises PictureError for whatever `decode` refuses and for a page on which nothing stands out.
    """
    ink = ink_on(decode(source))
    pyramid = [ink]
    while max(pyramid[-1].shape) > SEARCH_SIDE:
        pyramid.append(_halved(pyramid[-1]))
    (left, top, right, bottom), kept = _frame(pyramid[-1])
    level = len(pyramid) - 1  # the smallest on which the frame still holds twice the grid's pixels
    while level > 0 and max(right - left, bottom - top) * 2 ** (len(pyramid) - 1 - level) < 2 * grid:
        level -= 1
    factor = 2 ** (len(pyramid) - 1 - level)
    ink = pyramid[level] if kept is None else _masked(pyramid[level], kept, factor)
    return _fitted(ink, left * factor, top * factor, right * factor, bottom * factor, grid)


def decode(source: Path | bytes | NDArray[Any]) -> Scene:
    """A scene, uint8 (H, W) or (H, W, 3) RGB, from a file, its bytes or an array.

    Files: PNG, JPEG, WebP, BMP, the first frame of a GIF; 1 to 16 bits; grey, RGB, RGBA or palette. Arrays: (H, W),
    (H, W, 1), (H, W, 3) or (H, W, 4) of bool, of uint16, of whole numbers up to 255, or of floats in 0..1 or 0..255.
    What is transparent becomes white, or black where only white ink would be left. Raises PictureError, one line.
    """
    scene = _opaque(_checked(source) if isinstance(source, np.ndarray) else _decoded(_bytes(source)))
    if min(scene.shape[:2]) < LEAST_SIDE:
        raise PictureError(f"{_size(scene)} pixels hold no shape; give at least {LEAST_SIDE}×{LEAST_SIDE}")
    return np.asarray(scene, np.uint8)


def encode(scene: Scene) -> bytes:
    """A scene, uint8 (H, W) or (H, W, 3) RGB, as PNG: the same pixels give the same bytes."""
    if scene.ndim == 2:
        done, coded = cv2.imencode(".png", scene, GREY_PNG)
    else:
        done, coded = cv2.imencode(".png", cv2.cvtColor(scene, cv2.COLOR_RGB2BGR), PNG)
    assert done
    return coded.tobytes()


def shrunk(scene: Scene, side: int) -> Scene:
    """A scene whose longer side is at most `side` pixels, by averaging areas: for sheets."""
    shrink = side / max(scene.shape[:2])
    if shrink >= 1:
        return scene
    width, height = (max(1, round(length * shrink)) for length in scene.shape[1::-1])
    return np.asarray(cv2.resize(scene, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


# --- from a file or an array to a scene


def _bytes(source: Path | bytes) -> bytes:
    if isinstance(source, bytes | bytearray | memoryview):
        data = bytes(source)
    elif isinstance(source, Path | str):
        path = Path(source)
        try:
            if path.exists() and not path.is_file():
                raise PictureError(f"{path} is no file; name a picture: {headers.FORMATS}")
            if (size := path.stat().st_size) > MOST_BYTES:
                raise PictureError(f"{path} holds {size:,} bytes; at most {MOST_BYTES:,} are read: shrink it")
            data = path.read_bytes()
        except (OSError, ValueError) as error:
            raise PictureError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    else:
        raise PictureError(f"a {type(source).__name__} is no picture; give a path, bytes or an array")
    if len(data) > MOST_BYTES:
        raise PictureError(f"{len(data):,} bytes; at most {MOST_BYTES:,} are read: shrink the picture")
    if not data:
        raise PictureError(f"the file is empty; give a picture: {headers.FORMATS}")
    return data


def _decoded(data: bytes) -> Image:
    """Decode to uint8 (H, W), (H, W, 3) RGB or (H, W, 4) RGBA, after the header has been believed."""
    header = headers.read(data)
    _bounded(header.width, header.height)
    if not header.whole:
        raise PictureError(f"the {header.format} ends too early; it is truncated: get it again")
    coded = np.frombuffer(data, np.uint8)
    try:
        scene = cv2.imdecode(coded, cv2.IMREAD_UNCHANGED)  # keeps alpha and 16 bits, but leaves EXIF's turn undone
        if scene is not None and header.exif and not (scene.ndim == 3 and scene.shape[2] == 4):
            scene = cv2.imdecode(coded, cv2.IMREAD_COLOR)
    except (cv2.error, MemoryError):
        scene = None
    if scene is None:
        raise PictureError(f"the {header.format} cannot be decoded; it is damaged or truncated: get it again")
    if scene.dtype != np.uint8:
        scene = cv2.convertScaleAbs(scene, alpha=1 / 257)
    return scene if scene.ndim == 2 else cv2.cvtColor(scene, BGR_TO_RGB[scene.shape[2]])


def _checked(array: NDArray[Any]) -> Image:
    """An array as uint8 (H, W), (H, W, 3) or (H, W, 4)."""
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        raise PictureError(f"an array of shape {array.shape} is no picture; give (H, W), (H, W, 3) or (H, W, 4)")
    if array.size == 0:
        raise PictureError(f"an array of shape {array.shape} holds no pixels; give at least {LEAST_SIDE}×{LEAST_SIDE}")
    _bounded(array.shape[1], array.shape[0])
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    if array.dtype.kind not in "buif":
        raise PictureError(f"an array of {array.dtype} is no picture; give bool, whole numbers or floats")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise PictureError("the array holds NaN or infinity; every pixel must be a number in 0..1 or 0..255")
    low, high = float(array.min()), float(array.max())
    most = 65535 if array.dtype == np.uint16 else 255
    if low < 0 or high > most:
        raise PictureError(f"the array's values go from {low:g} to {high:g}; they must lie in 0..1 or 0..{most}")
    scale = 255 if array.dtype == bool or (array.dtype.kind == "f" and high <= 1) else 255 / most
    return np.ascontiguousarray(np.rint(array * np.float32(scale)), dtype=np.uint8)


def _bounded(width: int, height: int) -> None:
    if width < 1 or height < 1:
        raise PictureError(f"the picture says it is {width}×{height} pixels; it is damaged: get it again")
    if width * height > MOST_PIXELS:
        raise PictureError(f"{width}×{height} pixels are too many; at most {MOST_PIXELS:,} are decoded: shrink it")


def _opaque(scene: Image) -> Image:
    """Lay RGBA on white paper; on black where white would swallow everything that is there."""
    if scene.ndim == 2 or scene.shape[2] == 3:
        return scene
    colour, alpha = cv2.cvtColor(scene, cv2.COLOR_RGBA2RGB), cv2.extractChannel(scene, 3)
    if alpha.min() == 255:
        return colour
    cover = cv2.merge([alpha] * 3)
    inked = cv2.multiply(colour, cover, scale=1 / 255)
    on_white = cv2.add(inked, cv2.bitwise_not(cover))
    return on_white if int(on_white.min()) < 255 - FAINTEST else inked


def _size(scene: Image) -> str:
    return f"{scene.shape[1]}×{scene.shape[0]}"


# --- from ink to the picture


def _halved(ink: Image) -> Image:
    """Half the size, nearer to the maximum of four pixels than to their mean, so that a hairline does not fade away."""
    tall, wide = (side + side % 2 for side in ink.shape)
    even = cv2.copyMakeBorder(ink, 0, tall - ink.shape[0], 0, wide - ink.shape[1], cv2.BORDER_REPLICATE)
    columns = cv2.max(even[:, ::2], even[:, 1::2])
    most = cv2.max(columns[::2], columns[1::2])
    mean = cv2.resize(even, (wide // 2, tall // 2), interpolation=cv2.INTER_AREA)
    return cv2.addWeighted(most, 0.75, mean, 0.25, 0)


def _solid(ink: Image) -> Image:
    """255 where there is ink, 0 on its soft rims; where halving has faded all of it, half of the most will do."""
    most = cv2.minMaxLoc(ink)[1]
    if most == 0:
        raise PictureError(BLANK)
    return cv2.threshold(ink, min(SOLID, most / 2), 255, cv2.THRESH_BINARY)[1]


def _frame(ink: Image) -> tuple[tuple[int, int, int, int], Image | None]:
    """Where the shape is: left, top, right, bottom in pixels, and 255 where its parts are, if others were dropped.

    A part is ink with gaps of at most 4 pixels. Parts are told apart at half the size: the gaps hide it.
    """
    solid = _solid(ink)
    joined = cv2.dilate(solid, np.ones((2 * REACH + 1, 2 * REACH + 1), np.uint8))[::2, ::2]
    count, labels, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8, ltype=cv2.CV_16U)
    kept: Image | None = None
    if count > 2 and not (keep := _belonging(2 * np.asarray(stats[1:], np.int64), ink.shape)).all():
        inside = np.array([0, *keep * 255], np.uint8)[np.asarray(labels)]
        kept = inside.repeat(2, 0).repeat(2, 1)[: ink.shape[0], : ink.shape[1]]
        solid = cv2.bitwise_and(solid, np.ascontiguousarray(kept))
    left, top, width, height = cv2.boundingRect(solid)
    return (left, top, left + width, top + height), kept


def _belonging(stats: NDArray[np.int64], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Which parts make the shape, bool (n,), from OpenCV's statistics of them (n, 5), in pixels.

    Dropped are specks away from the largest part, and what comes in over the page's edge where the largest does not.
    """
    starts, ends, areas = stats[:, :2], stats[:, :2] + stats[:, 2:4], stats[:, 4]
    main = int(areas.argmax())
    extent = (ends - starts).max(1) - 2 * REACH
    gap = np.maximum(starts - ends[main], starts[main] - ends).max(1) + 2 * REACH
    near = gap <= np.minimum(SPECK * extent[main], 3 * extent)
    cut = np.asarray(((starts <= 0) | (ends >= [shape[1] - 1, shape[0] - 1])).any(1))
    foreign = cut & ~cut[main] & (areas < 0.6 * areas[main])
    keep = (near | (extent >= SPECK * extent[main])) & ~foreign
    return np.asarray(keep | (np.arange(len(stats)) == main))


def _masked(ink: Image, kept: Image, factor: int) -> Image:
    """`ink` where `kept`, which is `factor` times smaller, is not 0."""
    if factor > 1:  # the pyramid rounds up, so a plain stretch would slip
        kept = kept.repeat(factor, 0).repeat(factor, 1)[: ink.shape[0], : ink.shape[1]]
    return cv2.bitwise_and(ink, np.ascontiguousarray(kept))


def _fitted(ink: Image, left: int, top: int, right: int, bottom: int, grid: int) -> Picture:
    """The ink within the box, evened and centred with its margin on (grid, grid), lines at least `THINNEST` wide."""
    around = round(max(right - left, bottom - top) * MARGIN) + 1  # soft rims lie outside of the box
    ink = ink[max(top - around, 0) : bottom + around, max(left - around, 0) : right + around]
    while max(ink.shape) > 2.5 * grid:  # averaging by more than a quarter would let a hairline fade
        ink = _halved(ink)
    ink = cv2.LUT(cv2.warpAffine(ink, _evening(ink, 2 * grid), (2 * grid,) * 2), _SHARPEN)
    grown = cv2.dilate(ink, _PLUS)
    solid = int(cv2.countNonZero(ink))
    width = 2 * solid / max(1, cv2.countNonZero(grown) - solid)  # area over half the rim's length
    if width < 2 * THINNEST * grid:
        ink = grown
    return np.asarray(cv2.resize(ink, (grid, grid), interpolation=cv2.INTER_AREA), np.uint8)


def _evening(ink: Image, side: int) -> NDArray[np.float64]:
    """(2, 3), from a place (x, y) in the ink to one in a picture of side×side that the shape fills but for its margin.

    On the way a shape that is n times as long as wide becomes √n times as long, along whatever axis it lies: people
    stretch a shape as they please, and what tells a thin one from another is seen across it. Length and width are
    those of the ellipse with the second moments of the convex hull, the same for an outline and a filling.

    Moments: Casey 1970, Moment normalization of handprinted characters. The root: Liu, Nakashima, Sako, Fujisawa 2004,
    Handwritten digit recognition: investigation of normalization and feature extraction techniques.
    """
    corners = cv2.convexHull(cv2.findNonZero(_solid(ink))).reshape(-1, 1, 2).astype(np.float32) + _PIXEL
    hull = cv2.convexHull(corners.reshape(-1, 2)).reshape(-1, 2)
    found = cv2.moments(hull)
    lengths, axes = np.linalg.eigh([[found["mu20"], found["mu11"]], [found["mu11"], found["mu02"]]])  # squared
    longer = min(math.sqrt(lengths[1] / lengths[0]), LONGEST)
    linear = (axes * [math.sqrt(longer), 1]) @ axes.T
    ends = hull @ linear.T
    low, high = ends.min(0), ends.max(0)
    scale = side / (1 + 2 * MARGIN) / (high - low).max()
    return np.column_stack([scale * linear, (side - 1) / 2 - scale * (low + high) / 2])


_PIXEL = np.array([[-0.5, -0.5], [-0.5, 0.5], [0.5, -0.5], [0.5, 0.5]], np.float32)  # its corners about its middle
_PLUS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
_SHARPEN = np.clip((np.arange(256) / 255 - 0.12) * (255 / 0.4), 0, 255).astype(np.uint8)  # a faded line is full again
