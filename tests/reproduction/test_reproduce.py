"""`strokewise reproduce` of a toy pipeline: the same again, alterations named, and what cannot be made again."""

import json
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from strokewise.registry import store
from strokewise.registry.origins import VERDICT_TAG

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def project(project_and_digests: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return project_and_digests[0].copy(tmp_path_factory.mktemp("reproduce") / "project")


def reproduce(project: Any, *arguments: str) -> tuple[int, dict[str, Any], str]:
    code, stdout, stderr = project.run_cli("reproduce", *arguments, "--json")
    return code, json.loads(stdout) if stdout else {}, stderr


def version_tags(project: Any, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setenv("DVC_ROOT", str(project.folder))
    with store.connect(create=False) as connection:
        return dict(connection.client.get_model_version("strokewise", "1").tags)


def test_champion_is_made_again_and_the_outcome_is_on_its_version(
    project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, result, _ = reproduce(project)
    assert (code, result["outcome"], result["version"]) == (0, "SAME", "version 1, champion")
    outcomes = {stage["stage"]: (stage["outcome"], stage["how"]) for stage in result["stages"]}
    assert outcomes == {
        **dict.fromkeys(("generate", "train", "baseline", "evaluate", "explain"), ("SAME", "run cache")),
        "registered": ("SAME", "compared"),
    }
    tags = version_tags(project, monkeypatch)
    assert tags[VERDICT_TAG] == f"SAME on {result['machine']}, {result['at'][:10]}"
    (record,) = [json.loads(value) for key, value in tags.items() if key.startswith("reproduction.")]
    assert record["commit"] == result["commit"]
    assert project.run("git", "status", "--porcelain") == ""
    assert not [path for path in (project.folder / ".strokewise/reproduce").iterdir() if path.is_dir()]


def stop_at(project: Any, stage: str, number: int) -> tuple[int, str]:
    """Start `reproduce --fresh` and send a signal when a stage runs → (exit code, output)."""
    started = project.start(sys.executable, "-m", "strokewise", "reproduce", "--fresh")
    deadline = time.monotonic() + 600
    while f"Running stage '{stage}'" not in project.log_file.read_text():
        assert time.monotonic() < deadline, project.log_file.read_text()
        assert started.poll() is None, project.log_file.read_text()
        time.sleep(0.1)
    started.send_signal(number)
    return started.wait(), project.log_file.read_text()


def test_stopped_reproduction_is_taken_up_again_and_nothing_comes_from_the_run_cache(project: Any) -> None:
    code, output = stop_at(project, "generate", signal.SIGINT)
    assert (code, "Traceback" in output) == (130, False), output
    assert project.run("git", "status", "--porcelain") == ""
    stop_at(project, "train", signal.SIGKILL)
    code, result, stderr = reproduce(project, "--fresh")
    assert (code, result["outcome"]) == (0, "SAME"), stderr
    assert {stage["how"] for stage in result["stages"]} <= {"ran", "ran before the interruption", "compared"}
    assert result["stages"][0]["how"] == "ran before the interruption"


def test_what_cannot_be_made_again_is_refused_with_the_reason(project_and_digests: Any, tmp_path: Path) -> None:
    folder = tmp_path / "refused"
    refused = project_and_digests[0].copy(folder, register=False)
    assert refused.run_cli("reproduce", "no-such")[::2] == (
        2,
        "strokewise: 'no-such' is no version, alias, commit or experiment; `strokewise history`, `git log` and"
        " `dvc exp list` name them\n",
    )
    torch = folder / "requirements-torch.lock"
    present = torch.read_text()
    torch.write_text("torch==0.0.1\n")
    refused.commit("Another environment")
    torch.write_text(present)
    refused.environment["PIP_NO_INDEX"] = "1"
    code, _, stderr = refused.run_cli("reproduce", "main")
    assert code == 2
    assert "torch 0.0.1 instead of" in stderr.splitlines()[-1]
    assert "cannot be built: " in stderr.splitlines()[-1]

    shutil.rmtree(folder / ".git")
    refused.run("git", "init", "--quiet", "--initial-branch", "main")
    (folder / ".gitignore").write_text((folder / ".gitignore").read_text() + "/dvc.lock\n")
    refused.commit("Without results")
    (folder / "params.yaml").write_text((folder / "params.yaml").read_text() + "# a comment\n")
    refused.run("strokewise", "register")
    code, _, stderr = refused.run_cli("reproduce")
    assert (code, "was registered from uncommitted changes on" in stderr) == (2, True), stderr


def test_altered_code_parameter_and_registered_file_are_named(project: Any) -> None:
    """The last that uses this project."""
    page = project.folder / "src/strokewise/explain/page.py"
    page.write_text(page.read_text() + "# a comment\n")
    params = project.folder / "params.yaml"
    params.write_text(params.read_text().replace("feature_maps: 2 ", "feature_maps: 3 "))
    project.commit("Not run")
    code, result, stderr = reproduce(project, "main")
    assert (code, result["outcome"], result["version"]) == (3, "DIFFERENT", "version 1, champion")
    assert "main came out different" in stderr
    stages = {stage["stage"]: stage for stage in result["stages"]}
    assert stages["train"]["outcome"] == "SAME"
    differences = {each["where"]: each["what"] for each in stages["explain"]["differences"]}
    assert differences["explain.feature_maps"] == "3 in params.yaml, 2 in dvc.lock"
    assert any(where.startswith("src/strokewise/explain/page.py, line ") for where in differences)
    assert "from byte" in differences["data/report/explain"]

    (weights,) = project.folder.glob("mlruns/strokewise/models/*/artifacts/artifacts/model/model.safetensors")
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    code, result, _ = reproduce(project)
    (registered,) = [stage for stage in result["stages"] if stage["stage"] == "registered"]
    assert (code, registered["differences"][0]["where"]) == (3, "version 1, champion: model.safetensors")
