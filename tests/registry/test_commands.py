"""The registry's commands as a person types them."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from strokewise import cli

Put = Callable[..., Path]


@pytest.fixture
def type_(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Type `strokewise WORDS` -> exit code, what it printed, what it printed as an error."""

    def typed(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["strokewise", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return typed


@pytest.mark.slow
def test_from_register_to_rollback(project: Put, type_: Callable[..., tuple[int, str, str]]) -> None:
    project(weak=0.2)
    assert type_("history")[1] == "nothing has been registered yet; `dvc repro` does it\n"
    code, said, _ = type_("register", "--strict")
    assert (code, "Registered version 1, champion" in said) == (0, True)
    project(weak=0.6)
    code, said, error = type_("register", "--strict")
    assert (code, "Registered refused" in said) == (3, True)
    assert error == "strokewise: the CNN is not the champion (--strict); the lines above say why\n"
    assert type_("register")[0] == 0
    project()
    assert type_("register", "--dry-run", "--strict")[0] == 0
    assert "Registered version 2, champion" in type_("register")[1]
    assert type_("rollback", "--reason", "it misread my circles")[1] == (
        "version 1 is the champion now; before it was version 2\n"
    )
    assert type_("register", "--strict")[0] == 3
    assert type_("promote", "2", "--reason", "the scanner was dirty")[0] == 0
    lines = type_("history")[1].splitlines()
    assert [line.split()[2] for line in lines] == ["champion", "refused", "champion", "rollback", "promote"]
    assert lines[3].endswith("rollback   version 1       it misread my circles")
    code, _, error = type_("promote", "9", "--reason", "x")
    assert (code, error) == (2, "strokewise: there is no version 9; versions: 1, 2\n")
    assert type_("promote", "2")[0] == 2  # no reason given


def test_a_wrong_uri(project: Put, type_: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch) -> None:
    project()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "htp://x")
    for words in (("register",), ("ui",), ("history",), ("rollback", "--reason", "x")):
        code, _, error = type_(*words)
        assert (code, error.startswith("strokewise: MLFLOW_TRACKING_URI is 'htp://x'; it must be a server")) == (
            2,
            True,
        )
