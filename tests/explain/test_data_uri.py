"""PNG files in `data:` URIs, read by another library."""

import base64

import cv2
import numpy as np
import pytest

from strokewise.explain import data_uri


def decode_png(content: bytes) -> np.ndarray:
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    assert pixels is not None
    return pixels


def test_palette_goes_from_rust_through_white_to_ink() -> None:
    pixels = decode_png(data_uri.encode_palette_png(data_uri.to_palette(np.array([[0.0, 2.0, -2.0, 99.0]]), 2)))[0]
    assert pixels[0].tolist() == [255, 255, 255, 255]
    assert pixels[1, :3][::-1].tolist() == data_uri.POSITIVE_RGB.tolist()
    assert pixels[2, :3][::-1].tolist() == data_uri.NEGATIVE_RGB.tolist()
    assert (data_uri.POSITIVE_RGB.tolist(), data_uri.NEGATIVE_RGB.tolist()) == ([13, 43, 89], [191, 64, 13])
    assert (pixels[3] == pixels[1]).all(), "beyond the limit is the limit"


def test_rgb_pixels_are_unchanged() -> None:
    colours = np.random.default_rng(0).integers(0, 256, (7, 5, 3), dtype=np.uint8)
    assert (decode_png(data_uri.encode_palette_png(colours))[:, :, ::-1] == colours).all()


def test_stacked_maps_share_a_scale() -> None:
    sheet = data_uri.stack_maps([np.array([[1.0, 0], [0, 0]]), np.array([[0.5, 0], [0, -1]])], side=4, gap=2)
    assert sheet.shape == (10, 4)
    assert (sheet[:2, :2] == 255).all()
    assert (sheet[4:6] == data_uri.GAP_INDEX).all()
    assert (sheet[6:8, :2] == round(128 + 127 / 2)).all()
    assert (sheet[8:, 2:] == 1).all()
    assert decode_png(data_uri.encode_palette_png(sheet))[5, 0, 3] == 0, "a gap is transparent"


def test_maps_are_stacked_in_columns() -> None:
    sheet = data_uri.stack_maps([np.ones((2, 2))] * 9, side=2, gap=1, columns=3)
    assert sheet.shape == (8, 8)


@pytest.mark.parametrize("values", [np.zeros((3, 3)), np.full((3, 3), 1e-30)])
def test_maps_without_values_are_drawn(values: np.ndarray) -> None:
    assert decode_png(data_uri.encode_palette_png(data_uri.stack_maps([values], 3, 0))).shape == (3, 3, 4)


def test_data_uri_holds_the_png_file() -> None:
    levels = data_uri.to_palette(np.eye(4), 1)
    head, _, content = data_uri.data_uri(levels).partition(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(content) == data_uri.encode_palette_png(levels)
