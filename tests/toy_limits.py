"""Limits of the augmentation for tests, of pictures of SIDE × SIDE pixels."""

import math

import torch

from strokewise.training.augment_params import AugmentLimits

SIDE = 32


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def no_interior(count: int) -> torch.Tensor:
    return torch.zeros(count, SIDE, SIDE, dtype=torch.bool)


def exact_limits(count: int, degrees: float, mirror: bool) -> AugmentLimits:
    turn = torch.full((count,), math.radians(degrees))
    nothing = torch.zeros(count)
    return AugmentLimits(turn, turn, torch.full((count,), mirror), nothing, nothing, nothing, no_interior(count))
