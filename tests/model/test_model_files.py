"""A model folder rebuilds the CNN, and a damaged one is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from strokewise.errors import ModelError
from strokewise.model.cnn import CNN
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
    weights, config = tmp_path / "model.safetensors", tmp_path / "config.json"
    content, text = weights.read_bytes(), config.read_text()
    weights.write_bytes(content[:-100])
    with pytest.raises(ModelError, match="damaged or of another version"):
        load_model(tmp_path)
    moved = {name: value + 1 for name, value in safetensors.torch.load(content).items()}
    weights.write_bytes(safetensors.torch.save(moved))
    with pytest.raises(ModelError, match=r"are not those that its config.json describes"):
        load_model(tmp_path)
    weights.write_bytes(content)
    values = json.loads(text)
    config.write_text(json.dumps(values | {"network": values["network"] | {"base_channels": 4}}))
    with pytest.raises(ModelError, match="damaged or of another version"):
        load_model(tmp_path)
    config.write_text(text[:50])
    with pytest.raises(ModelError, match="cannot be read"):
        load_model(tmp_path)


def test_model_of_an_older_schema_raises_model_error(tmp_path: Path, network_params: Any) -> None:
    save_model(CNN(SHAPES, network_params()), tmp_path, {})
    config = tmp_path / "config.json"
    values = json.loads(config.read_text())
    values["network"]["grid"] = values["network"].pop("image_size")
    config.write_text(json.dumps(values))
    with pytest.raises(ModelError, match=r"damaged or of another version: .*; train it again"):
        load_model(tmp_path)
