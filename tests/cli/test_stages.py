"""The commands of the stages, without what they need."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

RunCli = Callable[..., tuple[int, str, str]]
STAGES = ["generate", "train", "baseline", "evaluate", "explain", "register"]


@pytest.mark.parametrize("stage", STAGES)
def test_stage_without_params_yaml_says_where_to_run(stage: str, run_cli: RunCli, tmp_path: Path) -> None:
    code, output, errors = run_cli(stage)
    assert (code, output) == (2, "")
    assert errors.startswith("strokewise: no params.yaml here; run strokewise in the root")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("stage", ["train", "baseline", "evaluate", "explain", "register"])
def test_stage_without_its_inputs_says_what_to_run(stage: str, run_cli: RunCli, root: Path, tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text((root / "params.yaml").read_text())
    code, _, errors = run_cli(stage)
    assert code == 2
    assert len(errors.splitlines()) == 1
    assert "run `" in errors
    assert {path.name for path in tmp_path.iterdir()} <= {"params.yaml", ".strokewise"}


@pytest.mark.parametrize(
    ("words", "target"),
    [
        (["train"], "data/model"),
        (["baseline"], "data/baseline"),
        (["explain", "drawing.png", "--model", "nowhere", "-o", "page.html"], "page.html"),
        (["export", "--model", "nowhere", "--onnx", "shapes.onnx"], "shapes.onnx"),
    ],
)
def test_pipe_in_the_place_of_what_is_written_is_refused_before_anything_is_read(
    words: list[str], target: str, run_cli: RunCli, root: Path, tmp_path: Path
) -> None:
    (tmp_path / "params.yaml").write_text((root / "params.yaml").read_text())
    (tmp_path / target).parent.mkdir(exist_ok=True)
    os.mkfifo(tmp_path / target)
    code, _, errors = run_cli(*words)
    assert (code, errors.count("\n")) == (2, 1)
    assert errors.startswith(f"strokewise: {target}: neither a file nor a folder, so it is not replaced; move it away")
    assert (tmp_path / target).is_fifo()
