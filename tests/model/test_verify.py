"""A model folder whose files do not belong together is refused, whichever of them it is."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from strokewise.errors import ModelError
from strokewise.model.config_file import write_config
from strokewise.model.onnx_file import DIGEST_FIELD, NO_DIGEST
from strokewise.model.verify import verify_model

States = Callable[..., Path]


@pytest.fixture
def data(states: States, tmp_path: Path) -> Path:
    shutil.copytree(states() / "data", tmp_path / "data")
    return tmp_path / "data"


def test_complete_folders_are_verified(data: Path) -> None:
    assert verify_model(data / "model", "cnn")["shapes"] == verify_model(data / "baseline", "baseline")["shapes"]


@pytest.mark.parametrize(
    "file", ["model/model.safetensors", "model/model.onnx", "model/config.json", "model/history.csv"]
)
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


@pytest.mark.parametrize("file", ["model.safetensors", "model.onnx", "config.json", "history.csv"])
def test_missing_file_is_named(file: str, data: Path) -> None:
    (data / "model" / file).unlink()
    with pytest.raises(ModelError, match=f"{file} is missing; run `strokewise train`"):
        verify_model(data / "model", "cnn")


def reseal(folder: Path, change: Callable[[dict[str, np.ndarray]], object], onnx_too: bool) -> None:
    """Change the weights of a CNN and make the digests right, as a stranger would; those in model.onnx, too, or not."""
    config = json.loads((folder / "config.json").read_text())
    tensors = {name: value.copy() for name, value in safetensors.numpy.load_file(folder / "model.safetensors").items()}
    change(tensors)
    safetensors.numpy.save_file(tensors, folder / "model.safetensors")
    old, new = config["weights"], hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    write_config(folder, {name: value for name, value in config.items() if name != "digest"} | {"weights": new})
    if onnx_too:
        content = (folder / "model.onnx").read_bytes().replace(old.encode(), new.encode())
        before, field, rest = content.rpartition(DIGEST_FIELD)
        blank = before + field + NO_DIGEST + rest[len(NO_DIGEST) :]
        digest = hashlib.sha256(blank).hexdigest().encode()
        (folder / "model.onnx").write_bytes(before + field + digest + rest[len(NO_DIGEST) :])


def spoil(value: float) -> Callable[[dict[str, np.ndarray]], object]:
    """Set the last weight of the first tensor of floats to `value`."""

    def change(tensors: dict[str, np.ndarray]) -> None:
        next(tensor for _, tensor in sorted(tensors.items()) if tensor.dtype.kind == "f").flat[-1] = value

    return change


@pytest.mark.parametrize(("folder", "kind"), [("model", "cnn"), ("baseline", "baseline")])
@pytest.mark.parametrize("change", [{"fingerprint": "0" * 64}, {"shapes": ["a", "b", "c"]}], ids=str)
def test_config_of_another_model_is_found_though_it_names_these_weights(
    change: dict[str, object], folder: str, kind: str, data: Path
) -> None:
    config = json.loads((data / folder / "config.json").read_text())
    write_config(data / folder, {name: value for name, value in config.items() if name != "digest"} | change)
    with pytest.raises(ModelError, match=r"model.onnx is of another model than config.json"):
        verify_model(data / folder, kind)


def test_network_of_other_weights_is_found_though_all_else_is_the_same(data: Path) -> None:
    reseal(data / "model", spoil(0.5), onnx_too=False)
    with pytest.raises(ModelError, match=r"model.onnx has other weights than"):
        verify_model(data / "model", "cnn")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_no_numbers_are_found_though_every_digest_is_right(value: float, data: Path) -> None:
    reseal(data / "model", spoil(0.5), onnx_too=True)
    verify_model(data / "model", "cnn")
    reseal(data / "model", spoil(value), onnx_too=True)
    with pytest.raises(ModelError, match="holds weights that are no numbers"):
        verify_model(data / "model", "cnn")
