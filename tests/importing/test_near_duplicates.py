"""The index of near duplicates against NumPy's correlation."""

from collections.abc import Callable

import numpy as np

from strokewise.importing.near_duplicates import MIN_CORRELATION, NearDuplicateIndex
from strokewise.preprocessing.preprocess import preprocess


def test_index_agrees_with_the_correlation_of_numpy(make_page: Callable[[int], np.ndarray]) -> None:
    pictures = np.stack([preprocess(make_page(number), 32) for number in range(12)])
    index = NearDuplicateIndex()
    index.add(pictures[:5], list("abcde"))
    index.add(pictures[5:10], list("fghij"))
    assert index.find(pictures[8:]) == ["i", "j", None, None]
    correlations = [np.corrcoef(pictures[11].ravel(), other.ravel())[0, 1] for other in pictures[:10]]
    assert max(correlations) < MIN_CORRELATION
