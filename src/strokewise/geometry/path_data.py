"""SVG path data of straight lines and cubic Bézier curves: read, sampled along its length, transformed and written.

    "M10 10 L90 10 C… Z" → Subpath (pieces, whether it is closed), ...

Only the absolute commands M, L, C and Z are understood: `synthesis.plain_svg` writes every outline with these. Points
are float64 arrays (n, 2), x right and y down.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Coordinates = NDArray[np.float64]
FLATTEN_STEPS = 24  # straight steps that stand for a curve when its length is measured
COMMANDS = {"M": 1, "L": 1, "C": 3, "Z": 0}  # points that follow each


@dataclass(frozen=True, eq=False)
class Subpath:
    """What is drawn without lifting the pen."""

    pieces: tuple[Coordinates, ...]
    """Each (2, 2) for a straight line or (4, 2) for a cubic curve; each begins where the one before ends."""
    closed: bool

    @property
    def corners(self) -> Coordinates:
        """The ends of its pieces, (n, 2); a closed one does not repeat its first."""
        starts = [piece[0] for piece in self.pieces]
        return np.array(starts if self.closed else [*starts, self.pieces[-1][-1]])

    @property
    def is_polygon(self) -> bool:
        """Whether it is closed and all its pieces are straight."""
        return self.closed and all(len(piece) == 2 for piece in self.pieces)


def parse_path(text: str) -> tuple[Subpath, ...]:
    """The subpaths of path data with the commands M, L, C and Z. Raises ValueError for any other text."""
    subpaths: list[Subpath] = []
    pieces: list[Coordinates] = []
    start = here = np.zeros(2)
    for command, numbers in re.findall(r"([A-Za-z])([^A-Za-z]*)", re.sub(r"(\d)[eE]", r"\1@", text)):
        values = [float(number.replace("@", "e")) for number in numbers.replace(",", " ").split()]
        if command not in COMMANDS or len(values) != 2 * COMMANDS[command]:
            raise ValueError(f"{command}{numbers} is not of the commands M, L, C and Z")
        points = np.array(values).reshape(-1, 2)
        if command == "M":
            if pieces:
                subpaths.append(Subpath(tuple(pieces), False))
            pieces, start, here = [], points[0], points[0]
        elif command == "Z":
            if np.abs(here - start).max() > 0:
                pieces.append(np.array([here, start]))
            subpaths.append(Subpath(tuple(pieces), True))
            pieces, here = [], start
        else:
            pieces.append(np.vstack([here, points]))
            here = points[-1]
    if pieces:
        subpaths.append(Subpath(tuple(pieces), False))
    if not subpaths:
        raise ValueError("it draws nothing")
    return tuple(subpaths)


def write_path(subpaths: Sequence[Subpath], digits: int = 2) -> str:
    """Path data of subpaths, rounded to `digits` decimals."""
    words: list[str] = []
    for subpath in subpaths:
        words.append(f"M{_join(subpath.pieces[0][:1], digits)}")
        pieces = subpath.pieces
        if subpath.closed and len(pieces[-1]) == 2:
            pieces = pieces[:-1]  # Z draws it
        words += [("L" if len(piece) == 2 else "C") + _join(piece[1:], digits) for piece in pieces]
        words += ["Z"] * subpath.closed
    return " ".join(words)


def _join(points: Coordinates, digits: int) -> str:
    return " ".join(
        f"{value:.{digits}f}".rstrip("0").rstrip(".") if digits else f"{value:.0f}" for value in points.ravel()
    )


def transform_path(subpaths: Sequence[Subpath], matrix: Coordinates) -> tuple[Subpath, ...]:
    """Subpaths under an affine matrix (2, 3)."""
    return tuple(
        Subpath(tuple(piece @ matrix[:, :2].T + matrix[:, 2] for piece in subpath.pieces), subpath.closed)
        for subpath in subpaths
    )


def flatten_piece(piece: Coordinates, steps: int = FLATTEN_STEPS) -> Coordinates:
    """A piece as a polyline (n, 2): two points for a straight line, `steps` + 1 for a curve."""
    if len(piece) == 2:
        return piece
    t = np.linspace(0, 1, steps + 1)[:, np.newaxis]
    s = 1 - t
    return np.asarray(s**3 * piece[0] + 3 * s * s * t * piece[1] + 3 * s * t * t * piece[2] + t**3 * piece[3])


def flatten_subpath(subpath: Subpath, steps: int = FLATTEN_STEPS) -> Coordinates:
    """A subpath as a polyline (n, 2); a closed one ends with its first point."""
    lines = [flatten_piece(piece, steps) for piece in subpath.pieces]
    return np.vstack([lines[0], *(line[1:] for line in lines[1:])])
