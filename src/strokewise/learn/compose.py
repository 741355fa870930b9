"""Two paintings on one sheet are none of the shapes: some of a batch become `other`, made of what is at hand.

float32 (N, 1, G, G) pictures in [0, 1] and int64 (N,) labels -> the same shapes. Doodles are of more kinds than a few
hundred paintings can show; of those that are made of shapes (side by side, overlapping, one within another), a batch
holds N² that nobody painted. As in `augment`, the lots are drawn first, for a whole batch and on the CPU.
"""

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn import functional

from strokewise.learn import augment

SMALLER = 0.3, 0.8  # the second shape's size, as a share of the first's
APART = 1.3  # greatest distance of their centres, in half sizes of both
VISIBLE = 0.4  # share of the second shape's ink that must lie on bare paper: within a filled one it is lost


@dataclass(frozen=True)
class Sheets:
    """What becomes of each of N paintings. All on the CPU until `on` moves them."""

    shared: Tensor  # (N,) bool: whether another comes onto its sheet
    other: Tensor  # (N,): which of the N it is
    size: Tensor  # (N,): the other's size against its own
    offset: Tensor  # (N, 2): from centre to centre, in half its own size

    def part(self, wanted: slice) -> "Sheets":
        """The lots of some of the paintings; `other` still counts in the whole batch."""
        return Sheets(**{name: value[wanted] for name, value in vars(self).items()})

    def on(self, device: torch.device) -> "Sheets":
        """The same on another device."""
        return Sheets(**{name: value.to(device, non_blocking=True) for name, value in vars(self).items()})


def draw(count: int, generator: Generator, share: float) -> Sheets:
    """The lots of `count` paintings, of which about `share` get company."""
    chance, size, far, way = torch.rand(4, count, generator=generator)
    size = SMALLER[0] + (SMALLER[1] - SMALLER[0]) * size
    angle = 2 * math.pi * way
    offset = torch.stack([angle.cos(), angle.sin()], 1) * (APART * far * (1 + size)).unsqueeze(1)
    return Sheets(chance < share, torch.randint(count, (count,), generator=generator), size, offset)


def apply(pictures: Tensor, company: Tensor, labels: Tensor, sheets: Sheets, other: int) -> tuple[Tensor, Tensor]:
    """Put `company` (N, 1, G, G) onto the sheets that are shared, the whole as large as the first was; label `other`.

    Where one hides the other, the painting and its label stay as they are.
    """
    first, second = pictures[sheets.shared], company[sheets.shared]
    size, offset = sheets.size[sheets.shared].view(-1, 1), sheets.offset[sheets.shared]
    if not len(first):
        return pictures, labels
    (centre, half), (its_centre, its_half) = augment.ink_box(first), augment.ink_box(second)
    low, high = torch.minimum(offset - size, -torch.ones_like(offset)), torch.maximum(offset + size, 0 * offset + 1)
    middle, reach = (low + high) / 2, ((high - low) / 2).amax(1, keepdim=True)
    # a place on the new sheet -> one in the first painting, and one in the second
    grown = reach / half.clamp(min=0.1)
    own = _looked_up(first, half * grown, centre + half * (middle - centre * grown))
    its = its_half / size
    its = _looked_up(second, its * grown, its_centre + its * (middle - offset - centre * grown))
    both = torch.maximum(own, its)
    both = both.lerp(augment.dilated(both), (1 - 1 / reach).clamp(0, 1).view(-1, 1, 1, 1))  # the pen stays as broad
    seen = (both.sum((1, 2, 3)) - own.sum((1, 2, 3))) > VISIBLE * its.sum((1, 2, 3))
    places = sheets.shared.nonzero().squeeze(1)[seen]
    pictures, labels = pictures.clone(), labels.clone()
    pictures[places] = both[seen]
    labels[places] = other
    return pictures, labels


def _looked_up(batch: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Every new pixel from the old place `scale · new + shift`; (M, 1) and (M, 2)."""
    affine = torch.cat([torch.diag_embed(scale.expand(-1, 2)), shift.unsqueeze(2)], 2)  # (M, 2, 3)
    return functional.grid_sample(
        batch, functional.affine_grid(affine, list(batch.shape), align_corners=False), align_corners=False
    )
