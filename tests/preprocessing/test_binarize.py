"""Ink on any paper: uneven light, ruled and squared paper, filled shapes, blank pages."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from strokewise.errors import PictureError
from strokewise.preprocessing.preprocess import preprocess

Draw = Callable[..., np.ndarray]
IsSimilar = Callable[..., bool]


@pytest.mark.parametrize("squared", [False, True])
def test_light_ink_on_dark_ruled_paper_is_extracted(squared: bool, draw_circle: Draw, is_similar: IsSimilar) -> None:
    plain = draw_circle(ink=220, paper=120, width=1, radius=0.15)
    page = plain.copy()
    page[8::20] -= 50
    if squared:
        page[:, 8::20] -= 50
    assert is_similar(preprocess(page, 64), preprocess(plain, 64), 0.85)


def test_ruled_paper_alone_is_blank() -> None:
    page = np.full((128, 128), 240, np.uint8)
    page[8::20] = 90
    with pytest.raises(PictureError, match="blank"):
        preprocess(page, 64)


def shades() -> dict[str, np.ndarray]:
    """Light by name, a factor (128, 128) of the page's levels."""
    y, x = np.mgrid[:128, :128] / 127
    return {
        "slope": 0.4 + 0.6 * (x + y) / 2,
        "vignette": 1 - 0.8 * ((x - 0.5) ** 2 + (y - 0.5) ** 2),
        "shadow": 0.5 + 0.5 / (1 + np.exp(-12 * (x - 0.3 * y - 0.4))),
    }


@pytest.mark.parametrize("shade", shades())
@pytest.mark.parametrize("filled", [False, True])
def test_uneven_light_is_removed(shade: str, filled: bool, draw_circle: Draw, is_similar: IsSimilar) -> None:
    page = draw_circle(ink=40, paper=235, width=-1 if filled else 4)
    noise = np.random.default_rng(0).normal(0, 3, page.shape)
    photo = np.clip(page * shades()[shade] + noise, 0, 255).astype(np.uint8)
    photo = cv2.imdecode(cv2.imencode(".jpg", photo, [cv2.IMWRITE_JPEG_QUALITY, 60])[1], cv2.IMREAD_GRAYSCALE)
    assert is_similar(preprocess(photo, 64), preprocess(page, 64), 0.93)


@pytest.mark.parametrize("level", [200, 110, 0])
@pytest.mark.parametrize("squared", [False, True])
def test_lines_of_ruled_paper_are_removed(level: int, squared: bool, draw_circle: Draw, is_similar: IsSimilar) -> None:
    page = draw_circle(256, 5)
    for offset in range(12, 256, 24):
        page[offset] = np.minimum(page[offset], level)
        if squared:
            page[:, offset] = np.minimum(page[:, offset], level)
    assert is_similar(preprocess(page, 64), preprocess(draw_circle(256, 5), 64), 0.9)


def test_filled_shape_stays_filled(draw_circle: Draw) -> None:
    for page in (draw_circle(width=-1), 255 - draw_circle(width=-1, radius=0.45)):
        assert preprocess(page, 64)[16:48, 16:48].min() == 255


@pytest.mark.parametrize("light_on_dark", [False, True])
@pytest.mark.parametrize("blur", [3.0, 4.5])
@pytest.mark.parametrize(("width", "radius"), [(14, 0.42), (18, 0.42), (26, 0.38)])
def test_thick_soft_outline_is_ink_and_what_it_encloses_is_paper(
    width: int, radius: float, blur: float, light_on_dark: bool, draw_circle: Draw, is_similar: IsSimilar
) -> None:
    """As pencil rounds on each other give, photographed from near: the rim rises as gradually as shade does."""
    plain = draw_circle(ink=120, paper=215, width=width, radius=radius)
    y, x = np.mgrid[:128, :128] / 127
    photo = cv2.GaussianBlur(plain, (0, 0), blur) * (0.85 + 0.1 * x + 0.05 * y)
    photo = np.clip(photo + np.random.default_rng(0).normal(0, 2, photo.shape), 0, 255).astype(np.uint8)
    picture = preprocess(255 - photo if light_on_dark else photo, 64)
    assert is_similar(picture, preprocess(plain, 64), 0.9)
    assert picture[29:35, 29:35].max() == 0


@pytest.mark.parametrize("rise", [0, 3, -5])
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("squared", [False, True])
def test_one_or_two_faint_ruled_lines_that_cross_the_drawing_are_removed(
    squared: bool, count: int, rise: int, draw_circle: Draw, is_similar: IsSimilar
) -> None:
    plain = draw_circle(ink=60, paper=230, width=4, radius=0.4)
    rules = np.full_like(plain, 255)
    for row in (62, 96)[:count]:
        cv2.line(rules, (0, row), (127, row + rise), 150, 2, cv2.LINE_AA)
        if squared:
            cv2.line(rules, (row + rise, 0), (row, 127), 150, 2, cv2.LINE_AA)
    picture = preprocess(np.minimum(plain, rules), 64)
    assert is_similar(picture, preprocess(plain, 64))
    assert picture[16:48, 16:48].max() == 0


@pytest.mark.parametrize("second_ink", [60, 110])
def test_drawing_of_lines_from_edge_to_edge_keeps_them(second_ink: int) -> None:
    page = np.full((128, 128), 230, np.uint8)
    cv2.line(page, (0, 60), (127, 63), 60, 4, cv2.LINE_AA)
    cv2.line(page, (66, 0), (62, 127), second_ink, 4, cv2.LINE_AA)
    picture = preprocess(page, 64)
    assert (picture[8:56, 28:36].max(1) > 127).all()
    assert (picture[28:36, 8:56].max(0) > 127).all()


@pytest.mark.parametrize("light_on_dark", [False, True])
@pytest.mark.parametrize("shape", [(128, 76), (60, 128)])
def test_outline_on_a_page_that_is_cropped_to_it_is_ink(shape: tuple[int, int], light_on_dark: bool) -> None:
    page = np.full(shape, 255, np.uint8)
    cv2.ellipse(page, (shape[1] // 2, shape[0] // 2), (shape[1] // 2 - 2, shape[0] // 2 - 2), 0, 0, 360, 0, 5)
    picture = preprocess(255 - page if light_on_dark else page, 64)
    assert picture[28:36, 28:36].max() == 0
    assert all(edge.max() > 200 for edge in (picture[:20], picture[-20:], picture[:, :20], picture[:, -20:]))
