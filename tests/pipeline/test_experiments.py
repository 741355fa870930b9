"""What people type: every command of the README, and experiments, some of them queued."""

import json
import re
import shutil
from typing import Any

import pytest

pytestmark = pytest.mark.slow

HOUSE = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 100">
  <path d="M10 50 L50 10 L90 50 M20 42 V90 H80 V42 M42 90 V62 H58 V90" fill="none" stroke="black"/>
</svg>
"""


def test_dvc_as_its_users_know_it(project: Any) -> None:
    assert "evaluate" in project.run("dvc", "dag")
    assert "always changed" in project.run("dvc", "status")
    assert "cnn" in project.run("dvc", "metrics", "show")
    project.run("dvc", "plots", "show", "--out", str(project.folder.parent / "plots"))
    page = (project.folder.parent / "plots" / "index.html").read_text()
    assert "confusion-cnn.csv" in page
    assert "mistakes.png" in page


def test_every_command_of_the_readme_works(
    project: Any, readme_commands: list[str], readme_excused: dict[str, str]
) -> None:
    """In their order, in a folder with a drawing and an outline; what they are said to do is seen afterwards."""
    runs, known = len(project.mlflow()["runs"]), project.run("dvc", "exp", "list")
    scene = sorted((project.folder / "data" / "report" / "explain").glob("*.png"))[0]
    shutil.copy(scene, project.folder / "drawing.png")
    (project.folder / "house.svg").write_text(HOUSE)
    for command in readme_commands:
        if command not in readme_excused:
            said = project.run("sh", "-c", command)
            if command.startswith("strokewise predict"):
                assert re.match(r"\w+ +\d+% drawing\.png", said)
            if command.startswith("dvc exp run"):
                assert re.search(r"train\.epochs\s+16\s+40", project.run("dvc", "params", "diff"))
                # of the few pictures as many may be right by chance: then the accuracy is not in it
                assert "cnn.log_loss" in project.run("dvc", "metrics", "diff")
    assert known != project.run("dvc", "exp", "list")
    assert len(project.mlflow()["runs"]) == runs + 4  # a CNN and a baseline for each of two new states
    assert "house" in json.loads((project.folder / "data" / "model" / "config.json").read_text())["shapes"]
    assert project.mlflow()["aliases"]["strokewise"].keys() >= {"champion", "challenger"}, "it knows other shapes"
    project.run("git", "reset", "--quiet", "--hard")
    project.run("git", "clean", "--quiet", "--force", "-d")
    project.run("dvc", "checkout")


def test_a_queued_experiment_runs_the_code_it_was_queued_with(project: Any) -> None:
    runs = len(project.mlflow()["runs"])
    project.run("dvc", "exp", "run", "--queue", "--name", "queued", "-S", "train.epochs=4")
    stage = project.folder / "src" / "strokewise" / "stages" / "train.py"
    code = stage.read_text()
    stage.write_text("raise SystemExit('the workspace has moved on')\n")
    try:
        project.run("dvc", "exp", "run", "--run-all")
    finally:
        stage.write_text(code)
    assert "Success" in project.run("dvc", "queue", "status")
    assert len(project.mlflow()["runs"]) > runs
    assert project.run("git", "status", "--porcelain") == ""
