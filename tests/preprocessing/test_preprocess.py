"""Preprocessing as a whole: any source becomes the same kind of picture, or is refused with a one-line message."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from strokewise.errors import PictureError
from strokewise.preprocessing.preprocess import PREPROCESSING_VERSION, preprocess

Draw = Callable[..., np.ndarray]
Encode = Callable[..., bytes]
IsSimilar = Callable[..., bool]


def assert_accepted_or_refused(source: Any, image_size: int) -> None:
    """Preprocessing gives a picture with ink, or raises PictureError with one line."""
    try:
        picture = preprocess(source, image_size)
    except PictureError as error:
        assert "\n" not in str(error)  # noqa: PT017
    else:
        assert picture.shape == (image_size, image_size)
        assert picture.dtype == np.uint8
        assert picture.max() > 0


def test_picture_is_ink_on_bare_paper_centred_with_a_margin(circle_picture: np.ndarray) -> None:
    assert circle_picture.dtype == np.uint8
    assert circle_picture.shape == (64, 64)
    rows, columns = np.nonzero(circle_picture > 127)
    for low, high in ((rows.min(), rows.max()), (columns.min(), columns.max())):
        assert low == pytest.approx(64 / 18, abs=1.5)  # a margin of 1/16 of the ink's side
        assert low + high == pytest.approx(64 - 1, abs=2)
    assert circle_picture.max() == 255
    assert np.median(circle_picture) == 0


EQUIVALENT_PAGES: dict[str, Callable[[Draw], np.ndarray]] = {
    "light-on-dark": lambda draw: 255 - draw(),
    "pale": lambda draw: draw(ink=90, paper=150),
    "bool": lambda draw: draw() > 127,
    "unit": lambda draw: draw() / 255,
    "float": lambda draw: draw().astype(np.float32),
    "whole": lambda draw: draw().astype(np.int64),
    "16-bit": lambda draw: draw().astype(np.uint16) * 257,
    "column": lambda draw: draw()[:, :, None],
    "rgb": lambda draw: np.dstack([draw()] * 3),
    "yellow": lambda draw: np.dstack([np.full((128, 128), 255, np.uint8)] * 2 + [draw()]),  # on white
    "strided": lambda draw: np.asfortranarray(draw())[:, ::-1],
}


@pytest.mark.parametrize("kind", EQUIVALENT_PAGES)
def test_same_drawing_gives_the_same_picture(
    kind: str, draw_circle: Draw, is_similar: IsSimilar, circle_picture: np.ndarray
) -> None:
    assert is_similar(preprocess(EQUIVALENT_PAGES[kind](draw_circle), 64), circle_picture)


@pytest.mark.parametrize("width", [1, 0.04])
@pytest.mark.parametrize("side", [64, 144, 249, 256, 690, 1024, 2048])
def test_hairline_and_brush_stay_visible_at_every_size(side: int, width: float, draw_circle: Draw) -> None:
    picture = preprocess(draw_circle(side, width if width == 1 else round(width * side)), 64)
    line = [
        max(picture[round(31.5 + r * np.sin(angle)), round(31.5 + r * np.cos(angle))] for r in (26, 27, 28, 29))
        for angle in np.linspace(0, 2 * np.pi, 120)
    ]
    assert np.percentile(line, 5) > 60, "the line is broken"
    assert np.mean(line) > 150, "the line is faint"
    assert picture[28:36, 28:36].max() == 0, "the centre is bare"


def ink_extent(page: np.ndarray, angle: float = 0.0) -> tuple[float, float]:
    """How long and wide the ink is in pixels, along `angle` (degrees clockwise) and across."""
    y, x = np.nonzero(page > 127)
    along, across = np.exp(1j * np.radians(angle)) * np.array([1, 1j])
    return np.ptp(x * along.real + y * along.imag) + 1, np.ptp(x * across.real + y * across.imag) + 1


@pytest.mark.parametrize("filled", [False, True])
@pytest.mark.parametrize("angle", [0, 30, 90, 135])
@pytest.mark.parametrize("elongation", [1, 2, 4, 8, 18])
def test_elongation_becomes_its_square_root_along_any_axis(elongation: int, angle: int, filled: bool) -> None:
    page = np.full((600, 600), 255, np.uint8)
    corners = cv2.boxPoints(((300, 300), (400, 400 / elongation), angle)).astype(np.int32)
    cv2.polylines(page, [corners], True, 0, 3)
    if filled:
        cv2.fillPoly(page, [corners], 0)
    picture = preprocess(page, 256)
    (page_length, page_width), (length, width) = ink_extent(255 - page, angle), ink_extent(picture, angle)
    assert length / width == pytest.approx(
        page_length / page_width / min((page_length / page_width) ** 0.5, 3), rel=0.03
    )
    assert max(ink_extent(picture)) == pytest.approx(256 * 16 / 18, abs=4)


def test_single_line_gives_a_picture() -> None:
    for start, end in (((20, 30), (100, 30)), ((20, 30), (100, 90)), ((64, 64), (65, 64))):
        page = np.full((128, 128), 255, np.uint8)
        cv2.line(page, start, end, 0, 1)
        assert preprocess(page, 64).max() > 200


@pytest.mark.parametrize("image_size", [16, 32, 64])
@pytest.mark.parametrize("side", [700, 4096])
def test_soft_hairline_on_a_large_page_stays_visible(side: int, image_size: int) -> None:
    page = np.full((side, side), 255, np.uint8)
    cv2.circle(page, (side // 2, side // 2), round(0.47 * side), 0, 1, cv2.LINE_AA)
    page[page > 0] = np.maximum(page[page > 0], 140)
    min_line_width = min(1, image_size / 43)  # pixels of full ink that preprocessing guarantees
    assert preprocess(page, image_size).max() > 0.9 * 255 * min_line_width


def test_single_pixel_on_a_large_page_is_accepted_or_refused() -> None:
    page = np.full((4096, 4096), 255, np.uint8)
    page[2000, 2000] = 0
    assert_accepted_or_refused(page, 64)


@pytest.mark.parametrize("position", [(4, 4), (4, 120), (120, 60)])
def test_distant_specks_do_not_change_the_crop(
    position: tuple[int, int], draw_circle: Draw, is_similar: IsSimilar
) -> None:
    page = draw_circle(radius=0.2)
    page[position[0] : position[0] + 3, position[1] : position[1] + 3] = 0
    assert is_similar(preprocess(page, 64), preprocess(draw_circle(radius=0.2), 64))


def test_line_cut_off_by_the_edge_is_dropped_and_a_nearby_dot_stays(draw_circle: Draw, is_similar: IsSimilar) -> None:
    page = draw_circle(radius=0.2)
    cv2.line(page, (0, 10), (24, 0), 0, 3)
    assert is_similar(preprocess(page, 64), preprocess(draw_circle(radius=0.2), 64))
    letter_i = np.full((128, 128), 255, np.uint8)
    cv2.line(letter_i, (64, 50), (64, 100), 0, 5)
    cv2.circle(letter_i, (64, 38), 3, 0, -1)
    assert preprocess(letter_i, 64)[:14].max() == 255


@pytest.mark.parametrize("quarter_turns", range(4))
@pytest.mark.parametrize("width", [3, 5])
def test_end_of_a_connector_that_runs_off_the_page_is_cut_off(
    width: int, quarter_turns: int, draw_circle: Draw, is_similar: IsSimilar
) -> None:
    plain = draw_circle(width=4, radius=0.4)
    page = plain.copy()
    cv2.line(page, (115, 66), (127, 68), 0, width)
    pages = [np.ascontiguousarray(np.rot90(one, quarter_turns)) for one in (page, plain)]
    assert is_similar(preprocess(pages[0], 64), preprocess(pages[1], 64), 0.95)


def test_writing_that_is_cut_off_below_a_connected_shape_is_dropped(draw_circle: Draw, is_similar: IsSimilar) -> None:
    plain = draw_circle(width=4, radius=0.35)
    page = plain.copy()
    cv2.line(page, (108, 66), (127, 68), 0, 4)
    for x in (30, 46, 70):
        cv2.line(page, (x, 122), (x + 6, 127), 0, 3)
    assert is_similar(preprocess(page, 64), preprocess(plain, 64), 0.95)


def handled_shapes() -> dict[str, np.ndarray]:
    """Closed shapes with something thin that is theirs, on bare paper."""
    pages = {name: np.full((160, 160), 255, np.uint8) for name in ("pan", "arrow", "drop", "exclamation", "balloon")}
    cv2.circle(pages["pan"], (60, 80), 30, 0, 4)
    cv2.line(pages["pan"], (90, 80), (135, 84), 0, 5)
    cv2.polylines(pages["arrow"], [np.array([[90, 50], [90, 110], [140, 80]])], True, 0, 4)
    cv2.line(pages["arrow"], (20, 80), (90, 80), 0, 4)
    cv2.polylines(pages["drop"], [np.array([[40, 60], [40, 100], [140, 80]])], True, 0, 4)
    cv2.line(pages["exclamation"], (80, 30), (80, 110), 0, 6)
    cv2.circle(pages["exclamation"], (80, 130), 5, 0, -1)
    cv2.circle(pages["balloon"], (80, 60), 30, 0, 4)
    cv2.line(pages["balloon"], (80, 90), (80, 100), 0, 4)
    return pages


@pytest.mark.parametrize("margin", [0, 1, 3])
@pytest.mark.parametrize("square", [False, True])
@pytest.mark.parametrize("name", handled_shapes())
def test_page_cropped_to_its_drawing_loses_no_ink(name: str, square: bool, margin: int, is_similar: IsSimilar) -> None:
    page = handled_shapes()[name]
    left, top, width, height = cv2.boundingRect(255 - page)
    cropped = page[top : top + height, left : left + width]
    extra = max(width, height) - np.array([height, width]) if square else np.zeros(2, int)
    borders = [margin + int(part) for side in extra for part in (side // 2, side - side // 2)]
    cropped = cv2.copyMakeBorder(cropped, *borders, cv2.BORDER_CONSTANT, value=255)
    assert is_similar(preprocess(cropped, 64), preprocess(page, 64), 0.9)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (b"", "the file is empty"),
        (b"hello, I am text", "this is no picture file"),
        (b"\x89PNG\r\n\x1a\n", "ends within its header"),
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
def test_invalid_source_raises_picture_error(source: Any, message: str) -> None:
    with pytest.raises(PictureError, match=message) as caught:
        preprocess(source, 64)
    assert "\n" not in str(caught.value)


def test_png_cut_short_raises_picture_error(draw_circle: Draw, encode: Encode) -> None:
    with pytest.raises(PictureError, match="the PNG ends too early; it is truncated") as caught:
        preprocess(encode(draw_circle(), "PNG")[:-30], 64)
    assert "\n" not in str(caught.value)


def test_threads_give_the_same_pictures(draw_circle: Draw) -> None:
    rng = np.random.default_rng(1)
    pages = [draw_circle(64 + 16 * i, 1 + i % 5, radius=rng.uniform(0.1, 0.4)) for i in range(40)]
    expected = [preprocess(page, 64) for page in pages]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            pictures = pool.map(lambda page: preprocess(page, 64), pages)
            for one, two in zip(expected, pictures, strict=True):
                np.testing.assert_array_equal(one, two)


def test_preprocess_changes_neither_its_source_nor_opencv_settings(draw_circle: Draw) -> None:
    assert cv2.getNumThreads() != 0
    page = draw_circle()
    before = page.copy()
    preprocess(page, 64)
    np.testing.assert_array_equal(page, before)


@pytest.mark.parametrize("quarter_turns", [1, 2, 3])
def test_rotated_page_gives_the_rotated_picture(quarter_turns: int, is_similar: IsSimilar) -> None:
    page = np.full((120, 120), 255, np.uint8)
    cv2.polylines(page, [np.array([(20, 30), (100, 40), (40, 90)])], True, 0, 3, cv2.LINE_AA)
    rotated = preprocess(np.rot90(page, quarter_turns), 64)
    assert is_similar(rotated, np.ascontiguousarray(np.rot90(preprocess(page, 64), quarter_turns)), 0.95)


SIDES = st.integers(1, 70)
DTYPES = st.sampled_from([np.uint8, np.uint16, np.int32, np.float32, np.float64, np.bool_])


@pytest.fixture(scope="module")
def small_files(draw_circle: Draw, encode: Encode) -> dict[str, bytes]:
    """A page of 48×48 pixels in RGB as a file of every format."""
    page = np.dstack([draw_circle(48)] * 3)
    return {file_format: encode(page, file_format) for file_format in ("PNG", "JPEG", "GIF", "BMP", "WEBP")}


@settings(max_examples=150, deadline=None)
@given(
    st.tuples(SIDES, SIDES, st.sampled_from([(), (1,), (3,), (4,)])).flatmap(
        lambda shape: DTYPES.flatmap(lambda dtype: arrays.arrays(dtype, (shape[0], shape[1], *shape[2])))
    ),
    st.sampled_from([16, 64]),
)
def test_any_array_is_accepted_or_refused(page: np.ndarray, image_size: int) -> None:
    assert_accepted_or_refused(page, image_size)


@settings(max_examples=200, deadline=None)
@given(
    file_format=st.sampled_from(["PNG", "JPEG", "GIF", "BMP", "WEBP"]),
    changes=st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), max_size=8),
    cut=st.integers(0, 4000),
)
def test_damaged_file_is_accepted_or_refused(
    small_files: dict[str, bytes], file_format: str, changes: list[tuple[int, int]], cut: int
) -> None:
    data = bytearray(small_files[file_format])
    for offset, value in changes:
        data[offset % len(data)] = value
    assert_accepted_or_refused(bytes(data[: len(data) - cut if cut < len(data) else None]), 64)


@settings(max_examples=100, deadline=None)
@given(
    st.binary(max_size=300),
    st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a", b"BM", b"RIFF....WEBP"]),
)
def test_any_bytes_are_accepted_or_refused(data: bytes, start: bytes) -> None:
    assert_accepted_or_refused(start + data, 64)


PICTURE_STATISTICS = {  # version -> mean level and centre of each of `fixed_scenes`
    2: [
        (16.14, 26.98, 36.68),
        (18.73, 31.56, 31.55),
        (83.73, 28.35, 36.78),
        (28.4, 29.25, 35.48),
        (10.65, 30.95, 30.8),
        (71.66, 31.79, 37.09),
        (34.28, 31.34, 36.82),
        (25.9, 31.54, 31.43),
        (61.70, 35.28, 36.60),
        (31.14, 33.89, 38.7),
        (27.61, 31.47, 31.55),
        (90.43, 37.68, 39.13),
    ]
}


def fixed_scenes() -> list["np.ndarray"]:
    """Triangles, ellipses and lines on pages of several shades and sizes."""
    scenes = []
    for number in range(12):
        height, width = 90 + 37 * (number % 4), 130 + 61 * (number % 3)
        page = np.full((height, width, 3), (250 - 9 * number, 245, 240 - 15 * (number % 5)), np.uint8)
        ink, pen = (20 * (number % 3), 10, 15 * (number % 6)), 1 + number % 4
        corners = np.array([[0.2, 0.8], [0.75, 0.7], [0.3 + 0.04 * number, 0.15]]) * (width, height)
        if number % 3 == 0:
            cv2.polylines(page, [corners.astype(np.int32)], True, ink, pen, cv2.LINE_AA)
        elif number % 3 == 1:
            cv2.ellipse(page, (width // 2, height // 2), (width // 3, height // 5), 11 * number, 0, 360, ink, pen)
        else:
            cv2.fillPoly(page, [corners.astype(np.int32)], ink, cv2.LINE_AA)
        scenes.append(page)
    return scenes


def test_pictures_are_those_of_the_version() -> None:
    """Where this fails, pictures have changed: increase PREPROCESSING_VERSION, and make the reference model again."""
    pictures = [preprocess(scene, 64).astype(np.float64) for scene in fixed_scenes()]
    places = np.arange(64)
    found = [
        (
            picture.mean(),
            (picture.sum(0) * places).sum() / picture.sum(),
            (picture.sum(1) * places).sum() / picture.sum(),
        )
        for picture in pictures
    ]
    expected = PICTURE_STATISTICS[PREPROCESSING_VERSION]
    np.testing.assert_allclose(found, expected, atol=0.1)  # levels and pixels; processors round otherwise
