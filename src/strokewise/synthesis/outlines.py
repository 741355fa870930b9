"""The catalogue: a folder of SVG files in, ideal strokes out.

    data/outlines/<shape>/<variant>.svg → Catalogue (shapes, sorted; a tuple of outlines per shape)

Any SVG that a drawing program writes is accepted: paths, basic shapes, groups, transforms, `use` within the file
(`svg.py` reads it). A subpath is a stroke, in the file's order. What a shape allows is set on the `<svg>` element, with
these defaults:

    data-stretch="0.5 2"   minimum and maximum factor on its width against its height
    data-turn="15"         degrees it may be turned either way, 0 to 180
    data-mirror="no"       yes if it may be flipped left to right
    data-fit="box"         what may move when it is laid over ink: "similarity" (place, size and turn), "box" (and
                           stretch along its own axes), "affine" (and slant), "vertices" (every corner of a polygon)
    data-points=""         names of its points: "tail 0 50, tip 100 50"
"""

import difflib
import hashlib
import math
import re
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from strokewise.data.shapes import DEFAULT_FIT, FITS, OTHER
from strokewise.errors import OutlineError
from strokewise.synthesis import plain_svg, svg
from strokewise.synthesis.strokes import Points, Strokes, assemble_strokes, polyline_length, split_at_corners
from strokewise.synthesis.svg_shapes import MAX_EDGES
from strokewise.synthesis.svg_values import tag_name

MAX_SVG_BYTES = 256_000
DEFAULT_STRETCH, DEFAULT_TURN_DEG, DEFAULT_MIRROR = (0.5, 2.0), 15.0, False
ALLOWANCE_ATTRIBUTES = ("data-stretch", "data-turn", "data-mirror", "data-fit", "data-points")
MAX_NAMED_POINTS = 32  # of an outline
DRAWABLE_TAGS = ("path", "line", "polyline", "polygon", "rect", "circle", "ellipse", "use")


@dataclass(frozen=True)
class Outline:
    """One way to draw a shape, and what it allows."""

    variant: str
    strokes: Strokes
    stretch: tuple[float, float]
    """Minimum and maximum factor on width against height."""
    turn: float
    """Degrees either way."""
    mirror: bool
    """Whether it may be flipped left to right."""
    frame: tuple[complex, float]
    """The centre, in units of its viewBox, and half the longest side, of what `strokes` are in the frame of."""
    plain_svg: str
    """The same as an SVG of one simple path, with `data-fit`, `data-mirror` and `data-points`: see `plain_svg`."""


@dataclass(frozen=True, eq=False)
class Catalogue:
    """All shapes with their outlines; the index of a shape is its label."""

    shapes: tuple[str, ...]
    outlines: tuple[tuple[Outline, ...], ...]
    """One tuple per shape; empty for `other`, whose drawings are doodles."""
    digest: str
    """SHA-256 over the names and bytes of the files."""


def load_catalogue(folder: Path) -> Catalogue:
    """Read and check all of `folder`/<shape>/<variant>.svg.

    Raises OutlineError, which names the first folder or file that cannot be used, and why.
    """
    shape_folders = _shape_folders(folder)
    digest = hashlib.sha256()
    outlines: dict[str, tuple[Outline, ...]] = {OTHER: ()}
    for shape in sorted(shape_folders):
        files = sorted(path for path in shape_folders[shape].iterdir() if not path.name.startswith("."))
        if not files:
            raise OutlineError(f"{shape_folders[shape]} is empty; put an SVG in it, or remove the folder")
        variants = []
        for path in files:
            content = _read_svg(path)
            digest.update(f"{shape}/{path.name} {len(content)}\n".encode() + content)
            variants.append(parse_outline(content, path))
        outlines[shape] = tuple(variants)
    shapes = tuple(sorted(outlines))
    return Catalogue(shapes, tuple(outlines[shape] for shape in shapes), digest.hexdigest())


def parse_outline(content: bytes, path: Path) -> Outline:
    """The outline in an SVG's bytes; `path` names the variant and appears in messages.

    Raises OutlineError if the file is not SVG, is too large, or draws nothing that could be a shape.
    """
    root = svg.parse_svg(content, path)
    _check_allowances(root, path)
    lines = svg.extract_polylines(root, path)
    if not lines:
        raise OutlineError(f"{path} holds {_describe_empty(root)}")
    points = np.concatenate([line for line, _ in lines])
    side = float(np.abs(points - points[0]).max())
    lines = [(line, closed) for line, closed in lines if polyline_length(line) > 1e-3 * side] if side > 1e-9 else []
    if not lines:
        raise OutlineError(f"{path} has an outline of zero length; draw longer lines")
    pieces = [split_at_corners(line, closed) for line, closed in lines]
    strokes = assemble_strokes(pieces)
    frame = _frame(np.concatenate([edge for edges, _, _ in pieces for edge in edges]))
    edge_count = len(strokes.edge_first)
    if edge_count > MAX_EDGES:
        raise OutlineError(f"{path} has {edge_count} edges, {MAX_EDGES} are allowed; simplify the path")
    mirror = _parse_mirror(root, path)
    attributes = {"data-fit": _parse_fit(root, path), "data-mirror": "yes" if mirror else "no"}
    named_points = _parse_points(root, path)
    if attributes["data-fit"] == "vertices" and (len(lines) != 1 or not lines[0][1]):
        raise OutlineError(f'{path}: data-fit="vertices" is for an outline that is one polygon; write "affine"')
    if named_points:
        attributes["data-points"] = ", ".join(f"{name} {x:g} {y:g}" for name, x, y in named_points)
    plain = plain_svg.plain_svg(plain_svg.polylines_to_path(lines), attributes)
    return Outline(path.stem, strokes, _parse_stretch(root, path), _parse_turn(root, path), mirror, frame, plain)


def _frame(points: Points) -> tuple[complex, float]:
    """Centre and half of the longest side of the box of points (n,)."""
    low, high = complex(points.real.min(), points.imag.min()), complex(points.real.max(), points.imag.max())
    return (low + high) / 2, max((high - low).real, (high - low).imag) / 2


def plain_outlines(catalogue: Catalogue) -> dict[str, dict[str, str]]:
    """The plain SVG of every variant of every shape that has outlines: what travels with a model."""
    return {
        shape: {outline.variant: outline.plain_svg for outline in variants}
        for shape, variants in zip(catalogue.shapes, catalogue.outlines, strict=True)
        if variants
    }


def _shape_folders(folder: Path) -> dict[str, Path]:
    """The folder of each shape by name. Raises OutlineError if there are none, or something else is among them."""
    if not folder.is_dir():
        raise OutlineError(f"no folder {folder}; put one SVG per shape in {folder}/<shape>/<variant>.svg")
    folders = {}
    for path in folder.iterdir():
        if path.suffix.lower() == ".svg" and path.is_file():
            raise OutlineError(
                f"{path} is in no shape's folder; move it into a folder named after its shape: {path.stem}/"
            )
        if path.is_dir() and not path.name.startswith("."):
            if not path.name.isprintable():
                raise OutlineError(f"{str(path)!r} cannot be the name of a shape; use printable characters")
            folders[path.name] = path
    if OTHER in folders:
        raise OutlineError(f"{folders[OTHER]}: `other` is reserved for doodles; rename the folder")
    if not folders:
        raise OutlineError(f"{folder} holds no shapes; put one SVG per shape in {folder}/<shape>/<variant>.svg")
    return folders


def _read_svg(path: Path) -> bytes:
    if path.suffix.lower() != ".svg" or not path.is_file():
        raise OutlineError(f"{path} is not an SVG file; the folder of a shape may hold .svg files only")
    try:
        size = path.stat().st_size
        if size > MAX_SVG_BYTES:
            raise OutlineError(f"{path} has {size:,} bytes, {MAX_SVG_BYTES:,} are allowed; simplify the path")
        return path.read_bytes()
    except OSError as error:
        raise OutlineError(f"{path} cannot be read: {error.strerror}") from None


def _describe_empty(root: ElementTree.Element) -> str:
    """What a file that draws nothing holds instead, and what to do."""
    tags = {tag_name(node) for node in root.iter()}
    if tags & set(DRAWABLE_TAGS):
        return "no visible outline: its lines have no stroke, are hidden or of zero length; redraw them"
    others = [word for tag, word in (("text", "text"), ("image", "pictures")) if tag in tags]
    content = f"only {' and '.join(others)}" if others else "no outline"
    return f"{content}; draw the shape with paths, lines or basic shapes"


def _check_allowances(root: ElementTree.Element, path: Path) -> None:
    """Raises OutlineError for an allowance that would be ignored: misspelt, or on an element other than the root."""
    words = [name.removeprefix("data-") for name in ALLOWANCE_ATTRIBUTES]
    for name in root.attrib:
        if name.lower().startswith("data-") and name not in ALLOWANCE_ATTRIBUTES:
            matches = difflib.get_close_matches(name[5:].lower(), words, 1, 0.85)
            if matches:
                raise OutlineError(f"{path}: {name} is unknown; did you mean data-{matches[0]}?")
    for node in root.iter():
        for name in node.attrib:
            if node is not root and name in ALLOWANCE_ATTRIBUTES:
                raise OutlineError(f"{path}: {name} is set on <{tag_name(node)}>; set it on <svg>")


def _parse_stretch(root: ElementTree.Element, path: Path) -> tuple[float, float]:
    text = root.get("data-stretch", f"{DEFAULT_STRETCH[0]} {DEFAULT_STRETCH[1]}")
    try:
        low, high = (float(word) for word in text.replace(",", " ").split())
    except ValueError:
        low, high = 1.0, 0.0
    if not 1 / 9 - 0.01 <= low <= 1 <= high <= 9:
        raise OutlineError(f'{path}: data-stretch="{text}" must be two numbers, 0.11 to 1 and 1 to 9, say "0.5 2"')
    return low, high


def _parse_turn(root: ElementTree.Element, path: Path) -> float:
    text = root.get("data-turn", str(DEFAULT_TURN_DEG))
    try:
        turn = float(text)
    except ValueError:
        turn = -1.0
    if not 0 <= turn <= 180:
        raise OutlineError(f'{path}: data-turn="{text}" must be degrees either way, 0 to 180')
    return turn


def _parse_mirror(root: ElementTree.Element, path: Path) -> bool:
    text = root.get("data-mirror", "yes" if DEFAULT_MIRROR else "no")
    if text not in ("yes", "no"):
        raise OutlineError(f'{path}: data-mirror="{text}" must be yes or no')
    return text == "yes"


def _parse_fit(root: ElementTree.Element, path: Path) -> str:
    text = root.get("data-fit", DEFAULT_FIT)
    if text not in FITS:
        raise OutlineError(f'{path}: data-fit="{text}" must be {", ".join(FITS[:-1])} or {FITS[-1]}')
    return text


def _parse_points(root: ElementTree.Element, path: Path) -> list[tuple[str, float, float]]:
    """The named points in the units of the viewBox."""
    text = root.get("data-points", "")
    points: list[tuple[str, float, float]] = []
    for part in text.split(",") if text.strip() else ():
        match = re.fullmatch(r"\s*([\w-]+)\s+(\S+)\s+(\S+)\s*", part)
        try:
            name, x, y = (match[1], float(match[2]), float(match[3])) if match else ("", math.nan, math.nan)
        except ValueError:
            name, x, y = "", math.nan, math.nan
        if not name or not math.isfinite(x) or not math.isfinite(y):
            raise OutlineError(
                f'{path}: data-points="{text}" must name points as "tail 0 50, tip 100 50", in units of the viewBox'
            )
        if name in (name for name, _, _ in points):
            raise OutlineError(f"{path}: data-points names {name} twice; give every point a name of its own")
        points.append((name, x, y))
    if len(points) > MAX_NAMED_POINTS:
        raise OutlineError(f"{path}: data-points names {len(points)} points, {MAX_NAMED_POINTS} are allowed")
    return points
