"""Which drawings are nearly the same: pictures, uint8 (n, G, G), compared with all that were added before.

Two are near duplicates if their pictures at 32×32 correlate by more than `MIN_CORRELATION`. A drawing that was shifted,
framed or saved again as JPEG does so with its original; two different drawings by people hardly ever do (6 of 1,423 of
the Hand-drawn Shapes, exact copies included). One that was scaled usually does not, as preprocessing gives its lines
another width.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

COMPARED_SIDE = 32  # pixels of a picture's side
MIN_CORRELATION = 0.98


class NearDuplicateIndex:
    """An index of pictures with a key each; takes 4 KB of memory a picture."""

    def __init__(self) -> None:
        self._blocks: list[tuple[NDArray[np.float32], list[str]]] = []

    def add(self, pictures: NDArray[np.uint8], keys: list[str]) -> None:
        """Add pictures (n, G, G) under n keys."""
        if keys:
            self._blocks.append((_normalise_rows(pictures), keys))

    def find(self, pictures: NDArray[np.uint8]) -> list[str | None]:
        """For each of (n, G, G), the key of the most similar picture in the index; None without a near duplicate."""
        rows = _normalise_rows(pictures)
        best = np.full(len(rows), MIN_CORRELATION, np.float32)
        matches: list[str | None] = [None] * len(rows)
        for block, keys in self._blocks:
            correlation = rows @ block.T
            nearest = correlation.argmax(axis=1)
            for row in np.flatnonzero(correlation.max(axis=1) > best):
                best[row], matches[row] = correlation[row, nearest[row]], keys[nearest[row]]
        return matches


def duplicate_pairs(pictures: NDArray[np.uint8]) -> Iterator[tuple[int, int]]:
    """Near duplicates among (n, G, G), as index pairs: each later picture with the first one before it."""
    rows = _normalise_rows(pictures)
    is_near = np.tril(rows @ rows.T, -1) > MIN_CORRELATION
    for later in np.flatnonzero(is_near.any(axis=1)):
        yield int(later), int(is_near[later].argmax())


def _normalise_rows(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Flatten to rows (n, G·G) of mean 0 and length 1."""
    rows = pictures.reshape(len(pictures), -1).astype(np.float32)
    rows -= rows.mean(axis=1, keepdims=True)
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)
    return rows
