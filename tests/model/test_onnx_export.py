"""The exported ONNX file against PyTorch, for every kind of layer."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from strokewise.errors import ModelError
from strokewise.model.cnn import CNN
from strokewise.model.inference import predict_proba
from strokewise.model.model_files import save_model
from strokewise.model.onnx_export import build_onnx, write_onnx
from strokewise.model.onnx_file import load_onnx
from strokewise.params import Params
from strokewise.preprocessing.preprocess import preprocess
from strokewise.synthesis import render
from strokewise.synthesis.outlines import load_catalogue

SHAPES = ("cross", "ellipse", "other")
ARCHITECTURES = [
    {},
    {"line_filters": "fixed", "padding": "valid", "depth": 2, "activation": "gelu"},
    {
        "line_filters": "learned",
        "pooling": "strided",
        "normalisation": "group",
        "activation": "leaky_relu",
        "hidden_units": 0,
    },
    {
        "normalisation": "none",
        "pooling": "average",
        "kernel_size": 5,
        "depth": 1,
        "extra_filters": 0,
        "activation": "silu",
    },
    {
        "line_filters": "fixed",
        "extra_filters": 0,
        "normalisation": "group",
        "base_channels": 6,
        "stride": 2,
        "depth": 1,
    },
]


def save_random_model(folder: Path, root: Path, **changes: object) -> CNN:
    """A model folder of an untrained CNN with running statistics, whose answers differ from picture to picture."""
    params = Params.load(root / "params.yaml").network.model_copy(
        update={"image_size": 32, "base_channels": 8, **changes}
    )
    torch.manual_seed(1)
    cnn = CNN(SHAPES, params)
    cnn.train()
    with torch.no_grad():
        for _ in range(20):
            cnn(torch.rand(16, 1, 32, 32))
        for parameter in cnn.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    save_model(cnn.eval(), folder, {"fingerprint": "f" * 64})
    return cnn


@pytest.mark.parametrize("changes", ARCHITECTURES, ids=str)
def test_every_architecture_answers_as_torch_does(changes: dict[str, object], root: Path, tmp_path: Path) -> None:
    cnn = save_random_model(tmp_path / "model", root, **changes)
    model = load_onnx(tmp_path / "model")
    rng = np.random.default_rng(2)
    for count in (1, 7):
        pictures = (255 * (rng.random((count, 32, 32)) < 0.1)).astype(np.uint8)
        expected = predict_proba(cnn, pictures)
        np.testing.assert_allclose(model.predict_proba(pictures), expected, atol=1e-5)
    assert np.ptp(expected, axis=0).max() > 1e-3, "all answers are the same: the test shows nothing"


def test_onnx_and_torch_agree_on_a_thousand_paintings(root: Path, tmp_path: Path) -> None:
    cnn = save_random_model(tmp_path / "model", root)
    catalogue = load_catalogue(root / "data" / "outlines")
    generate = Params.load(root / "params.yaml").generate
    scenes = [render.render_painting(catalogue, generate, "preview", index).scene for index in range(1000)]
    pictures = np.stack([preprocess(scene, cnn.image_size) for scene in scenes])
    probabilities = load_onnx(tmp_path / "model").predict_proba(pictures)
    np.testing.assert_allclose(probabilities, predict_proba(cnn, pictures), atol=1e-4)
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-5)


def test_file_is_reproducible_and_describes_itself(root: Path, tmp_path: Path) -> None:
    save_random_model(tmp_path / "model", root)
    folder, outlines = tmp_path / "model", {"cross": {"plain": "<svg/>"}}
    assert write_onnx(folder, outlines) < 1e-4
    content = (folder / "model.onnx").read_bytes()
    assert build_onnx(folder, outlines) == content
    model = onnx.load_from_string(content)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(metadata["shapes"]) == list(SHAPES)
    assert metadata["fingerprint"] == "f" * 64
    assert metadata["opset"] == str(model.opset_import[0].version)
    assert "32x32" in metadata["preprocessing"]
    assert json.loads(metadata["outlines"]) == outlines


def test_file_that_differs_from_torch_is_not_written(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_random_model(tmp_path / "model", root)
    monkeypatch.setattr("strokewise.model.onnx_export.NORM_EPSILON", 1.0)
    with pytest.raises(AssertionError, match="ONNX Runtime and PyTorch differ"):
        write_onnx(tmp_path / "model", {"cross": {"plain": "<svg/>"}})
    assert load_onnx(tmp_path / "model").metadata["outlines"] == "{}"


def test_folder_without_a_model_raises_model_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds no network"):
        build_onnx(tmp_path, {})
