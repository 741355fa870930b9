"""A model → the one file that the JavaScript runtime reads (`model_file.js`): description, outlines and weights.

The file is in the safetensors format, with the description as JSON under `model` in its metadata. Weights are int8,
each filter with a scale of its own, or float16; what is added rather than multiplied is float32.
"""

import dataclasses
import json
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from strokewise.geometry.path_data import write_path
from strokewise.geometry.template import ShapeTemplates, Template, load_templates
from strokewise.model.layers import Layer, build_layers, group_norm_groups
from strokewise.model.onnx_file import OnnxModel
from strokewise.model.tta import INK_GAIN, TTA_ANGLES
from strokewise.preprocessing.preprocess import PREPROCESSING_VERSION
from strokewise.web.onnx_network import FloatArrays, read_network

FORMAT_VERSION = 1  # of the description; the runtime refuses another
INT8_MAX = 127
PATH_DIGITS = 4  # decimals of an outline's coordinates, of which plain SVG has at most as many
WeightType = Literal["int8", "float16", "float32"]


def model_bytes(model: OnnxModel, weight_type: WeightType = "int8") -> bytes:
    """The file for the JavaScript runtime; the same model gives the same bytes.

    Raises ModelError if the model is no CNN.
    """
    return pack_model(*describe_model(model), weight_type)


def describe_model(model: OnnxModel) -> tuple[dict[str, Any], FloatArrays]:
    """A model's description for the runtime, and its weights by layer and part. Raises ModelError if it is no CNN."""
    params, weights = read_network(model.content, len(model.shapes))
    layers = [_describe_layer(layer) for layer in build_layers(params, len(model.shapes))]
    description: dict[str, Any] = {
        "format": FORMAT_VERSION,
        "shapes": model.shapes,
        "image_size": model.image_size,
        "preprocessing_version": PREPROCESSING_VERSION,
        "fingerprint": model.metadata.get("fingerprint", ""),
        "tta_angles": TTA_ANGLES,
        "ink_gain": INK_GAIN,
        "activation": params.activation,
        "pooling": params.pooling,
        "normalisation": params.normalisation,
        "layers": layers,
        "outlines": describe_outlines(read_templates(model)),
    }
    return description, weights


def _describe_layer(layer: Layer) -> dict[str, Any]:
    """All of a layer but its costs."""
    fields = {**dataclasses.asdict(layer), "groups": group_norm_groups(layer.output_size[0])}
    return {name: value for name, value in fields.items() if name not in ("parameters", "multiply_adds")}


def read_templates(model: OnnxModel) -> ShapeTemplates:
    """The outlines that a model carries; none where it has none, as those of older versions."""
    return load_templates(json.loads(model.metadata.get("outlines") or "{}"))


def describe_outlines(templates: ShapeTemplates) -> dict[str, dict[str, Any]]:
    """What the runtime lays over ink, as JSON: shape → variant → its path, and what takes long to find out there.

    `family` is the variant that stands for all that differ by what their fit leaves free.
    """
    return {
        shape: {
            template.variant: {
                "fit": template.fit,
                "mirror": template.mirror,
                "plain": template.is_plain,
                "family": template.relatives[0].variant,
                "path": write_path(template.subpaths, PATH_DIGITS),
                **({"points": points} if (points := _points_by_name(template)) else {}),
            }
            for template in variants
        }
        for shape, variants in templates.items()
    }


def _points_by_name(template: Template) -> dict[str, list[float]]:
    return {name: point.tolist() for name, point in template.named_points.items()}


def pack_model(description: dict[str, Any], weights: FloatArrays, weight_type: WeightType) -> bytes:
    """A file with this description and these weights, by layer and part."""
    import safetensors.numpy

    tensors: dict[str, NDArray[Any]] = {}
    for name, value in weights.items():
        if value.ndim == 1 or weight_type == "float32":
            tensors[name] = value
        elif weight_type == "float16":
            tensors[name] = value.astype(np.float16)
        else:
            tensors[name], tensors[f"{name}.scale"] = quantise(value)
    text = json.dumps(description, ensure_ascii=False, separators=(",", ":"))
    content: bytes = safetensors.numpy.save(dict(sorted(tensors.items())), metadata={"model": text})
    return content


def quantise(weight: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """A weight (maps, ...) as int8 of the same shape, and the scale (maps,) that each map's is multiplied by."""
    largest = np.abs(weight).max(axis=tuple(range(1, weight.ndim)))
    scale = np.where(largest > 0, largest / INT8_MAX, 1).astype(np.float32)
    quantised = np.rint(weight / scale.reshape(-1, *[1] * (weight.ndim - 1)))
    return quantised.astype(np.int8), scale
