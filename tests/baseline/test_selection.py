"""Cross-validation of the four models: no leak, no dependence on the machine."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from strokewise.baseline import selection
from strokewise.baseline.selection import Trial

SIDE = 12
MODELS = tuple(selection.candidates(10, 0))


def make_pictures(count: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Three patterns under noise, in any order."""
    patterns = np.random.default_rng(0).integers(0, 2, (3, SIDE, SIDE)) * 130
    labels = np.random.default_rng(9).permutation(np.arange(count) % 3)
    grain = np.random.default_rng(seed).integers(0, 126, (count, SIDE, SIDE))
    return (patterns[labels] + grain).astype(np.uint8), labels


@pytest.fixture(scope="module")
def paintings() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    return make_pictures(60, seed=1)


@pytest.fixture(scope="module")
def copies() -> NDArray[np.uint8]:
    return np.stack([make_pictures(60, seed)[0] for seed in (2, 3)])


def test_cross_validation_tries_every_model_at_every_level(paintings: Any, copies: Any) -> None:
    pictures, labels = paintings
    trials = selection.cross_validate(pictures, labels, copies, folds=2, seed=0)
    assert [(trial.model, trial.copies) for trial in trials] == [(m, level) for level in (0, 1, 2) for m in MODELS]
    for trial in trials:
        assert trial.accuracy > 0.9  # with copies too: a copy has its painting's label
        assert trial.accuracy == pytest.approx(np.mean(trial.folds))  # the folds are equally large
        assert (trial.temperature is not None) == ("SVM" in trial.model)


def test_cross_validation_does_not_depend_on_the_number_of_cores(
    paintings: Any, copies: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures, labels = paintings
    results = []
    for cores in (1, 3):
        monkeypatch.setattr("os.cpu_count", lambda cores=cores: cores)
        results.append(selection.cross_validate(pictures, labels, copies[:0], folds=2, seed=4))
    assert results[0] == results[1]


def test_copies_of_held_out_paintings_are_not_used_for_training() -> None:
    """Noise with random labels, and copies that are the paintings again: whoever sees one knows the answer."""
    generator = np.random.default_rng(0)
    pictures = generator.integers(0, 256, (90, SIDE, SIDE), dtype=np.uint8)
    trials = selection.cross_validate(
        pictures, generator.permutation(90) % 3, np.stack([pictures] * 3), folds=3, seed=0
    )
    assert max(trial.accuracy for trial in trials) < 0.55


def test_stratified_folds_hold_as_many_of_each_shape() -> None:
    labels = np.repeat(np.arange(4), [12, 9, 3, 2])
    held_out = selection.stratified_folds(labels, folds=3, seed=1)
    for shape in range(4):
        counts = np.bincount(held_out[labels == shape], minlength=3)
        assert counts.max() - counts.min() <= 1


@pytest.mark.parametrize(
    ("paintings", "copies", "levels"),
    [(600, 4, [0, 2, 4]), (600, 1, [0, 1]), (600, 0, [0]), (4000, 4, [0, 1, 2]), (50_000, 4, [0])],
)
def test_augmentation_levels_stay_within_the_row_limit(paintings: int, copies: int, levels: list[int]) -> None:
    assert selection.augmentation_levels(paintings, copies) == levels


def test_best_of_equal_trials_has_fewest_copies() -> None:
    trials = [Trial("a", 0, 0.5, (), None), Trial("b", 4, 0.6, (), None), Trial("c", 2, 0.6, (), None)]
    assert selection.best_trial([*trials, Trial("d", 2, 0.6, (), None)]).model == "c"
