"""`strokewise serve`: binds the port, loads the model and runs `app` with uvicorn in this process, until a signal."""

import signal
from collections.abc import Callable

import uvicorn

from strokewise.recogniser import Recogniser
from strokewise.serving.app import SCORING_PATH, build_app
from strokewise.serving.ports import bind_port, server_url

GRACEFUL_SHUTDOWN_S = 10  # for running requests to end


def serve_model(host: str, port: int, load: Callable[[], tuple[Recogniser, str]], echo: Callable[[str], None]) -> None:
    """Answer requests on `host`:`port` until a signal: SIGINT, SIGTERM, or SIGHUP unless it was ignored (`nohup`).

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
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
            signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))
        echo(f"{name} answers at {server_url(host, port)}{SCORING_PATH} (Ctrl-C ends it)")
        uvicorn.Server(config).run([listener])
