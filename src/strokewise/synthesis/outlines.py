"""The catalogue: a folder of SVG files in, ideal strokes out.

    data/outlines/<shape>/<variant>.svg  ->  Catalogue (shapes, sorted; a tuple of outlines a shape)

Any SVG that a drawing program writes will do: paths, basic shapes, groups, transforms, `use` within the file (`svg.py`
reads it). A subpath is a stroke, in the file's order. What a shape allows stands on the `<svg>` element, and has these
defaults:

    data-stretch="0.5 2"   least and greatest factor on its width against its height
    data-turn="15"         degrees it may be turned either way, 0 to 180
    data-mirror="no"       yes if it may be flipped left to right
"""

import difflib
import hashlib
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from strokewise.data.shards import OTHER
from strokewise.errors import OutlineError
from strokewise.synthesis import svg
from strokewise.synthesis.strokes import Strokes, assemble_strokes, polyline_length, split_at_corners

MAX_SVG_BYTES = 256_000
MAX_SVG_COORDINATE = 1e9  # in the units of the file
DEFAULT_STRETCH, DEFAULT_TURN_DEG, DEFAULT_MIRROR = (0.5, 2.0), 15.0, False
ALLOWANCE_ATTRIBUTES = ("data-stretch", "data-turn", "data-mirror")
DRAWABLE_TAGS = ("path", "line", "polyline", "polygon", "rect", "circle", "ellipse", "use")


@dataclass(frozen=True)
class Outline:
    """One way to draw a shape, and what it allows."""

    variant: str
    strokes: Strokes
    stretch: tuple[float, float]
    """Least and greatest factor on width against height."""
    turn: float
    """Degrees, either way."""
    mirror: bool


@dataclass(frozen=True)
class Catalogue:
    """All shapes with their outlines; the place of a shape is its label."""

    shapes: tuple[str, ...]
    outlines: tuple[tuple[Outline, ...], ...]
    """A tuple a shape; empty for `other`, which is made of doodles."""
    digest: str
    """SHA-256 over the names and bytes of the files."""


def load_catalogue(folder: Path) -> Catalogue:
    """Read `folder`/<shape>/<variant>.svg, all of it, before anything is painted.

    Raises OutlineError that names the first folder or file that will not do, and why.
    """
    if not folder.is_dir():
        raise OutlineError(f"no folder {folder}; put one SVG a shape in {folder}/<shape>/<variant>.svg")
    named = {}
    for path in folder.iterdir():
        if path.suffix.lower() == ".svg" and path.is_file():
            raise OutlineError(f"{path} lies beside the shapes; put it in a folder that is its name: {path.stem}/")
        if path.is_dir() and not path.name.startswith("."):
            if not path.name.isprintable():
                raise OutlineError(f"{str(path)!r} is no name for a shape; use letters that can be printed")
            named[path.name] = path
    if OTHER in named:
        raise OutlineError(f"{named[OTHER]}: `other` is reserved for doodles; rename the folder")
    if not named:
        raise OutlineError(f"{folder} holds no shapes; put one SVG a shape in {folder}/<shape>/<variant>.svg")
    total = hashlib.sha256()
    found: dict[str, tuple[Outline, ...]] = {OTHER: ()}
    for name in sorted(named):
        files = sorted(path for path in named[name].iterdir() if not path.name.startswith("."))
        if not files:
            raise OutlineError(f"{named[name]} is empty; put an SVG in it, or remove the folder")
        variants = []
        for path in files:
            content = _read_svg(path)
            total.update(f"{name}/{path.name} {len(content)}\n".encode() + content)
            variants.append(parse_outline(content, path))
        found[name] = tuple(variants)
    shapes = tuple(sorted(found))
    return Catalogue(shapes, tuple(found[name] for name in shapes), total.hexdigest())


def parse_outline(content: bytes, path: Path) -> Outline:
    """The outline that an SVG's bytes hold; `path` is for messages and names the variant. Raises OutlineError."""
    root = svg.parse_svg(content, path)
    _check_allowances(root, path)
    try:
        lines = svg.extract_polylines(root)
    except Exception as error:  # svgelements raises whatever its parser meets
        raise OutlineError(f"{path} cannot be drawn: {error or type(error).__name__}; export it as plain SVG") from None
    if not lines:
        tags = {svg.tag_name(node) for node in root.iter()}
        if tags & set(DRAWABLE_TAGS):
            raise OutlineError(
                f"{path} holds no outline that can be seen: its lines are broken, hidden or without length"
            )
        only = [word for name, word in (("text", "text"), ("image", "pictures")) if name in tags]
        what = f"only {' and '.join(only)}" if only else "no outline"
        raise OutlineError(f"{path} holds {what}; draw the shape with paths, lines or basic shapes")
    joined = np.concatenate([line for line, _ in lines])
    if not np.isfinite(joined).all() or np.abs(joined).max() > MAX_SVG_COORDINATE:
        raise OutlineError(f"{path} has coordinates that are no numbers up to {MAX_SVG_COORDINATE:g}; redraw it")
    side = float(np.abs(joined - joined[0]).max())
    lines = [(line, closed) for line, closed in lines if polyline_length(line) > 1e-3 * side] if side > 1e-9 else []
    if not lines:
        raise OutlineError(f"{path} has an outline of no length; draw lines that lead somewhere")
    strokes = assemble_strokes([split_at_corners(line, closed) for line, closed in lines])
    if len(strokes.first) > svg.MAX_EDGES:
        raise OutlineError(
            f"{path} has {len(strokes.first)} edges; {svg.MAX_EDGES} is the most a hand can follow; simplify the path"
        )
    return Outline(path.stem, strokes, _parse_stretch(root, path), _parse_turn(root, path), _parse_mirror(root, path))


def _read_svg(path: Path) -> bytes:
    if path.suffix.lower() != ".svg" or not path.is_file():
        raise OutlineError(f"{path} is not an SVG file; the folder of a shape holds .svg files only")
    try:
        size = path.stat().st_size
        if size > MAX_SVG_BYTES:
            raise OutlineError(f"{path} has {size:,} bytes, {MAX_SVG_BYTES:,} are allowed; simplify the path")
        return path.read_bytes()
    except OSError as error:
        raise OutlineError(f"{path} cannot be read: {error.strerror}") from None


def _check_allowances(root: ElementTree.Element, path: Path) -> None:
    """A word that nobody reads is an error: one misspelt, or one that stands elsewhere than on the root."""
    for node in root.iter():
        for name in node.attrib:
            if node is not root and name in ALLOWANCE_ATTRIBUTES:
                raise OutlineError(f"{path}: {name} stands on <{svg.tag_name(node)}>; put it on <svg>")
            ours = node is root and name.lower().startswith("data-") and name not in ALLOWANCE_ATTRIBUTES
            words = [allowance.removeprefix("data-") for allowance in ALLOWANCE_ATTRIBUTES]
            near = difflib.get_close_matches(name[5:].lower(), words, 1, 0.85) if ours else []
            if near:
                raise OutlineError(f"{path}: {name} is not known; did you mean data-{near[0]}?")


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
