"""The arithmetic that is shown, computed with NumPy, against what the network's own layers say."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from strokewise.explain import activations, worked_example
from strokewise.model.cnn import CNN
from strokewise.model.inference import to_tensor


def test_the_product_is_what_the_network_found_there(network: CNN, pictures: NDArray[np.uint8]) -> None:
    product = worked_example.filter_product(network, pictures[0], activations.layer_steps(network, pictures[0]))
    lines = network.stages["lines"]
    with torch.no_grad():
        found = lines[0](to_tensor(pictures[:1]))[0].numpy()
        after = lines(to_tensor(pictures[:1]))[0].numpy()
    assert product.total == pytest.approx(found[product.channel, product.row, product.column], abs=1e-6)
    assert product.total == pytest.approx(found[:4].max(), abs=1e-6)
    assert product.after == pytest.approx(after[product.channel, product.row, product.column], abs=1e-6)
    assert product.total == pytest.approx((product.pixels * product.weights).sum() + product.bias, abs=1e-6)


def test_the_pooling_step_is_what_the_network_made_of_these_four(network: CNN, pictures: NDArray[np.uint8]) -> None:
    steps = activations.layer_steps(network, pictures[0])
    pooled = worked_example.pooling_example(steps, best=network.params.pooling == "max")
    if network.params.pooling == "strided":
        assert pooled is None
        return
    assert pooled is not None
    after = next(step for step in steps if step.what == "pooling").maps
    assert pooled.result == pytest.approx(after[pooled.channel, pooled.row, pooled.column], abs=1e-6)
    assert pooled.result == pytest.approx(after[pooled.channel].max(), abs=1e-6)


def test_a_fixed_filter_has_no_bias(network: CNN) -> None:
    if network.params.line_filters == "fixed":
        assert not worked_example.line_biases(network)[:4].any()
    assert len(worked_example.line_biases(network)) == len(activations.line_filters(network))
