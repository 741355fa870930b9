"""Each check of the doctor, in front of something that is really broken."""

import json
import os
import shutil
import socket
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from strokewise import doctor
from strokewise.doctor import Finding
from strokewise.model.cnn import CNN
from strokewise.model.model_files import save_model
from strokewise.params import Params


def of(check: str, root: Path) -> list[Finding]:
    """What one check, a function of the doctor, finds; what it raises is found too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setattr(doctor, "CHECKS", (getattr(doctor, check),))
        return list(doctor.run_checks(root))


def one(check: str, root: Path) -> tuple[str, str, str]:
    (finding,) = [each for each in of(check, root) if each.state != "ok"] or of(check, root)
    return finding.state, finding.said, finding.todo


@pytest.fixture
def checkout(root: Path, tmp_path: Path) -> Path:
    """A checkout without git and DVC, as far as the doctor looks at it."""
    for name in ("params.yaml", "requirements.lock"):
        shutil.copy(root / name, tmp_path)
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    return tmp_path


def test_versions(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = checkout / "requirements.lock"
    lock.write_text(lock.read_text().replace(f"numpy=={metadata.version('numpy')}", "numpy==0.1"))
    state, said, todo = one("versions", checkout)
    assert (state, said.split(": ")[0], "make repro" in todo) == ("warn", "not as pinned", True)
    assert f"numpy {metadata.version('numpy')} instead of 0.1" in said
    monkeypatch.setattr(metadata, "requires", lambda _: ["no-such-library>=1"])
    lock.unlink()
    assert one("versions", checkout)[:2] == ("bad", "not installed: no-such-library")


def test_another_checkout_s_source(checkout: Path) -> None:
    assert one("python", checkout)[0] == "ok"
    (checkout / "src" / "strokewise").mkdir(parents=True)
    assert one("python", checkout)[0] == "warn"


def test_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert one("threads", tmp_path)[0] == "ok"
    for name, value in (("OMP_NUM_THREADS", "4096"), ("OMP_NUM_THREADS", "many"), ("OMP_WAIT_POLICY", "ACTIVE")):
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            assert one("threads", tmp_path)[0] == "warn"


def test_free_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for free, state in ((2**20, "bad"), (2**30, "warn"), (2**40, "ok")):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: shutil._ntuple_diskusage(0, 0, free))
        assert one("free_space", tmp_path)[0] == state


def test_parameters(checkout: Path) -> None:
    path = checkout / "params.yaml"
    text = path.read_text()
    assert one("parameters", checkout)[0] == "ok"
    path.write_text(text.replace("train:", "train:\n  no_such: 1", 1))
    assert one("parameters", checkout)[0] == "bad"
    path.write_bytes(b"\xff{{[")
    assert one("parameters", checkout)[0] == "bad"
    path.unlink()
    assert one("parameters", checkout) == ("bad", "params.yaml is missing", "git checkout params.yaml")


def test_git(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(checkout.parent))
    assert one("git", checkout)[:2] == ("bad", "this is no git repository")
    subprocess.run(["git", "init", "--quiet"], cwd=checkout, check=True)
    assert one("git", checkout)[:2] == ("warn", "nothing is committed yet")
    monkeypatch.setenv("PATH", str(checkout))
    assert one("git", checkout)[:2] == ("bad", "git is not installed or not on PATH")


@pytest.mark.slow
def test_dvc(checkout: Path) -> None:
    assert one("dvc", checkout)[:2] == ("bad", "DVC is not initialised here")
    subprocess.run([sys.executable, "-m", "dvc", "init", "--quiet", "--no-scm"], cwd=checkout, check=True)
    assert one("dvc", checkout)[0] == "ok"
    (checkout / "dvc.yaml").write_text("stages: {train: {cmd: 'true', deps: [params.yaml]}}\n")
    assert one("dvc", checkout)[:2] == ("warn", "not up to date: train")
    (checkout / "dvc.yaml").write_text("stages: [")
    assert one("dvc", checkout)[0] == "bad"
    lock = checkout / ".dvc" / "tmp" / "rwlock"
    lock.write_text('{"write": {"/x": {"pid": 1, "cmd": "dvc repro"}}, "read": {}}')
    assert one("dvc", checkout)[:2] == ("warn", "locked by process 1")
    lock.write_text('{"write"')
    assert one("dvc", checkout)[0] == "bad"


def test_leftovers(checkout: Path) -> None:
    assert one("leftovers", checkout)[0] == "ok"
    (checkout / "data" / "model").mkdir(parents=True)
    (checkout / "data" / "model" / ".train.a1b2c3d_").mkdir()
    (checkout / "data" / ".gitignore").touch()
    state, said, todo = one("leftovers", checkout)
    assert (state, said) == ("warn", "half-written: data/model/.train.a1b2c3d_")
    assert todo.endswith("rm -r data/model/.train.a1b2c3d_")


def test_a_store_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert one("store", tmp_path)[0] == "ok"
    (tmp_path / "mlflow.db").write_bytes(b"no database" * 99)
    assert one("store", tmp_path)[0] == "bad"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "htp://x")
    assert one("store", tmp_path)[1].startswith("MLFLOW_TRACKING_URI is 'htp://x'")
    assert of("champion", tmp_path) == []
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))  # and nobody listens
        port = probe.getsockname()[1]
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
        assert one("store", tmp_path)[1] == f"nobody answers at 127.0.0.1:{port} (Connection refused)"


def test_a_damaged_model(root: Path, tmp_path: Path) -> None:
    assert of("model", tmp_path) == []
    folder = tmp_path / "data" / "model"
    settings = Params.load(root / "params.yaml", ["network.image_size=32", "network.base_channels=8"]).network
    save_model(CNN(("circle", "other"), settings), folder, {"fingerprint": "0" * 64})
    assert one("model", tmp_path)[0] == "ok"
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-9])
    state, said, _ = one("model", tmp_path)
    assert (state, "is damaged" in said) == ("bad", True)


def test_whatever_is_raised_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for error, said in (
        (ModuleNotFoundError(name="mlflow"), "mlflow is not installed"),
        (KeyError("a"), "KeyError: 'a'"),
    ):

        def broken(root: Path, error: Exception = error) -> doctor.Findings:
            raise error
            yield

        monkeypatch.setattr(doctor, "CHECKS", (broken,))
        (finding,) = doctor.run_checks(tmp_path)
        assert (finding.check, finding.state, finding.said) == ("broken", "bad", said)


def test_the_command_outside_a_checkout_and_with_something_broken(tmp_path: Path) -> None:
    def run(*words: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "strokewise", "doctor", *words]
        return subprocess.run(command, cwd=tmp_path, env=os.environ, capture_output=True, text=True, check=False)

    done = run("--json")
    assert (done.returncode, done.stderr) == (0, "")
    said = json.loads(done.stdout)
    assert said["usable"]
    assert {"python", "versions", "threads", "disk", "store"} <= {each["check"] for each in said["findings"]}
    (tmp_path / "params.yaml").write_text("{")
    done = run()
    assert (done.returncode, done.stderr.count("\n")) == (3, 1)
    assert done.stderr.startswith("strokewise: 1 of ")
    assert "\nbad  parameters" in done.stdout
