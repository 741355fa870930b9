"""Architectures to test with: small ones, and random ones that fit together."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from strokewise.errors import ParamsError
from strokewise.model.layers import build_layers
from strokewise.params import NetworkParams

SMALL_NETWORK: dict[str, Any] = {
    "image_size": 32,
    "line_filters": "seeded",
    "extra_filters": 4,
    "depth": None,
    "base_channels": 8,
    "max_channels": 16,
    "kernel_size": 3,
    "stride": 1,
    "padding": "zero",
    "pooling": "max",
    "activation": "relu",
    "normalisation": "batch",
    "hidden_units": 0,
}

MakeParams = Callable[..., NetworkParams]


def _network_params(**changes: Any) -> NetworkParams:
    return NetworkParams.model_validate(SMALL_NETWORK | changes)


def _random_params(seed: int, **fixed: Any) -> NetworkParams:
    rng = random.Random(seed)  # noqa: S311
    while True:
        params = _network_params(
            **{
                "image_size": rng.randint(16, 100),
                "line_filters": rng.choice(["fixed", "seeded", "learned"]),
                "extra_filters": rng.randint(0, 5),
                "depth": rng.choice([None, 1, 2, 3]),
                "base_channels": rng.choice([3, 8]),
                "kernel_size": rng.randint(1, 6),
                "stride": rng.choice([1, 1, 2, 3]),
                "padding": rng.choice(["zero", "valid"]),
                "pooling": rng.choice(["max", "average", "strided"]),
                "activation": rng.choice(["relu", "leaky_relu", "gelu", "silu"]),
                "normalisation": rng.choice(["batch", "group", "none"]),
                "hidden_units": rng.choice([0, 5]),
                **fixed,
            }
        )
        try:
            build_layers(params, 3)
        except ParamsError:
            continue
        return params


@pytest.fixture(scope="session")
def network_params() -> MakeParams:
    """Call it with changes to a small architecture."""
    return _network_params


@pytest.fixture(scope="session")
def random_params() -> MakeParams:
    """Call it with a seed, and values to keep: a random architecture whose sizes fit together."""
    return _random_params
