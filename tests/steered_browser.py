"""Chromium, steered over a pipe by its DevTools protocol: pages, scripts in them, and the events of a real pointer."""

import json
import os
import select
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

TIMEOUT = 60.0  # seconds until an answer


class SteeredBrowser:
    """A headless browser with one page; to be used as a context manager."""

    def __init__(self, executable: str, profile: Path) -> None:
        self.errors: list[str] = []
        """What the page's console says of errors."""
        self._command = [
            executable, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--remote-debugging-pipe",
            "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic",
            "--window-size=1000,800", f"--user-data-dir={profile}", "about:blank",
        ]  # fmt: skip
        self._number = 0
        self._buffer = b""
        self._session: str | None = None

    def __enter__(self) -> "SteeredBrowser":
        commands, self._to_browser = os.pipe()
        self._from_browser, answers = os.pipe()
        null = os.open(os.devnull, os.O_RDWR)
        actions = [
            (os.POSIX_SPAWN_DUP2, null, 0), (os.POSIX_SPAWN_DUP2, null, 1), (os.POSIX_SPAWN_DUP2, null, 2),
            (os.POSIX_SPAWN_DUP2, os.dup(commands), 3), (os.POSIX_SPAWN_DUP2, os.dup(answers), 4),
        ]  # fmt: skip
        self._process = os.posix_spawn(self._command[0], self._command, os.environ, file_actions=actions, setpgroup=0)
        for descriptor in (null, commands, answers, actions[3][1], actions[4][1]):
            os.close(descriptor)
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.send(f"{domain}.enable")
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._to_browser)
        os.close(self._from_browser)
        os.killpg(self._process, signal.SIGKILL)
        os.waitpid(self._process, 0)

    def open(self, address: str, ready: str = "true") -> None:
        """Open a page, and wait until it is loaded and the JavaScript `ready` is true."""
        self.send("Page.navigate", url=address)
        self.wait_for(f"document.readyState === 'complete' && location.href !== 'about:blank' && ({ready})")

    def wait_for(self, condition: str) -> None:
        """Wait until a JavaScript expression is true."""
        end = time.monotonic() + TIMEOUT
        while not self.evaluate(condition):
            assert time.monotonic() < end, f"{condition} is never true; {self.errors}"
            time.sleep(0.05)

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page; a promise is awaited."""
        answer = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def drag(self, points: Sequence[tuple[float, float]]) -> None:
        """Press the mouse at the first point of the window, move it through all, and release it."""
        button: dict[str, Any] = {"button": "left", "buttons": 1, "clickCount": 1}
        self._mouse("mousePressed", points[0], button)
        for point in points[1:]:
            self._mouse("mouseMoved", point, button)
        self._mouse("mouseReleased", points[-1], {**button, "buttons": 0})

    def press(self, key: str, modifiers: int = 0) -> None:
        """Press a key of a letter; `modifiers` 2 is Ctrl."""
        common = {"key": key, "code": f"Key{key.upper()}", "modifiers": modifiers}
        self.send("Input.dispatchKeyEvent", type="rawKeyDown", windowsVirtualKeyCode=ord(key.upper()), **common)
        self.send("Input.dispatchKeyEvent", type="keyUp", **common)

    def _mouse(self, kind: str, point: tuple[float, float], button: dict[str, Any]) -> None:
        self.send("Input.dispatchMouseEvent", type=kind, x=point[0], y=point[1], **button)

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command of the protocol, and return its result."""
        self._number += 1
        command: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self._session is not None:
            command["sessionId"] = self._session
        os.write(self._to_browser, json.dumps(command).encode() + b"\0")
        while True:
            message = self._receive()
            if message.get("id") == self._number:
                assert "error" not in message, message["error"]
                result: dict[str, Any] = message["result"]
                return result
            self._note(message)

    def _note(self, message: dict[str, Any]) -> None:
        params = message.get("params", {})
        if message.get("method") == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(params["exceptionDetails"])[:500])
        if message.get("method") == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.errors.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready = select.select([self._from_browser], [], [], TIMEOUT)[0]
            assert ready, "the browser does not answer"
            self._buffer += os.read(self._from_browser, 2**16)
        text, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        return message
