"""Connections of a real server with small limits: none can be held for ever, none keeps the others from an answer."""

import asyncio
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import pytest
import uvicorn

from strokewise.serving import connections, limits
from strokewise.serving.app import build_app
from strokewise.serving.connections import ConnectionLimits, LimitedProtocol, WaitingConnections
from strokewise.serving.limits import RequestLimits
from strokewise.serving.ports import bind_port

LIMITS = ConnectionLimits(header_timeout_s=0.5, body_timeout_s=1.0, answer_timeout_s=0.5, waiting=20, total=40)
GET = b"GET /ping HTTP/1.1\r\nHost: localhost\r\n"
POST = b"POST /invocations HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


class _Reader:
    """Stands for a Recogniser."""

    def stream(self, sources: Any) -> Iterator[Any]:
        time.sleep(0.2)
        return iter(())


async def _large(scope: Any, receive: Any, send: Any) -> None:
    """An application whose answers fill every buffer on the way."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"x" * 2**25})


@contextmanager
def serving(app: Any = None, connection_limits: ConnectionLimits = LIMITS) -> Iterator[tuple[int, uvicorn.Server]]:
    """A server in a thread: its port, and itself."""
    app = app or build_app(_Reader(), RequestLimits(read_timeout_s=0.5))  # type: ignore[arg-type]
    protocol: Any = partial(LimitedProtocol, waiting=WaitingConnections(connection_limits))
    with bind_port("127.0.0.1", 0) as listener:
        config = uvicorn.Config(
            app, http=protocol, lifespan="off", log_level="error", ws="none", timeout_graceful_shutdown=1
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            wait_until(lambda: server.started)
            yield listener.getsockname()[1], server
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with pytest.MonkeyPatch.context() as patch, serving() as (number, _):
        patch.setattr(limits, "DRAIN_S", 0.2)
        yield number


def wait_until(condition: Callable[[], object], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), 10)


def read_all(connection: socket.socket) -> bytes:
    """What the server sends until it closes the connection."""
    content = b""
    try:
        while received := connection.recv(2**16):
            content += received
    except ConnectionResetError:
        pass
    return content


def last_refusal(content: bytes) -> tuple[int, str]:
    """Status and message of the last response, which must have the documented form and close the connection."""
    *_, last = re.finditer(rb"HTTP/1\.1 \d\d\d ", content)
    head, _, body = content[last.start() :].partition(b"\r\n\r\n")
    lines = head.decode().lower().split("\r\n")
    assert {"content-type: application/json", "connection: close", f"content-length: {len(body)}"} <= set(lines)
    answer = json.loads(body)
    assert set(answer) == {"error_code", "message"}
    assert "\n" not in answer["message"]
    return int(lines[0].split()[1]), answer["message"]


def is_answering(port: int) -> bool:
    with connect(port) as connection:
        connection.sendall(GET + b"Connection: close\r\n\r\n")
        return read_all(connection).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("request_", "status", "message"),
    [
        (b"\x16\x03\x01 nonsense\r\n\r\n", 400, "illegal request line"),
        (b"\r\n\r\n", 400, "no request line"),
        (b"GET\r\n\r\n", 400, "illegal request line"),
        (b"GET  / HTTP/1.1\r\n\r\n", 400, "illegal request line"),
        (b"GET /\xff HTTP/1.1\r\n\r\n", 400, "illegal request line"),
        (b"GET /ping HTTP/1.1\r\n\r\n", 400, "Host"),
        (GET + b"Host: localhost\r\n\r\n", 400, "multiple Host"),
        (GET + b"no colon\r\n\r\n", 400, "illegal header line"),
        (GET + b" folded: a\r\n" + b"X : a\r\n\r\n", 400, "illegal header line"),
        (GET + b"X: a\x00b\r\n\r\n", 400, "illegal header line"),
        (GET + b"X: " + b"a" * 70_000, 431, "too long"),
        (GET + b"X: " + b"a" * 70_000 + b"\r\n\r\n", 431, "longer than 16,384 bytes|too long"),
        (GET + b"X: a\r\n" * 9_000 + b"\r\n", 431, "longer than 16,384 bytes|too long"),
        (POST + b"Content-Length: 1, 2\r\n\r\n{", 400, "conflicting Content-Length"),
        (POST + b"Content-Length: -1\r\n\r\n{", 400, "bad Content-Length"),
        (POST + b"Content-Length: " + b"9" * 5_000 + b"\r\n\r\n{", 400, "bad Content-Length"),
        (POST + b"Content-Length: " + b"9" * 15 + b"\r\n\r\n{", 413, "larger than"),
        (POST + b"Transfer-Encoding: gzip\r\n\r\n{", 501, "chunked is supported"),
        (CHUNKED + b"zz\r\n", 400, "illegal chunk header"),
        (CHUNKED + b"-1\r\n", 400, "illegal chunk header"),
        (CHUNKED + b"f" * 30 + b"\r\n", 400, "illegal chunk header"),
        (CHUNKED + b"2\r\n{}}}", 400, "chunk"),
        (CHUNKED + b"ffffffffff\r\n{", 408, "body"),
        (GET + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400, "illegal chunk header"),
        (GET + b"\r\n" + b"garbage\r\n\r\n", 400, "illegal request line"),
        ((GET + b"\r\n") * 5 + b"\x00\x01\r\n\r\n", 400, "illegal request line"),
        (b"GET http://evil.example/ping HTTP/1.1\r\nHost: localhost\r\n\r\n", 404, "nothing here"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 404, "nothing here"),
        (b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n", 404, "nothing here"),
        (b"CONNECT localhost:22 HTTP/1.1\r\nHost: localhost\r\n\r\n", 404, "nothing here"),
    ],
)
def test_what_is_no_request_is_refused_as_documented(
    request_: bytes, status: int, message: str, port: int, capfd: pytest.CaptureFixture[str]
) -> None:
    with connect(port) as connection:
        connection.sendall(request_)
        found = last_refusal(read_all(connection))
    assert found[0] == status
    assert any(part in found[1] for part in message.split("|")), found
    assert is_answering(port)
    assert capfd.readouterr() == ("", "")  # what strangers send fills no log


def test_request_of_http_1_0_needs_no_host(port: int) -> None:
    with connect(port) as connection:
        connection.sendall(b"GET /ping HTTP/1.0\r\n\r\n")
        assert read_all(connection).startswith(b"HTTP/1.1 200 ")


def trickle(connection: socket.socket, content: bytes) -> bytes:
    """Send byte after byte until the server closes the connection."""
    connection.settimeout(0.05)
    start = time.monotonic()
    received = b""
    for place in range(len(content)):
        try:
            connection.send(content[place : place + 1])
            part = connection.recv(2**16)
        except TimeoutError:
            assert time.monotonic() - start < 5, "it may trickle for ever"
            continue
        except ConnectionError:
            break
        received += part
        if not part:
            break
    assert time.monotonic() - start > 0.3
    return received


@pytest.mark.parametrize(
    ("begin", "slowly", "message"),
    [
        (b"", GET + b"X: " + b"a" * 1000, "the header did not come in time"),
        (b"G", b"E" * 1000, "the header did not come in time"),
        (GET + b"\r\n", GET + b"X: " + b"a" * 1000, "the header did not come in time"),  # of the second request
        (POST + b"Content-Length: 9999\r\n\r\n", b" " * 1000, "the body did not come within 0.5 s"),
        (CHUNKED, b"1\r\n \r\n" * 1000, "the body did not come within 0.5 s"),
    ],
)
def test_what_trickles_is_refused_in_time(begin: bytes, slowly: bytes, message: str, port: int) -> None:
    with connect(port) as connection:
        connection.sendall(begin)
        status, found = last_refusal(trickle(connection, slowly))
    assert (status, message in found) == (408, True)
    assert is_answering(port)


def test_body_that_trickles_after_its_answer_ends_the_connection(port: int) -> None:
    with connect(port) as connection:
        connection.sendall(GET + b"Content-Length: 99999\r\n\r\n")
        assert trickle(connection, b" " * 1000).count(b"HTTP/1.1 ") == 1


def test_idle_connection_is_closed_without_a_word(port: int) -> None:
    with connect(port) as connection:
        assert read_all(connection) == b""


def test_client_that_does_not_read_its_answers_is_left() -> None:
    with serving(_large) as (port, server), connect(port) as connection:
        connection.sendall(GET + b"\r\n")
        wait_until(lambda: server.server_state.connections)
        wait_until(lambda: not server.server_state.connections, 3)  # before its idle time ends it
        assert len(read_all(connection)) < 2**25


@pytest.mark.parametrize("begin", [b"", b"GET /pi", GET, GET + b"\r\n", POST + b"Content-Length: 99\r\n\r\n{"])
def test_many_waiting_connections_keep_nobody_from_an_answer(begin: bytes) -> None:
    patient = ConnectionLimits(header_timeout_s=60, body_timeout_s=60, waiting=20, total=40)
    with ExitStack() as stack:
        port, server = stack.enter_context(
            serving(build_app(_Reader(), RequestLimits(read_timeout_s=60, requests=50)), patient)  # type: ignore[arg-type]
        )
        held = [stack.enter_context(connect(port)) for _ in range(120)]
        for connection in held:
            connection.sendall(begin)
        if begin == GET + b"\r\n":  # these wait only after their answers; until then the server is busy
            wait_until(lambda: is_answering(port) and len(server.server_state.connections) <= 21)
        for _ in range(30):
            assert is_answering(port)
        wait_until(lambda: len(server.server_state.connections) <= 21)
        oldest = read_all(held[0])
        if begin in (b"", GET + b"\r\n"):
            assert b"error_code" not in oldest  # it has asked for nothing
        elif oldest:  # else its bytes came after it was closed
            assert last_refusal(oldest)[0] == 503


def test_more_connections_than_the_total_are_refused_with_503() -> None:
    async def never(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(60)

    with ExitStack() as stack:
        port, server = stack.enter_context(serving(never, ConnectionLimits(waiting=8, total=8)))
        for _ in range(8):
            stack.enter_context(connect(port)).sendall(GET + b"\r\n")
        wait_until(lambda: len(server.server_state.tasks) == 8)
        with connect(port) as connection:
            assert last_refusal(read_all(connection)) == (503, "busy with 8 connections; ask again later")


@pytest.mark.parametrize(
    ("files", "expected"), [(256, (32, 64)), (1024, (256, 832)), (20_000, (256, 1024)), (0, (8, 16))]
)
def test_limits_leave_files_to_open(files: int, expected: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections.resource, "getrlimit", lambda _: (files, files))
    of_process = ConnectionLimits.of_process()
    assert (of_process.waiting, of_process.total) == expected
