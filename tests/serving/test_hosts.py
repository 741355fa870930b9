"""Which `Host` a request may name, for every way to listen."""

import pytest

from strokewise.errors import UserError
from strokewise.serving.hosts import host_check

LOOPBACK = [
    "localhost",
    "LOCALHOST:5001",
    "localhost.",
    "127.0.0.1",
    "127.0.0.1:80",
    "127.9.9.9",
    "[::1]:5001",
    "[::1]",
]
NAMES = ["evil.example", "evil.example:5001", "localhost.evil.example", "127.0.0.1.evil.example", "notlocalhost"]
BROKEN = ["", ":", ":5001", "[", "[]", "[::1", "::1]", "127.0.0.1@evil.example", "localhost:5001:1", "localhost:a", "*"]
BROKEN += ["0x7f.0.0.1", "2130706433", "127.1", "localhost evil.example", "localhost,evil.example", "\x00", "\xff"]


@pytest.mark.parametrize("bound", ["127.0.0.1", "localhost", "::1", "0.0.0.0", "::", "192.0.2.7", "box.example"])  # noqa: S104
def test_names_of_this_machine_are_allowed_and_others_are_not(bound: str) -> None:
    is_allowed = host_check(bound)
    assert all(map(is_allowed, LOOPBACK))
    assert is_allowed(f"[{bound}]:5001" if ":" in bound else f"{bound}:5001")
    assert not [host for host in (*NAMES, *BROKEN) if is_allowed(host)]


@pytest.mark.parametrize("bound", ["0.0.0.0", "::"])  # noqa: S104
def test_any_address_is_allowed_only_where_the_server_listens_on_all(bound: str) -> None:
    for address in ("192.0.2.7", "192.0.2.7:8080", "[2001:db8::7]:5001"):
        assert host_check(bound)(address)
        assert not host_check("127.0.0.1")(address)
    assert not host_check("192.0.2.7")("192.0.2.8")


def test_further_names_are_allowed_besides() -> None:
    is_allowed = host_check("127.0.0.1", ["Drawings.example.org.", "192.0.2.7", "2001:db8::7"])
    for host in ("drawings.example.org", "drawings.example.org.:443", "192.0.2.7:1", "[2001:DB8:0::7]", "localhost"):
        assert is_allowed(host)
    assert not [host for host in (*NAMES, *BROKEN, "example.org", "x.drawings.example.org") if is_allowed(host)]


def test_asterisk_allows_every_host() -> None:
    assert all(map(host_check("127.0.0.1", ["*"]), (*NAMES, *BROKEN)))


@pytest.mark.parametrize("name", ["", "http://a.example", "a.example:80", "*.example", "a b", "a/b", "[::1", "a..b"])
def test_what_is_no_host_raises_user_error(name: str) -> None:
    with pytest.raises(UserError, match="is no host; write names or addresses, without scheme and port"):
        host_check("127.0.0.1", [name])
