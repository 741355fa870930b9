"""How far pictures are distorted: what their limits allow, and how often."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from strokewise.training import augment_params
from strokewise.training.augment_params import AugmentLimits
from toy_limits import SIDE, exact_limits, generator, no_interior


def test_without_limits_nothing_is_mirrored_or_rotated_far() -> None:
    linear = augment_params.sample_augment(500, SIDE, generator()).linear
    assert (torch.linalg.det(linear) > 0).all()
    turn = torch.atan2(linear[:, 1, 0], linear[:, 0, 0])
    assert turn.abs().max() <= augment_params.MAX_ROTATION + 1e-6
    assert turn.abs().max() > 0.9 * augment_params.MAX_ROTATION


@pytest.mark.parametrize("degrees", [0, 30, 90])
def test_stretch_follows_the_paintings_own_width(degrees: int) -> None:
    """Twice as wide against its height, whichever way it lies: areas stay, the width grows by the root of two."""
    turn = torch.full((400,), math.radians(degrees))
    none = torch.zeros(400)
    factor = torch.full((400,), math.log(2.0))
    limits = AugmentLimits(none, none, none > 0, turn, factor, factor, no_interior(400))
    linear = augment_params.sample_augment(400, SIDE, generator(), 1e-6, limits).linear
    assert torch.allclose(linear, torch.eye(2).expand(400, 2, 2), atol=1e-4)  # strength scales it, too
    linear = augment_params.stretch_along(turn[:1], factor[:1])[0].double()
    width = torch.tensor([math.cos(turn[0]), math.sin(turn[0])], dtype=torch.float64)
    height = torch.tensor([-math.sin(turn[0]), math.cos(turn[0])], dtype=torch.float64)
    assert torch.allclose(linear @ width, math.sqrt(2) * width, atol=1e-5)
    assert torch.allclose(linear @ height, height / math.sqrt(2), atol=1e-5)
    sampled = augment_params.sample_augment(400, SIDE, generator(), 1.0, limits).linear
    assert 0.3 < (torch.linalg.svdvals(sampled).amax(1) > 1.3).float().mean() < 0.7  # about half of them


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
    limits = augment_params.augment_limits(factors, pictures, num_drawings=1)
    assert limits is not None
    assert torch.rad2deg(limits.min_rotation).numpy() == pytest.approx([-20, -40, -350, 0], abs=1e-3)
    assert torch.rad2deg(limits.max_rotation).numpy() == pytest.approx([40, 0, 10, 0], abs=1e-3)
    assert limits.mirror.tolist() == [False, False, True, False]
    # preprocessing takes the root of the aspect ratio
    assert torch.exp(2 * limits.min_log_stretch).numpy() == pytest.approx([0.5, 0.125, 1, 1], abs=1e-3)
    assert torch.exp(2 * limits.max_log_stretch).numpy() == pytest.approx([2, 2, 4, 1], abs=1e-3)
    assert torch.rad2deg(limits.turn).numpy() == pytest.approx([-10, 20, 170, 0], abs=1e-3)
    assert limits.interior.sum((1, 2)).tolist() == [144, 0, 0, 0]
    for name in augment_params.LIMIT_FACTORS:
        missing = {other: values for other, values in factors.items() if other != name}
        assert augment_params.augment_limits(missing, pictures) is None


def test_only_what_encloses_something_is_touched() -> None:
    closed = replace(exact_limits(200, 0, False), interior=torch.ones(200, SIDE, SIDE, dtype=torch.bool))
    for limits, is_touched in ((closed, True), (exact_limits(200, 0, False), False)):
        params = augment_params.sample_augment(200, SIDE, generator(), 1.0, limits)
        assert bool(params.touches.any()) is is_touched
        share = params.touches.flatten(1).any(1).float().mean()
        assert share == pytest.approx(augment_params.TOUCH_PROBABILITY * is_touched, abs=0.08)


def test_touched_pictures_leave_room_for_the_lines() -> None:
    limits = replace(exact_limits(300, 0, False), interior=torch.ones(300, SIDE, SIDE, dtype=torch.bool))
    params = augment_params.sample_augment(300, SIDE, generator(), 1.0, limits)
    touched = params.touches.flatten(1).any(1)
    assert params.zoom[touched].mean() < 0.9 < params.zoom[~touched].mean()


def test_what_turns_further_than_a_quarter_has_no_right_way_up() -> None:
    factors = {name: np.ones(2) for name in augment_params.LIMIT_FACTORS}
    factors |= {"turn": np.zeros(2), "max_turn": np.array([90.0, 91.0])}
    limits = augment_params.augment_limits(factors, np.zeros((2, SIDE, SIDE), np.uint8))
    assert limits is not None
    assert torch.rad2deg(limits.max_rotation).numpy() == pytest.approx([90, 180], abs=1e-3)


def test_interior_is_the_paper_that_ink_encloses() -> None:
    """Of drawings by people, too; a gap lets the outside in."""
    closed = np.zeros((SIDE, SIDE), np.uint8)
    closed[6:26, 4:28] = 255
    closed[8:24, 6:26] = 0
    gap, across = closed.copy(), np.zeros_like(closed)
    gap[6:8, 15] = 0
    across[10:12] = 255  # one line across the page encloses nothing
    factors = {name: np.ones(3) for name in augment_params.LIMIT_FACTORS}
    limits = augment_params.augment_limits(factors, np.stack([closed, gap, across, closed]), num_drawings=1)
    assert limits is not None
    expected = np.zeros((SIDE, SIDE), dtype=bool)
    expected[8:24, 6:26] = True
    assert limits.interior.numpy()[[0, 3]].tolist() == [expected.tolist()] * 2
    assert not limits.interior[1:3].any()
