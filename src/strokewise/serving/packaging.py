"""Package a model folder as a folder that MLflow can load and serve anywhere, without strokewise installed.

MLflow's "models from code": `pyfunc_model.py`, the model folder and the source files that these need are copied side
by side, without pickle. The requirements are the versions installed here.
"""

import base64
import hashlib
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
from strokewise.geometry.snap import MAX_MISFIT
from strokewise.model.onnx_file import ONNX_FILE
from strokewise.support.paths import SNAPSHOTS_FILE

if TYPE_CHECKING:
    from mlflow.models import Model

PYFUNC_FILE = Path(__file__).with_name("pyfunc_model.py")
PACKAGE_TAG = "package"  # of a logged model: the digest of its packaged folder
MODEL_ARTIFACT = "artifacts/model"  # the model folder in a packaged folder
INPUT_TEXT = (
    "pictures: base64 text of a PNG, JPEG, WebP, BMP or GIF, or arrays (H, W), (H, W, 3) or (H, W, 4) of numbers; as a "
    "list, an array (N, H, W, ...) or the only column of a data frame"
)  # what the signature's type `any` stands for
PACKAGED_MODULES = ("recogniser", "serving.picture_items")
PACKAGED_REQUIREMENTS = ("mlflow", "numpy", "onnxruntime", "opencv-python-headless")


def package_model(model: Path, example: NDArray[np.uint8], folder: Path, mlflow_model: "Model") -> None:
    """Write a model folder as MLflow's model folder.

    Args:
        model: the model folder.
        example: a scene, uint8 (H, W) or (H, W, 3); becomes the input example, a base64 PNG.
        folder: where to write.
        mlflow_model: MLflow's description of the model, which is completed here.
    """
    import mlflow.pyfunc

    with tempfile.TemporaryDirectory() as scratch:
        mlflow.pyfunc.save_model(
            folder,
            python_model=str(PYFUNC_FILE),
            artifacts={"model": str(_copy_model(model, Path(scratch) / "model"))},
            code_paths=[str(_copy_code(Path(scratch) / "strokewise"))],
            pip_requirements=pinned_requirements(),
            mlflow_model=mlflow_model,
        )
    mlflow_model.add_flavor(  # as mlflow.onnx.save_model would: `mlflow.onnx.load_model` loads it, too
        "onnx",
        onnx_version=version("onnx"),
        data=f"{MODEL_ARTIFACT}/{ONNX_FILE}",
        providers=["CPUExecutionProvider"],
        onnx_session_options=None,
        code=None,
    )
    _add_params(mlflow_model)
    mlflow_model.metadata = {"input": INPUT_TEXT}
    _write_input_example(example, folder, mlflow_model)
    mlflow_model.save(str(folder / "MLmodel"))
    for cache in folder.rglob("__pycache__"):
        shutil.rmtree(cache)


def package_digest(folder: Path) -> str:
    """SHA-256 of the names and bytes of a packaged model's files.

    Without MLflow's description, which holds times and ids, and the gate's decision, which is added later.
    """
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts):
        name = path.relative_to(folder).as_posix()
        if name not in ("MLmodel", "decision.json"):
            digest.update(f"{name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def _add_params(mlflow_model: "Model") -> None:
    """Add the parameters of `ServedModel.predict` to the signature, which MLflow made of its type hints alone."""
    from mlflow.types import DataType, ParamSchema, ParamSpec

    assert mlflow_model.signature is not None, "MLflow makes one of the type hints"
    mlflow_model.signature.params = ParamSchema(
        [ParamSpec("snap", DataType.boolean, False), ParamSpec("max_misfit", DataType.double, MAX_MISFIT)]
    )


def pinned_requirements() -> list[str]:
    """What a packaged model needs, pinned to the versions installed here without local labels (+cpu)."""
    return [f"{name}=={version(name).partition('+')[0]}" for name in PACKAGED_REQUIREMENTS]


def _write_input_example(example: NDArray[np.uint8], folder: Path, mlflow_model: "Model") -> None:
    """Write the example as MLflow does; MLflow itself would run the model on it, which takes its time."""
    inputs = [base64.b64encode(encode_png(example)).decode()]
    (folder / "input_example.json").write_text(json.dumps(inputs), encoding="utf-8")
    (folder / "serving_input_example.json").write_text(json.dumps({"inputs": inputs}, indent=2), encoding="utf-8")
    mlflow_model.saved_input_example_info = {
        "artifact_path": "input_example.json",
        "serving_input_path": "serving_input_example.json",
        "type": "json_object",
    }


def _copy_model(folder: Path, copy: Path) -> Path:
    """Copy the files of the model folder, but for its snapshots, which are only looked at; returns `copy`."""
    copy.mkdir()
    for path in folder.iterdir():
        if path.is_file() and path.name != SNAPSHOTS_FILE:
            shutil.copyfile(path, copy / path.name)  # without DVC's permissions or links
    return copy


def _copy_code(package: Path) -> Path:
    """Copy the source files that the model runs into a package of the same structure; returns `package`."""
    package.mkdir()
    (package / "__init__.py").touch()
    for path in code_digest.import_closure(*PACKAGED_MODULES, exempt=()):
        copy = package / path.relative_to(code_digest.PACKAGE)
        copy.parent.mkdir(parents=True, exist_ok=True)
        (copy.parent / "__init__.py").touch()
        shutil.copyfile(path, copy)
    return package
