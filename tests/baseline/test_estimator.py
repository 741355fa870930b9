"""The baseline's folder: loaded as it was save_fitted, the same bytes for the same model."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from strokewise.baseline import augmented, estimator, selection
from strokewise.baseline.selection import Trial
from strokewise.errors import ModelError
from strokewise.model import onnx_file

SIDE = 12
SHAPES = ("bar", "cross", "dot")
MODELS = tuple(selection.candidates(10, 0))


def make_pictures(count: int, seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Bars, crosses and dots somewhere in the picture, with some noise."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % len(SHAPES)
    pictures = generator.integers(0, 40, (count, SIDE, SIDE), dtype=np.uint8)
    for picture, label in zip(pictures, labels, strict=True):
        y, x = generator.integers(4, 8, 2)
        if label == 2:
            picture[y - 1 : y + 2, x - 1 : x + 2] = 255
        else:
            picture[y, x - 4 : x + 4] = 255
            picture[y - 4 : y + 4, x] = 255 if label == 1 else picture[y - 4 : y + 4, x]
    return pictures, labels


def probabilities_by_votes(margins: NDArray[Any], shapes: int, temperature: float) -> NDArray[Any]:
    """The SVM's probabilities, written out vote by vote."""
    sums = np.zeros((len(margins), shapes))
    pairs = [(i, j) for i in range(shapes) for j in range(i + 1, shapes)]
    for picture in range(len(margins)):
        for number, (one, two) in enumerate(pairs):
            margin = -margins[picture] if shapes == 2 else margins[picture, number]
            sums[picture, one] += min(1, max(-1, margin))
            sums[picture, two] -= min(1, max(-1, margin))
    raised = np.exp(sums / temperature)
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def save_fitted(trial: Trial, shapes: int, folder: Path) -> tuple[Any, NDArray[np.uint8]]:
    """A fitted estimator, save_fitted, and its training pictures."""
    pictures, labels = make_pictures(60)
    pictures, labels = pictures[labels < shapes], labels[labels < shapes]
    model = selection.refit(trial, pictures, labels, augmented.augmented_copies(pictures, trial.copies, 0), seed=0)
    chosen = {"fingerprint": "f" * 64, "choice": trial.model, "temperature": trial.temperature}
    estimator.save_baseline(model, pictures, folder, {"shapes": list(SHAPES[:shapes]), "image_size": SIDE, **chosen})
    return model, pictures


@pytest.mark.parametrize("shapes", [2, 3])
@pytest.mark.parametrize("name", MODELS)
def test_saved_baseline_is_loaded_with_the_same_predictions(name: str, shapes: int, tmp_path: Path) -> None:
    trial = Trial(name, 1, 0.9, (0.9, 0.9), 0.5 if "SVM" in name else None)
    model, _ = save_fitted(trial, shapes, tmp_path / "baseline")
    loaded = estimator.load_baseline(tmp_path / "baseline")
    new, _ = make_pictures(30, seed=9)
    probabilities = loaded.predict_proba(new)
    assert (loaded.shapes, loaded.image_size, loaded.metadata["choice"]) == (SHAPES[:shapes], SIDE, name)
    assert probabilities.shape == (30, shapes)
    assert probabilities.dtype == np.float32
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(30), abs=1e-5)
    rows = new.reshape(30, -1).astype(np.float32) / 255
    if "SVM" in name:
        assert probabilities == pytest.approx(
            probabilities_by_votes(model.decision_function(rows), shapes, 0.5), abs=1e-4
        )
        assert np.mean(probabilities.argmax(axis=1) == model.predict(rows)) > 0.9
    else:
        assert probabilities == pytest.approx(model.predict_proba(rows), abs=1e-5)


def test_predictions_do_not_depend_on_the_batch_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, pictures = save_fitted(Trial("logistic regression", 0, 0.9, (), None), 3, tmp_path / "baseline")
    loaded = estimator.load_baseline(tmp_path / "baseline")
    expected = loaded.predict_proba(pictures)
    monkeypatch.setattr(onnx_file, "BATCH", 7)
    assert loaded.predict_proba(pictures) == pytest.approx(expected, abs=1e-6)
    assert loaded.predict_proba(pictures[:0]).shape == (0, 3)


def test_conversion_that_changes_predictions_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    convert = estimator._to_onnx
    monkeypatch.setattr(estimator, "_to_onnx", lambda model, config: convert(model, config | {"temperature": 9.0}))
    with pytest.raises(AssertionError, match="PCA \\+ RBF SVM as ONNX predicts differently"):
        save_fitted(Trial("PCA + RBF SVM", 0, 0.9, (), 0.1), 3, tmp_path / "baseline")
    assert not (tmp_path / "baseline").exists()


def test_damaged_baseline_raises_model_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"model.onnx is missing; run `strokewise baseline`"):
        estimator.load_baseline(tmp_path)
    save_fitted(Trial("logistic regression", 0, 0.9, (), None), 3, tmp_path / "baseline")
    (tmp_path / "baseline" / "model.onnx").write_bytes(b"something else")
    with pytest.raises(ModelError, match="is no model that this version of strokewise wrote"):
        estimator.load_baseline(tmp_path / "baseline")


FIT_AND_SAVE = """
import sys
from pathlib import Path
import numpy as np
from strokewise.baseline import estimator, selection
from strokewise.baseline.selection import Trial
pictures = np.random.default_rng(0).integers(0, 256, (60, 12, 12), dtype=np.uint8)
labels = np.arange(60) % 3
trial = Trial(sys.argv[1], 0, 0.9, (), 0.5 if "SVM" in sys.argv[1] else None)
model = selection.refit(trial, pictures, labels, pictures[None, :][:0], 0)
config = {"shapes": ["a", "b", "c"], "image_size": 12, "fingerprint": "f"}
config |= {"choice": trial.model, "temperature": trial.temperature}
estimator.save_baseline(model, pictures, Path(sys.argv[2]), config)
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_two_processes_write_the_same_bytes(name: str, tmp_path: Path) -> None:
    for folder, hash_seed in (("one", "0"), ("two", "59")):  # with which the converter's sets come in different orders
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        command = [sys.executable, "-c", FIT_AND_SAVE, name, str(tmp_path / folder)]
        subprocess.run(command, check=True, env=environment)
    for file in ("model.onnx", "config.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


@pytest.mark.slow
def test_predicting_imports_neither_scikit_learn_nor_torch(tmp_path: Path) -> None:
    save_fitted(Trial("PCA + RBF SVM", 0, 0.9, (), 0.5), 3, tmp_path / "baseline")
    code = (
        "import sys; import numpy as np; from pathlib import Path; from strokewise.baseline import estimator;"
        f"model = estimator.load_baseline(Path({str(tmp_path / 'baseline')!r}));"
        f"model.predict_proba(np.zeros((1, {SIDE}, {SIDE}), np.uint8));"
        "print(sorted({'sklearn', 'skl2onnx', 'torch', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []
