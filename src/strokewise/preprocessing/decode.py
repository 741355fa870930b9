"""Any file, bytes or array → a scene: uint8 (H, W) grey or (H, W, 3) RGB. All sizes are bounded before decoding."""

import contextlib
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from cv2.typing import MatLike as Image
from numpy.typing import NDArray

from strokewise.errors import PictureError
from strokewise.preprocessing import image_header
from strokewise.preprocessing.binarize import MIN_CONTRAST

BGR_TO_RGB = {3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGBA}  # by number of channels
MIN_SIDE = 8  # pixels: a smaller picture cannot show a shape
MAX_PIXELS = 2**26  # 8192×8192, more than a phone's camera takes
MAX_FILE_BYTES = 2**27  # of an encoded file
EXIF_ORIENTATION = 0x0112  # tag 274 of TIFF 6.0
EXIF_TRANSFORMS = {  # by orientation: (whether rows and columns are swapped, then the axes that are reversed)
    2: (False, (1,)), 3: (False, (0, 1)), 4: (False, (0,)), 5: (True, ()), 6: (True, (1,)), 7: (True, (0, 1)),
    8: (True, (0,)),
}  # fmt: skip
MIN_OPAQUE = 250  # alpha of 255: a pixel with more hides what is behind it
MIN_PAGE_FILL = 0.9  # share of its bounding box that an opaque page fills; a drawn shape that does is of one colour
MIN_PAGE_MARKS = 0.001  # share of an opaque page that differs from its colour if something is drawn on it
PAGE_SAMPLE = 2**16  # pixels of a page that are looked at, at least
BLACK_ADVANTAGE = 1.05  # how many times more ink must be seen on black than on white


@contextlib.contextmanager
def opencv_memory_errors() -> Iterator[None]:
    """Make a MemoryError of OpenCV's own kind of it: a picture is not damaged because the machine is full."""
    try:
        yield
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:
            raise MemoryError("a picture takes too much") from None
        raise


def decode(source: Path | bytes | NDArray[Any]) -> NDArray[np.uint8]:
    """Decode a picture to a scene, uint8 (H, W) or (H, W, 3) RGB. The first frame of an animation is taken.

    Transparent pixels become white or black, whichever shows more of the ink, or the colour of an opaque page.

    Args:
        source: A path or the bytes of a PNG, JPEG, WebP, BMP or GIF with 1 to 16 bits, grey, RGB, RGBA or palette; or
            an array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) of bool, uint16, whole numbers up to 255, or floats in
            0..1 or 0..255.

    Raises PictureError if the source cannot be read, is damaged, or is smaller or larger than allowed, and MemoryError.
    """
    with opencv_memory_errors():
        pixels = _array_to_uint8(source) if isinstance(source, np.ndarray) else _decode_bytes(_read_bytes(source))
        scene = _composite_on_paper(pixels)
    height, width = scene.shape[:2]
    if min(height, width) < MIN_SIDE:
        raise PictureError(f"{width}×{height} pixels hold no shape; give at least {MIN_SIDE}×{MIN_SIDE}")
    return np.asarray(scene, np.uint8)


def _read_bytes(source: Path | bytes) -> bytes:
    if isinstance(source, bytes | bytearray | memoryview):
        data = bytes(source)
    elif isinstance(source, Path | str):
        path = Path(source)
        try:
            if path.exists() and not path.is_file():
                raise PictureError(f"{path} is no file; name a picture: {image_header.FORMATS}")
            if (size := path.stat().st_size) > MAX_FILE_BYTES:
                raise PictureError(f"{path} holds {size:,} bytes; at most {MAX_FILE_BYTES:,} are read: shrink it")
            data = path.read_bytes()
        except (OSError, ValueError) as error:
            raise PictureError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    else:
        raise PictureError(f"a {type(source).__name__} is no picture; give a path, bytes or an array")
    if len(data) > MAX_FILE_BYTES:
        raise PictureError(f"{len(data):,} bytes; at most {MAX_FILE_BYTES:,} are read: shrink the picture")
    if not data:
        raise PictureError(f"the file is empty; give a picture: {image_header.FORMATS}")
    return data


def _decode_bytes(data: bytes) -> Image:
    """Decode to uint8 (H, W), (H, W, 3) RGB or (H, W, 4) RGBA, after the size in the header has been checked."""
    header = image_header.read_header(data)
    _check_pixel_count(header.width, header.height)
    if not header.complete:
        raise PictureError(f"the {header.format} ends too early; it is truncated: get it again")
    encoded = np.frombuffer(data, np.uint8)
    try:
        scene = cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED)  # keeps alpha and 16 bits, but ignores EXIF's rotation
        if scene is not None and header.exif:
            has_alpha = scene.ndim == 3 and scene.shape[2] == 4
            scene = _apply_exif(scene, encoded) if has_alpha else cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:
            raise
        scene = None
    if scene is None:
        np.empty((2, header.height, header.width, 4), np.uint8)  # OpenCV keeps silent about a MemoryError in it
        raise PictureError(f"the {header.format} cannot be decoded; it is damaged or truncated: get it again")
    if scene.dtype != np.uint8:
        scene = cv2.convertScaleAbs(scene, alpha=1 / 257)
    return scene if scene.ndim == 2 else cv2.cvtColor(scene, BGR_TO_RGB[scene.shape[2]])


def _array_to_uint8(array: NDArray[Any]) -> Image:
    """Convert an array to uint8 (H, W), (H, W, 3) or (H, W, 4)."""
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        raise PictureError(f"an array of shape {array.shape} is no picture; give (H, W), (H, W, 3) or (H, W, 4)")
    if array.size == 0:
        raise PictureError(f"an array of shape {array.shape} holds no pixels; give at least {MIN_SIDE}×{MIN_SIDE}")
    _check_pixel_count(array.shape[1], array.shape[0])
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    if array.dtype.kind not in "buif":
        raise PictureError(f"an array of {array.dtype} is no picture; give bool, whole numbers or floats")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise PictureError("the array holds NaN or infinity; every pixel must be a number in 0..1 or 0..255")
    low, high = float(array.min()), float(array.max())
    limit = 65535 if array.dtype == np.uint16 else 255
    if low < 0 or high > limit:
        raise PictureError(f"the array's values go from {low:g} to {high:g}; they must lie in 0..1 or 0..{limit}")
    scale = 255 if array.dtype == bool or (array.dtype.kind == "f" and high <= 1) else 255 / limit
    return np.ascontiguousarray(np.rint(array * np.float32(scale)), dtype=np.uint8)


def _check_pixel_count(width: int, height: int) -> None:
    if width < 1 or height < 1:
        raise PictureError(f"the picture claims {width}×{height} pixels; it is damaged: get it again")
    if width * height > MAX_PIXELS:
        raise PictureError(f"{width}×{height} pixels are too many; at most {MAX_PIXELS:,} are decoded: shrink it")


def _apply_exif(scene: Image, encoded: NDArray[np.uint8]) -> Image:
    """Rotate and mirror a decoded picture as its EXIF orientation says."""
    _, kinds, metadata = cv2.imdecodeWithMetadata(encoded, cv2.IMREAD_UNCHANGED)
    exif = [np.asarray(block).tobytes() for kind, block in zip(kinds, metadata, strict=True) if kind == 0]
    swapped, reversed_axes = EXIF_TRANSFORMS.get(_exif_orientation(exif[0]) if exif else 1, (False, ()))
    upright = scene.swapaxes(0, 1) if swapped else scene
    return np.ascontiguousarray(np.flip(upright, reversed_axes))


def _exif_orientation(exif: bytes) -> int:
    """The orientation, 1 (upright) to 8, in a TIFF structure; 1 if there is none or it is damaged."""
    exif = exif.removeprefix(b"Exif\0\0")
    order = "<" if exif[:2] == b"II" else ">"
    try:
        (offset,) = struct.unpack_from(f"{order}I", exif, 4)
        (count,) = struct.unpack_from(f"{order}H", exif, offset)
        for entry in range(count):
            tag, _, _, value = struct.unpack_from(f"{order}HHIH", exif, offset + 2 + 12 * entry)
            if tag == EXIF_ORIENTATION:
                return int(value)
    except struct.error:
        pass
    return 1


def _composite_on_paper(scene: Image) -> Image:
    """Composite RGBA on the colour of the page that its opaque pixels show; else on white or black, as grey."""
    if scene.ndim == 2 or scene.shape[2] == 3:
        return scene
    colour, alpha = cv2.cvtColor(scene, cv2.COLOR_RGBA2RGB), cv2.extractChannel(scene, 3)
    if alpha.min() == 255:
        return colour
    page_colour = _opaque_page_colour(colour, alpha)
    if page_colour is not None:
        return _composite_on_colour(colour, alpha, page_colour)
    red, green, blue = cv2.split(colour)
    # the channel that differs most from the paper: red and yellow stand out as much as black and white
    on_white = cv2.add(cv2.multiply(cv2.min(cv2.min(red, green), blue), alpha, scale=1 / 255), cv2.bitwise_not(alpha))
    on_black = cv2.multiply(cv2.max(cv2.max(red, green), blue), alpha, scale=1 / 255)
    seen_on_white = np.count_nonzero(on_white < 255 - MIN_CONTRAST)
    seen_on_black = np.count_nonzero(on_black > MIN_CONTRAST)
    return on_black if seen_on_black > BLACK_ADVANTAGE * seen_on_white else on_white


def _composite_on_colour(colour: Image, alpha: Image, paper: NDArray[np.uint8]) -> Image:
    opacity = cv2.merge([alpha] * 3)
    behind = np.tile(paper, (*alpha.shape, 1))
    return cv2.add(
        cv2.multiply(colour, opacity, scale=1 / 255), cv2.multiply(behind, cv2.bitwise_not(opacity), scale=1 / 255)
    )


def _opaque_page_colour(colour: Image, alpha: Image) -> NDArray[np.uint8] | None:
    """The median colour of the opaque pixels if they are a page with something on it, rather than the ink itself.

    A page fills its bounding box, but for round corners or a shadow, and not all of it has the same colour.
    """
    opaque = (np.asarray(alpha) > MIN_OPAQUE).astype(np.uint8)
    x, y, width, height = cv2.boundingRect(opaque)
    inside = opaque[y : y + height, x : x + width] > 0
    if not inside.any() or inside.mean() < MIN_PAGE_FILL or min(width, height) < MIN_SIDE:
        return None
    pixels = colour[y : y + height, x : x + width][inside]
    pixels = pixels[:: max(1, len(pixels) // PAGE_SAMPLE)]
    median = np.median(pixels, axis=0).astype(np.uint8)
    differs = (np.abs(pixels.astype(np.int16) - median) > MIN_CONTRAST).any(axis=1)
    return median if differs.mean() > MIN_PAGE_MARKS else None
