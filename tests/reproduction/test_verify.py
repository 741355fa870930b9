"""`strokewise verify`: agreement where nothing was touched, and every alteration named."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def project(project_and_digests: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return project_and_digests[0].copy(tmp_path_factory.mktemp("verify") / "project")


def alter_byte(path: Path, offset: int = -40) -> None:
    """Change one byte, and keep size and times: DVC itself would not notice."""
    status = path.stat()
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def findings(project: Any, *arguments: str) -> tuple[int, list[dict[str, str]], str]:
    code, stdout, stderr = project.run_cli("verify", "--json", *arguments)
    return code, json.loads(stdout)["findings"], stderr


def test_results_of_a_finished_pipeline_agree(project: Any) -> None:
    project.run("strokewise", "export", "--onnx", "exported.onnx")
    code, found, stderr = findings(project, "exported.onnx")
    assert (code, stderr) == (0, "")
    assert {finding["state"] for finding in found if finding["check"] != "reference"} == {"ok"}, found
    assert {finding["check"] for finding in found} >= {"inputs", "outputs", "cache", "models", "report", "registry"}
    assert found[-1]["message"] == "exported.onnx is data/model"


def test_everything_that_is_altered_is_named(project: Any) -> None:
    """The last that uses this project."""
    folder = project.folder
    project.run("strokewise", "export", "--onnx", "exported.onnx")
    alter_byte(folder / "exported.onnx")
    code = folder / "src/strokewise/model/layers.py"
    lines = code.read_text().splitlines(keepends=True)
    code.write_text("".join([*lines[:20], "\n", *lines[20:]]))
    outline = folder / "data/outlines/star"
    (outline / "second.svg").write_text(next(outline.glob("*.svg")).read_text())
    params = folder / "params.yaml"
    params.write_text(params.read_text().replace("epochs: 16 ", "epochs: 17 "))
    alter_byte(folder / "data/paintings/test/00000.parquet", 1000)
    alter_byte(folder / "data/report/mistakes.png")
    carried = folder / "data/paintings/outlines.json"
    outlines = json.loads(carried.read_text())
    carried.unlink()  # it may be a link into the cache
    carried.write_text(json.dumps({shape: files for shape, files in outlines.items() if shape != "star"}))
    cached = sorted(path for path in (folder / ".dvc/cache/files/md5").glob("*/*") if path.suffix != ".dir")[0]
    alter_byte(cached, 0)
    (registered,) = folder.glob("mlruns/strokewise/models/*/artifacts/artifacts/model/model.safetensors")
    packed = registered.parents[2] / "code/strokewise/recogniser.py"
    packed.write_text(packed.read_text() + "\n")

    exit_code, found, stderr = findings(project, "exported.onnx")
    assert (exit_code, "do not agree" in stderr) == (3, True)
    bad = "\n".join(f"{finding['check']}: {finding['message']}" for finding in found if finding["state"] == "bad")
    assert "inputs: src/strokewise/model/layers.py, line 21: not what train, baseline" in bad
    assert "inputs: data/outlines/star/second.svg (new): not what generate, evaluate ran with" in bad
    assert "inputs: train.epochs is 17 in params.yaml, was 16: not what train" in bad
    assert "outputs: data/paintings/test/00000.parquet, byte 1,001 of" in bad
    assert "outputs: data/report/mistakes.png, byte" in bad
    assert f"damaged: {cached}" in bad
    assert "models: data/model: it carries other outlines than data/paintings" in bad
    assert "a file of its package was changed: code/strokewise/recogniser.py" in bad
    assert "exported: exported.onnx" in bad
    alter_byte(registered)
    messages = [finding["message"] for finding in findings(project)[1] if finding["check"] == "registry"]
    assert any(message.startswith("version 1, champion: ") and "model.safetensors" in message for message in messages)


def test_folder_without_a_pipeline_is_refused(run: Any, tmp_path: Path) -> None:
    done = run("verify", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"strokewise: there is no dvc.yaml in {tmp_path}; go to the root of a checkout\n"
