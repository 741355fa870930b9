"""A model folder -> a folder that MLflow can load and serve anywhere, without strokewise's source on the path.

Models from code: `serving.py`, the model folder with its safetensors or ONNX, and the source files that these need
are put side by side; there is no pickle. The requirements are the versions installed here, written out.
"""

import base64
import json
import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from strokewise import exported, pictures, sources
from strokewise.registry.state import Made

if TYPE_CHECKING:
    from mlflow.models import Model

SERVING = Path(__file__).with_name("serving.py")
ARTIFACT = "artifacts/model"  # where a packed folder holds the model folder
EXPORT = "model.onnx"  # in the packed folder, beside MLmodel: the same network for runtimes without Python
CODE = {"cnn": ("network", "pictures"), "baseline": ("learn.flat", "pictures")}
REQUIRED = {
    "cnn": ("numpy", "opencv-python-headless", "pydantic", "ruamel.yaml", "safetensors", "torch"),
    "baseline": ("numpy", "onnxruntime", "opencv-python-headless", "pydantic", "ruamel.yaml", "tqdm"),
}


def pack(made: Made, example: NDArray[np.uint8], folder: Path, description: "Model") -> None:
    """Write `made` as MLflow's model folder `folder`, described by `description`, which is completed.

    `example` is a scene, uint8 (H, W) or (H, W, 3), and becomes the input example as a base64 PNG. It is written here,
    as MLflow would run the model on it, and torch takes seconds to import.
    """
    import mlflow.pyfunc

    with tempfile.TemporaryDirectory() as scratch:
        mlflow.pyfunc.save_model(
            folder,
            python_model=str(SERVING),
            artifacts={"model": str(_plain(made.folder, Path(scratch) / "model"))},
            code_paths=[str(_code(made.kind, Path(scratch) / "strokewise"))],
            pip_requirements=requirements(made.kind),
            mlflow_model=description,
        )
    inputs = [base64.b64encode(pictures.encode(example)).decode()]
    (folder / "input_example.json").write_text(json.dumps(inputs), encoding="utf-8")
    (folder / "serving_input_example.json").write_text(json.dumps({"inputs": inputs}, indent=2), encoding="utf-8")
    description.saved_input_example_info = {
        "artifact_path": "input_example.json",
        "serving_input_path": "serving_input_example.json",
        "type": "json_object",
    }
    description.save(str(folder / "MLmodel"))
    if made.kind == "cnn":
        (folder / EXPORT).write_bytes(exported.build(made.folder))
    for compiled in folder.rglob("__pycache__"):
        shutil.rmtree(compiled)


def requirements(kind: str) -> list[str]:
    """What a packed model needs, each pinned to the version installed here; a build's mark (+cpu) is left out."""
    return [f"{name}=={version(name).partition('+')[0]}" for name in ("mlflow", *REQUIRED[kind])]


def _plain(folder: Path, copy: Path) -> Path:
    """The model folder's own files under the name that `ARTIFACT` has."""
    copy.mkdir()
    for path in folder.iterdir():
        if path.is_file():
            shutil.copyfile(path, copy / path.name)  # without DVC's permissions or links
    return copy


def _code(kind: str, package: Path) -> Path:
    """A package of only the files that the model runs."""
    for path in sources.closure(*CODE[kind], exempt=()):  # what decides nothing is imported too
        copy = package / path.relative_to(sources.PACKAGE)
        copy.parent.mkdir(parents=True, exist_ok=True)
        (copy.parent / "__init__.py").touch()
        shutil.copyfile(path, copy)
    (package / "__init__.py").touch()
    return package
