"""One picture uint8 (G, G) and a model -> why this shape: what covering a part changes, which pixels spoke for it.

A model is anything that turns pictures (N, G, G) into scores (N, C), so that the CNN and the baseline are asked the
same questions; only the attribution looks into the CNN.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from captum.attr import IntegratedGradients
from numpy.typing import NDArray

from strokewise.explain.activations import Maps, eval_mode
from strokewise.model.cnn import CNN
from strokewise.model.inference import to_tensor

Pictures = NDArray[np.uint8]
Predictor = Callable[[Pictures], NDArray[np.float32]]

OCCLUSION_FRACTION = 4  # the cover is a quarter of the picture wide and moves by half of that
INTEGRATION_STEPS = 32  # between bare paper and the picture, for the attribution


@dataclass(frozen=True, eq=False)
class Occlusion:
    """What the scores become when a square of the picture is covered with bare paper, wherever the square lies."""

    before: Maps
    """(C,), of the whole picture."""
    answer: int
    """The label with the highest of them."""
    size: int
    """Of the square, in pixels."""
    loss: Maps
    """(G, G): how much of the answer's score is lost by covering a pixel, the mean over the squares that cover it."""
    box: tuple[int, int, int, int]
    """The square that costs the answer most: top, left, bottom, right."""
    picture: Pictures
    """(G, G), with that square covered."""
    after: Maps
    """(C,), of that picture."""


def occlude(model: Predictor, picture: Pictures) -> Occlusion:
    """Cover every part of the picture once (occlusion; Zeiler & Fergus, 2014) and ask the model again."""
    grid = len(picture)
    size = max(2, grid // OCCLUSION_FRACTION)
    corners = sorted({min(at, grid - size) for at in range(0, grid, max(1, size // 2))})
    boxes = [(top, left, top + size, left + size) for top in corners for left in corners]
    asked = np.repeat(picture[np.newaxis], len(boxes) + 1, axis=0)
    for number, (top, left, bottom, right) in enumerate(boxes, 1):
        asked[number, top:bottom, left:right] = 0
    scores = model(asked)
    before, after = scores[0], scores[1:]
    answer = int(before.argmax())
    loss, times = np.zeros((grid, grid), np.float32), np.zeros((grid, grid), np.float32)
    for (top, left, bottom, right), lost in zip(boxes, before[answer] - after[:, answer], strict=True):
        loss[top:bottom, left:right] += lost
        times[top:bottom, left:right] += 1
    worst = int(after[:, answer].argmin())
    return Occlusion(before, answer, size, loss / times, boxes[worst], asked[worst + 1], after[worst])


def integrated_gradients(network: CNN, picture: Pictures, label: int) -> Maps:
    """(G, G): each pixel's share in the logit of `label`, compared with bare paper; they sum to the difference.

    Integrated gradients (Sundararajan, Taly & Yan, "Axiomatic Attribution for Deep Networks", 2017).
    """
    pixels = to_tensor(picture[np.newaxis], next(network.parameters()).device)
    trained = [parameter.requires_grad for parameter in network.parameters()]
    try:
        network.requires_grad_(False)  # only the pixels' gradients are asked for
        with eval_mode(network):
            found = IntegratedGradients(network).attribute(pixels, target=label, n_steps=INTEGRATION_STEPS)
    finally:
        for parameter, wanted in zip(network.parameters(), trained, strict=True):
            parameter.requires_grad_(wanted)
    return np.asarray(found.detach().cpu().numpy()[0, 0], np.float32)


def shift_right(pictures: Pictures, by: int) -> Pictures:
    """The pictures (..., G, G) moved `by` pixels to the right, bare paper coming in from the left."""
    moved = np.zeros_like(pictures)
    moved[..., by:] = pictures[..., : pictures.shape[-1] - by]
    return moved


def ink_correlation(model: Predictor, pictures: Pictures) -> Maps:
    """(C, G, G): how a shape's score goes with the ink of each pixel over the pictures (N, G, G), from -1 to 1.

    The correlation of the two. For a model that weighs pixels, it shows its weights; it can be asked of any other too.
    """
    scores = model(pictures).astype(np.float64)
    ink = pictures.reshape(len(pictures), -1).astype(np.float64)
    scores, ink = scores - scores.mean(0), ink - ink.mean(0)
    spread = np.outer(np.sqrt((scores**2).sum(0)), np.sqrt((ink**2).sum(0)))
    related = np.divide(scores.T @ ink, spread, out=np.zeros_like(spread), where=spread > 1e-9)
    found: Maps = related.astype(np.float32).reshape(-1, *pictures.shape[1:])
    return found
