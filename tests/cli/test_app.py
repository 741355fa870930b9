"""The command line as a whole: exit codes, one line for a user's mistake, the help and its examples."""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from strokewise.cli import app
from strokewise.errors import Refusal, UserError

RunCli = Callable[..., tuple[int, str, str]]
GROUP: Any = get_command(app.app)
COMMANDS = {name: command for name, command in GROUP.commands.items() if not command.hidden}


def examples(command: str) -> Iterator[str]:
    """The examples in the help of a command."""
    _, *lines = COMMANDS[command].epilog.split("\n\n")
    return iter(lines)


def arguments(example: str) -> list[str]:
    """The arguments of `strokewise` in an example, also at the end of a pipe."""
    program, *words = shlex.split(example.rpartition("| ")[2])
    assert program == "strokewise"
    return words


@pytest.mark.parametrize("command", COMMANDS)
def test_help_describes_the_command_and_shows_its_examples(command: str) -> None:
    done = CliRunner().invoke(app.app, [command, "--help"], terminal_width=120)
    assert done.exit_code == 0
    assert len(done.output) > 200
    assert "Examples:" in done.output
    for example in examples(command):
        assert example in " ".join(done.output.split())


@pytest.mark.parametrize("example", [example for command in COMMANDS for example in examples(command)])
def test_example_in_the_help_is_valid(example: str) -> None:
    name, *rest = arguments(example)
    COMMANDS[name].make_context(name, rest)  # raises if an option or argument is invalid


@pytest.mark.parametrize("example", [*examples("predict"), *examples("export"), *examples("network")])
def test_example_in_the_help_runs(example: str, root: Path, model: Path, drawing: Path, tmp_path: Path) -> None:
    shutil.copytree(model, tmp_path / "data" / "model")
    shutil.copy(root / "params.yaml", tmp_path)
    content = drawing.read_bytes()
    (tmp_path / "drawing.png").write_bytes(content)
    done = CliRunner().invoke(app.app, arguments(example), input=content)
    assert done.exit_code == 0, done.output


def test_version_is_printed(root: Path) -> None:
    command = [sys.executable, "-m", "strokewise", "--version"]
    assert subprocess.run(command, cwd=root, capture_output=True, text=True).stdout.startswith("strokewise 0.")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UserError("a\nb"), 2),
        (Refusal("no"), 3),
        (KeyboardInterrupt(), 130),
        (OSError(28, "No space left on device"), 2),
        (PermissionError(13, "Permission denied", "data/report"), 2),
        (FileExistsError(17, "File exists", "a-file/model.onnx"), 2),
        (ModuleNotFoundError("No module named 'torch'", name="torch"), 2),
        (MemoryError("Unable to allocate 9 TiB"), 2),
        (OSError(12, "Cannot allocate memory"), 2),
        (OSError("AF_UNIX path too long"), 2),
        (FileNotFoundError(2, "No such file", f"{tempfile.gettempdir()}{os.sep}tmpab12cd34{os.sep}x"), 2),
        (UserError("a \x1b[31m \u202e b \x9b"), 2),
    ],
)
def test_exit_code_of_an_error(
    error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(app, "app", fail)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    with pytest.raises(SystemExit) as caught:
        app.run()
    assert caught.value.code == code
    errors = capsys.readouterr().err
    assert len(errors.splitlines()) <= 1
    assert not {"\x1b", "\u202e", "\x9b"} & set(errors)


def test_lack_of_a_temporary_folder_is_one_line_with_a_remedy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/nowhere/at-all", "/proc/1"])
    monkeypatch.setattr(os, "environ", dict(os.environ))
    monkeypatch.setattr(app, "app", tempfile.mkdtemp)
    with pytest.raises(SystemExit) as caught:
        app.run()
    assert caught.value.code == 2
    assert "set TMPDIR to a folder that has room" in capsys.readouterr().err


def test_missing_module_that_no_extra_brings_is_an_error_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise ModuleNotFoundError("No module named 'numpy'", name="numpy")

    monkeypatch.setattr(app, "app", fail)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    with pytest.raises(ModuleNotFoundError):
        app.run()


@pytest.mark.parametrize(
    ("words", "message"),
    [
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
def test_invalid_call_exits_with_2_and_says_why(words: list[str], message: str, run_cli: RunCli) -> None:
    code, _, errors = run_cli(*words)
    assert code == 2
    assert message in errors
