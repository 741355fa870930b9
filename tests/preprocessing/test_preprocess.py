"""The door: every file and array that holds a drawing becomes the same kind of picture; the rest is refused by name."""

import io
import resource
import struct
import sys
import zlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image, PngImagePlugin

from strokewise.data.png import encode_png
from strokewise.errors import PictureError
from strokewise.preprocessing import document
from strokewise.preprocessing.decode import decode
from strokewise.preprocessing.preprocess import preprocess

GRID = 64


def drawn(side: int = 128, pen: int = 3, ink: int = 0, paper: int = 255, radius: float = 0.3) -> np.ndarray:
    """A circle on an even page, uint8 (side, side)."""
    page = np.full((side, side), paper, np.uint8)
    cv2.circle(page, (side // 2, side // 2), round(side * radius), ink, pen, cv2.LINE_AA)
    return page


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def alike(one: np.ndarray, two: np.ndarray) -> float:
    """Share of the ink that both have, after lines are given a pixel of play."""
    play = np.ones((3, 3), np.uint8)
    common = cv2.countNonZero(cv2.bitwise_and(one, cv2.dilate(two, play)) // 128)
    return common / max(1, cv2.countNonZero(one // 128))


def same(one: np.ndarray, two: np.ndarray, least: float = 0.97) -> bool:
    return min(alike(one, two), alike(two, one)) >= least


PLAIN = preprocess(drawn(), GRID)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "I;16"])
@pytest.mark.parametrize("kind", ["PNG", "BMP", "GIF", "WEBP", "JPEG"])
def test_decodes_what_pillow_wrote_as_pillow_does(kind: str, mode: str) -> None:
    deep = mode == "I;16"
    image = Image.fromarray(drawn().astype(np.uint16) * 257) if deep else Image.fromarray(drawn()).convert(mode)
    try:
        file = saved(image, kind)
    except (OSError, ValueError):
        pytest.skip(f"{kind} has no {mode}")
    scene = decode(file)
    again = Image.open(io.BytesIO(file))
    shown = np.asarray(again) // 257 if again.mode == "I;16" else np.asarray(again.convert("L"))
    assert scene.shape[:2] == shown.shape
    plain = scene if scene.ndim == 2 else scene.mean(2)
    assert np.abs(plain.astype(int) - shown).max() <= (4 if kind == "JPEG" else 1)  # decoders round as they like
    assert same(preprocess(file, GRID), PLAIN, 0.9)


def test_colours_keep_their_order() -> None:
    page = np.full((32, 32, 3), 255, np.uint8)
    page[8:24, 8:24] = (200, 30, 90)
    for kind in ("PNG", "BMP"):
        np.testing.assert_array_equal(decode(saved(Image.fromarray(page), kind)), page)
    np.testing.assert_array_equal(decode(encode_png(page)), page)
    assert encode_png(page) == encode_png(page.copy())


def test_a_camera_s_turn_is_undone() -> None:
    page = np.full((40, 80), 255, np.uint8)
    page[5:10, 5:60] = 0
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    turned = decode(saved(Image.fromarray(page), "JPEG", exif=exif, quality=95))
    assert turned.shape[:2] == (80, 40)
    assert np.abs(turned.mean(2).astype(int) - np.rot90(page, -1)).mean() < 5


@pytest.mark.parametrize("ink", [0, 255])
def test_ink_on_nothing_is_seen_whatever_its_colour(ink: int) -> None:
    cover = 255 - drawn()
    page = np.dstack([np.full((128, 128, 3), ink, np.uint8), cover])
    assert same(preprocess(saved(Image.fromarray(page), "PNG"), GRID), PLAIN)
    assert same(preprocess(page, GRID), PLAIN)


def test_a_picture_is_ink_on_nothing_centred_with_a_margin() -> None:
    picture = preprocess(drawn(), GRID)
    assert picture.dtype == np.uint8
    assert picture.shape == (GRID, GRID)
    rows, columns = np.nonzero(picture > 127)
    for low, high in ((rows.min(), rows.max()), (columns.min(), columns.max())):
        assert low == pytest.approx(GRID / 18, abs=1.5)  # a margin of 1/16 of the ink's side
        assert low + high == pytest.approx(GRID - 1, abs=2)
    assert picture.max() == 255
    assert np.median(picture) == 0


@pytest.mark.parametrize(
    "page",
    [
        255 - drawn(),
        drawn(ink=90, paper=150),
        drawn() > 127,
        drawn() / 255,
        drawn().astype(np.float32),
        drawn().astype(np.int64),
        drawn().astype(np.uint16) * 257,
        drawn()[:, :, None],
        np.dstack([drawn()] * 3),
        np.dstack([np.full((128, 128), 255, np.uint8)] * 2 + [drawn()]),  # yellow on white
        np.asfortranarray(drawn())[:, ::-1],
    ],
    ids=["light-on-dark", "pale", "bool", "unit", "float", "whole", "16-bit", "column", "rgb", "yellow", "strided"],
)
def test_the_same_drawing_is_the_same_picture(page: np.ndarray) -> None:
    assert same(preprocess(page, GRID), PLAIN)


@pytest.mark.parametrize("pen", [1, 0.04])
@pytest.mark.parametrize("side", [64, 144, 249, 256, 690, 1024, 2048])
def test_hairline_and_brush_survive_every_size(side: int, pen: float) -> None:
    picture = preprocess(drawn(side, pen if pen == 1 else round(pen * side)), GRID)
    rim = [
        max(picture[round(31.5 + r * np.sin(angle)), round(31.5 + r * np.cos(angle))] for r in (26, 27, 28, 29))
        for angle in np.linspace(0, 2 * np.pi, 120)
    ]
    assert np.percentile(rim, 5) > 60, "the line is broken"
    assert np.mean(rim) > 150, "the line is faint"
    assert picture[28:36, 28:36].max() == 0, "the middle is bare"


def extent(page: np.ndarray, turn: float = 0.0) -> tuple[float, float]:
    """How long and wide the ink is, along `turn` (degrees clockwise) and across."""
    y, x = np.nonzero(page > 127)
    along, across = np.exp(1j * np.radians(turn)) * np.array([1, 1j])
    return np.ptp(x * along.real + y * along.imag) + 1, np.ptp(x * across.real + y * across.imag) + 1


@pytest.mark.parametrize("filled", [False, True])
@pytest.mark.parametrize("turn", [0, 30, 90, 135])
@pytest.mark.parametrize("length", [1, 2, 4, 8, 18])
def test_elongated_becomes_its_root_along_any_axis(length: int, turn: int, filled: bool) -> None:
    page = np.full((600, 600), 255, np.uint8)
    corners = cv2.boxPoints(((300, 300), (400, 400 / length), turn)).astype(np.int32)
    cv2.polylines(page, [corners], True, 0, 3)
    if filled:
        cv2.fillPoly(page, [corners], 0)
    picture = preprocess(page, 256)
    (long, wide), (along, across) = extent(255 - page, turn), extent(picture, turn)
    assert along / across == pytest.approx(long / wide / min((long / wide) ** 0.5, 3), rel=0.03)
    assert max(extent(picture)) == pytest.approx(256 * 16 / 18, abs=4)


def test_a_single_line_is_a_picture() -> None:
    for start, end in (((20, 30), (100, 30)), ((20, 30), (100, 90)), ((64, 64), (65, 64))):
        page = np.full((128, 128), 255, np.uint8)
        cv2.line(page, start, end, 0, 1)
        assert preprocess(page, GRID).max() > 200


@pytest.mark.parametrize("grid", [16, 32, 64])
@pytest.mark.parametrize("side", [700, 4096])
def test_a_soft_hairline_on_a_large_page_is_a_picture(side: int, grid: int) -> None:
    page = np.full((side, side), 255, np.uint8)
    cv2.circle(page, (side // 2, side // 2), round(0.47 * side), 0, 1, cv2.LINE_AA)
    page[page > 0] = np.maximum(page[page > 0], 140)
    thinnest = min(1, grid / 43)  # pixels of full ink, as the door promises
    assert preprocess(page, grid).max() > 0.9 * 255 * thinnest


def test_what_fades_before_it_is_found_is_named() -> None:
    page = np.full((4096, 4096), 255, np.uint8)
    page[2000, 2000] = 0
    accepted_or_named(page, GRID)


@pytest.mark.parametrize("squared", [False, True])
def test_light_ink_on_dark_ruled_paper_is_the_ink(squared: bool) -> None:
    plain = drawn(ink=220, paper=120, pen=1, radius=0.15)
    page = plain.copy()
    page[8::20] -= 50
    if squared:
        page[:, 8::20] -= 50
    assert same(preprocess(page, GRID), preprocess(plain, GRID), 0.85)


def test_ruled_paper_alone_is_blank() -> None:
    page = np.full((128, 128), 240, np.uint8)
    page[8::20] = 90
    with pytest.raises(PictureError, match="blank"):
        preprocess(page, GRID)


@pytest.mark.parametrize("where", [(4, 4), (4, 120), (120, 60)])
def test_specks_far_away_do_not_move_the_frame(where: tuple[int, int]) -> None:
    page = drawn(radius=0.2)
    page[where[0] : where[0] + 3, where[1] : where[1] + 3] = 0
    assert same(preprocess(page, GRID), preprocess(drawn(radius=0.2), GRID))


def test_a_neighbour_s_line_is_left_out_and_a_dot_that_belongs_stays() -> None:
    page = drawn(radius=0.2)
    cv2.line(page, (0, 10), (24, 0), 0, 3)
    assert same(preprocess(page, GRID), preprocess(drawn(radius=0.2), GRID))
    letter = np.full((128, 128), 255, np.uint8)  # an i
    cv2.line(letter, (64, 50), (64, 100), 0, 5)
    cv2.circle(letter, (64, 38), 3, 0, -1)
    assert preprocess(letter, GRID)[:14].max() == 255


def shades() -> dict[str, np.ndarray]:
    y, x = np.mgrid[:128, :128] / 127
    return {
        "slope": 0.4 + 0.6 * (x + y) / 2,
        "vignette": 1 - 0.8 * ((x - 0.5) ** 2 + (y - 0.5) ** 2),
        "shadow": 0.5 + 0.5 / (1 + np.exp(-12 * (x - 0.3 * y - 0.4))),
    }


@pytest.mark.parametrize("shade", shades())
@pytest.mark.parametrize("filled", [False, True])
def test_uneven_light_is_evened_out(shade: str, filled: bool) -> None:
    page = drawn(ink=40, paper=235, pen=-1 if filled else 4)
    grain = np.random.default_rng(0).normal(0, 3, page.shape)
    photo = np.clip(page * shades()[shade] + grain, 0, 255).astype(np.uint8)
    photo = cv2.imdecode(cv2.imencode(".jpg", photo, [cv2.IMWRITE_JPEG_QUALITY, 60])[1], cv2.IMREAD_GRAYSCALE)
    assert same(preprocess(photo, GRID), preprocess(page, GRID), 0.93)


@pytest.mark.parametrize("level", [200, 110, 0])
@pytest.mark.parametrize("squared", [False, True])
def test_ruled_paper_is_paper(level: int, squared: bool) -> None:
    page = drawn(256, 5)
    for at in range(12, 256, 24):
        page[at] = np.minimum(page[at], level)
        if squared:
            page[:, at] = np.minimum(page[:, at], level)
    assert same(preprocess(page, GRID), preprocess(drawn(256, 5), GRID), 0.9)


@pytest.mark.parametrize("turn", [0, 12, -20])
def test_a_sheet_on_a_table_is_the_page(turn: int) -> None:
    sheet = drawn(ink=40, paper=235, radius=0.25)
    move = cv2.getRotationMatrix2D((64, 64), turn, 1.2)
    move[:, 2] += 36
    grain = np.random.default_rng(0).normal(0, 3, (200, 200))
    lies = cv2.warpAffine(np.full_like(sheet, 255), move, (200, 200)) / 255
    photo = np.clip(lies * cv2.warpAffine(sheet, move, (200, 200)) + (1 - lies) * 70 + grain, 0, 255).astype(np.uint8)
    assert same(preprocess(photo, GRID), PLAIN, 0.9)


@pytest.mark.parametrize(("slant", "darkest"), [(0, 0.5), (34, 0.9)])  # slanted, it fills 0.75 of a rectangle
def test_a_sheet_half_in_shade_or_seen_slantwise_is_the_page(slant: int, darkest: float) -> None:
    page = drawn(ink=30, paper=235, radius=0.36) * np.linspace(darkest, 1, 128)
    corners = np.array([[30 + slant, 40], [170 - slant, 40], [170, 165], [30, 160]], np.float32)
    seen = cv2.getPerspectiveTransform(np.array([[0, 0], [128, 0], [128, 128], [0, 128]], np.float32), corners)
    lies = cv2.warpPerspective(np.ones((128, 128)), seen, (200, 200))
    photo = np.clip(lies * cv2.warpPerspective(page, seen, (200, 200)) + (1 - lies) * 85, 0, 255).astype(np.uint8)
    bare = cv2.warpPerspective(drawn(radius=0.36), seen, (200, 200), borderValue=255)
    assert same(preprocess(photo, GRID), preprocess(bare, GRID), 0.9)


def test_a_drawing_up_to_the_edge_of_a_sheet_is_no_shadow() -> None:
    page = np.full((128, 128), 235, np.uint8)
    cv2.line(page, (0, 30), (100, 70), 40, 3, cv2.LINE_AA)
    photo = np.full((200, 200), 70, np.uint8)
    photo[::9] = 25
    photo[36:164, 36:164] = page
    assert same(preprocess(photo, GRID), preprocess(page, GRID), 0.8)


def test_a_sheet_that_runs_off_the_photograph_is_the_page() -> None:
    photo = np.full((170, 128), 70, np.uint8)
    photo[:, ::9] = 25  # the grain of the table's wood
    photo[:128] = drawn(ink=40, paper=235)  # of the sheet a single edge is seen
    assert same(preprocess(photo, GRID), PLAIN, 0.9)


@pytest.mark.parametrize("turn", [0, 60, 150, 260])
def test_a_drawing_half_in_a_sharp_shadow_stays_whole(turn: int) -> None:
    y, x = np.mgrid[:128, :128] - 60
    lit = np.where(np.cos(np.radians(turn)) * x + np.sin(np.radians(turn)) * y > 0, 1.0, 0.55)
    page = np.full((128, 128), 235, np.uint8)
    for ends in (((34, 40), (90, 84)), ((38, 88), (88, 36))):
        cv2.line(page, *ends, 40, 3, cv2.LINE_AA)
    photo = (page * cv2.GaussianBlur(lit, (0, 0), 2)).astype(np.uint8)
    assert same(preprocess(photo, GRID), preprocess(page, GRID), 0.9)


@pytest.mark.parametrize(("off", "pen"), [(6, 11), (10, 13)])
def test_the_inside_of_an_outline_is_no_sheet(off: int, pen: int) -> None:
    page = np.full((128, 128), 255, np.uint8)  # the outline is cut off closely, but here and there is paper beyond it
    around = np.array([[4 + off, 5], [122, 5 + off], [122 - off, 122], [5, 122 - off]])
    cv2.polylines(page, [around], True, 0, pen, cv2.LINE_AA)
    cv2.line(page, (60, 60), (72, 66), 0, pen, cv2.LINE_AA)
    assert document.isolate_sheet(page) is None


@pytest.mark.parametrize(
    "corners",
    [
        [[10, 20], [108, 34], [96, 110], [26, 118]],
        [[0, 17], [96, 21], [107, 90], [11, 106]],  # up to the picture's edge
        [[12, 13], [104, 0], [92, 115], [9, 109]],
    ],
)
def test_a_light_trapezoid_on_dark_paper_is_a_drawing(corners: list[list[int]]) -> None:
    page = np.full((128, 128), 30, np.uint8)
    cv2.fillPoly(page, [np.array(corners)], 230, cv2.LINE_AA)
    wide = cv2.copyMakeBorder(page, 40, 40, 40, 40, cv2.BORDER_CONSTANT, value=30)
    assert same(preprocess(page, GRID), preprocess(wide, GRID), 0.9)
    assert preprocess(page, GRID)[32, 16:48].min() == 255


def test_a_light_rectangle_on_dark_paper_is_a_drawing() -> None:
    page = np.full((128, 128), 30, np.uint8)
    cv2.rectangle(page, (20, 30), (110, 100), 220, -1)
    assert preprocess(page, GRID)[32, 8:56].min() == 255
    cv2.rectangle(page, (34, 44), (96, 86), 30, -1)  # an outline by a thick pen
    picture = preprocess(page, GRID)
    assert (picture[32, 32], picture[32, 7]) == (0, 255)


def test_a_light_dot_on_dark_paper_is_no_sheet() -> None:
    page = np.zeros((1500, 1500), np.uint8)
    page[700:702, 700:702] = 255
    assert preprocess(page, GRID).max() == 255


def test_a_filled_shape_stays_filled() -> None:
    for page in (drawn(pen=-1), 255 - drawn(pen=-1, radius=0.45)):
        assert preprocess(page, GRID)[16:48, 16:48].min() == 255


def png_header(width: int, height: int) -> bytes:
    """The beginning of a PNG that claims this size: signature and IHDR, a scrap of data, IEND."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    size = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", zlib.compress(bytes(9))) + chunk(b"IEND", b"")


def claims(width: int, height: int) -> dict[str, bytes]:
    """A header of each format that claims a size."""
    bits = (width - 1 & 0x3FFF) | (height - 1 & 0x3FFF) << 14
    three = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return {
        "PNG": png_header(width, height),
        "JPEG": b"\xff\xd8\xff\xc0\x00\x0b\x08" + struct.pack(">HH", height, width) + b"\x01\x01\x11\0\xff\xda\xff\xd9",
        "GIF": b"GIF89a" + struct.pack("<HHBBB", width, height, 0, 0, 0) + b"," + bytes(10) + b"\0;",
        "BMP": b"BM" + bytes(8) + struct.pack("<IIiiHHI", 54, 40, width, height, 1, 24, 0) + bytes(20),
        "WebP": b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + three,
        "WebP lossless": b"RIFF"
        + struct.pack("<I", 22)
        + b"WEBPVP8L"
        + bytes(4)
        + b"/"
        + struct.pack("<I", bits)
        + bytes(5),
    }


@pytest.mark.parametrize("kind", claims(1, 1))
def test_a_giant_is_refused_before_it_is_decoded(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("decoded"))
    side = 16_000 if "lossless" in kind else 60_000  # what its 14 bits can say
    with pytest.raises(PictureError, match=f"{side}×{side} pixels are too many; at most 67,108,864"):
        decode(claims(side, side)[kind])


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "GIF"])
def test_every_truncated_file_is_refused_in_one_line(kind: str) -> None:
    whole = saved(Image.fromarray(drawn()).convert("RGB"), kind)
    decode(whole)
    for length in {*range(0, len(whole) - 8, max(1, len(whole) // 60))}:
        with pytest.raises(PictureError) as caught:
            decode(whole[:length])
        assert "\n" not in str(caught.value)


def test_a_chunk_that_says_it_is_giant_is_not_believed() -> None:
    data = encode_png(drawn())
    at = data.index(b"IDAT") - 4
    claimed = data[:at] + b"\x7f\xff\xff\xff" + data[at + 4 :]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(PictureError, match="the PNG ends too early"):
        preprocess(claimed, GRID)
    unit = 1 if sys.platform == "darwin" else 1024
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * unit < 200e6


def test_a_damaged_png_is_told_by_us_alone(capfd: pytest.CaptureFixture[str]) -> None:
    whole = encode_png(drawn())
    said = Counter[str]()
    for at in [*range(8, 60), *range(60, len(whole) - 12, 7)]:
        for bit in (3, 5, 6, 7):
            with pytest.raises(PictureError) as caught:
                decode(whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :])
            said["its own checksum" in str(caught.value)] += 1
    assert said[True] > said[False] > 0, "a flipped length ends too early"
    assert capfd.readouterr() == ("", ""), "libpng speaks for itself"
    info = PngImagePlugin.PngInfo()
    info.add_text("Title", "caption")
    titled = saved(Image.fromarray(drawn()), "PNG", pnginfo=info)
    assert (decode(titled.replace(b"caption", b"capt10n")) == drawn()).all(), "spare: libpng warns"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (b"", "the file is empty"),
        (b"hello, I am text", "this is no picture file"),
        (b"\x89PNG\r\n\x1a\n", "ends within its header"),
        (png_header(64, 64), "the PNG cannot be decoded|the PNG ends too early"),
        (png_header(0, 64), "0×64 pixels; it is damaged"),
        (saved(Image.fromarray(drawn()), "PNG")[:-30], "the PNG ends too early; it is truncated"),
        (np.full((64, 64), 255, np.uint8), "the page is blank"),
        (np.zeros((64, 64), np.uint8), "the page is blank"),
        (np.random.default_rng(0).integers(0, 256, (256, 256), dtype=np.uint8), "the page is blank"),
        (np.full((64, 64), np.nan), "holds NaN or infinity"),
        (np.full((64, 64), np.inf), "holds NaN or infinity"),
        (np.full((64, 64), -1.0), "from -1 to -1"),
        (np.full((64, 64), 300), "from 300 to 300; they must lie in 0..1 or 0..255"),
        (np.zeros((0, 64), np.uint8), r"shape \(0, 64\) holds no pixels"),
        (np.zeros((4, 64), np.uint8), "64×4 pixels hold no shape; give at least 8×8"),
        (np.zeros(64, np.uint8), r"shape \(64,\) is no picture"),
        (np.zeros((64, 64, 2), np.uint8), r"shape \(64, 64, 2\) is no picture"),
        (np.zeros((64, 64), complex), "complex128 is no picture"),
        (np.full((64, 64), "x"), "is no picture"),
        (np.broadcast_to(np.uint8(0), (60_000, 60_000)), "60000×60000 pixels are too many"),
        (Path("/nowhere/drawing.png"), "/nowhere/drawing.png cannot be read: No such file"),
        (Path("/dev/zero"), "/dev/zero is no file"),
        (Path("."), "is no file"),
        (17, "a int is no picture; give a path, bytes or an array"),
    ],
)
def test_what_is_no_drawing_is_named(source: Any, message: str) -> None:
    with pytest.raises(PictureError, match=message) as caught:
        preprocess(source, GRID)
    assert "\n" not in str(caught.value)


def test_a_file_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "large.png"
    path.write_bytes(bytes(1000))
    monkeypatch.setattr(preprocess, "MOST_BYTES", 999)
    with pytest.raises(PictureError, match="holds 1,000 bytes; at most 999 are read"):
        decode(path)
    with pytest.raises(PictureError, match="1,000 bytes; at most 999 are read"):
        decode(bytes(1000))


def test_threads_see_the_same_pictures() -> None:
    rng = np.random.default_rng(1)
    pages = [drawn(64 + 16 * i, 1 + i % 5, radius=rng.uniform(0.1, 0.4)) for i in range(40)]
    alone = [preprocess(page, GRID) for page in pages]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            for one, two in zip(alone, pool.map(lambda page: preprocess(page, GRID), pages), strict=True):
                np.testing.assert_array_equal(one, two)


def test_importing_changes_nothing_for_others() -> None:
    assert cv2.getNumThreads() != 0
    page = drawn()
    before = page.copy()
    preprocess(page, GRID)
    np.testing.assert_array_equal(page, before)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_quarter_turn_only_turns_the_picture(turns: int) -> None:
    page = np.full((120, 120), 255, np.uint8)
    cv2.polylines(page, [np.array([(20, 30), (100, 40), (40, 90)])], True, 0, 3, cv2.LINE_AA)
    turned = preprocess(np.rot90(page, turns), GRID)
    assert same(turned, np.ascontiguousarray(np.rot90(preprocess(page, GRID), turns)), 0.95)


def accepted_or_named(source: Any, grid: int) -> None:
    try:
        picture = preprocess(source, grid)
    except PictureError as error:
        assert "\n" not in str(error)  # noqa: PT017
    else:
        assert picture.shape == (grid, grid)
        assert picture.dtype == np.uint8
        assert picture.max() > 0


SIDES = st.integers(1, 70)
KINDS = st.sampled_from([np.uint8, np.uint16, np.int32, np.float32, np.float64, np.bool_])


@settings(max_examples=150, deadline=None)
@given(
    st.tuples(SIDES, SIDES, st.sampled_from([(), (1,), (3,), (4,)])).flatmap(
        lambda shape: KINDS.flatmap(lambda kind: arrays.arrays(kind, (shape[0], shape[1], *shape[2])))
    ),
    st.sampled_from([16, 64]),
)
def test_any_array_is_accepted_or_named(page: np.ndarray, grid: int) -> None:
    accepted_or_named(page, grid)


WHOLE = [saved(Image.fromarray(drawn(48)).convert("RGB"), kind) for kind in ("PNG", "JPEG", "GIF", "BMP", "WEBP")]


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(WHOLE),
    st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), max_size=8),
    st.integers(0, 4000),
)
def test_any_damage_to_a_file_is_accepted_or_named(whole: bytes, damage: list[tuple[int, int]], cut: int) -> None:
    data = bytearray(whole)
    for place, value in damage:
        data[place % len(data)] = value
    accepted_or_named(bytes(data[: len(data) - cut if cut < len(data) else None]), GRID)


@settings(max_examples=100, deadline=None)
@given(
    st.binary(max_size=300),
    st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a", b"BM", b"RIFF....WEBP"]),
)
def test_any_bytes_are_accepted_or_named(data: bytes, start: bytes) -> None:
    accepted_or_named(start + data, GRID)
