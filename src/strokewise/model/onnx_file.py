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

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strokewise.errors import ModelError, one_line
from strokewise.model.config_file import check_shape_names, read_model_file
from strokewise.preprocessing.preprocess import PREPROCESSING_VERSION

ONNX_FILE = "model.onnx"  # in a model folder
BATCH = 64  # pictures a call of ONNX Runtime
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
        probabilities = np.empty((len(pictures), len(self.shapes)), np.float32)
        for start in range(0, len(pictures), BATCH):
            batch = np.ascontiguousarray(pictures[start : start + BATCH])
            probabilities[start : start + BATCH] = self.session.run(["probabilities"], {"pictures": batch})[0]
        if not np.isfinite(probabilities).all():
            raise ModelError(
                "the model answers with something that is no number: its weights are damaged; train it again"
            )
        return probabilities


def load_onnx(path: Path, stage: str = "train") -> OnnxModel:
    """Load a model from its file, or from the model folder that holds it; `stage` makes it, for messages.

    Raises ModelError if there is none, or if it is damaged, not of strokewise or of another version.
    """
    file = path if path.suffix == ".onnx" and not path.is_dir() else path / ONNX_FILE
    return open_onnx(read_model_file(file, stage), file)


def open_onnx(content: bytes, file: Path) -> OnnxModel:
    """The model in a file's bytes; `file` names it in messages. Raises ModelError as `load_onnx` does."""
    import onnxruntime

    _check_digest(content, file)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # the same sums in the same order everywhere
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's own, of many kinds
        raise ModelError(f"{file} cannot be run: {one_line(error, 120)}; train it again") from None
    metadata = session.get_modelmeta().custom_metadata_map
    if metadata.get("preprocessing_version") != str(PREPROCESSING_VERSION):
        raise ModelError(
            f"{file} was trained with version {metadata.get('preprocessing_version')} of the preprocessing, this is "
            f"version {PREPROCESSING_VERSION}; train it again, or use the strokewise that it was made with"
        )
    try:
        shapes = check_shape_names(json.loads(metadata["shapes"]))
    except (KeyError, ValueError, RecursionError) as error:
        raise ModelError(f"{file} is no model of strokewise: {one_line(error, 120)}; train it again") from None
    return OnnxModel(shapes, session.get_inputs()[0].shape[1], metadata, content, session)


def _check_digest(content: bytes, file: Path) -> None:
    before, field, rest = content.rpartition(DIGEST_FIELD)
    digest = rest[: len(NO_DIGEST)]
    if not field:
        raise ModelError(f"{file} is no model that this version of strokewise wrote; train it again")
    blank = before + field + NO_DIGEST + rest[len(NO_DIGEST) :]
    if hashlib.sha256(blank).hexdigest().encode() != digest:
        raise ModelError(f"{file} is damaged: its content does not match its digest; train it again, or get it again")
