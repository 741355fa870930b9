"""What stands before MLflow's scoring server: requests in, the sound ones passed on, the others told what is wrong.

    python -P guard.py MODEL --fd 3 --url http://127.0.0.1:5001 [--named "version 3, champion"]

MLflow's server answers 500 to deep JSON or a missing Content-Type and takes a body of any size. The guard is an ASGI
application around it: it bounds what is read, how long and how much of it at once, and parses nothing before that.

    POST /invocations  {"inputs": [picture, ...]}, application/json -> {"predictions": [answer, ...]}, one a picture
    GET  /ping, /health, /version

Whatever else comes is answered with {"error_code": ..., "message": ...}, as MLflow's own errors are. Only the standard
library at the top, and nothing of strokewise at all: the served model brings its own, as it was when it was packed.
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
JSON_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)  # never goes back: linear, whatever comes
NON_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
BRACES_TO_BRACKETS = bytes.maketrans(b"{}", b"[]")
ERROR_CODES = {404: "ENDPOINT_NOT_FOUND", 503: "TEMPORARILY_UNAVAILABLE"}  # MLflow's words; else BAD_REQUEST


@dataclass(frozen=True)
class RequestLimits:
    """How much is taken: bytes, counts and seconds. All of it at once must fit into memory beside the model."""

    body: int = 8 * 2**20  # bytes of a request
    held: int = 64 * 2**20  # bytes of all requests together
    values: int = 2**20  # numbers in a request: each costs up to 70 bytes as a Python object
    items: int = 64  # pictures in a request: the largest of them are still answered within MLflow's 60 s
    depth: int = 16  # of brackets: a picture needs 5, and what is a little deeper is answered item by item
    read_s: float = 20.0  # for the whole body to come
    wait_s: float = 30.0  # for a turn
    turns: int = field(default_factory=lambda: os.cpu_count() or 1)  # requests that are scored at once


class RequestRefused(Exception):
    """What is wrong with a request: an HTTP status and what to do."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def limit_requests(app: AsgiApp, limits: RequestLimits | None = None) -> AsgiApp:
    """`app`, MLflow's scoring server, behind the guard."""
    bounds = limits or RequestLimits()
    turns = asyncio.Semaphore(bounds.turns)
    held = [0]  # bytes of all requests that are being read or scored

    async def guard(scope: AsgiMessage, receive: AsgiReceive, send: AsgiSend) -> None:
        if scope["type"] != "http":  # the server's own start and end
            return await app(scope, receive, send)
        counted = _ByteCount(held)
        try:
            asked = _check_head(scope, bounds)
            if asked == SCORING_PATH:
                await _handle_scoring(app, scope, receive, send, bounds, turns, counted)
            else:
                await app(scope, receive, send)
        except RequestRefused as refused:
            await _drain(scope, receive, counted)
            await _send_error(send, refused)
        except _ClientGone:
            pass
        finally:
            counted.free()

    return guard


async def _handle_scoring(
    app: AsgiApp,
    scope: AsgiMessage,
    receive: AsgiReceive,
    send: AsgiSend,
    limits: RequestLimits,
    turns: asyncio.Semaphore,
    counted: "_ByteCount",
) -> None:
    body = await _read_body(receive, limits, counted)
    try:
        await asyncio.wait_for(turns.acquire(), limits.wait_s)
    except TimeoutError:
        raise RequestRefused(503, f"busy: no turn within {limits.wait_s:g} s; ask again later") from None
    try:
        if len(body) > 2**16:
            await asyncio.to_thread(check_body, body, limits)  # others are answered meanwhile
        else:
            check_body(body, limits)
        await app(scope, _replay_body(body, receive), send)
    finally:
        turns.release()


def _check_head(scope: AsgiMessage, limits: RequestLimits) -> str:
    """The path, if path, method and headers are sound."""
    path, method = scope["path"], scope["method"]
    if path != SCORING_PATH and path not in STATUS_PATHS:
        raise RequestRefused(404, f"there is nothing here; POST to {SCORING_PATH}, or GET {', '.join(STATUS_PATHS)}")
    wanted = "POST" if path == SCORING_PATH else "GET"
    if method != wanted:
        raise RequestRefused(405, f"{path} takes {wanted}, not {method[:20]}")
    if path != SCORING_PATH:
        return str(path)
    headers: dict[bytes, bytes] = dict(scope["headers"])
    kind, *extras = headers.get(b"content-type", b"").decode("latin-1").lower().replace(" ", "").split(";")
    if kind != "application/json" or set(filter(None, extras)) - {"charset=utf-8", 'charset="utf-8"'}:
        raise RequestRefused(415, "the Content-Type must be application/json, in UTF-8")
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise RequestRefused(415, "the body must come as it is, without a Content-Encoding")
    if int(headers.get(b"content-length", b"0")) > limits.body:  # the server has seen to it that it is a number
        raise _too_large(limits)
    # MLflow reads the charset's value itself and would not understand the quotes.
    scope["headers"] = [(name, b"application/json" if name == b"content-type" else it) for name, it in scope["headers"]]
    return str(path)


# --- the body


class _ByteCount:
    """The bytes that one request holds, counted in the sum of all."""

    def __init__(self, total: list[int]) -> None:
        self.total, self.mine = total, 0
        self.whole = False  # nothing more comes

    def add(self, count: int, most: int) -> None:
        self.mine += count
        self.total[0] += count
        if self.total[0] > most:
            raise RequestRefused(503, "busy: too much is being sent at once; ask again later")

    def free(self) -> None:
        self.total[0] -= self.mine
        self.mine = 0


class _ClientGone(Exception):
    """The client has left."""


async def _read_body(receive: AsgiReceive, limits: RequestLimits, counted: _ByteCount) -> bytes:
    """The whole body; raises Refused as soon as it is too large, too slow or too much beside the others."""
    parts: list[bytes] = []
    end = time.monotonic() + limits.read_s
    more = True
    while more:
        try:
            message = await asyncio.wait_for(receive(), max(0.001, end - time.monotonic()))
        except TimeoutError:
            raise RequestRefused(408, f"the body did not come within {limits.read_s:g} s; send it faster") from None
        if message["type"] == "http.disconnect":
            raise _ClientGone
        part = message.get("body", b"")
        counted.add(len(part), limits.held)
        if counted.mine > limits.body:
            raise _too_large(limits)
        parts.append(part)
        more = message.get("more_body", False)
        counted.whole = not more
    return b"".join(parts)


def _too_large(limits: RequestLimits) -> RequestRefused:
    return RequestRefused(
        413, f"the body is larger than {limits.body:,} bytes; send fewer or smaller pictures at a time"
    )


async def _drain(scope: AsgiMessage, receive: AsgiReceive, counted: _ByteCount) -> None:
    """Let a client finish sending before it is told no: one whose connection breaks meanwhile never reads why."""
    counted.free()
    if counted.whole or any(name == b"expect" for name, _ in scope["headers"]):
        return  # it has sent all, or waits for a yes before it sends
    end, left = time.monotonic() + 5.0, 2**26
    more = True
    while more and left > 0:
        try:
            message = await asyncio.wait_for(receive(), max(0.001, end - time.monotonic()))
        except TimeoutError:
            return
        left -= len(message.get("body", b""))
        more = message["type"] == "http.request" and message.get("more_body", False)


def _replay_body(body: bytes, receive: AsgiReceive) -> AsgiReceive:
    """`receive` as if the body, which has been read, came now in one piece."""
    waiting = [body]

    async def again() -> AsgiMessage:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return again


async def _send_error(send: AsgiSend, refused: RequestRefused) -> None:
    content = json.dumps(
        {"error_code": ERROR_CODES.get(refused.status, "BAD_REQUEST"), "message": str(refused)}
    ).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    headers.append((b"connection", b"close"))  # what is left of the body is not wanted
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": content})


# --- what it says


def check_body(body: bytes, limits: RequestLimits) -> None:
    """Raise Refused, 400, unless `body` is `{"inputs": [...]}` within the limits. What is no picture in the list is
    the model's to say, item by item."""
    if body.count(b",") + body.count(b"[") + body.count(b"{") > limits.values:  # before anything is made of it
        raise RequestRefused(
            413, f"more than {limits.values:,} numbers; send fewer or smaller pictures, or PNG as base64"
        )
    brackets = JSON_STRING.sub(b"", body).translate(None, NON_BRACKETS).translate(BRACES_TO_BRACKETS)
    for _ in range(limits.depth):
        brackets = brackets.replace(b"[]", b"")  # the innermost pairs
    if brackets:
        raise RequestRefused(400, f"brackets do not match or go deeper than {limits.depth}: {EXPECTED_BODY}")
    try:
        given = json.loads(body.decode("utf-8"), parse_constant=_reject_constant)
    except UnicodeDecodeError as error:
        raise RequestRefused(400, f"the body is not UTF-8: {error.reason} at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise RequestRefused(400, f"the body is not JSON: {error.msg} at character {error.pos}") from None
    except ValueError as error:  # a number of thousands of digits
        raise RequestRefused(400, f"the body is not JSON that can be read: {error}") from None
    if not isinstance(given, dict) or set(given) != {"inputs"}:
        keys = f", not of the keys {sorted(given)[:5]}"[:200] if isinstance(given, dict) else ""
        raise RequestRefused(400, f"the body must be one object with the key inputs{keys}: {EXPECTED_BODY}")
    if not isinstance(given["inputs"], list):
        raise RequestRefused(400, f"inputs must be a list: {EXPECTED_BODY}")
    if len(given["inputs"]) > limits.items:
        raise RequestRefused(413, f"{len(given['inputs'])} pictures; send at most {limits.items} at a time")


EXPECTED_BODY = 'send {"inputs": [picture, ...]}, each picture base64 text or an array (H, W), (H, W, 3) or (H, W, 4)'


def _reject_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")


# --- MLflow's server, behind it


def main(words: list[str]) -> None:
    """Load the model, listen on the socket that was inherited, and say so; Ctrl-C lets what is running end."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--url", required=True)
    parser.add_argument("--named", default="the model")
    asked = parser.parse_args(words)
    import uvicorn
    from mlflow.pyfunc import load_model, scoring_server

    try:
        model = load_model(asked.model)
    except Exception as error:  # whatever a damaged folder makes MLflow or the model's own code raise
        print(f"strokewise: {asked.named} cannot be loaded: {' '.join(str(error).split())[:300]}", file=sys.stderr)
        sys.exit(2)
    app = limit_requests(scoring_server.init(model))
    quiet: dict[str, Any] = {"log_level": "warning", "access_log": False, "server_header": False, "ws": "none"}
    config = uvicorn.Config(app, limit_concurrency=512, timeout_graceful_shutdown=10, **quiet)  # 512 connections
    with socket.socket(fileno=asked.fd) as listening:
        asyncio.run(
            _run_server(uvicorn.Server(config), listening, f"{asked.named} answers at {asked.url}{SCORING_PATH}")
        )


async def _run_server(server: Any, listening: socket.socket, ready: str) -> None:
    serving = asyncio.create_task(server.serve([listening]))
    while not server.started and not serving.done():
        await asyncio.sleep(0.05)
    if not serving.done():
        print(f"{ready} (Ctrl-C ends it)", flush=True)
    await serving


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit(130)
