"""What people type: every command of the documentation, and experiments, some of them queued.

The project of this file is a fresh clone of the one in which the pipeline has run: setting it up is a test, too.
"""

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "docs/serving.md", "docs/scaling.md", ".github/CONTRIBUTING.md")
STAGES = ["generate", "train", "baseline", "evaluate", "explain", "register"]
HOUSE = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 100">
  <path d="M10 50 L50 10 L90 50 M20 42 V90 H80 V42 M42 90 V62 H58 V90" fill="none" stroke="black"/>
</svg>
"""
CURL = (
    """printf '{"inputs": ["%s"]}' "$(base64 < drawing.png | tr -d '\\n')" | curl -s """
    "http://127.0.0.1:5001/invocations -H 'Content-Type: application/json' --data-binary @-"
)
EXCEPTIONS = {  # commands that `test_documented_commands_work` does not run, and why
    "make repro": "sets up an environment from the registry, for minutes; what it runs is `dvc repro`",
    "make test": "runs this test",
    "pip install strokewise": "asks the package registry: test_wheel.py installs the wheel",
    "pip install 'strokewise[pipeline]'": "asks the package registry",
    "strokewise init my-shapes": "makes a project inside this one: test_wheel.py runs one elsewhere",
    "docker build --tag strokewise .": "needs a container engine: test_wheel.py runs the Dockerfile's steps",
    "docker run --rm --publish 127.0.0.1:5001:5001 strokewise": "needs a container engine",
    "docker run --rm --publish 127.0.0.1:5001:5001 --volume $PWD/data/model:/model:ro strokewise"
    " strokewise serve --host 0.0.0.0 --model /model": "needs a container engine",
    "pre-commit install": "a tool of the developer's; its hooks run what `make lint` runs",
    "make lint": "continuous integration runs it, see .ci/run",
    "make bench": "takes minutes and asserts nothing",
    "make lock": "asks the package registry for new versions",
    "make repro PIP_EXTRA_INDEX_URL=...": "a placeholder, and minutes; an option of pip's",
    "pytest -m 'not slow'": "runs a part of what `make test` runs",
    "ruff format .": "`make lint` checks its result",
    "strokewise ui": "runs until it is stopped: test_processes.py starts and stops it",
    "strokewise serve --collect data/feedback": "runs until it is stopped: test_served_page.py",
    "strokewise import data/feedback --train": "needs what that has kept: test_served_page.py",
    "strokewise serve": "runs until it is stopped: test_serve.py starts and stops it",
    CURL: "needs a server: test_serve.py runs it as it stands",
    "MLFLOW_TRACKING_URI=sqlite:///mlflow.db mlflow models serve --model-uri models:/strokewise@champion --port 5002"
    " --env-manager local": "runs until it is stopped; loads what strokewise serve loads",
    "export MLFLOW_TRACKING_URI=http://mlflow.example:5000": "a placeholder: test_processes.py has a server",
    "mlflow server --backend-store-uri postgresql://mlflow@localhost/mlflow --artifacts-destination /srv/mlflow"
    " --host 127.0.0.1": "a placeholder, and a command of MLflow's",
    "dvc remote add --default storage /srv/dvc": "a placeholder: test_repro.py uses a folder of its own",
    "dvc push": "needs the remote: test_repro.py",
    "dvc pull": "needs the remote: test_repro.py",
    "torchrun --nproc-per-node 2 -m strokewise train": "test_train.py trains on two processes",
    "torchrun --nnodes 2 --node-rank 0 --master-addr HOST --master-port 29500 --nproc-per-node 1 -m strokewise train":
    "needs two machines; test_train.py trains on two processes",
    "strokewise reproduce champion --fresh": "runs the pipeline again: test_reproduce.py",
    "strokewise repeat 5 -S train.epochs=40": "runs the pipeline five times: test_repeat.py",
    "strokewise curve": "trains many models: test_learning_curve.py",
}  # fmt: skip


def documented_commands(page: str) -> list[str]:
    """The lines of the shell blocks of a page, without their comments, in their order."""
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    return [line.split("  #")[0].strip() for block in blocks for line in block.splitlines() if line.strip()]


def test_pages_with_commands_are_complete() -> None:
    found = [path for pattern in ("*.md", "docs/*.md", ".github/*.md") for path in ROOT.glob(pattern)]
    assert {path.relative_to(ROOT).as_posix() for path in found if "```sh" in path.read_text()} == set(PAGES)


def test_exceptions_are_documented_commands() -> None:
    assert set(EXCEPTIONS) <= {command for page in PAGES for command in documented_commands(page)}


def test_exceptions_name_existing_tests() -> None:
    for reason in EXCEPTIONS.values():
        for name in re.findall(r"\btest_\w+\.py\b", reason):
            assert list((ROOT / "tests").rglob(name)), name


def test_most_commands_of_the_readme_are_run() -> None:
    commands = documented_commands("README.md")
    assert len(commands) > 2 * len([command for command in commands if command in EXCEPTIONS])


@pytest.fixture(scope="module")
def clone_and_output(project_and_digests: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, str]:
    """A fresh clone in which the pipeline has run, and the output of `dvc repro`."""
    clone = project_and_digests[0].clone(tmp_path_factory.mktemp("experiments") / "clone")
    return clone, clone.run("dvc", "repro")


@pytest.fixture
def project(clone_and_output: tuple[Any, str]) -> Any:
    return clone_and_output[0]


@pytest.mark.slow
def test_fresh_clone_reaches_the_same_bytes(clone_and_output: Any, project_and_digests: Any) -> None:
    clone, output = clone_and_output
    assert clone.stages_run(output) == STAGES
    assert clone.digests() == project_and_digests[1]
    assert clone.run("git", "status", "--porcelain") == ""


@pytest.mark.slow
def test_dvc_shows_graph_status_metrics_and_plots(project: Any) -> None:
    assert "evaluate" in project.run("dvc", "dag")
    assert "always changed" in project.run("dvc", "status")
    assert "cnn" in project.run("dvc", "metrics", "show")
    project.run("dvc", "plots", "show", "--out", str(project.folder.parent / "plots"))
    page = (project.folder.parent / "plots" / "index.html").read_text()
    assert "confusion-cnn.csv" in page
    assert "mistakes.png" in page


@pytest.mark.slow
def test_documented_commands_work(project: Any) -> None:
    """Run them in their order, in a folder with a drawing, an outline and a collection, then check their effects."""
    runs, experiments = len(project.mlflow()["runs"]), project.run("dvc", "exp", "list")
    scene = sorted((project.folder / "data" / "report" / "explain").glob("*.png"))[0]
    shutil.copy(scene, project.folder / "drawing.png")
    (project.folder / "house.svg").write_text(HOUSE)
    (project.folder / "my-drawings" / "circle").mkdir(parents=True)
    shutil.copy(scene, project.folder / "my-drawings" / "circle")
    outputs = {}
    for command in (command for page in PAGES for command in documented_commands(page) if command not in EXCEPTIONS):
        outputs[command] = project.run("sh", "-c", command)
        if command.startswith("strokewise predict"):
            if "--json" in command:
                assert json.loads(outputs[command]).keys() >= {"path", "shape", "confidence", "geometry"}
            else:
                assert re.match(r"\w+ +\d+% drawing\.png", outputs[command])
        if command.startswith("dvc exp run -S"):
            assert re.search(r"train\.epochs\s+16\s+40", project.run("dvc", "params", "diff"))
            # of the few pictures as many may be right by chance: then the accuracy is not in it
            assert "cnn.log_loss" in project.run("dvc", "metrics", "diff")
        if command == "dvc repro":
            config = json.loads((project.folder / "data" / "model" / "config.json").read_text())
            assert "house" in config["shapes"]
    assert experiments != project.run("dvc", "exp", "list")
    assert len(project.mlflow()["runs"]) == runs + 4  # a CNN and a baseline for each of two new states
    assert project.mlflow()["aliases"]["strokewise"].keys() >= {"champion", "challenger"}, "it knows other shapes"
    imported = "strokewise import my-drawings --map circle=ellipse"
    assert "1 imported into data/drawings/ellipse" in outputs[imported]
    assert "left out" in outputs[f"{imported} --train"], "the same drawing is there to test on"
    _run_readme_examples(project)
    project.run("dvc", "queue", "remove", "--all")
    shutil.rmtree(project.folder / "data" / "drawings" / "ellipse")
    project.reset()


def _run_readme_examples(project: Any) -> None:
    """The Python blocks of the README, one after the other; `pictures` is the array that the ONNX example reads."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    prelude = "import numpy\npictures = numpy.zeros((2, 32, 32), numpy.uint8)\n"
    printed = project.run(sys.executable, "-c", prelude + "\n".join(blocks)).splitlines()
    assert len(printed) == 3
    assert re.fullmatch(r"\w+ 0\.\d+|\w+ 1\.0", printed[0])
    assert printed[1].isalpha()
    assert printed[2], "where the clean outline lies, or why there is none"


@pytest.mark.slow
def test_queued_experiment_runs_the_code_it_was_queued_with(project: Any) -> None:
    runs = len(project.mlflow()["runs"])
    project.run("dvc", "exp", "run", "--queue", "--name", "queued", "-S", "train.epochs=4")
    stage = project.folder / "src" / "strokewise" / "stages" / "train.py"
    code = stage.read_text()
    stage.write_text("raise SystemExit('the workspace has changed')\n")
    try:
        project.run("dvc", "exp", "run", "--run-all")
    finally:
        stage.write_text(code)
    assert "Success" in project.run("dvc", "queue", "status")
    assert len(project.mlflow()["runs"]) > runs
    assert project.run("git", "status", "--porcelain") == ""
