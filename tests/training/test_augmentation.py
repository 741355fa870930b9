"""Augmentation against what it must not change: the label's reasons, other samples, the range, and the randomness."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from strokewise.training import augmentation
from strokewise.training.augmentation import AugmentLimits

GRID = 32


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def corners(count: int) -> torch.Tensor:
    """Pictures of an L, which no mirror and no turn leaves as it is: (count, 1, GRID, GRID)."""
    picture = torch.zeros(1, 1, GRID, GRID)
    picture[..., 3:29, 8:10] = 1
    picture[..., 27:29, 8:24] = 1
    return picture.repeat(count, 1, 1, 1)


def still(count: int, freedom: AugmentLimits | None = None) -> augmentation.AugmentParams:
    """Amounts of strength 0, so that one can be varied at a time."""
    return augmentation.sample_augment(count, GRID, generator(), 0.0, freedom)


def free(count: int, degrees: float, mirror: bool) -> AugmentLimits:
    turn = torch.full((count,), math.radians(degrees))
    nothing = torch.zeros(count)
    return AugmentLimits(turn, turn, torch.full((count,), mirror), nothing, nothing, nothing)


def test_pictures_stay_pictures_and_no_two_are_changed_alike() -> None:
    changed = augmentation.augment(corners(50), generator())
    assert (changed.shape, changed.dtype) == ((50, 1, GRID, GRID), torch.float32)
    assert changed.min() >= 0
    assert changed.max() <= 1
    assert len(changed.flatten(1).unique(dim=0)) == 50
    ink = changed.sum((1, 2, 3)) / corners(1).sum()
    assert ink.min() > 0.4  # none is lost
    assert ink.max() < 5


def test_the_same_generator_gives_the_same_pictures() -> None:
    assert torch.equal(augmentation.augment(corners(9), generator(3)), augmentation.augment(corners(9), generator(3)))
    assert not torch.equal(
        augmentation.augment(corners(9), generator(3)), augmentation.augment(corners(9), generator(4))
    )


def test_a_part_of_a_batch_is_changed_as_within_the_whole() -> None:
    batch, amounts = corners(9), augmentation.sample_augment(9, GRID, generator(), 1.0, free(9, 50, True))
    parts = [slice(0, 4), slice(4, 9)]
    apart = torch.cat([augmentation.apply_augment(batch[part], amounts.part(part)) for part in parts])
    assert torch.equal(apart, augmentation.apply_augment(batch, amounts))


def test_strength_0_changes_nothing() -> None:
    assert augmentation.augment(corners(3), generator(), strength=0) is not None
    assert torch.equal(augmentation.augment(corners(3), generator(), strength=0), corners(3))
    assert augmentation.apply_augment(corners(3), still(3)) == pytest.approx(corners(3), abs=1e-4)


@pytest.mark.parametrize("quarter", [1, 2, 3])
def test_a_quarter_turn_is_a_quarter_turn(quarter: int) -> None:
    changed = augmentation.apply_augment(corners(1), still(1, free(1, 90 * quarter, False)))
    assert changed == pytest.approx(torch.rot90(corners(1), -quarter, (2, 3)), abs=1e-3)


def test_a_mirror_is_a_mirror() -> None:
    changed = augmentation.apply_augment(corners(40), still(40, free(40, 0, True)))
    flipped = (changed - corners(1).flip(3)).abs().amax((1, 2, 3)) < 1e-3
    as_was = (changed - corners(1)).abs().amax((1, 2, 3)) < 1e-3
    assert torch.equal(flipped, ~as_was)
    assert 8 < flipped.sum() < 32


def test_without_freedom_nothing_is_mirrored_or_turned_far() -> None:
    linear = augmentation.sample_augment(500, GRID, generator()).linear
    assert (torch.linalg.det(linear) > 0).all()
    turn = torch.atan2(linear[:, 1, 0], linear[:, 0, 0])
    assert turn.abs().max() <= augmentation.MAX_ROTATION + 1e-6
    assert turn.abs().max() > 0.9 * augmentation.MAX_ROTATION


@pytest.mark.parametrize("degrees", [0, 30, 90])
def test_a_painting_is_stretched_along_its_own_width(degrees: int) -> None:
    """Twice as wide against its height, whichever way it lies: areas stay, the width grows by the root of two."""
    turn = torch.full((400,), math.radians(degrees))
    none = torch.zeros(400)
    factor = torch.full((400,), math.log(2.0))
    freedom = AugmentLimits(none, none, torch.zeros(400, dtype=torch.bool), turn, factor, factor)
    linear = augmentation.sample_augment(400, GRID, generator(), 1e-6, freedom).linear
    assert torch.allclose(linear, torch.eye(2).expand(400, 2, 2), atol=1e-4)  # strength scales it, too
    linear = augmentation.stretch_along(turn[:1], factor[:1])[0].double()
    width = torch.tensor([math.cos(turn[0]), math.sin(turn[0])], dtype=torch.float64)
    height = torch.tensor([-math.sin(turn[0]), math.cos(turn[0])], dtype=torch.float64)
    assert torch.allclose(linear @ width, math.sqrt(2) * width, atol=1e-5)
    assert torch.allclose(linear @ height, height / math.sqrt(2), atol=1e-5)
    drawn = augmentation.sample_augment(400, GRID, generator(), 1.0, freedom).linear
    assert 0.3 < (torch.linalg.svdvals(drawn).amax(1) > 1.3).float().mean() < 0.7  # about half of them


def test_what_is_turned_fits_the_frame_again() -> None:
    bar = torch.zeros(1, 1, GRID, GRID)
    bar[..., 2:30, 2:30] = 1
    changed = augmentation.apply_augment(bar, still(1, free(1, 45, False)))
    rows = (changed[0, 0] > 0.5).any(1).nonzero()
    assert (int(rows[0]), int(rows[-1])) == pytest.approx((2, 29), abs=1)  # a tip may fall between two pixels


def test_an_empty_picture_stays_finite() -> None:
    assert torch.isfinite(augmentation.augment(torch.zeros(4, 1, GRID, GRID), generator())).all()


def test_a_broader_pen_adds_ink_and_a_finer_takes_some() -> None:
    thick = augmentation.change_thickness(corners(3), torch.tensor([-0.5, 0.0, 0.5])).sum((1, 2, 3))
    assert thick[0] < thick[1] < thick[2]
    dilated = torch.nn.functional.max_pool2d(corners(1), 3, 1, 1)
    assert torch.equal(augmentation.change_thickness(corners(1), torch.tensor([1.0])), dilated)
    eroded = -torch.nn.functional.max_pool2d(-corners(1), 3, 1, 1)
    assert torch.equal(augmentation.change_thickness(corners(1), torch.tensor([-1.0])), eroded)


def test_noise_and_cuts_are_each_samples_own() -> None:
    amounts = replace(still(2), noise=torch.tensor([0.0, 0.1]), cuts=torch.tensor([[0, 0, 0.5, 1.0], [0, 0, 0, 0]]))
    changed = augmentation.apply_augment(corners(2), amounts)
    assert changed[0, 0, :, : GRID // 2].sum() == 0
    assert changed[0, 0, :, GRID // 2 :] == pytest.approx(corners(1)[0, 0, :, GRID // 2 :], abs=1e-4)
    paper = changed[1, 0, :20, 12:]
    assert 0.02 < paper.std() < 0.1
    assert paper.min() == 0


def test_freedom_is_what_the_paintings_show() -> None:
    labels = np.array([0, 0, 0, 1, 1])
    factors = {
        "turn": np.array([-10.0, 20.0, 0.0, 170.0, 30.0]),
        "mirrored": np.array([False, False, False, False, True]),
        "stretch": np.array([1.0, 2.0, 1.0, 0.5, 1.5]),
        "variant": np.array(["a", "a", "b", "a", "a"]),
    }
    found = augmentation.augment_limits(factors, labels)
    assert found is not None
    assert torch.rad2deg(found.least).numpy() == pytest.approx([-10, -40, 0, -350, -210], abs=1e-3)
    assert torch.rad2deg(found.most).numpy() == pytest.approx([30, 0, 0, 10, 150], abs=1e-3)
    assert found.mirror.tolist() == [False, False, False, True, True]
    # evened by the door, so by their roots
    assert torch.exp(2 * found.narrower).numpy() == pytest.approx([1, 0.5, 1, 1, 1 / 3], abs=1e-3)
    assert torch.exp(2 * found.wider).numpy() == pytest.approx([2, 1, 1, 3, 1], abs=1e-3)
    assert torch.rad2deg(found.turn).numpy() == pytest.approx(factors["turn"], abs=1e-3)
    assert augmentation.augment_limits({"variant": factors["variant"]}, labels) is None
