"""Pictures → probabilities, with test-time augmentation.

Every prediction is the mean over two views, the picture rotated a little either way: more accurate than one view, at
no cost in training (numbers in `docs/experiments.md`).
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from strokewise.errors import ModelError
from strokewise.model.cnn import CNN
from strokewise.model.tta import INK_GAIN, TTA_ANGLES

Pictures = NDArray[np.uint8]  # (G, G) or (N, G, G): 0 bare paper to 255 full ink

FULL_INK = 255.0


def to_tensor(pictures: Pictures | Tensor, device: torch.device | str = "cpu") -> Tensor:
    """uint8 (N, G, G) pictures → float32 (N, 1, G, G) in [0, 1]. The scale is a constant, never a statistic."""
    return torch.as_tensor(pictures, device=device).unsqueeze(1).float().div_(FULL_INK)


def rotate(pictures: Tensor, degrees: float) -> Tensor:
    """Rotate (N, 1, G, G) pictures in [0, 1] clockwise about their centre, with their lines as dark as before.

    Bare paper comes in at the corners. 0 degrees returns the pictures unchanged.
    """
    if degrees == 0:
        return pictures
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    rotation = pictures.new_tensor([[[cos, sin, 0.0], [-sin, cos, 0.0]]])
    places = functional.affine_grid(rotation, [1, *pictures.shape[1:]], align_corners=False)  # the same for all
    faded = functional.grid_sample(pictures, places.expand(len(pictures), -1, -1, -1), align_corners=False)
    return (faded * INK_GAIN).clamp(max=1)


def predict_proba(
    cnn: CNN, pictures: Pictures, batch_size: int = 32, angles: Sequence[float] = TTA_ANGLES
) -> NDArray[np.float32]:
    """uint8 (N, G, G) pictures → float32 (N, C), each row a distribution over the shapes.

    Args:
        cnn: in evaluation mode.
        pictures: preprocessed, any number of them.
        batch_size: pictures in memory at a time.
        angles: rotations in degrees; the answer is the mean over them.

    Raises ModelError for pictures of another size than the CNN's.
    """
    if pictures.ndim != 3 or pictures.shape[1:] != (cnn.image_size, cnn.image_size):
        raise ModelError(
            f"pictures of shape {pictures.shape} do not fit a network of image_size {cnn.image_size}; "
            f"give (N, {cnn.image_size}, {cnn.image_size})"
        )
    assert not cnn.training
    device = next(cnn.parameters()).device
    probabilities = np.empty((len(pictures), len(cnn.shapes)), np.float32)
    with torch.inference_mode():
        for start in range(0, len(pictures), batch_size):
            batch = to_tensor(np.ascontiguousarray(pictures[start : start + batch_size]), device)
            logits = cnn(torch.cat([rotate(batch, degrees) for degrees in angles])).float()
            views = logits.softmax(1).view(len(angles), len(batch), -1)
            probabilities[start : start + batch_size] = views.mean(0).cpu().numpy()
    return probabilities
