"""The baseline is chosen without a leak, comes back from its folder as it was, and repeats to the byte."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from strokewise.errors import ModelError
from strokewise.learn import augment, flat
from strokewise.learn.flat import Trial

GRID = 12
SHAPES = ("bar", "cross", "dot")
MODELS = tuple(flat.candidates(10, 0))


def drawn(count: int, seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Bars, crosses and dots somewhere on the grid, with some grain."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % len(SHAPES)
    pictures = generator.integers(0, 40, (count, GRID, GRID), dtype=np.uint8)
    for picture, label in zip(pictures, labels, strict=True):
        y, x = generator.integers(4, 8, 2)
        if label == 2:
            picture[y - 1 : y + 2, x - 1 : x + 2] = 255
        else:
            picture[y, x - 4 : x + 4] = 255
            picture[y - 4 : y + 4, x] = 255 if label == 1 else picture[y - 4 : y + 4, x]
    return pictures, labels


@pytest.fixture(scope="module")
def paintings() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    return drawn(60)


def test_the_contest_has_every_model_at_every_level(paintings: Any) -> None:
    pictures, labels = paintings
    trials = flat.contest(pictures, labels, augment.copies(pictures, 2, 0), folds=2, seed=0)
    assert [(trial.model, trial.copies) for trial in trials] == [(m, level) for level in (0, 1, 2) for m in MODELS]
    assert flat.best(trials).accuracy > 0.8
    for trial in trials:
        assert trial.accuracy == pytest.approx(np.mean(trial.folds))  # the folds are equally large
        assert (trial.temperature is not None) == ("SVM" in trial.model)


def test_the_contest_does_not_depend_on_the_number_of_cores(paintings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures, labels = paintings
    found = []
    for cores in (1, 3):
        monkeypatch.setattr("os.cpu_count", lambda cores=cores: cores)
        found.append(flat.contest(pictures, labels, pictures[:0, None].reshape(0, 60, GRID, GRID), folds=2, seed=4))
    assert found[0] == found[1]


def test_a_copy_of_a_held_out_painting_is_never_learned_from() -> None:
    """Noise with random labels, and copies that are the paintings again: whoever sees one knows the answer."""
    generator = np.random.default_rng(0)
    pictures = generator.integers(0, 256, (90, GRID, GRID), dtype=np.uint8)
    trials = flat.contest(pictures, generator.permutation(90) % 3, np.stack([pictures] * 3), folds=3, seed=0)
    assert max(trial.accuracy for trial in trials) < 0.55


def test_every_shape_is_dealt_round() -> None:
    labels = np.repeat(np.arange(4), [12, 9, 3, 2])
    held_out = flat._deal(labels, folds=3, seed=1)
    for shape in range(4):
        counts = np.bincount(held_out[labels == shape], minlength=3)
        assert counts.max() - counts.min() <= 1


@pytest.mark.parametrize(
    ("paintings", "copies", "levels"),
    [(600, 4, [0, 2, 4]), (600, 1, [0, 1]), (600, 0, [0]), (4000, 4, [0, 1, 2]), (50_000, 4, [0])],
)
def test_levels_stay_within_the_rows(paintings: int, copies: int, levels: list[int]) -> None:
    assert flat.levels(paintings, copies) == levels


def test_of_equals_the_simpler_wins() -> None:
    trials = [Trial("a", 0, 0.5, (), None), Trial("b", 4, 0.6, (), None), Trial("c", 2, 0.6, (), None)]
    assert flat.best([*trials, Trial("d", 2, 0.6, (), None)]).model == "c"


def saved(trial: Trial, shapes: int, folder: Path) -> tuple[Any, NDArray[np.uint8]]:
    """A fitted estimator, saved, and the pictures it learned from."""
    pictures, labels = drawn(60)
    pictures, labels = pictures[labels < shapes], labels[labels < shapes]
    model = flat.fit(trial, pictures, labels, augment.copies(pictures, trial.copies, 0), seed=0)
    config = {"shapes": list(SHAPES[:shapes]), "grid": GRID, "fingerprint": "f"}
    flat.save(model, trial, pictures, folder, config)
    return model, pictures


@pytest.mark.parametrize("shapes", [2, 3])
@pytest.mark.parametrize("name", MODELS)
def test_a_model_comes_back_from_its_folder_as_it_was(name: str, shapes: int, tmp_path: Path) -> None:
    trial = Trial(name, 1, 0.9, (0.9, 0.9), 0.5 if "SVM" in name else None)
    model, _ = saved(trial, shapes, tmp_path / "baseline")
    loaded = flat.load(tmp_path / "baseline")
    new, _ = drawn(30, seed=9)
    found = loaded.probabilities(new)
    assert (loaded.shapes, loaded.grid, loaded.config["choice"]) == (SHAPES[:shapes], GRID, name)
    assert found.shape == (30, shapes)
    assert found.dtype == np.float32
    assert found.sum(axis=1) == pytest.approx(np.ones(30), abs=1e-5)
    rows = new.reshape(30, -1).astype(np.float32) / 255
    if "SVM" in name:
        assert list(found.argmax(axis=1)) == list(model.predict(rows))
    else:
        assert found == pytest.approx(model.predict_proba(rows), abs=1e-5)


def test_pictures_go_through_in_batches_of_any_length(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, pictures = saved(Trial("logistic regression", 0, 0.9, (), None), 3, tmp_path / "baseline")
    loaded = flat.load(tmp_path / "baseline")
    whole = loaded.probabilities(pictures)
    monkeypatch.setattr(flat, "BATCH", 7)
    assert loaded.probabilities(pictures) == pytest.approx(whole, abs=1e-6)
    assert loaded.probabilities(pictures[:0]).shape == (0, 3)


def test_a_converter_that_answers_otherwise_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = flat._onnx
    monkeypatch.setattr(flat, "_onnx", lambda model, temperature, grid: honest(model, 9.0, grid))
    with pytest.raises(AssertionError, match="PCA \\+ RBF SVM as ONNX answers otherwise"):
        saved(Trial("PCA + RBF SVM", 0, 0.9, (), 0.1), 3, tmp_path / "baseline")
    assert not (tmp_path / "baseline").exists()


def test_a_folder_that_is_no_baseline_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds no complete baseline; run `strokewise baseline`"):
        flat.load(tmp_path)
    saved(Trial("logistic regression", 0, 0.9, (), None), 3, tmp_path / "baseline")
    (tmp_path / "baseline" / "model.onnx").write_bytes(b"something else")
    with pytest.raises(ModelError, match="is not the file that"):
        flat.load(tmp_path / "baseline")
    (tmp_path / "baseline" / "config.json").write_text("{")
    with pytest.raises(ModelError, match="holds no complete baseline"):
        flat.load(tmp_path / "baseline")


def test_copies_are_drawn_differently_and_repeatably() -> None:
    pictures, _ = drawn(12)
    two, three = augment.copies(pictures, 2, 5), augment.copies(pictures, 3, 5)
    assert (two.shape, two.dtype) == ((2, 12, GRID, GRID), np.uint8)
    assert np.array_equal(two, three[:2])
    assert not np.array_equal(two[0], two[1])
    assert augment.copies(pictures, 0, 5).shape == (0, 12, GRID, GRID)


IN_A_FRESH_PROCESS = """
import sys
from pathlib import Path
import numpy as np
from strokewise.learn import flat
from strokewise.learn.flat import Trial
pictures = np.random.default_rng(0).integers(0, 256, (60, 12, 12), dtype=np.uint8)
labels = np.arange(60) % 3
trial = Trial(sys.argv[1], 0, 0.9, (), 0.5 if "SVM" in sys.argv[1] else None)
model = flat.fit(trial, pictures, labels, pictures[None, :][:0], 0)
flat.save(model, trial, pictures, Path(sys.argv[2]), {"shapes": ["a", "b", "c"], "grid": 12})
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_two_fresh_processes_write_the_same_bytes(name: str, tmp_path: Path) -> None:
    for folder in ("one", "two"):
        subprocess.run([sys.executable, "-c", IN_A_FRESH_PROCESS, name, str(tmp_path / folder)], check=True)
    for file in ("model.onnx", "config.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


@pytest.mark.slow
def test_predicting_needs_neither_scikit_learn_nor_torch(tmp_path: Path) -> None:
    saved(Trial("PCA + RBF SVM", 0, 0.9, (), 0.5), 3, tmp_path / "baseline")
    code = (
        "import sys; import numpy as np; from pathlib import Path; from strokewise.learn import flat;"
        f"flat.load(Path({str(tmp_path / 'baseline')!r})).probabilities(np.zeros((1, {GRID}, {GRID}), np.uint8));"
        "print(sorted({'sklearn', 'skl2onnx', 'torch', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []
