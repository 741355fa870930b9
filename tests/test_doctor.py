"""Each check of the doctor against something that is really broken."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest

from strokewise import doctor
from strokewise.model.cnn import CNN
from strokewise.model.model_files import save_model
from strokewise.params import Params
from strokewise.stages.register import register
from strokewise.support.findings import Finding, Findings


def run_check(name: str, root: Path) -> list[Finding]:
    """The findings of one check of the doctor."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setattr(doctor, "CHECKS", (getattr(doctor, f"check_{name}"),))
        return list(doctor.run_checks(root))


def find_problem(name: str, root: Path) -> tuple[str, str, str]:
    """State, message and action of the only finding, or of the only one that is not ok."""
    findings = run_check(name, root)
    (finding,) = [finding for finding in findings if finding.state != "ok"] or findings
    return finding.state, finding.message, finding.action


@pytest.fixture
def checkout(root: Path, tmp_path: Path) -> Path:
    """The files of a checkout that the doctor reads, without git and DVC."""
    for name in ("params.yaml", "requirements.lock"):
        shutil.copy(root / name, tmp_path)
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    return tmp_path


def test_versions_differing_from_the_pins_and_missing_packages_are_found(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = checkout / "requirements.lock"
    lock.write_text(lock.read_text().replace(f"numpy=={metadata.version('numpy')}", "numpy==0.1"))
    state, message, action = find_problem("versions", checkout)
    assert (state, message.split(": ")[0], "make repro" in action) == ("warn", "not as pinned", True)
    assert f"numpy {metadata.version('numpy')} instead of 0.1" in message
    monkeypatch.setattr(metadata, "requires", lambda _: ["no-such-library>=1"])
    lock.unlink()
    assert find_problem("versions", checkout)[:2] == ("bad", "not installed: no-such-library")


def test_packages_of_the_pipeline_are_required_where_there_is_one(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "_installed_version", lambda name: None if name in ("dvc", "mlflow") else "1")
    monkeypatch.setattr(metadata, "requires", lambda _: ["numpy>=1", 'dvc>=3; extra == "pipeline"'])
    (checkout / "requirements.lock").unlink()
    expected = ("bad", "not installed: dvc, mlflow", "pip install 'strokewise[pipeline]'")
    assert find_problem("versions", checkout) == expected
    (tmp_path / "elsewhere").mkdir()
    assert run_check("versions", tmp_path / "elsewhere") == [Finding("versions", "ok", "all 1 are installed")]


def test_outside_a_checkout_not_all_is_well(tmp_path: Path) -> None:
    assert find_problem("git", tmp_path)[0] == "warn"
    state, message, action = find_problem("store", tmp_path)
    assert (state, "uses the reference model" in message, "MLFLOW_TRACKING_URI" in action) == ("warn", True, True)


@pytest.mark.parametrize("name", ["number #1", "büro"])
def test_paths_that_stop_the_queue_of_dvc_are_warnings(name: str, checkout: Path, tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet"], cwd=checkout, check=True)
    subprocess.run(["git", "remote", "add", "origin", "/srv/plain.git"], cwd=checkout, check=True)
    assert run_check("paths", checkout) == []
    subprocess.run(["git", "remote", "add", "team", f"/srv/{name}.git"], cwd=checkout, check=True)
    state, message, _ = find_problem("paths", checkout)
    assert (state, "git remote team" in message) == ("warn", True)
    moved = shutil.copytree(checkout, tmp_path / name / "checkout", ignore=shutil.ignore_patterns(name, ".git"))
    assert "this folder" in find_problem("paths", moved)[1]


def test_source_of_another_checkout_is_a_warning(checkout: Path) -> None:
    assert find_problem("python", checkout)[0] == "ok"
    (checkout / "src" / "strokewise").mkdir(parents=True)
    assert find_problem("python", checkout)[0] == "warn"


def test_unsuitable_openmp_settings_are_warnings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_problem("threads", tmp_path)[0] == "ok"
    for name, value in (("OMP_NUM_THREADS", "4096"), ("OMP_NUM_THREADS", "many"), ("OMP_WAIT_POLICY", "ACTIVE")):
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            assert find_problem("threads", tmp_path)[0] == "warn"


def test_low_free_space_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for free, state in ((2**20, "bad"), (2**30, "warn"), (2**40, "ok")):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: shutil._ntuple_diskusage(0, 0, free))
        assert find_problem("disk", tmp_path)[0] == state


def test_invalid_and_missing_params_yaml_are_found(checkout: Path) -> None:
    path = checkout / "params.yaml"
    text = path.read_text()
    assert find_problem("parameters", checkout)[0] == "ok"
    path.write_text(text.replace("train:", "train:\n  no_such: 1", 1))
    assert find_problem("parameters", checkout)[0] == "bad"
    path.write_bytes(b"\xff{{[")
    assert find_problem("parameters", checkout)[0] == "bad"
    path.unlink()
    assert find_problem("parameters", checkout) == ("bad", "params.yaml is missing", "git checkout params.yaml")


def test_missing_git_repository_or_command_is_found(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(checkout.parent))
    assert find_problem("git", checkout)[:2] == ("bad", "this is no git repository")
    subprocess.run(["git", "init", "--quiet"], cwd=checkout, check=True)
    assert find_problem("git", checkout)[:2] == ("warn", "nothing is committed yet")
    monkeypatch.setenv("PATH", str(checkout))
    assert find_problem("git", checkout)[:2] == ("bad", "git is not installed or not on PATH")


@pytest.mark.slow
def test_state_of_dvc_is_found(checkout: Path) -> None:
    assert find_problem("dvc", checkout)[:2] == ("bad", "DVC is not initialised here")
    subprocess.run([sys.executable, "-m", "dvc", "init", "--quiet", "--no-scm"], cwd=checkout, check=True)
    assert find_problem("dvc", checkout)[0] == "ok"
    (checkout / "dvc.yaml").write_text("stages: {train: {cmd: 'true', deps: [params.yaml]}}\n")
    assert find_problem("dvc", checkout)[:2] == ("warn", "not up to date: train")
    (checkout / "dvc.yaml").write_text("stages: [")
    assert find_problem("dvc", checkout)[0] == "bad"
    lock = checkout / ".dvc" / "tmp" / "rwlock"
    lock.write_text('{"write": {"/x": {"pid": 1, "cmd": "dvc repro"}}, "read": {}}')
    assert find_problem("dvc", checkout)[:2] == ("warn", "locked by process 1")
    lock.write_text('{"write"')
    assert find_problem("dvc", checkout)[0] == "bad"


@pytest.mark.parametrize("folder", ["data/model", ".strokewise/checkpoints/94acd895"])
def test_temporary_folders_are_found(folder: str, checkout: Path) -> None:
    assert find_problem("leftovers", checkout)[0] == "ok"
    left = f"{folder}/.train.a1b2c3d4"
    (checkout / left).mkdir(parents=True)
    (checkout / folder / ".gitignore").touch()
    state, message, action = find_problem("leftovers", checkout)
    assert (state, message) == ("warn", f"half-written: {left}")
    assert action.endswith(f"rm -r {left}")


def test_damaged_wrong_and_unreachable_stores_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_problem("store", tmp_path)[0] == "warn"  # neither runs nor a checkout that would make some
    (tmp_path / "mlflow.db").write_bytes(b"no database" * 99)
    assert find_problem("store", tmp_path)[0] == "bad"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://")
    assert find_problem("store", tmp_path)[1].startswith("MLFLOW_TRACKING_URI is 'http://'")
    assert run_check("champion", tmp_path) == []
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))  # without listening
        port = probe.getsockname()[1]
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
        assert find_problem("store", tmp_path)[1] == f"nobody answers at 127.0.0.1:{port} (Connection refused)"


@pytest.mark.slow
def test_champion_is_found_and_so_are_lost_files_and_a_moved_project(
    project: Callable[..., Path], params: Params, tmp_path: Path
) -> None:
    root = project()
    register(params)
    assert run_check("champion", root) == [Finding("champion", "ok", "it loads, and knows 3 shapes")]
    assert [finding.state for finding in run_check("store", root)] == ["ok", "ok"]
    moved = tmp_path / "moved"
    shutil.copytree(root, moved, ignore=shutil.ignore_patterns("data"))
    (finding,) = [finding for finding in run_check("store", moved) if finding.check == "artifacts"]
    assert (finding.state, "the project was moved here from" in finding.message) == ("bad", True)
    (root / "mlruns").rename(root / "elsewhere")
    (finding,) = [finding for finding in run_check("store", root) if finding.check == "artifacts"]
    assert (finding.state, finding.message) == ("bad", "the files of version 1 are gone")
    os.truncate(moved / "mlflow.db", 20_000)
    assert find_problem("store", moved)[0] == "bad"


def test_damaged_model_is_found(root: Path, tmp_path: Path) -> None:
    assert run_check("model", tmp_path) == []
    folder = tmp_path / "data" / "model"
    network = Params.load(root / "params.yaml", ["network.image_size=32", "network.base_channels=8"]).network
    save_model(CNN(("circle", "other"), network), folder, {"fingerprint": "0" * 64})
    assert find_problem("model", tmp_path)[0] == "ok"
    for name in ("model.safetensors", "model.onnx", "config.json"):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[:-9])
        state, message, _ = find_problem("model", tmp_path)
        assert (state, "is damaged" in message) == ("bad", True)
        (folder / name).write_bytes(content)


def test_exception_of_a_check_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for error, message in (
        (ModuleNotFoundError(name="mlflow"), "mlflow is not installed"),
        (KeyError("a"), "KeyError: 'a'"),
    ):

        def check_broken(root: Path, error: Exception = error) -> Findings:
            raise error
            yield

        monkeypatch.setattr(doctor, "CHECKS", (check_broken,))
        (finding,) = doctor.run_checks(tmp_path)
        assert (finding.check, finding.state, finding.message) == ("broken", "bad", message)


def test_command_exits_0_outside_a_checkout_and_3_if_something_is_bad(tmp_path: Path) -> None:
    def run_doctor(*options: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "strokewise", "doctor", *options]
        return subprocess.run(command, cwd=tmp_path, env=os.environ, capture_output=True, text=True, check=False)

    done = run_doctor("--json")
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    assert report["usable"]
    assert {"python", "versions", "threads", "disk", "store"} <= {finding["check"] for finding in report["findings"]}
    (tmp_path / "params.yaml").write_text("{")
    done = run_doctor()
    assert (done.returncode, done.stderr.count("\n")) == (3, 1)
    assert done.stderr.startswith("strokewise: 1 of ")
    assert "\nbad  parameters" in done.stdout
