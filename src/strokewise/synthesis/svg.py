"""SVG in, polylines out: the file is checked first, and everything that costs time or memory is bounded.

    parse_svg(content, path) → root element
    extract_polylines(root) → [(polyline (n,) complex x + iy, whether it is closed), ...]

Text, pictures, invisible elements and a background box are left out. What is defined for later use (symbols, masks,
markers, clip paths, patterns) is drawn only where it is used.
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
MAX_ATTRIBUTE_LENGTH = {"class": 200, "style sheet": 8_000, "": 1_000}  # of one attribute: parsing long ones is slow
OVERLONG_NUMBER = re.compile(r"\d{41}")  # parsing longer numbers is slow
CURVE_STEPS = 48  # points on a curved segment, before edges are resampled
DEFINITION_TAGS = ("symbol", "mask", "marker", "clipPath", "pattern")
GEOMETRY_ATTRIBUTES = {"d": ("path",), "points": ("polyline", "polygon")}  # valid on these elements only
BACKGROUND_TOLERANCE = 0.01  # a plain pale box that covers the page, up to this share of a side, is its background
MIN_BACKGROUND_LEVEL = 200  # of 255


def parse_svg(content: bytes, path: Path) -> ElementTree.Element:
    """The root of an SVG that is safe to draw: no entities, no references outside the file, of bounded size.

    `path` appears in messages. Raises OutlineError otherwise.
    """
    if not content.strip():
        raise OutlineError(f"{path} is empty; draw the shape in it, or remove the file")
    if content.startswith(b"\x1f\x8b"):
        raise OutlineError(f"{path} is compressed; export it as plain SVG, or gunzip it")
    upper = content.replace(b"\x00", b"").upper()  # without zero bytes UTF-16 reads like ASCII
    if b"<!ENTITY" in upper:
        raise OutlineError(f"{path} declares XML entities, which are not supported; export it as plain SVG")
    try:
        root = ElementTree.fromstring(content)  # noqa: S314 - bounded, and free of entities
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise OutlineError(f"{path} is not SVG: {error}; export it as plain SVG") from None
    if root.tag not in SVG_ROOT_TAGS:
        raise OutlineError(f"{path} is not SVG: its root element is <{tag_name(root)}>; export it as plain SVG")
    external = ["<?xml-stylesheet"] if b"<?XML-STYLESHEET" in upper else []
    for node in root.iter():
        external += [target for target in _references(node) if not target.startswith(("#", "data:"))]
        texts = {**node.attrib, "style sheet": node.text or ""} if tag_name(node) == "style" else node.attrib
        for name, text in texts.items():
            _check_length(name.rpartition("}")[2], text, path)
    if external:
        raise OutlineError(f"{path} refers to {external[0][:80]!r} outside the file; put all of the shape in it")
    by_id = {node.attrib["id"]: node for node in root.iter() if "id" in node.attrib}
    try:
        elements, tokens = _count_drawn(root, by_id, {})
    except RecursionError:
        elements, tokens = float("inf"), 0.0
    if elements > MAX_ELEMENTS:
        raise OutlineError(f"{path} draws more than {MAX_ELEMENTS:,} elements, or one within itself; simplify it")
    if tokens > MAX_PATH_TOKENS:
        raise OutlineError(
            f"{path} has {tokens:,.0f} letters and numbers of path data, {MAX_PATH_TOKENS:,} are allowed; simplify it"
        )
    return root


def extract_polylines(root: ElementTree.Element) -> list[tuple[Points, bool]]:
    """Every visible subpath as a polyline (n,) in the file's units, and whether it is closed.

    Modifies `root`. Raises any exception of svgelements on malformed data.
    """
    _rewrite_for_svgelements(root)
    drawing = svgelements.SVG.parse(io.BytesIO(ElementTree.tostring(root)), reify=False)
    shapes = [
        shape for shape in drawing.elements() if isinstance(shape, svgelements.Shape) and not _is_invisible(shape)
    ]
    if len(shapes) > 1 and _is_background(shapes[0], drawing):
        del shapes[0]
    polylines: list[tuple[Points, bool]] = []
    for shape in shapes:
        if len(polylines) > MAX_EDGES:
            break  # more than are allowed already
        for subpath in svgelements.Path(shape).as_subpaths():
            segments = [_sample_segment(segment) for segment in subpath if not isinstance(segment, svgelements.Move)]
            if not segments:
                continue
            line = drop_repeated_points(_apply_matrix(np.concatenate(segments), shape.transform))
            if len(line) > 1:
                polylines.append(_close_if_meeting(line, isinstance(subpath[-1], svgelements.Close)))
    return polylines


def tag_name(node: ElementTree.Element) -> str:
    """The name of an element without its namespace."""
    return str(node.tag).rpartition("}")[2]


def _check_length(name: str, text: str, path: Path) -> None:
    limit = MAX_ATTRIBUTE_LENGTH.get(name, MAX_ATTRIBUTE_LENGTH[""])
    if len(text) > limit and name not in (*GEOMETRY_ATTRIBUTES, "href"):
        raise OutlineError(
            f"{path} has {len(text):,} characters of {name}, {limit:,} are allowed; export it as plain SVG"
        )
    if name != "href" and OVERLONG_NUMBER.search(text):
        raise OutlineError(f"{path} has a number of more than 40 digits in its {name}; export it as plain SVG")


def _hrefs(node: ElementTree.Element) -> list[str]:
    """The targets of an element other than a link; svgelements reads both `href` and `xlink:href`."""
    return [value for key, value in node.attrib.items() if key.rpartition("}")[2] == "href" and tag_name(node) != "a"]


def _references(node: ElementTree.Element) -> list[str]:
    """All that an element refers to: its hrefs, and url(...) in attributes and in a style sheet, except for fonts."""
    references = [value.strip() for value in _hrefs(node)]
    texts = list(node.attrib.values())
    if tag_name(node) == "style":
        text = _remove_between(_remove_between(node.text or "", "/*", "*/"), "@font-face", "}")
        references += ["@import"] if "@import" in text else []
        texts.append(text)
    for text in texts:
        references += [part.partition(")")[0].strip(" \t\r\n\"'") for part in text.split("url(")[1:]]
    return references


def _remove_between(text: str, begin: str, end: str) -> str:
    first, *rest = text.split(begin)
    return first + "".join(part.partition(end)[2] for part in rest)


def _count_drawn(
    node: ElementTree.Element, by_id: dict[str, ElementTree.Element], counts: dict[int, tuple[float, float]]
) -> tuple[float, float]:
    """The elements, and letters and numbers of path data, that `node` draws with every `use` followed.

    Infinitely many elements if it draws itself. `counts` caches the result of each element.
    """
    if id(node) not in counts:
        counts[id(node)] = float("inf"), 0.0  # an element that is met again before it is counted draws itself
        data = node.get("d", "") + node.get("points", "")
        elements, tokens = 1.0, float(len(re.findall(r"[A-Za-z]|\d*\.?\d+", data)))
        used = [by_id[href[1:]] for href in _hrefs(node) if href[1:] in by_id] if tag_name(node) == "use" else []
        for part in [*node, *used]:
            part_elements, part_tokens = _count_drawn(part, by_id, counts)
            elements, tokens = elements + part_elements, tokens + part_tokens
        counts[id(node)] = elements, tokens
    return counts[id(node)]


def _rewrite_for_svgelements(root: ElementTree.Element) -> None:
    """Rewrite what svgelements would draw wrongly."""
    for parent in list(root.iter()):
        for index, node in enumerate(list(parent)):
            if tag_name(node) in DEFINITION_TAGS and tag_name(parent) != "defs":  # it would draw them in place
                definitions = ElementTree.Element(str(node.tag).removesuffix(tag_name(node)) + "defs")
                parent[index] = definitions
                definitions.append(node)
    for node in root.iter():
        for name, tags in GEOMETRY_ATTRIBUTES.items():
            if tag_name(node) not in tags:  # its children would inherit the geometry
                node.attrib.pop(name, None)
    sides = [root.get(side, "%") for side in ("width", "height")]
    if "viewBox" not in root.attrib and "%" not in "".join(sides):  # without one it mixes up width and height
        root.set("viewBox", " ".join(["0 0", *(str(svgelements.Length(side).value(ppi=96)) for side in sides)]))


def _is_invisible(shape: svgelements.Shape) -> bool:
    """Hidden, or neither stroked nor filled. SVG fills what sets neither."""
    hidden = shape.values.get("visibility") in ("hidden", "collapse")
    filled = shape.fill is None or _is_opaque(shape.fill, shape.values.get("fill-opacity"))
    return hidden or _is_zero(shape.values.get("opacity")) or not (_has_stroke(shape) or filled)


def _has_stroke(shape: svgelements.Shape) -> bool:
    coloured = shape.stroke is not None and _is_opaque(shape.stroke, shape.values.get("stroke-opacity"))
    return coloured and not _is_zero(shape.values.get("stroke-width"))


def _is_opaque(colour: svgelements.Color, opacity: str | None) -> bool:
    return colour.value is not None and colour.opacity != 0 and not _is_zero(opacity)


def _is_zero(text: str | None) -> bool:
    """Whether it is the number 0, with or without a unit."""
    try:
        return text is not None and float(text.strip().rstrip(string.ascii_letters + "%")) == 0
    except ValueError:
        return False


def _is_background(shape: svgelements.Shape, drawing: svgelements.SVG) -> bool:
    """Whether it is a plain pale box that covers the page and is no part of the drawing."""
    if not isinstance(shape, svgelements.Rect) or shape.rx or shape.ry or _has_stroke(shape) or shape.fill is None:
        return False
    left, top, right, bottom = shape.bbox()
    dx, dy = BACKGROUND_TOLERANCE * drawing.width, BACKGROUND_TOLERANCE * drawing.height
    covers = left <= dx and top <= dy and right >= drawing.width - dx and bottom >= drawing.height - dy
    return bool(covers and min(shape.fill.red, shape.fill.green, shape.fill.blue) >= MIN_BACKGROUND_LEVEL)


def _close_if_meeting(line: Points, has_close_command: bool) -> tuple[Points, bool]:
    """A line whose ends meet is closed, with or without a close command; a closed line ends with its first point."""
    meets = len(line) > 3 and abs(line[0] - line[-1]) < 1e-3 * polyline_length(line)
    if meets:
        line = line[:-1]
    closed = meets or (has_close_command and len(line) > 2)
    return (np.append(line, line[0]), True) if closed else (line, False)


def _apply_matrix(points: Points, matrix: svgelements.Matrix) -> Points:
    """Transform points (n,); svgelements itself does not skew arcs or rotate boxes exactly."""
    x, y = points.real, points.imag
    with np.errstate(over="ignore", invalid="ignore"):  # `parse_outline` refuses coordinates that are not finite
        x_out = matrix.a * x + matrix.c * y + matrix.e
        y_out = matrix.b * x + matrix.d * y + matrix.f
        return np.asarray(x_out + 1j * y_out, dtype=np.complex128)


def _sample_segment(segment: svgelements.PathSegment) -> Points:
    """A segment as points (n,): the two ends of a line, `CURVE_STEPS` points of a curve."""
    if isinstance(segment, svgelements.Line | svgelements.Close):
        ends = [end for end in (segment.start, segment.end) if end is not None]
        return np.array([complex(end.x, end.y) for end in ends])
    return np.array([complex(point.x, point.y) for point in map(segment.point, np.linspace(0, 1, CURVE_STEPS))])
