"""What a request to the HTTP server may take: size, time, turns and nesting; the rest is refused before it is parsed.

In: requests of Starlette. Out: their bodies, and the JSON in them; RequestRefused for what exceeds a limit. Nothing
here knows what a picture is.
"""

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, NoReturn

from starlette.requests import ClientDisconnect, Request

from strokewise.support.json_limits import is_nested_deeper, remove_strings

ERROR_CODES = {404: "ENDPOINT_NOT_FOUND", 500: "INTERNAL_ERROR", 503: "TEMPORARILY_UNAVAILABLE"}  # MLflow's; else:
DEFAULT_ERROR_CODE = "BAD_REQUEST"
UTF8_PARAMETERS = {"charset=utf-8", 'charset="utf-8"'}  # of the Content-Type
DRAIN_S = 5.0  # how long, and
DRAIN_BYTES = 2**26  # how much, of a refused body is read


@dataclass(frozen=True)
class RequestLimits:
    """Limits of requests. All requests of the permitted size together must fit into memory beside the model."""

    header_bytes: int = 2**14  # of one request
    body_bytes: int = 8 * 2**20  # of one request
    total_bytes: int = 64 * 2**20  # of all requests that are read or answered at the same time
    values: int = 2**20  # numbers in a request: each takes up to 70 bytes as a Python object
    items: int = 64  # pictures in a request
    drawing_bytes: int = 2**20  # of all drawings in a request that are text: reading them takes 150 times the memory
    depth: int = 16  # of nested brackets: a picture needs 7; a little more is answered item by item
    requests: int = 512  # that are read, wait or are answered at the same time
    read_timeout_s: float = 20.0  # to receive the whole body
    queue_timeout_s: float = 30.0  # to wait for a free worker
    workers: int = field(default_factory=lambda: os.cpu_count() or 1)  # requests that are answered at the same time


class RequestRefused(Exception):
    """A request is invalid or exceeds a limit: the HTTP status, and a message that says what to do."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def error_body(status: int, message: str) -> bytes:
    """The JSON of a refusal, whoever refuses."""
    return json.dumps({"error_code": ERROR_CODES.get(status, DEFAULT_ERROR_CODE), "message": message}).encode()


class RequestGate:
    """What all requests of a server hold at this moment, and whose turn it is."""

    def __init__(self, limits: RequestLimits) -> None:
        self._limits = limits
        self._workers = asyncio.Semaphore(limits.workers)
        self._requests = self._bytes = 0

    @contextlib.asynccontextmanager
    async def receive_body(self, request: Request) -> AsyncIterator[bytes]:
        """Receive the whole body, which counts in the total until the block ends.

        Raises RequestRefused as soon as the headers are invalid or a limit is exceeded, and ClientDisconnect.
        """
        limits = self._limits
        if self._requests >= limits.requests:
            raise RequestRefused(503, f"busy with {limits.requests} requests; ask again later")
        _check_headers(request, limits)
        chunks: list[bytes] = []
        received = 0
        self._requests += 1
        deadline = asyncio.timeout(limits.read_timeout_s)
        try:
            async with deadline:
                async for chunk in request.stream():
                    chunks.append(chunk)
                    received += len(chunk)
                    self._bytes += len(chunk)
                    if self._bytes > limits.total_bytes:
                        raise RequestRefused(503, "busy: too much is being sent at once; ask again later")
                    if received > limits.body_bytes:
                        raise _body_too_large(limits)
            yield b"".join(chunks)
        except TimeoutError:
            if not deadline.expired():  # an error of the block
                raise
            message = f"the body did not come within {limits.read_timeout_s:g} s; send it faster"
            raise RequestRefused(408, message) from None
        finally:
            self._requests -= 1
            self._bytes -= received

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a free worker, which is taken until the block ends. Raises RequestRefused if none gets free."""
        try:
            await asyncio.wait_for(self._workers.acquire(), self._limits.queue_timeout_s)
        except TimeoutError:
            message = f"busy: no turn within {self._limits.queue_timeout_s:g} s; ask again later"
            raise RequestRefused(503, message) from None
        try:
            yield
        finally:
            self._workers.release()


def _check_headers(request: Request, limits: RequestLimits) -> None:
    """Raise RequestRefused unless they announce JSON in UTF-8, as it is and of a permitted size."""
    content_type = request.headers.get("content-type", "").lower().replace(" ", "")
    media_type, *parameters = content_type.split(";")
    if media_type != "application/json" or set(filter(None, parameters)) - UTF8_PARAMETERS:
        raise RequestRefused(415, "the Content-Type must be application/json, in UTF-8")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise RequestRefused(415, "the body must come as it is, without a Content-Encoding")
    if int(request.headers.get("content-length", "0")) > limits.body_bytes:  # h11 has checked that it is a number
        raise _body_too_large(limits)


def _body_too_large(limits: RequestLimits) -> RequestRefused:
    message = f"the body is larger than {limits.body_bytes:,} bytes; send fewer or smaller pictures at a time"
    return RequestRefused(413, message)


async def drain_body(request: Request) -> None:
    """Read and drop the rest of a refused body: a client whose connection breaks while it sends reads no answer."""
    if "expect" in request.headers:
        return  # the client waits for a 100 before it sends
    left = DRAIN_BYTES
    with contextlib.suppress(TimeoutError, ClientDisconnect, RuntimeError):  # RuntimeError: it was read to its end
        async with asyncio.timeout(DRAIN_S):
            async for chunk in request.stream():
                left -= len(chunk)
                if left <= 0:
                    return


def parse_body(body: bytes, limits: RequestLimits) -> Any:
    """The JSON of a body. Raises RequestRefused, before any object is made of it, if there is too much in it."""
    if body.count(b",") + body.count(b"[") + body.count(b"{") > limits.values:
        message = f"more than {limits.values:,} numbers; send fewer or smaller pictures, or PNG as base64"
        raise RequestRefused(413, message)
    if is_nested_deeper(remove_strings(body), limits.depth):
        raise RequestRefused(400, f"brackets do not match or go deeper than {limits.depth}; send one JSON object")
    try:
        return json.loads(body.decode("utf-8"), parse_constant=_reject_constant)
    except UnicodeDecodeError as error:
        raise RequestRefused(400, f"the body is not UTF-8: {error.reason} at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise RequestRefused(400, f"the body is not JSON: {error.msg} at character {error.pos}") from None
    except ValueError as error:  # a number of thousands of digits
        raise RequestRefused(400, f"the body is not JSON that can be read: {error}") from None


def _reject_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")
