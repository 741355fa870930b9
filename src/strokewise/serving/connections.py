"""HTTP connections that nobody can hold for ever: uvicorn's protocol with time limits and a bound on how many wait.

A connection waits for its client while it is idle, or while a header or a body is incomplete; it may do so for a while,
and where too many do, the one that has waited longest is closed. What uvicorn itself refuses (it is no HTTP, say) is
answered with the JSON of every other refusal.
"""

import asyncio
import resource
import sys
from dataclasses import dataclass
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol, RequestResponseCycle

from strokewise.errors import one_line
from strokewise.serving.limits import error_body

BACKLOG = 128  # connections that the kernel accepts ahead of the server, and that the server takes at a time
OTHER_FILES = 64  # open files that are no connection


@dataclass(frozen=True)
class ConnectionLimits:
    """How long a connection may take for what, and how many there may be."""

    header_timeout_s: float = 10.0  # from the connection, or the first byte of its next request, to the end of a header
    body_timeout_s: float = 30.0  # from there to the end of the body: more than the application takes to refuse it
    answer_timeout_s: float = 20.0  # for a client that does not read its answer
    waiting: int = 256  # connections that wait for their clients
    total: int = 1024

    @classmethod
    def of_process(cls) -> "ConnectionLimits":
        """As many connections as this process may open files for, and of these at most half waiting."""
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if files == resource.RLIM_INFINITY:
            return cls()
        total = min(cls.total, max(files - BACKLOG - OTHER_FILES, 16))
        return cls(waiting=min(cls.waiting, total // 2), total=total)


class WaitingConnections:
    """The connections of a server that wait for their clients, the one that has waited longest first."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self.limits = limits
        self._oldest_first: dict[LimitedProtocol, None] = {}

    def add(self, connection: "LimitedProtocol") -> None:
        """Count a connection from now on; where that is one too many, the oldest is closed."""
        self.remove(connection)
        self._oldest_first[connection] = None
        if len(self._oldest_first) > self.limits.waiting:
            self.close_oldest()

    def remove(self, connection: "LimitedProtocol") -> None:
        """Count a connection no longer."""
        self._oldest_first.pop(connection, None)

    def close_oldest(self) -> bool:
        """Close the connection that has waited longest; False if none waits."""
        oldest = next(iter(self._oldest_first), None)
        if oldest is not None:
            oldest.close_waiting(503, "too many connections wait for their clients; send faster, or ask again later")
        return oldest is not None


class LimitedProtocol(H11Protocol):
    """A connection: what it waits for has a time limit, which ends with what comes whole, never with a single byte."""

    def __init__(self, *args: Any, waiting: WaitingConnections, **options: Any) -> None:
        super().__init__(*args, **options)
        self._waiting = waiting
        self._limits = waiting.limits
        self._awaited: tuple[str, object] = ("", None)  # what the client owes, and the request before or that it is of
        self._timer: asyncio.TimerHandle | None = None
        self._answer_timer: asyncio.TimerHandle | None = None

    # --- what uvicorn and asyncio call

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected."""
        super().connection_made(transport)
        if len(self.connections) > self._limits.total and not self._waiting.close_oldest():
            self._refuse(503, f"busy with {self._limits.total} connections; ask again later")
        self._follow()

    def data_received(self, data: bytes) -> None:
        """The client has sent something."""
        if not self.transport.is_closing():
            super().data_received(data)
            self._follow()

    def on_response_complete(self) -> None:
        """The application has answered."""
        super().on_response_complete()
        self._follow()

    def timeout_keep_alive_handler(self) -> None:
        """No further request has come."""
        super().timeout_keep_alive_handler()
        self._follow()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed."""
        super().connection_lost(exc)
        self._set_timer(None)
        self.resume_writing()
        self._waiting.remove(self)

    def pause_writing(self) -> None:
        """The client does not read its answer."""
        super().pause_writing()
        self._answer_timer = self.loop.call_later(self._limits.answer_timeout_s, self.transport.abort)

    def resume_writing(self) -> None:
        """The client reads on."""
        super().resume_writing()
        if self._answer_timer is not None:
            self._answer_timer.cancel()
            self._answer_timer = None

    def send_400_response(self, msg: str) -> None:
        """What came is no HTTP: answer in JSON. uvicorn calls this while it handles h11's error."""
        error = sys.exc_info()[1]
        status = error.error_status_hint if isinstance(error, h11.RemoteProtocolError) else 400
        problem = str(error or msg).partition(": bytearray(")[0]  # without what the client has sent
        self._refuse(status, f"this is no valid HTTP/1.1 request ({one_line(problem, 200)})")

    # --- what the client owes

    def _follow(self) -> None:
        """Start the timer of what the client owes now, unless it already runs."""
        awaited = self._what_is_awaited()
        if awaited == self._awaited:
            return
        self._awaited = awaited
        kind, _ = awaited
        if kind in ("first header", "header"):
            self._set_timer(self._limits.header_timeout_s)
        elif kind == "body":
            self._set_timer(self._limits.body_timeout_s)
        elif kind == "close":
            self._set_timer(self._limits.answer_timeout_s)
        else:
            self._set_timer(None)  # uvicorn's own ends an idle connection
        if kind in ("first header", "header", "body", "next request"):
            self._waiting.add(self)
        else:
            self._waiting.remove(self)

    def _what_is_awaited(self) -> tuple[str, object]:
        """The kind of what the client owes, "" for nothing; and the request that came last, to tell two alike apart."""
        cycle: RequestResponseCycle | None = self.cycle  # none before the first request
        if self.transport.is_closing():
            return "close", None
        if self.conn.their_state is h11.SEND_BODY:
            return "body", cycle
        if self.conn.their_state is not h11.IDLE or (cycle is not None and not cycle.response_complete):
            return "", None
        if cycle is None:
            return "first header", None
        return ("header" if self.conn.trailing_data[0] else "next request"), cycle

    def _set_timer(self, seconds: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if seconds is None else self.loop.call_later(seconds, self._end_wait)

    def _end_wait(self) -> None:
        kind, _ = self._awaited
        if kind == "close":
            self.transport.abort()
        else:
            self.close_waiting(408, f"the {kind.split()[-1]} did not come in time; send it faster")

    # --- the end of a connection

    def close_waiting(self, status: int, message: str) -> None:
        """Close a connection that waits; a client that has sent a part of a request is told why."""
        self._waiting.remove(self)
        if self._awaited[0] == "body" or self.conn.trailing_data[0]:
            self._refuse(status, message)
        else:
            self.transport.close()
            self._follow()

    def _refuse(self, status: int, message: str) -> None:
        """Answer with a refusal, unless an answer has been begun, and close the connection."""
        if self.cycle is not None:
            self.cycle.disconnected = True  # the application no longer answers
            self.cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            body = error_body(status, message)
            headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
            response = h11.Response(
                status_code=status, headers=[*headers, ("Connection", "close")], reason=STATUS_PHRASES[status]
            )
            for event in (response, h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
        self._follow()
