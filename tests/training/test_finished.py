"""Finished trainings are kept, found by digest and library versions, and the oldest pruned.

tests/stages/test_train.py takes up whole trainings, damaged ones as well.
"""

import os
from pathlib import Path

import pytest

from strokewise.model.cnn import CNN
from strokewise.model.model_files import load_model, save_model
from strokewise.model.onnx_file import load_onnx
from strokewise.params import Params
from strokewise.training import finished, history

VERSIONS = {"torch": "1", "numpy": "2"}
ROWS = [[1.0, 0.5, 0.5, 0.5, 0.5, 0.25]]


@pytest.fixture
def cnn(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> CNN:
    monkeypatch.chdir(tmp_path)
    params = Params.load(root / "params.yaml", ["network.image_size=16", "network.base_channels=4"])
    return CNN(("a", "b"), params.network).eval()


def write(cnn: CNN, training_digest: str) -> None:
    with finished.write_finished(training_digest) as folder:
        save_model(cnn, folder, {"training_digest": training_digest, "fingerprint": "earlier", "versions": VERSIONS})
        (folder / "history.csv").write_text(history.history_csv(ROWS))


def test_finished_training_is_found_by_digest_and_versions(cnn: CNN) -> None:
    assert finished.find_finished("ours", VERSIONS) is None
    write(cnn, "ours")
    assert finished.find_finished("ours", VERSIONS) == ROWS
    assert finished.find_finished("theirs", VERSIONS) is None
    assert finished.find_finished("ours", {**VERSIONS, "torch": "2"}) is None
    finished.finished_dir("ours").rename(finished.finished_dir("theirs"))
    assert finished.find_finished("theirs", VERSIONS) is None


def test_finished_training_without_epochs_is_not_found(cnn: CNN) -> None:
    write(cnn, "ours")
    (finished.finished_dir("ours") / "history.csv").write_text(history.history_csv([]))
    assert finished.find_finished("ours", VERSIONS) is None


def test_publish_finished_replaces_the_model_folder(cnn: CNN) -> None:
    write(cnn, "ours")
    Path("data/model").mkdir(parents=True)
    Path("data/model/old.txt").touch()
    config = {"training_digest": "ours", "fingerprint": "now"}
    finished.publish_finished(config, {"a": {"plain": "<svg/>"}}, Path("data/model"))
    assert load_model(Path("data/model")).config["fingerprint"] == "now"
    assert load_model(Path("data/model")).config["versions"] == VERSIONS
    metadata = load_onnx(Path("data/model")).metadata
    assert (metadata["fingerprint"], metadata["outlines"]) == ("now", '{"a": {"plain": "<svg/>"}}')
    assert not Path("data/model/old.txt").exists()
    assert finished.find_finished("ours", VERSIONS) == ROWS


def test_only_the_newest_finished_trainings_are_kept(cnn: CNN, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finished, "MAX_FINISHED", 2)
    for number, name in enumerate(("first", "second", "third")):
        write(cnn, name)
        os.utime(finished.finished_dir(name), (number, number))
    write(cnn, "last")
    assert sorted(path.name for path in finished.finished_dir("last").parent.iterdir()) == ["last", "third"]
