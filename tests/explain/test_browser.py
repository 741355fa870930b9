"""The page in a real browser: no error, every image loaded, nothing wider than the window, wide and narrow."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from strokewise.explain import analysis, page
from strokewise.explain.attribution import Predictor
from strokewise.explain.page import ModelSummary
from strokewise.model.cnn import CNN

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


@pytest.fixture(scope="module")
def chromium() -> str:
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        message = "no browser found: install Chromium or Chrome to run this test"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    return path


def browse(chromium: str, address: Path, folder: Path) -> tuple[str, str]:
    """The document after its scripts ran, and the browser's log."""
    command = [
        chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--allow-file-access-from-files", "--enable-logging=stderr", "--v=0", "--virtual-time-budget=20000",
        f"--user-data-dir={folder / 'profile'}", "--dump-dom", address.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, done.stderr


@pytest.mark.parametrize("width", [1280, 400])
def test_page_is_readable_in_a_browser(
    chromium: str,
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
    document, log = browse(chromium, tmp_path / "measure.html", tmp_path)
    match = re.search(r'data-measured="([^"]*)"', document)
    assert match, document[:500]
    measured = json.loads(match.group(1).replace("&quot;", '"').replace("&lt;", "<").replace("&gt;", ">"))
    assert measured["images"] > 30
    assert measured["missing"] == 0
    assert measured["small"] == 0
    assert measured["cut"] == []
    assert measured["overflow"] <= 0
    assert "CONSOLE" not in log
