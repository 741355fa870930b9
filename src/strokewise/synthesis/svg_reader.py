"""An SVG document → the shapes that are seen in it, walked as the specification says (SVG 1.1 and 2).

Nested viewports, `use`, `symbol`, `switch`, transforms with their origin, markers, clips, and what the page cuts off;
`svg_style` says what CSS makes of it. Text and pictures are passed over, and so is what is invisible. What decides what
is seen and is not understood raises OutlineError that names it.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from xml.etree import ElementTree

import numpy as np
import svgelements

from strokewise.errors import OutlineError
from strokewise.synthesis.clipping import Polygon, Region
from strokewise.synthesis.svg_shapes import (
    MAX_EDGES,
    SHAPE_TAGS,
    DrawnShape,
    Polyline,
    clip_lines,
    is_background,
    is_pale,
    path_data,
    path_vertices,
    sample_path,
    shape_path,
)
from strokewise.synthesis.svg_style import Style, StyleSheet, parse_opacity
from strokewise.synthesis.svg_values import (
    IDENTITY,
    OVERLONG_NUMBER,
    Matrix,
    apply_matrix,
    attribute,
    bounding_rectangle,
    check_finite,
    length_attribute,
    parse_angle,
    parse_length,
    parse_number,
    parse_origin,
    parse_reference,
    parse_transform,
    parse_view_box,
    product,
    rectangle,
    tag_name,
    translation,
    view_box_matrix,
    visible_page,
)

SVG_NAMESPACE = "http://www.w3.org/2000/svg"
CONTAINER_TAGS = ("svg", "g", "a", "switch", "symbol", "use")
MAX_PATH_TOKENS = 20_000  # letters and numbers of path data, with every `use` followed; a shape needs a few hundred
MAX_ELEMENTS = 2_000  # with every `use` and marker followed
MAX_DEPTH = 64  # elements within each other, with every `use` followed
MIN_OPACITY = 0.05  # less is not seen
BOX_KEYWORDS = ("fill-box", "content-box", "border-box", "stroke-box")
CLIP_PROPERTIES = ("display", "visibility", "transform", "transform-origin", "transform-box", "clip-path", "d")


@dataclass(frozen=True)
class _Context:
    """What an element takes over from where it stands."""

    matrix: Matrix
    style: Style | None
    viewport: tuple[float, float]
    """Width and height that percentages refer to, in user units."""
    clips: tuple[Region, ...]
    """Regions, in the root's units, all of which must hold what is drawn."""
    depth: int


class SvgReader:
    """Walks one document. Raises OutlineError, without the file's name, for a style sheet that is not understood."""

    def __init__(self, root: ElementTree.Element) -> None:
        self._root = root
        self._style_sheet = StyleSheet(root)
        self._by_id: dict[str, ElementTree.Element] = {}
        for node in root.iter():
            if "id" in node.attrib:
                self._by_id.setdefault(node.attrib["id"], node)
        self._elements = self._tokens = 0

    def polylines(self) -> list[Polyline]:
        """Every subpath that is seen, in the root's units, without the page's background.

        Raises OutlineError for what is broken, too large or not understood, and whatever svgelements raises.
        """
        style = Style(self._style_sheet.declared(self._root), None)
        matrix, page, viewport = self._page(style)
        cuts = page is not None and style["overflow"] not in ("visible", "auto")
        context = _Context(matrix, None, viewport, (_region(page),) if cuts and page is not None else (), 0)
        inner = self._enter(self._root, style, context)
        shapes = [shape for shape in self._draw_children(self._root, style, inner) if shape.lines]
        frame = page if page is not None else bounding_rectangle([line for s in shapes for line, _ in s.lines])
        while len(shapes) > 1 and shapes[0].is_pale and frame is not None and is_background(shapes[0], frame):
            del shapes[0]
        lines = [line for shape in shapes for line in shape.lines]
        if len(lines) > MAX_EDGES:
            raise OutlineError(f"it has {len(lines):,} lines, {MAX_EDGES} are allowed")
        return lines

    def _page(self, style: Style) -> tuple[Matrix, Polygon | None, tuple[float, float]]:
        """The root's matrix, the rectangle that is seen, if there is one, and the viewport."""
        view_box = parse_view_box(self._root)
        sides = [parse_length(attribute(self._root, style, name), 0.0, style) for name in ("width", "height")]
        width, height = (side if side is not None and side > 0 else None for side in sides)
        if view_box is None:
            page = rectangle(0.0, 0.0, width, height) if width and height else None
            return IDENTITY, page, (width or 100.0, height or 100.0)
        size = width or view_box[2], height or view_box[3]
        matrix = view_box_matrix(view_box, (0.0, 0.0, *size), self._root.get("preserveAspectRatio"))
        if math.isclose(matrix[0], matrix[3]):  # seen at any size: it stays in the view box's own units
            return IDENTITY, visible_page(view_box, size), view_box[2:]
        return matrix, rectangle(0.0, 0.0, *size), view_box[2:]  # preserveAspectRatio="none" stretches it

    # --- elements

    def _draw(self, node: ElementTree.Element, context: _Context) -> Iterator[DrawnShape]:
        """Yield all shapes of an element."""
        name = tag_name(node)
        if not _is_svg(node) or name not in (*SHAPE_TAGS, *CONTAINER_TAGS) or name == "symbol":
            return
        self._count_element(context)
        style = Style(self._style_sheet.declared(node), context.style)
        if style["display"] == "none" or parse_opacity(style["opacity"]) < MIN_OPACITY:
            return
        self._refuse_mask(style)
        inner = self._enter(node, style, context)
        if name in SHAPE_TAGS:
            yield from self._draw_shape(node, style, inner)
        elif name == "use":
            yield from self._draw_use(node, style, inner)
        elif name == "svg":
            yield from self._draw_viewport(node, node, style, inner)
        else:
            yield from self._draw_children(node, style, inner)

    def _draw_children(self, node: ElementTree.Element, style: Style, context: _Context) -> Iterator[DrawnShape]:
        context = replace(context, style=style, depth=context.depth + 1)
        for child in [_switch_choice(node)] if tag_name(node) == "switch" else node:
            if child is not None:
                yield from self._draw(child, context)

    def _draw_use(self, node: ElementTree.Element, style: Style, context: _Context) -> Iterator[DrawnShape]:
        target = self._find(_href(node))
        if target is None:
            return
        x, y = (length_attribute(node, style, name, context.viewport) or 0.0 for name in ("x", "y"))
        matrix = product(context.matrix, translation(x, y))
        context = replace(context, matrix=matrix, style=style, depth=context.depth + 1)
        if tag_name(target) not in ("symbol", "svg"):
            yield from self._draw(target, context)
            return
        self._count_element(context)
        own_style = Style(self._style_sheet.declared(target), style)
        is_hidden = own_style["display"] == "none" and tag_name(target) == "svg"
        if is_hidden or parse_opacity(own_style["opacity"]) < MIN_OPACITY:
            return
        self._refuse_mask(own_style)
        inner = self._enter(target, own_style, context) if tag_name(target) == "symbol" else context
        yield from self._draw_viewport(target, node, own_style, inner)

    def _draw_viewport(
        self, node: ElementTree.Element, sized_by: ElementTree.Element, style: Style, context: _Context
    ) -> Iterator[DrawnShape]:
        """Yield the children of an <svg> or <symbol> in a viewport of their own; `sized_by` may be a <use>."""
        x = y = 0.0
        if tag_name(node) == "svg":
            x, y = (length_attribute(node, style, name, context.viewport) or 0.0 for name in ("x", "y"))
        sizes = []
        for name, whole in zip(("width", "height"), context.viewport, strict=True):
            text = sized_by.get(name, "auto")
            length = parse_length(attribute(node, style, name) if text == "auto" else text, whole, style)
            sizes.append(whole if length is None else length)
        width, height = sizes
        if min(width, height) <= 0:
            return
        clips = context.clips
        if style["overflow"] not in ("visible", "auto"):
            clips = (*clips, _region(apply_matrix(context.matrix, rectangle(x, y, width, height))))
        view_box = parse_view_box(node)
        inner = translation(x, y)
        if view_box is not None:
            inner = view_box_matrix(view_box, (x, y, width, height), node.get("preserveAspectRatio"))
        viewport = view_box[2:] if view_box else (width, height)
        matrix = product(context.matrix, inner)
        yield from self._draw_children(node, style, replace(context, matrix=matrix, viewport=viewport, clips=clips))

    def _draw_shape(self, node: ElementTree.Element, style: Style, context: _Context) -> Iterator[DrawnShape]:
        self._count_tokens(path_data(node, style))
        path = shape_path(node, style, context.viewport)
        if path is None or style["visibility"] in ("hidden", "collapse"):
            return
        filled, stroked = self._is_painted("fill", style), self._is_painted("stroke", style)
        lines = sample_path(path, context.matrix, filled) if filled or stroked else []
        if not stroked:
            lines = [(line, closed) for line, closed in lines if closed]  # a filling without an inside is not seen
        lines = clip_lines(lines, context.clips, area=filled and not stroked)
        yield DrawnShape(lines, is_pale=filled and not stroked and is_pale(style["fill"]))
        if tag_name(node) not in ("rect", "circle", "ellipse"):
            yield from self._draw_markers(path, style, context)

    def _draw_markers(self, path: "svgelements.Path", style: Style, context: _Context) -> Iterator[DrawnShape]:
        """Yield the markers at the vertices of a shape (SVG 1.1, 11.6)."""
        if all(style[f"marker-{position}"] == "none" for position in ("start", "mid", "end")):
            return
        vertices = path_vertices(path)
        for index, (point, angle) in enumerate(vertices):
            positions = ["start"] * (index == 0) + ["end"] * (index == len(vertices) - 1) or ["mid"]
            for position in positions:
                marker = self._find(_url(style[f"marker-{position}"]))
                if marker is None or tag_name(marker) != "marker":
                    continue
                orient = marker.get("orient", "0").strip()
                is_reversed = orient == "auto-start-reverse" and position == "start"
                turn = angle + math.pi * is_reversed if orient.startswith("auto") else parse_angle(orient)
                yield from self._draw_marker(marker, point, turn, style, context)

    def _draw_marker(
        self, node: ElementTree.Element, point: complex, angle: float, style: Style, context: _Context
    ) -> Iterator[DrawnShape]:
        """Yield a marker's content with its reference point at `point`, rotated by `angle` in radians."""
        self._count_element(context)
        own_style = Style(self._style_sheet.declared(node), None)
        if own_style["display"] == "none" or parse_opacity(own_style["opacity"]) < MIN_OPACITY:
            return
        scale = 1.0
        if node.get("markerUnits") != "userSpaceOnUse":
            scale = parse_length(style["stroke-width"], 0.0, style) or 0.0
        width, height = (
            parse_length(node.get(f"marker{side}", "3"), 0.0, style) or 0.0 for side in ("Width", "Height")
        )
        if min(width, height, scale) <= 0:
            return
        view_box = parse_view_box(node)
        view, origin, viewport = IDENTITY, (0.0, 0.0), (width, height)
        if view_box is not None:
            view = view_box_matrix(view_box, (0.0, 0.0, width, height), node.get("preserveAspectRatio"))
            origin, viewport = view_box[:2], view_box[2:]
        reference = [
            parse_reference(node.get(name, "0"), start, side)
            for name, start, side in zip(("refX", "refY"), origin, viewport, strict=True)
        ]
        corner = apply_matrix(view, np.array([complex(*reference)]))[0]
        cos, sin = scale * math.cos(angle), scale * math.sin(angle)
        matrix = product(context.matrix, translation(point.real, point.imag))
        matrix = product(matrix, (cos, sin, -sin, cos, 0.0, 0.0))
        matrix = product(matrix, translation(-corner.real, -corner.imag))
        clips = context.clips
        if own_style["overflow"] not in ("visible", "auto"):
            clips = (*clips, _region(apply_matrix(matrix, rectangle(0.0, 0.0, width, height))))
        inner = replace(context, matrix=product(matrix, view), viewport=viewport, clips=clips)
        yield from self._draw_children(node, own_style, inner)

    # --- where an element stands, and what cuts it

    def _enter(self, node: ElementTree.Element, style: Style, context: _Context) -> _Context:
        """The context within an element's own transform and clip path."""
        if style["transform"] != "none":
            matrix = product(context.matrix, self._transform(node, style, context))
            context = replace(context, matrix=matrix)
        clip = _url(style["clip-path"])
        if style["clip-path"] != "none" and clip is None:
            raise OutlineError(f"clip-path: {style['clip-path'][:40]} is not understood")
        target = self._find(clip)
        if target is None or tag_name(target) != "clipPath":
            return context
        return replace(context, clips=(*context.clips, *self._clip_regions(node, target, style, context)))

    def _transform(self, node: ElementTree.Element, style: Style, context: _Context) -> Matrix:
        """An element's transform about its origin."""
        text, origin = style["transform"], style["transform-origin"]
        box: tuple[float, float, float, float] | None = (0.0, 0.0, *context.viewport)
        if style["transform-box"] in BOX_KEYWORDS and ("%" in text or origin):
            box = self._bounding_box(node, style, context)
        if box is None:  # nothing stands in it
            return IDENTITY
        matrix = parse_transform(text, *box[2:])
        if not origin:
            return matrix
        x, y = parse_origin(origin, *box, style)
        return product(product(translation(x, y), matrix), translation(-x, -y))

    def _bounding_box(
        self, node: ElementTree.Element, style: Style, context: _Context
    ) -> tuple[float, float, float, float] | None:
        """Left, top, width and height of what an element holds, in its own units; None if it holds nothing."""
        own = replace(context, matrix=IDENTITY, clips=(), depth=context.depth + 1)
        self._count_element(own)
        if tag_name(node) in SHAPE_TAGS:
            shapes = self._draw_shape(node, style, own)
        elif tag_name(node) == "use":
            shapes = self._draw_use(node, style, own)
        else:
            shapes = self._draw_children(node, style, own)
        box = bounding_rectangle([line for shape in shapes for line, _ in shape.lines])
        if box is None:
            return None
        return float(box.real.min()), float(box.imag.min()), float(np.ptp(box.real)), float(np.ptp(box.imag))

    def _clip_regions(
        self, node: ElementTree.Element, clip: ElementTree.Element, style: Style, context: _Context
    ) -> list[Region]:
        """The regions of a clip path, in the root's units; all of them cut."""
        own_style = Style(self._style_sheet.declared(clip), None)
        inner = replace(context, clips=(), style=None, depth=context.depth + 1)
        if clip.get("clipPathUnits") == "objectBoundingBox":
            box = self._bounding_box(node, Style({**style.declared, "clip-path": "none"}, context.style), context)
            if box is None:
                return []
            left, top, width, height = box
            inner = replace(inner, matrix=product(inner.matrix, (width, 0.0, 0.0, height, left, top)))
        inner = self._enter(clip, own_style, inner)
        shapes = [shape for child in clip for shape in self._draw_clip_child(child, own_style, inner)]
        lines = [line for shape in shapes for line, _ in shape.lines]
        if not lines:
            raise OutlineError("a clip path hides all of it")
        return [*inner.clips, _region(*(line[:-1] if line[0] == line[-1] else line for line in lines))]

    def _draw_clip_child(self, child: ElementTree.Element, own: Style, context: _Context) -> Iterator[DrawnShape]:
        if not _is_svg(child) or tag_name(child) not in (*SHAPE_TAGS, "use"):
            return
        declared = self._style_sheet.declared(child)
        style = Style({name: value for name, value in declared.items() if name in CLIP_PROPERTIES}, own)
        if style["display"] == "none":
            return
        inner = self._enter(child, style, replace(context, style=own))
        draw = self._draw_use if tag_name(child) == "use" else self._draw_shape
        yield from draw(child, style, inner)

    # --- what an element refers to, and how much is drawn

    def _is_painted(self, name: str, style: Style) -> bool:
        """Whether `fill` or `stroke` is seen."""
        alpha = style.alpha(name)
        if alpha is None or alpha < MIN_OPACITY:
            return False
        paint = style[name]
        if paint.startswith("url(") and self._find(_url(paint)) is None:
            return paint.partition(")")[2].strip() not in ("", "none")  # the colour to fall back to
        if name == "fill":
            return True
        width = parse_length(style["stroke-width"], 1.0, style)
        dashes = [parse_number(dash) for dash in re.findall(r"[\d.]+", style["stroke-dasharray"])]
        is_all_gap = any(dashes) and not any(dashes[::2])
        return (width is None or width > 0) and not is_all_gap

    def _refuse_mask(self, style: Style) -> None:
        if style["mask"] != "none" and self._find(_url(style["mask"])) is not None:
            raise OutlineError("it uses a mask, which is not understood")

    def _find(self, reference: str | None) -> ElementTree.Element | None:
        """The element that `#id` refers to; None if there is none. Raises OutlineError for one outside the file."""
        if reference is None or reference.startswith("data:"):
            return None
        if not reference.startswith("#"):
            raise OutlineError(f"it refers to {reference[:80]!r}, which is not in the file")
        return self._by_id.get(reference[1:])

    def _count_element(self, context: _Context) -> None:
        self._elements += 1
        if self._elements > MAX_ELEMENTS:
            raise OutlineError(f"it draws more than {MAX_ELEMENTS:,} elements")
        if context.depth > MAX_DEPTH:
            raise OutlineError(f"it is nested more than {MAX_DEPTH} deep, or drawn within itself")

    def _count_tokens(self, data: str) -> None:
        if OVERLONG_NUMBER.search(data):
            raise OutlineError("it has a number of more than 40 digits")
        self._tokens += len(re.findall(r"[A-Za-z]|\d*\.?\d+", data))
        if self._tokens > MAX_PATH_TOKENS:
            raise OutlineError(f"it has more than {MAX_PATH_TOKENS:,} letters and numbers of path data")


def _is_svg(node: ElementTree.Element) -> bool:
    """Whether an element is of SVG: in its namespace, or in none."""
    return isinstance(node.tag, str) and node.tag.partition("}")[0] in (f"{{{SVG_NAMESPACE}", tag_name(node))


def _region(*polygons: Polygon) -> Region:
    for polygon in polygons:
        check_finite(polygon)
    return Region(polygons)


def _href(node: ElementTree.Element) -> str | None:
    """What a <use> refers to: href, or xlink:href."""
    reference = node.get("href") or node.get("{http://www.w3.org/1999/xlink}href")
    return reference.strip() if reference else None


def _url(text: str) -> str | None:
    """The reference in url(...); None if it is none."""
    match = re.match(r"url\(\s*['\"]?([^'\")]*?)['\"]?\s*\)", text)
    return match[1] if match else None


def _switch_choice(switch: ElementTree.Element) -> ElementTree.Element | None:
    """The child of a <switch> that is shown to an English reader without extensions."""
    for child in switch:
        languages = child.get("systemLanguage")
        is_english = languages is None or any(word.strip().lower().startswith("en") for word in languages.split(","))
        if _is_svg(child) and is_english and "requiredExtensions" not in child.attrib:
            return child
    return None
