"""Node, TypeScript's compiler and a steered browser; where one is missing, a test is skipped, but not in CI."""

import functools
import http.server
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from steered_browser import SteeredBrowser
from strokewise.web.bundle import WEB_DIR

RunNode = Callable[..., Any]
Serve = Callable[[Path], str]
TYPESCRIPT = "typescript@5.9.3"  # the one in which the types are checked where no tsc is installed


def require_program(*names: str) -> str:
    """The path of the first of the programs that is installed; where none is, the test is skipped, and fails in CI."""
    path = next((found for name in names if (found := shutil.which(name))), None)
    if path is None:
        message = f"no {names[0]} found: install it to run this test"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    return path


@pytest.fixture(scope="session")
def npm() -> str:
    """The path of npm, which comes with Node."""
    return require_program("npm")


@pytest.fixture(scope="session")
def run_node(tmp_path_factory: pytest.TempPathFactory) -> RunNode:
    """run_node(body, data): run JavaScript that is given `web`, the runtime's folder, and `data` → its `result`."""
    node = require_program("node")
    folder = tmp_path_factory.mktemp("node")

    def run(body: str, data: Any = None) -> Any:
        (folder / "data.json").write_text(json.dumps(data))
        header = f"""import fs from "node:fs";
const web = {json.dumps(WEB_DIR.as_uri())};
const data = JSON.parse(fs.readFileSync({json.dumps(str(folder / "data.json"))}, "utf8"));
let result;
"""
        footer = f"\nfs.writeFileSync({json.dumps(str(folder / 'result.json'))}, JSON.stringify(result ?? null));\n"
        (folder / "script.mjs").write_text(header + body + footer)
        done = subprocess.run([node, str(folder / "script.mjs")], capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        return json.loads((folder / "result.json").read_text())

    return run


@pytest.fixture(scope="session")
def tsc(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The path of TypeScript's compiler; CI installs it."""
    if os.environ.get("CI") and shutil.which("tsc") is None:
        folder = tmp_path_factory.mktemp("typescript")
        npm = require_program("npm")
        subprocess.run(
            [npm, "install", "--no-audit", "--no-fund", "--prefix", str(folder), TYPESCRIPT],
            check=True,
            capture_output=True,
        )
        return str(folder / "node_modules" / ".bin" / "tsc")
    return require_program("tsc")


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[SteeredBrowser]:
    """A headless browser with one page."""
    path = require_program("chromium", "chromium-browser", "google-chrome")
    with SteeredBrowser(path, tmp_path / "profile") as steered:
        yield steered


@pytest.fixture
def serve() -> Iterator[Serve]:
    """serve(folder): serve a folder on 127.0.0.1 → its address, which ends with a slash."""
    servers: list[http.server.ThreadingHTTPServer] = []

    def start(folder: Path) -> str:
        handler = functools.partial(_QuietHandler, directory=str(folder))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}/"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


class _QuietHandler(http.server.SimpleHTTPRequestHandler):
    extensions_map = {**http.server.SimpleHTTPRequestHandler.extensions_map, ".js": "text/javascript"}  # noqa: RUF012

    def log_message(self, *words: Any) -> None:
        """Print nothing."""
