"""Whether the files of a model folder belong together and are what was written: before anything is made of them."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError

from strokewise.errors import ModelError
from strokewise.model.config_file import read_config, read_model_file
from strokewise.model.onnx_file import load_onnx
from strokewise.support.paths import HISTORY_FILE

WEIGHT_FILES = {"cnn": "model.safetensors", "baseline": "model.onnx"}  # by kind of model
TRAINING_STAGES = {"cnn": "train", "baseline": "baseline"}  # the stage that makes a model, by kind


def verify_model(folder: Path, kind: str) -> dict[str, Any]:
    """The content of `config.json`, once the weights and `model.onnx` are those that it describes.

    Args:
        folder: of a model.
        kind: "cnn" or "baseline".

    Raises ModelError, which names the file, if one is missing, damaged or of another model, or if a weight is none.
    """
    stage = TRAINING_STAGES[kind]
    config = read_config(folder, stage)
    weights = folder / WEIGHT_FILES[kind]
    content = read_model_file(weights, stage)
    if hashlib.sha256(content).hexdigest() != config.get("weights"):
        raise ModelError(f"{weights} is not what config.json describes: it is damaged; run `strokewise {stage}`")
    if "history" in config:
        history = folder / HISTORY_FILE
        if hashlib.sha256(read_model_file(history, stage)).hexdigest() != config["history"]:
            raise ModelError(f"{history} is not what config.json describes: it is damaged; run `strokewise {stage}`")
    onnx = load_onnx(folder, stage)
    described = (config.get("fingerprint"), tuple(config["shapes"]))
    if (onnx.metadata.get("fingerprint"), onnx.shapes) != described:
        raise ModelError(f"{folder / 'model.onnx'} is of another model than config.json; run `strokewise {stage}`")
    if kind == "cnn":
        if onnx.metadata.get("weights") != config["weights"]:
            raise ModelError(f"{folder / 'model.onnx'} has other weights than {weights}; run `strokewise {stage}`")
        try:
            tensors = safetensors.numpy.load(content)
        except (SafetensorError, ValueError, KeyError) as error:
            raise ModelError(f"{weights} cannot be read: {error}; run `strokewise {stage}`") from None
        if not all(np.isfinite(value).all() for value in tensors.values() if value.dtype.kind == "f"):
            raise ModelError(f"{weights} holds weights that are no numbers; run `strokewise {stage}`")
    return config
