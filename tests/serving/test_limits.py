"""What is refused before anything is parsed: bodies that are no JSON, hold too much or nest too deeply."""

import time

import pytest

from strokewise.serving.limits import RequestLimits, RequestRefused, parse_body

SMALL_LIMITS = RequestLimits(values=50)


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"", 400, "not JSON: Expecting value at character 0"),
        (b'{"inputs": [', 400, "brackets do not match"),
        (b'{"inputs": ["]"]', 400, "brackets do not match"),
        (b'{"inputs": ' + b"[" * 20 + b"]" * 20 + b"}", 400, "deeper than 16"),
        (b'{"inputs": ["\xff"]}', 400, "not UTF-8: invalid start byte at byte 13"),
        ('{"inputs": []}'.encode("utf-16"), 400, "not UTF-8"),
        (b"\xef\xbb\xbf{}", 400, "not JSON"),
        (b'{"inputs": [NaN]}', 400, "NaN is no number"),
        (b'{"inputs": [' + b"1" * 5000 + b"]}", 400, "digits"),
        (b'{"inputs": [[' + b"1," * 50 + b"1]]}", 413, "more than 50 numbers"),
    ],
)
def test_malformed_body_raises_request_refused(body: bytes, status: int, message: str) -> None:
    with pytest.raises(RequestRefused, match=message) as refusal:
        parse_body(body, SMALL_LIMITS)
    assert refusal.value.status == status


def test_permitted_body_is_parsed() -> None:
    assert parse_body(b'{"inputs": [' + b"[" * 14 + b"1e999" + b"]" * 14 + b"]}", SMALL_LIMITS)["inputs"]


def test_brackets_in_strings_are_ignored_in_linear_time() -> None:
    assert parse_body(rb'{"inputs": ["[[{\"[\\"]}', SMALL_LIMITS) == {"inputs": ['[[{"[\\']}
    start = time.perf_counter()
    for body in (b'"' + b'\\"' * 2**21, b'"' + b"\\" * (2**21 + 1), b'"' * 2**21, b"]" * 2**20 + b'"' * 7):
        with pytest.raises(RequestRefused):
            parse_body(body, RequestLimits())
    assert time.perf_counter() - start < 5  # a pattern that backtracks would take hours
