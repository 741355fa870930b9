"""Which `Host` a request may name: a page whose name was made to lead to this machine (DNS rebinding) names another."""

import functools
import ipaddress
import re
from collections.abc import Callable, Collection

from strokewise.errors import UserError

ANY_HOST = "*"
HOST_NAME = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")
HOST_HEADER = re.compile(r"(?P<host>\[[^\]]*\]|[^:]*)(:\d*)?")  # with or without a port


def host_check(bound: str, more: Collection[str] = ()) -> Callable[[str], bool]:
    """A function that says whether the value of a `Host` header names this server, whatever the port.

    Args:
        bound: the host that the server listens on. All names of the machine itself are as good as another; a server on
            every address (0.0.0.0, ::) may be asked by any address, which is no name and cannot be rebound.
        more: further names or addresses; `*` allows every host.

    Raises UserError if one of `more` is neither.
    """
    if ANY_HOST in more:
        return lambda _: True
    names = {"localhost", _normalise(bound), *map(_read_host, more)}
    bound_address = _read_address(_normalise(bound))
    is_everywhere = bound_address is not None and bound_address.is_unspecified

    @functools.lru_cache(maxsize=32)  # a client names the same one in every request
    def is_allowed(header: str) -> bool:
        match = HOST_HEADER.fullmatch(header.strip())
        host = _normalise(match["host"]) if match else ""
        if host in names:
            return True
        address = _read_address(host)
        return address is not None and (is_everywhere or address.is_loopback)

    return is_allowed


def _read_host(text: str) -> str:
    """A name or address as a user writes it. Raises UserError."""
    host = _normalise(text)
    if not HOST_NAME.fullmatch(host) and _read_address(host) is None:
        raise UserError(
            f"--allowed-hosts {text!r} is no host; write names or addresses, without scheme and port, such as"
            " drawings.example.org, or * for every host"
        )
    return host


def _normalise(host: str) -> str:
    host = host.strip().lower()
    address = _read_address(host[1:-1] if host[:1] == "[" and host[-1:] == "]" else host)
    return str(address) if address is not None else host.removesuffix(".")


def _read_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
