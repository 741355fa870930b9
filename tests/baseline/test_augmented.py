"""Augmented copies: different from each other, repeatable, within their limits."""

import numpy as np
import torch

from strokewise.baseline import augmented
from strokewise.training.augment_params import AugmentLimits


def test_copies_differ_and_are_repeatable() -> None:
    pictures = np.zeros((300, 12, 12), dtype=np.uint8)
    pictures[:, 3:9, 5:7] = 255
    two, three = augmented.augmented_copies(pictures, 2, 5), augmented.augmented_copies(pictures, 3, 5)
    assert (two.shape, two.dtype) == ((2, 300, 12, 12), np.uint8)
    assert np.array_equal(two, three[:2])
    assert len(np.unique(two.reshape(600, -1), axis=0)) == 600
    assert not np.array_equal(two, augmented.augmented_copies(pictures, 2, 6))
    assert augmented.augmented_copies(pictures, 0, 5).shape == (0, 300, 12, 12)


def test_copies_are_rotated_within_each_paintings_limits() -> None:
    pictures = np.zeros((300, 16, 16), dtype=np.uint8)
    pictures[:, 2:14, 7:9] = 255  # upright bars; those from 290 on may lie down
    turn = torch.zeros(300)
    turn[290:] = torch.pi / 2
    nothing = torch.zeros(300)
    interior = torch.zeros(300, 16, 16, dtype=torch.bool)
    limits = AugmentLimits(turn, turn, nothing > 0, nothing, nothing, nothing, interior)
    (copy,) = augmented.augmented_copies(pictures, 1, 0, limits)
    inked = copy > 100
    tall, wide = inked.any(axis=2).sum(axis=1), inked.any(axis=1).sum(axis=1)
    assert np.mean((tall > wide)[:290]) > 0.95
    assert not (tall > wide)[290:].any()
