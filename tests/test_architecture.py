"""The laws of the house: imports go one way, every heavy library has one owner, `dvc.yaml` tells the truth."""

import ast
import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from strokewise import code_digest
from strokewise.params import json_schema
from strokewise.support.extras import PIPELINE_PACKAGES

# A module may import its own room and the rooms above it in this list.
ROOMS = (
    *("errors", "support", "params", "code_digest"),
    *("preprocessing", "data", "geometry", "plots"),
    *("synthesis", "model"),
    *("training", "baseline"),
    *("evaluation", "web", "explain", "recogniser", "overlay"),
    *("serving", "registry", "importing"),
    *("loading", "stages", "reference", "reproduction", "project", "doctor", "cli", "__init__", "__main__"),
)
PACKED = {"register": ["serving.pyfunc_model"]}  # code that a stage packs without importing it
OWNERS = {  # a heavy library -> the modules, or folders of modules, that may import it
    "typer": {"cli"},
    "cv2": {"synthesis", "preprocessing", "geometry", "data.png", "recogniser", "evaluation"},
    "svgelements": {"synthesis.svg_reader", "synthesis.svg_shapes", "synthesis.svg_values"},
    "cssselect2": {"synthesis.svg_style"},
    "tinycss2": {"synthesis.svg_style"},
    "torch": {"model", "training", "baseline.augmented", "explain", "stages.train"},
    "sklearn": {"baseline.selection", "recogniser"},
    "skl2onnx": {"baseline.estimator"},
    "onnx": {"model.onnx_export", "model.onnx_writer", "baseline.estimator", "reference", "web.onnx_network"},
    "onnxruntime": {"model.onnx_file"},
    "scipy": {"evaluation"},
    "mlflow": {"registry", "serving"},
    "dvc": {"registry.replay", "reproduction"},
    "starlette": {"serving.app", "serving.limits"},
    "uvicorn": {"serving.serve", "serving.connections"},
    "h11": {"serving.connections"},
    "pyarrow": {"data", "stages.evaluate", "importing.readers", "reproduction.predictions"},
    "matplotlib": {"plots"},
    "PIL": {"explain.data_uri"},
    "jinja2": {"explain.html"},
    "pydantic": {"params", "support.validation_errors", "serving.pyfunc_model"},
    "ruamel": {"params", "project"},
    "tqdm": {"support.progress"},
    "safetensors": {"model", "training", "reproduction.comparison", "web.model_bytes", "explain.live_page"},
}
NEVER = {"pickle", "cloudpickle", "joblib", "dill", "shelve", "marshal"}


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(code_digest.PACKAGE).with_suffix("").parts)


MODULES = {module_name(path): path for path in sorted(code_digest.PACKAGE.rglob("*.py"))}
STAGES = [path.stem for path in sorted((code_digest.PACKAGE / "stages").glob("[!_]*.py"))]


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


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_one_way(module: str) -> None:
    room = module.split(".")[0]
    for other in ours(MODULES[module]):
        assert ROOMS.index(other.split(".")[0]) <= ROOMS.index(room), f"{module} may not import {other}"


@pytest.mark.parametrize("stage", STAGES)
def test_stages_meet_on_disk_and_never_by_import(stage: str) -> None:
    assert not {other for other in ours(MODULES[f"stages.{stage}"]) if other.startswith("stages.")}


@pytest.mark.parametrize("module", MODULES)
def test_every_heavy_library_has_one_owner(module: str) -> None:
    for library in {name.split(".")[0] for name in imported(MODULES[module])}:
        assert library not in NEVER, f"{module} imports {library}: no pickle, in or out"
        owners = OWNERS.get(library, {module})
        assert {module, module.split(".")[0]} & owners, f"{module} imports {library}, which belongs to {owners}"


def pipeline(root: Path) -> dict[str, Any]:
    stages: dict[str, Any] = YAML(typ="safe").load(root / "dvc.yaml")["stages"]
    return stages


def test_stages_are_those_of_the_pipeline(root: Path) -> None:
    assert sorted(pipeline(root)) == STAGES


@pytest.mark.parametrize("stage", STAGES)
def test_dvc_yaml_names_the_folders_that_a_stage_runs_and_no_more(root: Path, stage: str) -> None:
    named = {dep for dep in pipeline(root)[stage]["deps"] if dep.startswith("src/")}
    files = code_digest.import_closure(f"stages.{stage}", *PACKED.get(stage, []))
    rooms = {path if path.parent.name in ("strokewise", "stages") else path.parent for path in files}
    assert named == {path.relative_to(root).as_posix() for path in rooms}


def test_a_folder_of_code_is_the_same_dependency_once_python_has_compiled_it(root: Path) -> None:
    assert "__pycache__" in (root / ".dvcignore").read_text().splitlines()


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
    assert (root / ".params.schema.json").read_text() == json_schema(), "run `make lock`"


def test_every_dependency_is_pinned(root: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)", (root / "requirements.lock").read_text(), re.MULTILINE))
    pins |= dict(re.findall(r"^([\w.-]+)==(\S+)$", (root / "requirements-torch.lock").read_text(), re.MULTILINE))
    extras = [line for extra in project["optional-dependencies"].values() for line in extra]
    for wanted in [*project["dependencies"], *extras]:
        name = re.match(r"[\w.-]+", wanted)
        assert name is not None
        assert name[0].replace(".", "-") in {*pins, "strokewise"}, f"{wanted} has no pin: run `make lock`"
    assert not [pin for pin in pins.values() if "+" in pin], "a local build is a choice of a machine, not a pin"


def test_every_pin_has_a_hash_and_none_names_an_index(root: Path) -> None:
    for path in root.glob("requirements*.lock"):
        blocks = [block for block in re.split(r"^(?=[\w.-]+==)", path.read_text(), flags=re.MULTILINE) if "==" in block]
        assert blocks
        assert "://" not in path.read_text()
        if path.name != "requirements-torch.lock":  # one release, several builds: see .github/CONTRIBUTING.md
            assert all("--hash=sha256:" in block for block in blocks)


def test_the_lock_of_what_predicts_is_a_part_of_the_whole(root: Path) -> None:
    whole, part = (
        set(re.findall(r"^[\w.-]+==\S+", (root / name).read_text(), re.MULTILINE))
        for name in ("requirements.lock", "requirements-predict.lock")
    )
    assert part < whole


def test_every_library_that_is_imported_is_a_dependency_of_its_layer(root: Path) -> None:
    """And every dependency is imported, but for those that a tool or another library needs."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    base = {re.split(r"[^\w.-]", line)[0] for line in project["dependencies"]}
    packages = PIPELINE_PACKAGES | {"cv2": "opencv-python-headless"}
    packages |= {
        "dvc_data": "dvc",
        "requests": "mlflow",
        "sqlalchemy": "mlflow",
        "h11": "uvicorn",
    }  # whose errors are caught
    libraries = {name.split(".")[0] for path in MODULES.values() for name in imported(path)}
    theirs = libraries - set(sys.stdlib_module_names) - {"strokewise"}
    needed = {packages.get(name, name) for name in theirs}
    assert needed <= base | set(PIPELINE_PACKAGES.values())
    assert base | set(PIPELINE_PACKAGES.values()) <= needed | {"starlette"}


def test_the_root_holds_only_what_the_design_names(root: Path) -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=root, capture_output=True, text=True, check=True).stdout
    top = {line.split("/")[0] for line in tracked.splitlines()}
    files = {"CHANGELOG.md", "CITATION.cff", "LICENSE", "Makefile", "README.md"}
    files |= {"dvc.lock", "dvc.yaml", "params.yaml", "pyproject.toml", "setup.py", "Dockerfile"}
    files |= {"requirements.lock", "requirements-predict.lock", "requirements-torch.lock"}
    folders = {"benchmarks", "data", "docs", "src", "tests"}
    assert {name for name in top if not name.startswith(".")} <= files | folders


def test_one_name_means_one_thing(root: Path) -> None:
    """Top-level names that stand in several files are listed in docs/architecture.md, each with its one role."""
    where = defaultdict(set)
    for module, path in MODULES.items():
        for node in ast.parse(path.read_text()).body:
            for name in top_level_names(node):
                where[name].add(module)
    shared = {name for name, modules in where.items() if len(modules) > 1}
    text = (root / "docs" / "architecture.md").read_text()
    section = text.split("## Names in several files")[1].split("\n## ")[0]
    assert shared == set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))
    assert len(shared) <= 30


def top_level_names(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return {part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name)}
    return set()


@pytest.mark.parametrize("module", MODULES)
def test_public_functions_and_methods_have_a_docstring(module: str) -> None:
    def lacking(body: list[ast.stmt], prefix: str = "") -> list[str]:
        found = []
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name[0] != "_":
                found += [] if ast.get_docstring(node) else [prefix + node.name]
                if isinstance(node, ast.ClassDef):
                    found += lacking(node.body, f"{node.name}.")
        return found

    assert not lacking(ast.parse(MODULES[module].read_text()).body)


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["train", "--help"], ["predict", "--help"]])
def test_the_command_line_starts_without_heavy_imports(words: list[str]) -> None:
    heavy = ("torch", "sklearn", "mlflow", "matplotlib", "cv2", "pyarrow", "scipy", "numpy", "dvc")
    code = "\n".join(
        [
            "import sys",
            f"sys.argv = ['strokewise', *{words}]",
            "from strokewise.cli.app import run",
            "try: run()",
            "except SystemExit: pass",
            f"print(sorted({{name.split('.')[0] for name in sys.modules}} & set({heavy})), file=sys.stderr)",
        ]
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
