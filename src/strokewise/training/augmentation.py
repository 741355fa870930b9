"""float32 (N, 1, G, G) pictures in [0, 1] → as many, each drawn a little differently; their labels stay the same.

`augment_params.sample_augment` draws the amounts of a whole batch on the CPU, `apply_augment` uses them on any device
and any part of the batch: several processes together see exactly the pictures that one would see.
"""

import math

import torch
from torch import Generator, Tensor
from torch.nn import functional

from strokewise.training.augment_params import AugmentLimits, AugmentParams, sample_augment

INK_THRESHOLD = 0.25  # of full ink: what counts for the bounding box


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
    number = torch.arange(1, image_size + 1, dtype=torch.int16, device=batch.device)  # twice as fast as with floats
    ink = (batch.view(N, image_size, image_size) > INK_THRESHOLD).to(torch.int16)
    last = (ink * number).amax(2)  # 0 where there is none
    first = image_size + 1 - (ink * number.flip(0)).amax(2)
    x = (2 * torch.cat([first, last], 1) - 1) / image_size - 1
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
    weights = _knot_weights(centres, knots.shape[-1])  # (G, K)
    across, down = matrix.view(N, 1, 1, 2, 2).unbind(-1)
    columns = [  # (N, K + 2, G, 2): what is multiplied by the weights, by 1 and by y
        (knots @ weights.T).permute(0, 2, 3, 1),
        across * centres.view(1, 1, image_size, 1) + offset.view(N, 1, 1, 2),
        down.expand(N, 1, image_size, 2),
    ]
    factors = torch.cat([weights, torch.ones_like(weights[:, :1]), centres.unsqueeze(1)], 1)  # (G, K + 2)
    places = factors @ torch.cat(columns, 1).view(N, -1, image_size * 2)  # one product costs a fifth of interpolate()
    return functional.grid_sample(batch, places.view(N, image_size, image_size, 2), align_corners=False)


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
    eroded = (amount < 0).float()
    sign = 1 - 2 * eroded
    ink = torch.addcmul(eroded, sign, batch)  # where it is eroded, 1 - batch: to erode ink is to dilate paper
    ink = ink.lerp(_dilate(ink), amount.abs())
    return torch.addcmul(eroded, sign, ink)


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
    columns = ((centres >= left) & (centres < right)).float()  # (N, G)
    rows = ((centres >= top) & (centres < bottom)).float()
    return batch * (1 - rows.unsqueeze(2) * columns.unsqueeze(1)).unsqueeze(1)


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
    return torch.addcmul(batch, windows[y, x].unsqueeze(1), noise.view(-1, 1, 1, 1)).clamp_(0, 1)
