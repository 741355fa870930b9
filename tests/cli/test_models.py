"""The commands that use a model: predict and export."""

import json
import os
import re
import struct
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
from strokewise.cli.app import app
from strokewise.loading import REFERENCE_MODEL

RunCli = Callable[..., tuple[int, str, str]]


def test_predict_prints_a_table_or_json(model: Path, drawing: Path, run_cli: RunCli) -> None:
    code, table, _ = run_cli("predict", str(drawing), "--model", str(model))
    assert code == 0
    assert table.split()[0] in {"circle", "other"}
    answer = json.loads(run_cli("predict", str(drawing.parent), "--json", "--model", str(model))[1])
    assert set(answer) == {"path", "shape", "confidence", "scores"}
    assert answer["path"] == str(drawing)
    assert answer["confidence"] == max(answer["scores"].values()) == answer["scores"][answer["shape"]]
    assert sum(answer["scores"].values()) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("kind", ["picture", "strokes"])
def test_predict_reads_standard_input(kind: str, model: Path, drawing: Path) -> None:
    strokes = [[[50 + 20 * np.cos(angle), 50 + 20 * np.sin(angle)] for angle in np.linspace(0, 6.3, 40)]]
    content = drawing.read_bytes() if kind == "picture" else json.dumps(strokes).encode()
    done = CliRunner().invoke(app, ["predict", "-", "--json", "--model", str(model)], input=content)
    answer = json.loads(done.stdout)
    assert answer.pop("path") == "-"
    (expected,) = load(model).predict(content)
    assert answer == expected.to_dict()


@pytest.mark.parametrize("layout", ["points", "columns"])
def test_predict_takes_the_layout_of_ambiguous_strokes(layout: str, model: Path, run_cli: RunCli) -> None:
    rows = [[10, 20, 30], [10, 50, 20]]
    Path("strokes.json").write_text(json.dumps([rows]))
    words = ["predict", "strokes.json", "--json", "--model", str(model)]
    code, output, _ = run_cli(*words)
    assert code == 2
    assert "--strokes points or --strokes columns" in json.loads(output)["error"]
    code, output, _ = run_cli(*words, "--strokes", layout)
    assert code == 0
    points = [[x, y] for x, y, *_ in rows] if layout == "points" else np.transpose(rows).tolist()
    assert json.loads(output)["scores"] == load(model).predict([points])[0].scores


def test_predict_reports_closed_standard_input(model: Path) -> None:
    command = [sys.executable, "-m", "strokewise", "predict", "-", "--model", str(model)]
    done = subprocess.run(["sh", "-c", '"$@" <&-', "sh", *command], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "standard input is closed" in done.stderr


def test_predict_answers_other_below_the_requested_confidence(model: Path, drawing: Path, run_cli: RunCli) -> None:
    (prediction,) = load(model).predict(drawing)
    words = ["predict", str(drawing), "--json", "--model", str(model), "--reject-below"]
    for bound, shape in ((prediction.confidence, prediction.shape), (1, "other")):
        answer = json.loads(run_cli(*words, str(bound))[1])
        assert (answer["shape"], answer["confidence"]) == (shape, prediction.scores[shape])
    code, _, errors = run_cli(*words, "2")
    assert (code, "between 0 and 1" in errors) == (2, True)


def test_predict_reports_unreadable_pictures_and_answers_the_others(
    model: Path, drawing: Path, run_cli: RunCli
) -> None:
    (drawing.parent / "broken.png").write_bytes(drawing.read_bytes()[:60])
    missing = drawing.parent / f"{'missing' * 40}.png"  # longer than a name can be
    code, output, errors = run_cli("predict", str(drawing.parent), str(missing), "--json", "--model", str(model))
    broken, good, absent = (json.loads(line) for line in output.splitlines())
    assert set(broken) == set(absent) == {"path", "error"}
    assert good["path"] == str(drawing)
    assert code == 2
    assert "2 of 3 pictures could not be read" in errors


UNENCODABLE_NAMES = [("\N{BLACK STAR}.png", "latin-1:strict", "\\u2605.png")]  # name, encoding of stdout, as printed
if sys.platform != "darwin":  # where a name is UTF-8 or refused by the file system
    UNENCODABLE_NAMES.append((os.fsdecode(b"\xff.png"), "utf-8:strict", "\\udcff.png"))


@pytest.mark.parametrize(("name", "encoding", "printed"), UNENCODABLE_NAMES)
def test_predict_escapes_a_name_that_stdout_cannot_encode(
    name: str, encoding: str, printed: str, model: Path, drawing: Path
) -> None:
    drawing.rename(drawing.parent / name)
    command = [sys.executable, "-m", "strokewise", "predict", str(drawing.parent), "--model", str(model)]
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(f"{printed}\n")


def test_predict_of_an_empty_folder_exits_with_2(model: Path, run_cli: RunCli, tmp_path: Path) -> None:
    code, _, errors = run_cli("predict", str(tmp_path), "--model", str(model))
    assert code == 2
    assert f"no pictures in {tmp_path}" in errors


def test_export_writes_onnx_that_onnxruntime_loads(model: Path, run_cli: RunCli, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    _, output, _ = run_cli("export", "--onnx", str(path), "--model", str(model))
    assert output == f"{path}: {path.stat().st_size:,} bytes, 2 classes\n"
    assert path.read_bytes() == (model / "model.onnx").read_bytes()
    assert onnxruntime.InferenceSession(path).get_inputs()[0].shape[1:] == [32, 32]


def test_export_replaces_no_pipe_and_follows_a_link(model: Path, run_cli: RunCli, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    code, _, stderr = run_cli("export", "--onnx", str(tmp_path / "pipe"), "--model", str(model))
    assert (code, stderr.count("\n")) == (2, 1)
    assert "neither a file nor a folder, so it is not replaced; move it away" in stderr
    (tmp_path / "link").symlink_to(tmp_path / "target")
    assert run_cli("export", "--onnx", str(tmp_path / "link"), "--model", str(model))[0] == 0
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == (model / "model.onnx").read_bytes()


def test_control_characters_in_names_are_escaped_and_json_stays_json(
    model: Path, drawing: Path, run_cli: RunCli
) -> None:
    name = "a\x1b[31m\n\u202eb"
    folder = drawing.parent.rename(name)
    (folder / "text.png").write_text("no picture")
    words = ["predict", str(folder), "--model", str(model)]
    _, table, errors = run_cli(*words)
    for output in (table, errors):
        assert r"a\x1b[31m\n\u202eb" in output
        assert not {"\x1b", "\u202e"} & set(output)
    assert len(table.splitlines()) == 1
    answers = [json.loads(line) for line in run_cli(*words, "--json")[1].splitlines()]
    assert {answer["path"] for answer in answers} == {f"{name}/circle.png", f"{name}/text.png"}


@pytest.mark.slow
@pytest.mark.parametrize("command", ["predict", "explain", "import"])
def test_command_prints_no_lines_of_libraries(command: str, model: Path, drawing: Path) -> None:
    folder = drawing.parent / "other"
    folder.mkdir()
    Path("data/outlines/ellipse").mkdir(parents=True)
    content = drawing.read_bytes()
    text = struct.pack(">I", 3) + b"tEXta\0b" + bytes(4)  # with a wrong CRC, of which libpng warns
    (folder / "warned.png").write_bytes(content[:33] + text + content[33:])
    jpeg = cv2.imencode(".jpg", cv2.imread(str(drawing)))[1].tobytes()
    (folder / "cut.jpg").write_bytes(jpeg[:-40] + b"\xff\xd9")
    options = {"predict": ["--model", str(model)], "explain": ["--model", str(model)], "import": ["--dry-run"]}[command]
    words = [sys.executable, "-m", "strokewise", command, str(drawing.parent if command == "import" else folder)]
    done = subprocess.run([*words, *options], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = [
        line for line in re.split(r"[\r\n]+", done.stderr) if line and not line.startswith((command, f"{command}:"))
    ]
    assert lines == []  # but for the bar of progress


def test_snap_prints_where_the_outline_lies(drawing: Path, run_cli: RunCli) -> None:
    words = ["predict", str(drawing), "--model", str(REFERENCE_MODEL)]
    code, line, _ = run_cli(*words, "--snap")
    assert code == 0
    plain = run_cli(*words)[1].rstrip("\n")
    assert line.startswith(plain)
    assert re.search(r"centre [\d.]+, [\d.]+  size [\d.]+ × [\d.]+  angle -?[\d.]+°|no outline: ", line)
    answer = json.loads(run_cli(*words, "--snap", "--json")[1])
    assert "geometry" in answer
    assert "geometry" not in json.loads(run_cli(*words, "--json")[1])
    refused = json.loads(run_cli(*words, "--snap", "--json", "--max-misfit", "0")[1])
    assert refused["geometry"] is None
    assert refused["no_geometry"]


def test_svg_is_written_for_one_drawing_and_for_a_folder(drawing: Path, run_cli: RunCli) -> None:
    words = ["--svg", "out.svg", "--model", str(REFERENCE_MODEL)]
    code, line, report = run_cli("predict", str(drawing), *words)
    assert (code, "out.svg written" in report) == (0, True)
    assert "centre" in line or "no outline" in line  # it includes --snap
    single = Path("out.svg").read_text()
    assert single.count("<image") == 1
    (drawing.parent / "second.png").write_bytes(drawing.read_bytes())
    (drawing.parent / "broken.png").write_bytes(b"no picture")
    assert (
        run_cli("predict", str(drawing.parent), *words)[0] == 2
    )  # one is unreadable, the others are drawn all the same
    assert Path("out.svg").read_text().count("<image") == 2


def test_svg_of_standard_input(drawing: Path) -> None:
    words = ["predict", "-", "--svg", "out.svg", "--model", str(REFERENCE_MODEL)]
    done = CliRunner().invoke(app, words, input=drawing.read_bytes())
    assert done.exit_code == 0
    assert "<image" in Path("out.svg").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [(["--snap", "--max-misfit", "2"], "give a number between 0 and 1"),
     (["--svg", "."], "is a directory")],
)  # fmt: skip
def test_mistakes_with_snap_exit_with_2(words: list[str], message: str, drawing: Path, run_cli: RunCli) -> None:
    code, _, errors = run_cli("predict", str(drawing), "--model", str(REFERENCE_MODEL), *words)
    assert code == 2
    assert message in errors
