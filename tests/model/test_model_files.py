"""A model folder rebuilds the CNN, and a damaged one is refused."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from strokewise.errors import ModelError
from strokewise.model import model_files
from strokewise.model.cnn import CNN
from strokewise.model.config_file import read_config, write_config
from strokewise.model.inference import predict_proba
from strokewise.model.layers import count_parameters
from strokewise.model.model_files import load_model, save_model

SHAPES = ("circle", "line", "other")


@pytest.mark.parametrize("changes", [{}, {"line_filters": "fixed", "normalisation": "group", "hidden_units": 4}])
def test_saved_model_is_loaded_with_the_same_predictions(
    tmp_path: Path, changes: dict[str, Any], network_params: Any
) -> None:
    cnn = CNN(SHAPES, network_params(**changes)).eval()
    save_model(cnn, tmp_path / "model", {"fingerprint": "f"})
    loaded = load_model(tmp_path / "model")
    pictures = np.random.default_rng(0).integers(0, 256, (5, 32, 32), dtype=np.uint8)
    assert np.array_equal(predict_proba(cnn, pictures), predict_proba(loaded, pictures))
    assert (loaded.shapes, loaded.image_size, loaded.training) == (SHAPES, 32, False)
    assert loaded.config["fingerprint"] == "f"
    assert loaded.config["parameters"] == count_parameters(cnn.layers)


def test_load_model_does_not_advance_the_random_state(tmp_path: Path, network_params: Any) -> None:
    save_model(CNN(SHAPES, network_params()), tmp_path, {})
    before = torch.get_rng_state()
    load_model(tmp_path)
    assert torch.equal(before, torch.get_rng_state())


def test_bad_model_folder_raises_model_error(tmp_path: Path, network_params: Any) -> None:
    with pytest.raises(ModelError, match=r"no model in .*: config.json is missing; run `strokewise train`"):
        load_model(tmp_path)
    save_model(CNN(SHAPES, network_params()), tmp_path, {})
    weights = tmp_path / "model.safetensors"
    content = weights.read_bytes()
    moved = {name: value + 1 for name, value in safetensors.torch.load(content).items()}
    for other in (content[:-100], safetensors.torch.save(moved), b""):
        weights.write_bytes(other)
        with pytest.raises(ModelError, match=r"are not those that its config.json describes"):
            load_model(tmp_path)
    weights.unlink()
    with pytest.raises(ModelError, match=r"model.safetensors is missing"):
        load_model(tmp_path)


def rewrite_config(folder: Path, **changes: Any) -> None:
    """Change config.json as its author would: with the digest that belongs to it."""
    config = {name: value for name, value in read_config(folder).items() if name != "digest"}
    config["network"] = config["network"] | changes.pop("network", {})
    write_config(folder, config | changes)


def test_model_of_an_older_schema_raises_model_error(tmp_path: Path, network_params: Any) -> None:
    save_model(CNN(SHAPES, network_params()), tmp_path, {})
    rewrite_config(tmp_path, network={"grid": 3})
    with pytest.raises(ModelError, match=r"damaged or of another version: .*; train it again"):
        load_model(tmp_path)


@pytest.mark.parametrize("name", ["activation", "pooling", "normalisation", "kernel_size", "shapes"])
def test_config_that_was_changed_by_hand_is_refused(name: str, tmp_path: Path, network_params: Any) -> None:
    save_model(CNN(SHAPES, network_params()), tmp_path, {})
    config = json.loads((tmp_path / "config.json").read_text())
    if name == "shapes":
        config["shapes"][:2] = config["shapes"][1::-1]
    else:
        config["network"][name] = {"activation": "silu", "pooling": "average", "normalisation": "none"}.get(name, 5)
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=r"config.json is damaged .*it is not as it was written"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        {"network": {"base_channels": 1024, "max_channels": 4096, "kernel_size": 15}},  # 25 GB
        {"network": {"image_size": 1024, "depth": 1, "hidden_units": 4096, "stride": 1}},
        {"network": {"base_channels": 64}},
        {"shapes": [f"shape {number}" for number in range(1000)]},
    ],
    ids=str,
)
def test_config_of_a_larger_network_is_refused_before_memory_is_taken(
    changes: dict[str, Any], tmp_path: Path, network_params: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def allocate(*_: object) -> None:
        pytest.fail("the network was made")

    save_model(CNN(SHAPES, network_params()), tmp_path, {})
    rewrite_config(tmp_path, **changes)
    monkeypatch.setattr(model_files, "CNN", allocate)
    with pytest.raises(ModelError, match="damaged or of another version"):
        load_model(tmp_path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(value: float, tmp_path: Path, network_params: Any) -> None:
    cnn = CNN(SHAPES, network_params())
    save_model(cnn, tmp_path, {})
    state = {name: tensor.clone().contiguous() for name, tensor in cnn.state_dict().items()}
    next(iter(state.values())).view(-1)[0] = value
    content = safetensors.torch.save(state)
    (tmp_path / "model.safetensors").write_bytes(content)
    rewrite_config(tmp_path, weights=hashlib.sha256(content).hexdigest())
    with pytest.raises(ModelError, match="weights that are no numbers"):
        load_model(tmp_path)
