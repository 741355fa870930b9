"""The description of the layers against torch's autograd and FLOP counter, and the table made of it."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from strokewise.errors import ParamsError
from strokewise.model.cnn import CNN
from strokewise.model.layers import (
    Layer,
    ReceptiveField,
    build_layers,
    count_fully_connected,
    count_multiply_adds,
    count_parameters,
    layer_table,
)
from strokewise.model.tta import TTA_ANGLES

SHAPES = ("circle", "line", "other")


@pytest.mark.parametrize("seed", range(8))
def test_sizes_parameters_and_multiply_adds_equal_what_torch_counts(seed: int, random_params: Any) -> None:
    params = random_params(seed)
    cnn = CNN(SHAPES, params).eval()
    sizes: dict[str, tuple[int, ...]] = {}
    for layer in cnn.layers:
        module = cnn.get_submodule(layer.name)
        module.register_forward_hook(lambda _, __, output, name=layer.name: sizes.update({name: tuple(output.shape)}))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        logits = cnn(torch.rand(1, 1, params.image_size, params.image_size))
    assert logits.shape == (1, len(SHAPES))
    assert counter.get_total_flops() == 2 * count_multiply_adds(cnn.layers)
    learned = sum(value.numel() for value in cnn.parameters())
    frozen = sum(value.numel() for name, value in cnn.named_buffers() if name.endswith("frozen"))
    assert learned + frozen == count_parameters(cnn.layers)
    for layer in cnn.layers:
        assert sizes[layer.name][1:] == tuple(layer.output_size)[: len(sizes[layer.name]) - 1]


def visible_box(cnn: CNN, layer: Layer, row: int, column: int) -> tuple[int, int, int, int]:
    """The pixels with a gradient to the value at (row, column) of a layer's maps, all channels together."""
    pixels = torch.rand(1, 1, cnn.image_size, cnn.image_size, dtype=torch.float64, requires_grad=True)
    values = pixels
    for each in cnn.layers:
        module = cnn.get_submodule(each.name)
        if isinstance(module, nn.MaxPool2d):  # only one of four would get a gradient: the mean depends on all
            values = nn.AvgPool2d(module.kernel_size)(values)
        elif each.kind in ("convolution", "pooling"):  # a ReLU lets no gradient through where it is off
            values = module(values)
        if each is layer:
            values[0, :, row, column].sum().backward()
            assert pixels.grad is not None
            rows, columns = np.nonzero(np.abs(pixels.grad[0, 0].numpy()) > 1e-12)
            return int(rows.min()), int(columns.min()), int(rows.max()) + 1, int(columns.max()) + 1
    raise AssertionError(layer.name)


@pytest.mark.parametrize("seed", range(10))
def test_receptive_fields_equal_what_autograd_sees(seed: int, random_params: Any) -> None:
    # an odd last row is not looked at, and a stride beyond the kernel leaves holes: no box describes those
    cnn = CNN(SHAPES, random_params(seed, image_size=[32, 64][seed % 2], stride=1)).double()
    for parameter in cnn.parameters():  # no weight may be zero by chance, no two may cancel
        nn.init.uniform_(parameter, 0.1, 1)
    cnn.line_filters.frozen.fill_(0.5)
    for layer in cnn.layers:
        if layer.kind not in ("convolution", "pooling"):
            continue
        _, height, width = layer.output_size
        for row, column in ((0, 0), (height // 2, width // 2), (height - 1, 0)):
            expected = visible_box(cnn, layer, row, column)
            assert layer.receptive_field.box(row, column, cnn.image_size) == expected, (layer.name, row, column)


@pytest.mark.parametrize("seed", range(6))
def test_receptive_field_sizes_equal_what_autograd_sees_for_any_stride(seed: int, random_params: Any) -> None:
    pooling = ["average", "strided"][seed % 2]
    params = random_params(seed, normalisation="none", activation="silu", pooling=pooling, depth=None)
    cnn = CNN(SHAPES, params).double()
    with torch.no_grad():
        for value in cnn.parameters():
            value.abs_()  # nothing cancels
    fields = {layer.block: layer.receptive_field.size for layer in cnn.layers}
    picture = torch.rand(1, 1, params.image_size, params.image_size, dtype=torch.float64, requires_grad=True)
    maps, whole = picture, 0
    for name, block in [("lines", cnn.lines), *cnn.blocks.items()]:
        maps = block(maps)
        height, width = maps.shape[2:]
        (gradient,) = torch.autograd.grad(maps[0, :, height // 2, width // 2].sum(), picture, retain_graph=True)
        columns = gradient[0, 0].any(0).nonzero().flatten()
        first, last = int(columns[0]), int(columns[-1])
        if first > 0 and last < params.image_size - 1:  # the border does not cut it off
            assert last - first + 1 == fields[name]
            whole += 1
        assert last - first + 1 <= fields[name]
    assert whole


@pytest.mark.parametrize(("row", "box"), [(0, (0, 0, 6, 6)), (3, (4, 4, 12, 12))])
def test_receptive_field_box_is_cut_at_the_border(row: int, box: tuple[int, int, int, int]) -> None:
    assert ReceptiveField(size=8, jump=2, start=-2).box(row, row, 32) == box


def test_flattened_values_see_the_whole_picture(network_params: Any) -> None:
    layers = build_layers(network_params(), 3)
    fields = {layer.receptive_field for layer in layers if layer.block in ("flatten", "fully connected")}
    assert fields == {ReceptiveField(size=32, jump=32, start=0)}


@pytest.mark.parametrize("padding", ["zero", "valid"])
@pytest.mark.parametrize("pooling", ["max", "strided"])
def test_automatic_depth_grows_with_the_image_size(padding: str, pooling: str, network_params: Any) -> None:
    depths = []
    for size in (*range(26, 200), 256, 512, 1000, 1024):
        layers = build_layers(network_params(image_size=size, padding=padding, pooling=pooling), len(SHAPES))
        blocks = {layer.block: layer.output_size[1] for layer in layers if layer.output_size[1] > 1}
        assert 2 <= min(blocks.values()) < 8
        depths.append(len(blocks))
    assert depths == sorted(depths)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"depth": 9}, "the pooling of shapes4 has a 2×2 kernel and a padding of 0, but its maps are only 1×1"),
        ({"kernel_size": 9, "padding": "valid"}, "the convolution of shapes has a 9×9 kernel .* its maps are only 4×4"),
        (
            {"image_size": 16, "kernel_size": 5, "padding": "valid"},
            "the convolution of shapes has a 5×5 .* maps are only 2×2",
        ),
    ],
)
def test_sizes_that_do_not_fit_raise_params_error(changes: dict[str, Any], message: str, network_params: Any) -> None:
    with pytest.raises(ParamsError, match=message):
        build_layers(network_params(**changes), len(SHAPES))


def test_table_shows_every_layer_and_the_cost_of_full_connection(network_params: Any) -> None:
    text = layer_table(network_params(image_size=64), 3)
    assert f"the mean of {len(TTA_ANGLES)} views" in text
    for word in ("lines", "curves", "shapes2", "flatten", "fully connected", "compare each square with line filters"):
        assert word in text
    assert "1024×1024" in text
    assert "10^1,233" in text  # 2 to the power of 64 · 64
    layers = build_layers(network_params(image_size=64), 3)
    assert count_fully_connected(layers) > 50 * count_multiply_adds(layers)


def test_table_marks_image_sizes_that_are_too_small(network_params: Any) -> None:
    text = layer_table(network_params(image_size=256, depth=7, hidden_units=12), 12)
    assert text.count("too small") == 3 * 2  # 64 and 128
    assert text.count("let every value have its say") == text.count("decide: one score a shape") == 1


def test_table_is_made_without_torch() -> None:
    code = "import sys; from strokewise.model import layers; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    "changes",
    [
        {"base_channels": 1024, "max_channels": 4096, "kernel_size": 15},
        {"image_size": 1024, "depth": 1, "hidden_units": 4096},
    ],
    ids=str,
)
def test_network_that_no_machine_could_hold_raises_params_error(changes: dict[str, Any], network_params: Any) -> None:
    with pytest.raises(ParamsError, match=r"50,000,000 .* are allowed: lower network.base_channels"):
        build_layers(network_params(**changes), 12)
