"""uint8 (N, G, G) pictures -> uint8 (K, N, G, G): K augmented copies of each, for a model not fed by batches."""

import numpy as np
import torch
from numpy.typing import NDArray

from strokewise.learn import augment
from strokewise.learn.augment import Freedom

SIZE = 256  # pictures at a time
FULL_INK = 255


def draw(pictures: NDArray[np.uint8], count: int, seed: int, freedom: Freedom | None = None) -> NDArray[np.uint8]:
    """`count` times all pictures, each a little different, as far as its `freedom` goes; copy 0 is the same whatever
    `count` is."""
    made = np.empty((count, *pictures.shape), np.uint8)
    generator = torch.Generator().manual_seed(seed)
    for copy in made:
        for start in range(0, len(pictures), SIZE):
            part = slice(start, start + SIZE)
            batch = torch.from_numpy(pictures[part]).unsqueeze(1) / FULL_INK  # (n, 1, G, G)
            allowed = freedom.part(part) if freedom else None
            augmented = augment.augment(batch, generator, freedom=allowed)[:, 0]
            copy[part] = (augmented * FULL_INK).round().to(torch.uint8).numpy()
    return made
