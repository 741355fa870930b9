"""A model folder whose files do not belong together is refused, whichever of them it is."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from strokewise.errors import ModelError
from strokewise.model.verify import verify_model

States = Callable[..., Path]


@pytest.fixture
def data(states: States, tmp_path: Path) -> Path:
    shutil.copytree(states() / "data", tmp_path / "data")
    return tmp_path / "data"


def test_complete_folders_are_verified(data: Path) -> None:
    assert verify_model(data / "model", "cnn")["shapes"] == verify_model(data / "baseline", "baseline")["shapes"]


@pytest.mark.parametrize("file", ["model/model.safetensors", "model/model.onnx", "model/config.json"])
@pytest.mark.parametrize("at", [0.02, 0.5, 0.97])
def test_flipped_bit_in_any_file_is_found(file: str, at: float, data: Path) -> None:
    content = bytearray((data / file).read_bytes())
    content[int(at * len(content))] ^= 1
    (data / file).write_bytes(content)
    with pytest.raises(ModelError):
        verify_model(data / "model", "cnn")


@pytest.mark.parametrize("file", ["model.onnx", "config.json"])
def test_truncated_baseline_is_found(file: str, data: Path) -> None:
    path = data / "baseline" / file
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ModelError, match="strokewise baseline"):
        verify_model(data / "baseline", "baseline")


@pytest.mark.parametrize("file", ["model.safetensors", "model.onnx", "config.json"])
def test_file_of_another_model_is_found(file: str, data: Path, states: States) -> None:
    shutil.copyfile(states(seed=1) / "data/model" / file, data / "model" / file)
    with pytest.raises(ModelError, match=r"is of another model|is not what config.json describes|has other weights"):
        verify_model(data / "model", "cnn")


@pytest.mark.parametrize("file", ["model.safetensors", "model.onnx", "config.json"])
def test_missing_file_is_named(file: str, data: Path) -> None:
    (data / "model" / file).unlink()
    with pytest.raises(ModelError, match=f"{file} is missing; run `strokewise train`"):
        verify_model(data / "model", "cnn")
