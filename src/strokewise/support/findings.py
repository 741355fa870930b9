"""A result of a check, as `strokewise doctor` and `strokewise verify` report it."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """What a check found: `state` is ok, warn (works, but look at it) or bad; `action` is a remedy."""

    check: str
    state: str
    message: str
    action: str = ""


Findings = Iterator[Finding]
