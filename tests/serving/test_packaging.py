"""A packaged model names all that its code imports."""

import ast
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from strokewise.params import Params
from strokewise.stages.register import register

pytestmark = pytest.mark.slow
Project = Callable[..., Path]


def test_requirements_name_what_the_packaged_code_imports(project: Project, params: Params) -> None:
    root = project()
    register(params)
    packages = {"cv2": "opencv-python-headless", "ruamel": "ruamel.yaml"}
    for model in (root / "mlruns").rglob("MLmodel"):
        pinned = {line.partition("==")[0] for line in (model.parent / "requirements.txt").read_text().splitlines()}
        if "torch" not in pinned:
            continue  # the baseline's file can also be trained, with what a server does not need
        trees = [ast.parse(path.read_text()) for path in (model.parent / "code").rglob("*.py")]
        nodes = [node for tree in trees for node in ast.walk(tree)]
        imports = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
        imports |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
        others = {name.split(".")[0] for name in imports} - sys.stdlib_module_names - {"strokewise"}
        assert {packages.get(name, name) for name in others} <= pinned
        return
    raise AssertionError("no CNN was logged")
