"""The catalogue: a folder of SVG files in, ideal strokes out.

    data/outlines/<shape>/<variant>.svg  ->  Catalogue (shapes, sorted; a tuple of outlines a shape)

Any SVG that a drawing program writes will do: paths, basic shapes, groups, transforms, `use` within the file. Text,
pictures and what is drawn neither with a line nor a fill are passed over. A subpath is a stroke, in the file's order.
What a shape allows stands on the `<svg>` element, and has these defaults:

    data-stretch="0.5 2"   least and greatest factor on its width against its height
    data-turn="15"         degrees it may be turned either way, 0 to 180
    data-mirror="no"       yes if it may be flipped left to right
"""

import hashlib
import io
import re
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import svgelements

from strokewise.dataset import OTHER
from strokewise.errors import OutlineError
from strokewise.paint.strokes import Points, Strokes, assemble, distinct, edges_of, length

MOST_BYTES = 256_000
MOST_NUMBERS = 20_000  # in the path data of a file; a shape drawn by hand needs a few hundred
MOST_ELEMENTS = 2_000  # with every `use` followed
MOST_EDGES = 256
FARTHEST = 1e9  # in the units of the file
CURVE_STEPS = 48  # points a curved segment, before they are spread evenly
STRETCH, TURN, MIRROR = (0.5, 2.0), 15.0, False


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


def read(folder: Path) -> Catalogue:
    """Read `folder`/<shape>/<variant>.svg, all of it, before anything is painted.

    Raises OutlineError that names the first folder or file that will not do, and why.
    """
    if not folder.is_dir():
        raise OutlineError(f"no folder {folder}; put one SVG a shape in {folder}/<shape>/<variant>.svg")
    named = {path.name: path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")}
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
            content = _content(path)
            total.update(f"{name}/{path.name} {len(content)}\n".encode() + content)
            variants.append(outline(content, path))
        found[name] = tuple(variants)
    shapes = tuple(sorted(found))
    return Catalogue(shapes, tuple(found[name] for name in shapes), total.hexdigest())


def outline(content: bytes, path: Path) -> Outline:
    """The outline that an SVG's bytes hold; `path` is for messages and names the variant. Raises OutlineError."""
    root = _checked(content, path)
    try:
        lines = _lines(content)
    except OutlineError:
        raise
    except Exception as error:  # svgelements raises whatever its parser meets
        raise OutlineError(f"{path} cannot be drawn: {error or type(error).__name__}; export it as plain SVG") from None
    if not lines:
        only = {"text": "text", "image": "pictures"}
        tags = [only[tag] for tag in only if any(_tag(node) == tag for node in root.iter())]
        what = f"only {' and '.join(tags)}" if tags else "no outline"
        raise OutlineError(f"{path} holds {what}; draw the shape with paths, lines or basic shapes")
    joined = np.concatenate([line for line, _ in lines])
    if not np.isfinite(joined).all() or np.abs(joined).max() > FARTHEST:
        raise OutlineError(f"{path} has coordinates that are no numbers up to {FARTHEST:g}; redraw it")
    side = float(np.abs(joined - joined[0]).max())
    lines = [(line, closed) for line, closed in lines if length(line) > 1e-3 * side] if side > 1e-9 else []
    if not lines:
        raise OutlineError(f"{path} has an outline of no length; draw lines that lead somewhere")
    strokes = assemble([edges_of(line, closed) for line, closed in lines])
    if len(strokes.first) > MOST_EDGES:
        raise OutlineError(
            f"{path} has {len(strokes.first)} edges; {MOST_EDGES} is the most a hand can follow; simplify the path"
        )
    return Outline(path.stem, strokes, _stretch(root, path), _turn(root, path), _mirror(root, path))


def _content(path: Path) -> bytes:
    if path.suffix.lower() != ".svg" or not path.is_file():
        raise OutlineError(f"{path} is not an SVG file; the folder of a shape holds .svg files only")
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise OutlineError(f"{path} has {size:,} bytes, {MOST_BYTES:,} are allowed; simplify the path")
        return path.read_bytes()
    except OSError as error:
        raise OutlineError(f"{path} cannot be read: {error.strerror}") from None


def _checked(content: bytes, path: Path) -> ElementTree.Element:
    """The root element of an SVG that is safe to draw: no entities, nothing outside the file, of bounded size."""
    if not content.strip():
        raise OutlineError(f"{path} is empty; draw the shape in it, or remove the file")
    if re.search(rb"<!ENTITY", content.replace(b"\x00", b""), re.IGNORECASE):  # also when written in UTF-16
        raise OutlineError(f"{path} declares XML entities, which are not read; export it as plain SVG")
    try:
        root = ElementTree.fromstring(content)  # noqa: S314 - bounded, and free of entities
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise OutlineError(f"{path} is not SVG: {error}; export it as plain SVG") from None
    if _tag(root) != "svg":
        raise OutlineError(f"{path} is not SVG: its root element is <{_tag(root)}>; export it as plain SVG")
    numbers = 0
    for node in root.iter():
        for key, value in node.attrib.items():
            if key.rpartition("}")[2] == "href" and _tag(node) != "a" and not value.startswith(("#", "data:")):
                raise OutlineError(f"{path} refers to {value[:80]!r} outside the file; put all of the shape in it")
        numbers += len(re.findall(r"[\d.]+", node.get("d", "") + node.get("points", "")))
    if numbers > MOST_NUMBERS:
        raise OutlineError(f"{path} has {numbers:,} numbers in its paths, {MOST_NUMBERS:,} are allowed; simplify it")
    if _expanded(root, {node.get("id", ""): node for node in root.iter()}, {}) > MOST_ELEMENTS:
        raise OutlineError(f"{path} draws more than {MOST_ELEMENTS:,} elements, or one within itself; simplify it")
    return root


def _expanded(node: ElementTree.Element, named: dict[str, ElementTree.Element], known: dict[int, float]) -> float:
    """How many elements `node` draws once every `use` is followed; infinite for one that uses itself."""
    if id(node) not in known:
        known[id(node)] = float("inf")  # what is met again before it is known lies within itself
        total = 1.0 + sum(_expanded(child, named, known) for child in node)
        for key, value in node.attrib.items():
            if _tag(node) == "use" and key.rpartition("}")[2] == "href" and value[1:] in named:
                total += _expanded(named[value[1:]], named, known)
        known[id(node)] = total
    return known[id(node)]


def _lines(content: bytes) -> list[tuple[Points, bool]]:
    """Every subpath that is drawn, as a polyline (n,) in the file's units, and whether it is closed."""
    lines = []
    drawing = svgelements.SVG.parse(io.BytesIO(content), reify=True)
    for element in drawing.elements():
        if not isinstance(element, svgelements.Shape) or _invisible(element):
            continue
        for part in svgelements.Path(element).as_subpaths():
            steps = [_points(segment) for segment in part if not isinstance(segment, svgelements.Move)]
            line = distinct(np.concatenate(steps)) if steps else np.zeros(0, dtype=complex)
            if len(line) > 1:
                lines.append(_closed(line, isinstance(part[-1], svgelements.Close)))
    return lines


def _closed(line: Points, said: bool) -> tuple[Points, bool]:
    """A line that ends where it began is closed, also where the file does not say so; it then ends with its start."""
    meets = len(line) > 3 and abs(line[0] - line[-1]) < 1e-3 * length(line)
    if meets:
        line = line[:-1]
    closed = meets or (said and len(line) > 2)
    return (np.append(line, line[0]), True) if closed else (line, False)


def _invisible(element: svgelements.Shape) -> bool:
    """Neither lined nor filled. Without a word about either, SVG fills."""
    lined = element.stroke is not None and element.stroke.value is not None
    filled = element.fill is None or element.fill.value is not None
    return not (lined or filled)


def _points(segment: svgelements.PathSegment) -> Points:
    """A segment as points (n,): two for a line, `CURVE_STEPS` for a curve."""
    if isinstance(segment, svgelements.Line | svgelements.Close):
        ends = [end for end in (segment.start, segment.end) if end is not None]
        return np.array([complex(end.x, end.y) for end in ends])
    return np.array([complex(point.x, point.y) for point in map(segment.point, np.linspace(0, 1, CURVE_STEPS))])


def _stretch(root: ElementTree.Element, path: Path) -> tuple[float, float]:
    text = root.get("data-stretch", f"{STRETCH[0]} {STRETCH[1]}")
    try:
        low, high = (float(word) for word in text.replace(",", " ").split())
    except ValueError:
        low, high = 1.0, 0.0
    if not 1 / 9 - 0.01 <= low <= 1 <= high <= 9:
        raise OutlineError(f'{path}: data-stretch="{text}" must be two numbers, 0.11 to 1 and 1 to 9, say "0.5 2"')
    return low, high


def _turn(root: ElementTree.Element, path: Path) -> float:
    text = root.get("data-turn", str(TURN))
    try:
        turn = float(text)
    except ValueError:
        turn = -1.0
    if not 0 <= turn <= 180:
        raise OutlineError(f'{path}: data-turn="{text}" must be degrees either way, 0 to 180')
    return turn


def _mirror(root: ElementTree.Element, path: Path) -> bool:
    text = root.get("data-mirror", "yes" if MIRROR else "no")
    if text not in ("yes", "no"):
        raise OutlineError(f'{path}: data-mirror="{text}" must be yes or no')
    return text == "yes"


def _tag(node: ElementTree.Element) -> str:
    return str(node.tag).rpartition("}")[2]
