"""The worked examples, computed with NumPy, against the CNN's own layers."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from strokewise.explain import worked_example
from strokewise.explain.activations import layer_activations, line_filters
from strokewise.model.cnn import CNN
from strokewise.model.inference import to_tensor


def test_filter_product_equals_the_convolution(cnn: CNN, pictures: NDArray[np.uint8]) -> None:
    product = worked_example.filter_product(cnn, pictures[0], layer_activations(cnn, pictures[0]))
    with torch.no_grad():
        convolved = cnn.line_filters(to_tensor(pictures[:1]))[0].numpy()
        activated = cnn.lines(to_tensor(pictures[:1]))[0].numpy()
    assert product.total == pytest.approx(convolved[product.channel, product.row, product.column], abs=1e-6)
    assert product.total == pytest.approx(convolved[:4].max(), abs=1e-6)
    assert product.activated == pytest.approx(activated[product.channel, product.row, product.column], abs=1e-6)
    assert product.total == pytest.approx((product.pixels * product.weights).sum() + product.bias, abs=1e-6)


def test_pooling_example_equals_the_pooling_layer(cnn: CNN, pictures: NDArray[np.uint8]) -> None:
    recorded = layer_activations(cnn, pictures[0])
    pooling = worked_example.pooling_example(recorded, best=cnn.params.pooling == "max")
    if cnn.params.pooling == "strided":
        assert pooling is None
        return
    assert pooling is not None
    after = next(activation for activation in recorded if activation.layer.kind == "pooling").maps
    assert pooling.result == pytest.approx(after[pooling.channel, pooling.row, pooling.column], abs=1e-6)
    assert pooling.result == pytest.approx(after[pooling.channel].max(), abs=1e-6)


def test_fixed_line_filters_have_no_bias(cnn: CNN) -> None:
    if cnn.params.line_filters == "fixed":
        assert not worked_example.line_biases(cnn)[:4].any()
    assert len(worked_example.line_biases(cnn)) == len(line_filters(cnn))
