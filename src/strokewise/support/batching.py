"""Lists of bounded length from an iterable of any length."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

BatchItem = TypeVar("BatchItem")


def batched(items: Iterable[BatchItem], size: int) -> Iterator[list[BatchItem]]:
    """Yield lists of `size` items, the last one perhaps shorter. Reads no further ahead than one list.

    As Python 3.12's `itertools.batched`, but with lists.
    """
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
