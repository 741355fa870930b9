"""`strokewise serve --collect` as a process, its page in a real browser, and what `strokewise import` makes of it."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from browser_page import BrowserPage
from strokewise.loading import REFERENCE_MODEL
from strokewise.serving.ports import bind_port

pytestmark = pytest.mark.slow
ADD_FRAME = "const f = document.createElement('iframe'); f.onload = done;"
SQUARE = [(0.2, 0.2), (0.5, 0.2), (0.8, 0.2), (0.8, 0.8), (0.5, 0.8), (0.2, 0.8), (0.2, 0.2)]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the names of three shapes."""
    root = tmp_path_factory.mktemp("collected")
    for shape in ("heart", "rectangle", "triangle"):
        (root / "data" / "outlines" / shape).mkdir(parents=True)
    return root


@pytest.fixture(scope="module")
def address(project: Path) -> Iterator[str]:
    """Where a server of the reference model answers."""
    with bind_port("127.0.0.1", 0) as probe:
        port = probe.getsockname()[1]
    words = ["serve", "--port", str(port), "--model", str(REFERENCE_MODEL), "--collect", "data/feedback"]
    with run_strokewise(project, *words) as process:
        assert process.stdout is not None
        assert any("answers at" in line for line in process.stdout)
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def run_strokewise(folder: Path, *words: str) -> "Iterator[subprocess.Popen[str]]":
    command = [sys.executable, "-m", "strokewise", *words]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)


def kept(project: Path) -> list[str]:
    folder = project / "data" / "feedback"
    return sorted(path.parent.name for path in folder.rglob("*.png"))


def test_correction_of_the_page_is_kept_and_imported(project: Path, address: str, browser_page: BrowserPage) -> None:
    browser_page.problems.clear()
    browser_page.requests.clear()
    browser_page.open(f"{address}/")
    browser_page.wait_for("document.documentElement.dataset.ready")
    assert browser_page.evaluate("document.querySelector('#training')") is None, "there are no snapshots"
    browser_page.click("#clear")
    left, top, width, height = browser_page.box("#pad")
    browser_page.draw([(left + x * width, top + y * height) for x, y in SQUARE])
    browser_page.wait_for("document.querySelector('#outline-note').textContent")
    assert browser_page.evaluate("document.querySelector('#answer').textContent").startswith("rectangle, ")
    browser_page.evaluate("document.querySelector('#correction select').value = 'heart'")
    browser_page.click("#correction button")
    browser_page.wait_for("document.querySelector('#correction-reply').textContent")
    assert browser_page.evaluate("document.querySelector('#correction-reply').textContent") == "Kept, with 0 others."
    assert kept(project) == ["heart"]
    assert browser_page.requests == [f"{address}/", f"{address}/feedback"]
    assert browser_page.problems == []
    with run_strokewise(project, "import", "data/feedback", "--train") as process:
        assert process.stdout is not None
        output = process.stdout.read()
        assert process.wait() == 0, output
    assert "heart" in output
    assert len(list((project / "data" / "drawings-train" / "heart").glob("*.png"))) == 1
    shutil.rmtree(project / "data" / "feedback" / "heart")


def test_page_of_another_site_can_neither_post_nor_read(
    project: Path, address: str, browser_page: BrowserPage, tmp_path: Path
) -> None:
    (tmp_path / "evil.html").write_text("<p>another site</p>")
    browser_page.open((tmp_path / "evil.html").as_uri())
    body = json.dumps({"shape": "heart", "strokes": [[[0, 0], [50, 90], [90, 10]]]})
    for options in (
        {"method": "POST", "body": body},
        {"method": "POST", "body": body, "mode": "no-cors"},
        {"method": "POST", "body": body, "headers": {"Content-Type": "application/json"}},
    ):
        call = f"fetch('{address}/feedback', {json.dumps(options)})"
        outcome = browser_page.evaluate(f"{call}.then((r) => r.type + r.ok, () => 'refused')")
        assert outcome in ("refused", "opaquefalse")
    frame = f"new Promise((done) => {{ {ADD_FRAME} f.src = '{address}/'; document.body.append(f); }}).then(() => 1)"
    assert browser_page.evaluate(frame) == 1
    assert browser_page.evaluate("document.querySelector('iframe').contentDocument") is None
    assert kept(project) == []
