"""The bytes of a picture file → its format, width and height in pixels, and whether the file is complete.

Nothing is decoded, so a file that claims 60,000×60,000 pixels is refused before any memory is allocated.
Layouts: PNG (RFC 2083), JPEG (ITU-T T.81, annex B), GIF89a, BMP (BITMAPFILEHEADER), WebP (RFC 9649).
"""

import struct
import zlib
from dataclasses import dataclass

from strokewise.errors import PictureError

FORMATS = "PNG, JPEG, WebP, BMP or GIF"
PNG_CRITICAL_CHUNKS = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND"})  # needed by every decoder
JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0..15 without DHT, JPG, DAC
JPEG_STANDALONE = frozenset({0x01, *range(0xD0, 0xD8)})  # markers without a length field


@dataclass(frozen=True)
class ImageHeader:
    """What a file declares: format, size in pixels, whether its end is present, and whether it carries EXIF."""

    format: str
    width: int
    height: int
    complete: bool
    exif: bool = False


def read_header(data: bytes) -> ImageHeader:
    """Read the header of an encoded picture.

    Raises PictureError if it is none of `FORMATS`, ends within its header, or is evidently damaged.
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
    """Walk the chunks: a decoder allocates the length that a chunk declares before it looks for its bytes.

    Checksums are compared here because libpng reports a wrong one on stderr, where no `except` reaches it.
    """
    width, height = struct.unpack_from(">II", data, 16)
    offset, kind, exif = 8, b"", False
    while kind != b"IEND" and offset + 12 <= len(data):  # a chunk's length, kind and checksum
        length, kind = struct.unpack_from(">I4s", data, offset)
        end = offset + 8 + length
        optional = kind[:1].islower() and kind.upper() not in PNG_CRITICAL_CHUNKS  # "iDAT" is IDAT with a flipped bit
        complete = end + 4 <= len(data)
        if complete and not optional:
            (checksum,) = struct.unpack_from(">I", data, end)
            if zlib.crc32(memoryview(data)[offset + 4 : end]) != checksum:
                raise PictureError("the PNG fails its own checksum; it is damaged: get it again")
        exif |= kind == b"eXIf"
        offset = end + 4
    return ImageHeader("PNG", width, height, kind == b"IEND" and offset <= len(data), exif)


def _read_jpeg(data: bytes) -> ImageHeader:
    """Walk the segments to the frame header; an EXIF segment is skipped as a whole, with the thumbnail in it."""
    offset, size = 2, None
    while True:
        while data[offset] == 0xFF and data[offset + 1] == 0xFF:  # fill bytes
            offset += 1
        if data[offset] != 0xFF:
            raise PictureError("the JPEG's segments do not follow each other; the file is damaged: get it again")
        marker = data[offset + 1]
        if marker in JPEG_STANDALONE:
            offset += 2
            continue
        if marker in (0xD9, 0xDA):  # the end, or the compressed data
            break
        (length,) = struct.unpack_from(">H", data, offset + 2)
        if marker in JPEG_FRAMES and size is None:
            height, width = struct.unpack_from(">HH", data, offset + 5)
            size = width, height
        offset += 2 + max(length, 2)
    if size is None:
        raise PictureError("the JPEG has no frame; the file is damaged: get it again")
    return ImageHeader("JPEG", *size, data.rfind(b"\xff\xd9") > offset, b"Exif\0" in data[:offset])


def _read_gif(data: bytes) -> ImageHeader:
    """The first frame may be larger than the logical screen: the larger of both is returned."""
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    offset = 13 + (3 << ((flags & 7) + 1) if flags & 0x80 else 0)
    while data[offset] == 0x21:  # an extension: a label, then blocks, the last one empty
        offset += 2
        while data[offset]:
            offset += 1 + data[offset]
        offset += 1
    if data[offset] != 0x2C:
        raise PictureError("the GIF has no frame; the file is damaged: get it again")
    left, top, frame_width, frame_height, flags = struct.unpack_from("<HHHHB", data, offset + 1)
    offset += 11 + (3 << ((flags & 7) + 1) if flags & 0x80 else 0)
    complete = True
    while complete and data[offset]:  # the blocks of the first frame; later frames may be missing
        offset += 1 + data[offset]
        complete = offset < len(data)
    return ImageHeader("GIF", max(width, left + frame_width), max(height, top + frame_height), complete)


def _read_bmp(data: bytes) -> ImageHeader:
    (pixel_offset,) = struct.unpack_from("<I", data, 10)
    (header_size,) = struct.unpack_from("<I", data, 14)
    if header_size == 12:  # BITMAPCOREHEADER of OS/2
        width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
        compression = 0
    else:
        width, height, _, bits, compression = struct.unpack_from("<iiHHI", data, 18)
    row_bytes = (abs(width) * bits + 31) // 32 * 4
    uncompressed = compression in (0, 3)
    complete = len(data) >= pixel_offset + row_bytes * abs(height) if uncompressed else True
    return ImageHeader("BMP", abs(width), abs(height), complete)


def _read_webp(data: bytes) -> ImageHeader:
    (length,) = struct.unpack_from("<I", data, 4)
    complete = len(data) >= length + 8
    match data[12:16]:
        case b"VP8X":
            width, height = (int.from_bytes(data[start : start + 3], "little") + 1 for start in (24, 27))
        case b"VP8L":
            (bits,) = struct.unpack_from("<I", data, 21)
            width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8 ":
            width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
        case chunk:
            raise PictureError(f"the WebP begins with an unknown chunk {chunk!r}; the file is damaged: get it again")
    return ImageHeader("WebP", width, height, complete and len(data) >= 30, b"EXIF" in data)
