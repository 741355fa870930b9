"""The bytes of a `model.onnx` (see `onnx_file`): a graph with its metadata and its digest."""

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from strokewise.model.onnx_file import DIGEST_FIELD, NO_DIGEST
from strokewise.preprocessing.preprocess import PREPROCESSING_VERSION

if TYPE_CHECKING:
    from onnx import ModelProto

PREPROCESSING_TEXT = (
    "pictures: uint8 (N, {side}, {side}), 0 = bare paper, 255 = full ink, whatever the colours were. Crop to the ink. "
    "Take the second moments of its convex hull: along the shorter of the two axes that they have, stretch it by the "
    "square root of how many times (at most 9) the other is longer. Centre it in a square with a margin of 1/16 of "
    "its longer side, and scale it to {side}x{side} with anti-aliased lines at least 1/43 of the side wide. Whatever "
    "follows, such as the division by 255, is part of the graph."
)


def onnx_bytes(model: "ModelProto", shapes: tuple[str, ...], image_size: int, metadata: Mapping[str, str]) -> bytes:
    """The file of a graph from `pictures` to `probabilities`, with `metadata` and what every file has beside it."""
    from onnx import helper

    common = {
        "shapes": json.dumps(shapes, ensure_ascii=False),
        "preprocessing": PREPROCESSING_TEXT.format(side=image_size),
        "preprocessing_version": str(PREPROCESSING_VERSION),
    }
    helper.set_model_props(model, {**common, **metadata, "digest": NO_DIGEST.decode()})
    content: bytes = model.SerializeToString(deterministic=True)
    return content.replace(DIGEST_FIELD + NO_DIGEST, DIGEST_FIELD + hashlib.sha256(content).hexdigest().encode())
