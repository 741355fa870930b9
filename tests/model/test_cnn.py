"""The network against torch's autograd and FLOP counter, its line filters against lines, its folder against damage."""

import json
import math
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch.utils.flop_counter import FlopCounterMode

from strokewise.errors import ModelError, ParamsError
from strokewise.model.cnn import CNN, LINE_FILTERS, LineFilters
from strokewise.model.inference import predict_proba, rotate, to_tensor
from strokewise.model.layers import (
    LINE_NAMES,
    build_layers,
    count_fully_connected,
    count_multiply_adds,
    count_parameters,
    layer_table,
)
from strokewise.model.model_files import load_model, save_model
from strokewise.model.tta import TTA_ANGLES
from strokewise.params import NetworkParams as Settings

SHAPES = ("circle", "line", "other")
PLAIN: dict[str, Any] = {
    "grid": 32,
    "lines": "seeded",
    "extra": 4,
    "depth": None,
    "width": 8,
    "widest": 16,
    "kernel": 3,
    "stride": 1,
    "padding": "zero",
    "pooling": "max",
    "activation": "relu",
    "normalisation": "batch",
    "hidden": 0,
}


def settings(**changed: Any) -> Settings:
    return Settings.model_validate(PLAIN | changed)


def drawn_by_lot(number: int, **fixed: Any) -> Settings:
    """Random settings that fit together."""
    lot = random.Random(number)  # noqa: S311
    while True:
        chosen = settings(
            **{
                "grid": lot.randint(16, 100),
                "lines": lot.choice(["fixed", "seeded", "learned"]),
                "extra": lot.randint(0, 5),
                "depth": lot.choice([None, 1, 2, 3]),
                "width": lot.choice([3, 8]),
                "kernel": lot.randint(1, 6),
                "stride": lot.choice([1, 1, 2, 3]),
                "padding": lot.choice(["zero", "valid"]),
                "pooling": lot.choice(["max", "average", "strided"]),
                "activation": lot.choice(["relu", "leaky", "gelu", "silu"]),
                "normalisation": lot.choice(["batch", "group", "none"]),
                "hidden": lot.choice([0, 5]),
                **fixed,
            }
        )
        try:
            build_layers(chosen, len(SHAPES))
        except ParamsError:
            continue
        return chosen


def line_at(degrees: float, offset: float, grid: int = 32) -> np.ndarray:
    """A line one pixel wide, as covered by exact distances: float32 (1, 1, grid, grid). Degrees rise to the right."""
    y, x = np.mgrid[:grid, :grid] - (grid - 1) / 2
    angle = math.radians(degrees)
    distance = np.abs(x * math.sin(angle) + y * math.cos(angle) - offset)
    return np.clip(1 - distance, 0, 1).astype(np.float32)[None, None]


@pytest.mark.parametrize("lines", ["fixed", "seeded", "learned"])
@pytest.mark.parametrize("grid", [16, 17])
def test_the_line_filters_are_a_convolution(lines: str, grid: int) -> None:
    filters = LineFilters(lines, 3)
    pictures = torch.rand(5, 1, grid, grid, generator=torch.Generator().manual_seed(grid))
    bias = torch.cat([torch.zeros(len(filters.frozen)), filters.bias])
    expected = torch.nn.functional.conv2d(pictures, filters.filters, bias, stride=2)
    assert torch.allclose(filters(pictures), expected, atol=1e-6)


@pytest.mark.parametrize("lines", ["fixed", "seeded"])
@pytest.mark.parametrize(("degrees", "name"), [(0, "horizontal"), (90, "vertical"), (45, "rising"), (-45, "falling")])
def test_each_line_filter_responds_most_to_its_own_line(lines: str, degrees: float, name: str) -> None:
    net = CNN(SHAPES, settings(lines=lines, extra=0))
    with torch.no_grad():
        net.stages["lines"].convolution.bias.zero_()  # type: ignore[union-attr,operator]
        seen = [net.stages["lines"](torch.from_numpy(line_at(degrees, offset))) for offset in np.linspace(-5, 5, 21)]
    response = torch.cat(seen).amax((0, 2, 3))  # of the square that looks most like it
    assert LINE_NAMES[int(response.argmax())] == name
    assert response.max() > 1.2 * response.sort().values[-2]


def test_fixed_filters_are_not_learned_and_see_no_line_in_even_ink() -> None:
    net = CNN(SHAPES, settings(lines="fixed", extra=2))
    filters = net.stages["lines"].convolution
    assert [tuple(value.shape) for value in filters.parameters()] == [(2, 1, 2, 2), (2,)]
    assert torch.equal(filters.filters[:4], LINE_FILTERS)  # type: ignore[union-attr,index]
    assert torch.equal(LINE_FILTERS.sum((1, 2, 3)), torch.zeros(4))


@pytest.mark.parametrize("number", range(6))
def test_receptive_fields_are_what_autograd_sees(number: int) -> None:
    chosen = drawn_by_lot(
        number, normalisation="none", activation="silu", pooling=["average", "strided"][number % 2], depth=None
    )
    net = CNN(SHAPES, chosen).double()
    with torch.no_grad():
        for value in net.parameters():
            value.abs_()  # nothing cancels
    fields = {layer.stage: layer.receptive_field for layer in net.layers}
    picture = torch.rand(1, 1, chosen.image_size, chosen.image_size, dtype=torch.float64, requires_grad=True)
    maps, whole = picture, 0
    for name, stage in net.stages.items():
        maps = stage(maps)
        height, width = maps.shape[2:]
        (seen,) = torch.autograd.grad(maps[0, :, height // 2, width // 2].sum(), picture, retain_graph=True)
        touched = seen[0, 0].any(0).nonzero().flatten()
        first, last = int(touched[0]), int(touched[-1])
        if first > 0 and last < chosen.image_size - 1:  # the frame does not cut it off
            assert last - first + 1 == fields[name]
            whole += 1
        assert last - first + 1 <= fields[name]
    assert whole


@pytest.mark.parametrize("number", range(8))
def test_sizes_parameters_and_multiply_adds_are_what_torch_counts(number: int) -> None:
    chosen = drawn_by_lot(number)
    net = CNN(SHAPES, chosen).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        logits = net(torch.rand(1, 1, chosen.image_size, chosen.image_size))
    assert logits.shape == (1, len(SHAPES))
    assert counter.get_total_flops() == 2 * count_multiply_adds(net.layers)
    learned = sum(value.numel() for value in net.parameters())
    frozen = sum(value.numel() for name, value in net.named_buffers() if name.endswith("frozen"))
    assert learned + frozen == count_parameters(net.layers)
    maps = torch.rand(1, 1, chosen.image_size, chosen.image_size)
    for name, stage in net.stages.items():
        maps = stage(maps)
        assert tuple(maps.shape[1:]) == [layer.output for layer in net.layers if layer.stage == name][-1]


@pytest.mark.parametrize("padding", ["zero", "valid"])
@pytest.mark.parametrize("pooling", ["max", "strided"])
def test_depth_follows_the_grid(padding: str, pooling: str) -> None:
    depths = []
    for grid in (*range(26, 200), 256, 512, 1000, 1024):
        found = build_layers(settings(grid=grid, padding=padding, pooling=pooling), len(SHAPES))
        stages = {layer.stage: layer.output[1] for layer in found if layer.output[1] > 1}
        assert 2 <= min(stages.values()) < 8
        depths.append(len(stages))
    assert depths == sorted(depths)


def test_the_smallest_grid_works() -> None:
    assert CNN(SHAPES, settings(grid=16)).eval()(torch.rand(2, 1, 16, 16)).shape == (2, 3)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"depth": 9}, "the pooling of shapes4 has a 2×2 kernel and a padding of 0, but its maps are only 1×1"),
        ({"kernel": 9, "padding": "valid"}, "the convolution of shapes has a 9×9 kernel .* its maps are only 4×4"),
        ({"grid": 16, "kernel": 5, "padding": "valid"}, "the convolution of shapes has a 5×5 .* maps are only 2×2"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        CNN(SHAPES, settings(**changed))


@pytest.mark.parametrize("changed", [{}, {"lines": "fixed", "normalisation": "group", "hidden": 4}])
def test_a_folder_rebuilds_the_network(tmp_path: Path, changed: dict[str, Any]) -> None:
    net = CNN(SHAPES, settings(**changed)).eval()
    save_model(net, tmp_path / "model", {"fingerprint": "f"})
    again = load_model(tmp_path / "model")
    pictures = np.random.default_rng(0).integers(0, 256, (5, 32, 32), dtype=np.uint8)
    assert np.array_equal(predict_proba(net, pictures), predict_proba(again, pictures))
    assert (again.shapes, again.image_size, again.training) == (SHAPES, 32, False)
    assert again.config["fingerprint"] == "f"
    assert again.config["parameters"] == count_parameters(net.layers)


def test_loading_leaves_the_callers_randomness_alone(tmp_path: Path) -> None:
    save_model(CNN(SHAPES, settings()), tmp_path, {})
    before = torch.get_rng_state()
    load_model(tmp_path)
    assert torch.equal(before, torch.get_rng_state())


def test_probabilities_do_not_depend_on_the_company() -> None:
    net = CNN(SHAPES, settings()).eval()
    pictures = np.random.default_rng(0).integers(0, 256, (7, 32, 32), dtype=np.uint8)
    together = predict_proba(net, pictures)
    assert together.dtype == np.float32
    assert together.sum(1) == pytest.approx(np.ones(7))
    alone = np.concatenate([predict_proba(net, pictures[i : i + 1]) for i in range(7)])
    assert together == pytest.approx(alone, abs=1e-6)
    assert together == pytest.approx(predict_proba(net, pictures, size=3), abs=1e-6)
    assert predict_proba(net, pictures[:0]).shape == (0, 3)


def test_an_answer_is_the_mean_of_looks_at_the_picture_turned() -> None:
    torch.manual_seed(0)
    net = CNN(SHAPES, settings()).eval()
    pictures = np.random.default_rng(0).integers(0, 256, (3, net.image_size, net.image_size), np.uint8)
    with torch.inference_mode():
        each = [net(rotate(to_tensor(pictures), degrees)).softmax(1).numpy() for degrees in (-10.0, 25.0)]
    assert predict_proba(net, pictures, looks=(-10.0, 25.0)) == pytest.approx(np.mean(each, 0), abs=1e-6)
    assert not np.allclose(*each)
    asked = predict_proba(net, pictures, looks=TTA_ANGLES)
    assert np.array_equal(predict_proba(net, pictures), asked)


def test_a_picture_turns_clockwise_about_its_middle() -> None:
    pictures = 255 * np.random.default_rng(0).integers(0, 2, (2, 32, 32), np.uint8)
    turned = rotate(to_tensor(pictures), 90.0)[:, 0]
    np.testing.assert_allclose(turned, np.rot90(pictures / 255, -1, axes=(1, 2)), atol=1e-4)
    assert torch.equal(rotate(to_tensor(pictures), 0.0), to_tensor(pictures))


@pytest.mark.parametrize("degrees", TTA_ANGLES)
def test_a_look_leaves_thin_lines_as_strong_as_they_are(degrees: float) -> None:
    line = np.zeros((1, 32, 32), np.uint8)
    line[0, :, 15] = 255  # a pixel wide
    strongest = rotate(to_tensor(line), degrees)[0, 0, 4:28].amax(1)
    assert strongest.mean() > 0.95
    assert strongest.max() <= 1


def test_pictures_of_another_grid_are_refused() -> None:
    with pytest.raises(ModelError, match=r"shape \(2, 8, 8\) do not fit a network of grid 32; give \(N, 32, 32\)"):
        predict_proba(CNN(SHAPES, settings()).eval(), np.zeros((2, 8, 8), np.uint8))


def test_a_bad_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no model in .*: config.json is missing; run `strokewise train`"):
        load_model(tmp_path)
    save_model(CNN(SHAPES, settings()), tmp_path, {})
    weights, config = tmp_path / "model.safetensors", tmp_path / "config.json"
    good, described = weights.read_bytes(), config.read_text()
    weights.write_bytes(good[:-100])
    with pytest.raises(ModelError, match="damaged or of another version"):
        load_model(tmp_path)
    moved = {name: value + 1 for name, value in safetensors.torch.load(good).items()}
    weights.write_bytes(safetensors.torch.save(moved))
    with pytest.raises(ModelError, match=r"are not those that its config.json describes"):
        load_model(tmp_path)
    weights.write_bytes(good)
    known = json.loads(described)
    config.write_text(json.dumps(known | {"network": known["network"] | {"width": 4}}))
    with pytest.raises(ModelError, match="damaged or of another version"):
        load_model(tmp_path)
    config.write_text(described[:50])
    with pytest.raises(ModelError, match="cannot be read"):
        load_model(tmp_path)


def test_the_table_shows_every_layer_and_the_cost_of_looking_everywhere() -> None:
    text = layer_table(settings(grid=64), 3)
    assert f"the mean of {len(TTA_ANGLES)} looks" in text
    for word in ("lines", "curves", "shapes2", "flatten", "connected", "compare each square with line filters"):
        assert word in text
    assert "1024×1024" in text
    assert "10^1,233" in text  # 2 to the power of 64 · 64
    found = build_layers(settings(grid=64), 3)
    assert count_fully_connected(found) > 50 * count_multiply_adds(found)


def test_a_table_is_shown_where_only_smaller_grids_do_not_fit() -> None:
    shown = layer_table(settings(grid=256, depth=7, hidden=12), 12)
    assert shown.count("too small") == 3 * 2  # 64 and 128
    assert shown.count("let every value have its say") == shown.count("decide: one score a shape") == 1


def test_the_table_needs_no_torch() -> None:
    code = "import sys; from strokewise import architecture; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
