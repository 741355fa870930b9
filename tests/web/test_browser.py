"""The package and the example page in a real browser, the example with the events of a real mouse."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from steered_browser import SteeredBrowser
from strokewise.loading import REFERENCE_MODEL
from strokewise.model.onnx_file import load_onnx
from strokewise.recogniser import Recogniser
from strokewise.web.npm_package import Drawing, write_package

pytestmark = pytest.mark.slow


@pytest.fixture
def site(tmp_path: Path, root: Path) -> Path:
    """A folder with the example page, and beside it the package of the reference model."""
    recogniser = Recogniser(REFERENCE_MODEL)

    def answer(drawing: Drawing) -> dict[str, Any]:
        return recogniser.predict([drawing], strokes="points", snap=True)[0].to_dict()

    write_package(tmp_path / "site" / "my-shapes", load_onnx(REFERENCE_MODEL), "", answer)
    (tmp_path / "site" / "canvas.html").write_text((root / "docs" / "canvas.html").read_text())
    (tmp_path / "site" / "empty.html").write_text("<!DOCTYPE html><link rel=icon href=data:,>")
    return tmp_path / "site"


def test_package_answers_in_a_browser_as_in_python(site: Path, browser: SteeredBrowser, serve: Any) -> None:
    browser.open(serve(site) + "empty.html")
    vectors = json.loads((site / "my-shapes" / "vectors.json").read_text())
    script = f"""(async () => {{
      const {{ load }} = await import("./my-shapes/index.js");
      const r = await load();
      return {json.dumps([drawing["strokes"] for drawing in vectors["drawings"]])}.map((strokes) => r.snap(strokes));
    }})()"""
    for answer, expected in zip(browser.evaluate(script), vectors["drawings"], strict=True):
        assert answer["scores"] == pytest.approx(expected["scores"], abs=0.05), expected["title"]
        if expected["geometry"]:
            side = max(expected["geometry"]["parameters"]["size"])
            centre = expected["geometry"]["parameters"]["centre"]
            assert answer["geometry"]["parameters"]["centre"] == pytest.approx(centre, abs=0.02 * side)
    assert browser.errors == []


def test_pixels_and_pointer_events_are_read_in_a_browser(site: Path, browser: SteeredBrowser, serve: Any) -> None:
    browser.open(serve(site) + "empty.html")
    script = """(async () => {
      const { load } = await import("./my-shapes/index.js");
      const r = await load();
      const canvas = new OffscreenCanvas(200, 150);
      const context = canvas.getContext("2d");
      context.lineWidth = 5;
      context.strokeRect(30, 30, 140, 90);
      const corners = [[30, 30], [170, 30], [170, 120], [30, 120], [30, 30]];
      const events = corners.map(([clientX, clientY], index) =>
        new PointerEvent(index ? "pointermove" : "pointerdown", { clientX, clientY, buttons: 1 }));
      return [context.getImageData(0, 0, 200, 150), events].map((drawing) => r.recognise(drawing).shape);
    })()"""
    assert browser.evaluate(script) == ["rectangle", "rectangle"]


def test_a_stroke_on_the_example_page_becomes_its_clean_shape(site: Path, browser: SteeredBrowser, serve: Any) -> None:
    browser.open(serve(site) + "canvas.html", "document.getElementById('answer').value.startsWith('Draw')")
    assert browser.errors == []
    circle = [(300 + 100 * math.cos(a / 9), 350 + 95 * math.sin(a / 9)) for a in range(58)]
    browser.drag([(x + (index % 3), y) for index, (x, y) in enumerate(circle)])
    browser.drag(
        [(600, 300), (650, 302), (748, 301), (750, 400), (749, 470), (655, 468), (601, 471), (600, 380), (601, 299)]
    )
    browser.drag([(500, 600), (500, 600)])  # a dot
    steps = json.loads(browser.evaluate("document.getElementById('canvas').dataset.steps"))
    assert [step["isClean"] for step in steps] == [True, True, False]
    assert "A" in steps[0]["path"]  # an ellipse's arcs
    assert steps[1]["path"].count("L") == 3  # four corners, closed
    blue = """[...document.getElementById("canvas").getContext("2d").getImageData(0, 0, 1000, 700).data]
      .filter((value, at, all) => at % 4 === 2 && value > 200 && all[at - 2] < 80 && all[at + 1] > 200).length"""
    shown = browser.evaluate(blue)
    assert shown > 500
    browser.press("z", modifiers=2)  # the dot
    browser.press("z", modifiers=2)  # the rectangle
    assert len(json.loads(browser.evaluate("document.getElementById('canvas').dataset.steps"))) == 1
    assert browser.evaluate(blue) < shown
    browser.evaluate("document.getElementById('clear').click()")
    assert browser.evaluate(blue) == 0
    assert browser.evaluate("document.getElementById('undo').disabled")
