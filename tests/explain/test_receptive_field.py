"""Receptive fields: the arithmetic against autograd, which knows by experiment which pixels a value depends on."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from strokewise.explain import activations, receptive_field
from strokewise.model.cnn import CNN


def seen_by(network: CNN, stage: str, what: str, row: int, column: int) -> tuple[int, int, int, int]:
    """The box of pixels that have a gradient to the value at (row, column) of a step's maps, all channels together."""
    pixels = torch.rand(1, 1, network.image_size, network.image_size, requires_grad=True)
    values = pixels
    for name, sequence in network.stages.items():
        for part, module in sequence.named_children():
            if isinstance(module, nn.MaxPool2d):  # only one of four would get a gradient: the mean depends on all
                values = nn.AvgPool2d(module.kernel_size)(values)
            elif part in ("convolution", "pooling"):  # a ReLU lets no gradient through where it is off
                values = module(values)
            if (name, part) == (stage, what):
                values[0, :, row, column].sum().backward()
                assert pixels.grad is not None
                rows, columns = np.nonzero(np.abs(pixels.grad[0, 0].numpy()) > 1e-9)
                return int(rows.min()), int(columns.min()), int(rows.max()) + 1, int(columns.max()) + 1
    raise AssertionError((stage, what))


def test_fields_are_what_autograd_says(network: CNN, pictures: NDArray[np.uint8]) -> None:
    for parameter in network.parameters():  # no weight may be nought by chance, no two may cancel out
        nn.init.uniform_(parameter, 0.1, 1)
    found = activations.layer_steps(network, pictures[0])
    for step, field in zip(found, receptive_field.receptive_fields(found, network.image_size), strict=True):
        if step.what not in ("convolution", "pooling"):
            continue
        height, width = step.maps.shape[1:]
        for row, column in ((0, 0), (height // 2, width // 2), (height - 1, 0)):
            expected = seen_by(network, step.stage, step.what, row, column)
            assert field.box(row, column, network.image_size) == expected, (step.title, row, column)


def test_fields_agree_with_the_table_of_the_architecture(network: CNN, pictures: NDArray[np.uint8]) -> None:
    found = activations.layer_steps(network, pictures[0])
    sizes = {
        (step.stage, step.what): field.size
        for step, field in zip(found, receptive_field.receptive_fields(found, network.image_size), strict=True)
    }
    for layer in network.layers:
        assert sizes[layer.stage, layer.kind] == layer.receptive_field


@pytest.mark.parametrize(("row", "box"), [(0, (0, 0, 6, 6)), (3, (4, 4, 12, 12))])
def test_a_box_is_cut_at_the_rim(row: int, box: tuple[int, int, int, int]) -> None:
    assert receptive_field.ReceptiveField(size=8, jump=2, start=-2).box(row, row, 32) == box
