"""Recorded activations equal those of a default_cnn forward pass, and recording leaves the CNN unchanged."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from strokewise.explain import activations
from strokewise.explain.activations import LayerActivation
from strokewise.model.cnn import CNN, LINE_FILTERS
from strokewise.model.inference import predict_proba, to_tensor
from strokewise.model.layers import Layer, LayerKind, ReceptiveField
from strokewise.params import NetworkParams

Pictures = NDArray[np.uint8]


def full_state(cnn: CNN) -> tuple[object, ...]:
    """Everything about a CNN that explaining it must not change."""
    hooks = [
        len(module._forward_hooks) + len(module._forward_pre_hooks) + len(module._backward_hooks)
        for module in cnn.modules()
    ]
    values = tuple(value.numpy().tobytes() for value in cnn.state_dict().values())
    gradients = [parameter.grad is None and parameter.requires_grad for parameter in cnn.parameters()]
    return sum(hooks), [module.training for module in cnn.modules()], values, gradients


def activation_of(block: str, kind: LayerKind, maps: NDArray[np.float32]) -> LayerActivation:
    size = maps.shape[0], maps.shape[1], maps.shape[2]
    return LayerActivation(Layer("x", block, kind, size, size, ReceptiveField(size=1, jump=1, start=0)), maps)


def test_last_activation_holds_the_logits_of_a_plain_forward_pass(cnn: CNN, pictures: Pictures) -> None:
    with torch.no_grad():
        logits = cnn(to_tensor(pictures[:1]))[0].numpy()
    assert activations.layer_activations(cnn, pictures[0])[-1].maps[:, 0, 0] == pytest.approx(logits, abs=1e-6)


def test_each_activation_follows_from_the_one_before(cnn: CNN, pictures: Pictures) -> None:
    recorded = activations.layer_activations(cnn, pictures[0])
    modules = [*cnn.lines, *(module for block in cnn.blocks.values() for module in block)]
    modules += [cnn.flatten, *cnn.fully_connected]
    assert len(recorded) == len(modules)
    values = to_tensor(pictures[:1])
    for module, activation in zip(modules, recorded, strict=True):
        with torch.no_grad():
            values = module(values)
        assert activation.maps.reshape(values.shape[1:]) == pytest.approx(values[0].numpy(), abs=1e-5), activation.title


def test_in_place_activation_changes_no_earlier_layer(default_cnn: CNN, pictures: Pictures) -> None:
    before = activations.layer_activations(default_cnn, pictures[0])
    for module in default_cnn.modules():
        if isinstance(module, torch.nn.ReLU):
            module.inplace = True
    for activation, same in zip(activations.layer_activations(default_cnn, pictures[0]), before, strict=True):
        assert (activation.maps == same.maps).all(), activation.title


def test_activations_have_the_sizes_and_windows_of_their_layers(cnn: CNN, pictures: Pictures) -> None:
    recorded = activations.layer_activations(cnn, pictures[0])
    assert [activation.layer for activation in recorded] == cnn.layers
    for activation in recorded:
        layer, module = activation.layer, cnn.get_submodule(activation.layer.name)
        assert activation.maps.shape == layer.output_size
        if isinstance(module, torch.nn.Conv2d):
            window = tuple((side, side) for side in (layer.kernel_size, layer.stride, layer.padding))
            assert (module.kernel_size, module.stride, module.padding) == window
        if isinstance(module, torch.nn.MaxPool2d | torch.nn.AvgPool2d):
            window = (layer.kernel_size, layer.stride, layer.padding)
            assert (module.kernel_size, module.stride, module.padding) == window


def test_line_filter_activation_equals_numpy(default_cnn: CNN, pictures: Pictures) -> None:
    filters = activations.line_filters(default_cnn)
    maps = activations.layer_activations(default_cnn, pictures[0])[0].maps
    bias = default_cnn.get_submodule("lines.convolution").bias
    assert isinstance(bias, torch.Tensor)
    row, column = np.argwhere(pictures[0] > 0)[7] // 2
    patch = pictures[0, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2] / 255
    expected = [(patch * weights).sum() + offset for weights, offset in zip(filters, bias.tolist(), strict=True)]
    assert maps[:, row, column] == pytest.approx(expected, abs=1e-6)


def test_fixed_and_seeded_filters_begin_with_the_four_directions(cnn: CNN) -> None:
    assert activations.line_filters(cnn)[:4] == pytest.approx(LINE_FILTERS[:, 0].numpy())
    names = activations.filter_names(cnn)
    assert names[:5] == ["horizontal", "vertical", "rising", "falling", "learned 1"][: len(names)]
    assert len(names) == len(activations.line_filters(cnn))


def test_learned_filters_are_numbered(network_params: NetworkParams) -> None:
    params = network_params.model_copy(update={"line_filters": "learned", "extra_filters": 1})
    assert activations.filter_names(CNN(("a", "b"), params)) == [f"learned {number}" for number in range(1, 6)]


def test_recording_leaves_the_cnn_unchanged(cnn: CNN, pictures: Pictures) -> None:
    before, probabilities = full_state(cnn), predict_proba(cnn, pictures)
    activations.layer_activations(cnn, pictures[0])
    assert full_state(cnn) == before
    assert predict_proba(cnn, pictures).tobytes() == probabilities.tobytes()


def test_each_module_keeps_its_mode(default_cnn: CNN, pictures: Pictures) -> None:
    default_cnn.train()
    default_cnn.fully_connected.eval()
    before = full_state(default_cnn)
    activations.layer_activations(default_cnn, pictures[0])
    assert full_state(default_cnn) == before


def test_failing_forward_pass_leaves_the_cnn_unchanged(default_cnn: CNN) -> None:
    default_cnn.train()
    before = full_state(default_cnn)
    with pytest.raises(RuntimeError):
        activations.layer_activations(default_cnn, np.zeros((5, 5), np.uint8))
    assert full_state(default_cnn) == before


def test_eval_mode_restores_the_mode_after_an_exception(default_cnn: CNN) -> None:
    default_cnn.train()
    with pytest.raises(RuntimeError), activations.eval_mode(default_cnn):
        raise RuntimeError
    assert default_cnn.training


def test_titles_and_sizes_are_in_plain_words(default_cnn: CNN, pictures: Pictures) -> None:
    recorded = activations.layer_activations(default_cnn, pictures[0])
    assert [activation.title for activation in recorded[:6]] == [
        "lines: convolution",
        "lines: activation",
        "curves: convolution",
        "curves: pooling",
        "curves: normalisation",
        "curves: activation",
    ]
    assert [activation.title for activation in recorded[-4:]] == [
        "flatten",
        "fully connected",
        "activation",
        "fully connected",
    ]
    assert recorded[0].size == "7 maps of 16×16"
    assert recorded[-1].size == "3 numbers"


def test_strongest_maps_are_those_with_the_largest_spread() -> None:
    maps = np.zeros((3, 2, 2), np.float32)
    maps[0] += 9  # the same everywhere: large, but independent of the picture
    maps[1, 0, 0] = 1
    maps[2, 0, 0] = -2
    assert activation_of("curves", "convolution", maps).strongest(2) == [2, 1]


def test_strongest_numbers_of_a_vector_are_the_largest() -> None:
    values = np.float32([1, -3, 2]).reshape(3, 1, 1)
    assert activation_of("flatten", "flatten", values).strongest(2) == [1, 2]
