"""The bytes of an SVG in, what is drawn in it out: checked first, and bounded in all that makes work.

    checked(content, path) -> root element        lines(root) -> [(polyline (n,) complex x + iy, whether closed), ...]

Passed over are text and pictures, what is invisible, and the page's own ground. What is defined for later use (symbols,
masks, markers, clips, patterns) is drawn only where it is used.
"""

import io
import re
import string
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import svgelements

from strokewise.errors import OutlineError
from strokewise.synthesis.strokes import Points, drop_repeated_points, polyline_length

SVG_ROOT_TAGS = ("svg", "{http://www.w3.org/2000/svg}svg")
MAX_PATH_TOKENS = 20_000  # letters and numbers in path data, with every `use` followed; a shape needs a few hundred
MAX_ELEMENTS = 2_000  # with every `use` followed
MAX_EDGES = 256
MAX_ATTRIBUTE_LENGTH = {"class": 200, "style sheet": 8_000, "": 1_000}  # of one attribute: what reads them is slow
OVERLONG_NUMBER = re.compile(r"\d{41}")  # for the same reason
CURVE_STEPS = 48  # points a curved segment, before they are spread evenly
DEFINITION_TAGS = ("symbol", "mask", "marker", "clipPath", "pattern")
GEOMETRY_ATTRIBUTES = {"d": ("path",), "points": ("polyline", "polygon")}  # attributes that only these elements have
BACKGROUND_TOLERANCE = 0.01  # a plain pale box that covers the page, but for this share of a side, is the page's ground
MIN_BACKGROUND_LEVEL = 200  # of 255


def parse_svg(content: bytes, path: Path) -> ElementTree.Element:
    """The root of an SVG that is safe to draw: no entities, nothing outside the file, of bounded size.

    `path` is for messages. Raises OutlineError, one line.
    """
    if not content.strip():
        raise OutlineError(f"{path} is empty; draw the shape in it, or remove the file")
    if content.startswith(b"\x1f\x8b"):
        raise OutlineError(f"{path} is compressed; export it as plain SVG, or gunzip it")
    readable = content.replace(b"\x00", b"").upper()  # also when written in UTF-16
    if b"<!ENTITY" in readable:
        raise OutlineError(f"{path} declares XML entities, which are not read; export it as plain SVG")
    try:
        root = ElementTree.fromstring(content)  # noqa: S314 - bounded, and free of entities
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise OutlineError(f"{path} is not SVG: {error}; export it as plain SVG") from None
    if root.tag not in SVG_ROOT_TAGS:
        raise OutlineError(f"{path} is not SVG: its root element is <{tag_name(root)}>; export it as plain SVG")
    outside = ["<?xml-stylesheet"] if b"<?XML-STYLESHEET" in readable else []
    for node in root.iter():
        outside += [to for to in _references(node) if not to.startswith(("#", "data:"))]
        texts = {**node.attrib, "style sheet": node.text or ""} if tag_name(node) == "style" else node.attrib
        for name, text in texts.items():
            _check_length(name.rpartition("}")[2], text, path)
    if outside:
        raise OutlineError(f"{path} refers to {outside[0][:80]!r} outside the file; put all of the shape in it")
    named = {node.attrib["id"]: node for node in root.iter() if "id" in node.attrib}
    try:
        elements, words = _count_drawn(root, named, {})
    except RecursionError:
        elements, words = float("inf"), 0.0
    if elements > MAX_ELEMENTS:
        raise OutlineError(f"{path} draws more than {MAX_ELEMENTS:,} elements, or one within itself; simplify it")
    if words > MAX_PATH_TOKENS:
        raise OutlineError(f"{path} has {words:,.0f} words of path data, {MAX_PATH_TOKENS:,} are allowed; simplify it")
    return root


def extract_polylines(root: ElementTree.Element) -> list[tuple[Points, bool]]:
    """Every subpath that is drawn, as a polyline (n,) in the file's units, and whether it is closed.

    Raises whatever svgelements meets in broken data.
    """
    _rewrite_for_svgelements(root)
    drawing = svgelements.SVG.parse(io.BytesIO(ElementTree.tostring(root)), reify=False)
    shapes = [
        shape for shape in drawing.elements() if isinstance(shape, svgelements.Shape) and not _is_invisible(shape)
    ]
    if len(shapes) > 1 and _is_background(shapes[0], drawing):
        del shapes[0]
    found: list[tuple[Points, bool]] = []
    for shape in shapes:
        if len(found) > MAX_EDGES:
            break  # it will be refused
        for part in svgelements.Path(shape).as_subpaths():
            steps = [_sample_segment(segment) for segment in part if not isinstance(segment, svgelements.Move)]
            line = (
                drop_repeated_points(_apply_matrix(np.concatenate(steps), shape.transform))
                if steps
                else np.zeros(0, dtype=complex)
            )
            if len(line) > 1:
                found.append(_close_if_meeting(line, isinstance(part[-1], svgelements.Close)))
    return found


def tag_name(node: ElementTree.Element) -> str:
    """The name of an element without its namespace."""
    return str(node.tag).rpartition("}")[2]


def _check_length(name: str, text: str, path: Path) -> None:
    most = MAX_ATTRIBUTE_LENGTH.get(name, MAX_ATTRIBUTE_LENGTH[""])
    if len(text) > most and name not in (*GEOMETRY_ATTRIBUTES, "href"):
        raise OutlineError(f"{path} has {len(text):,} letters of {name}, {most:,} are allowed; export it as plain SVG")
    if name != "href" and OVERLONG_NUMBER.search(text):
        raise OutlineError(f"{path} has a number of more than 40 digits in its {name}; export it as plain SVG")


def _hrefs(node: ElementTree.Element) -> list[str]:
    """What an element other than a link names; svgelements takes either of two."""
    return [value for key, value in node.attrib.items() if key.rpartition("}")[2] == "href" and tag_name(node) != "a"]


def _references(node: ElementTree.Element) -> list[str]:
    """All that an element names: its hrefs, and url(...) in its attributes or, but for fonts, in its style sheet."""
    found = [value.strip() for value in _hrefs(node)]
    texts = list(node.attrib.values())
    if tag_name(node) == "style":
        text = _remove_between(_remove_between(node.text or "", "/*", "*/"), "@font-face", "}")
        found += ["@import"] if "@import" in text else []
        texts.append(text)
    for text in texts:
        found += [part.partition(")")[0].strip(" \t\r\n\"'") for part in text.split("url(")[1:]]
    return found


def _remove_between(text: str, begin: str, end: str) -> str:
    first, *rest = text.split(begin)
    return first + "".join(part.partition(end)[2] for part in rest)


def _count_drawn(
    node: ElementTree.Element, named: dict[str, ElementTree.Element], known: dict[int, tuple[float, float]]
) -> tuple[float, float]:
    """How many elements, and words of path data, `node` draws with every `use` followed; infinite within itself."""
    if id(node) not in known:
        known[id(node)] = float("inf"), 0.0  # what is met again before it is known lies within itself
        data = node.get("d", "") + node.get("points", "")
        elements, words = 1.0, float(len(re.findall(r"[A-Za-z]|\d*\.?\d+", data)))
        used = [named[to[1:]] for to in _hrefs(node) if to[1:] in named] if tag_name(node) == "use" else []
        for part in [*node, *used]:
            more = _count_drawn(part, named, known)
            elements, words = elements + more[0], words + more[1]
        known[id(node)] = elements, words
    return known[id(node)]


def _rewrite_for_svgelements(root: ElementTree.Element) -> None:
    """Put what svgelements would take amiss into words that it understands."""
    for parent in list(root.iter()):
        for place, node in enumerate(list(parent)):
            if tag_name(node) in DEFINITION_TAGS and tag_name(parent) != "defs":  # it draws them where they stand
                definitions = ElementTree.Element(str(node.tag).removesuffix(tag_name(node)) + "defs")
                parent[place] = definitions
                definitions.append(node)
    for node in root.iter():
        for name in GEOMETRY_ATTRIBUTES:
            if (
                name in node.attrib and tag_name(node) not in GEOMETRY_ATTRIBUTES[name]
            ):  # its children would have it, too
                del node.attrib[name]
    sides = [root.get(side, "%") for side in ("width", "height")]
    if "viewBox" not in root.attrib and "%" not in "".join(sides):  # without one it takes widths for heights
        root.set("viewBox", " ".join(["0 0", *(str(svgelements.Length(side).value(ppi=96)) for side in sides)]))


def _is_invisible(shape: svgelements.Shape) -> bool:
    """Hidden, or neither lined nor filled. Without a word about either, SVG fills."""
    hidden = shape.values.get("visibility") in ("hidden", "collapse")
    filled = shape.fill is None or _is_opaque(shape.fill, shape.values.get("fill-opacity"))
    return hidden or _is_zero(shape.values.get("opacity")) or not (_has_stroke(shape) or filled)


def _has_stroke(shape: svgelements.Shape) -> bool:
    paints = shape.stroke is not None and _is_opaque(shape.stroke, shape.values.get("stroke-opacity"))
    return paints and not _is_zero(shape.values.get("stroke-width"))


def _is_opaque(colour: svgelements.Color, opacity: str | None) -> bool:
    return colour.value is not None and colour.opacity != 0 and not _is_zero(opacity)


def _is_zero(text: str | None) -> bool:
    """Whether it is a number, of whatever unit, and that is 0."""
    try:
        return text is not None and float(text.strip().rstrip(string.ascii_letters + "%")) == 0
    except ValueError:
        return False


def _is_background(shape: svgelements.Shape, drawing: svgelements.SVG) -> bool:
    """Whether it is a box that colours the page and no part of the drawing on it."""
    if not isinstance(shape, svgelements.Rect) or shape.rx or shape.ry or _has_stroke(shape) or shape.fill is None:
        return False
    left, top, right, bottom = shape.bbox()
    wide, high = BACKGROUND_TOLERANCE * drawing.width, BACKGROUND_TOLERANCE * drawing.height
    covers = left <= wide and top <= high and right >= drawing.width - wide and bottom >= drawing.height - high
    return bool(covers and min(shape.fill.red, shape.fill.green, shape.fill.blue) >= MIN_BACKGROUND_LEVEL)


def _close_if_meeting(line: Points, said: bool) -> tuple[Points, bool]:
    """A line that ends where it began is closed, also where the file does not say so; it then ends with its start."""
    meets = len(line) > 3 and abs(line[0] - line[-1]) < 1e-3 * polyline_length(line)
    if meets:
        line = line[:-1]
    closed = meets or (said and len(line) > 2)
    return (np.append(line, line[0]), True) if closed else (line, False)


def _apply_matrix(points: Points, to: svgelements.Matrix) -> Points:
    """Points (n,) where a matrix puts them: svgelements would not skew an arc, nor turn a box, exactly."""
    x, y = points.real, points.imag
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite then is named by who asked
        return np.asarray(to.a * x + to.c * y + to.e + 1j * (to.b * x + to.d * y + to.f), dtype=np.complex128)


def _sample_segment(segment: svgelements.PathSegment) -> Points:
    """A segment as points (n,): two for a line, `CURVE_STEPS` for a curve."""
    if isinstance(segment, svgelements.Line | svgelements.Close):
        ends = [end for end in (segment.start, segment.end) if end is not None]
        return np.array([complex(end.x, end.y) for end in ends])
    return np.array([complex(point.x, point.y) for point in map(segment.point, np.linspace(0, 1, CURVE_STEPS))])
