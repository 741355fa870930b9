"""Binding a port, and the URL of a server."""

import pytest

from strokewise.errors import RegistryError
from strokewise.serving.ports import bind_port, server_url


def test_port_in_use_raises_registry_error() -> None:
    with bind_port("127.0.0.1", 0) as first:
        first.listen()
        port = first.getsockname()[1]
        with pytest.raises(RegistryError, match=rf"cannot listen on 127\.0\.0\.1:{port} \(Address already in use\)"):
            bind_port("127.0.0.1", port)


def test_url_has_brackets_around_an_ipv6_address() -> None:
    assert server_url("127.0.0.1", 80) == "http://127.0.0.1:80"
    assert server_url("::1", 5001) == "http://[::1]:5001"
