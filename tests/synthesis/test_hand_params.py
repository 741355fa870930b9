"""Sampling the parameters of the hand: each knob affects its own, within the limits of the shape and of distortion."""

from dataclasses import fields, replace

import numpy as np
import pytest

from strokewise.params import HandStrengths
from strokewise.synthesis import hand_params
from strokewise.synthesis.hand_params import RULER, HandParams
from strokewise.synthesis.outlines import Outline

ALL_OFF = dict.fromkeys(HandStrengths.model_fields, 0.0)
ALL_ON = dict.fromkeys(HandStrengths.model_fields, 1.0)
PARAMS_OF_KNOB = {
    "stretch": {"stretch"},
    "slant": {"slant", "climb"},
    "turn": {"turn", "mirrored"},
    "perspective": {"perspective_x", "perspective_y"},
    "corners": {"corners"},
    "bow": {"bow", "pinch"},
    "lumps": {"lumps", "dent"},
    "rounding": {"rounding"},
    "start": {"start", "between", "backwards"},
    "lifting": {"lifting"},
    "overshoot": {"overshoot"},
    "closing": {"closing", "curl", "flight"},
    "sketching": {"rounds", "apart", "spiral", "coil"},
    "loops": {"loops"},
    "hooks": {"hooks"},
    "drift": {"drift"},
    "tremor": {"tremor"},
    "mouse": {"grid", "reports"},
}


def sample(knobs: dict[str, float], seed: int) -> HandParams:
    """The parameters for a shape that allows nearly everything."""
    uniforms = np.random.default_rng(seed).random(hand_params.HAND_UNIFORMS).tolist()
    rng = np.random.default_rng(seed)
    return hand_params.sample_hand_params(knobs, uniforms, rng, stretch=(0.2, 5), turn=180, mirror=True)


@pytest.mark.parametrize("knob", ALL_OFF)
def test_knob_changes_its_own_params_only(knob: str) -> None:
    changed = set()
    for seed in range(400):
        all_on, one_on = sample(ALL_ON, seed), sample({**ALL_OFF, knob: 1.0}, seed)
        ruler = replace(RULER, haste=one_on.haste)
        names = {
            field.name for field in fields(HandParams) if getattr(one_on, field.name) != getattr(ruler, field.name)
        }
        assert names <= PARAMS_OF_KNOB[knob]
        assert all(getattr(one_on, name) == getattr(all_on, name) for name in PARAMS_OF_KNOB[knob])
        changed |= names
    assert changed == PARAMS_OF_KNOB[knob]


def test_start_params_follow_the_probabilities_of_their_knob() -> None:
    for knob, shares in ((1.0, (1.0, 0.3, 0.5)), (0.5, (0.5, 0.15, 0.25)), (0.0, (0.0, 0.0, 0.0))):
        knobs, uniforms = {**ALL_OFF, "start": knob}, [0.5] * hand_params.HAND_UNIFORMS
        samples = [
            hand_params.sample_hand_params(
                knobs, uniforms, np.random.default_rng(seed), stretch=(1, 1), turn=0, mirror=False
            )
            for seed in range(2000)
        ]
        values = np.array([(params.start, params.between, params.backwards) for params in samples], dtype=float)
        assert (values > 0).mean(0) == pytest.approx(shares, abs=0.04)
        assert values[:, 0].mean() == pytest.approx(shares[0] / 2, abs=0.03)
        if knob:
            assert np.abs(np.corrcoef(values.T) - np.eye(3)).max() < 0.08, "not independent"


def test_total_distortion_is_limited_but_single_ones_stay_large() -> None:
    limits = hand_params.MAX_DISTORTIONS
    samples = [sample(ALL_ON, seed) for seed in range(2000)]
    shares = np.array([[abs(getattr(params, name)) / limit for name, limit in limits.items()] for params in samples])
    assert 0.9 * hand_params.MAX_TOTAL_DISTORTION < shares.sum(1).max() <= hand_params.MAX_TOTAL_DISTORTION + 1e-9
    assert shares.max() > 0.6


def test_sketching_and_the_mouse_are_as_frequent_as_their_knobs_say() -> None:
    for knob, name in (("sketching", "rounds"), ("mouse", "grid")):
        shares = [
            np.mean([getattr(sample({**ALL_OFF, knob: strength}, seed), name) > 0 for seed in range(1000)])
            for strength in (0.0, 0.5, 1.0)
        ]
        assert shares[0] == 0
        assert shares[1] == pytest.approx(shares[2] / 2, abs=0.04)
        assert shares[2] > 0.03


def test_only_rounds_lie_apart_and_only_an_end_drawn_twice_curls() -> None:
    for seed in range(1000):
        params = sample({**ALL_ON, "sketching": 2.0, "closing": 2.0}, seed)
        assert (params.rounds > 0) == (params.apart > 0)
        assert params.rounds or not (params.spiral or params.coil)
        assert not (params.spiral and params.coil)
        assert not params.curl or params.closing > 0


def test_knobs_never_exceed_what_the_shape_allows(outline: Outline) -> None:
    knobs = {**ALL_OFF, "stretch": 4.0, "turn": 4.0}
    for seed in range(50):
        params = hand_params.sample_hand_params(
            knobs,
            np.random.default_rng(seed).random(hand_params.HAND_UNIFORMS).tolist(),
            np.random.default_rng(seed),
            stretch=outline.stretch,
            turn=outline.turn,
            mirror=outline.mirror,
        )
        assert outline.stretch[0] - 1e-9 <= params.stretch <= outline.stretch[1] + 1e-9
        assert abs(params.turn) <= outline.turn
        assert outline.mirror or not params.mirrored
