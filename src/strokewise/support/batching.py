"""Lists of bounded length from an iterable of any length."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

BatchItem = TypeVar("BatchItem")


def batched(
    items: Iterable[BatchItem],
    size: int,
    weight: int | None = None,
    weigh: Callable[[BatchItem], int] = lambda _: 0,
) -> Iterator[list[BatchItem]]:
    """Yield lists of `size` items, the last one perhaps shorter. Reads no further ahead than one list.

    As Python 3.12's `itertools.batched`, but with lists; one whose items `weigh` at least `weight` together ends there.
    """
    batch: list[BatchItem] = []
    total = 0
    for item in items:
        batch.append(item)
        total += weigh(item)
        if len(batch) == size or (weight is not None and total >= weight):
            yield batch
            batch, total = [], 0
    if batch:
        yield batch
