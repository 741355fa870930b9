"""The commands of the registry: register, history, rollback and promote."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from strokewise import doctor
from strokewise.support.findings import Finding

Project = Callable[..., Path]
RunCli = Callable[..., tuple[int, str, str]]


@pytest.mark.slow
def test_register_history_rollback_and_promote(project: Project, run_cli: RunCli) -> None:
    project(weak=0.2)
    assert run_cli("history")[1] == "nothing has been registered yet; `dvc repro` does it\n"
    code, stdout, _ = run_cli("register", "--strict")
    assert (code, "Registered version 1, champion" in stdout) == (0, True)
    project(weak=0.6)
    code, stdout, stderr = run_cli("register", "--strict")
    assert (code, "Registered refused" in stdout) == (3, True)
    assert stderr == "strokewise: the CNN is not the champion (--strict); the lines above say why\n"
    assert run_cli("register")[0] == 0
    project()
    assert run_cli("register", "--dry-run", "--strict")[0] == 0
    assert "Registered version 2, champion" in run_cli("register")[1]
    assert run_cli("rollback", "--reason", "it misread my circles")[1] == (
        "version 1 is the champion now; before it was version 2\n"
    )
    assert run_cli("register", "--strict")[0] == 3
    assert run_cli("promote", "2", "--reason", "the scanner was dirty")[0] == 0
    lines = run_cli("history")[1].splitlines()
    assert [line.split()[2] for line in lines] == ["champion", "refused", "champion", "rollback", "promote"]
    assert lines[3].endswith("rollback   version 1       it misread my circles")
    code, _, stderr = run_cli("promote", "9", "--reason", "x")
    assert (code, stderr) == (2, "strokewise: there is no version 9; versions: 1, 2\n")
    assert run_cli("promote", "2")[0] == 2  # no reason given


def test_invalid_uri_exits_with_2(project: Project, run_cli: RunCli, monkeypatch: pytest.MonkeyPatch) -> None:
    project()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://")
    for command in (("register",), ("ui",), ("history",), ("rollback", "--reason", "x")):
        code, _, stderr = run_cli(*command)
        assert (code, stderr.startswith("strokewise: MLFLOW_TRACKING_URI is 'http://'; it must be a server")) == (
            2,
            True,
        )


def test_control_characters_in_reasons_and_findings_are_escaped(
    run_cli: RunCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "a\x1b[31m\n\u202eb"
    event = SimpleNamespace(at="2026-01-01T00:00:00", action="promoted", version=1, fingerprint="0", reason=text)
    monkeypatch.setattr("strokewise.registry.versions.read_events", lambda: [event])
    finding = Finding("store", "warn", text, text)
    monkeypatch.setattr(doctor, "run_checks", lambda _: [finding])
    assert run_cli("history")[1].endswith(r"a\x1b[31m\n\u202eb" + "\n")
    assert run_cli("doctor")[1].count(r"a\x1b[31m\n\u202eb") == 2
    assert json.loads(run_cli("doctor", "--json")[1])["findings"][0]["message"] == text


def test_serve_prints_no_lines_of_libraries() -> None:
    code = (
        "import os, sys\n"
        "from strokewise.cli import app\n"
        "from strokewise.serving import serve\n"
        "def serve_model(*_, **__):\n"
        "    os.write(2, b'of libpng\\n')\n"
        "    print('of the server', file=sys.stderr)\n"
        "serve.serve_model = serve_model\n"
        "sys.argv = ['strokewise', 'serve']\n"
        "app.run()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "of the server\n")
