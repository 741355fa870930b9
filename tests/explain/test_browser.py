"""The page in a real browser: no error, every picture loaded, nothing wider than the window, wide and narrow."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from strokewise.explain import analysis, attribution, page
from strokewise.model.cnn import CNN

pytestmark = pytest.mark.slow

# Loads the page in a frame of a given width (headless Chromium has no window narrower than 500 pixels) and reports.
PROBE = """<!DOCTYPE html><body><iframe id="f" src="page.html" style="width:%dpx;height:900px;border:0"></iframe>
<script>
addEventListener("load", () => {
  const inside = document.getElementById("f").contentDocument, root = inside.documentElement;
  const images = [...inside.images];
  const small = [...inside.querySelectorAll("p,td,th,h2,h3,h4,figcaption,dd")].filter(
    (e) => e.textContent.trim() && parseFloat(inside.defaultView.getComputedStyle(e).fontSize) < 11);
  const cut = [...inside.querySelectorAll("*")].filter((e) => e.getBoundingClientRect().right > root.clientWidth + 1);
  document.body.dataset.found = JSON.stringify({
    images: images.length, missing: images.filter((i) => !i.complete || !i.naturalWidth).length,
    overflow: root.scrollWidth - root.clientWidth, small: small.length,
    cut: cut.map((e) => e.outerHTML.slice(0, 80)).slice(0, 3)});
});
</script>"""


@pytest.fixture(scope="module")
def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        missing = "no browser here: install Chromium or Chrome to have the page looked at"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    return found


def browse(chromium: str, address: Path, folder: Path) -> tuple[str, str]:
    """The document after its scripts ran, and what the browser's console said."""
    command = [
        chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--allow-file-access-from-files", "--enable-logging=stderr", "--v=0", "--virtual-time-budget=20000",
        f"--user-data-dir={folder / 'profile'}", "--dump-dom", address.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, done.stderr


@pytest.mark.parametrize("width", [1280, 400])
def test_it_is_readable(chromium: str, plain: CNN, pictures: NDArray[np.uint8], tmp_path: Path, width: int) -> None:
    memory = analysis.build_reference(plain, pictures)

    def model(asked: NDArray[np.uint8]) -> NDArray[np.float32]:
        share = asked.mean(axis=(1, 2)) / 255
        return np.stack([share, 1 - share, share * 0], axis=1).astype(np.float32)

    rival = page.ModelSummary(
        "a stand-in", attribution.ink_correlation(model, pictures), (0.5, 0.25), (1.0, 0.75), 8, 8
    )
    name = "a-very-long-name-of-a-file-without-any-space-in-it-that-must-not-widen-the-page.png"
    told = [analysis.analyse(plain, pictures[0], pictures[0], memory, model, name, "cross")]
    (tmp_path / "page.html").write_text(page.explanation_page(plain, told, rival, 8), encoding="utf-8")
    (tmp_path / "probe.html").write_text(PROBE % width, encoding="utf-8")
    document, log = browse(chromium, tmp_path / "probe.html", tmp_path)
    found = re.search(r'data-found="([^"]*)"', document)
    assert found, document[:500]
    told_back = json.loads(found.group(1).replace("&quot;", '"').replace("&lt;", "<").replace("&gt;", ">"))
    assert told_back["images"] > 30
    assert told_back["missing"] == 0
    assert told_back["small"] == 0
    assert told_back["cut"] == []
    assert told_back["overflow"] <= 0
    assert "CONSOLE" not in log
