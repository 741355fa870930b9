"""The HTTP application: pictures in a request → predictions, in the protocol of MLflow's scoring server.

    POST /invocations  {"inputs": [picture, ...]}, application/json → {"predictions": [answer, ...]}, one per picture
                       beside it, "params": {"snap": true, "max_misfit": 0.3} asks for the geometry of each drawing
    GET  /                 a page to draw on, made from the model that is served
    POST /feedback         {"shape": name, "strokes": [...]} of that page → {"kept": number}, if drawings are collected
    GET  /ping, /health, /version

Whatever else is requested is answered with {"error_code": ..., "message": ...}, as MLflow does. A picture that cannot
be read has its `error` as answer, which begins with its index; the others are answered all the same.
"""

import asyncio
import importlib.metadata
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from strokewise.errors import ModelError, PictureError, UserError, one_line
from strokewise.geometry.snap import MAX_MISFIT
from strokewise.preprocessing.stroke_formats import is_stroke_text
from strokewise.recogniser import Recogniser
from strokewise.serving.feedback import FeedbackFolder, check_same_origin
from strokewise.serving.hosts import ANY_HOST, host_check
from strokewise.serving.limits import RequestGate, RequestLimits, RequestRefused, drain_body, error_body, parse_body
from strokewise.serving.picture_items import to_source

SCORING_PATH = "/invocations"
PAGE_PATH, FEEDBACK_PATH = "/", "/feedback"
STATUS_PATHS = ("/ping", "/health", "/version")
INPUT_KEYS = ("inputs", "instances", "dataframe_split")
PARAMS_KEY = "params"
EXPECTED_BODY = 'send {"inputs": [picture, ...]}, each picture base64 text or an array (H, W), (H, W, 3) or (H, W, 4)'
PAGE_CHUNK = 2**16  # bytes of a page that are handed over at a time: a slow client holds no more of it in memory
PAGE_HEADERS = {
    "Cache-Control": "no-cache",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
SHUTDOWN_MESSAGE = "the server is being ended; ask another one, or later"


@dataclass(frozen=True)
class ServedPage:
    """A page, and what its Content-Security-Policy allows it."""

    content: bytes
    policy: str


def build_app(
    recogniser: Recogniser,
    limits: RequestLimits | None = None,
    is_allowed_host: Callable[[str], bool] = host_check("", [ANY_HOST]),  # noqa: B008 - a constant
    make_page: Callable[[], ServedPage] | None = None,
    feedback: FeedbackFolder | None = None,
) -> Starlette:
    """The ASGI application that answers with `recogniser`, which several threads call at once.

    Args:
        recogniser: answers.
        limits: of requests.
        is_allowed_host: is given the `Host` header of each request that has one.
        make_page: makes the page when it is first asked for; what UserError it raises is the answer then.
        feedback: keeps the drawings that the page sends; None: none are taken.
    """
    limits = limits or RequestLimits()
    gate = RequestGate(limits)
    workers = ThreadPoolExecutor(limits.workers, "prediction")

    async def invocations(request: Request) -> Response:
        try:
            async with gate.receive_body(request) as body, gate.turn():
                if await request.is_disconnected():  # while it waited
                    raise ClientDisconnect
                work = partial(answer_body, recogniser, body, limits)
                content = await asyncio.get_running_loop().run_in_executor(workers, work)
        except asyncio.CancelledError:
            return _error_response(503, SHUTDOWN_MESSAGE)
        return Response(content, media_type="application/json")

    made: list[ServedPage] = []
    making = threading.Lock()

    def get_page() -> ServedPage:
        with making:
            if not made:
                assert make_page is not None
                made.append(make_page())
            return made[0]

    async def show_page(request: Request) -> Response:
        try:
            async with gate.turn():
                page = await asyncio.get_running_loop().run_in_executor(workers, get_page)
        except asyncio.CancelledError:
            return _error_response(503, SHUTDOWN_MESSAGE)
        except UserError as error:
            raise RequestRefused(404, f"there is no page: {error}") from None
        headers = {
            **PAGE_HEADERS,
            "Content-Security-Policy": f"{page.policy}; frame-ancestors 'none'",
            "Content-Length": str(len(page.content)),
        }
        return StreamingResponse(_chunks(page.content), 200, headers, media_type="text/html")

    async def take_feedback(request: Request) -> Response:
        assert feedback is not None
        check_same_origin(request.headers)

        def keep(body: bytes) -> bytes:
            return json.dumps({"kept": feedback.keep(parse_body(body, limits))}).encode()

        try:
            async with gate.receive_body(request) as body, gate.turn():
                content = await asyncio.get_running_loop().run_in_executor(workers, keep, body)
        except asyncio.CancelledError:
            return _error_response(503, SHUTDOWN_MESSAGE)
        return Response(content, media_type="application/json")

    page_routes = [Route(PAGE_PATH, show_page)] if make_page else []
    page_routes += [Route(FEEDBACK_PATH, take_feedback, methods=["POST"])] if feedback else []
    status_routes = [Route(path, _report_version if path == "/version" else _report_ready) for path in STATUS_PATHS]
    app = Starlette(
        routes=[Route(SCORING_PATH, invocations, methods=["POST"]), *page_routes, *status_routes],
        middleware=[Middleware(_HeaderCheck, limits=limits, is_allowed_host=is_allowed_host)],
        exception_handlers={
            RequestRefused: _refuse,
            HTTPException: _refuse_route,
            ClientDisconnect: _drop,
            Exception: _report_failure,
        },
    )
    app.router.redirect_slashes = False  # what has another path does not exist
    return app


def answer_body(recogniser: Recogniser, body: bytes, limits: RequestLimits) -> bytes:
    """Answer the body of a request: JSON with one answer per picture. Raises RequestRefused for any other body."""
    content = parse_body(body, limits)
    options = read_options(content)
    sources: list[Any] = []
    for item in read_items(content, limits):
        try:
            sources.append(to_source(item))
        except PictureError as error:
            sources.append(error)
    texts = [source for source in sources if isinstance(source, bytes) and is_stroke_text(source)]
    if (size := sum(map(len, texts))) > limits.drawing_bytes:
        raise RequestRefused(413, f"the drawings hold {size:,} bytes; send at most {limits.drawing_bytes:,} at a time")
    try:
        answers = [
            {"error": f"item {index}: {answer}"} if isinstance(answer, PictureError) else answer.to_dict()
            for index, answer in enumerate(recogniser.stream(sources, snap=options.snap, max_misfit=options.max_misfit))
        ]
    except ModelError as error:  # it has no outlines to snap to
        raise RequestRefused(400, str(error)) from None
    return json.dumps({"predictions": answers}).encode()


@dataclass(frozen=True)
class AnswerOptions:
    """What is asked beside the pictures; see `Recogniser.predict`."""

    snap: bool = False
    max_misfit: float = MAX_MISFIT


def read_options(content: Any) -> AnswerOptions:
    """The `params` of a request's JSON. Raises RequestRefused for any other than those of `AnswerOptions`."""
    params = content.get(PARAMS_KEY, {}) if isinstance(content, dict) else {}
    expected = 'send {"inputs": [...], "params": {"snap": true, "max_misfit": 0.3}}, or leave params out'
    if not isinstance(params, dict):
        raise RequestRefused(400, f"params must be an object: {expected}")
    if unknown := sorted(set(params) - {"snap", "max_misfit"}):
        raise RequestRefused(400, f"params has the unknown keys {unknown[:5]}"[:200] + f": {expected}")
    snap, max_misfit = params.get("snap", False), params.get("max_misfit", MAX_MISFIT)
    if not isinstance(snap, bool):
        raise RequestRefused(400, f"params.snap must be true or false: {expected}")
    if isinstance(max_misfit, bool) or not isinstance(max_misfit, int | float) or not 0 <= max_misfit <= 1:
        raise RequestRefused(400, f"params.max_misfit must be a number between 0 and 1: {expected}")
    return AnswerOptions(snap, float(max_misfit))


def read_items(content: Any, limits: RequestLimits) -> list[Any]:
    """The pictures in the JSON of a request. Raises RequestRefused if it has another form, or holds too many.

    What the items are is not checked: each is answered alone.
    """
    given = [key for key in content if key != PARAMS_KEY] if isinstance(content, dict) else []
    if len(given) != 1 or (key := given[0]) not in INPUT_KEYS:
        keys = f", not of the keys {sorted(content)[:5]}"[:200] if isinstance(content, dict) else ""
        allowed = f"{', '.join(INPUT_KEYS[:-1])} or {INPUT_KEYS[-1]}"
        raise RequestRefused(400, f"the body must be one object with the key {allowed}{keys}: {EXPECTED_BODY}")
    items = _read_table(content[key]) if key == "dataframe_split" else content[key]
    if not isinstance(items, list):
        raise RequestRefused(400, f"{key} must be a list: {EXPECTED_BODY}")
    if len(items) > limits.items:
        raise RequestRefused(413, f"{len(items)} pictures; send at most {limits.items} at a time")
    if key == "instances":
        return [_read_row(row) if isinstance(row, dict) else row for row in items]
    return items


def _read_table(table: Any) -> list[Any]:
    """The column of a data frame as pandas writes it with `orient="split"`."""
    expected = 'send {"dataframe_split": {"columns": ["picture"], "data": [[picture], ...]}}'
    if not isinstance(table, dict) or not {"data"} <= set(table) <= {"columns", "data", "index"}:
        raise RequestRefused(400, f"dataframe_split must be an object with columns and data: {expected}")
    columns, rows = table.get("columns", [0]), table["data"]
    if not isinstance(columns, list) or not isinstance(rows, list):
        raise RequestRefused(400, f"columns and data of dataframe_split must be lists: {expected}")
    if len(columns) != 1 or not all(isinstance(row, list) and len(row) == 1 for row in rows):
        raise RequestRefused(400, f"dataframe_split must have one column, of pictures: {expected}")
    return [row[0] for row in rows]


def _read_row(row: dict[str, Any]) -> Any:
    """The only value of an object that names its column."""
    if len(row) != 1:
        expected = 'send {"instances": [{"picture": picture}, ...]}, or the pictures alone'
        raise RequestRefused(400, f"an object in instances must have one key, the column of pictures: {expected}")
    return next(iter(row.values()))


# --- what is no prediction


async def _chunks(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), PAGE_CHUNK):
        yield content[start : start + PAGE_CHUNK]


async def _report_ready(_: Request) -> Response:
    return Response("\n", media_type="application/json")


async def _report_version(_: Request) -> Response:
    return Response(importlib.metadata.version("strokewise"), media_type="application/json")


async def _refuse(request: Request, refusal: Exception) -> Response:
    assert isinstance(refusal, RequestRefused)
    await drain_body(request)
    return _error_response(refusal.status, str(refusal))


async def _refuse_route(request: Request, error: Exception) -> Response:
    """What Starlette's router says: 404 for the path, or 405 for the method."""
    assert isinstance(error, HTTPException)
    await drain_body(request)
    path, method = request.scope["path"], request.method[:20]
    if error.status_code == 405:
        allowed = "POST" if path in (SCORING_PATH, FEEDBACK_PATH) else "GET"
        return _error_response(405, f"{path} takes {allowed}, not {method}", error.headers)
    message = f"there is nothing here; POST to {SCORING_PATH}, or GET {', '.join(STATUS_PATHS)}"
    return _error_response(404, message)


async def _drop(_request: Request, _error: Exception) -> Response:
    return Response(status_code=400)  # to nobody: the client has closed the connection


async def _report_failure(_request: Request, _error: Exception) -> Response:
    """Starlette raises the error again once this is sent, and uvicorn prints it."""
    return _error_response(500, "the server failed on this request; what it printed says why")


def _error_response(status: int, message: str, headers: Any = None) -> Response:
    headers = {**(headers or {}), "Connection": "close"}  # the rest of the body may not have been read
    return Response(error_body(status, message), status, headers, media_type="application/json")


class _HeaderCheck:
    """Refuses requests by their headers, and answers those that are cancelled before anything else did."""

    def __init__(self, app: ASGIApp, limits: RequestLimits, is_allowed_host: Callable[[str], bool]) -> None:
        self.app = app
        self.limits = limits
        self.is_allowed_host = is_allowed_host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        answered = False

        async def send_noted(message: Message) -> None:
            nonlocal answered
            answered = True
            await send(message)

        try:
            refusal = self._refusal(scope["headers"])
            if refusal is None:
                await self.app(scope, receive, send_noted)
            else:
                response = await _refuse(Request(scope, receive), refusal)
                await response(scope, receive, send_noted)
        except asyncio.CancelledError:
            if answered:
                raise
            await _error_response(503, SHUTDOWN_MESSAGE)(scope, receive, send)

    def _refusal(self, headers: Iterable[tuple[bytes, bytes]]) -> RequestRefused | None:
        size, host = 0, None
        for name, value in headers:
            size += len(name) + len(value)
            if name == b"host":
                host = value.decode("latin-1")
        if size > self.limits.header_bytes:  # uvicorn limits only what has not come whole
            return RequestRefused(431, f"the headers are longer than {self.limits.header_bytes:,} bytes; send fewer")
        if host is None or self.is_allowed_host(host):  # without one: HTTP/1.0, which no browser speaks
            return None
        text = one_line(host, 80)
        return RequestRefused(
            421, f"this server is not {text}; ask for it by its own name, or start it with --allowed-hosts {text}"
        )
