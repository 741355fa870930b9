"""The host and port that a server listens on."""

import socket

from strokewise.errors import RegistryError


def bind_port(host: str, port: int) -> socket.socket:
    """A socket bound to the port, not yet listening. Raises RegistryError if the port cannot be bound.

    MLflow would report that itself, but after ten seconds and in forty lines.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
        except OSError:
            bound.close()
            raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise RegistryError(f"cannot listen on {host}:{port} ({reason}); take another with --port or --host") from None
    return bound


def server_url(host: str, port: int) -> str:
    """The URL of a server on `host` and `port`; IPv6 addresses are put in brackets."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
