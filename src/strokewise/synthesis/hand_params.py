"""How one painting is drawn: the knobs in, the parameters of the hand for one painting out.

knobs (strength of each kind of imprecision) + what the shape allows + random numbers → HandParams
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, get_type_hints

import numpy as np

HAND_UNIFORMS = 10  # the random numbers that matter most; the caller may spread them evenly over its paintings
MAX_DISTORTIONS = {
    "slant": 0.7,
    "corners": 0.16,
    "bow": 0.12,
    "pinch": 0.2,
    "rounding": 1.4,
    "loops": 0.3,
    "drift": 0.08,
    "lumps": 0.1,
    "dent": 0.3,
}
"""The limit of each parameter that distorts a drawing."""
MAX_TOTAL_DISTORTION = 1.4
"""The limit of all distortions together, each as a share of its own limit: beyond it a shape is hard to name.

At imprecision 1, random test paintings were named by eye without their labels: 195 of 200 correctly, and 183 of another
200; 180 of 200 before distortions were limited and gaps spared the corners (2026-11-26)."""


@dataclass  # not frozen: that would take three times as long to create, for every painting
class HandParams:
    """How one painting is drawn; every field is a column of the data set, and its text is on the dataset card.

    `RULER` draws the outline itself. Lengths: the outline's longest side is 2.
    """

    stretch: Annotated[float, "width against height, as a factor on the outline's"]
    mirrored: Annotated[bool, "flipped left to right"]
    haste: Annotated[float, "how hurried: 0.25 with care, 2 in a hurry; most distortions and misses grow with it"]
    slant: Annotated[float, "shear of x by y"]
    climb: Annotated[float, "shear of y by x"]
    perspective_x: Annotated[
        float, "how much farther away the right edge is than the middle, as a share; negative if nearer"
    ]
    perspective_y: Annotated[float, "the same for the lower edge"]
    turn: Annotated[float, "degrees, clockwise on the page"]
    corners: Annotated[float, "standard deviation of a corner's displacement"]
    bow: Annotated[float, "standard deviation of the rise of an edge, in lengths of the edge"]
    pinch: Annotated[float, "rise that all edges share, in lengths of the edge: positive outward, negative inward"]
    lumps: Annotated[float, "standard deviation of the lumps of smooth closed strokes, as a share of the radius"]
    dent: Annotated[float, "depth of one dent in each smooth closed stroke, share of its radius; negative for a bulge"]
    rounding: Annotated[float, "how far, in points, the movement runs ahead into the next edge"]
    start: Annotated[
        float, "where a closed stroke begins: share of its corners before that, or of its points if `between`"
    ]
    between: Annotated[bool, "a closed stroke begins between two corners; with a gap, late enough to spare the corner"]
    backwards: Annotated[bool, "every stroke is drawn in reverse, so a closed one ends at `start`"]
    lifting: Annotated[float, "probability of lifting the pen at a corner; not where `rounds` are drawn"]
    overshoot: Annotated[float, "how far strokes miss the corner at which the pen is lifted"]
    closing: Annotated[float, "share of the outline drawn twice at its end; negative where it was left open"]
    curl: Annotated[float, "how far the end of a stroke curls towards the middle, as a share of the way; negative away"]
    rounds: Annotated[int, "how often the outline is gone over again without lifting the pen"]
    apart: Annotated[float, "how far these rounds lie apart"]
    spiral: Annotated[float, "how much nearer to the middle each round is drawn, as a share of the way"]
    coil: Annotated[float, "radius of small loops all along the rounds"]
    flight: Annotated[float, "how far a stroke comes in straight from outside, or goes on straight, at an end"]
    loops: Annotated[float, "size of the loops (or cut corners) where the pen turns without being lifted"]
    hooks: Annotated[float, "size of the hook where the pen lands or leaves"]
    drift: Annotated[float, "strength of the slow wandering: its standard deviation in x and in y is 1.2 times this"]
    tremor: Annotated[float, "strength of the quick shaking: its standard deviation in x and in y is 1.35 times this"]
    grid: Annotated[float, "spacing of the coarse grid that a mouse moves on; 0 none"]
    reports: Annotated[float, "distance between the points that a trackpad reports, joined by straight lines; 0 all"]


RULER = HandParams(**{name: kind() for name, kind in get_type_hints(HandParams).items()} | {"stretch": 1.0})
"""The parameters that draw the outline itself."""


def sample_hand_params(
    knobs: Mapping[str, float],
    uniforms: list[float],
    rng: np.random.Generator,
    *,
    stretch: tuple[float, float],
    turn: float,
    mirror: bool,
) -> HandParams:
    """Sample how one painting is drawn. Each knob affects its own parameters only.

    Args:
        knobs: Each knob of `params.HandStrengths`: 0 none of that imprecision, 1 as people draw, more in a hurry.
        uniforms: `HAND_UNIFORMS` numbers in [0, 1).
        rng: Gives all other random numbers.
        stretch: Minimum and maximum factor on width against height that the shape allows, whatever the knobs.
        turn: Degrees either way that it allows.
        mirror: Whether it may be flipped.
    """
    n = rng.standard_normal(12).tolist()
    u = rng.random(26).tolist()
    exponential = [-math.log1p(-value) for value in u[:8] + u[14:17]]  # mostly small, occasionally large
    haste = 0.3 + 1.8 * uniforms[2] ** 1.6
    rare = uniforms[4]  # low: flight, middle: loops, high: hooks; seldom two of them in one painting
    distortions = _limit_distortion(
        {
            "slant": haste * 0.12 * n[1] * (0.5 + exponential[0]),
            "corners": haste * 0.05 * (0.6 + 0.6 * exponential[2]),
            "bow": haste * 0.04 * (0.4 + exponential[3]),
            "pinch": min(0.08, haste * 0.085 * (2 * uniforms[5] - 1) * (0.5 + exponential[0])),
            "rounding": haste * 0.4 * (0.3 + exponential[4]),
            "loops": haste * 0.1 * exponential[7],
            "drift": haste * 0.02 * math.exp(0.4 * n[6]),
            "lumps": haste * 0.03 * (0.2 + exponential[8]),
            "dent": haste * 0.1 * n[8] * (u[17] < 0.35),
        }
    )

    sketched = uniforms[8] < 0.13 * knobs["sketching"]
    by_mouse = uniforms[9] < 0.13 * knobs["mouse"]
    closing = _sample_closing(knobs["closing"] * (0.5 + 0.5 * haste), n[7], uniforms[6])

    def distortion(name: str, knob: str) -> float:
        return _clamp(knobs[knob] * distortions[name], MAX_DISTORTIONS[name])

    return HandParams(
        stretch=_sample_stretch(knobs["stretch"], stretch, uniforms[0]),
        mirrored=mirror and u[8] < 0.5 * min(1.0, knobs["turn"]),
        haste=haste,
        slant=distortion("slant", "slant"),
        climb=_clamp(knobs["slant"] * haste * 0.06 * n[2] * (0.5 + exponential[1]), 0.5),
        perspective_x=_clamp(knobs["perspective"] * 0.05 * n[3], 0.25),
        perspective_y=_clamp(knobs["perspective"] * 0.05 * n[4], 0.25),
        turn=_sample_turn(knobs["turn"], turn, n[5], uniforms[1]),
        corners=distortion("corners", "corners"),
        bow=distortion("bow", "bow"),
        pinch=min(0.08, distortion("pinch", "bow")),
        lumps=distortion("lumps", "lumps"),
        dent=distortion("dent", "lumps"),
        rounding=distortion("rounding", "rounding"),
        start=u[10] * (u[11] < knobs["start"]),
        between=u[12] < 0.3 * knobs["start"],
        backwards=u[13] < 0.5 * min(1.0, knobs["start"]),
        lifting=min(1.0, knobs["lifting"] * (1.0 if uniforms[3] < 0.3 else 0.25 if uniforms[3] < 0.55 else 0.0)),
        overshoot=min(
            0.45, knobs["overshoot"] * haste * 0.05 * (0.4 + exponential[5]) * (5.0 if uniforms[7] < 0.2 else 1)
        ),
        closing=closing,
        curl=_clamp(knobs["closing"] * (0.25 + 0.3 * exponential[9]) * (1 if u[18] < 0.75 else -0.5), 0.8)
        * (closing > 0.04 and u[19] < 0.5),
        rounds=(1 + int(5 * u[20] ** 1.6)) * sketched,
        apart=min(0.2, knobs["sketching"] * (0.02 + 0.05 * exponential[10])) * sketched,
        spiral=min(0.35, knobs["sketching"] * (0.06 + 0.24 * u[21])) * (sketched and u[22] < 0.3),
        coil=min(0.15, knobs["sketching"] * (0.03 + 0.09 * u[21])) * (sketched and u[22] > 0.88),
        flight=min(1.0, knobs["closing"] * 0.55 * exponential[6]) * (0.45 * knobs["closing"] > rare),
        loops=distortion("loops", "loops") * (0.2 * knobs["loops"] > abs(rare - 0.5)),
        hooks=min(0.25, knobs["hooks"] * 0.13 * u[9]) * (0.35 * knobs["hooks"] > 1 - rare),
        drift=distortion("drift", "drift"),
        tremor=min(0.02, knobs["tremor"] * 0.003 * math.exp(0.6 * n[0])),
        grid=min(0.12, knobs["mouse"] * (0.02 + 0.06 * u[23])) * (by_mouse and u[24] < 0.7),
        reports=min(0.6, knobs["mouse"] * (0.1 + 0.35 * u[25])) * (by_mouse and u[24] > 0.6),
    )


def reachable_limits(
    knobs: Mapping[str, float], *, stretch: tuple[float, float], turn: float, mirror: bool
) -> dict[str, float | bool]:
    """How far a painting with these knobs may be stretched, turned and mirrored, under the names of their columns.

    Args:
        knobs: Each knob of `params.HandStrengths`.
        stretch, turn, mirror: What the shape allows, as for `sample_hand_params`.
    """
    low, high = (bound ** min(1.0, knobs["stretch"]) for bound in stretch)
    return {
        "min_stretch": low,
        "max_stretch": high,
        "max_turn": turn * min(1.0, knobs["turn"]),
        "mirrorable": mirror and knobs["turn"] > 0,
    }


def _limit_distortion(distortions: dict[str, float]) -> dict[str, float]:
    """Scale all distortions down where their sum, in shares of their limits, exceeds `MAX_TOTAL_DISTORTION`."""
    distortions = {name: _clamp(value, MAX_DISTORTIONS[name]) for name, value in distortions.items()}
    total = sum(abs(value) / MAX_DISTORTIONS[name] for name, value in distortions.items())
    if total <= MAX_TOTAL_DISTORTION:
        return distortions
    return {name: value * (MAX_TOTAL_DISTORTION / total) for name, value in distortions.items()}


def _clamp(value: float, limit: float) -> float:
    return max(-limit, min(limit, value))


def _sample_stretch(knob: float, allowed: tuple[float, float], uniform: float) -> float:
    """A third near 1, the rest anywhere between 1 and one of the bounds, uniformly in the logarithm."""
    low, high = math.log(allowed[0]), math.log(allowed[1])
    side = (2 * uniform - 1) if low < 0 < high else uniform if high > 0 else -uniform
    share = max(0.15 * abs(side), (abs(side) - 0.3) / 0.7)
    return math.exp(min(1.0, knob) * share * (high if side > 0 else low))


def _sample_turn(knob: float, allowed: float, normal: float, uniform: float) -> float:
    """Degrees: half of them near upright, half anywhere within what is allowed."""
    side = 2 * uniform - 1
    anywhere = math.copysign(2 * abs(side) - 1, side) * allowed
    return _clamp(knob * (3.0 * normal if abs(side) < 0.5 else anywhere), allowed)


def _sample_closing(knob: float, normal: float, uniform: float) -> float:
    """Mostly slightly too long or too short, sometimes left open, occasionally drawn again in part."""
    if uniform < 0.04:
        return min(1.0, knob) * (0.2 + 20 * uniform)
    if uniform < 0.55:
        return _clamp(knob * 0.02 * normal, 0.1)
    return -min(0.22, abs(knob * 0.08 * normal)) if uniform < 0.72 else min(0.4, abs(knob * 0.15 * normal))
