"""Augmented copies are pictures like their originals, all different, and the same again."""

import numpy as np

from strokewise.learn import copies


def test_copies_are_drawn_differently_and_repeatably() -> None:
    pictures = np.zeros((300, 12, 12), dtype=np.uint8)
    pictures[:, 3:9, 5:7] = 255
    two, three = copies.draw(pictures, 2, 5), copies.draw(pictures, 3, 5)
    assert (two.shape, two.dtype) == ((2, 300, 12, 12), np.uint8)
    assert np.array_equal(two, three[:2])
    assert len(np.unique(two.reshape(600, -1), axis=0)) == 600
    assert not np.array_equal(two, copies.draw(pictures, 2, 6))
    assert copies.draw(pictures, 0, 5).shape == (0, 300, 12, 12)
