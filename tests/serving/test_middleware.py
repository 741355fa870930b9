"""The middleware around an application: what it passes on unchanged, and what it refuses with which status."""

import asyncio
import json
import time
from typing import Any

import pytest

from strokewise.serving.middleware import RequestLimits, RequestRefused, check_body, limit_requests

JSON_HEADERS = [(b"content-type", b"application/json")]
SMALL_LIMITS = RequestLimits(
    body_bytes=200, total_bytes=300, values=50, items=3, read_timeout_s=0.2, queue_timeout_s=0.2, workers=1
)


async def _echo_body(scope: Any, receive: Any, send: Any) -> None:
    body = (await receive())["body"] if scope["method"] == "POST" else b"pong"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


async def _request(
    app: Any,
    chunks: list[bytes | None],
    path: str = "/invocations",
    method: str = "POST",
    headers: Any = JSON_HEADERS,
) -> tuple[int, bytes]:
    """Send a body in chunks; None means that the client stops sending but stays connected."""
    sent: list[dict[str, Any]] = []
    pending = list(chunks)

    async def receive() -> dict[str, Any]:
        chunk = pending.pop(0) if pending else None
        if chunk is None:
            await asyncio.sleep(9)
        return {"type": "http.request", "body": chunk, "more_body": bool(pending)}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app({"type": "http", "path": path, "method": method, "headers": headers}, receive, send)
    return int(sent[0]["status"]), sent[1]["body"]


def request(*chunks: bytes | None, **options: Any) -> tuple[int, bytes]:
    """Status and body of the response to one request, under `SMALL_LIMITS`."""
    return asyncio.run(_request(limit_requests(_echo_body, SMALL_LIMITS), list(chunks), **options))


def test_valid_request_is_passed_on_unchanged() -> None:
    assert request(b'{"inputs":', b' ["abc"]}') == (200, b'{"inputs": ["abc"]}')
    assert request(b"", path="/ping", method="GET", headers=[]) == (200, b"pong")
    spelled_out = [(b"content-type", b'Application/JSON; charset="UTF-8"')]
    assert request(b'{"inputs": []}', headers=spelled_out)[0] == 200


@pytest.mark.parametrize(
    ("status", "message", "options"),
    [
        (404, "there is nothing here", {"path": "/docs", "method": "GET"}),
        (405, "takes POST, not GET", {"method": "GET"}),
        (405, "takes GET, not POST", {"path": "/ping"}),
        (415, "must be application/json", {"headers": []}),
        (415, "must be application/json", {"headers": [(b"content-type", b"application/json; charset=latin-1")]}),
        (415, "without a Content-Encoding", {"headers": [*JSON_HEADERS, (b"content-encoding", b"gzip")]}),
        (413, "larger than 200 bytes", {"headers": [*JSON_HEADERS, (b"content-length", b"201")]}),
    ],
)
def test_invalid_head_is_refused(status: int, message: str, options: dict[str, Any]) -> None:
    code, body = request(b"{}", **options)
    assert code == status
    assert message in json.loads(body)["message"]


def test_body_is_limited_while_it_is_received() -> None:
    code, body = request(*[b"x" * 50] * 100)
    assert (code, "larger than 200" in json.loads(body)["message"]) == (413, True)
    start = time.monotonic()
    assert request(b"no JSON")[0] == 400  # at once: there is nothing to wait for
    code, body = request(b"{", None, headers=[*JSON_HEADERS, (b"expect", b"100-continue")])
    assert (code, "did not come within 0.2 s" in json.loads(body)["message"]) == (408, True)
    assert time.monotonic() - start < 3


def test_too_many_requests_at_once_are_refused_with_503() -> None:
    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(0.6)
        await _echo_body(scope, receive, send)

    async def request_together(body: bytes, count: int) -> list[tuple[int, bytes]]:
        app = limit_requests(slow, SMALL_LIMITS)
        responses = await asyncio.gather(*(_request(app, [body]) for _ in range(count)))
        assert (await _request(app, [b'{"inputs": []}']))[0] == 200  # and all counted bytes have been released
        return responses

    for body, message in ((b'{"inputs": []}', "no turn within"), (b'{"inputs": ["%s"]}' % (b"a" * 150), "too much")):
        responses = asyncio.run(request_together(body, 3))
        assert sorted({code for code, _ in responses}) == [200, 503]
        assert any(message in json.loads(text)["message"] for code, text in responses if code == 503)


@pytest.mark.parametrize(
    ("body", "status", "message"),
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
def test_malformed_body_raises_request_refused(body: bytes, status: int, message: str) -> None:
    with pytest.raises(RequestRefused, match=message) as refusal:
        check_body(body, SMALL_LIMITS)
    assert refusal.value.status == status


def test_brackets_in_strings_are_ignored_in_linear_time() -> None:
    check_body(rb'{"inputs": ["[[{\"[\\"]}', SMALL_LIMITS)
    start = time.perf_counter()
    for body in (b'"' + b'\\"' * 2**21, b'"' + b"\\" * (2**21 + 1), b'"' * 2**21, b"]" * 2**20 + b'"' * 7):
        with pytest.raises(RequestRefused):
            check_body(body, RequestLimits())
    assert time.perf_counter() - start < 5  # a pattern that backtracks would take hours
