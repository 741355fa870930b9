"""The guard around an application: what it lets through, whole, and what it refuses, and why."""

import asyncio
import json
import time
from typing import Any

import pytest

from strokewise.serving.middleware import RequestLimits, RequestRefused, check_body, limit_requests

JSON = [(b"content-type", b"application/json")]
SMALL = RequestLimits(body=200, held=300, values=50, items=3, read_s=0.2, wait_s=0.2, turns=1)


async def _echo(scope: Any, receive: Any, send: Any) -> None:
    body = (await receive())["body"] if scope["method"] == "POST" else b"pong"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


async def _ask(
    app: Any, parts: list[bytes | None], path: str = "/invocations", method: str = "POST", headers: Any = JSON
) -> tuple[int, bytes]:
    """Send a body in parts; None means that the client stops sending, but stays."""
    sent: list[dict[str, Any]] = []
    waiting = list(parts)

    async def receive() -> dict[str, Any]:
        part = waiting.pop(0) if waiting else None
        if part is None:
            await asyncio.sleep(9)
        return {"type": "http.request", "body": part, "more_body": bool(waiting)}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app({"type": "http", "path": path, "method": method, "headers": headers}, receive, send)
    return int(sent[0]["status"]), sent[1]["body"]


def ask(*parts: bytes | None, **how: Any) -> tuple[int, bytes]:
    return asyncio.run(_ask(limit_requests(_echo, SMALL), list(parts), **how))


def test_the_sound_passes_whole() -> None:
    assert ask(b'{"inputs":', b' ["abc"]}') == (200, b'{"inputs": ["abc"]}')
    assert ask(b"", path="/ping", method="GET", headers=[]) == (200, b"pong")
    spelled = [(b"content-type", b'Application/JSON; charset="UTF-8"')]
    assert ask(b'{"inputs": []}', headers=spelled)[0] == 200


@pytest.mark.parametrize(
    ("status", "said", "how"),
    [
        (404, "there is nothing here", {"path": "/docs", "method": "GET"}),
        (405, "takes POST, not GET", {"method": "GET"}),
        (405, "takes GET, not POST", {"path": "/ping"}),
        (415, "must be application/json", {"headers": []}),
        (415, "must be application/json", {"headers": [(b"content-type", b"application/json; charset=latin-1")]}),
        (415, "without a Content-Encoding", {"headers": [*JSON, (b"content-encoding", b"gzip")]}),
        (413, "larger than 200 bytes", {"headers": [*JSON, (b"content-length", b"201")]}),
    ],
)
def test_a_head_that_is_refused(status: int, said: str, how: dict[str, Any]) -> None:
    code, body = ask(b"{}", **how)
    assert code == status
    assert said in json.loads(body)["message"]


def test_a_body_is_bounded_while_it_comes() -> None:
    code, body = ask(*[b"x" * 50] * 100)
    assert (code, "larger than 200" in json.loads(body)["message"]) == (413, True)
    began = time.monotonic()
    assert ask(b"no JSON")[0] == 400  # at once: there is nothing to wait for
    code, body = asyncio.run(
        _ask(limit_requests(_echo, SMALL), [b"{", None], headers=[*JSON, (b"expect", b"100-continue")])
    )
    assert (code, "did not come within 0.2 s" in json.loads(body)["message"]) == (408, True)
    assert time.monotonic() - began < 3


def test_too_many_at_once_are_told_to_come_again() -> None:
    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(0.6)
        await _echo(scope, receive, send)

    async def together(body: bytes, count: int) -> list[tuple[int, bytes]]:
        app = limit_requests(slow, SMALL)
        first = await asyncio.gather(*(_ask(app, [body]) for _ in range(count)))
        assert (await _ask(app, [b'{"inputs": []}']))[0] == 200  # and all that was held has been given back
        return first

    for body, said in ((b'{"inputs": []}', "no turn within"), (b'{"inputs": ["%s"]}' % (b"a" * 150), "too much")):
        answers = asyncio.run(together(body, 3))
        assert sorted({code for code, _ in answers}) == [200, 503]
        assert any(said in json.loads(text)["message"] for code, text in answers if code == 503)


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"", 400, "not JSON: Expecting value at character 0"),
        (b'{"inputs": [', 400, "brackets do not match"),
        (b'{"inputs": ["]"]', 400, "brackets do not match"),
        (b'{"inputs": ' + b"[" * 20 + b"]" * 20 + b"}", 400, "deeper than 16"),
        (b'{"inputs": ["\xff"]}', 400, "not UTF-8: invalid start byte at byte 13"),
        ('{"inputs": []}'.encode("utf-16"), 400, "not UTF-8"),
        (b"\xef\xbb\xbf{}", 400, "not JSON"),
        (b'{"inputs": [NaN]}', 400, "NaN is no number"),
        (b'{"inputs": [' + b"1" * 5000 + b"]}", 400, "digits"),
        (b"[]", 400, "one object with the key inputs: send"),
        (b'{"instances": [], "params": {}}', 400, r"not of the keys \['instances', 'params'\]"),
        (b'{"inputs": "abc"}', 400, "inputs must be a list"),
        (b'{"inputs": [1,1,1,1]}', 413, "4 pictures; send at most 3"),
        (b'{"inputs": [[' + b"1," * 50 + b"1]]}", 413, "more than 50 numbers"),
    ],
)
def test_what_is_malformed(body: bytes, status: int, said: str) -> None:
    with pytest.raises(RequestRefused, match=said) as refused:
        check_body(body, SMALL)
    assert refused.value.status == status


def test_brackets_in_text_are_text_and_a_check_takes_no_longer_than_the_body_is_long() -> None:
    check_body(rb'{"inputs": ["[[{\"[\\"]}', SMALL)
    began = time.perf_counter()
    for rubbish in (b'"' + b'\\"' * 2**21, b'"' + b"\\" * (2**21 + 1), b'"' * 2**21, b"]" * 2**20 + b'"' * 7):
        with pytest.raises(RequestRefused):
            check_body(rubbish, RequestLimits())
    assert time.perf_counter() - began < 5  # a pattern that goes back would take hours
