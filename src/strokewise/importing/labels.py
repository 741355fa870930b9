"""A label of somebody else's collection → the shape of the catalogue, or a hint at the nearest one."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from strokewise.data.shapes import OTHER
from strokewise.errors import DatasetError
from strokewise.support.paths import OUTLINES_DIR

LABEL_HINTS = {  # used in hints only: what a label means is for a person to decide
    **dict.fromkeys(("circle", "oval", "disc", "round"), "ellipse"),
    **dict.fromkeys(("square", "box", "oblong", "quad"), "rectangle"),
    **dict.fromkeys(("rhombus", "kite", "lozenge"), "diamond"),
    **dict.fromkeys(("plus", "x", "crosshair"), "cross"),
    **dict.fromkeys(("moon", "half moon"), "crescent"),
    **dict.fromkeys(("noise", "none", "doodle", "scribble", "unknown"), OTHER),
}
MAX_COMPARED_LENGTH = 60  # characters of a label: the time to find the nearest shape grows with its square


@dataclass(frozen=True)
class LabelMap:
    """The shapes of the catalogue, and the labels that `--map` translates to them."""

    shapes: tuple[str, ...]
    mapping: dict[str, str]

    def shape(self, label: str) -> str | None:
        """The shape of a label, ignoring case and surrounding spaces; None if there is none of that name."""
        name = self.mapping.get(label, label).strip().lower()
        return name if name in self.shapes else None

    def nearest(self, label: str) -> str:
        """The shape that an unknown label most likely means."""
        name = label[:MAX_COMPARED_LENGTH].strip().lower()
        if LABEL_HINTS.get(name) in self.shapes:
            return LABEL_HINTS[name]
        return difflib.get_close_matches(name, self.shapes, 1, 0.0)[0]


def read_label_map(pairs: Sequence[str], catalogue: Path = OUTLINES_DIR) -> LabelMap:
    """Read the shapes of the catalogue and the `pairs`, each "theirs=ours".

    Raises DatasetError if the catalogue is empty, or a pair is malformed or names an unknown shape.
    """
    folders = sorted(path.name for path in catalogue.glob("*") if path.is_dir())
    if not folders:
        raise DatasetError(f"there are no shapes in {catalogue}; run strokewise in the root of the project")
    shapes = tuple(sorted({*folders, OTHER}))
    mapping: dict[str, str] = {}
    for pair in pairs:
        theirs, sign, ours = pair.partition("=")
        if not (theirs and sign) or ours not in shapes:
            raise DatasetError(f"--map {pair!r} is not THEIRS=SHAPE with a shape of {', '.join(shapes)}")
        mapping[theirs] = ours
    return LabelMap(shapes, mapping)
