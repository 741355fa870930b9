"""Lists of bounded length from any iterable."""

from itertools import count, islice

import pytest

from strokewise.support.batching import batched


@pytest.mark.parametrize(("length", "sizes"), [(0, []), (2, [2]), (3, [3]), (7, [3, 3, 1])])
def test_batches_keep_the_order_and_only_the_last_is_shorter(length: int, sizes: list[int]) -> None:
    batches = list(batched(range(length), 3))
    assert [len(batch) for batch in batches] == sizes
    assert [item for batch in batches for item in batch] == list(range(length))


def test_endless_iterable_is_read_one_batch_at_a_time() -> None:
    numbers = count()
    assert list(islice(batched(numbers, 4), 2)) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert next(numbers) == 8


def test_batch_ends_at_its_weight() -> None:
    assert list(batched([1, 1, 5, 9, 1, 1, 1, 1], 3, 6, lambda item: item)) == [[1, 1, 5], [9], [1, 1, 1], [1]]
