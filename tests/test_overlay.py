"""The clean outline over the ink, in the drawing's own units, and a contact sheet of several drawings."""

import base64
import re
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

from strokewise.loading import REFERENCE_MODEL
from strokewise.overlay import CELLS_PER_ROW, Overlay, make_overlay, overlay_svg
from strokewise.recogniser import Recogniser

SVG = "{http://www.w3.org/2000/svg}"
STROKES = [[(1000.0, 50.0), (1004.0, 50.0), (1004.0, 52.0), (1000.0, 52.0), (1000.0, 50.0)]]


@pytest.fixture(scope="module")
def recogniser() -> Recogniser:
    return Recogniser(REFERENCE_MODEL)


def parse_svg(text: str) -> ElementTree.Element:
    return ElementTree.fromstring(text)  # noqa: S314 - our own


def page() -> np.ndarray:
    scene = np.full((120, 90, 3), 250, np.uint8)
    cv2.rectangle(scene, (20, 30), (70, 100), (200, 30, 30), 3)
    return scene


def overlay_of(recogniser: Recogniser, name: str, source: object, sheet: bool = False) -> Overlay:
    (answer,) = recogniser.predict(source, snap=True)  # type: ignore[arg-type]
    return make_overlay(name, source, answer, None, sheet)


def test_one_drawing_has_its_own_units(recogniser: Recogniser) -> None:
    overlay = overlay_of(recogniser, "strokes", STROKES)
    root = parse_svg(overlay_svg([overlay]))
    left, top, width, height = map(float, root.attrib["viewBox"].split())
    assert left < 1000 < 1004 < left + width
    assert top < 50 < 52 < top + height
    (path,) = root.iter(f"{SVG}path")
    assert overlay.answer.geometry is not None
    assert path.attrib["d"] == overlay.answer.geometry.path
    corners = np.array(re.findall(r"([\d.]+) ([\d.]+)", path.attrib["d"]), float)
    np.testing.assert_allclose(corners.min(0), [1000, 50], atol=0.1)
    np.testing.assert_allclose(corners.max(0), [1004, 52], atol=0.1)


def test_picture_is_beneath_the_outline_pixel_for_pixel(recogniser: Recogniser) -> None:
    root = parse_svg(overlay_svg([overlay_of(recogniser, "picture", page())]))
    assert root.attrib["viewBox"] == "0 0 90 120"
    (image,) = root.iter(f"{SVG}image")
    assert [image.attrib[name] for name in ("x", "y", "width", "height")] == ["0", "0", "90", "120"]
    shown = cv2.imdecode(np.frombuffer(base64.b64decode(image.attrib["href"].partition(",")[2]), np.uint8), 1)
    np.testing.assert_array_equal(shown[:, :, ::-1], page())


def test_sheet_has_a_cell_a_drawing_and_the_reason_where_there_is_no_outline(recogniser: Recogniser) -> None:
    noise = (np.random.default_rng(0).random((12, 2)) * 50).tolist()
    overlays = [overlay_of(recogniser, f"<{i}>&.png", page(), sheet=True) for i in range(CELLS_PER_ROW)]
    overlays.append(overlay_of(recogniser, "noise.png", noise, sheet=True))
    root = parse_svg(overlay_svg(overlays))
    assert len(list(root.iter(f"{SVG}image"))) == len(overlays)
    found = [overlay.answer.geometry is not None for overlay in overlays]
    assert len(list(root.iter(f"{SVG}path"))) == sum(found)
    texts = [text.text or "" for text in root.iter(f"{SVG}text")]
    assert "<0>&.png" in texts
    assert sum(": " in text for text in texts) == len(found) - sum(found) > 0


def test_large_picture_is_made_smaller_on_a_sheet(recogniser: Recogniser, tmp_path: Path) -> None:
    large = cv2.resize(page(), (900, 1200))
    single, small = (len(overlay_svg([overlay_of(recogniser, "a", large, sheet)])) for sheet in (False, True))
    assert small < single / 3
