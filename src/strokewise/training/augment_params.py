"""How each picture of a batch is augmented: its limits and random numbers in, `AugmentParams` out.

Every sample gets amounts of its own: one amount for a whole batch would shift what batch normalisation measures. Small
distortions leave any shape what it is, but a mirror or a large rotation may not (a letter, a square on its corner):
each painting has its `AugmentLimits`, taken from how far paintings of its kind were rotated, mirrored and stretched.
"""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from strokewise.preprocessing.interior import enclosed_paper

# The amounts at strength 1, chosen by eye: a shape stays what it is. What was tried: `docs/experiments.md`.
MAX_ROTATION = math.radians(12)
MAX_STRETCH = 0.12  # of width and of height, independently
MAX_SHEAR = 0.12
MAX_ZOOM = 0.08
MAX_SHIFT = 0.04  # of the picture's side
WARP_STD = 0.035  # standard deviation of the elastic warp's knots, of the picture's side
WARP_KNOTS = 5  # along each side
DILATION_STRENGTH, EROSION_STRENGTH = 0.9, 0.35  # of what a 3×3 dilation adds and a 3×3 erosion takes
CUTOUT_SIDE = 0.2  # of the largest cutout, of the picture's side
CUTOUT_PROBABILITY = 0.5
FREE_ROTATION = math.radians(90)  # what may be rotated further has no right way up
LIMIT_FACTORS = (
    "turn",
    "max_turn",
    "mirrorable",
    "stretch",
    "min_stretch",
    "max_stretch",
)  # the limits follow from these
MAX_LOG_STRETCH = math.log(2.2)  # more would make lines too thick one way and too thin the other
STRETCH_PROBABILITY = 0.5
NOISE_STD = 0.06  # standard deviation, of full ink
RETRACE_PROBABILITY, RETRACE_STD = 0.12, 0.05  # of a second round over the drawing; how far it lies apart
HATCH_PROBABILITY = 0.12
HATCH_PERIOD = (3.0, 9.0)  # pixels from line to line
TOUCH_PROBABILITY = 0.15  # of lines that touch the drawing from outside
TOUCHES = 2  # most of these lines
MIN_TOUCHED_ZOOM = 0.65  # the drawing must be smaller to leave room for them


@dataclass(frozen=True)
class AugmentLimits:
    """How far each of N paintings may be rotated, mirrored and stretched and still show its shape; in radians."""

    min_rotation: Tensor  # (N,)
    max_rotation: Tensor  # (N,)
    mirror: Tensor  # (N,) bool
    turn: Tensor  # (N,): how far it is rotated already, which is the direction of its own width
    min_log_stretch: Tensor  # (N,): logarithm of the factor by which its width may change relative to its height
    max_log_stretch: Tensor  # (N,)
    interior: Tensor  # (N, G, G) bool: where a filling would be

    def subset(self, index: slice | Tensor) -> "AugmentLimits":
        """The limits of some of the paintings."""
        return AugmentLimits(**{name: value[index] for name, value in vars(self).items()})


def augment_limits(
    factors: Mapping[str, NDArray[Any]], pictures: NDArray[np.uint8], num_drawings: int = 0
) -> AugmentLimits | None:
    """Allow each painting what its outline allows.

    Args:
        factors: the columns of a split, an array (number of paintings,) each.
        pictures: uint8 (N, G, G), of the paintings and then of the drawings.
        num_drawings: how many of the last pictures are drawings by people. No factors are known of them: they are not
            mirrored, and rotated and stretched by the small amounts alone.

    Returns None if `factors` lacks one of `LIMIT_FACTORS`.
    """
    if not set(LIMIT_FACTORS) <= factors.keys():
        return None
    turn, max_turn = np.radians(factors["turn"]), np.radians(factors["max_turn"])
    max_turn = np.where(max_turn > FREE_ROTATION, math.pi, max_turn)
    log_stretch, lowest, highest = (  # preprocessing takes the square root of a drawing's aspect ratio
        np.log(factors[name]) / 2 for name in ("stretch", "min_stretch", "max_stretch")
    )
    arrays = {
        "min_rotation": -max_turn - turn,
        "max_rotation": max_turn - turn,
        "mirror": factors["mirrorable"],
        "turn": turn,
        "min_log_stretch": lowest - log_stretch,
        "max_log_stretch": highest - log_stretch,
    }
    tensors = {name: torch.tensor(np.append(values, np.zeros(num_drawings))).float() for name, values in arrays.items()}
    interior = torch.from_numpy(np.stack([enclosed_paper(picture) for picture in pictures]))
    return AugmentLimits(**{**tensors, "mirror": tensors["mirror"].bool()}, interior=interior)


@dataclass(frozen=True)
class AugmentParams:
    """The amounts for each of N samples. Pictures are [-1, 1] wide and high, with the origin at their centre."""

    linear: Tensor  # (N, 2, 2): new place = linear · old place
    zoom: Tensor  # (N,): factor, after `linear`
    shift: Tensor  # (N, 2): after `zoom`
    knots: Tensor  # (N, 2, WARP_KNOTS, WARP_KNOTS): displacements of the elastic warp
    thickness: Tensor  # (N,): blend with the dilated (above 0) or the eroded picture (below 0)
    cuts: Tensor  # (N, 4): left, top, right, bottom of the cutout, in [0, 1]; none where left = right
    noise: Tensor  # (N,): standard deviation
    offsets: Tensor  # (N, 2): where in `field` each sample's noise lies, in [0, 1)
    field: Tensor  # (2G, 2G): standard normal, shared by the batch
    retrace: Tensor  # (N, 2, 3): where a second round finds the ink of the first; zeros where there is none
    hatching: Tensor  # (N, 5): frequency along x and along y, phase, share of ink, wobble; zeros for none
    interior: Tensor  # (N, G, G) bool
    touches: Tensor  # (N, TOUCHES, 4): angle of the place touched, direction, length, width; zeros for none

    def subset(self, index: slice) -> "AugmentParams":
        """The amounts of some of the samples."""
        return dataclasses.replace(
            self, **{name: value[index] for name, value in vars(self).items() if name != "field"}
        )

    def to(self, device: torch.device) -> "AugmentParams":
        """The same amounts on another device."""
        return AugmentParams(**{name: value.to(device, non_blocking=True) for name, value in vars(self).items()})


def sample_augment(
    count: int, image_size: int, generator: Generator, strength: float = 1.0, limits: AugmentLimits | None = None
) -> AugmentParams:
    """Draw the amounts for `count` pictures of `image_size` × `image_size` pixels.

    Args:
        count: of samples, N.
        image_size: side of a picture, G.
        generator: on the CPU.
        strength: scales all amounts.
        limits: of each sample; None: none is mirrored or rotated far.
    """

    def uniform(*size: int) -> Tensor:
        return (2 * torch.rand(count, *size, generator=generator) - 1) * strength

    angle, shear = uniform() * MAX_ROTATION, uniform() * MAX_SHEAR
    stretch = 1 + uniform(2) * MAX_STRETCH
    position, flip = torch.rand(count, generator=generator), torch.rand(count, generator=generator) < 0.5
    if limits is not None:
        angle += limits.min_rotation.lerp(limits.max_rotation, position)
        stretch[:, 0] *= torch.where(flip & limits.mirror, -1.0, 1.0)
    cos, sin = angle.cos(), angle.sin()
    rotation = torch.stack([torch.stack([cos, -sin], 1), torch.stack([sin, cos], 1)], 1)  # (N, 2, 2)
    shearing = torch.eye(2).repeat(count, 1, 1)
    shearing[:, 0, 1] = shear
    thickness = uniform()
    centre = torch.rand(count, 2, generator=generator)
    has_cutout = torch.rand(count, 1, generator=generator) < CUTOUT_PROBABILITY
    half = torch.rand(count, 1, generator=generator) * has_cutout * (CUTOUT_SIDE / 2 * strength)
    retraced, hatched, touched = torch.rand(3, count, 1, generator=generator) < strength * torch.tensor(
        [RETRACE_PROBABILITY, HATCH_PROBABILITY, TOUCH_PROBABILITY if limits is not None else 0.0]
    ).view(3, 1, 1)
    if limits is not None:  # what encloses nothing may become another shape by a line more
        encloses = limits.interior.flatten(1).view(torch.uint8).amax(1, keepdim=True)  # 25 times as fast as any()
        touched &= encloses > 0
    retrace = torch.eye(2, 3) + RETRACE_STD * torch.randn(count, 2, 3, generator=generator)
    zoom, shift = 1 + uniform() * MAX_ZOOM, uniform(2) * MAX_SHIFT * 2  # the coordinates are 2 wide
    room = 1 - torch.rand(count, 1, generator=generator) * (1 - MIN_TOUCHED_ZOOM) * touched
    shift = shift + (1 - room) * (2 * torch.rand(count, 2, generator=generator) - 1)
    u = torch.rand(count, 9 + 5 * TOUCHES, generator=generator)
    params = AugmentParams(
        linear=rotation @ shearing * stretch.unsqueeze(1),
        zoom=zoom * room[:, 0],
        shift=shift,
        knots=torch.randn(count, 2, WARP_KNOTS, WARP_KNOTS, generator=generator) * (WARP_STD * 2 * strength),
        thickness=torch.where(thickness > 0, thickness * DILATION_STRENGTH, thickness * EROSION_STRENGTH),
        cuts=torch.cat([centre - half, centre + half], 1),
        noise=uniform().abs() * NOISE_STD,
        offsets=torch.rand(count, 2, generator=generator),
        field=torch.randn(2 * image_size, 2 * image_size, generator=generator),
        retrace=retrace * retraced.unsqueeze(2),
        hatching=_sample_hatching(u[:, :5], image_size) * hatched,
        interior=torch.zeros(count, image_size, image_size, dtype=torch.bool) if limits is None else limits.interior,
        touches=_sample_touches(u[:, 9:].view(count, TOUCHES, 5), image_size) * touched.unsqueeze(2),
    )
    if limits is None:
        return params
    chance, position = torch.rand(2, count, generator=generator)
    lowest = limits.min_log_stretch.clamp(min=-MAX_LOG_STRETCH)
    log_stretch = lowest.lerp(limits.max_log_stretch.clamp(max=MAX_LOG_STRETCH), position)
    log_stretch *= (chance < STRETCH_PROBABILITY) * strength
    return dataclasses.replace(params, linear=params.linear @ stretch_along(limits.turn, log_stretch))


def _sample_hatching(u: Tensor, image_size: int) -> Tensor:
    """From numbers (N, 5) in [0, 1): frequency along x and along y, phase, share of ink and wobble, (N, 5)."""
    low, high = HATCH_PERIOD
    angle, frequency = u[:, 0] * math.pi, math.pi * image_size / (low + (high - low) * u[:, 1])
    return torch.stack(
        [
            frequency * angle.cos(),
            frequency * angle.sin(),
            2 * math.pi * u[:, 2],
            0.3 + 0.5 * u[:, 3],
            4 * u[:, 4] ** 2,
        ],
        1,
    )


def _sample_touches(u: Tensor, image_size: int) -> Tensor:
    """From numbers (N, T, 5) in [0, 1): angle of the place touched, direction, length and width, (N, T, 4).

    A second line may begin at another place or at the same, to the other side of it.
    """
    angle, turn = 2 * math.pi * u[..., 0], 1.2 * (u[..., 1] + u[..., 3] - 1)
    crossed = (u[:, :1, 4] < 0.5) & (torch.arange(u.shape[1]) > 0)
    angle, turn = torch.where(crossed, angle[:, :1], angle), torch.where(crossed, -turn[:, :1], turn)
    present = torch.stack([torch.ones(len(u)), *(u[:, k, 4] < 0.4 for k in range(1, u.shape[1]))], 1)
    width = (1.5 + 2.5 * u[:, :1, 4]) / image_size * present
    return torch.stack([angle, angle + turn, 0.1 + 1.6 * u[..., 2] ** 2, width], 2)


def stretch_along(turn: Tensor, log_stretch: Tensor) -> Tensor:
    """Matrices (N, 2, 2) that stretch along the angle `turn` (N,) and squeeze across it, exp(log_stretch) in all.

    Areas stay as they are.
    """
    cos, sin = (2 * turn).cos(), (2 * turn).sin()
    mean, spread = (log_stretch / 2).cosh(), (log_stretch / 2).sinh()  # of the two factors, one 1 / the other
    return torch.stack(
        [torch.stack([mean + spread * cos, spread * sin], 1), torch.stack([spread * sin, mean - spread * cos], 1)], 1
    )
