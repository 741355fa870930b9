"""Decoding: files of every format and depth, colours, EXIF rotation, transparency, and the limit of a file's size."""

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from strokewise.data.png import encode_png
from strokewise.errors import PictureError
from strokewise.preprocessing.decode import decode
from strokewise.preprocessing.preprocess import preprocess

Draw = Callable[..., np.ndarray]
Encode = Callable[..., bytes]
IsSimilar = Callable[..., bool]


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "I;16"])
@pytest.mark.parametrize("file_format", ["PNG", "BMP", "GIF", "WEBP", "JPEG"])
def test_decode_agrees_with_pillow(
    file_format: str, mode: str, draw_circle: Draw, encode: Encode, is_similar: IsSimilar, circle_picture: np.ndarray
) -> None:
    is_16_bit = mode == "I;16"
    page = draw_circle()
    image = Image.fromarray(page.astype(np.uint16) * 257) if is_16_bit else Image.fromarray(page).convert(mode)
    try:
        data = encode(image, file_format)
    except (OSError, ValueError):
        pytest.skip(f"{file_format} has no {mode}")
    scene = decode(data)
    reread = Image.open(io.BytesIO(data))
    expected = np.asarray(reread) // 257 if reread.mode == "I;16" else np.asarray(reread.convert("L"))
    assert scene.shape[:2] == expected.shape
    grey = scene if scene.ndim == 2 else scene.mean(2)
    assert np.abs(grey.astype(int) - expected).max() <= (4 if file_format == "JPEG" else 1)  # rounding may differ
    assert is_similar(preprocess(data, 64), circle_picture, 0.9)


def test_colours_are_decoded_in_rgb_order(encode: Encode) -> None:
    page = np.full((32, 32, 3), 255, np.uint8)
    page[8:24, 8:24] = (200, 30, 90)
    for file_format in ("PNG", "BMP"):
        np.testing.assert_array_equal(decode(encode(page, file_format)), page)
    np.testing.assert_array_equal(decode(encode_png(page)), page)
    assert encode_png(page) == encode_png(page.copy())


def test_exif_rotation_is_applied(encode: Encode) -> None:
    page = np.full((40, 80), 255, np.uint8)
    page[5:10, 5:60] = 0
    exif = Image.Exif()
    exif[0x0112] = 6  # rotated by 90°
    scene = decode(encode(page, "JPEG", exif=exif, quality=95))
    assert scene.shape[:2] == (80, 40)
    assert np.abs(scene.mean(2).astype(int) - np.rot90(page, -1)).mean() < 5


@pytest.mark.parametrize("file_format", ["PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(10))
def test_exif_orientation_counts_for_transparent_pictures(file_format: str, orientation: int, encode: Encode) -> None:
    page = np.zeros((40, 80, 4), np.uint8)
    page[5:10, 5:60] = (0, 0, 0, 255)
    page[5:30, 5:9] = (0, 0, 0, 255)
    exif = Image.Exif()
    exif[0x010F] = "a maker"
    exif[0x0112] = orientation
    options = {"lossless": True} if file_format == "WEBP" else {}
    scene = decode(encode(page, file_format, exif=exif, **options))
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(encode(page, file_format, exif=exif, **options))))
    np.testing.assert_array_equal(scene, 255 - np.asarray(upright)[..., 3])


def test_damaged_exif_is_ignored(encode: Encode) -> None:
    page = np.zeros((40, 80, 4), np.uint8)
    page[5:10, 5:60] = (0, 0, 0, 255)
    for exif in (b"Exif\0\0", b"Exif\0\0MM\0*\xff\xff\xff\xff", b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + bytes(12)):
        assert decode(encode(page, "PNG", exif=exif)).shape == (40, 80)


BLACK, WHITE, RED, YELLOW, BLUE = (0, 0, 0), (255, 255, 255), (230, 0, 0), (255, 240, 0), (50, 60, 250)


@pytest.mark.parametrize("opacity", [255, 90])
@pytest.mark.parametrize(
    ("ink", "minor_ink"),
    [(BLACK, BLACK), (WHITE, WHITE), (WHITE, RED), (WHITE, YELLOW), (WHITE, BLUE), (BLACK, RED), (BLUE, YELLOW)],
)
def test_all_inks_on_a_transparent_page_are_seen(
    ink: tuple[int, ...],
    minor_ink: tuple[int, ...],
    opacity: int,
    draw_circle: Draw,
    encode: Encode,
    is_similar: IsSimilar,
    circle_picture: np.ndarray,
) -> None:
    alpha = (255 - draw_circle()) * np.float32(opacity / 255)
    page = np.dstack([np.full((128, 128, 3), ink, np.uint8), alpha.astype(np.uint8)])
    page[:, :50, :3] = minor_ink
    assert is_similar(preprocess(encode(page, "PNG"), 64), circle_picture, 0.9)
    assert is_similar(preprocess(page, 64), circle_picture, 0.9)


@pytest.mark.parametrize(("paper", "ink"), [(250, 10), (30, 240)])
@pytest.mark.parametrize("clear", ["corners", "margin", "shadow"])
def test_clear_rim_of_an_opaque_page_takes_its_colour(
    paper: int, ink: int, clear: str, draw_circle: Draw, is_similar: IsSimilar, circle_picture: np.ndarray
) -> None:
    share = draw_circle()[..., np.newaxis] / 255
    page = np.dstack([np.repeat(paper * share + ink * (1 - share), 3, axis=2), np.full((128, 128), 255)]).astype(
        np.uint8
    )
    if clear == "corners":
        page[:3, :3, 3] = page[-3:, -3:, 3] = 0
    else:
        page = np.pad(page, ((20, 20), (20, 20), (0, 0)))
    if clear == "shadow":
        page[..., 3] = np.maximum(page[..., 3], cv2.GaussianBlur(page[..., 3], (0, 0), 6) // 3)
    assert is_similar(preprocess(page, 64), circle_picture, 0.9)


def test_filled_shape_of_one_colour_is_no_page() -> None:
    page = np.zeros((100, 160, 4), np.uint8)
    page[20:80, 20:140] = (200, 0, 0, 255)
    scene = decode(page)
    assert scene[50, 80] == 0
    assert scene[5, 5] == 255


def test_file_above_the_size_limit_raises_picture_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "large.png"
    path.write_bytes(bytes(1000))
    monkeypatch.setattr("strokewise.preprocessing.decode.MAX_FILE_BYTES", 999)
    with pytest.raises(PictureError, match="holds 1,000 bytes; at most 999 are read"):
        decode(path)
    with pytest.raises(PictureError, match="1,000 bytes; at most 999 are read"):
        decode(bytes(1000))


LITTLE_MEMORY = """
import resource, sys
import cv2, numpy as np
from strokewise.preprocessing.decode import decode
page = np.full((3000, 3000, 3), 255, np.uint8)
data = cv2.imencode(sys.argv[1], page)[1].tobytes()
decode(cv2.imencode(sys.argv[1], page[:9, :9])[1].tobytes())
del page
pages = int(open("/proc/self/statm").read().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 10 * 2**20,) * 2)
try:
    decode(data)
except MemoryError:
    print("there is not enough memory")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the limit of memory works on Linux alone")
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp", ".gif"])
def test_lack_of_memory_is_not_reported_as_damage(suffix: str) -> None:
    done = subprocess.run([sys.executable, "-c", LITTLE_MEMORY, suffix], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "there is not enough memory\n")


def test_lack_of_memory_that_opencv_reports_is_a_memory_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        error = cv2.error("Failed to allocate 144000000 bytes")
        error.code = cv2.Error.StsNoMem
        raise error

    data = encode_png(np.full((20, 20), 255, np.uint8))
    monkeypatch.setattr(cv2, "imdecode", fail)
    with pytest.raises(MemoryError, match="a picture takes too much"):
        decode(data)


def test_lack_of_memory_that_opencv_hides_is_a_memory_error(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode_png(np.full((20, 20), 255, np.uint8))
    monkeypatch.setattr(cv2, "imdecode", lambda *_: None)  # as it answers to whatever goes wrong in a GIF
    with pytest.raises(PictureError, match="the PNG cannot be decoded; it is damaged"):
        decode(data)

    def fail(shape: tuple[int, ...], _: object) -> None:
        raise MemoryError(f"Unable to allocate {shape}")

    monkeypatch.setattr(np, "empty", fail)
    with pytest.raises(MemoryError, match=r"\(2, 20, 20, 4\)"):
        decode(data)
