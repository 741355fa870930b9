"""Values of SVG attributes → numbers: lengths, angles, view boxes, transforms.

A `Matrix` is (a, b, c, d, e, f) as in SVG; points are complex x + iy. Sections refer to SVG 1.1 (second edition).
"""

import math
import re
from xml.etree import ElementTree

import numpy as np
import svgelements

from strokewise.errors import OutlineError
from strokewise.synthesis.clipping import Polygon
from strokewise.synthesis.strokes import Points
from strokewise.synthesis.svg_style import Style

Matrix = tuple[float, float, float, float, float, float]
ViewBox = tuple[float, float, float, float]  # left, top, width, height
IDENTITY: Matrix = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)
MAX_TRANSFORM_LENGTH = 2_000  # characters
MAX_SVG_COORDINATE = 1e9  # absolute value, in the units of the file
OVERLONG_NUMBER = re.compile(r"\d{41}")  # parsing longer numbers is slow
UNITS = {"": 1.0, "px": 1.0, "pt": 4 / 3, "pc": 16.0, "mm": 96 / 25.4, "cm": 96 / 2.54, "in": 96.0, "q": 96 / 101.6}
TRANSLATION = re.compile(r"(translate[xy]?)\s*\(([^()]*%[^()]*)\)", re.IGNORECASE)
LENGTH = re.compile(r"\s*([+-]?(?:\d{1,40}\.?\d{0,40}|\.\d{1,40})(?:[eE][+-]?\d{1,3})?)\s*([a-zA-Z%]*)\s*")


def tag_name(node: ElementTree.Element) -> str:
    """The name of an element without its namespace."""
    return str(node.tag).rpartition("}")[2]


def attribute(node: ElementTree.Element, style: Style, name: str) -> str | None:
    """A geometry attribute, which CSS may set as well (SVG 2)."""
    return style.declared.get(name, node.get(name))


def length_attribute(node: ElementTree.Element, style: Style, name: str, viewport: tuple[float, float]) -> float | None:
    """A length of an element in user units; None if it is missing, `auto` or empty.

    Percentages refer to the viewport's width, height or normalised diagonal (7.10). Raises OutlineError for what is no
    length.
    """
    text = attribute(node, style, name)
    width, height = viewport
    if name in ("x", "cx", "x1", "x2", "width", "rx"):
        whole = width
    elif name in ("y", "cy", "y1", "y2", "height", "ry"):
        whole = height
    else:
        whole = math.hypot(width, height) / math.sqrt(2)
    length = parse_length(text, whole, style)
    if length is None and text is not None and text.strip().lower() not in ("", "auto"):
        raise OutlineError(f"{name}={text[:40]!r} of <{tag_name(node)}> is no length")
    return length


def parse_number(text: str) -> float:
    """Parse a number; 0 for what is none."""
    try:
        return float(text)
    except ValueError:
        return 0.0


def parse_length(text: str | None, whole: float, style: Style) -> float | None:
    """Parse a CSS length in user units; percentages are of `whole`. None for what is no length."""
    match = LENGTH.fullmatch(text) if text is not None and len(text) < 100 else None
    if match is None:
        return None
    value, unit = float(match[1]), match[2].lower()
    if not math.isfinite(value):
        return None
    if unit == "%":
        return value / 100 * whole
    if unit in ("em", "ex", "ch", "rem"):
        size = LENGTH.fullmatch(style["font-size"])
        em = float(size[1]) * UNITS.get(size[2].lower(), 1.0) if size and size[2] not in ("%", "em") else 16.0
        return value * em * (1.0 if unit in ("em", "rem") else 0.5)
    return value * UNITS[unit] if unit in UNITS else None


def parse_angle(text: str) -> float:
    """A CSS angle in radians; a number alone is degrees."""
    match = re.fullmatch(r"([+-]?[\d.]{1,40}(?:e[+-]?\d{1,3})?)\s*(deg|grad|rad|turn)?", text.strip().lower())
    if match is None:
        return 0.0
    units = {None: math.pi / 180, "deg": math.pi / 180, "grad": math.pi / 200, "rad": 1.0, "turn": 2 * math.pi}
    return parse_number(match[1]) * units[match[2]]


def parse_view_box(node: ElementTree.Element) -> ViewBox | None:
    """Left, top, width and height; None where there is none that can be read."""
    words = node.get("viewBox", "").replace(",", " ").split()
    matches = [LENGTH.fullmatch(word) for word in words]
    if len(matches) != 4 or not all(match and not match[2] for match in matches):
        return None
    left, top, width, height = (float(word) for word in words)
    is_usable = 0 < width < math.inf and 0 < height < math.inf and math.isfinite(left + top)
    return (left, top, width, height) if is_usable else None


def view_box_matrix(
    view_box: tuple[float, float, float, float], frame: tuple[float, float, float, float], aspect: str | None
) -> Matrix:
    """From a view box to the frame (left, top, width, height) that it is fitted into (SVG 1.1, 7.8)."""
    left, top, wide, high = view_box
    x, y, width, height = frame
    words = (aspect or "xMidYMid").split()
    words = words[1:] if words[:1] == ["defer"] else words
    align = words[0] if words else "xMidYMid"
    across, down = width / wide, height / high
    if align == "none":
        return across, 0.0, 0.0, down, x - left * across, y - top * down
    scale = max(across, down) if "slice" in words else min(across, down)
    share = {"Min": 0.0, "Mid": 0.5, "Max": 1.0}
    free_x, free_y = width - wide * scale, height - high * scale
    at_x, at_y = share.get(align[1:4], 0.5), share.get(align[5:8], 0.5)
    return scale, 0.0, 0.0, scale, x + at_x * free_x - left * scale, y + at_y * free_y - top * scale


def visible_page(view_box: tuple[float, float, float, float], size: tuple[float, float]) -> Polygon:
    """What is seen, in view box units: more than the view box where the sides have another ratio."""
    left, top, wide, high = view_box
    scale = min(size[0] / wide, size[1] / high)
    width, height = size[0] / scale, size[1] / scale
    return rectangle(left - (width - wide) / 2, top - (height - high) / 2, width, height)


def rectangle(left: float, top: float, width: float, height: float) -> Polygon:
    """The four corners of a rectangle."""
    return np.array([left, left + width, left + width, left]) + 1j * np.array([top, top, top + height, top + height])


def product(outer: Matrix, inner: Matrix) -> Matrix:
    """The matrix that applies `inner` first."""
    a, b, c, d, e, f = outer
    p, q, r, s, t, u = inner
    return a * p + c * q, b * p + d * q, a * r + c * s, b * r + d * s, a * t + c * u + e, b * t + d * u + f


def apply_matrix(matrix: Matrix, points: Points) -> Points:
    """Points (n,) where a matrix puts them."""
    if matrix == IDENTITY:
        return points
    a, b, c, d, e, f = matrix
    x, y = points.real, points.imag
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite then is named by who asked
        return np.asarray(a * x + c * y + e + 1j * (b * x + d * y + f), dtype=np.complex128)


def bounding_rectangle(lines: list[Points]) -> Polygon | None:
    """The rectangle around lines; None without any."""
    if not lines:
        return None
    points = np.concatenate(lines)
    left, top = float(points.real.min()), float(points.imag.min())
    return rectangle(left, top, float(points.real.max()) - left, float(points.imag.max()) - top)


def parse_reference(text: str, start: float, side: float) -> float:
    """refX or refY of a marker: a number in its own units, or a word."""
    words = {"left": 0.0, "top": 0.0, "center": 0.5, "right": 1.0, "bottom": 1.0}
    if text.strip() in words:
        return start + side * words[text.strip()]
    match = LENGTH.fullmatch(text)
    if match is None:
        return 0.0
    return float(match[1]) / 100 * side if match[2] == "%" else float(match[1]) * UNITS.get(match[2].lower(), 1.0)


def parse_origin(text: str, left: float, top: float, wide: float, high: float, style: Style) -> tuple[float, float]:
    """A transform origin in user units; percentages and words are of the reference box."""
    words = text.lower().split()[:2]
    if len(words) == 1:
        words = [words[0], "center"] if words[0] not in ("top", "bottom") else ["center", words[0]]
    elif words[0] in ("top", "bottom") or words[1] in ("left", "right"):
        words.reverse()
    shares = {"left": "0%", "top": "0%", "center": "50%", "right": "100%", "bottom": "100%"}
    found = []
    for word, start, side in zip(words, (left, top), (wide, high), strict=True):
        length = parse_length(shares.get(word, word), side, style)
        if length is None:
            raise OutlineError(f"the transform-origin {text[:40]} is not understood")
        found.append(start + length)
    return found[0], found[1]


def check_finite(points: Points) -> None:
    """Raises OutlineError unless all coordinates are numbers up to `MAX_SVG_COORDINATE`."""
    if not np.isfinite(points).all() or np.abs(points).max() > MAX_SVG_COORDINATE:
        raise OutlineError(f"it has coordinates that are not numbers up to {MAX_SVG_COORDINATE:g}")


def parse_transform(text: str, width: float, height: float) -> Matrix:
    """A transform list as a matrix; percentages are of the reference box's width and height.

    Raises OutlineError if it is too long or leaves the plane.
    """
    if len(text) > MAX_TRANSFORM_LENGTH or OVERLONG_NUMBER.search(text):
        raise OutlineError("it has a transform that is too long")
    if re.search(r"3d|rotate[xyz]\s*\(|translatez|scalez|perspective", text, re.IGNORECASE):
        raise OutlineError(f"the transform {text[:40]} is not understood")
    found = svgelements.Matrix(TRANSLATION.sub(lambda match: _resolve_shares(match, width, height), text))
    return float(found.a), float(found.b), float(found.c), float(found.d), float(found.e), float(found.f)


def translation(x: float, y: float) -> Matrix:
    """The matrix that moves points."""
    return 1.0, 0.0, 0.0, 1.0, x, y


def _resolve_shares(match: re.Match[str], width: float, height: float) -> str:
    """A translation with its percentages in user units."""
    sides = (height, width) if match[1].lower().endswith("y") else (width, height)
    words = match[2].replace(",", " ").split()
    found = [
        f"{parse_number(word[:-1]) / 100 * side}" if word.endswith("%") else word
        for word, side in zip(words, sides, strict=False)
    ]
    return f"{match[1]}({','.join(found)})"
