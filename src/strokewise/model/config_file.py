"""`config.json` of a model folder: part of the model, so it is written with a digest and checked whenever it is read.

The digest covers the whole file but itself, and with it the weights, whose digest it holds. No torch here.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from strokewise.code_digest import json_digest
from strokewise.errors import ModelError, one_line
from strokewise.support import atomic_io

CONFIG_FILE = "config.json"
MAX_CONFIG_BYTES = 2**20
MAX_MODEL_BYTES = 2**28  # of weights or of model.onnx
MAX_SHAPES, MAX_NAME_LENGTH = 1000, 100


def write_config(folder: Path, config: dict[str, Any]) -> dict[str, Any]:
    """Write `config.json` with its digest; returns its content."""
    content = {**config, "digest": _digest(config)}
    atomic_io.write_json(folder / CONFIG_FILE, content)
    return content


def read_config(folder: Path, stage: str = "train") -> dict[str, Any]:
    """Read and check `config.json`; `stage` writes it, for messages.

    Raises ModelError if it is missing, too large, no JSON object, or not what was written, and for names of shapes that
    cannot be.
    """
    content = read_model_file(folder / CONFIG_FILE, stage, MAX_CONFIG_BYTES)
    try:
        config = json.loads(content)
        if not isinstance(config, dict) or config.get("digest") != _digest(config):
            raise ValueError("it is not as it was written")
        check_shape_names(config["shapes"])
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ModelError(
            f"{folder / CONFIG_FILE} is damaged or of another version: {one_line(error, 120)}; run `strokewise {stage}`"
        ) from None
    return config


def check_shape_names(names: Sequence[Any]) -> tuple[str, ...]:
    """The names as a tuple. Raises ValueError unless they are different, printable and not too many."""
    if not isinstance(names, list | tuple) or not 0 < len(names) <= MAX_SHAPES:
        raise ValueError(f"the shapes are no list of 1 to {MAX_SHAPES:,} names")
    if not all(isinstance(name, str) and name.isprintable() and 0 < len(name) <= MAX_NAME_LENGTH for name in names):
        raise ValueError("a shape's name is no printable text")
    if len(set(names)) < len(names):
        raise ValueError("two shapes have the same name")
    return tuple(names)


def read_model_file(path: Path, stage: str, limit: int = MAX_MODEL_BYTES) -> bytes:
    """The bytes of a file of a model folder; `stage` writes it, for messages.

    Raises ModelError if it is missing, no regular file (a pipe would block) or larger than `limit` bytes.
    """
    try:
        if not path.is_file():
            problem = f"{path.name} is no file" if path.exists() else f"{path.name} is missing"
            raise ModelError(f"no model in {path.parent}: {problem}; run `strokewise {stage}`, or name what it wrote")
        if (size := path.stat().st_size) > limit:
            raise ModelError(f"{path} has {size:,} bytes, {limit:,} are allowed; run `strokewise {stage}`")
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}; run `strokewise {stage}`") from None


def _digest(config: dict[str, Any]) -> str:
    return json_digest({name: value for name, value in config.items() if name != "digest"})
