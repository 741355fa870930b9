"""Which drawings are nearly the same: pictures, uint8 (n, G, G), against all that were seen before.

Two are near duplicates if their pictures at 32×32 correlate by more than `MIN_CORRELATION`. A drawing that was shifted, framed
or saved again as JPEG does with its original; two drawings by people hardly ever (6 of 1,423 of the Hand-drawn Shapes,
exact copies among them). One that was made larger or smaller usually does not: the door gives its lines another width.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

COMPARED_SIDE = 32
MIN_CORRELATION = 0.98


class NearDuplicateIndex:
    """All pictures seen so far, with a key each; memory 4 KB a picture."""

    def __init__(self) -> None:
        self._blocks: list[tuple[NDArray[np.float32], list[str]]] = []

    def add(self, pictures: NDArray[np.uint8], keys: list[str]) -> None:
        """Remember (n, G, G) pictures."""
        if keys:
            self._blocks.append((_normalise_rows(pictures), keys))

    def of(self, pictures: NDArray[np.uint8]) -> list[str | None]:
        """The key of the nearest picture before, for each of (n, G, G); None where none is near."""
        rows = _normalise_rows(pictures)
        best, found = np.full(len(rows), MIN_CORRELATION, np.float32), [None] * len(rows)
        keyed: list[str | None] = list(found)
        for block, keys in self._blocks:
            alike = rows @ block.T
            nearest = alike.argmax(axis=1)
            for at in np.flatnonzero(alike.max(axis=1) > best):
                best[at], keyed[at] = alike[at, nearest[at]], keys[nearest[at]]
        return keyed


def duplicate_pairs(pictures: NDArray[np.uint8]) -> Iterator[tuple[int, int]]:
    """Pairs of near duplicates among (n, G, G): each later one with the first before it."""
    rows = _normalise_rows(pictures)
    alike = np.tril(rows @ rows.T, -1) > MIN_CORRELATION
    for later in np.flatnonzero(alike.any(axis=1)):
        yield int(later), int(alike[later].argmax())


def _normalise_rows(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Rows (n, G·G) of mean 0 and length 1."""
    rows = pictures.reshape(len(pictures), -1).astype(np.float32)
    rows -= rows.mean(axis=1, keepdims=True)
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)
    return rows
