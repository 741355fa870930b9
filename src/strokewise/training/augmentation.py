"""float32 (N, 1, G, G) pictures in [0, 1] -> as many, each drawn a little differently; labels stay what they were.

Small batch functions, each with its own amount for every sample: one amount for a whole batch would shift what batch
normalisation measures. A little of everything leaves any shape what it is; a mirror or a large turn does not (a letter
yet to come, a square on its corner), so each painting has its `AugmentLimits`, read off from how its like were painted.

The amounts are drawn first (`sample_augment`), on the CPU and for a whole batch, and then used (`apply_augment`) on any device and any
part of the batch: so several processes together see exactly the pictures that one would see.
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

# The amounts at strength 1, chosen by eye: a shape stays what it is. `docs/experiments.md` tells what was tried.
MAX_ROTATION = math.radians(12)
MAX_STRETCH = 0.12  # of width and of height, each for itself
MAX_SHEAR = 0.12
MAX_ZOOM = 0.08
MAX_SHIFT = 0.04  # of the image_size
WARP_STD = 0.035  # standard deviation of the elastic warp's knots, of the image_size
WARP_KNOTS = 5  # along each side
DILATION_STRENGTH, EROSION_STRENGTH = 0.9, 0.35  # of what a 3×3 dilation adds and a 3×3 erosion takes
CUTOUT_SIDE = 0.2  # widest piece rubbed out, of the image_size
CUTOUT_PROBABILITY = 0.5
FREE_ROTATION = math.radians(90)  # a kind of which one was turned further has no right way up
INK_THRESHOLD = 0.25  # of full ink: what a drawing's frame is measured by
MAX_LOG_STRETCH = math.log(2.2)  # a stretch makes lines thick one way and thin the other: no further than this at once
STRETCH_PROBABILITY = 0.5
NOISE_STD = 0.06  # standard deviation, of full ink


@dataclass(frozen=True)
class AugmentLimits:
    """How far each of N paintings may be turned (radians), mirrored and stretched, and stay what it is."""

    min_rotation: Tensor  # (N,)
    max_rotation: Tensor  # (N,)
    mirror: Tensor  # (N,) bool
    turn: Tensor  # (N,): how far it is turned as it is: its own width lies along this
    min_log_stretch: Tensor  # (N,): logarithm of the factor by which its width may change against its height
    max_log_stretch: Tensor  # (N,)

    def subset(self, wanted: slice | Tensor) -> "AugmentLimits":
        """The limits of some of the paintings."""
        return AugmentLimits(**{name: value[wanted] for name, value in vars(self).items()})


def augment_limits(
    factors: Mapping[str, NDArray[Any]], labels: NDArray[np.int64], drawings: int = 0
) -> AugmentLimits | None:
    """What the paintings show to be allowed: as far as others of their kind were turned, mirrored and stretched.

    `factors` are the columns of a split, (N,) each; a kind is a label and `variant`. After the paintings come so many
    `drawings` by people, of which nothing was drawn by lot: they are turned and stretched no further and not mirrored.
    None if the factors lack `turn` (degrees), `mirrored` or `stretch`: then nothing is known to be allowed.
    """
    if not {"turn", "mirrored", "stretch", "variant"} <= factors.keys():
        return None
    labels = labels[: len(labels) - drawings]
    turn, mirrored = np.radians(factors["turn"]), factors["mirrored"]
    _, kind = np.unique(np.stack([labels.astype(str), factors["variant"].astype(str)]), axis=1, return_inverse=True)
    widest = np.zeros(kind.max() + 1)
    np.maximum.at(widest, kind, np.abs(turn))
    widest[widest > FREE_ROTATION] = math.pi
    mirror = np.zeros(kind.max() + 1, bool)
    np.logical_or.at(mirror, kind, mirrored)
    stretch = np.log(factors["stretch"]) / 2  # the door takes the root of how elongated a drawing is
    slim, wide = np.full(kind.max() + 1, np.inf), np.full(kind.max() + 1, -np.inf)
    np.minimum.at(slim, kind, stretch)
    np.maximum.at(wide, kind, stretch)
    known = {
        "min_rotation": -widest[kind] - turn,
        "max_rotation": widest[kind] - turn,
        "mirror": mirror[kind],
        "turn": turn,
        "min_log_stretch": slim[kind] - stretch,
        "max_log_stretch": wide[kind] - stretch,
    }
    tensors = {name: torch.tensor(np.append(values, np.zeros(drawings))).float() for name, values in known.items()}
    return AugmentLimits(**{**tensors, "mirror": tensors["mirror"].bool()})


@dataclass(frozen=True)
class AugmentParams:
    """What happens to each of N samples. All on the CPU until `on` moves them."""

    linear: Tensor  # (N, 2, 2): a place in the old picture times this is one in the new, from the centre
    zoom: Tensor  # (N,): and then it grows by this
    shift: Tensor  # (N, 2): and then it moves by this; pictures are [-1, 1] wide and high
    knots: Tensor  # (N, 2, KNOTS, KNOTS): elastic displacement, in the same units
    thickness: Tensor  # (N,): towards the dilated (above 0) or the eroded picture (below)
    cuts: Tensor  # (N, 4): left, top, right, bottom of what is rubbed out, in [0, 1]; empty where left = right
    noise: Tensor  # (N,): standard deviation
    offsets: Tensor  # (N, 2): where in the field each sample's noise lies, in [0, 1)
    field: Tensor  # (2G, 2G): standard normal, shared by the batch

    def subset(self, wanted: slice) -> "AugmentParams":
        """The amounts of some of the samples."""
        return dataclasses.replace(
            self, **{name: value[wanted] for name, value in vars(self).items() if name != "field"}
        )

    def to(self, device: torch.device) -> "AugmentParams":
        """The same amounts on another device."""
        return AugmentParams(**{name: value.to(device, non_blocking=True) for name, value in vars(self).items()})


def augment(batch: Tensor, generator: Generator, strength: float = 1.0, limits: AugmentLimits | None = None) -> Tensor:
    """float32 (N, 1, G, G) in [0, 1] -> the same shape and range; `generator` lives on the CPU; `strength` 0: as is."""
    if strength == 0:
        return batch
    return apply_augment(
        batch, sample_augment(len(batch), batch.shape[-1], generator, strength, limits).to(batch.device)
    )


def sample_augment(
    count: int, image_size: int, generator: Generator, strength: float = 1.0, limits: AugmentLimits | None = None
) -> AugmentParams:
    """The amounts for `count` pictures of `image_size`×`image_size` pixels; without `augment_limits` none is mirrored or turned far."""

    def uniform(*size: int) -> Tensor:
        return (2 * torch.rand(count, *size, generator=generator) - 1) * strength

    angle, shear = uniform() * MAX_ROTATION, uniform() * MAX_SHEAR
    stretch = 1 + uniform(2) * MAX_STRETCH
    turned, flipped = torch.rand(count, generator=generator), torch.rand(count, generator=generator) < 0.5
    if limits is not None:
        angle += limits.min_rotation.lerp(limits.max_rotation, turned)
        stretch[:, 0] *= torch.where(flipped & limits.mirror, -1.0, 1.0)
    cos, sin = angle.cos(), angle.sin()
    rotation = torch.stack([torch.stack([cos, -sin], 1), torch.stack([sin, cos], 1)], 1)  # (N, 2, 2)
    sheared = torch.eye(2).repeat(count, 1, 1)
    sheared[:, 0, 1] = shear
    thickness = uniform()
    centre = torch.rand(count, 2, generator=generator)
    wanted = torch.rand(count, 1, generator=generator) < CUTOUT_PROBABILITY
    half = torch.rand(count, 1, generator=generator) * wanted * (CUTOUT_SIDE / 2 * strength)
    amounts = AugmentParams(
        linear=rotation @ sheared * stretch.unsqueeze(1),
        zoom=1 + uniform() * MAX_ZOOM,
        shift=uniform(2) * MAX_SHIFT * 2,  # the coordinates are 2 wide
        knots=torch.randn(count, 2, WARP_KNOTS, WARP_KNOTS, generator=generator) * (WARP_STD * 2 * strength),
        thickness=torch.where(thickness > 0, thickness * DILATION_STRENGTH, thickness * EROSION_STRENGTH),
        cuts=torch.cat([centre - half, centre + half], 1),
        noise=uniform().abs() * NOISE_STD,
        offsets=torch.rand(count, 2, generator=generator),
        field=torch.randn(2 * image_size, 2 * image_size, generator=generator),
    )
    if limits is None:
        return amounts
    chance, far = torch.rand(2, count, generator=generator)
    far = limits.min_log_stretch.clamp(min=-MAX_LOG_STRETCH).lerp(
        limits.max_log_stretch.clamp(max=MAX_LOG_STRETCH), far
    )
    far *= (chance < STRETCH_PROBABILITY) * strength
    return dataclasses.replace(amounts, linear=amounts.linear @ stretch_along(limits.turn, far))


def stretch_along(turn: Tensor, stretch: Tensor) -> Tensor:
    """(N, 2, 2): stretched by the factor exp(stretch), as much along the way `turn` as it is squeezed across."""
    cos, sin = (2 * turn).cos(), (2 * turn).sin()
    mean, spread = (stretch / 2).cosh(), (stretch / 2).sinh()  # of exp(stretch / 2) and exp(-stretch / 2)
    return torch.stack(
        [torch.stack([mean + spread * cos, spread * sin], 1), torch.stack([spread * sin, mean - spread * cos], 1)], 1
    )


def apply_augment(batch: Tensor, amounts: AugmentParams) -> Tensor:
    """What a hand, a pen and a scan do, in their order."""
    batch = elastic_warp(batch, *_inverse_affine(batch, amounts.linear, amounts.zoom, amounts.shift), amounts.knots)
    batch = change_thickness(batch, amounts.thickness)
    batch = cutout(batch, amounts.cuts)
    return add_noise(batch, amounts.noise, amounts.offsets, amounts.field)


def _inverse_affine(batch: Tensor, linear: Tensor, zoom: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
    """(N, 2, 2) and (N, 2): from a place in the new picture to one in the old.

    What was turned or stretched is made as large as it was and put where it was, as the door would do, and only then
    zoomed and shifted. The door would even it, too: `augment_limits` stretches it by no more than what is left then.
    """
    ends = _row_extents(batch)
    was, now = _bounding_box(ends), _bounding_box(ends @ linear.transpose(1, 2))
    larger = (was[1] / now[1]) * zoom.unsqueeze(1)
    back = torch.linalg.inv(linear)
    old = back / larger.unsqueeze(2)
    return old, (back @ now[0].unsqueeze(2) - old @ (was[0] + shift).unsqueeze(2)).squeeze(2)


def _row_extents(batch: Tensor) -> Tensor:
    """(N, 2G, 2): the first and the last inked place of each row, between which lies all ink; an empty row has none.

    A linear map is greatest and least at one of them, so that the other pixels need not be looked at.
    """
    N, _, image_size, _ = batch.shape
    at = _pixel_centres(image_size, batch.device)
    inked = (batch.view(N, image_size, image_size) > INK_THRESHOLD).float()
    last = (inked * (at + 2)).amax(2) - 2  # -2 where there is none
    first = 2 - (inked * (2 - at)).amax(2)
    x = torch.cat([first, last], 1)
    x = torch.where(x.abs() < 1, x, torch.nan)
    return torch.stack([x, at.repeat(2).expand(N, -1) + 0 * x], 2)


def _bounding_box(places: Tensor) -> tuple[Tensor, Tensor]:
    """Centre (N, 2) and half the longer side (N, 1) of the box around places (N, M, 2); without any, the frame's."""
    least = places.nan_to_num(nan=torch.inf).amin(1)
    most = places.nan_to_num(nan=-torch.inf).amax(1)
    least, most = least.nan_to_num(posinf=-1.0), most.nan_to_num(neginf=1.0)
    return (least + most) / 2, ((most - least) / 2).amax(1, keepdim=True)


def elastic_warp(batch: Tensor, linear: Tensor, shift: Tensor, knots: Tensor) -> Tensor:
    """Look up every new pixel at the old place `linear · new + shift`, displaced like rubber: one bilinear sampling."""
    N, _, image_size, _ = batch.shape
    at = _pixel_centres(image_size, batch.device)
    across, down = linear.view(N, 1, 1, 2, 2).unbind(-1)
    rigid = across * at.view(1, 1, image_size, 1) + (
        down * at.view(1, image_size, 1, 1) + shift.view(N, 1, 1, 2)
    )  # (N, G, G, 2)
    weights = _knot_weights(at, knots.shape[-1])  # (G, KNOTS); as matrix products a fifth of the cost of interpolate()
    columns = knots @ weights.T  # (N, 2, KNOTS, G)
    rubber = weights @ columns.permute(0, 2, 3, 1).reshape(N, -1, image_size * 2)  # (N, G, 2G)
    return functional.grid_sample(batch, rigid + rubber.view(N, image_size, image_size, 2), align_corners=False)


def _pixel_centres(image_size: int, device: torch.device) -> Tensor:
    """Where the pixels' centres are, in [-1, 1]."""
    return (2 * torch.arange(image_size, device=device) + 1) / image_size - 1


def _knot_weights(at: Tensor, knots: int) -> Tensor:
    """How much each of `knots` evenly spread over [-1, 1] moves what is at `at`: smooth, summing to one."""
    distance = (at.unsqueeze(1) - torch.linspace(-1, 1, knots, device=at.device)) * (knots - 1) / 2
    return (-(distance**2)).softmax(1)


def change_thickness(batch: Tensor, thickness: Tensor) -> Tensor:
    """Blend with the 3×3 dilated (1) or the eroded (-1) picture: a broader or a finer pen."""
    amount = thickness.view(-1, 1, 1, 1)
    broader = torch.where(amount > 0, batch, 1 - batch)  # to erode ink is to dilate paper
    broader = broader.lerp(_dilate(broader), amount.abs())
    return torch.where(amount > 0, broader, 1 - broader)


def _dilate(batch: Tensor) -> Tensor:
    """The largest of each 3×3 neighbourhood, along rows and then columns: a tenth of the cost of max_pool2d()."""
    framed = functional.pad(batch, (1, 1, 1, 1))
    rows = torch.maximum(torch.maximum(framed[..., :-2], framed[..., 1:-1]), framed[..., 2:])
    return torch.maximum(torch.maximum(rows[..., :-2, :], rows[..., 1:-1, :]), rows[..., 2:, :])


def cutout(batch: Tensor, cuts: Tensor) -> Tensor:
    """Bare paper inside a square: the pen did not touch, or a thumb did."""
    image_size = batch.shape[-1]
    at = (torch.arange(image_size, device=batch.device) + 0.5) / image_size
    left, top, right, bottom = cuts.unsqueeze(2).unbind(1)  # (N, 1) each
    columns = (at >= left) & (at < right)  # (N, G)
    rows = (at >= top) & (at < bottom)
    return batch.masked_fill((rows.unsqueeze(2) & columns.unsqueeze(1)).unsqueeze(1), 0.0)


def add_noise(batch: Tensor, noise: Tensor, offsets: Tensor, field: Tensor) -> Tensor:
    """Add grain of the given standard deviations: each sample gets its own window of the field."""
    image_size = batch.shape[-1]
    y, x = (offsets * image_size).long().unbind(1)
    windows = field.unfold(0, image_size, 1).unfold(1, image_size, 1)  # a view (G + 1, G + 1, G, G)
    return (batch + windows[y, x].unsqueeze(1) * noise.view(-1, 1, 1, 1)).clamp(0, 1)
