"""The door: exit codes, one line for a user's mistake, what the commands say."""

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import pytest
from typer.testing import CliRunner

from strokewise import load
from strokewise.cli import app
from strokewise.cli.app import app
from strokewise.errors import Refusal, UserError
from strokewise.model.cnn import CNN
from strokewise.model.model_files import save_model
from strokewise.params import Params

RunCli = Callable[..., tuple[int, str, str]]
STAGES = ["generate", "train", "baseline", "evaluate", "explain", "register"]


@pytest.fixture(scope="session")
def model(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder of an untrained network: the plumbing does not mind."""
    folder = tmp_path_factory.mktemp("model") / "model"
    settings = Params.load(root / "params.yaml", ["network.image_size=32", "network.base_channels=8"]).network
    save_model(CNN(("circle", "other"), settings), folder, {"fingerprint": "0" * 64})
    return folder


@pytest.fixture
def drawing(tmp_path: Path) -> Path:
    scene = np.full((90, 70, 3), 255, np.uint8)
    cv2.circle(scene, (35, 45), 20, (0, 0, 0), 2)
    path = tmp_path / "drawings" / "circle.png"
    path.parent.mkdir()
    cv2.imwrite(str(path), scene)
    return path


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def strokewise(*words: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-m", "strokewise", *words], cwd=cwd, capture_output=True, text=True)


@pytest.mark.parametrize("command", [*STAGES, "predict", "ui", "network"])
def test_every_command_has_a_help_that_says_what_it_does(command: str) -> None:
    done = CliRunner().invoke(app.app, [command, "--help"], terminal_width=120)
    assert done.exit_code == 0
    assert len(done.output) > 200


def test_version(root: Path) -> None:
    done = strokewise("--version", cwd=root)
    assert done.stdout.startswith("strokewise 0.")


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_needs_the_parameters_and_says_where(stage: str, run_cli: RunCli, tmp_path: Path) -> None:
    code, said, error = run_cli(stage)
    assert (code, said) == (2, "")
    assert error.startswith("strokewise: no params.yaml here; run strokewise in the root")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("stage", ["train", "baseline", "evaluate", "explain", "register"])
def test_a_stage_without_its_inputs_says_what_to_run(stage: str, run_cli: RunCli, root: Path, tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text((root / "params.yaml").read_text())
    code, _, error = run_cli(stage)
    assert code == 2
    assert len(error.splitlines()) == 1
    assert "run `" in error
    assert {path.name for path in tmp_path.iterdir()} <= {"params.yaml", ".strokewise"}


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UserError("a\nb"), 2),
        (Refusal("no"), 3),
        (KeyboardInterrupt(), 130),
        (OSError(28, "No space left on device"), 2),
        (PermissionError(13, "Permission denied", "data/report"), 2),
        (FileExistsError(17, "File exists", "a-file/model.onnx"), 2),
    ],
)
def test_exit_codes(
    error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(app, "app", fail)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    with pytest.raises(SystemExit) as caught:
        app.run()
    assert caught.value.code == code
    assert len(capsys.readouterr().err.splitlines()) <= 1


def test_predict_answers_in_a_table_or_in_json(model: Path, drawing: Path, run_cli: RunCli) -> None:
    code, table, _ = run_cli("predict", str(drawing), "--model", str(model))
    assert code == 0
    assert table.split()[0] in {"circle", "other"}
    answer = json.loads(run_cli("predict", str(drawing.parent), "--json", "--model", str(model))[1])
    assert set(answer) == {"path", "shape", "confidence", "scores"}
    assert answer["path"] == str(drawing)
    assert answer["confidence"] == max(answer["scores"].values()) == answer["scores"][answer["shape"]]
    assert sum(answer["scores"].values()) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("kind", ["picture", "strokes"])
def test_predict_reads_a_pipe(kind: str, model: Path, drawing: Path) -> None:
    strokes = [[[50 + 20 * np.cos(turn), 50 + 20 * np.sin(turn)] for turn in np.linspace(0, 6.3, 40)]]
    given = drawing.read_bytes() if kind == "picture" else json.dumps(strokes).encode()
    done = CliRunner().invoke(app, ["predict", "-", "--json", "--model", str(model)], input=given)
    answer = json.loads(done.stdout)
    assert answer.pop("path") == "-"
    (expected,) = load(model).predict(given)
    assert answer == dataclasses.asdict(expected)


def test_predict_says_other_below_the_confidence_asked_for(model: Path, drawing: Path, run_cli: RunCli) -> None:
    (free,) = load(model).predict(drawing)
    words = ["predict", str(drawing), "--json", "--model", str(model), "--reject-below"]
    for bound, shape in ((free.confidence, free.shape), (1, "other")):
        answer = json.loads(run_cli(*words, str(bound))[1])
        assert (answer["shape"], answer["confidence"]) == (shape, free.scores[shape])
    code, _, error = run_cli(*words, "2")
    assert (code, "between 0 and 1" in error) == (2, True)


def test_export_writes_what_a_browser_can_run(model: Path, run_cli: RunCli, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    _, said, _ = run_cli("export", "--onnx", str(path), "--model", str(model))
    assert said.startswith(f"{path}: onnxruntime answers as PyTorch does")
    assert onnxruntime.InferenceSession(path).get_inputs()[0].shape[1:] == [32, 32]


def test_an_unreadable_picture_is_named_and_the_others_still_run(model: Path, drawing: Path, run_cli: RunCli) -> None:
    (drawing.parent / "broken.png").write_bytes(drawing.read_bytes()[:60])
    missing = drawing.parent / f"{'missing' * 40}.png"  # longer than a name can be
    code, said, error = run_cli("predict", str(drawing.parent), str(missing), "--json", "--model", str(model))
    broken, good, absent = (json.loads(line) for line in said.splitlines())
    assert set(broken) == set(absent) == {"path", "error"}
    assert good["path"] == str(drawing)
    assert code == 2
    assert "2 of 3 pictures could not be read" in error


UNWRITABLE = [("\N{BLACK STAR}.png", "latin-1:strict", "\\u2605.png")]
if sys.platform != "darwin":  # there a name is UTF-8 or refused by the file system
    UNWRITABLE.append((os.fsdecode(b"\xff.png"), "utf-8:strict", "\\udcff.png"))


@pytest.mark.parametrize(("name", "locale", "shown"), UNWRITABLE)
def test_a_name_that_cannot_be_written_is_shown_as_it_can_be(
    name: str, locale: str, shown: str, model: Path, drawing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", locale)
    drawing.rename(drawing.parent / name)
    done = strokewise("predict", str(drawing.parent), "--model", str(model), cwd=drawing.parent)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(f"{shown}\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["predict", "."], "no champion is registered and there is no data/model here; run `make repro`"),
        (["predict", ".", "--model", "nowhere/model"], "no model in nowhere/model"),
        (["predict", ".", "--model", "champion"], "champion"),
        (["predict", "--model", "x"], "Missing argument"),
        (["predict", ".", "--model", "x" * 300], "models:/strokewise@xxx"),
        (["explain", "a.png", "--output", "."], "is a directory"),
        (["explain", "a.png", "--set", "explain.feature_maps=3"], "--params and --set are for the stage"),
        (["explain", "--output", "page.html"], "--output and --model are for pictures of your own"),
        (["explain", "a", "b", "--compare", "--model", "c"], "--compare takes the model folders themselves"),
        (["tarin"], "No such command"),
    ],
)
def test_what_cannot_be_done_is_said(words: list[str], message: str, run_cli: RunCli) -> None:
    code, _, error = run_cli(*words)
    assert code == 2
    assert message in error


def test_an_empty_folder_is_said(model: Path, run_cli: RunCli, tmp_path: Path) -> None:
    code, _, error = run_cli("predict", str(tmp_path), "--model", str(model))
    assert code == 2
    assert f"no pictures in {tmp_path}" in error
