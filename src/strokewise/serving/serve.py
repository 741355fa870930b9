"""`strokewise serve`: binds the port, loads the model and runs `app` with uvicorn in this process, until a signal."""

import contextlib
import signal
from collections.abc import Callable, Iterator

import uvicorn

from strokewise.recogniser import Recogniser
from strokewise.serving.app import SCORING_PATH, build_app
from strokewise.serving.ports import bind_port, server_url
from strokewise.support.signals import ENDING_SIGNALS

GRACEFUL_SHUTDOWN_S = 10  # for running requests to end


def serve_model(host: str, port: int, load: Callable[[], tuple[Recogniser, str]], echo: Callable[[str], None]) -> None:
    """Answer requests on `host`:`port` until a signal: SIGINT, SIGTERM or SIGHUP, unless it was ignored (`nohup`).

    Running requests are answered before the signal takes effect, for `GRACEFUL_SHUTDOWN_S` at most; a second SIGINT
    ends the server at once.

    Args:
        host, port: where to listen.
        load: returns the recogniser and its display name; called after the port is bound, because loading takes
            seconds. Clients that connect earlier wait.
        echo: prints a line.

    Raises RegistryError if the port is taken, and what `load` raises.
    """
    with bind_port(host, port) as listener:
        listener.listen()
        recogniser, name = load()
        config = uvicorn.Config(
            build_app(recogniser),
            http="h11",
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=GRACEFUL_SHUTDOWN_S,
        )
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
