"""The CNN's line filters against convolution and against lines."""

import math
from typing import Any

import numpy as np
import pytest
import torch

from strokewise.errors import ParamsError
from strokewise.model.cnn import CNN, LINE_FILTERS, LineFilters
from strokewise.model.layers import LINE_NAMES

SHAPES = ("circle", "line", "other")


def line_at(degrees: float, offset: float, side: int = 32) -> np.ndarray:
    """A line one pixel wide, by exact distances: float32 (1, 1, side, side). Degrees rise to the right."""
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    angle = math.radians(degrees)
    distance = np.abs(x * math.sin(angle) + y * math.cos(angle) - offset)
    return np.clip(1 - distance, 0, 1).astype(np.float32)[None, None]


@pytest.mark.parametrize("kind", ["fixed", "seeded", "learned"])
@pytest.mark.parametrize("side", [16, 17])
def test_line_filters_equal_a_convolution(kind: str, side: int) -> None:
    filters = LineFilters(kind, 3)
    pictures = torch.rand(5, 1, side, side, generator=torch.Generator().manual_seed(side))
    bias = torch.cat([torch.zeros(len(filters.frozen)), filters.bias])
    expected = torch.nn.functional.conv2d(pictures, filters.filters, bias, stride=2)
    assert torch.allclose(filters(pictures), expected, atol=1e-6)
    assert torch.equal(filters.biases, bias)


@pytest.mark.parametrize("kind", ["fixed", "seeded"])
@pytest.mark.parametrize(("degrees", "name"), [(0, "horizontal"), (90, "vertical"), (45, "rising"), (-45, "falling")])
def test_line_filter_responds_most_to_its_own_line(kind: str, degrees: float, name: str, network_params: Any) -> None:
    cnn = CNN(SHAPES, network_params(line_filters=kind, extra_filters=0))
    with torch.no_grad():
        cnn.line_filters.bias.zero_()
        maps = [cnn.lines(torch.from_numpy(line_at(degrees, offset))) for offset in np.linspace(-5, 5, 21)]
    response = torch.cat(maps).amax((0, 2, 3))  # of the square that looks most like it
    assert LINE_NAMES[int(response.argmax())] == name
    assert response.max() > 1.2 * response.sort().values[-2]


def test_fixed_line_filters_are_not_learned_and_sum_to_zero(network_params: Any) -> None:
    filters = CNN(SHAPES, network_params(line_filters="fixed", extra_filters=2)).line_filters
    assert [tuple(value.shape) for value in filters.parameters()] == [(2, 1, 2, 2), (2,)]
    assert torch.equal(filters.filters[:4], LINE_FILTERS)
    assert torch.equal(LINE_FILTERS.sum((1, 2, 3)), torch.zeros(4))


def test_forward_returns_a_logit_a_shape_for_the_smallest_image_size(network_params: Any) -> None:
    assert CNN(SHAPES, network_params(image_size=16)).eval()(torch.rand(2, 1, 16, 16)).shape == (2, 3)


def test_every_layer_has_a_module_of_its_name(network_params: Any) -> None:
    cnn = CNN(SHAPES, network_params(hidden_units=4))
    named = {name for name, module in cnn.named_modules() if name and not list(module.children())}
    assert {layer.name for layer in cnn.layers} == named - {"blocks"}


def test_sizes_that_do_not_fit_raise_params_error(network_params: Any) -> None:
    with pytest.raises(ParamsError, match="the pooling of shapes4"):
        CNN(SHAPES, network_params(depth=9))
