"""The steps of a network -> the receptive field of each: which pixels of the picture (G, G) one of its values sees.

Pure arithmetic over windows, strides and paddings, in pixels of the picture; x right, y down, origin top left.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from strokewise.explain.layers import Step


@dataclass(frozen=True)
class Field:
    """The value at (row, column) of a map sees `size`×`size` pixels from (start + row·jump, start + column·jump) on."""

    size: int
    jump: int
    """Pixels between the fields of two neighbours: the product of the strides so far."""
    start: int
    """Where the first value's field begins; negative where it begins in the padding."""

    def box(self, row: int, column: int, grid: int) -> tuple[int, int, int, int]:
        """The pixels (top, left, bottom, right; the last two exclusive) of a value's field that lie on the picture."""
        top, left = self.start + row * self.jump, self.start + column * self.jump
        return max(top, 0), max(left, 0), min(top + self.size, grid), min(left + self.size, grid)


def fields(steps: Sequence[Step], grid: int) -> tuple[Field, ...]:
    """The receptive field of each step's values, for a picture of `grid`×`grid` pixels.

    Each window widens the field by (window - 1) jumps and each stride multiplies the jump (Dumoulin & Visin, "A guide
    to convolution arithmetic for deep learning", 2016). From the flattening on every value is taken to see the whole.
    What a group normalisation learns of the rest of its map, its mean and spread, is not counted.
    """
    found: list[Field] = []
    now = Field(size=1, jump=1, start=0)
    for step in steps:
        if step.stage in ("flatten", "connected"):
            now = Field(size=grid, jump=grid, start=0)
        else:
            now = Field(
                size=now.size + (step.window - 1) * now.jump,
                jump=now.jump * step.stride,
                start=now.start - step.padding * now.jump,
            )
        found.append(now)
    return tuple(found)
