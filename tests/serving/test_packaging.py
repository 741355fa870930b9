"""A packaged model names what its code imports and no more, and MLflow loads it as ONNX as well."""

import ast
import sys
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from strokewise.params import Params
from strokewise.registry import versions
from strokewise.stages.register import register

pytestmark = pytest.mark.slow
Project = Callable[..., Path]


def test_requirements_name_what_the_packaged_code_imports(project: Project, params: Params) -> None:
    root = project()
    register(params)
    packages = {"cv2": "opencv-python-headless"}
    models = list((root / "mlruns").rglob("MLmodel"))
    assert len(models) == 2
    for model in models:
        pinned = {line.partition("==")[0] for line in (model.parent / "requirements.txt").read_text().splitlines()}
        trees = [ast.parse(path.read_text()) for path in (model.parent / "code").rglob("*.py")]
        nodes = [node for tree in trees for node in ast.walk(tree)]
        imports = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
        imports |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
        others = {name.split(".")[0] for name in imports} - sys.stdlib_module_names - {"strokewise"}
        others -= {"sklearn"}  # imported for a caller who has it alone
        assert {packages.get(name, name) for name in others} == pinned - {"mlflow"}


def test_registered_model_loads_as_onnx_too(project: Project, params: Params) -> None:
    import mlflow

    project()
    register(params)
    loaded = mlflow.onnx.load_model("models:/strokewise@champion")
    folder = versions.champion_dir()
    assert folder is not None
    assert loaded == onnx.load(folder / "model.onnx")
    metadata = mlflow.models.get_model_info("models:/strokewise@champion").metadata
    assert metadata["input"].startswith("pictures: base64 text")
