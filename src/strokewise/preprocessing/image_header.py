"""The first bytes of a picture file -> its format, width and height in pixels, and whether it ends where it should.

Nothing is decoded: a file that claims 60,000×60,000 pixels is known for what it is before any memory is taken.
Layouts: PNG (RFC 2083), JPEG (ITU-T T.81, annex B), GIF89a, BMP (BITMAPFILEHEADER), WebP (RFC 9649).
"""

import struct
import zlib
from dataclasses import dataclass

from strokewise.errors import PictureError

FORMATS = "PNG, JPEG, WebP, BMP or GIF"
PNG_CRITICAL_CHUNKS = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND"})  # what no decoder can do without
JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0..15 without DHT, JPG, DAC
JPEG_STANDALONE = frozenset({0x01, *range(0xD0, 0xD8)})  # markers that no length follows


@dataclass(frozen=True)
class ImageHeader:
    """What a file says of itself: format, width and height in pixels, whether its end is there, and EXIF."""

    format: str
    width: int
    height: int
    whole: bool
    exif: bool = False


def read_header(data: bytes) -> ImageHeader:
    """The header of an encoded picture.

    Raises PictureError if it is none of `FORMATS`, ends within its header, or is seen to be damaged.
    """
    try:
        if data.startswith(b"\x89PNG\r\n\x1a\n"):
            return _read_png(data)
        if data.startswith(b"\xff\xd8\xff"):
            return _read_jpeg(data)
        if data.startswith((b"GIF87a", b"GIF89a")):
            return _read_gif(data)
        if data.startswith(b"BM"):
            return _read_bmp(data)
        if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
            return _read_webp(data)
    except (struct.error, IndexError):
        raise PictureError("the file ends within its header; it is truncated: get it again") from None
    raise PictureError(f"this is no picture file (it begins with {data[:8]!r}); give {FORMATS}")


def _read_png(data: bytes) -> ImageHeader:
    """Walk the chunks: a decoder takes as much memory as a chunk says that it is long, before it looks for it.

    Checksums are compared here because libpng complains to the terminal, past everything that could catch it.
    """
    width, height = struct.unpack_from(">II", data, 16)
    at, kind, exif = 8, b"", False
    while kind != b"IEND" and at + 12 <= len(data):  # a chunk's length, kind and checksum
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 8 + length
        spare = kind[:1].islower() and kind.upper() not in PNG_CRITICAL_CHUNKS  # one flipped bit would make IDAT spare
        whole = end + 4 <= len(data)
        if whole and not spare and zlib.crc32(memoryview(data)[at + 4 : end]) != struct.unpack_from(">I", data, end)[0]:
            raise PictureError("the PNG fails its own checksum; it is damaged: get it again")
        exif |= kind == b"eXIf"
        at = end + 4
    return ImageHeader("PNG", width, height, kind == b"IEND" and at <= len(data), exif)


def _read_jpeg(data: bytes) -> ImageHeader:
    """Walk the segments to the frame header; the thumbnail within an EXIF segment is stepped over with it."""
    at, size = 2, None
    while True:
        while data[at] == 0xFF and data[at + 1] == 0xFF:  # fill bytes
            at += 1
        if data[at] != 0xFF:
            raise PictureError("the JPEG's segments do not follow each other; the file is damaged: get it again")
        marker = data[at + 1]
        if marker in JPEG_STANDALONE:
            at += 2
            continue
        if marker in (0xD9, 0xDA):  # the end, or the compressed data
            break
        (length,) = struct.unpack_from(">H", data, at + 2)
        if marker in JPEG_FRAMES and size is None:
            height, width = struct.unpack_from(">HH", data, at + 5)
            size = width, height
        at += 2 + max(length, 2)
    if size is None:
        raise PictureError("the JPEG has no frame; the file is damaged: get it again")
    return ImageHeader("JPEG", *size, data.rfind(b"\xff\xd9") > at, b"Exif\0" in data[:at])


def _read_gif(data: bytes) -> ImageHeader:
    """The first frame may be larger than the screen that the file announces: the larger of both counts."""
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    at = 13 + (3 << ((flags & 7) + 1) if flags & 0x80 else 0)
    while data[at] == 0x21:  # an extension: a label, then blocks, the last one empty
        at += 2
        while data[at]:
            at += 1 + data[at]
        at += 1
    if data[at] != 0x2C:
        raise PictureError("the GIF has no frame; the file is damaged: get it again")
    left, top, across, down, flags = struct.unpack_from("<HHHHB", data, at + 1)
    at += 11 + (3 << ((flags & 7) + 1) if flags & 0x80 else 0)
    whole = True
    while whole and data[at]:  # the blocks of the first frame: later frames may be missing
        at += 1 + data[at]
        whole = at < len(data)
    return ImageHeader("GIF", max(width, left + across), max(height, top + down), whole)


def _read_bmp(data: bytes) -> ImageHeader:
    (start,) = struct.unpack_from("<I", data, 10)
    (kind,) = struct.unpack_from("<I", data, 14)
    if kind == 12:  # OS/2's
        width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
        packed = 0
    else:
        width, height, _, bits, packed = struct.unpack_from("<iiHHI", data, 18)
    row = (abs(width) * bits + 31) // 32 * 4
    whole = len(data) >= start + row * abs(height) if packed in (0, 3) else True
    return ImageHeader("BMP", abs(width), abs(height), whole)


def _read_webp(data: bytes) -> ImageHeader:
    (length,) = struct.unpack_from("<I", data, 4)
    whole = len(data) >= length + 8
    match data[12:16]:
        case b"VP8X":
            width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
        case b"VP8L":
            (bits,) = struct.unpack_from("<I", data, 21)
            width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8 ":
            width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
        case chunk:
            raise PictureError(f"the WebP begins with an unknown chunk {chunk!r}; the file is damaged: get it again")
    return ImageHeader("WebP", width, height, whole and len(data) >= 30, b"EXIF" in data)
