"""uint8 (N, G, G) pictures -> uint8 (K, N, G, G): K augmented copies of each, for a model not fed by batches."""

import numpy as np
import torch
from numpy.typing import NDArray

from strokewise.training import augmentation
from strokewise.training.augmentation import AugmentLimits

AUGMENT_BATCH = 256  # pictures at a time
FULL_INK = 255


def augmented_copies(
    pictures: NDArray[np.uint8], count: int, seed: int, limits: AugmentLimits | None = None
) -> NDArray[np.uint8]:
    """`count` times all pictures, each a little different, as far as its `limits` goes; copy 0 is the same whatever
    `count` is."""
    made = np.empty((count, *pictures.shape), np.uint8)
    generator = torch.Generator().manual_seed(seed)
    for copy in made:
        for start in range(0, len(pictures), AUGMENT_BATCH):
            part = slice(start, start + AUGMENT_BATCH)
            batch = torch.from_numpy(pictures[part]).unsqueeze(1) / FULL_INK  # (n, 1, G, G)
            allowed = limits.subset(part) if limits else None
            augmented = augmentation.augment(batch, generator, limits=allowed)[:, 0]
            copy[part] = (augmented * FULL_INK).round().to(torch.uint8).numpy()
    return made
