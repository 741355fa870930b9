"""What somebody else calls a shape -> the shape of the catalogue, or a hint at the nearest."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from strokewise.errors import DatasetError
from strokewise.support.paths import OUTLINES_DIR

OTHER = "other"
LABEL_HINTS = {  # hints only: what a word means is for a person to say
    **dict.fromkeys(("circle", "oval", "disc", "round"), "ellipse"),
    **dict.fromkeys(("square", "box", "oblong", "quad"), "rectangle"),
    **dict.fromkeys(("rhombus", "kite", "lozenge"), "diamond"),
    **dict.fromkeys(("plus", "x", "crosshair"), "cross"),
    **dict.fromkeys(("moon", "half moon"), "crescent"),
    **dict.fromkeys(("noise", "none", "doodle", "scribble", "unknown"), OTHER),
}


@dataclass(frozen=True)
class LabelMap:
    """The shapes there are, and what `--map` says."""

    shapes: tuple[str, ...]
    mapped: dict[str, str]

    def shape(self, label: str) -> str | None:
        """The shape of a label, None if there is none of that name; capitals and spaces around do not count."""
        name = self.mapped.get(label, label).strip().lower()
        return name if name in self.shapes else None

    def nearest(self, label: str) -> str:
        """The shape that an unknown label most likely means."""
        name = label.strip().lower()
        if LABEL_HINTS.get(name) in self.shapes:
            return LABEL_HINTS[name]
        return difflib.get_close_matches(name, self.shapes, 1, 0.0)[0]


def read_label_map(mapped: Sequence[str], catalogue: Path = OUTLINES_DIR) -> LabelMap:
    """The catalogue's names with `mapped`, each "theirs=ours". Raises DatasetError, one line."""
    folders = sorted(path.name for path in catalogue.glob("*") if path.is_dir())
    if not folders:
        raise DatasetError(f"there are no shapes in {catalogue}; run strokewise in the root of the project")
    shapes = tuple(sorted({*folders, OTHER}))
    pairs: dict[str, str] = {}
    for text in mapped:
        theirs, sign, ours = text.partition("=")
        if not (theirs and sign) or ours not in shapes:
            raise DatasetError(f"--map {text!r} is not THEIRS=SHAPE with a shape of {', '.join(shapes)}")
        pairs[theirs] = ours
    return LabelMap(shapes, pairs)
