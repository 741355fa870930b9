"""What the layers saw: the numbers of a plain forward pass, in the article's words, and no trace left behind."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from strokewise.explain import activations
from strokewise.model.cnn import CNN, LINE_FILTERS
from strokewise.model.inference import predict_proba, to_tensor

Pictures = NDArray[np.uint8]


def trace(network: CNN) -> tuple[object, ...]:
    """Everything about a network that explaining it must not change."""
    hooks = [
        len(module._forward_hooks) + len(module._forward_pre_hooks) + len(module._backward_hooks)
        for module in network.modules()
    ]
    values = tuple(value.numpy().tobytes() for value in network.state_dict().values())
    gradients = [parameter.grad is None and parameter.requires_grad for parameter in network.parameters()]
    return sum(hooks), [module.training for module in network.modules()], values, gradients


def test_the_last_step_holds_the_logits_of_a_plain_forward_pass(network: CNN, pictures: Pictures) -> None:
    with torch.no_grad():
        plain = network(to_tensor(pictures[:1]))[0].numpy()
    assert activations.layer_steps(network, pictures[0])[-1].maps[:, 0, 0] == pytest.approx(plain, abs=1e-6)


def test_each_step_follows_from_the_one_before(network: CNN, pictures: Pictures) -> None:
    found = activations.layer_steps(network, pictures[0])
    parts = [part for stage in network.stages.values() for part in stage] + [network.flatten, *network.connected]
    assert len(found) == len(parts)
    values = to_tensor(pictures[:1])
    for part, step in zip(parts, found, strict=True):
        with torch.no_grad():
            values = part(values)
        assert step.maps.reshape(values.shape[1:]) == pytest.approx(values[0].numpy(), abs=1e-5), step.title


def test_an_activation_that_works_in_place_changes_no_earlier_step(plain: CNN, pictures: Pictures) -> None:
    before = activations.layer_steps(plain, pictures[0])
    for module in plain.modules():
        if isinstance(module, torch.nn.ReLU):
            module.inplace = True
    for step, same in zip(activations.layer_steps(plain, pictures[0]), before, strict=True):
        assert (step.maps == same.maps).all(), step.title


def test_the_sizes_are_those_of_the_architecture(network: CNN, pictures: Pictures) -> None:
    known = {(layer.stage, layer.kind): layer for layer in network.layers if layer.stage != "connected"}
    found = {
        (step.stage, step.what): step
        for step in activations.layer_steps(network, pictures[0])
        if step.what != "activation"
    }
    assert {key for key in found if key[0] != "connected"} == set(known)
    for key, layer in known.items():
        assert found[key].maps.shape == layer.output
        if layer.kernel > 1:
            assert (found[key].window, found[key].stride, found[key].padding) == (
                layer.kernel,
                layer.stride,
                layer.padding,
            )


def test_a_line_filter_finds_what_numpy_computes(plain: CNN, pictures: Pictures) -> None:
    filters = activations.line_filters(plain)
    found = activations.layer_steps(plain, pictures[0])[0].maps
    bias = plain.get_submodule("stages.lines.convolution").bias
    assert isinstance(bias, torch.Tensor)
    row, column = np.argwhere(pictures[0] > 0)[7] // 2
    patch = pictures[0, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2] / 255
    by_hand = [(patch * weights).sum() + threshold for weights, threshold in zip(filters, bias.tolist(), strict=True)]
    assert found[:, row, column] == pytest.approx(by_hand, abs=1e-6)


def test_fixed_and_seeded_filters_begin_with_the_four_lines(network: CNN) -> None:
    assert activations.line_filters(network)[:4] == pytest.approx(LINE_FILTERS[:, 0].numpy())


def test_watching_leaves_no_trace(network: CNN, pictures: Pictures) -> None:
    before, answer = trace(network), predict_proba(network, pictures)
    activations.layer_steps(network, pictures[0])
    assert trace(network) == before
    assert predict_proba(network, pictures).tobytes() == answer.tobytes()


def test_the_mode_is_kept_module_by_module(plain: CNN, pictures: Pictures) -> None:
    plain.train()
    plain.connected.eval()
    before = trace(plain)
    activations.layer_steps(plain, pictures[0])
    assert trace(plain) == before


def test_a_pass_that_raises_leaves_no_trace_either(plain: CNN) -> None:
    plain.train()
    before = trace(plain)
    with pytest.raises(RuntimeError):
        activations.layer_steps(plain, np.zeros((5, 5), np.uint8))
    assert trace(plain) == before


def test_steps_are_called_what_the_article_calls_them(plain: CNN, pictures: Pictures) -> None:
    found = activations.layer_steps(plain, pictures[0])
    assert [step.title for step in found[:6]] == [
        "lines: convolution",
        "lines: activation",
        "curves: convolution",
        "curves: pooling",
        "curves: normalisation",
        "curves: activation",
    ]
    assert [step.title for step in found[-4:]] == ["flatten", "fully connected", "activation", "fully connected"]
    assert found[0].size == "7 maps of 16×16"
    assert found[-1].size == "3 numbers"


def test_the_strongest_maps_are_those_that_the_picture_moves_most() -> None:
    maps = np.zeros((3, 2, 2), np.float32)
    maps[0] += 9  # the same everywhere: strong, but the picture has nothing to do with it
    maps[1, 0, 0] = 1
    maps[2, 0, 0] = -2
    assert activations.LayerStep("curves", "convolution", maps).strongest(2) == [2, 1]


def test_numbers_without_a_place_are_strong_by_their_size() -> None:
    assert activations.LayerStep("flatten", "flatten", np.float32([1, -3, 2]).reshape(3, 1, 1)).strongest(2) == [1, 2]
