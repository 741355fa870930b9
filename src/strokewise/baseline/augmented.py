"""uint8 (N, G, G) pictures → uint8 (K, N, G, G): K augmented copies of each, for models that are not fed by batches."""

import numpy as np
import torch
from numpy.typing import NDArray

from strokewise.training import augmentation
from strokewise.training.augment_params import AugmentLimits

AUGMENT_BATCH = 256  # pictures at a time; part of the result


def augmented_copies(
    pictures: NDArray[np.uint8], count: int, seed: int, limits: AugmentLimits | None = None
) -> NDArray[np.uint8]:
    """Augment all pictures `count` times.

    Args:
        pictures: uint8 (N, G, G).
        count: copies of each picture, K. The first copies are the same for any larger K.
        seed: of all randomness.
        limits: of each picture; None: none is mirrored or rotated far.
    """
    copies = np.empty((count, *pictures.shape), np.uint8)
    generator = torch.Generator().manual_seed(seed)
    for copy in copies:
        for start in range(0, len(pictures), AUGMENT_BATCH):
            batch = slice(start, start + AUGMENT_BATCH)
            batch_limits = limits.subset(batch) if limits else None
            tensor = torch.from_numpy(pictures[batch]).unsqueeze(1) / 255  # (n, 1, G, G) in [0, 1]
            augmented = augmentation.augment(tensor, generator, limits=batch_limits)[:, 0]
            copy[batch] = (augmented * 255).round().to(torch.uint8).numpy()
    return copies
