"""Augmentation: what it may change, and what it must not: other samples, the range, the random state."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from strokewise.training import augmentation
from strokewise.training.augmentation import AugmentLimits

SIDE = 32


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def corners(count: int) -> torch.Tensor:
    """Pictures of an L, which no mirror and no turn leaves as it is: (count, 1, SIDE, SIDE)."""
    picture = torch.zeros(1, 1, SIDE, SIDE)
    picture[..., 3:29, 8:10] = 1
    picture[..., 27:29, 8:24] = 1
    return picture.repeat(count, 1, 1, 1)


def zero_params(count: int, limits: AugmentLimits | None = None) -> augmentation.AugmentParams:
    """Parameters of strength 0, so that one can be varied at a time."""
    return augmentation.sample_augment(count, SIDE, generator(), 0.0, limits)


def exact_limits(count: int, degrees: float, mirror: bool) -> AugmentLimits:
    turn = torch.full((count,), math.radians(degrees))
    nothing = torch.zeros(count)
    return AugmentLimits(turn, turn, torch.full((count,), mirror), nothing, nothing, nothing)


def test_augment_keeps_the_range_and_changes_each_picture_differently() -> None:
    changed = augmentation.augment(corners(50), generator())
    assert (changed.shape, changed.dtype) == ((50, 1, SIDE, SIDE), torch.float32)
    assert changed.min() >= 0
    assert changed.max() <= 1
    assert len(changed.flatten(1).unique(dim=0)) == 50
    ink = changed.sum((1, 2, 3)) / corners(1).sum()
    assert ink.min() > 0.4  # none is lost
    assert ink.max() < 5


def test_same_generator_gives_the_same_pictures() -> None:
    assert torch.equal(augmentation.augment(corners(9), generator(3)), augmentation.augment(corners(9), generator(3)))
    assert not torch.equal(
        augmentation.augment(corners(9), generator(3)), augmentation.augment(corners(9), generator(4))
    )


def test_subset_of_a_batch_is_augmented_as_within_the_batch() -> None:
    batch, params = corners(9), augmentation.sample_augment(9, SIDE, generator(), 1.0, exact_limits(9, 50, True))
    parts = [slice(0, 4), slice(4, 9)]
    apart = torch.cat([augmentation.apply_augment(batch[part], params.subset(part)) for part in parts])
    assert torch.equal(apart, augmentation.apply_augment(batch, params))


def test_strength_zero_changes_nothing() -> None:
    assert augmentation.augment(corners(3), generator(), strength=0) is not None
    assert torch.equal(augmentation.augment(corners(3), generator(), strength=0), corners(3))
    assert augmentation.apply_augment(corners(3), zero_params(3)) == pytest.approx(corners(3), abs=1e-4)


@pytest.mark.parametrize("quarter", [1, 2, 3])
def test_rotation_by_90_degrees_is_exact(quarter: int) -> None:
    changed = augmentation.apply_augment(corners(1), zero_params(1, exact_limits(1, 90 * quarter, False)))
    assert changed == pytest.approx(torch.rot90(corners(1), -quarter, (2, 3)), abs=1e-3)


def test_mirror_flips_about_half_of_the_pictures() -> None:
    changed = augmentation.apply_augment(corners(40), zero_params(40, exact_limits(40, 0, True)))
    flipped = (changed - corners(1).flip(3)).abs().amax((1, 2, 3)) < 1e-3
    as_was = (changed - corners(1)).abs().amax((1, 2, 3)) < 1e-3
    assert torch.equal(flipped, ~as_was)
    assert 8 < flipped.sum() < 32


def test_without_limits_nothing_is_mirrored_or_rotated_far() -> None:
    linear = augmentation.sample_augment(500, SIDE, generator()).linear
    assert (torch.linalg.det(linear) > 0).all()
    turn = torch.atan2(linear[:, 1, 0], linear[:, 0, 0])
    assert turn.abs().max() <= augmentation.MAX_ROTATION + 1e-6
    assert turn.abs().max() > 0.9 * augmentation.MAX_ROTATION


@pytest.mark.parametrize("degrees", [0, 30, 90])
def test_stretch_follows_the_paintings_own_width(degrees: int) -> None:
    """Twice as wide against its height, whichever way it lies: areas stay, the width grows by the root of two."""
    turn = torch.full((400,), math.radians(degrees))
    none = torch.zeros(400)
    factor = torch.full((400,), math.log(2.0))
    limits = AugmentLimits(none, none, torch.zeros(400, dtype=torch.bool), turn, factor, factor)
    linear = augmentation.sample_augment(400, SIDE, generator(), 1e-6, limits).linear
    assert torch.allclose(linear, torch.eye(2).expand(400, 2, 2), atol=1e-4)  # strength scales it, too
    linear = augmentation.stretch_along(turn[:1], factor[:1])[0].double()
    width = torch.tensor([math.cos(turn[0]), math.sin(turn[0])], dtype=torch.float64)
    height = torch.tensor([-math.sin(turn[0]), math.cos(turn[0])], dtype=torch.float64)
    assert torch.allclose(linear @ width, math.sqrt(2) * width, atol=1e-5)
    assert torch.allclose(linear @ height, height / math.sqrt(2), atol=1e-5)
    sampled = augmentation.sample_augment(400, SIDE, generator(), 1.0, limits).linear
    assert 0.3 < (torch.linalg.svdvals(sampled).amax(1) > 1.3).float().mean() < 0.7  # about half of them


def test_rotated_picture_fits_its_frame() -> None:
    bar = torch.zeros(1, 1, SIDE, SIDE)
    bar[..., 2:30, 2:30] = 1
    changed = augmentation.apply_augment(bar, zero_params(1, exact_limits(1, 45, False)))
    rows = (changed[0, 0] > 0.5).any(1).nonzero()
    assert (int(rows[0]), int(rows[-1])) == pytest.approx((2, 29), abs=1)  # a tip may fall between two pixels


def test_empty_picture_stays_finite() -> None:
    assert torch.isfinite(augmentation.augment(torch.zeros(4, 1, SIDE, SIDE), generator())).all()


def test_thickness_equals_dilation_and_erosion() -> None:
    thick = augmentation.change_thickness(corners(3), torch.tensor([-0.5, 0.0, 0.5])).sum((1, 2, 3))
    assert thick[0] < thick[1] < thick[2]
    dilated = torch.nn.functional.max_pool2d(corners(1), 3, 1, 1)
    assert torch.equal(augmentation.change_thickness(corners(1), torch.tensor([1.0])), dilated)
    eroded = -torch.nn.functional.max_pool2d(-corners(1), 3, 1, 1)
    assert torch.equal(augmentation.change_thickness(corners(1), torch.tensor([-1.0])), eroded)


def test_noise_and_cutout_are_per_sample() -> None:
    params = replace(
        zero_params(2), noise=torch.tensor([0.0, 0.1]), cuts=torch.tensor([[0, 0, 0.5, 1.0], [0, 0, 0, 0]])
    )
    changed = augmentation.apply_augment(corners(2), params)
    assert changed[0, 0, :, : SIDE // 2].sum() == 0
    assert changed[0, 0, :, SIDE // 2 :] == pytest.approx(corners(1)[0, 0, :, SIDE // 2 :], abs=1e-4)
    paper = changed[1, 0, :20, 12:]
    assert 0.02 < paper.std() < 0.1
    assert paper.min() == 0


def test_limits_are_what_the_paintings_show() -> None:
    labels = np.array([0, 0, 0, 1, 1])
    factors = {
        "turn": np.array([-10.0, 20.0, 0.0, 170.0, 30.0]),
        "mirrored": np.array([False, False, False, False, True]),
        "stretch": np.array([1.0, 2.0, 1.0, 0.5, 1.5]),
        "variant": np.array(["a", "a", "b", "a", "a"]),
    }
    limits = augmentation.augment_limits(factors, labels)
    assert limits is not None
    assert torch.rad2deg(limits.min_rotation).numpy() == pytest.approx([-10, -40, 0, -350, -210], abs=1e-3)
    assert torch.rad2deg(limits.max_rotation).numpy() == pytest.approx([30, 0, 0, 10, 150], abs=1e-3)
    assert limits.mirror.tolist() == [False, False, False, True, True]
    # preprocessing takes the root of the aspect ratio
    assert torch.exp(2 * limits.min_log_stretch).numpy() == pytest.approx([1, 0.5, 1, 1, 1 / 3], abs=1e-3)
    assert torch.exp(2 * limits.max_log_stretch).numpy() == pytest.approx([2, 1, 1, 3, 1], abs=1e-3)
    assert torch.rad2deg(limits.turn).numpy() == pytest.approx(factors["turn"], abs=1e-3)
    assert augmentation.augment_limits({"variant": factors["variant"]}, labels) is None
