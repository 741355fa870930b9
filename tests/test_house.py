"""The laws of the house: imports go one way, every heavy library has one owner, `dvc.yaml` tells the truth."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from strokewise import sources
from strokewise.params import schema

WINGS = ("paint", "learn", "judge", "explain", "registry", "collect")
DOORS = (
    "__init__",
    "__main__",
    "cli",
    "commands",
    "curve",
    "doctor",
    "recogniser",
    "registry.serving",
)  # what a user, or MLflow, calls
BESIDE = {"register": ["registry.serving"]}  # code that a stage reads without importing it: it packs it
OWNERS = {  # a heavy library -> the modules, or folders of modules, that may import it
    "typer": {"cli", "commands"},
    "cv2": {"paint", "pictures", "page", "pen", "sheet"},
    "svgelements": {"paint.svg"},
    "torch": {"network", "learn", "explain", "stages.train"},
    "captum": {"explain"},
    "sklearn": {"learn.contest"},
    "skl2onnx": {"learn.flat"},
    "onnx": {"exported", "learn.flat"},
    "onnxruntime": {"exported", "learn.flat"},
    "scipy": {"judge"},
    "mlflow": {"registry"},
    "uvicorn": {"registry.guard"},
    "pyarrow": {"dataset", "stages.evaluate", "collect.reading"},
    "matplotlib": {"figures"},
    "PIL": {"explain.png"},
    "pydantic": {"params", "wording", "registry.serving"},
    "ruamel": {"params"},
    "tqdm": {"progress"},
    "safetensors": {"network", "exported", "learn"},
}
NEVER = {"pickle", "cloudpickle", "joblib", "dill", "shelve", "marshal"}


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(sources.PACKAGE).with_suffix("").parts)


MODULES = {module_name(path): path for path in sorted(sources.PACKAGE.rglob("*.py"))}
STAGES = [path.stem for path in sorted((sources.PACKAGE / "stages").glob("[!_]*.py"))]


def imported(path: Path) -> set[str]:
    """Every module that the source names in an import, wherever the import stands."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def ours(path: Path) -> set[str]:
    found = {name.removeprefix("strokewise.") for name in imported(path) if name.startswith("strokewise.")}
    return {name for name in found if name in MODULES}


def floor_of(module: str) -> tuple[int, str]:
    """How high a module stands, and its room: ground floor 0, wings 1, stages 2, doors 3."""
    top = module.split(".")[0]
    if module in DOORS or top in DOORS:
        return 3, module
    if top == "stages":
        return 2, module
    return (1, top) if top in WINGS else (0, module)


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_one_way(module: str) -> None:
    height, room = floor_of(module)
    for other in ours(MODULES[module]):
        other_height, other_room = floor_of(other)
        neighbours = other_height == height and height in (0, 3)  # the ground floor and the doors are one room each
        assert other_height < height or other_room == room or neighbours, f"{module} may not import {other}"


@pytest.mark.parametrize("module", MODULES)
def test_every_heavy_library_has_one_owner(module: str) -> None:
    for library in {name.split(".")[0] for name in imported(MODULES[module])}:
        assert library not in NEVER, f"{module} imports {library}: no pickle, in or out"
        owners = OWNERS.get(library, {module})
        assert {module, module.split(".")[0]} & owners, f"{module} imports {library}, which belongs to {owners}"


@pytest.mark.parametrize("module", MODULES)
def test_files_stay_readable(module: str) -> None:
    lines = MODULES[module].read_text().splitlines()
    assert len(lines) < 300, f"{module} has {len(lines)} lines: which second job has it taken on?"


def pipeline(root: Path) -> dict[str, Any]:
    stages: dict[str, Any] = YAML(typ="safe").load(root / "dvc.yaml")["stages"]
    return stages


def test_stages_are_those_of_the_pipeline(root: Path) -> None:
    assert sorted(pipeline(root)) == STAGES


@pytest.mark.parametrize("stage", STAGES)
def test_dvc_yaml_names_the_code_that_a_stage_runs_and_no_more(root: Path, stage: str) -> None:
    named = {dep for dep in pipeline(root)[stage]["deps"] if dep.startswith("src/")}
    run = sources.closure(f"stages.{stage}", *BESIDE.get(stage, []))
    assert named == {path.relative_to(root).as_posix() for path in run}


@pytest.mark.parametrize("stage", STAGES)
def test_dvc_yaml_names_the_parameters_that_a_stage_uses_and_no_more(root: Path, stage: str) -> None:
    tree = ast.parse(MODULES[f"stages.{stage}"].read_text())
    used = {
        node.attr.rstrip("_")
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "params"
    }
    own = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    whole = [
        argument
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and not (isinstance(node.func, ast.Name) and node.func.id in own)
        for argument in [*node.args, *(keyword.value for keyword in node.keywords)]
        if isinstance(argument, ast.Name) and argument.id == "params"
    ]
    assert not whole, "a stage hands sections, not all of params, to others: else nobody knows what it uses"
    assert set(pipeline(root)[stage].get("params", [])) == used


@pytest.mark.parametrize("stage", STAGES)
def test_everything_in_dvc_yaml_is_described(root: Path, stage: str) -> None:
    described = pipeline(root)[stage]
    assert described["desc"]
    for kind in ("outs", "metrics", "plots"):
        for entry in described.get(kind, []):
            assert isinstance(entry, dict), f"{entry} has no desc"
            assert next(iter(entry.values()))["desc"]


def test_every_parameter_is_explained_where_it_stands(root: Path) -> None:
    for line in (root / "params.yaml").read_text().splitlines():
        if re.match(r"\s*\w+:", line):
            assert "  # " in line, f"no comment: {line}"


def test_the_schema_of_the_parameters_is_current(root: Path) -> None:
    assert (root / ".params.schema.json").read_text() == schema(), "run `make lock`"


def test_every_dependency_is_pinned(root: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)", (root / "requirements.lock").read_text(), re.MULTILINE))
    for wanted in [*project["dependencies"], *project["optional-dependencies"]["dev"]]:
        name = re.match(r"[\w.-]+", wanted)
        assert name is not None
        assert name[0].replace(".", "-") in pins, f"{wanted} has no pin: run `make lock`"
    assert not [pin for pin in pins.values() if "+" in pin], "a local build is a choice of a machine, not a pin"


def test_the_root_holds_only_what_the_design_names(root: Path) -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=root, capture_output=True, text=True, check=True).stdout
    top = {line.split("/")[0] for line in tracked.splitlines()}
    named = {
        "pyproject.toml",
        "dvc.yaml",
        "params.yaml",
        "README.md",
        "Makefile",
        "LICENSE",
        "src",
        "tests",
        "data",
        "docs",
    }
    assert {name for name in top if not name.startswith(".")} - named <= {"dvc.lock", "requirements.lock"}


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["train", "--help"], ["predict", "--help"]])
def test_the_door_opens_without_anything_heavy(words: list[str]) -> None:
    heavy = ("torch", "sklearn", "mlflow", "matplotlib", "cv2", "pyarrow", "scipy", "numpy", "dvc")
    code = "\n".join(
        [
            "import sys",
            f"sys.argv = ['strokewise', *{words}]",
            "from strokewise.cli import run",
            "try: run()",
            "except SystemExit: pass",
            f"print(sorted({{name.split('.')[0] for name in sys.modules}} & set({heavy})), file=sys.stderr)",
        ]
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
