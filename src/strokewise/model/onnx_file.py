"""A model as one file, `model.onnx`, in ONNX Runtime: pictures → probabilities. The CNN and the baseline are such.

    pictures uint8 (N, G, G), 0 = bare paper, 255 = full ink → probabilities float32 (N, C), each row summing to 1

The file is all that prediction needs. Its metadata, text by name:

    shapes                  the names of the classes by label, JSON
    preprocessing           how to make the pictures, in words
    preprocessing_version   the same for `preprocess`: another version makes other pictures
    fingerprint             of everything that decided the model
    digest                  SHA-256 of the file with zeros in the digest's place

The CNN's file also has `outlines` (the SVG files as JSON: shape → variant → text), `weights` (their digest) and
`opset`, the baseline's `choice` (the name of the estimator).
"""

import functools
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strokewise.errors import ModelError, one_line
from strokewise.model.config_file import check_shape_names, read_model_file
from strokewise.model.onnx_structure import check_structure
from strokewise.preprocessing.preprocess import PREPROCESSING_VERSION

ONNX_FILE = "model.onnx"  # in a model folder
BATCH = 64  # pictures a call of ONNX Runtime
MAX_IMAGE_SIZE = 1024  # of network.image_size
MEMORY_BYTES = 2**30, 2**27  # that all models of a process may take together: in any case, and for each core
SILENT = 4  # severity of what ONNX Runtime prints by itself: fatal errors alone
NO_DIGEST = b"0" * 64
DIGEST_FIELD = b"\x0a\x06digest\x12\x40"  # of the protocol buffer: a key of 6 bytes, a value of 64


@dataclass(frozen=True)
class OnnxModel:
    """A loaded model."""

    shapes: tuple[str, ...]
    """By label."""
    image_size: int
    """G, the side of a picture in pixels."""
    metadata: Mapping[str, str]
    content: bytes
    """The file."""
    session: Any
    """onnxruntime.InferenceSession."""

    def predict_proba(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """uint8 (N, G, G) → float32 (N, C). Raises ModelError for pictures of another size, or no numbers."""
        side = self.image_size
        if pictures.ndim != 3 or pictures.shape[1:] != (side, side):
            raise ModelError(
                f"pictures of shape {pictures.shape} do not fit a model of image_size {side}; give (N, {side}, {side})"
            )
        parts = [self._run(pictures[start : start + BATCH]) for start in range(0, len(pictures), BATCH)]
        probabilities = np.concatenate(parts) if parts else np.empty((0, len(self.shapes)), np.float32)
        if not np.isfinite(probabilities).all():
            raise ModelError(
                "the model answers with something that is no number: its weights are damaged; train it again"
            )
        return probabilities

    def _run(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """A call of ONNX Runtime, or several where its memory does not suffice for all pictures at once."""
        try:
            rows = self.session.run(["probabilities"], {"pictures": np.ascontiguousarray(pictures)})[0]
        except Exception as error:  # ONNX Runtime's own, of many kinds
            if "memory" in str(error) and len(pictures) > 1:
                half = len(pictures) // 2
                return np.concatenate([self._run(pictures[:half]), self._run(pictures[half:])])
            if "memory" in str(error):
                raise ModelError(
                    f"the model takes more than {_memory_limit():,} bytes for a picture; train a smaller one"
                ) from None
            raise ModelError(f"the model cannot be run: {_shorten(error)}; train it again") from None
        if rows.shape != (len(pictures), len(self.shapes)):
            raise ModelError(f"the model answers with {rows.shape}, not a row of {len(self.shapes)} a picture")
        return np.asarray(rows, np.float32)


def load_onnx(path: Path, stage: str = "train") -> OnnxModel:
    """Load a model from its file, or from the model folder that holds it; `stage` makes it, for messages.

    Raises ModelError if there is none, or if it is damaged, not of strokewise or of another version.
    """
    file = path if path.suffix == ".onnx" and not path.is_dir() else path / ONNX_FILE
    return open_onnx(read_model_file(file, stage), file)


def open_onnx(content: bytes, file: Path) -> OnnxModel:
    """The model in a file's bytes; `file` names it in messages. Raises ModelError as `load_onnx` does."""
    _check_digest(content, file)
    try:
        check_structure(content)
        session = _start_session(content)
        metadata = session.get_modelmeta().custom_metadata_map
        image_size = _image_size(session)
    except Exception as error:  # ONNX Runtime's own, of many kinds, or text in a file that is none
        raise ModelError(f"{file} cannot be run: {_shorten(error)}; train it again") from None
    if metadata.get("preprocessing_version") != str(PREPROCESSING_VERSION):
        raise ModelError(
            f"{file} was trained with version {metadata.get('preprocessing_version')} of the preprocessing, this is "
            f"version {PREPROCESSING_VERSION}; train it again, or use the strokewise that it was made with"
        )
    try:
        shapes = check_shape_names(json.loads(metadata["shapes"]))
    except (KeyError, ValueError, RecursionError) as error:
        raise ModelError(f"{file} is no model of strokewise: {one_line(error, 120)}; train it again") from None
    return OnnxModel(shapes, image_size, metadata, content, session)


def _start_session(content: bytes) -> Any:
    """An onnxruntime.InferenceSession. Nothing is computed before it runs, and then within `MEMORY_BYTES`."""
    import onnxruntime

    _limit_memory()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # the same sums in the same order everywhere
    options.add_session_config_entry("session.use_env_allocators", "1")
    options.log_severity_level = SILENT
    return onnxruntime.InferenceSession(
        content,
        options,
        providers=["CPUExecutionProvider"],
        disabled_optimizers=["ConstantFolding"],
        enable_fallback=0,  # it would print the error and try the same again
    )


@functools.cache
def _limit_memory() -> None:
    """Give ONNX Runtime's sessions one allocator that refuses what exceeds `MEMORY_BYTES`."""
    import onnxruntime

    kind = onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR
    place = onnxruntime.OrtMemoryInfo("Cpu", kind, 0, onnxruntime.OrtMemType.DEFAULT)
    limits = onnxruntime.OrtArenaCfg(_memory_limit(), 1, -1, -1)  # -1: its defaults
    onnxruntime.create_and_register_allocator(place, limits)


def _memory_limit() -> int:
    fixed, per_core = MEMORY_BYTES
    return fixed + per_core * (os.cpu_count() or 1)


def _image_size(session: Any) -> int:
    """G, if the model takes `pictures` uint8 (N, G, G) and answers with `probabilities`. Raises ValueError if not."""
    inputs = [(value.name, value.type, len(value.shape)) for value in session.get_inputs()]
    outputs = [(value.name, value.type) for value in session.get_outputs()]
    if inputs != [("pictures", "tensor(uint8)", 3)] or outputs != [("probabilities", "tensor(float)")]:
        raise ValueError("it does not turn pictures into probabilities")
    _, height, width = session.get_inputs()[0].shape
    if not isinstance(height, int) or height != width or not 0 < height <= MAX_IMAGE_SIZE:
        raise ValueError(f"its pictures are no squares of 1 to {MAX_IMAGE_SIZE:,} pixels")
    return height


def _shorten(error: Exception) -> str:
    return one_line(error, 120)


def _check_digest(content: bytes, file: Path) -> None:
    before, field, rest = content.rpartition(DIGEST_FIELD)
    digest = rest[: len(NO_DIGEST)]
    if not field:
        raise ModelError(f"{file} is no model that this version of strokewise wrote; train it again")
    blank = before + field + NO_DIGEST + rest[len(NO_DIGEST) :]
    if hashlib.sha256(blank).hexdigest().encode() != digest:
        raise ModelError(f"{file} is damaged: its content does not match its digest; train it again, or get it again")
