"""Augmentation: what it may change, and what it must not: other samples, the range, the random state."""

import math
from dataclasses import replace

import pytest
import torch

from strokewise.training import augment_params, augmentation
from strokewise.training.augment_params import AugmentLimits
from toy_limits import SIDE, exact_limits, generator


def corners(count: int) -> torch.Tensor:
    """Pictures of an L, which no mirror and no turn leaves as it is: (count, 1, SIDE, SIDE)."""
    picture = torch.zeros(1, 1, SIDE, SIDE)
    picture[..., 3:29, 8:10] = 1
    picture[..., 27:29, 8:24] = 1
    return picture.repeat(count, 1, 1, 1)


def zero_params(count: int, limits: AugmentLimits | None = None) -> augment_params.AugmentParams:
    """Parameters of strength 0, so that one can be varied at a time."""
    return augment_params.sample_augment(count, SIDE, generator(), 0.0, limits)


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
    batch, params = corners(9), augment_params.sample_augment(9, SIDE, generator(), 1.0, exact_limits(9, 50, True))
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
    touches = torch.zeros(2, augment_params.TOUCHES, 4)
    touches[1, 0] = line
    changed = augmentation.touch(ring(2), touches)
    assert torch.equal(changed[0], ring(1)[0])
    added = (changed[1] - ring(1)[0])[0]
    assert added[:, :22].abs().max() == 0
    assert added[8:13, 26].max() == 1
    assert added[:, 31].max() == 0, "it ends"


def test_subset_with_lines_and_fillings_is_augmented_as_within_the_batch() -> None:
    limits = replace(exact_limits(60, 10, True), interior=ring(60)[:, 0].cumsum(2) > 0)
    params = augment_params.sample_augment(60, SIDE, generator(), 1.0, limits)
    assert all(value.any() for value in (params.retrace, params.hatching, params.touches))
    parts = [slice(0, 1), slice(1, 37), slice(37, 60)]
    apart = torch.cat([augmentation.apply_augment(ring(60)[part], params.subset(part)) for part in parts])
    assert torch.equal(apart, augmentation.apply_augment(ring(60), params))


def ring_limits(count: int) -> AugmentLimits:
    """Limits of `ring`: it may be mirrored, and what it encloses may be filled."""
    interior = torch.zeros(count, SIDE, SIDE, dtype=torch.bool)
    interior[:, 10:22, 10:22] = True
    return replace(exact_limits(count, 0, True), interior=interior)


@pytest.mark.parametrize("name", ["retrace", "hatching", "touches"])
def test_second_round_hatching_and_touching_lines_add_ink_to_their_own_samples_only(name: str) -> None:
    params = augment_params.sample_augment(300, SIDE, generator(), 1.0, ring_limits(300))
    chosen = getattr(params, name).flatten(1).any(1)
    assert 5 < chosen.sum() < 150
    plain = augmentation.apply_augment(ring(300), zero_params(300))
    alone = replace(zero_params(300), **{name: getattr(params, name), "interior": params.interior})
    changed = augmentation.apply_augment(ring(300), alone)
    assert torch.equal(changed[~chosen], plain[~chosen])
    assert ((changed - plain).abs().amax((1, 2, 3))[chosen] > 0.1).float().mean() > 0.9
    assert (changed >= plain - 1e-3).all(), "takes ink away"


def test_touch_of_an_empty_picture_is_finite() -> None:
    touches = torch.full((1, augment_params.TOUCHES, 4), 0.1)
    assert torch.isfinite(augmentation.touch(torch.zeros(1, 1, SIDE, SIDE), touches)).all()


def test_twice_the_strength_keeps_the_range() -> None:
    changed = augmentation.augment(ring(200), generator(), 2.0, ring_limits(200))
    assert torch.isfinite(changed).all()
    assert (changed.min() >= 0, changed.max() <= 1) == (True, True)


def test_amounts_are_applied_on_the_device_of_the_batch() -> None:
    """A tensor that is made anywhere else would lie on `meta` here, and raise an error."""
    params = augment_params.sample_augment(90, SIDE, generator(), 1.0, ring_limits(90))
    expected = augmentation.apply_augment(ring(90), params)
    batch = ring(90)
    with torch.device("meta"):
        assert torch.equal(augmentation.apply_augment(batch, params), expected)
