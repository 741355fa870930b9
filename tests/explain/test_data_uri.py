"""The page's own PNG files, read by another library."""

import base64

import cv2
import numpy as np
import pytest

from strokewise.explain import data_uri


def decoded(content: bytes) -> np.ndarray:
    found = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    assert found is not None
    return found


def test_zero_is_white_more_is_ink_less_is_rust() -> None:
    found = decoded(data_uri.encode_palette_png(data_uri.to_palette(np.array([[0.0, 2.0, -2.0, 99.0]]), 2)))[0]
    assert found[0].tolist() == [255, 255, 255, 255]
    assert found[1, :3][::-1].tolist() == data_uri.POSITIVE_RGB.tolist()
    assert found[2, :3][::-1].tolist() == data_uri.NEGATIVE_RGB.tolist()
    assert (found[3] == found[1]).all(), "beyond the limit is the limit"


def test_colours_stay_as_they_are() -> None:
    colours = np.random.default_rng(0).integers(0, 256, (7, 5, 3), dtype=np.uint8)
    assert (decoded(data_uri.encode_palette_png(colours))[:, :, ::-1] == colours).all()


def test_stacked_maps_share_a_scale_and_keep_their_pixels() -> None:
    sheet = data_uri.stack_maps([np.array([[1.0, 0], [0, 0]]), np.array([[0.5, 0], [0, -1]])], side=4, gap=2)
    assert sheet.shape == (10, 4)
    assert (sheet[:2, :2] == 255).all()
    assert (sheet[4:6] == data_uri.GAP_INDEX).all()
    assert (sheet[6:8, :2] == round(128 + 127 / 2)).all()
    assert (sheet[8:, 2:] == 1).all()
    assert decoded(data_uri.encode_palette_png(sheet))[5, 0, 3] == 0, "a gap is transparent"


def test_columns() -> None:
    sheet = data_uri.stack_maps([np.ones((2, 2))] * 9, side=2, gap=1, columns=3)
    assert sheet.shape == (8, 8)


@pytest.mark.parametrize("values", [np.zeros((3, 3)), np.full((3, 3), 1e-30)])
def test_nothing_at_all_is_drawable(values: np.ndarray) -> None:
    assert decoded(data_uri.encode_palette_png(data_uri.stack_maps([values], 3, 0))).shape == (3, 3, 4)


def test_an_address_is_the_file_itself() -> None:
    levels = data_uri.to_palette(np.eye(4), 1)
    head, _, content = data_uri.data_uri(levels).partition(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(content) == data_uri.encode_palette_png(levels)
