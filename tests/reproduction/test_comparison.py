"""What counts as the same, as tolerable and as different: files of a run against those that `dvc.lock` names."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import safetensors.numpy

from strokewise.reproduction import lock_file
from strokewise.reproduction.comparison import compare_stages, worst
from strokewise.reproduction.lock_file import StageLock
from strokewise.reproduction.pipeline_files import PipelineFiles

WEIGHTS, DETAILS, PREDICTIONS = (
    "data/model/model.safetensors",
    "data/report/details.json",
    "data/report/predictions.parquet",
)


def write_results(root: Path, accuracy: float, shift: float, wrong: int) -> dict[str, str]:
    """The outputs of a train and an evaluate stage; returns their digests."""
    for path in (WEIGHTS, DETAILS, PREDICTIONS):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
    weights = {"layer": np.full(4, 1 + shift, np.float32), "empty": np.zeros(0, np.float32)}
    (root / WEIGHTS).write_bytes(safetensors.numpy.save(weights))
    report = {"accuracy": accuracy, "low": accuracy - 0.01, "high": accuracy + 0.01}
    (root / DETAILS).write_text(json.dumps({"cnn": report, "baseline": {**report, "accuracy": 0.5, "low": 0.4}}))
    labels = np.zeros(2400, np.int64)
    columns = {"label": labels, "cnn": (np.arange(2400) < wrong).astype(np.int64), "baseline": labels}
    pq.write_table(pa.table(columns), root / PREDICTIONS)
    return {path: lock_file.file_md5(root / path) for path in (WEIGHTS, DETAILS, PREDICTIONS)}


@pytest.fixture
def run_again(tmp_path: Path) -> Any:
    """run_again(accuracy, shift, wrong, code): compare such a run with one of 0.9, 0.0, 240 → stages by name."""
    cache, root = tmp_path / "cache", tmp_path / "run"
    old = write_results(root, 0.9, 0.0, 240)
    for path, digest in old.items():
        place = lock_file.cache_path(cache, digest)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes((root / path).read_bytes())

    def locks(outs: dict[str, str], code: str) -> dict[str, StageLock]:
        return {
            "train": StageLock("train", {"src/train.py": code}, {WEIGHTS: outs[WEIGHTS]}, {"train.epochs": 3}),
            "evaluate": StageLock(
                "evaluate", {WEIGHTS: outs[WEIGHTS]}, {path: outs[path] for path in (DETAILS, PREDICTIONS)}, {}
            ),
            "register": StageLock("register", {}, {}, {}),
        }

    def compare(accuracy: float, shift: float, wrong: int, code: str = "0" * 32) -> dict[str, Any]:
        new = write_results(root, accuracy, shift, wrong)
        listing = SimpleNamespace(find=lambda _, folder: sorted(Path(folder).rglob("*")))
        repo = SimpleNamespace(dvcignore=listing, fs=None)
        files = PipelineFiles(root, {}, locks(new, code), cache, frozenset(), repo)
        return {each.stage: each for each in compare_stages(files, locks(old, "0" * 32), {"train": "ran"}, "HEAD")}

    return compare


def test_equal_bytes_are_the_same(run_again: Any) -> None:
    stages = run_again(0.9, 0.0, 240)
    assert {name: stage.outcome for name, stage in stages.items()} == {"train": "SAME", "evaluate": "SAME"}
    assert stages["train"].how == "ran"


def test_other_weights_with_an_accuracy_in_the_interval_are_tolerable(run_again: Any) -> None:
    stages = run_again(0.905, 0.25, 228)
    assert {stage.outcome for stage in stages.values()} == {"WITHIN TOLERANCE"}
    what = {each.where: each.what for stage in stages.values() for each in stage.differences}
    assert what[WEIGHTS] == "weights differ by up to 0.25"
    assert what[PREDICTIONS] == "12 of 2,400 predictions of the cnn and 0 of 2,400 predictions of the baseline differ"
    assert "cnn.accuracy 0.905, was 0.9" in what[DETAILS]


def test_an_accuracy_outside_of_the_interval_is_different(run_again: Any) -> None:
    assert {stage.outcome for stage in run_again(0.92, 0.25, 192).values()} == {"DIFFERENT"}


def test_other_code_is_different_whatever_the_accuracy_is(run_again: Any) -> None:
    stages = run_again(0.905, 0.25, 228, code="1" * 32)
    assert {stage.outcome for stage in stages.values()} == {"DIFFERENT"}
    assert stages["train"].differences[0].what == "not what dvc.lock says the stage ran with"


def test_worst_of_nothing_is_the_same() -> None:
    assert worst([]) == "SAME"
    assert worst(["SAME", "DIFFERENT", "WITHIN TOLERANCE"]) == "DIFFERENT"
