"""ASGI middleware in front of MLflow's scoring server: limits and validates requests, and explains refusals.

    python -P middleware.py MODEL --fd 3 --url http://127.0.0.1:5001 [--name "version 3, champion"]

MLflow's server answers 500 to deeply nested JSON or a missing Content-Type, and accepts a body of any size. The
middleware bounds the size, the duration and the number of requests before anything is parsed.

    POST /invocations  {"inputs": [picture, ...]}, application/json → {"predictions": [answer, ...]}, one per picture
    GET  /ping, /health, /version

Any other request is answered with {"error_code": ..., "message": ...}, the format of MLflow's own errors. The module
imports only the standard library at the top and nothing of strokewise, because the served model brings its own copy of
that, as it was when the model was packaged.
"""

import argparse
import asyncio
import json
import os
import re
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

AsgiMessage = dict[str, Any]
AsgiReceive = Callable[[], Awaitable[AsgiMessage]]
AsgiSend = Callable[[AsgiMessage], Awaitable[None]]
AsgiApp = Callable[[AsgiMessage, AsgiReceive, AsgiSend], Awaitable[None]]

SCORING_PATH = "/invocations"
STATUS_PATHS = ("/ping", "/health", "/version")
ERROR_CODES = {404: "ENDPOINT_NOT_FOUND", 503: "TEMPORARILY_UNAVAILABLE"}  # MLflow's; BAD_REQUEST for all others
EXPECTED_BODY = 'send {"inputs": [picture, ...]}, each picture base64 text or an array (H, W), (H, W, 3) or (H, W, 4)'
JSON_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)  # possessive: linear time for any input
NON_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
BRACES_TO_BRACKETS = bytes.maketrans(b"{}", b"[]")
THREAD_BYTES = 2**16  # a larger body is validated in a thread, so that other requests are answered meanwhile
DRAIN_S = 5.0  # how long, and
DRAIN_BYTES = 2**26  # how much, of a refused body is read
MAX_CONNECTIONS = 512
GRACEFUL_SHUTDOWN_S = 10  # for running requests to end


@dataclass(frozen=True)
class RequestLimits:
    """Limits of requests. All requests of the permitted size together must fit into memory beside the model."""

    body_bytes: int = 8 * 2**20  # of one request
    total_bytes: int = 64 * 2**20  # of all requests that are read or scored at the same time
    values: int = 2**20  # numbers in a request: each takes up to 70 bytes as a Python object
    items: int = 64  # pictures in a request: the largest are still answered within MLflow's 60 s
    depth: int = 16  # of nested brackets: a picture needs 5; a little more is answered item by item
    read_timeout_s: float = 20.0  # to receive the whole body
    queue_timeout_s: float = 30.0  # to wait for a free worker
    workers: int = field(default_factory=lambda: os.cpu_count() or 1)  # requests that are scored at the same time


class RequestRefused(Exception):
    """A request is invalid or exceeds a limit: the HTTP status, and a message that says what to do."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class _ClientDisconnected(Exception):
    """The client closed the connection before the body was complete."""


class _BodyBytes:
    """The bytes of one request that are in memory, counted in the total of all requests."""

    def __init__(self, total: list[int]) -> None:
        self.total, self.count = total, 0
        self.complete = False  # the whole body was received

    def add(self, count: int, limit: int) -> None:
        self.count += count
        self.total[0] += count
        if self.total[0] > limit:
            raise RequestRefused(503, "busy: too much is being sent at once; ask again later")

    def release(self) -> None:
        self.total[0] -= self.count
        self.count = 0


def limit_requests(app: AsgiApp, limits: RequestLimits | None = None) -> AsgiApp:
    """Wrap `app`, MLflow's scoring server, in the middleware."""
    limits = limits or RequestLimits()
    workers = asyncio.Semaphore(limits.workers)
    total = [0]  # bytes of all requests

    async def middleware(scope: AsgiMessage, receive: AsgiReceive, send: AsgiSend) -> None:
        if scope["type"] != "http":  # start and end of the server
            return await app(scope, receive, send)
        body_bytes = _BodyBytes(total)
        try:
            _check_head(scope, limits)
            if scope["path"] == SCORING_PATH:
                body = await _read_body(receive, limits, body_bytes)
                await _score(app, scope, receive, send, body, limits, workers)
            else:
                await app(scope, receive, send)
        except RequestRefused as refusal:
            await _drain(scope, receive, body_bytes)
            await _send_error(send, refusal)
        except _ClientDisconnected:
            pass
        finally:
            body_bytes.release()

    return middleware


async def _score(
    app: AsgiApp,
    scope: AsgiMessage,
    receive: AsgiReceive,
    send: AsgiSend,
    body: bytes,
    limits: RequestLimits,
    workers: asyncio.Semaphore,
) -> None:
    """Wait for a free worker, validate the body and pass the request on."""
    try:
        await asyncio.wait_for(workers.acquire(), limits.queue_timeout_s)
    except TimeoutError:
        raise RequestRefused(503, f"busy: no turn within {limits.queue_timeout_s:g} s; ask again later") from None
    try:
        if len(body) > THREAD_BYTES:
            await asyncio.to_thread(check_body, body, limits)
        else:
            check_body(body, limits)
        await app(scope, _replay_body(body, receive), send)
    finally:
        workers.release()


def _check_head(scope: AsgiMessage, limits: RequestLimits) -> None:
    """Raise RequestRefused unless path, method and headers are valid; normalise the Content-Type for MLflow."""
    path, method = scope["path"], scope["method"]
    if path != SCORING_PATH and path not in STATUS_PATHS:
        raise RequestRefused(404, f"there is nothing here; POST to {SCORING_PATH}, or GET {', '.join(STATUS_PATHS)}")
    allowed = "POST" if path == SCORING_PATH else "GET"
    if method != allowed:
        raise RequestRefused(405, f"{path} takes {allowed}, not {method[:20]}")
    if path != SCORING_PATH:
        return
    headers: dict[bytes, bytes] = dict(scope["headers"])
    content_type = headers.get(b"content-type", b"").decode("latin-1").lower().replace(" ", "")
    media_type, *parameters = content_type.split(";")
    if media_type != "application/json" or set(filter(None, parameters)) - {"charset=utf-8", 'charset="utf-8"'}:
        raise RequestRefused(415, "the Content-Type must be application/json, in UTF-8")
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise RequestRefused(415, "the body must come as it is, without a Content-Encoding")
    if int(headers.get(b"content-length", b"0")) > limits.body_bytes:  # uvicorn has checked that it is a number
        raise _body_too_large(limits)
    # MLflow parses the charset itself and does not understand quotes.
    scope["headers"] = [
        (name, b"application/json" if name == b"content-type" else value) for name, value in scope["headers"]
    ]


# --- the body


async def _read_body(receive: AsgiReceive, limits: RequestLimits, body_bytes: _BodyBytes) -> bytes:
    """The whole body; raises RequestRefused as soon as it is too large, too slow or exceeds the total."""
    chunks: list[bytes] = []
    deadline = time.monotonic() + limits.read_timeout_s
    while not body_bytes.complete:
        try:
            message = await asyncio.wait_for(receive(), max(0.001, deadline - time.monotonic()))
        except TimeoutError:
            raise RequestRefused(
                408, f"the body did not come within {limits.read_timeout_s:g} s; send it faster"
            ) from None
        if message["type"] == "http.disconnect":
            raise _ClientDisconnected
        chunk = message.get("body", b"")
        body_bytes.add(len(chunk), limits.total_bytes)
        if body_bytes.count > limits.body_bytes:
            raise _body_too_large(limits)
        chunks.append(chunk)
        body_bytes.complete = not message.get("more_body", False)
    return b"".join(chunks)


def _body_too_large(limits: RequestLimits) -> RequestRefused:
    message = f"the body is larger than {limits.body_bytes:,} bytes; send fewer or smaller pictures at a time"
    return RequestRefused(413, message)


async def _drain(scope: AsgiMessage, receive: AsgiReceive, body_bytes: _BodyBytes) -> None:
    """Read and drop the rest of a refused body: a client whose connection breaks while it sends reads no answer."""
    body_bytes.release()
    if body_bytes.complete or any(name == b"expect" for name, _ in scope["headers"]):
        return  # all was received, or the client waits for a 100 before it sends
    deadline, left = time.monotonic() + DRAIN_S, DRAIN_BYTES
    more = True
    while more and left > 0:
        try:
            message = await asyncio.wait_for(receive(), max(0.001, deadline - time.monotonic()))
        except TimeoutError:
            return
        left -= len(message.get("body", b""))
        more = message["type"] == "http.request" and message.get("more_body", False)


def _replay_body(body: bytes, receive: AsgiReceive) -> AsgiReceive:
    """A `receive` that returns the body, already read, as one message, and then continues with `receive`."""
    pending = [body]

    async def receive_again() -> AsgiMessage:
        if pending:
            return {"type": "http.request", "body": pending.pop(), "more_body": False}
        return await receive()

    return receive_again


async def _send_error(send: AsgiSend, refusal: RequestRefused) -> None:
    error = {"error_code": ERROR_CODES.get(refusal.status, "BAD_REQUEST"), "message": str(refusal)}
    content = json.dumps(error).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    headers.append((b"connection", b"close"))  # the rest of the body is not read
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": content})


def check_body(body: bytes, limits: RequestLimits) -> None:
    """Raise RequestRefused unless `body` is `{"inputs": [...]}` within the limits.

    Items of the list that are no pictures pass: the model reports them one by one.
    """
    if body.count(b",") + body.count(b"[") + body.count(b"{") > limits.values:  # before any object is made of it
        message = f"more than {limits.values:,} numbers; send fewer or smaller pictures, or PNG as base64"
        raise RequestRefused(413, message)
    brackets = JSON_STRING.sub(b"", body).translate(None, NON_BRACKETS).translate(BRACES_TO_BRACKETS)
    for _ in range(limits.depth):
        brackets = brackets.replace(b"[]", b"")  # the innermost pairs
    if brackets:
        raise RequestRefused(400, f"brackets do not match or go deeper than {limits.depth}: {EXPECTED_BODY}")
    try:
        content = json.loads(body.decode("utf-8"), parse_constant=_reject_constant)
    except UnicodeDecodeError as error:
        raise RequestRefused(400, f"the body is not UTF-8: {error.reason} at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise RequestRefused(400, f"the body is not JSON: {error.msg} at character {error.pos}") from None
    except ValueError as error:  # a number of thousands of digits
        raise RequestRefused(400, f"the body is not JSON that can be read: {error}") from None
    if not isinstance(content, dict) or set(content) != {"inputs"}:
        keys = f", not of the keys {sorted(content)[:5]}"[:200] if isinstance(content, dict) else ""
        raise RequestRefused(400, f"the body must be one object with the key inputs{keys}: {EXPECTED_BODY}")
    if not isinstance(content["inputs"], list):
        raise RequestRefused(400, f"inputs must be a list: {EXPECTED_BODY}")
    if len(content["inputs"]) > limits.items:
        raise RequestRefused(413, f"{len(content['inputs'])} pictures; send at most {limits.items} at a time")


def _reject_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")


# --- the server


def main(arguments: list[str]) -> None:
    """Load the model and serve it on the inherited socket; prints the URL when it is ready, ends after SIGINT."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--url", required=True)
    parser.add_argument("--name", default="the model")
    options = parser.parse_args(arguments)
    import uvicorn
    from mlflow.pyfunc import load_model, scoring_server

    try:
        model = load_model(options.model)
    except Exception as error:  # whatever a damaged folder makes MLflow or the model's own code raise
        print(f"strokewise: {options.name} cannot be loaded: {' '.join(str(error).split())[:300]}", file=sys.stderr)
        sys.exit(2)
    quiet: dict[str, Any] = {"log_level": "warning", "access_log": False, "server_header": False, "ws": "none"}
    config = uvicorn.Config(
        limit_requests(scoring_server.init(model)),
        limit_concurrency=MAX_CONNECTIONS,
        timeout_graceful_shutdown=GRACEFUL_SHUTDOWN_S,
        **quiet,
    )
    with socket.socket(fileno=options.fd) as listener:
        asyncio.run(_run_server(uvicorn.Server(config), listener, f"{options.name} answers at {options.url}"))


async def _run_server(server: Any, listener: socket.socket, ready: str) -> None:
    task = asyncio.create_task(server.serve([listener]))
    while not server.started and not task.done():
        await asyncio.sleep(0.05)
    if not task.done():
        print(f"{ready}{SCORING_PATH} (Ctrl-C ends it)", flush=True)
    await task


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit(130)
