"""The network as ONNX answers as torch does, whatever it is made of, and the same model is the same file."""

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
from strokewise.model.onnx_export import build_onnx, export_onnx, run_onnx
from strokewise.params import Params
from strokewise.preprocessing.preprocess import preprocess
from strokewise.synthesis import outlines, render

SHAPES = ("cross", "ellipse", "other")
MAKES = [
    {},
    {"lines": "fixed", "padding": "valid", "depth": 2, "activation": "gelu"},
    {"lines": "learned", "pooling": "strided", "normalisation": "group", "activation": "leaky", "hidden": 0},
    {"normalisation": "none", "pooling": "average", "kernel": 5, "depth": 1, "extra": 0, "activation": "silu"},
    {"lines": "fixed", "extra": 0, "normalisation": "group", "width": 6, "stride": 2, "depth": 1},
]


def saved(folder: Path, root: Path, **changes: object) -> CNN:
    """A model folder of an untrained network whose normalisation has seen something and whose answers differ."""
    settings = Params.load(root / "params.yaml").network.model_copy(update={"grid": 32, "width": 8, **changes})
    torch.manual_seed(1)
    net = CNN(SHAPES, settings)
    net.train()
    with torch.no_grad():
        for _ in range(20):
            net(torch.rand(16, 1, 32, 32))
        for parameter in net.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    save_model(net.eval(), folder, {"fingerprint": "f" * 64})
    return net


@pytest.mark.parametrize("make", MAKES, ids=str)
def test_every_make_answers_as_torch_does(make: dict[str, object], root: Path, tmp_path: Path) -> None:
    net = saved(tmp_path / "model", root, **make)
    content = build_onnx(tmp_path / "model")
    rng = np.random.default_rng(2)
    for count in (1, 7):
        drawn = (255 * (rng.random((count, 32, 32)) < 0.1)).astype(np.uint8)
        expected = predict_proba(net, drawn)
        np.testing.assert_allclose(run_onnx(content, drawn), expected, atol=1e-5)
    assert np.ptp(expected, axis=0).max() > 1e-3, "all answers are the same: nothing is shown"


def test_a_thousand_paintings_get_the_same_answer(root: Path, tmp_path: Path) -> None:
    net = saved(tmp_path / "model", root)
    catalogue = outlines.load_catalogue(root / "data" / "outlines")
    settings = Params.load(root / "params.yaml").generate
    scenes = [render.render_painting(catalogue, settings, "preview", index).scene for index in range(1000)]
    seen = np.stack([preprocess(scene, net.image_size) for scene in scenes])
    given = run_onnx(build_onnx(tmp_path / "model"), seen)
    np.testing.assert_allclose(given, predict_proba(net, seen), atol=1e-4)
    np.testing.assert_allclose(given.sum(1), 1, atol=1e-5)


def test_the_same_model_is_the_same_file_and_says_what_it_is(root: Path, tmp_path: Path) -> None:
    saved(tmp_path / "model", root)
    for name in ("one.onnx", "two.onnx"):
        assert export_onnx(tmp_path / "model", tmp_path / name) < 1e-4
    assert (tmp_path / "one.onnx").read_bytes() == (tmp_path / "two.onnx").read_bytes()
    model = onnx.load(tmp_path / "one.onnx")
    told = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(told["shapes"]) == list(SHAPES)
    assert told["fingerprint"] == "f" * 64
    assert told["opset"] == str(model.opset_import[0].version)
    assert "32x32" in told["preprocessing"]


def test_a_file_that_answers_otherwise_is_not_written(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved(tmp_path / "model", root)
    monkeypatch.setattr(onnx_export, "EPSILON", 1.0)
    with pytest.raises(AssertionError, match="answers otherwise"):
        export_onnx(tmp_path / "model", tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


def test_what_is_no_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds no network"):
        build_onnx(tmp_path)
