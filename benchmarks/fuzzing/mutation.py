"""A valid input, bytes → one that somebody damaged: a pure function of the random generator and its arguments."""

import json
import random
import re
from collections.abc import Sequence
from typing import Any

NUMBER = re.compile(rb"-?\d+(?:\.\d+)?")
NUMBERS = b"0 -1 1 255 65536 4294967295 9223372036854775808 1e9 1e300 -1e-300 1e400 NaN .5 0x7f".split()
INTEGERS = [b"\x00" * 4, b"\xff" * 4, b"\xff\xff\xff\x7f", b"\x00\x00\x00\x80", b"\x80" * 9 + b"\x01", b"\xff" * 8]
VALUES: list[Any] = [
    None, True, -1, 0, 3.5, 10**30, "", "x" * 300, "\x1b[31m\n", [], {}, [[]], [1, 2], {"a": 1}, float("nan"),
]  # fmt: skip
MAX_COPIED = 500  # bytes that are repeated
MAX_LENGTH = 2**18  # bytes of an input, so that its size is no excuse


def mutate(rng: random.Random, content: bytes, words: Sequence[bytes], others: Sequence[bytes]) -> bytes:
    """Change `content` in one to eight places.

    Args:
        rng: decides all.
        content: what is changed.
        words: pieces that mean something in this kind of input.
        others: valid inputs, of which pieces are inserted.
    """
    if content[:1] in (b"{", b"[") and rng.random() < 0.4:
        content = _mutate_json(rng, content)
    data = bytearray(content)
    for _ in range(rng.choice([1, 1, 1, 2, 3, 8])):
        at = _place(rng, len(data))
        match rng.randrange(8):
            case 0 if data:
                data[min(at, len(data) - 1)] = rng.randrange(256)
            case 1:
                del data[at : at + rng.randrange(1, 30)]
            case 2:
                data[at:at] = rng.choice(words)
            case 3:
                piece = bytes(data[at : at + rng.randrange(1, MAX_COPIED)])
                data[at:at] = piece * rng.choice([1, 1, 2, 10, 100])
            case 4:
                other = rng.choice(others)
                start = rng.randrange(len(other))
                data[at:at] = other[start : start + rng.randrange(200)]
            case 5 if numbers := list(NUMBER.finditer(data)):
                number = rng.choice(numbers)
                data[number.start() : number.end()] = rng.choice(NUMBERS)
            case 6:
                integer = rng.choice(INTEGERS)
                data[at : at + len(integer)] = integer
            case _ if rng.random() < 0.2:
                del data[at:]
    return bytes(data[:MAX_LENGTH])


def _place(rng: random.Random, length: int) -> int:
    """An index, near the start or the end half of the time: headers and footers are there."""
    near = rng.randrange(min(length, 400) + 1)
    return rng.choice([near, max(0, length - near), rng.randrange(length + 1), rng.randrange(length + 1)])


def _mutate_json(rng: random.Random, content: bytes) -> bytes:
    """Exchange a value of a JSON text for one of another type; unchanged where it is no JSON."""
    try:
        root = json.loads(content)
    except ValueError:
        return content
    parent, key, node = {"root": root}, "root", root
    holder: Any = parent
    while isinstance(node, dict | list) and node and rng.random() < 0.8:
        holder, key = node, rng.choice(list(node)) if isinstance(node, dict) else rng.randrange(len(node))  # type: ignore[assignment]
        node = holder[key]
    match rng.randrange(4):
        case 0:
            holder[key] = [node, node]
        case 1 if isinstance(holder, dict):
            holder[f"{key} "] = node
        case _:
            holder[key] = rng.choice(VALUES)
    return json.dumps(parent["root"]).encode()
