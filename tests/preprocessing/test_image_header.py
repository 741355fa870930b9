"""Headers: files that claim too much, end too early or are damaged are refused before they are decoded."""

import resource
import struct
import sys
import zlib
from collections import Counter
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from strokewise.data.png import encode_png
from strokewise.errors import PictureError
from strokewise.preprocessing.decode import decode
from strokewise.preprocessing.preprocess import preprocess

Draw = Callable[..., np.ndarray]
Encode = Callable[..., bytes]


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims this size: signature and IHDR, a few bytes of data, IEND."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    size = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", zlib.compress(bytes(9))) + chunk(b"IEND", b"")


def headers(width: int, height: int) -> dict[str, bytes]:
    """A header of each format that claims this size."""
    bits = (width - 1 & 0x3FFF) | (height - 1 & 0x3FFF) << 14
    size_24_bit = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    riff = b"RIFF" + struct.pack("<I", 22)
    return {
        "PNG": png_header(width, height),
        "JPEG": b"\xff\xd8\xff\xc0\x00\x0b\x08" + struct.pack(">HH", height, width) + b"\x01\x01\x11\0\xff\xda\xff\xd9",
        "GIF": b"GIF89a" + struct.pack("<HHBBB", width, height, 0, 0, 0) + b"," + bytes(10) + b"\0;",
        "BMP": b"BM" + bytes(8) + struct.pack("<IIiiHHI", 54, 40, width, height, 1, 24, 0) + bytes(20),
        "WebP": riff + b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + size_24_bit,
        "WebP lossless": riff + b"WEBPVP8L" + bytes(4) + b"/" + struct.pack("<I", bits) + bytes(5),
    }


@pytest.mark.parametrize("file_format", headers(1, 1))
def test_huge_claimed_size_raises_before_decoding(file_format: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("decoded"))
    side = 16_000 if "lossless" in file_format else 60_000  # lossless WebP has 14 bits for a side
    with pytest.raises(PictureError, match=f"{side}×{side} pixels are too many; at most 67,108,864"):
        decode(headers(side, side)[file_format])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (png_header(64, 64), "the PNG cannot be decoded|the PNG ends too early"),
        (png_header(0, 64), "0×64 pixels; it is damaged"),
    ],
)
def test_png_without_pixels_raises_picture_error(data: bytes, message: str) -> None:
    with pytest.raises(PictureError, match=message) as caught:
        preprocess(data, 64)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP", "BMP", "GIF"])
def test_truncated_file_raises_one_line(file_format: str, draw_circle: Draw, encode: Encode) -> None:
    data = encode(Image.fromarray(draw_circle()).convert("RGB"), file_format)
    decode(data)
    for length in {*range(0, len(data) - 8, max(1, len(data) // 60))}:
        with pytest.raises(PictureError) as caught:
            decode(data[:length])
        assert "\n" not in str(caught.value)


def test_huge_claimed_chunk_allocates_no_memory(draw_circle: Draw) -> None:
    data = encode_png(draw_circle())
    offset = data.index(b"IDAT") - 4
    claimed = data[:offset] + b"\x7f\xff\xff\xff" + data[offset + 4 :]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(PictureError, match="the PNG ends too early"):
        preprocess(claimed, 64)
    unit = 1 if sys.platform == "darwin" else 1024
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * unit < 200e6


def test_damaged_png_raises_without_output_of_libpng(
    draw_circle: Draw, encode: Encode, capfd: pytest.CaptureFixture[str]
) -> None:
    page = draw_circle()
    data = encode_png(page)
    by_checksum = Counter[bool]()
    for offset in [*range(8, 60), *range(60, len(data) - 12, 7)]:
        for bit in (3, 5, 6, 7):
            with pytest.raises(PictureError) as caught:
                decode(data[:offset] + bytes([data[offset] ^ 1 << bit]) + data[offset + 1 :])
            by_checksum["its own checksum" in str(caught.value)] += 1
    assert by_checksum[True] > by_checksum[False] > 0, "a flipped bit of a length makes the file end too early"
    assert capfd.readouterr() == ("", ""), "libpng printed something"
    info = PngImagePlugin.PngInfo()
    info.add_text("Title", "caption")
    titled = encode(page, "PNG", pnginfo=info)
    assert (decode(titled.replace(b"caption", b"capt10n")) == page).all(), "optional chunks may be damaged"
