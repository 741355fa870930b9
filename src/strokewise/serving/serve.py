"""`strokewise serve`: binds the port, loads the model and runs `app` with uvicorn in this process, until a signal."""

import contextlib
import signal
from collections.abc import Callable, Collection, Iterator
from functools import partial
from pathlib import Path

import uvicorn

from strokewise.recogniser import Recogniser
from strokewise.serving.app import SCORING_PATH, ServedPage, build_app
from strokewise.serving.connections import BACKLOG, ConnectionLimits, LimitedProtocol, WaitingConnections
from strokewise.serving.feedback import FeedbackFolder
from strokewise.serving.hosts import host_check
from strokewise.serving.ports import bind_port, server_url
from strokewise.support.signals import ENDING_SIGNALS

GRACEFUL_SHUTDOWN_S = 10  # for running requests to end


def serve_model(
    host: str,
    port: int,
    load: Callable[[], tuple[Recogniser, str, Callable[[], ServedPage]]],
    echo: Callable[[str], None],
    allowed_hosts: Collection[str] = (),
    collect: Path | None = None,
) -> None:
    """Answer requests on `host`:`port` until a signal: SIGINT, SIGTERM or SIGHUP, unless it was ignored (`nohup`).

    Running requests are answered before the signal takes effect, for `GRACEFUL_SHUTDOWN_S` at most; a second SIGINT
    ends the server at once.

    Args:
        host, port: where to listen.
        load: returns the recogniser, its display name and what makes the page to draw on; called after the port is
            bound, because loading takes seconds. Clients that connect earlier wait.
        echo: prints a line.
        allowed_hosts: names by which clients may ask for this server besides `host`; `*` allows every name.

        collect: the folder in which drawings are kept that the page sends with their right names.

    Raises RegistryError if the port is taken, UserError if one of `allowed_hosts` is none or `collect` cannot be, and
    what `load` raises.
    """
    is_allowed_host = host_check(host, allowed_hosts)
    with bind_port(host, port) as listener:
        listener.listen(BACKLOG)
        recogniser, name, make_page = load()
        feedback = FeedbackFolder(collect, recogniser.shapes) if collect else None
        waiting = WaitingConnections(ConnectionLimits.of_process())
        config = uvicorn.Config(
            build_app(recogniser, None, is_allowed_host, make_page, feedback),
            http=partial(LimitedProtocol, waiting=waiting),  # type: ignore[arg-type]  # it is called, nothing else
            ws="none",
            loop="asyncio",
            lifespan="off",
            backlog=BACKLOG,
            log_level="error",  # a warning for each request that is refused would fill the disk
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=GRACEFUL_SHUTDOWN_S,
        )
        echo(f"{server_url(host, port)}/ is a page to draw on")
        echo(f"{name} answers at {server_url(host, port)}{SCORING_PATH} (Ctrl-C ends it)")
        _Server(config).run([listener])


class _Server(uvicorn.Server):
    """uvicorn's server, which SIGHUP ends like SIGTERM; signals that were ignored stay so."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Let signals end the server once it has answered its requests; those received take effect after the block."""
        previous = {number: signal.getsignal(number) for number in ENDING_SIGNALS}
        with super().capture_signals():
            for number, handler in previous.items():
                signal.signal(number, signal.SIG_IGN if handler == signal.SIG_IGN else self.handle_exit)
            try:
                yield
            finally:
                signal.signal(signal.SIGHUP, previous[signal.SIGHUP])
