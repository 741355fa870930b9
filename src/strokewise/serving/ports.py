"""The port that a server listens on: taken early, or refused in one line."""

import socket

from strokewise.errors import RegistryError


def bind_port(host: str, port: int) -> socket.socket:
    """A socket on the port, not yet listening; raises RegistryError if the port is taken."""
    # MLflow would say so too, after ten seconds and in forty lines.
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        held = socket.socket(family, kind, protocol)
        try:
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            held.bind(where)
        except OSError:
            held.close()
            raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise RegistryError(f"cannot listen on {host}:{port} ({reason}); take another with --port or --host") from None
    return held


def server_url(host: str, port: int) -> str:
    """Where a browser finds it."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
