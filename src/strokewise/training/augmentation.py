"""float32 (N, 1, G, G) pictures in [0, 1] → as many, each drawn a little differently; their labels stay the same.

Every sample gets amounts of its own: one amount for a whole batch would shift what batch normalisation measures. Small
distortions leave any shape what it is, but a mirror or a large rotation may not (a letter, a square on its corner):
each painting has its `AugmentLimits`, taken from how far paintings of its kind were rotated, mirrored and stretched.

`sample_augment` draws the amounts of a whole batch on the CPU, `apply_augment` uses them on any device and any part of
the batch: several processes together see exactly the pictures that one would see.
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
from torch.nn import functional

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
)  # what the limits follow from
INK_THRESHOLD = 0.25  # of full ink: what counts for the bounding box
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


def augment(batch: Tensor, generator: Generator, strength: float = 1.0, limits: AugmentLimits | None = None) -> Tensor:
    """Sample and apply in one step: float32 (N, 1, G, G) in [0, 1] → the same shape and range.

    Args:
        batch: on any device.
        generator: on the CPU.
        strength: scales all amounts; 0 returns the batch unchanged.
        limits: of each sample; None: none is mirrored or rotated far.
    """
    if strength == 0:
        return batch
    params = sample_augment(len(batch), batch.shape[-1], generator, strength, limits)
    return apply_augment(batch, params.to(batch.device))


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
        touched &= limits.interior.flatten(1).any(1, keepdim=True)
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


def apply_augment(batch: Tensor, params: AugmentParams) -> Tensor:
    """Distort (N, 1, G, G) pictures as a hand, a pen and a scan do, in this order."""
    batch = hatch(retrace(batch, params.retrace), params.hatching, params.interior)
    batch = elastic_warp(batch, *_inverse_affine(batch, params.linear, params.zoom, params.shift), params.knots)
    batch = touch(batch, params.touches)
    batch = change_thickness(batch, params.thickness)
    batch = cutout(batch, params.cuts)
    return add_noise(batch, params.noise, params.offsets, params.field)


def retrace(batch: Tensor, matrices: Tensor) -> Tensor:
    """Go over a drawing a second time, as a sketching hand does.

    Args:
        batch: (N, 1, G, G).
        matrices: (N, 2, 3), the old place of each new one, coordinates in [-1, 1]; zeros for no second round.
    """
    index = matrices.flatten(1).any(1).nonzero()[:, 0]
    if not len(index):
        return batch
    drawn = batch[index]
    places = functional.affine_grid(matrices[index], list(drawn.shape), align_corners=False)
    return batch.index_copy(0, index, torch.maximum(drawn, functional.grid_sample(drawn, places, align_corners=False)))


def hatch(batch: Tensor, hatching: Tensor, interior: Tensor) -> Tensor:
    """Fill what a drawing encloses with wavy stripes of ink.

    Args:
        batch: (N, 1, G, G).
        hatching: (N, 5), frequency along x and along y, phase, share of ink, wobble; zeros for none.
        interior: (N, G, G) bool, what is enclosed.
    """
    index = hatching.any(1).nonzero()[:, 0]
    if not len(index):
        return batch
    along_x, along_y, phase, share, wobble = hatching[index].view(-1, 5, 1, 1).unbind(1)
    centres = _pixel_centres(batch.shape[-1], batch.device)
    x, y = centres.view(1, 1, -1), centres.view(1, -1, 1)
    waves = (
        along_x * x + along_y * y + phase + wobble * (3 * (x * along_y - y * along_x).sign() * (x + y)).sin()
    ).cos()
    across = (along_x * y - along_y * x + phase).cos() * (wobble > 2)  # some are crosshatched
    stripes = ((torch.maximum(waves, across) - (math.pi * share).cos()) * 2).clamp(0, 1) * interior[index]
    return batch.index_copy(0, index, torch.maximum(batch[index], stripes.unsqueeze(1)))


def touch(batch: Tensor, touches: Tensor) -> Tensor:
    """Draw straight lines that touch a drawing from outside: connectors, or ends of strokes that went on.

    Args:
        batch: (N, 1, G, G).
        touches: (N, T, 4), for each line the angle of the outermost ink where it begins, its direction, its length and
            its width, in radians and of half the picture's side; zeros for none.
    """
    has_line = touches[..., 3] > 0
    index = has_line.any(1).nonzero()[:, 0]
    if not len(index):
        return batch
    touched = batch.clone()
    places = [_outermost_ink(batch[index], touches[index, line, 0]) for line in range(touches.shape[1])]
    for line, place in enumerate(places):
        drawn = has_line[index, line]
        rows = index[drawn]
        strokes = _straight_lines(place[drawn], touches[rows, line, 1:], batch.shape[-1])
        touched[rows] = torch.maximum(touched[rows], strokes.unsqueeze(1))
    return touched


def _outermost_ink(batch: Tensor, angles: Tensor) -> Tensor:
    """The ink of (N, 1, G, G) pictures that lies furthest in the directions `angles` (N,): places (N, 2)."""
    image_size = batch.shape[-1]
    centres = _pixel_centres(image_size, batch.device)
    x, y = angles.cos().unsqueeze(1) * centres, angles.sin().unsqueeze(1) * centres  # (N, G) each
    outward = torch.where(batch[:, 0] > INK_THRESHOLD, y.unsqueeze(2) + x.unsqueeze(1), -torch.inf)
    place = outward.flatten(1).argmax(1)
    return torch.stack([centres[place % image_size], centres[place // image_size]], 1)


def _straight_lines(places: Tensor, lines: Tensor, image_size: int) -> Tensor:
    """Soft-edged lines (N, G, G) from `places` (N, 2); `lines` (N, 3) holds direction, length and width."""
    direction, length, width = lines.unsqueeze(2).unbind(1)  # (N, 1) each
    centres = _pixel_centres(image_size, lines.device)
    x, y = centres - places[:, :1], centres - places[:, 1:]  # (N, G)
    across = (x * direction.sin()).unsqueeze(1) - (y * direction.cos()).unsqueeze(2)
    along = (x * direction.cos()).unsqueeze(1) + (y * direction.sin() - length / 2).unsqueeze(2)
    beyond = torch.maximum(across.abs(), along.abs() - (length / 2).unsqueeze(2))
    return ((width.unsqueeze(2) - beyond) * (image_size / 2) + 0.5).clamp(0, 1)


def _inverse_affine(batch: Tensor, linear: Tensor, zoom: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
    """Matrix (N, 2, 2) and offset (N, 2): old place = matrix · new place + offset.

    A rotated or stretched drawing is given its old size and place again, as preprocessing would, and only then zoomed
    and shifted. Preprocessing would also normalise its aspect ratio: `augment_limits` allows no more than what is left.
    """
    ends = _row_extents(batch)
    old_centre, old_half_side = _bounding_box(ends)
    new_centre, new_half_side = _bounding_box(ends @ linear.transpose(1, 2))
    scale = (old_half_side / new_half_side) * zoom.unsqueeze(1)
    inverse = torch.linalg.inv(linear)
    matrix = inverse / scale.unsqueeze(2)
    return matrix, (inverse @ new_centre.unsqueeze(2) - matrix @ (old_centre + shift).unsqueeze(2)).squeeze(2)


def _row_extents(batch: Tensor) -> Tensor:
    """The first and the last ink of each row, (N, 2G, 2); x is NaN in rows without.

    A linear map has its extremes at one of them, so that no other pixel is needed for a bounding box.
    """
    N, _, image_size, _ = batch.shape
    centres = _pixel_centres(image_size, batch.device)
    ink = (batch.view(N, image_size, image_size) > INK_THRESHOLD).float()
    last = (ink * (centres + 2)).amax(2) - 2  # -2 where there is none
    first = 2 - (ink * (2 - centres)).amax(2)
    x = torch.cat([first, last], 1)
    x = torch.where(x.abs() < 1, x, torch.nan)
    return torch.stack([x, centres.repeat(2).expand(N, -1) + 0 * x], 2)


def _bounding_box(places: Tensor) -> tuple[Tensor, Tensor]:
    """Centre (N, 2) and half the longer side (N, 1) of the box around (N, M, 2) places; the frame's if all are NaN."""
    low = places.nan_to_num(nan=torch.inf).amin(1)
    high = places.nan_to_num(nan=-torch.inf).amax(1)
    low, high = low.nan_to_num(posinf=-1.0), high.nan_to_num(neginf=1.0)
    return (low + high) / 2, ((high - low) / 2).amax(1, keepdim=True)


def elastic_warp(batch: Tensor, matrix: Tensor, offset: Tensor, knots: Tensor) -> Tensor:
    """Sample every new pixel at the old place `matrix · new + offset` plus a smooth displacement, bilinearly, once.

    Args:
        batch: (N, 1, G, G).
        matrix, offset: (N, 2, 2) and (N, 2), for coordinates in [-1, 1].
        knots: (N, 2, K, K), displacements at K × K evenly spaced places, in the same units.
    """
    N, _, image_size, _ = batch.shape
    centres = _pixel_centres(image_size, batch.device)
    across, down = matrix.view(N, 1, 1, 2, 2).unbind(-1)
    affine = across * centres.view(1, 1, image_size, 1) + (
        down * centres.view(1, image_size, 1, 1) + offset.view(N, 1, 1, 2)
    )  # (N, G, G, 2)
    weights = _knot_weights(centres, knots.shape[-1])  # (G, K); matrix products cost a fifth of interpolate()
    columns = knots @ weights.T  # (N, 2, K, G)
    displacement = weights @ columns.permute(0, 2, 3, 1).reshape(N, -1, image_size * 2)  # (N, G, 2G)
    places = affine + displacement.view(N, image_size, image_size, 2)
    return functional.grid_sample(batch, places, align_corners=False)


def _pixel_centres(image_size: int, device: torch.device) -> Tensor:
    """The coordinates of the pixels' centres, in [-1, 1]."""
    return (2 * torch.arange(image_size, device=device) + 1) / image_size - 1


def _knot_weights(places: Tensor, knots: int) -> Tensor:
    """(G, knots): how much each of `knots` knots, evenly spaced over [-1, 1], moves each place; rows sum to one."""
    distance = (places.unsqueeze(1) - torch.linspace(-1, 1, knots, device=places.device)) * (knots - 1) / 2
    return (-(distance**2)).softmax(1)


def change_thickness(batch: Tensor, thickness: Tensor) -> Tensor:
    """Blend with the 3×3 dilated (towards 1) or the eroded picture (towards -1): a broader or a finer pen."""
    amount = thickness.view(-1, 1, 1, 1)
    ink = torch.where(amount > 0, batch, 1 - batch)  # to erode ink is to dilate paper
    ink = ink.lerp(_dilate(ink), amount.abs())
    return torch.where(amount > 0, ink, 1 - ink)


def _dilate(batch: Tensor) -> Tensor:
    """The largest of each 3×3 neighbourhood, along rows and then columns: a tenth of the cost of max_pool2d()."""
    padded = functional.pad(batch, (1, 1, 1, 1))
    rows = torch.maximum(torch.maximum(padded[..., :-2], padded[..., 1:-1]), padded[..., 2:])
    return torch.maximum(torch.maximum(rows[..., :-2, :], rows[..., 1:-1, :]), rows[..., 2:, :])


def cutout(batch: Tensor, cuts: Tensor) -> Tensor:
    """Bare paper inside a square (N, 4), as where a pen did not touch; left, top, right, bottom in [0, 1]."""
    image_size = batch.shape[-1]
    centres = (torch.arange(image_size, device=batch.device) + 0.5) / image_size
    left, top, right, bottom = cuts.unsqueeze(2).unbind(1)  # (N, 1) each
    columns = (centres >= left) & (centres < right)  # (N, G)
    rows = (centres >= top) & (centres < bottom)
    return batch.masked_fill((rows.unsqueeze(2) & columns.unsqueeze(1)).unsqueeze(1), 0.0)


def add_noise(batch: Tensor, noise: Tensor, offsets: Tensor, field: Tensor) -> Tensor:
    """Add noise, for each sample a window of the shared field; the result stays in [0, 1].

    Args:
        batch: (N, 1, G, G).
        noise: (N,), standard deviations.
        offsets: (N, 2), the windows' places in [0, 1).
        field: (2G, 2G), standard normal.
    """
    image_size = batch.shape[-1]
    y, x = (offsets * image_size).long().unbind(1)
    windows = field.unfold(0, image_size, 1).unfold(1, image_size, 1)  # a view (G + 1, G + 1, G, G)
    return (batch + windows[y, x].unsqueeze(1) * noise.view(-1, 1, 1, 1)).clamp(0, 1)
