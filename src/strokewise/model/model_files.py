"""A model folder ↔ a CNN: `model.safetensors` and `config.json` are enough to rebuild it. No pickle.

`model.onnx` beside them is the same network, for prediction.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError

from strokewise.errors import ModelError, ParamsError, one_line
from strokewise.model.cnn import CNN
from strokewise.model.config_file import read_config, read_model_file, write_config
from strokewise.model.layers import build_layers, count_parameters
from strokewise.model.onnx_export import write_onnx
from strokewise.params import NetworkParams

WEIGHTS_FILE = "model.safetensors"
WEIGHT_BYTES = 4  # of a float32; a file holds the running statistics as well


def save_model(
    cnn: CNN, folder: Path, config: dict[str, Any], outlines: Mapping[str, Mapping[str, str]] | None = None
) -> None:
    """Write `model.safetensors`, `config.json` and `model.onnx` into `folder`.

    Args:
        cnn: its `config` becomes what is written.
        folder: created if it does not exist. Not atomic: call it inside `atomic_io.atomic_replace`.
        config: fingerprint, training and the like. Shapes, image size, architecture, number of parameters and the
            weights' digest are added.
        outlines: the SVG text of every variant of every shape, which `model.onnx` holds.
    """
    folder.mkdir(parents=True, exist_ok=True)
    content = weights_bytes(cnn)
    (folder / WEIGHTS_FILE).write_bytes(content)
    full_config = {
        **config,
        "shapes": list(cnn.shapes),
        "image_size": cnn.image_size,
        "network": cnn.params.model_dump(),
        "parameters": count_parameters(cnn.layers),
        "weights": hashlib.sha256(content).hexdigest(),
    }
    cnn.config = write_config(folder, full_config)
    write_onnx(folder, outlines or {})


def weights_bytes(cnn: CNN) -> bytes:
    """The parameters and running statistics as the bytes of a safetensors file."""
    return safetensors.torch.save({name: value.cpu().contiguous() for name, value in cnn.state_dict().items()})


def load_model(folder: Path) -> CNN:
    """Rebuild the CNN of a model folder, in evaluation mode, with its `config`.

    Raises ModelError if the folder is missing, incomplete, damaged or of another version, before memory is taken for
    more than the weights in it.
    """
    config, content = read_config(folder), read_model_file(folder / WEIGHTS_FILE, "train")
    if hashlib.sha256(content).hexdigest() != config.get("weights"):
        raise ModelError(f"the weights in {folder} are not those that its config.json describes; train it again")
    try:
        params = NetworkParams.model_validate(config["network"])
        if WEIGHT_BYTES * count_parameters(build_layers(params, len(config["shapes"]))) > len(content):
            raise ValueError("config.json describes a larger network than the weights are for")
        with torch.random.fork_rng(devices=[]):  # do not advance the caller's random state
            cnn = CNN(config["shapes"], params)
        cnn.load_state_dict(safetensors.torch.load(content))
    except (KeyError, TypeError, ValueError, RuntimeError, SafetensorError, ParamsError) as error:
        raise ModelError(
            f"the model in {folder} is damaged or of another version: {one_line(error, 200)}; train it again"
        ) from None
    if not all(torch.isfinite(value).all() for value in cnn.state_dict().values()):
        raise ModelError(f"the model in {folder} holds weights that are no numbers; train it again")
    cnn.config = config
    return cnn.eval()
