"""Photographed sheets: paper on a table is isolated; light shapes, outlines and shadows are not taken for one."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from strokewise.preprocessing import document
from strokewise.preprocessing.preprocess import preprocess

Draw = Callable[..., np.ndarray]
IsSimilar = Callable[..., bool]


@pytest.mark.parametrize("angle", [0, 12, -20])
def test_sheet_on_a_table_is_isolated(
    angle: int, draw_circle: Draw, is_similar: IsSimilar, circle_picture: np.ndarray
) -> None:
    sheet = draw_circle(ink=40, paper=235, radius=0.25)
    matrix = cv2.getRotationMatrix2D((64, 64), angle, 1.2)
    matrix[:, 2] += 36
    noise = np.random.default_rng(0).normal(0, 3, (200, 200))
    cover = cv2.warpAffine(np.full_like(sheet, 255), matrix, (200, 200)) / 255
    photo = cover * cv2.warpAffine(sheet, matrix, (200, 200)) + (1 - cover) * 70 + noise
    assert is_similar(preprocess(np.clip(photo, 0, 255).astype(np.uint8), 64), circle_picture, 0.9)


@pytest.mark.parametrize(("slant", "darkest"), [(0, 0.5), (34, 0.9)])  # slanted, it fills 0.75 of a rectangle
def test_sheet_half_in_shade_or_seen_at_an_angle_is_isolated(
    slant: int, darkest: float, draw_circle: Draw, is_similar: IsSimilar
) -> None:
    page = draw_circle(ink=30, paper=235, radius=0.36) * np.linspace(darkest, 1, 128)
    corners = np.array([[30 + slant, 40], [170 - slant, 40], [170, 165], [30, 160]], np.float32)
    square = np.array([[0, 0], [128, 0], [128, 128], [0, 128]], np.float32)
    perspective = cv2.getPerspectiveTransform(square, corners)
    cover = cv2.warpPerspective(np.ones((128, 128)), perspective, (200, 200))
    photo = cover * cv2.warpPerspective(page, perspective, (200, 200)) + (1 - cover) * 85
    bare = cv2.warpPerspective(draw_circle(radius=0.36), perspective, (200, 200), borderValue=255)
    assert is_similar(preprocess(np.clip(photo, 0, 255).astype(np.uint8), 64), preprocess(bare, 64), 0.9)


def test_drawing_up_to_the_edge_of_a_sheet_is_not_a_shadow(is_similar: IsSimilar) -> None:
    page = np.full((128, 128), 235, np.uint8)
    cv2.line(page, (0, 30), (100, 70), 40, 3, cv2.LINE_AA)
    photo = np.full((200, 200), 70, np.uint8)
    photo[::9] = 25
    photo[36:164, 36:164] = page
    assert is_similar(preprocess(photo, 64), preprocess(page, 64), 0.8)


def test_sheet_that_runs_off_the_photograph_is_isolated(
    draw_circle: Draw, is_similar: IsSimilar, circle_picture: np.ndarray
) -> None:
    photo = np.full((170, 128), 70, np.uint8)
    photo[:, ::9] = 25  # the grain of the table's wood
    photo[:128] = draw_circle(ink=40, paper=235)  # only one edge of the sheet is visible
    assert is_similar(preprocess(photo, 64), circle_picture, 0.9)


@pytest.mark.parametrize("angle", [0, 60, 150, 260])
def test_drawing_half_in_a_sharp_shadow_stays_whole(angle: int, is_similar: IsSimilar) -> None:
    y, x = np.mgrid[:128, :128] - 60
    light = np.where(np.cos(np.radians(angle)) * x + np.sin(np.radians(angle)) * y > 0, 1.0, 0.55)
    page = np.full((128, 128), 235, np.uint8)
    for ends in (((34, 40), (90, 84)), ((38, 88), (88, 36))):
        cv2.line(page, *ends, 40, 3, cv2.LINE_AA)
    photo = (page * cv2.GaussianBlur(light, (0, 0), 2)).astype(np.uint8)
    assert is_similar(preprocess(photo, 64), preprocess(page, 64), 0.9)


@pytest.mark.parametrize(("offset", "width"), [(6, 11), (10, 13)])
def test_inside_of_an_outline_is_not_a_sheet(offset: int, width: int) -> None:
    page = np.full((128, 128), 255, np.uint8)  # the outline is cropped closely, with some paper beyond it
    outline = np.array([[4 + offset, 5], [122, 5 + offset], [122 - offset, 122], [5, 122 - offset]])
    cv2.polylines(page, [outline], True, 0, width, cv2.LINE_AA)
    cv2.line(page, (60, 60), (72, 66), 0, width, cv2.LINE_AA)
    assert document.isolate_sheet(page) is None


@pytest.mark.parametrize(
    "corners",
    [
        [[10, 20], [108, 34], [96, 110], [26, 118]],
        [[0, 17], [96, 21], [107, 90], [11, 106]],  # touches the picture's edge
        [[12, 13], [104, 0], [92, 115], [9, 109]],
    ],
)
def test_light_trapezoid_on_dark_paper_is_a_drawing(corners: list[list[int]], is_similar: IsSimilar) -> None:
    page = np.full((128, 128), 30, np.uint8)
    cv2.fillPoly(page, [np.array(corners)], 230, cv2.LINE_AA)
    padded = cv2.copyMakeBorder(page, 40, 40, 40, 40, cv2.BORDER_CONSTANT, value=30)
    assert is_similar(preprocess(page, 64), preprocess(padded, 64), 0.9)
    assert preprocess(page, 64)[32, 16:48].min() == 255


def test_light_rectangle_on_dark_paper_is_a_drawing() -> None:
    page = np.full((128, 128), 30, np.uint8)
    cv2.rectangle(page, (20, 30), (110, 100), 220, -1)
    assert preprocess(page, 64)[32, 8:56].min() == 255
    cv2.rectangle(page, (34, 44), (96, 86), 30, -1)  # now an outline of a thick pen
    picture = preprocess(page, 64)
    assert (picture[32, 32], picture[32, 7]) == (0, 255)


def test_light_dot_on_dark_paper_is_not_a_sheet() -> None:
    page = np.zeros((1500, 1500), np.uint8)
    page[700:702, 700:702] = 255
    assert preprocess(page, 64).max() == 255
