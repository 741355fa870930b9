"""Muon: momentum whose update of each weight matrix is orthogonalised, so that no direction dominates.

Jordan et al. 2024, Muon: An optimizer for hidden layers in neural networks; the scale of the update: Liu et al. 2025,
Muon is scalable for LLM training. torch.optim.Muon takes matrices alone; here a convolution counts as one, (C_out,
C_in · kernel height · kernel width).
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

ITERATIONS = 4  # of Newton-Schulz
COEFFICIENTS = 3.4445, -4.7750, 2.0315  # of its polynomial, Jordan et al. 2024
RMS_OF_ADAM = 0.2  # typical root mean square of AdamW's updates: so both can share a learning rate, Liu et al. 2025


class Muon(torch.optim.Optimizer):
    """Updates weights of two or more dimensions.

    Args:
        params: the weights.
        lr: learning rate, as for AdamW.
        weight_decay: decoupled, in proportion to the learning rate.
        momentum: share of the last step's direction that goes on (Nesterov).
    """

    def __init__(self, params: Iterable[Tensor], lr: float, weight_decay: float, momentum: float = 0.9) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """Take one step from the gradients of the weights; `closure` is not supported."""
        assert closure is None
        for group in self.param_groups:
            for weight in group["params"]:
                buffer = self.state[weight].setdefault("momentum_buffer", torch.zeros_like(weight))
                buffer.mul_(group["momentum"]).add_(weight.grad)
                direction = weight.grad.add(buffer, alpha=group["momentum"]).flatten(1)
                scale = RMS_OF_ADAM * max(direction.shape) ** 0.5
                weight.mul_(1 - group["lr"] * group["weight_decay"])
                weight.add_(orthogonalise(direction).view(weight.shape), alpha=-group["lr"] * scale)


def orthogonalise(matrix: Tensor) -> Tensor:
    """The nearly orthogonal matrix next to (M, N): the same singular vectors, all singular values about 1.

    Newton-Schulz iterations: matrix products alone, no decomposition.
    """
    a, b, c = COEFFICIENTS
    wide = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    wide = torch.divide(wide, wide.norm() + 1e-7)
    for _ in range(ITERATIONS):
        gram = wide @ wide.T
        wide = a * wide + (b * gram + c * gram @ gram) @ wide
    result: Tensor = wide.T if matrix.shape[0] > matrix.shape[1] else wide
    return result
