"""How much JSON holds, told before it is parsed."""

import time
import tracemalloc

import pytest

from strokewise.support.json_limits import is_nested_deeper, remove_strings


@pytest.mark.parametrize(
    ("text", "depth"),
    [(b"1", 0), (b"[]", 1), (b"[[1],[2]]", 2), (b'{"a":[{"b":1}]}', 3), (b'["[[[["]', 1), (rb'["\"[", "\\"]', 1)],
)
def test_nesting_is_that_of_brackets_outside_strings(text: bytes, depth: int) -> None:
    without_strings = remove_strings(text)
    assert not is_nested_deeper(without_strings, depth)
    assert depth == 0 or is_nested_deeper(without_strings, depth - 1)


@pytest.mark.parametrize("text", [b"[", b"]", b"[[]", b"{", b'["'])
def test_brackets_that_do_not_match_go_deeper_than_anything(text: bytes) -> None:
    assert is_nested_deeper(remove_strings(text), 99)


@pytest.mark.parametrize(
    "text",
    [b'"' + b"x" * 2**22, b'"' + b'\\"' * 2**21, b'""' * 2**21, b'"\\' * 2**20],
    ids=["open", "quotes", "empty", "broken"],
)
def test_long_strings_take_neither_time_nor_memory(text: bytes) -> None:
    tracemalloc.start()
    start = time.process_time()
    remove_strings(text)
    assert time.process_time() - start < 10  # a quadratic or exponential search takes minutes
    assert tracemalloc.get_traced_memory()[1] < 64 * len(
        text
    )  # a piece of text between two strings takes some 45 bytes
    tracemalloc.stop()
