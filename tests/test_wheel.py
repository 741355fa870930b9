"""The wheel, outside the checkout: what it holds, that it predicts alone, and that a project of its own runs.

The steps of the Dockerfile install it: in an environment of its own, as there need be no container engine here.
"""

import base64
import contextlib
import http.client
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import sysconfig
import tarfile
import time
import venv
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.parser import Parser
from pathlib import Path

import cv2
import numpy as np
import pytest
from ruamel.yaml import YAML

from strokewise.support import resources

ROOT = Path(__file__).parent.parent
FEW = {  # paintings and epochs: that everything runs is tested, not what it finds
    "generate": {"train": 72, "validation": 24, "test": 48},
    "network": {"image_size": 32, "base_channels": 8},
    "train": {"epochs": 2, "threads": 1},
    "baseline": {"folds": 2, "augmented_copies": 0},
    "evaluate": {"bootstrap_samples": 200, "imprecision_samples": 8},
    "explain": {"feature_maps": 2},
}
EVERY_ADDRESS = "0.0.0.0"  # noqa: S104  # inside a container
pytestmark = pytest.mark.slow


@dataclass
class Environment:
    """A virtual environment, a working directory beside it, and the commands that are run there."""

    folder: Path
    work: Path = field(init=False)

    def __post_init__(self) -> None:
        self.work = self.folder.parent / "work"
        self.work.mkdir()
        venv.create(self.folder, with_pip=True, symlinks=True)

    @property
    def packages(self) -> Path:
        return next(self.folder.glob("lib/python*/site-packages"))

    @property
    def variables(self) -> dict[str, str]:
        """The environment of the tests without what would lead to the checkout."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "MLFLOW_", "DVC_"))}
        path = f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        git = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CEILING_DIRECTORIES": str(self.folder.parent)}
        return (
            kept
            | git
            | {"PATH": path, "HOME": str(self.work), "PIP_CACHE_DIR": pip_cache(), "MLFLOW_DISABLE_TELEMETRY": "true"}
        )

    def run(self, *command: str, cwd: Path | None = None, code: int = 0) -> str:
        """Run a command that must exit with `code`; returns stdout and stderr together."""
        done = subprocess.run(
            command,
            cwd=cwd or self.work,
            env=self.variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert done.returncode == code, f"{shlex.join(command)} exited with {done.returncode}:\n{done.stdout}"
        return done.stdout


def pip_cache() -> str:
    done = subprocess.run([sys.executable, "-m", "pip", "cache", "dir"], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def instructions(stage: int) -> Iterator[tuple[str, str]]:
    """The instructions of a stage of the Dockerfile: ("RUN", "pip install ...")."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    body = re.split(r"^FROM .*\n", text, flags=re.MULTILINE)[1 + stage]
    for line in body.strip().splitlines():
        name, _, value = line.partition(" ")
        yield name, value


def run_stage(stage: int, sources: dict[str, Path], root: Path, environment: Environment) -> None:
    """Do what a stage of the Dockerfile does to the files below `root`, with the environment's Python.

    `sources` are where COPY finds files: "" is the build context, any other a stage.
    """
    workdir = root
    for name, value in instructions(stage):
        if name == "WORKDIR":
            workdir = root / value.lstrip("/")
            workdir.mkdir(parents=True, exist_ok=True)
        elif name == "COPY":
            origin, words = re.fullmatch(r"(?:--from=(\w+) )?(.*)", value).groups("")  # type: ignore[union-attr]
            pattern, target = words.split()
            folder = root / target.lstrip("/") if target.startswith("/") else workdir / target
            folder.mkdir(parents=True, exist_ok=True)
            found = sorted(sources[origin].glob(pattern.lstrip("/"))) if pattern != "." else [sources[origin]]
            assert found, f"COPY {value} finds nothing"
            for path in found:
                shutil.copytree(path, folder, dirs_exist_ok=True) if path.is_dir() else shutil.copy(path, folder)
        elif name == "RUN" and not value.startswith("useradd"):
            environment.run("sh", "-c", re.sub(r"(?<=\s)/(?=\w)", f"{root}/", value), cwd=workdir)


def build_context(folder: Path) -> Path:
    """A copy of what git knows of the working tree, less what .dockerignore leaves out."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    first, *rest = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    assert first == "*"
    kept = [line[1:] for line in rest if line[0] == "!"]
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file() and any(name == entry or name.startswith(f"{entry}/") for entry in kept):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def container(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Environment]:
    """The files of the container that the Dockerfile describes, and the environment into which it installs."""
    base = tmp_path_factory.mktemp("container")
    context = build_context(base / "context")
    environment = Environment(base / "environment")
    run_stage(0, {"": context}, base / "build", environment)
    run_stage(1, {"": context, "build": base / "build"}, base / "final", environment)
    return base / "final", environment


@pytest.fixture(scope="module")
def wheel(container: tuple[Path, Environment]) -> Path:
    (path,) = container[0].glob("wheels/*.whl")
    return path


@pytest.fixture(scope="module")
def predicting(container: tuple[Path, Environment]) -> Environment:
    """An environment with the wheel and what predicts."""
    return container[1]


@pytest.fixture(scope="module")
def pipeline(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with the wheel and, borrowed from that of the tests, what the extra `pipeline` would install."""
    environment = Environment(tmp_path_factory.mktemp("pipeline") / "environment")
    environment.run("pip", "install", "--no-compile", "--no-deps", str(wheel))
    (environment.packages / "borrowed.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return environment


@pytest.fixture(scope="module")
def picture(predicting: Environment) -> Path:
    """A drawing of a triangle."""
    path = predicting.work / "drawing.png"
    scene = np.full((120, 120), 255, np.uint8)
    cv2.polylines(scene, [np.array([[60, 20], [100, 95], [20, 95]])], True, 0, 3, cv2.LINE_AA)
    cv2.imwrite(str(path), scene)
    return path


def test_wheel_holds_the_package_and_the_files_of_a_project(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "src/strokewise"]
    ours = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    template = {f"strokewise/template/{path.as_posix()}" for path in resources.project_files(ROOT)}
    expected = {name.removeprefix("src/") for name in ours} | template
    assert {name for name in names if not name.split("/")[0].endswith(".dist-info")} == expected
    assert "strokewise/py.typed" in names


def test_wheel_describes_itself_on_a_package_page(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        page = Parser().parsestr(archive.read(name).decode())
    targets = re.findall(r"\]\(([^)]+)\)", page.get_payload())
    assert any(target.endswith(".png") for target in targets)
    assert all(target.startswith(("https://", "#")) for target in targets)
    for target in targets:  # a link into the repository leads to a file of it
        if match := re.match(
            r"https://(?:raw\.githubusercontent|github)\.com/strokewise/strokewise/(?:blob/)?v[\d.]+/(.*)", target
        ):
            assert (ROOT / match[1]).is_file()
    assert page["Description-Content-Type"] == "text/markdown"
    assert {line.split(",")[0] for line in page.get_all("Project-URL")} >= {"Homepage", "Changelog", "Issues"}
    assert "Typing :: Typed" in page.get_all("Classifier")


def test_source_distribution_builds_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    context = build_context(tmp_path / "context")
    code = "import sys; from setuptools.build_meta import build_sdist; build_sdist(sys.argv[1])"
    subprocess.run([sys.executable, "-c", code, tmp_path], cwd=context, capture_output=True, check=True)
    (path,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        archive.extraction_filter = tarfile.data_filter if hasattr(tarfile, "data_filter") else None  # Python ≥ 3.11.4
        archive.extractall(tmp_path / "unpacked")  # noqa: S202 - it was made here
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    command = ["-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path), str(unpacked)]
    subprocess.run([sys.executable, *command], capture_output=True, check=True)
    (rebuilt,) = tmp_path.glob("*.whl")
    assert sorted(zipfile.ZipFile(rebuilt).namelist()) == sorted(zipfile.ZipFile(wheel).namelist())


def test_requirements_of_the_wheel_are_met_and_no_more(predicting: Environment) -> None:
    predicting.run("pip", "check")
    listed = json.loads(predicting.run("pip", "list", "--format", "json", "--disable-pip-version-check"))
    assert not {entry["name"].lower() for entry in listed} & {"torch", "dvc", "mlflow", "pyarrow", "scikit-learn"}


def test_package_is_imported_from_the_wheel_and_knows_its_version(predicting: Environment, wheel: Path) -> None:
    code = "import strokewise, sys; print(strokewise.__file__, *sys.modules); print(strokewise.__version__)"
    modules, version = predicting.run("python", "-c", code).splitlines()
    assert modules.startswith(str(predicting.packages))
    assert not {"numpy", "onnxruntime", "importlib.metadata"} & set(modules.split())
    assert wheel.name.startswith(f"strokewise-{version}-")
    assert predicting.run("strokewise", "--version") == f"strokewise {version}\n"


@pytest.mark.parametrize("command", [["train"], ["init", "my-shapes"], ["network"], ["ui"], ["explain"]])
def test_command_of_the_pipeline_says_what_it_needs_in_one_line(command: list[str], predicting: Environment) -> None:
    output = predicting.run("strokewise", *command, code=2)
    assert re.fullmatch(r"strokewise: this command needs [\w.]+, .*: pip install 'strokewise\[pipeline\]'\n", output)
    assert not (predicting.work / "my-shapes").exists()


def test_predict_answers_with_the_reference_model(predicting: Environment, picture: Path) -> None:
    notice, answer = predicting.run("strokewise", "predict", picture.name, "--json").splitlines()
    assert notice == "the reference model answers: there is no champion and no data/model here"
    assert json.loads(answer)["shape"] == "triangle"
    code = f"import strokewise; print(strokewise.load().predict({picture.name!r})[0].shape)"
    assert predicting.run("python", "-c", code) == "triangle\n"


def test_export_writes_the_reference_model(predicting: Environment) -> None:
    predicting.run("strokewise", "export", "--onnx", "model.onnx")
    code = "import onnxruntime; print(onnxruntime.InferenceSession('model.onnx').get_outputs()[0].name)"
    assert predicting.run("python", "-c", code) == "probabilities\n"


def test_container_serves_as_a_user_without_rights() -> None:
    described = list(instructions(1))
    names = [name for name, _ in described]
    assert names.index("USER") > max(place for place, name in enumerate(names) if name == "RUN")
    assert ("USER", "strokewise") in described
    assert ("RUN", "useradd --create-home strokewise") in described
    assert json.loads(dict(described)["CMD"]) == ["strokewise", "serve", "--host", EVERY_ADDRESS]


def test_container_answers(predicting: Environment, picture: Path) -> None:
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        port = chosen.getsockname()[1]
    command = [word.replace(EVERY_ADDRESS, "127.0.0.1") for word in json.loads(dict(instructions(1))["CMD"])]
    server = subprocess.Popen([*command, "--port", str(port)], cwd=predicting.work, env=predicting.variables)
    try:
        wait_until_healthy(port)
        body = json.dumps({"inputs": [base64.b64encode(picture.read_bytes()).decode()]})
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("POST", "/invocations", body, {"Content-Type": "application/json"})
        assert json.load(connection.getresponse())["predictions"][0]["shape"] == "triangle"
        connection.close()
    finally:
        server.terminate()
        server.wait(30)


def wait_until_healthy(port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        with contextlib.suppress(OSError):
            connection.request("GET", "/health")
            if connection.getresponse().status == 200:
                connection.close()
                return
        connection.close()
        time.sleep(0.2)
    pytest.fail("the server did not answer within a minute")


def test_project_runs_and_runs_again_what_an_upgrade_changes(pipeline: Environment) -> None:
    pipeline.run("strokewise", "init", "my-shapes")
    project = pipeline.work / "my-shapes"
    for folder in (project / "data" / "outlines").iterdir():
        if folder.name not in ("ellipse", "star", "triangle"):
            shutil.rmtree(folder)
    yaml = YAML()
    params = yaml.load(project / "params.yaml")
    for section, values in FEW.items():
        assert values.keys() <= params[section].keys()
        params[section].update(values)
    yaml.dump(params, project / "params.yaml")

    def stages_run() -> list[str]:
        output = pipeline.run("python", "-m", "dvc", "repro", cwd=project)
        return re.findall(r"^Running stage '(\w+)'", output, re.MULTILINE)

    assert stages_run() == ["code", "generate", "train", "baseline", "evaluate", "explain", "register"]
    assert (project / "data" / "report" / "index.html").is_file()
    words = ["predict", "data/paintings/contact-sheet.png", "--json", "--model", "data/model"]
    answer = json.loads(pipeline.run("strokewise", *words, cwd=project))
    assert set(answer["scores"]) == {"ellipse", "star", "triangle", "other"}
    with (pipeline.packages / "strokewise" / "explain" / "page.py").open("a") as installed:
        installed.write("CHANGED_BY_AN_UPGRADE = 1\n")
    assert stages_run() == ["code", "explain", "register"]
