"""The commands of a project of one's own: init and code."""

from collections.abc import Callable
from pathlib import Path

import pytest

RunCli = Callable[..., tuple[int, str, str]]


@pytest.mark.slow
def test_init_names_the_shapes_and_the_next_step(run_cli: RunCli) -> None:
    code, output, _ = run_cli("init", "my-shapes")
    first, second = output.splitlines()
    assert code == 0
    assert first.startswith("my-shapes: 11 shapes in data/outlines (arrow, ")
    assert second == "next: cd my-shapes && git commit --message 'A new project' && dvc repro"
    assert Path("my-shapes", "dvc.yaml").is_file()


def test_init_refuses_a_folder_with_files_in_one_line(run_cli: RunCli) -> None:
    Path("mine.txt").touch()
    code, _, errors = run_cli("init", ".")
    assert code == 2
    assert errors == "strokewise: . is not empty; name a folder that does not exist yet, or an empty one\n"


def test_code_writes_the_digests_of_all_stages(run_cli: RunCli) -> None:
    assert run_cli("code")[0] == 0
    assert {path.name for path in Path("data/code").iterdir()} >= {"generate", "train", "register"}
