"""The application, called as uvicorn calls it: its answers, and what it refuses with which status."""

import asyncio
import base64
import importlib.metadata
import json
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from strokewise.errors import ModelError, PictureError
from strokewise.loading import REFERENCE_MODEL
from strokewise.recogniser import Prediction, Recogniser
from strokewise.serving.app import answer_body, build_app, read_items
from strokewise.serving.limits import RequestLimits, RequestRefused

JSON_HEADERS = [(b"content-type", b"application/json")]
SMALL_LIMITS = RequestLimits(
    body_bytes=2000, total_bytes=3000, items=4, requests=4, read_timeout_s=0.2, queue_timeout_s=0.2, workers=1
)
PIXELS = [[0, 255] * 4] * 8


class _MeanReader:
    """Stands for a Recogniser: answers with the mean of the pixels, after a while; refuses drawings."""

    def __init__(self, delay_s: float = 0.0) -> None:
        self.delay_s = delay_s
        self.running = self.most_running = 0
        self._lock = threading.Lock()

    def stream(self, sources: Iterable[Any], **_: Any) -> Iterator[Prediction | PictureError]:
        with self._lock:
            self.running += 1
            self.most_running = max(self.most_running, self.running)
        time.sleep(self.delay_s)
        for source in sources:
            if isinstance(source, PictureError):
                yield source
                continue
            yield (
                PictureError(f"no drawings here, of {', '.join(source) if isinstance(source, dict) else 'text'}")
                if isinstance(source, dict | bytes)
                else Prediction("ring", float(np.mean(source)), {"ring": 1.0})
            )
        with self._lock:
            self.running -= 1


class _Broken:
    def stream(self, sources: Iterable[Any], **_: Any) -> Iterator[Any]:
        raise RuntimeError(f"broken after {sources!r}")


async def _request(
    app: Any,
    chunks: list[bytes | None],
    path: str = "/invocations",
    method: str = "POST",
    headers: Any = JSON_HEADERS,
) -> tuple[int, dict[bytes, bytes], Any]:
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

    scope = {"type": "http", "path": path, "method": method, "headers": headers, "query_string": b""}
    await app(scope, receive, send)
    content = b"".join(message.get("body", b"") for message in sent[1:])
    return int(sent[0]["status"]), dict(sent[0]["headers"]), content


def request(*chunks: bytes | None, recogniser: Any = None, **options: Any) -> tuple[int, Any]:
    """Status and content of the response to one request, under `SMALL_LIMITS`."""
    app = build_app(recogniser or _MeanReader(), SMALL_LIMITS)
    status, headers, content = asyncio.run(_request(app, list(chunks), **options))
    assert headers[b"content-type"] == b"application/json"
    assert int(headers[b"content-length"]) == len(content)
    return status, json.loads(content)


def post(content: Any, **options: Any) -> tuple[int, Any]:
    return request(json.dumps(content).encode(), **options)


def test_every_picture_gets_its_answer_and_errors_name_the_item() -> None:
    answer = {"shape": "ring", "confidence": 127.5, "scores": {"ring": 1.0}}
    assert post({"inputs": [PIXELS, "?", {"strokes": []}, {"\ud800": []}]}) == (
        200,
        {
            "predictions": [
                answer,
                {"error": "item 1: this text is not base64; send the bytes of a picture as base64"},
                {"error": "item 2: no drawings here, of strokes"},
                {"error": "item 3: no drawings here, of \ud800"},  # half a character, which no UTF-8 can hold
            ]
        },
    )
    assert post({"inputs": []}) == (200, {"predictions": []})
    assert request(b'{"inputs":', b" []}")[0] == 200  # in chunks
    spelled_out = [(b"content-type", b'Application/JSON; charset="UTF-8"')]
    assert request(b'{"inputs": []}', headers=spelled_out)[0] == 200


@pytest.mark.parametrize(
    "content",
    [
        {"inputs": ["a", [1]]},
        {"instances": ["a", [1]]},
        {"instances": [{"picture": "a"}, {"picture": [1]}]},
        {"dataframe_split": {"columns": ["picture"], "data": [["a"], [[1]]]}},
        {"dataframe_split": {"columns": [0], "index": [0, 1], "data": [["a"], [[1]]]}},
        {"dataframe_split": {"data": [["a"], [[1]]]}},
    ],
)
def test_every_form_of_the_protocol_holds_the_same_items(content: Any) -> None:
    assert read_items(content, SMALL_LIMITS) == ["a", [1]]


@pytest.mark.parametrize(
    ("content", "status", "message"),
    [
        ([], 400, "one object with the key inputs, instances or dataframe_split: send"),
        ({}, 400, r"not of the keys \[\]"),
        ({"params": {}}, 400, r"not of the keys \['params'\]"),
        ({"inputs": [], "instances": []}, 400, r"not of the keys \['inputs', 'instances'\]"),
        ({"inputs": [], "params": [1]}, 400, "params must be an object"),
        ({"inputs": [], "params": {"snapp": True}}, 400, r"unknown keys \['snapp'\]: send"),
        ({"inputs": [], "params": {"snap": 1}}, 400, "params.snap must be true or false"),
        ({"inputs": [], "params": {"max_misfit": "0.3"}}, 400, "params.max_misfit must be a number between 0 and 1"),
        ({"inputs": [], "params": {"max_misfit": 1.5}}, 400, "params.max_misfit must be a number between 0 and 1"),
        ({"dataframe_records": []}, 400, r"not of the keys \['dataframe_records'\]"),
        ({"inputs": "abc"}, 400, "inputs must be a list"),
        ({"instances": {}}, 400, "instances must be a list"),
        ({"instances": [{"picture": "a", "name": "b"}]}, 400, "must have one key"),
        ({"inputs": [1] * 5}, 413, "5 pictures; send at most 4"),
        ({"dataframe_split": {"data": [[1]] * 5}}, 413, "5 pictures; send at most 4"),
        ({"dataframe_split": [[1]]}, 400, "must be an object with columns and data"),
        ({"dataframe_split": {"columns": ["a"]}}, 400, "must be an object with columns and data"),
        ({"dataframe_split": {"data": {}}}, 400, "must be lists"),
        ({"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2]]}}, 400, "must have one column"),
        ({"dataframe_split": {"columns": ["a"], "data": ["abc"]}}, 400, "must have one column"),
    ],
)
def test_another_form_is_refused(content: Any, status: int, message: str) -> None:
    with pytest.raises(RequestRefused, match=message) as refusal:
        answer_body(_MeanReader(), json.dumps(content).encode(), SMALL_LIMITS)  # type: ignore[arg-type]
    assert refusal.value.status == status


def test_params_ask_for_the_geometry() -> None:
    recogniser = Recogniser(REFERENCE_MODEL)
    box = {"strokes": [[[0, 0], [40, 0], [40, 20], [0, 20], [0, 0]]]}
    status, content = post({"inputs": [box, "?"], "params": {"snap": True}}, recogniser=recogniser)
    assert status == 200
    answer, error = content["predictions"]
    (expected,) = recogniser.predict(box, snap=True)
    assert answer == json.loads(json.dumps(expected.to_dict()))
    assert answer["geometry"]["parameters"]["centre"] == pytest.approx([20, 10], abs=0.5)
    assert set(error) == {"error"}
    _, content = post({"params": {"snap": True, "max_misfit": 0}, "inputs": [box]}, recogniser=recogniser)
    assert content["predictions"][0]["geometry"] is None
    assert "explains the ink" in content["predictions"][0]["no_geometry"]
    _, content = post({"params": {"snap": False}, "inputs": [box]}, recogniser=recogniser)
    assert "geometry" not in content["predictions"][0]


def test_model_without_outlines_refuses_to_snap() -> None:
    class _NoOutlines:
        def stream(self, sources: Iterable[Any], **_: Any) -> Iterator[Any]:
            raise ModelError("this model carries no outlines")

    status, content = post({"inputs": [], "params": {"snap": True}}, recogniser=_NoOutlines())
    assert (status, content["message"]) == (400, "this model carries no outlines")


def test_drawings_as_text_are_bounded_together() -> None:
    text = base64.b64encode(b"[[[10, 90], [50, 10]]]").decode()
    limits = replace(SMALL_LIMITS, drawing_bytes=50)
    body = json.dumps({"inputs": [text, text]}).encode()
    assert len(json.loads(answer_body(_MeanReader(), body, limits))["predictions"]) == 2
    with pytest.raises(RequestRefused, match="the drawings hold 66 bytes; send at most 50 at a time"):
        answer_body(_MeanReader(), json.dumps({"inputs": [text] * 3}).encode(), limits)


@pytest.mark.parametrize(
    ("status", "message", "options"),
    [
        (404, "there is nothing here", {"path": "/docs", "method": "GET"}),
        (404, "there is nothing here", {"path": "/invocations/"}),
        (405, "/invocations takes POST, not GET", {"method": "GET"}),
        (405, "/ping takes GET, not POST", {"path": "/ping"}),
        (415, "must be application/json", {"headers": []}),
        (415, "must be application/json", {"headers": [(b"content-type", b"application/json; charset=latin-1")]}),
        (415, "without a Content-Encoding", {"headers": [*JSON_HEADERS, (b"content-encoding", b"gzip")]}),
        (413, "larger than 2,000 bytes", {"headers": [*JSON_HEADERS, (b"content-length", b"2001")]}),
    ],
)
def test_invalid_head_is_refused(status: int, message: str, options: dict[str, Any]) -> None:
    code, content = request(b"{}", **options)
    assert (code, set(content)) == (status, {"error_code", "message"})
    assert content["error_code"] == ("ENDPOINT_NOT_FOUND" if status == 404 else "BAD_REQUEST")
    assert message in content["message"]


def test_refusals_close_the_connection_and_405_names_the_method() -> None:
    app = build_app(_MeanReader(), SMALL_LIMITS)
    _, headers, _ = asyncio.run(_request(app, [b""], method="DELETE"))
    assert (headers[b"connection"], headers[b"allow"]) == (b"close", b"POST")


def test_body_is_limited_while_it_is_received() -> None:
    code, content = request(*[b"x" * 500] * 100)
    assert (code, "larger than 2,000" in content["message"]) == (413, True)
    start = time.monotonic()
    assert request(b"no JSON")[0] == 400  # at once: there is nothing to wait for
    code, content = request(b"{", None, headers=[*JSON_HEADERS, (b"expect", b"100-continue")])
    assert (code, "did not come within 0.2 s" in content["message"]) == (408, True)
    assert time.monotonic() - start < 3


@pytest.mark.parametrize("options", [{}, {"headers": []}, {"path": "/docs"}, {"method": "PUT"}])
def test_refused_body_is_read_to_its_end(options: dict[str, Any]) -> None:
    chunks: list[bytes | None] = [b"x" * 500] * 100
    app = build_app(_MeanReader(), SMALL_LIMITS)
    received = 0

    async def send_all() -> None:
        nonlocal received
        pending = list(chunks)

        async def receive() -> dict[str, Any]:
            nonlocal received
            received += 1
            return {"type": "http.request", "body": pending.pop(0), "more_body": bool(pending)}

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                assert received == 100

        scope = {"type": "http", "path": "/invocations", "method": "POST", "headers": JSON_HEADERS, **options}
        await app(scope, receive, send)

    asyncio.run(send_all())
    assert received == 100


@pytest.mark.parametrize(
    ("body", "count", "message"),
    [
        (b'{"inputs": []}', 3, "no turn within 0.2 s"),
        (b'{"inputs": ["%s"]}' % (b"a" * 1500), 3, "too much is being sent at once"),
        (b'{"inputs": []}', 5, "busy with 4 requests"),
    ],
)
def test_too_many_requests_at_once_are_refused_with_503(body: bytes, count: int, message: str) -> None:
    recogniser = _MeanReader(0.6)

    async def request_together() -> list[tuple[int, Any, Any]]:
        app = build_app(recogniser, SMALL_LIMITS)
        responses = asyncio.gather(*(_request(app, [body]) for _ in range(count)))
        await asyncio.sleep(0.1)
        start = time.monotonic()
        assert (await _request(app, [b""], "/health", "GET", []))[0] == 200  # while others are answered
        assert time.monotonic() - start < 0.3
        finished = await responses
        assert (await _request(app, [b'{"inputs": []}']))[0] == 200  # and all that was counted has been released
        return finished

    responses = asyncio.run(request_together())
    assert sorted({code for code, _, _ in responses}) == [200, 503]
    refusals = [json.loads(content) for code, _, content in responses if code == 503]
    assert {refusal["error_code"] for refusal in refusals} == {"TEMPORARILY_UNAVAILABLE"}
    assert any(message in refusal["message"] for refusal in refusals)
    assert recogniser.most_running == 1


def test_client_that_left_while_it_waited_is_not_answered() -> None:
    recogniser = _MeanReader(0.1)

    async def leave() -> int:
        app = build_app(recogniser, SMALL_LIMITS)
        first = asyncio.create_task(_request(app, [b'{"inputs": []}']))
        await asyncio.sleep(0.05)
        messages = [{"type": "http.request", "body": b'{"inputs": []}'}, {"type": "http.disconnect"}]

        async def receive() -> dict[str, Any]:
            return messages.pop(0)

        async def send(message: dict[str, Any]) -> None:
            pass

        scope = {"type": "http", "path": "/invocations", "method": "POST", "headers": JSON_HEADERS}
        calls: list[Any] = []
        recogniser.stream = lambda sources: calls.append(sources) or iter(())  # type: ignore[method-assign,func-returns-value]
        await app(scope, receive, send)
        assert (await first)[0] == 200
        return len(calls)

    assert asyncio.run(leave()) == 0


def test_status_paths_answer() -> None:
    app = build_app(_MeanReader(), SMALL_LIMITS)
    for path, content in (("/ping", b"\n"), ("/health", b"\n"), ("/version", importlib.metadata.version("strokewise"))):
        status, _, body = asyncio.run(_request(app, [b""], path, "GET", []))
        assert (status, body) == (200, content if isinstance(content, bytes) else content.encode())


def test_failure_of_the_server_is_a_500_and_is_not_hidden() -> None:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b'{"inputs": []}'}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "path": "/invocations", "method": "POST", "headers": JSON_HEADERS}
    with pytest.raises(RuntimeError, match="broken after"):  # uvicorn prints it
        asyncio.run(build_app(_Broken(), SMALL_LIMITS)(scope, receive, send))  # type: ignore[arg-type]
    assert sent[0]["status"] == 500
    assert json.loads(sent[1]["body"])["error_code"] == "INTERNAL_ERROR"
