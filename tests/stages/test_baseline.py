"""The baseline stage: data/baseline is complete, repeats to the byte, and depends on what it should."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from strokewise.baseline import selection
from strokewise.data.dataset import load_paintings
from strokewise.data.shards import PaintingRow, write_shard
from strokewise.errors import DatasetError
from strokewise.params import Params
from strokewise.stages.baseline import baseline
from strokewise.support.paths import BASELINE_DIR, PAINTINGS_DIR

SHAPES = ("cross", "ellipse", "other")


def paint_training_set(count: int, seed: int = 1) -> None:
    """A training split of crosses, ellipses and single strokes in data/paintings of the working folder."""
    rng = np.random.default_rng(seed)
    rows = []
    for index in range(count):
        scene = np.full((48, 48), 255, np.uint8)
        low, high = (int(end) for end in (rng.integers(6, 15), rng.integers(33, 42)))
        if index % 3 == 1:
            cv2.ellipse(scene, (24, 24), (high - 24, 24 - low), 0, 0, 360, 0, 2, cv2.LINE_AA)
        else:
            cv2.line(scene, (low, low), (high, high), 0, 2, cv2.LINE_AA)
        if index % 3 == 0:
            cv2.line(scene, (low, high), (high, low), 0, 2, cv2.LINE_AA)
        rows.append(PaintingRow(cv2.imencode(".png", scene)[1].tobytes(), index % 3, {}))
    write_shard(PAINTINGS_DIR / "train" / "00000.parquet", rows, SHAPES, {})


def small_params(**changes: Any) -> Params:
    params = Params.load(Path(__file__).parents[2] / "params.yaml")
    settings = params.baseline.model_copy(update={"folds": 2, "augmented_copies": 1, **changes})
    return params.model_copy(
        update={"baseline": settings, "network": params.network.model_copy(update={"image_size": 16})}
    )


@pytest.fixture(autouse=True)
def _workdir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def _one_candidate(monkeypatch: pytest.MonkeyPatch) -> None:
    """One candidate, the quickest, where it does not matter which wins."""
    every = selection.candidates
    name = "nearest neighbours"
    monkeypatch.setattr(selection, "candidates", lambda rows, seed: {name: every(rows, seed)[name]})


def test_baseline_folder_says_how_the_model_was_chosen() -> None:
    paint_training_set(36)
    loaded = baseline(small_params())
    config = json.loads((BASELINE_DIR / "config.json").read_text())
    assert (loaded.metadata["fingerprint"], loaded.metadata["choice"]) == (config["fingerprint"], config["choice"])
    assert (config["shapes"], config["image_size"]) == (list(SHAPES), 16)
    trials = config["cross_validation"]
    assert {(trial["model"], trial["copies"]) for trial in trials} == {
        (model, copies) for model in selection.candidates(10, 0) for copies in (0, 1)
    }
    chosen = next(t for t in trials if (t["model"], t["copies"]) == (config["choice"], config["augmented_copies"]))
    assert chosen["accuracy"] == max(trial["accuracy"] for trial in trials)
    split = load_paintings("train", 16)
    assert config["paintings"] == {"train": split.digest}
    assert np.mean(loaded.predict_proba(split.pictures).argmax(axis=1) == split.labels) > 0.8


@pytest.mark.slow
def test_baseline_repeats_to_the_byte() -> None:
    paint_training_set(24)
    found = []
    for _ in range(2):
        baseline(small_params(augmented_copies=0))
        found.append([path.read_bytes() for path in sorted(BASELINE_DIR.iterdir())])
    assert found[0] == found[1]


@pytest.mark.usefixtures("_one_candidate")
def test_fingerprint_changes_with_what_decides_the_baseline_alone() -> None:
    paint_training_set(24)
    known = baseline(small_params(augmented_copies=0)).metadata["fingerprint"]
    params = small_params(augmented_copies=0)
    same = params.model_copy(update={"train": params.train.model_copy(update={"epochs": 7})})
    assert baseline(same).metadata["fingerprint"] == known
    others = [baseline(small_params(augmented_copies=0, folds=3)).metadata["fingerprint"]]
    grid = params.model_copy(update={"network": params.network.model_copy(update={"image_size": 18})})
    others.append(baseline(grid).metadata["fingerprint"])
    paint_training_set(24, seed=2)
    others.append(baseline(small_params(augmented_copies=0)).metadata["fingerprint"])
    assert len({known, *others}) == 4


@pytest.mark.usefixtures("_one_candidate")
def test_too_few_paintings_raise_dataset_error_before_fitting() -> None:
    paint_training_set(5)
    with pytest.raises(DatasetError, match=r"5 training paintings, 1 of them of other, are too few.*to 6 or more"):
        baseline(small_params())
    paint_training_set(6)
    with pytest.raises(DatasetError, match=r"needs 2 of each shape and 20 in all; set generate\.train to 20"):
        baseline(small_params(folds=20))
    assert not BASELINE_DIR.exists()
    baseline(small_params())


def test_missing_paintings_raise_dataset_error() -> None:
    with pytest.raises(DatasetError, match="run `strokewise generate`"):
        baseline(small_params())


@pytest.mark.usefixtures("_one_candidate")
def test_interrupted_baseline_keeps_the_last_one(monkeypatch: pytest.MonkeyPatch) -> None:
    paint_training_set(24)
    baseline(small_params(augmented_copies=0))
    before = [path.read_bytes() for path in sorted(BASELINE_DIR.iterdir())]

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("strokewise.baseline.estimator.write_config", interrupted)
    with pytest.raises(KeyboardInterrupt):
        baseline(small_params(augmented_copies=0, seed=1))
    assert [path.read_bytes() for path in sorted(BASELINE_DIR.iterdir())] == before
    assert [path.name for path in BASELINE_DIR.parent.iterdir() if path.name.startswith(".")] == []
