"""The bytes of an SVG in, what is drawn in it out: checked first, and bounded in all that makes work.

    checked(content, path) -> root element        lines(root) -> [(polyline (n,) complex x + iy, whether closed), ...]

Passed over are text and pictures, what is invisible, and the page's own ground. What is defined for later use (symbols,
masks, markers, clips, patterns) is drawn only where it is used.
"""

import io
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import svgelements

from strokewise.errors import OutlineError
from strokewise.paint.strokes import Points, distinct, length

MOST_NUMBERS = 20_000  # in path data, with every `use` followed; a shape drawn by hand needs a few hundred
MOST_ELEMENTS = 2_000  # with every `use` followed
CURVE_STEPS = 48  # points a curved segment, before they are spread evenly
DEFINED = ("symbol", "mask", "marker", "clipPath", "pattern")
GROUND = 0.99  # a filled box without a line, this share of the page wide and high, is the page's ground
OUTSIDE = rb"<\?xml-stylesheet[^>]*>|@import[^;]*|url\(\s*[\"']?(?!\s*(?:#|data:|[\"']))[^)]*\)"


def checked(content: bytes, path: Path) -> ElementTree.Element:
    """The root of an SVG that is safe to draw: no entities, nothing outside the file, of bounded size.

    `path` is for messages. Raises OutlineError, one line.
    """
    if not content.strip():
        raise OutlineError(f"{path} is empty; draw the shape in it, or remove the file")
    if content.startswith(b"\x1f\x8b"):
        raise OutlineError(f"{path} is compressed; export it as plain SVG, or gunzip it")
    readable = content.replace(b"\x00", b"")  # also when written in UTF-16
    if re.search(rb"<!ENTITY", readable, re.IGNORECASE):
        raise OutlineError(f"{path} declares XML entities, which are not read; export it as plain SVG")
    try:
        root = ElementTree.fromstring(content)  # noqa: S314 - bounded, and free of entities
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise OutlineError(f"{path} is not SVG: {error}; export it as plain SVG") from None
    if tag(root) != "svg":
        raise OutlineError(f"{path} is not SVG: its root element is <{tag(root)}>; export it as plain SVG")
    outside = [found.decode(errors="replace") for found in re.findall(OUTSIDE, readable)]
    outside += [to for node in root.iter() if (to := _refers(node)) and not to.startswith(("#", "data:"))]
    if outside:
        raise OutlineError(f"{path} refers to {outside[0][:80]!r} outside the file; put all of the shape in it")
    named = {node.attrib["id"]: node for node in root.iter() if "id" in node.attrib}
    try:
        elements, numbers = _drawn(root, named, {})
    except RecursionError:
        elements, numbers = float("inf"), 0.0
    if elements > MOST_ELEMENTS:
        raise OutlineError(f"{path} draws more than {MOST_ELEMENTS:,} elements, or one within itself; simplify it")
    if numbers > MOST_NUMBERS:
        raise OutlineError(f"{path} has {numbers:,.0f} numbers in its paths, {MOST_NUMBERS:,} are allowed; simplify it")
    return root


def lines(root: ElementTree.Element) -> list[tuple[Points, bool]]:
    """Every subpath that is drawn, as a polyline (n,) in the file's units, and whether it is closed.

    Raises whatever svgelements meets in broken data.
    """
    _tidy(root)
    drawing = svgelements.SVG.parse(io.BytesIO(ElementTree.tostring(root)), reify=False)
    shapes = [shape for shape in drawing.elements() if isinstance(shape, svgelements.Shape) and not _invisible(shape)]
    if len(shapes) > 1 and _is_ground(shapes[0], drawing):
        del shapes[0]
    found = []
    for shape in shapes:
        for part in svgelements.Path(shape).as_subpaths():
            steps = [_points(segment) for segment in part if not isinstance(segment, svgelements.Move)]
            line = distinct(_moved(np.concatenate(steps), shape.transform)) if steps else np.zeros(0, dtype=complex)
            if len(line) > 1:
                found.append(_closed(line, isinstance(part[-1], svgelements.Close)))
    return found


def tag(node: ElementTree.Element) -> str:
    """The name of an element without its namespace."""
    return str(node.tag).rpartition("}")[2]


def _refers(node: ElementTree.Element) -> str:
    """What an element other than a link points to, or nothing."""
    to = [value for key, value in node.attrib.items() if key.rpartition("}")[2] == "href" and tag(node) != "a"]
    return to[0].strip() if to else ""


def _drawn(
    node: ElementTree.Element, named: dict[str, ElementTree.Element], known: dict[int, tuple[float, float]]
) -> tuple[float, float]:
    """How many elements, and numbers in paths, `node` draws once every `use` is followed; infinite within itself."""
    if id(node) not in known:
        known[id(node)] = float("inf"), 0.0  # what is met again before it is known lies within itself
        elements, numbers = 1.0, float(len(re.findall(r"\d*\.?\d+", node.get("d", "") + node.get("points", ""))))
        to = _refers(node)
        used = [named[to[1:]]] if tag(node) == "use" and to.startswith("#") and to[1:] in named else []
        for part in [*node, *used]:
            more = _drawn(part, named, known)
            elements, numbers = elements + more[0], numbers + more[1]
        known[id(node)] = elements, numbers
    return known[id(node)]


def _tidy(root: ElementTree.Element) -> None:
    """Put what svgelements would take amiss into words that it understands."""
    for parent in list(root.iter()):
        for place, node in enumerate(list(parent)):
            if tag(node) in DEFINED and tag(parent) != "defs":  # it draws them where they stand
                definitions = ElementTree.Element(str(node.tag).removesuffix(tag(node)) + "defs")
                parent[place] = definitions
                definitions.append(node)
    if "viewBox" not in root.attrib:  # without one, it takes a percentage of the width for one of the height
        sides = [re.fullmatch(r"\s*(\d*\.?\d+)(px)?\s*", root.get(side, "")) for side in ("width", "height")]
        if all(sides):
            root.set("viewBox", " ".join(["0", "0", *(side[1] for side in sides if side)]))


def _invisible(shape: svgelements.Shape) -> bool:
    """Hidden, or neither lined nor filled. Without a word about either, SVG fills."""
    hidden = shape.values.get("visibility") in ("hidden", "collapse")
    clear = re.fullmatch(r"\s*0*\.?0*%?\s*", str(shape.values.get("opacity") or "1")) is not None
    return hidden or clear or not (_lined(shape) or shape.fill is None or _paints(shape.fill))


def _lined(shape: svgelements.Shape) -> bool:
    return shape.stroke is not None and _paints(shape.stroke) and shape.stroke_width != 0


def _paints(colour: svgelements.Color) -> bool:
    return colour.value is not None and colour.opacity != 0


def _is_ground(shape: svgelements.Shape, drawing: svgelements.SVG) -> bool:
    """Whether it is a box that colours the page and no part of the drawing on it."""
    if not isinstance(shape, svgelements.Rect) or _lined(shape):
        return False
    left, top, right, bottom = shape.bbox()
    return bool(right - left >= GROUND * drawing.width > 0 and bottom - top >= GROUND * drawing.height > 0)


def _closed(line: Points, said: bool) -> tuple[Points, bool]:
    """A line that ends where it began is closed, also where the file does not say so; it then ends with its start."""
    meets = len(line) > 3 and abs(line[0] - line[-1]) < 1e-3 * length(line)
    if meets:
        line = line[:-1]
    closed = meets or (said and len(line) > 2)
    return (np.append(line, line[0]), True) if closed else (line, False)


def _moved(points: Points, to: svgelements.Matrix) -> Points:
    """Points (n,) where a matrix puts them: svgelements would not skew an arc, nor turn a box, exactly."""
    x, y = points.real, points.imag
    return np.asarray(to.a * x + to.c * y + to.e + 1j * (to.b * x + to.d * y + to.f), dtype=np.complex128)


def _points(segment: svgelements.PathSegment) -> Points:
    """A segment as points (n,): two for a line, `CURVE_STEPS` for a curve."""
    if isinstance(segment, svgelements.Line | svgelements.Close):
        ends = [end for end in (segment.start, segment.end) if end is not None]
        return np.array([complex(end.x, end.y) for end in ends])
    return np.array([complex(point.x, point.y) for point in map(segment.point, np.linspace(0, 1, CURVE_STEPS))])
