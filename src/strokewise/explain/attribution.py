"""A picture uint8 (G, G) and a model → why this shape: occlusion, integrated gradients, correlation with ink.

A model is any function from pictures (N, G, G) to scores (N, C), so that the CNN and the baseline can be compared; only
`integrated_gradients` needs the CNN itself.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from strokewise.explain.activations import Maps, eval_mode
from strokewise.model.cnn import CNN
from strokewise.model.inference import Pictures, to_tensor

Predictor = Callable[[Pictures], Maps]

OCCLUSION_FRACTION = 4  # the covering square is a quarter of the picture wide and moves by half of that
INTEGRATION_STEPS = 32  # points between bare paper and the picture


@dataclass(frozen=True, eq=False)
class Occlusion:
    """How the scores change when a square of the picture is covered with bare paper, wherever the square lies."""

    before: Maps
    """(C,), of the whole picture."""
    predicted: int
    """The label with the highest of them."""
    loss: Maps
    """(G, G): how much of that score is lost by covering a pixel, the mean over the squares that cover it."""
    box: tuple[int, int, int, int]
    """The square that costs most: top, left, bottom, right."""
    picture: Pictures
    """(G, G), with that square covered."""
    after: Maps
    """(C,), of that picture."""


def occlude(model: Predictor, picture: Pictures) -> Occlusion:
    """Score the picture (G, G) with each part of it covered once. Source: occlusion, Zeiler & Fergus, 2014."""
    side = len(picture)
    size = max(2, side // OCCLUSION_FRACTION)
    corners = sorted({min(at, side - size) for at in range(0, side, max(1, size // 2))})
    boxes = [(top, left, top + size, left + size) for top in corners for left in corners]
    covered = np.repeat(picture[np.newaxis], len(boxes) + 1, axis=0)  # the first one stays as it is
    for number, (top, left, bottom, right) in enumerate(boxes, 1):
        covered[number, top:bottom, left:right] = 0
    scores = model(covered)
    before, after = scores[0], scores[1:]
    predicted = int(before.argmax())
    loss, times = np.zeros((side, side), np.float32), np.zeros((side, side), np.float32)
    for (top, left, bottom, right), lost in zip(boxes, before[predicted] - after[:, predicted], strict=True):
        loss[top:bottom, left:right] += lost
        times[top:bottom, left:right] += 1
    worst = int(after[:, predicted].argmin())
    return Occlusion(
        before=before,
        predicted=predicted,
        loss=loss / times,
        box=boxes[worst],
        picture=covered[worst + 1],
        after=after[worst],
    )


def integrated_gradients(cnn: CNN, picture: Pictures, label: int) -> Maps:
    """(G, G): each pixel's share in the logit of `label`, relative to bare paper; they sum to the difference.

    The gradient, integrated from bare paper to the picture by Gauss-Legendre quadrature. Source: Sundararajan, Taly &
    Yan, "Axiomatic Attribution for Deep Networks", 2017.
    """
    pixels = to_tensor(picture[np.newaxis], next(cnn.parameters()).device)  # (1, 1, G, G)
    points, weights = np.polynomial.legendre.leggauss(INTEGRATION_STEPS)  # on [-1, 1]
    ink, steps = (pixels.new_tensor(values).view(-1, 1, 1, 1) for values in ((1 + points) / 2, weights / 2))
    path = (ink * pixels).requires_grad_()  # (INTEGRATION_STEPS, 1, G, G)
    with eval_mode(cnn):
        (gradients,) = torch.autograd.grad(cnn(path)[:, label].sum(), path)
    attribution: Maps = ((gradients * steps).sum(0) * pixels[0])[0].cpu().numpy()
    return attribution


def shift_right(pictures: Pictures, distance: int) -> Pictures:
    """The pictures (..., G, G) moved `distance` pixels to the right, with bare paper coming in from the left."""
    shifted = np.zeros_like(pictures)
    shifted[..., distance:] = pictures[..., : pictures.shape[-1] - distance]
    return shifted


def ink_correlation(model: Predictor, pictures: Pictures) -> Maps:
    """(C, G, G): correlation of each shape's score with the ink of each pixel over the pictures (N, G, G).

    For a linear model of the pixels it shows the weights, but it is defined for any other model too.
    """
    scores = model(pictures).astype(np.float64)
    ink = pictures.reshape(len(pictures), -1).astype(np.float64)
    scores, ink = scores - scores.mean(0), ink - ink.mean(0)
    spread = np.outer(np.sqrt((scores**2).sum(0)), np.sqrt((ink**2).sum(0)))
    correlation = np.divide(scores.T @ ink, spread, out=np.zeros_like(spread), where=spread > 1e-9)
    maps: Maps = correlation.astype(np.float32).reshape(-1, *pictures.shape[1:])
    return maps
