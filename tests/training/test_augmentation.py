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


def no_interior(count: int) -> torch.Tensor:
    return torch.zeros(count, SIDE, SIDE, dtype=torch.bool)


def zero_params(count: int, limits: AugmentLimits | None = None) -> augmentation.AugmentParams:
    """Parameters of strength 0, so that one can be varied at a time."""
    return augmentation.sample_augment(count, SIDE, generator(), 0.0, limits)


def exact_limits(count: int, degrees: float, mirror: bool) -> AugmentLimits:
    turn = torch.full((count,), math.radians(degrees))
    nothing = torch.zeros(count)
    return AugmentLimits(turn, turn, torch.full((count,), mirror), nothing, nothing, nothing, no_interior(count))


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
    limits = AugmentLimits(none, none, none > 0, turn, factor, factor, no_interior(400))
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


def test_limits_are_what_the_outlines_allow() -> None:
    factors = {
        "turn": np.array([-10.0, 20.0, 170.0]),
        "max_turn": np.array([30.0, 20.0, 180.0]),
        "mirrorable": np.array([False, False, True]),
        "stretch": np.array([1.0, 2.0, 0.5]),
        "min_stretch": np.array([0.5, 0.25, 0.5]),
        "max_stretch": np.array([2.0, 4.0, 2.0]),
    }
    pictures = np.zeros((4, SIDE, SIDE), np.uint8)  # the last by a person
    pictures[0, 8:24, 8:24] = 255
    pictures[0, 10:22, 10:22] = 0
    limits = augmentation.augment_limits(factors, pictures, num_drawings=1)
    assert limits is not None
    assert torch.rad2deg(limits.min_rotation).numpy() == pytest.approx([-20, -40, -350, 0], abs=1e-3)
    assert torch.rad2deg(limits.max_rotation).numpy() == pytest.approx([40, 0, 10, 0], abs=1e-3)
    assert limits.mirror.tolist() == [False, False, True, False]
    # preprocessing takes the root of the aspect ratio
    assert torch.exp(2 * limits.min_log_stretch).numpy() == pytest.approx([0.5, 0.125, 1, 1], abs=1e-3)
    assert torch.exp(2 * limits.max_log_stretch).numpy() == pytest.approx([2, 2, 4, 1], abs=1e-3)
    assert torch.rad2deg(limits.turn).numpy() == pytest.approx([-10, 20, 170, 0], abs=1e-3)
    assert limits.interior.sum((1, 2)).tolist() == [144, 0, 0, 0]
    for name in augmentation.LIMIT_FACTORS:
        missing = {other: values for other, values in factors.items() if other != name}
        assert augmentation.augment_limits(missing, pictures) is None


def ring(count: int) -> torch.Tensor:
    """Pictures of a square ring (count, 1, SIDE, SIDE), smaller than their frame."""
    picture = torch.zeros(1, 1, SIDE, SIDE)
    picture[..., 8:24, 8:24] = 1
    picture[..., 10:22, 10:22] = 0
    return picture.repeat(count, 1, 1, 1)


def test_retrace_keeps_the_first_round_and_adds_the_second() -> None:
    shifted = torch.tensor([[1.0, 0, 0.25], [0, 1.0, 0]])  # by an eighth of the side to the left
    changed = augmentation.retrace(ring(2), torch.stack([torch.zeros(2, 3), shifted]))
    assert torch.equal(changed[0], ring(1)[0])
    assert (changed[1] >= ring(1)[0]).all()
    assert changed[1, 0, 10:22, 4].min() == pytest.approx(1)


def test_hatch_fills_stripes_into_the_interior_alone() -> None:
    interior = torch.zeros(2, SIDE, SIDE, dtype=torch.bool)
    interior[:, 10:22, 10:22] = True
    stripes = torch.tensor([[math.pi * SIDE / 4, 0.0, 0.0, 0.5, 0.0]])  # upright, four pixels from one to the next
    changed = augmentation.hatch(ring(2), torch.cat([torch.zeros(1, 5), stripes]), interior)
    assert torch.equal(changed[0], ring(1)[0])
    added = changed[1] - ring(1)[0]
    assert added[0][~interior[1]].abs().max() == 0
    assert 0.3 < added[0][interior[1]].mean() < 0.7
    assert torch.allclose(added[0, 10], added[0, 21]), "the same in every row"


def test_touch_draws_lines_outward_from_the_ink() -> None:
    line = torch.tensor([0.0, 0.0, 0.3, 2 / SIDE])  # from the rightmost ink to the right
    touches = torch.zeros(2, augmentation.TOUCHES, 4)
    touches[1, 0] = line
    changed = augmentation.touch(ring(2), touches)
    assert torch.equal(changed[0], ring(1)[0])
    added = (changed[1] - ring(1)[0])[0]
    assert added[:, :22].abs().max() == 0
    assert added[8:13, 26].max() == 1
    assert added[:, 31].max() == 0, "it ends"


def test_only_what_encloses_something_is_touched() -> None:
    closed = replace(exact_limits(200, 0, False), interior=torch.ones(200, SIDE, SIDE, dtype=torch.bool))
    for limits, is_touched in ((closed, True), (exact_limits(200, 0, False), False)):
        params = augmentation.sample_augment(200, SIDE, generator(), 1.0, limits)
        assert bool(params.touches.any()) is is_touched
        share = params.touches.flatten(1).any(1).float().mean()
        assert share == pytest.approx(augmentation.TOUCH_PROBABILITY * is_touched, abs=0.08)


def test_touched_pictures_leave_room_for_the_lines() -> None:
    limits = replace(exact_limits(300, 0, False), interior=torch.ones(300, SIDE, SIDE, dtype=torch.bool))
    params = augmentation.sample_augment(300, SIDE, generator(), 1.0, limits)
    touched = params.touches.flatten(1).any(1)
    assert params.zoom[touched].mean() < 0.9 < params.zoom[~touched].mean()


def test_subset_with_lines_and_fillings_is_augmented_as_within_the_batch() -> None:
    limits = replace(exact_limits(60, 10, True), interior=ring(60)[:, 0].cumsum(2) > 0)
    params = augmentation.sample_augment(60, SIDE, generator(), 1.0, limits)
    assert all(value.any() for value in (params.retrace, params.hatching, params.touches))
    parts = [slice(0, 1), slice(1, 37), slice(37, 60)]
    apart = torch.cat([augmentation.apply_augment(ring(60)[part], params.subset(part)) for part in parts])
    assert torch.equal(apart, augmentation.apply_augment(ring(60), params))
