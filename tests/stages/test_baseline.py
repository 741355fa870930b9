"""The stage baseline: what it leaves in data/baseline is whole, repeats to the byte, and depends on what it should."""

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


def paintings(count: int, seed: int = 1) -> None:
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


def toy(**changes: Any) -> Params:
    params = Params.load(Path(__file__).parents[2] / "params.yaml")
    settings = params.baseline.model_copy(update={"folds": 2, "copies": 1, **changes})
    return params.model_copy(update={"baseline": settings, "network": params.network.model_copy(update={"grid": 16})})


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """One candidate, the quickest, where it does not matter which wins."""
    every = selection.candidates
    name = "nearest neighbours"
    monkeypatch.setattr(selection, "candidates", lambda rows, seed: {name: every(rows, seed)[name]})


def test_the_folder_is_whole_and_says_how_it_was_chosen() -> None:
    paintings(36)
    made = baseline(toy())
    config = json.loads((BASELINE_DIR / "config.json").read_text())
    assert config == made.config
    assert (config["shapes"], config["grid"]) == (list(SHAPES), 16)
    trials = config["cross_validation"]
    assert {(trial["model"], trial["copies"]) for trial in trials} == {
        (model, copies) for model in selection.candidates(10, 0) for copies in (0, 1)
    }
    chosen = next(t for t in trials if (t["model"], t["copies"]) == (config["choice"], config["copies"]))
    assert chosen["accuracy"] == max(trial["accuracy"] for trial in trials)
    split = load_paintings("train", 16)
    assert config["paintings"] == {"train": split.digest}
    assert np.mean(made.probabilities(split.pictures).argmax(axis=1) == split.labels) > 0.8


@pytest.mark.slow
def test_the_same_again_is_the_same_to_the_byte() -> None:
    paintings(24)
    found = []
    for _ in range(2):
        baseline(toy(copies=0))
        found.append([path.read_bytes() for path in sorted(BASELINE_DIR.iterdir())])
    assert found[0] == found[1]


@pytest.mark.usefixtures("_quick")
def test_the_fingerprint_is_of_what_decided_and_of_nothing_else() -> None:
    paintings(24)
    known = baseline(toy(copies=0)).config["fingerprint"]
    params = toy(copies=0)
    same = params.model_copy(update={"train": params.train.model_copy(update={"epochs": 7})})
    assert baseline(same).config["fingerprint"] == known
    others = [baseline(toy(copies=0, folds=3)).config["fingerprint"]]
    grid = params.model_copy(update={"network": params.network.model_copy(update={"grid": 18})})
    others.append(baseline(grid).config["fingerprint"])
    paintings(24, seed=2)
    others.append(baseline(toy(copies=0)).config["fingerprint"])
    assert len({known, *others}) == 4


@pytest.mark.usefixtures("_quick")
def test_too_few_paintings_are_refused_before_anything_is_fitted() -> None:
    paintings(5)
    with pytest.raises(DatasetError, match=r"5 training paintings, 1 of them of other, are too few.*to 6 or more"):
        baseline(toy())
    paintings(6)
    with pytest.raises(DatasetError, match=r"needs 2 of each shape and 20 in all; set generate\.train to 20"):
        baseline(toy(folds=20))
    assert not BASELINE_DIR.exists()
    baseline(toy())


def test_without_paintings_it_says_what_to_run() -> None:
    with pytest.raises(DatasetError, match="run `strokewise generate`"):
        baseline(toy())


@pytest.mark.usefixtures("_quick")
def test_what_fails_leaves_the_last_baseline_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    paintings(24)
    baseline(toy(copies=0))
    before = [path.read_bytes() for path in sorted(BASELINE_DIR.iterdir())]

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("strokewise.learn.flat.write_json", interrupted)
    with pytest.raises(KeyboardInterrupt):
        baseline(toy(copies=0, seed=1))
    assert [path.read_bytes() for path in sorted(BASELINE_DIR.iterdir())] == before
    assert [path.name for path in BASELINE_DIR.parent.iterdir() if path.name.startswith(".")] == []
