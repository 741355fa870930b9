"""A model folder -> a folder that MLflow can load and serve anywhere, without strokewise's source on the path.

Models from code: `pyfunc_model.py`, the model folder with its safetensors or ONNX, and the source files that these need
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

from strokewise import code_digest
from strokewise.data.png import encode_png
from strokewise.model.onnx_export import build_onnx

if TYPE_CHECKING:
    from mlflow.models import Model

PYFUNC_FILE = Path(__file__).with_name("pyfunc_model.py")
MODEL_ARTIFACT = "artifacts/model"  # where a packed folder holds the model folder
ONNX_ARTIFACT = "model.onnx"  # in the packed folder, beside MLmodel: the same network for runtimes without Python
WEIGHT_FILES = {"cnn": "model.safetensors", "baseline": "model.onnx"}
PACKED_MODULES = {
    "cnn": ("model.inference", "model.model_files", "preprocessing.preprocess"),
    "baseline": ("baseline.estimator", "preprocessing.preprocess"),
}
PACKED_REQUIREMENTS = {
    "cnn": ("numpy", "opencv-python-headless", "pydantic", "ruamel.yaml", "safetensors", "torch"),
    "baseline": ("numpy", "onnxruntime", "opencv-python-headless", "pydantic", "ruamel.yaml", "tqdm"),
}


def package_model(model: Path, kind: str, example: NDArray[np.uint8], folder: Path, description: "Model") -> None:
    """Write the model folder `model` of a `kind` (cnn or baseline) as MLflow's model folder `folder`, described by `description`, which is completed.

    `example` is a scene, uint8 (H, W) or (H, W, 3), and becomes the input example as a base64 PNG. It is written here,
    as MLflow would run the model on it, and torch takes seconds to import.
    """
    import mlflow.pyfunc

    with tempfile.TemporaryDirectory() as scratch:
        mlflow.pyfunc.save_model(
            folder,
            python_model=str(PYFUNC_FILE),
            artifacts={"model": str(_copy_model(model, Path(scratch) / "model"))},
            code_paths=[str(_copy_code(kind, Path(scratch) / "strokewise"))],
            pip_requirements=pinned_requirements(kind),
            mlflow_model=description,
        )
    inputs = [base64.b64encode(encode_png(example)).decode()]
    (folder / "input_example.json").write_text(json.dumps(inputs), encoding="utf-8")
    (folder / "serving_input_example.json").write_text(json.dumps({"inputs": inputs}, indent=2), encoding="utf-8")
    description.saved_input_example_info = {
        "artifact_path": "input_example.json",
        "serving_input_path": "serving_input_example.json",
        "type": "json_object",
    }
    description.save(str(folder / "MLmodel"))
    if kind == "cnn":
        (folder / ONNX_ARTIFACT).write_bytes(build_onnx(model))
    for compiled in folder.rglob("__pycache__"):
        shutil.rmtree(compiled)


def model_kind(folder: Path) -> str | None:
    """`cnn` or `baseline` by the weights in a model folder; None if it holds neither."""
    return next((kind for kind, name in WEIGHT_FILES.items() if (folder / name).is_file()), None)


def pinned_requirements(kind: str) -> list[str]:
    """What a packed model needs, each pinned to the version installed here; a build's mark (+cpu) is left out."""
    return [f"{name}=={version(name).partition('+')[0]}" for name in ("mlflow", *PACKED_REQUIREMENTS[kind])]


def _copy_model(folder: Path, copy: Path) -> Path:
    """The model folder's own files under the name that `MODEL_ARTIFACT` has."""
    copy.mkdir()
    for path in folder.iterdir():
        if path.is_file():
            shutil.copyfile(path, copy / path.name)  # without DVC's permissions or links
    return copy


def _copy_code(kind: str, package: Path) -> Path:
    """A package of only the files that the model runs."""
    for path in code_digest.import_closure(*PACKED_MODULES[kind], exempt=()):  # what decides nothing is imported too
        copy = package / path.relative_to(code_digest.PACKAGE)
        copy.parent.mkdir(parents=True, exist_ok=True)
        (copy.parent / "__init__.py").touch()
        shutil.copyfile(path, copy)
    (package / "__init__.py").touch()
    return package
