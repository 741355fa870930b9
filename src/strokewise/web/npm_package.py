"""A model → a complete npm package: one ES module, its types, the weights, a README with the model card, its test."""

import gzip
import json
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from string import Template as TextTemplate
from typing import Any

import strokewise
from strokewise.data.shapes import OTHER
from strokewise.errors import UserError
from strokewise.model.onnx_file import OnnxModel
from strokewise.support.atomic_io import atomic_replace
from strokewise.web.bundle import WEB_DIR, join_modules
from strokewise.web.model_bytes import WeightType, model_bytes, read_templates

Drawing = list[list[list[float]]]  # strokes of points [x, y]

PACKAGE_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,213}")  # npm's rules for new packages, without a scope
RESERVED_NAMES = {"node_modules", "favicon.ico"}
PACKAGE_FILES_DIR = WEB_DIR / "package"  # what is copied into every package
PLAIN_DRAWINGS = {"circle": 40, "triangle": 3, "square": 4, "hexagon": 6}  # corners on a circle
LICENSE_LINE = (
    "/* The runtime of strokewise {version}, made by `strokewise export --npm`. MIT License, © its authors. */"
)


class PackageError(UserError):
    """An npm package cannot be written into a folder."""


def check_package_folder(folder: Path) -> str:
    """The name of the package that would be written into `folder`. Raises PackageError where it cannot be."""
    name = folder.resolve().name
    if not PACKAGE_NAME.fullmatch(name) or name in RESERVED_NAMES:
        raise PackageError(
            f"{folder}: the package is called as its folder, and npm takes no package {name!r}; use small letters, "
            "digits, - . and _, beginning with a letter or digit, and at most 214 of them"
        )
    if folder.is_symlink() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir()))):
        raise PackageError(f"{folder} exists already; name a folder that does not exist yet, or an empty one")
    return name


def write_package(
    folder: Path,
    model: OnnxModel,
    card: str,
    answer: Callable[[Drawing], dict[str, Any]],
    weight_type: WeightType = "int8",
) -> None:
    """Write the package of a model into a new folder, whose name is the package's.

    Args:
        folder: does not exist yet, or is empty. After an error it is as before.
        model: is written.
        card: what the README says of the model, Markdown.
        answer: what Python says of a drawing: `Prediction.to_dict`, with its geometry. The package's test compares it.
        weight_type: of the weights that are multiplied.

    Raises PackageError if the folder cannot be used, ModelError if the model is no CNN.
    """
    name = check_package_folder(folder)
    weights = model_bytes(model, weight_type)
    fingerprint = model.metadata.get("fingerprint", "")
    module = LICENSE_LINE.format(version=strokewise.__version__) + "\n\n" + join_modules()
    drawings = [{"title": title, "strokes": drawing, **answer(drawing)} for title, drawing in _example_drawings(model)]
    fill_in = {
        "name": name,
        "shapes": ", ".join(shape for shape in model.shapes if shape != OTHER),
        "code_kb": str(math.ceil(len(gzip.compress(module.encode(), mtime=0)) / 1000)),
        "weights_kb": str(math.ceil(len(weights) / 1000)),
        "card": card,
    }
    with atomic_replace(folder) as fresh:
        fresh.mkdir()
        (fresh / "index.js").write_text(module, encoding="utf-8")
        (fresh / "model.safetensors").write_bytes(weights)
        for source in sorted(PACKAGE_FILES_DIR.iterdir()):
            text = source.read_text(encoding="utf-8")
            if source.name == "README.md":
                text = TextTemplate(text).substitute(fill_in)
            (fresh / source.name).write_text(text, encoding="utf-8")
        _write_json_file(fresh / "package.json", _package_json(name, fingerprint))
        _write_json_file(fresh / "vectors.json", {"name": name, "shapes": list(model.shapes), "drawings": drawings})


def _write_json_file(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _package_json(name: str, fingerprint: str) -> dict[str, Any]:
    return {
        "name": name,
        "version": "1.0.0",
        "description": "Recognises hand-drawn shapes in strokes or pixels, and gives back the clean shape.",
        "type": "module",
        "main": "./index.js",
        "types": "./index.d.ts",
        "exports": {
            ".": {"types": "./index.d.ts", "default": "./index.js"},
            "./model.safetensors": "./model.safetensors",
            "./package.json": "./package.json",
        },
        "files": ["index.js", "index.d.ts", "model.safetensors", "test.js", "vectors.json"],
        "scripts": {"test": "node --test"},
        "engines": {"node": ">=18"},
        "sideEffects": False,
        "license": "MIT",
        "keywords": ["hand-drawn shapes", "sketch recognition", "canvas", "whiteboard"],
        "strokewise": {"version": strokewise.__version__, "fingerprint": fingerprint},
    }


def model_card(model: OnnxModel, title: str) -> str:
    """What is known of a model that has no card of its own; `title` is what it is, in words."""
    return (
        f"This is {title}: a CNN for {', '.join(model.shapes)}, trained on synthetic paintings of outlines by "
        f"strokewise {strokewise.__version__}. `{OTHER}` is what is none of the shapes.\n\n"
        "It gives one answer for a whole drawing, and calls what is nearly a shape by what it resembles most.\n\n"
        f"    fingerprint  {model.metadata.get('fingerprint') or 'unknown'}"
    )


def _example_drawings(model: OnnxModel) -> Iterator[tuple[str, Drawing]]:
    """Drawings with their titles: plain ones, and an outline of every shape."""
    for title, corners in PLAIN_DRAWINGS.items():
        yield title, [_regular_polygon(corners)]
    for shape, templates in read_templates(model).items():
        yield f"the outline of {shape}", [(100 * line).round(1).tolist() for line in templates[0].lines]


def _regular_polygon(corners: int) -> list[list[float]]:
    angles = [2 * math.pi * corner / corners for corner in range(corners + 1)]
    return [[round(100 * math.cos(angle), 1), round(80 * math.sin(angle), 1)] for angle in angles]
