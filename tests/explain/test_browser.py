"""The page in a real browser: no error, every image loaded, nothing wider than the window, wide and narrow."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from strokewise.explain import analysis, page
from strokewise.explain.attribution import Predictor
from strokewise.explain.page import ModelSummary
from strokewise.model.cnn import CNN

Browse = Callable[..., tuple[str, str]]
pytestmark = pytest.mark.slow

# Loads the page in a frame of a given width (headless Chromium has no window narrower than 500 pixels) and measures it.
MEASURING_PAGE = """<!DOCTYPE html><body>
<iframe id="f" src="page.html" style="width:%dpx;height:900px;border:0"></iframe>
<script>
addEventListener("load", () => {
  const inside = document.getElementById("f").contentDocument, root = inside.documentElement;
  const images = [...inside.images];
  const small = [...inside.querySelectorAll("p,td,th,h2,h3,h4,figcaption,dd")].filter(
    (e) => e.textContent.trim() && parseFloat(inside.defaultView.getComputedStyle(e).fontSize) < 11);
  const cut = [...inside.querySelectorAll("*")].filter((e) => e.getBoundingClientRect().right > root.clientWidth + 1);
  document.body.dataset.measured = JSON.stringify({
    images: images.length, missing: images.filter((i) => !i.complete || !i.naturalWidth).length,
    overflow: root.scrollWidth - root.clientWidth, small: small.length,
    cut: cut.map((e) => e.outerHTML.slice(0, 80)).slice(0, 3)});
});
</script>"""


@pytest.mark.parametrize("width", [1280, 400])
def test_page_is_readable_in_a_browser(
    browse: Browse,
    default_cnn: CNN,
    pictures: NDArray[np.uint8],
    ink_model: Predictor,
    baseline_summary: ModelSummary,
    tmp_path: Path,
    width: int,
) -> None:
    one = analysis.analyse(
        default_cnn,
        pictures[0],
        scene=pictures[0],
        title="a-very-long-name-of-a-file-without-any-space-in-it-that-must-not-widen-the-page.png",
        truth="cross",
        reference=analysis.build_reference(default_cnn, pictures),
        baseline=ink_model,
    )
    text = page.explanation_page(default_cnn, [one], baseline_summary, 8)
    (tmp_path / "page.html").write_text(text, encoding="utf-8")
    (tmp_path / "measure.html").write_text(MEASURING_PAGE % width, encoding="utf-8")
    document, log = browse(tmp_path / "measure.html", "--virtual-time-budget=20000", "--dump-dom")
    match = re.search(r'data-measured="([^"]*)"', document)
    assert match, document[:500]
    measured = json.loads(match.group(1).replace("&quot;", '"').replace("&lt;", "<").replace("&gt;", ">"))
    assert measured["images"] > 30
    assert measured["missing"] == 0
    assert measured["small"] == 0
    assert measured["cut"] == []
    assert measured["overflow"] <= 0
    assert "CONSOLE" not in log
