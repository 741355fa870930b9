"""SVG: lengths and areas against svgelements and the shoelace formula, what is visible, and unsafe files."""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
import pytest
import svgelements

from strokewise.errors import OutlineError
from strokewise.synthesis import outlines, svg
from strokewise.synthesis.outlines import Outline
from strokewise.synthesis.strokes import Points, polyline_length

HEAD = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 100 100">'
LINE = '<path d="M10 10 L90 10 L90 50" fill="none" stroke="red"/>'
DOT = '<circle cx="50" cy="80" r="5"/>'
WIDE = HEAD.replace("0 0 100 100", "-500 -500 1000 1000")
SIZED = '<svg xmlns="http://www.w3.org/2000/svg" width="300" height="100px">'
SQUARE = '<rect x="1" y="1" width="2" height="2"/>'


def parse_body(body: str, head: str = HEAD) -> Outline:
    return outlines.parse_outline(f"{head}{body}</svg>".encode(), Path("shape/it.svg"))


def stroke_points(outline: Outline, number: int = 0) -> Points:
    first_edge, stop_edge, _ = outline.strokes.spans[number]
    return outline.strokes.points[outline.strokes.edge_first[first_edge] : outline.strokes.edge_last[stop_edge - 1] + 1]


def shoelace_area(line: Points) -> float:
    return abs(float((line.conj() * np.roll(line, -1)).imag.sum())) / 2


def test_outline_length_matches_svgelements(svg_path: Path, outline: Outline) -> None:
    elements = svgelements.SVG.parse(str(svg_path)).elements()
    shapes = [svgelements.Path(element) for element in elements if isinstance(element, svgelements.Shape)]
    boxes = np.array([shape.bbox() for shape in shapes])
    side = max(boxes[:, 2].max() - boxes[:, 0].min(), boxes[:, 3].max() - boxes[:, 1].min())
    expected = sum(shape.length(error=1e-5) for shape in shapes) * 2 / side
    lengths = [polyline_length(stroke_points(outline, number)) for number in range(len(outline.strokes.spans))]
    assert sum(lengths) == pytest.approx(expected, rel=3e-3)


@pytest.mark.parametrize(
    ("body", "area"),
    [
        ('<circle cx="50" cy="50" r="40"/>', math.pi),
        ('<ellipse cx="50" cy="50" rx="40" ry="20"/>', math.pi / 2),
        ('<rect x="10" y="10" width="80" height="40"/>', 2),
        ('<polygon points="10,90 90,90 50,10"/>', 2),
        ('<path d="M10 10 h80 v80 h-80 z"/>', 4),
        ('<path d="M10 50 A40 40 0 0 0 90 50 Z"/>', math.pi / 2),
        ('<g transform="translate(90 0) rotate(90) scale(3)"><rect width="20" height="10"/></g>', 2),
        ('<defs><rect id="r" width="20" height="10"/></defs><use xlink:href="#r" x="7"/>', 2),
    ],
)
def test_shape_area_matches_its_formula(body: str, area: float) -> None:
    assert shoelace_area(stroke_points(parse_body(body))) == pytest.approx(area, rel=4e-3)


def test_unpainted_shapes_and_text_are_left_out() -> None:
    hidden = '<rect width="500" height="500" fill="none" stroke="none"/><text x="3" y="4">A</text>'
    assert parse_body(hidden + '<circle r="5"/>').strokes.half_size == pytest.approx(1 + 1j, abs=1e-3)


@pytest.mark.parametrize(
    "hidden",
    [
        '<rect width="100" height="100" fill="white"/>',  # the page's background
        f'<symbol id="s">{DOT}</symbol>',
        f'<mask id="m">{DOT}</mask>',
        f'<clipPath id="c">{DOT}</clipPath>',
        f'<g visibility="hidden">{DOT}</g>',
        f'<g opacity="0">{DOT}</g>',
        DOT.replace("/>", ' style="opacity:0.0"/>'),
        DOT.replace("/>", ' fill="transparent"/>'),
        DOT.replace("/>", ' fill-opacity="0%"/>'),
        DOT.replace("/>", ' opacity="+0e0"/>'),
        DOT.replace("/>", ' fill="none" stroke="red" stroke-opacity="0"/>'),
        DOT.replace("/>", ' fill="none" stroke="red" stroke-width="0"/>'),
    ],
)
def test_invisible_elements_are_left_out(hidden: str) -> None:
    without, with_hidden = parse_body(LINE), parse_body(hidden + LINE)
    np.testing.assert_allclose(with_hidden.strokes.points, without.strokes.points)


@pytest.mark.parametrize(
    "visible",
    [
        '<rect width="100" height="60" fill="white"/>',
        '<rect width="100" height="100" fill="white" stroke="black"/>',
        DOT.replace("/>", ' opacity="0.05"/>'),
        '<rect width="100" height="100" fill="black"/>',
        '<rect width="100" height="100" rx="40" fill="white"/>',
        '<rect x="50" width="100" height="100" fill="white"/>',
        DOT.replace("/>", ' fill="none" stroke="red" stroke-width="inherit"/>'),
        DOT.replace("/>", ' style="fill:url(&quot;#g&quot;)"/><linearGradient id="g"/>'),
        f"<style>@font-face{{src:url('https://x/y')}} /* @import */</style><desc>url(http://a)</desc>{DOT}",
        f'<symbol id="s">{DOT}</symbol><use href="#s"/>',
        f'<defs><symbol id="s">{DOT}</symbol></defs><use href="#s"/>',
    ],
)
def test_visible_elements_are_drawn_once(visible: str) -> None:
    assert len(parse_body(visible + LINE).strokes.spans) == 2


def test_box_without_other_shapes_is_no_background() -> None:
    assert parse_body('<rect width="100" height="100" fill="white"/>').strokes.half_size == 1 + 1j


@pytest.mark.parametrize(
    ("body", "head", "half_size"),
    [
        (f'<g transform="matrix(1 0 0 2 5 5)">{SQUARE}</g>', HEAD, 0.5 + 1j),
        (f'<g transform="scale(3)"><g transform="rotate(90)">{SQUARE}</g></g>', WIDE, 1 + 1j),
        ('<rect width="4" height="2" transform="skewX(45)"/>', WIDE, 1 + 1j / 3),
        ('<rect width="4" height="4" transform="rotate(45)"/>', WIDE, 1 + 1j),
        ('<rect width="4" height="2" transform="rotate(90) translate(9 9)"/>', WIDE, 0.5 + 1j),
        ('<circle r="4" transform="skewX(45)"/>', WIDE, 1 + 1j / math.sqrt(2)),
        ('<path d="M0 0 C0 4 4 4 4 0 S8 -4 8 0"/>', WIDE, 1 + 0.75j),
        ('<path d="M0 0 Q2 4 4 0 T8 0"/>', WIDE, 1 + 0.5j),
        ('<path d="M0 0 A4 4 0 0 1 8 0"/>', WIDE, 1 + 0.5j),
        (f'<svg x="3" y="3" width="9" height="9" viewBox="0 0 4 4">{SQUARE}</svg>', HEAD, 1 + 1j),
        ('<rect width="40mm" height="2cm"/>', WIDE, 1 + 0.5j),
        ('<rect width="100%" height="50%"/>', SIZED, 1 + 1j / 6),
        ('<rect width="100%" height="100%"/>', SIZED.replace("300", "10cm").replace("100px", "50mm"), 1 + 0.5j),
        (f'<style>.no {{ display: none }}</style><g class="no"><circle r="70"/></g>{SQUARE}', HEAD, 1 + 1j),
    ],
)
def test_svg_of_drawing_programs_is_read(body: str, head: str, half_size: complex) -> None:
    assert parse_body(body, head).strokes.half_size == pytest.approx(half_size, abs=2e-3)


ENTITIES = '<!DOCTYPE svg [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;">]><svg xmlns="http://www.w3.org/2000/svg">&b;</svg>'
DOUBLING_GROUPS = "".join(
    f'<g id="g{i}"><use xlink:href="#g{i - 1}"/><use xlink:href="#g{i - 1}"/></g>' for i in range(1, 40)
)
USES = '<use href="#p"/>' * 30
LONG_PATH = "M0 0" + "".join(f"L{i % 90} {i % 7}" for i in range(15_000))


def billion_laughs(href: str, identifier: str) -> str:
    """Six groups, each using the one before ten times; `href` and `identifier` are templates of the attributes."""
    groups = [f"<g {identifier.format('a0')}>{SQUARE}</g>"]
    for i in range(1, 6):
        used = f"<use {href.format(f'a{i - 1}')}/>" * 10
        groups.append(f"<g {identifier.format(f'a{i}')}>{used}</g>")
    return "".join(groups)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it.svg is empty"),
        (b" \n", "it.svg is empty"),
        (b"a cat", "it.svg is not SVG: syntax error"),
        (b"<html><body/></html>", "is not SVG: its root element is <html>"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "is not SVG"),
        (HEAD.encode(), "is not SVG: no element found"),
        (b'<svg xmlns="foo"><path d="M0 0L5 5"/></svg>', "is not SVG"),
        (gzip.compress(f"{HEAD}{SQUARE}</svg>".encode(), mtime=0), "is compressed; export it as plain SVG"),
        (ENTITIES.encode(), "declares XML entities"),
        (ENTITIES.encode("utf-16"), "declares XML entities"),
        (
            b'<?xml-stylesheet href="a.css"?>' + f"{HEAD}{SQUARE}</svg>".encode(),
            "refers to a style sheet that is not in the file",
        ),
    ],
    ids=lambda value: f"{zlib.crc32(value):08x}" if isinstance(value, bytes) else None,
)
def test_file_that_is_no_safe_svg_raises_outline_error(content: bytes, message: str) -> None:
    with pytest.raises(OutlineError, match=message):
        svg.parse_svg(content, Path("shape/it.svg"))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('<style>@import "b.css";</style>' + SQUARE, 'refers to "b.css", which is not in the file'),
        ('<rect width="9" height="9" fill="url(http://x/y#z)"/>', r"refers to 'http://x/y#z'"),
        ('<use href="https://example.org/a.svg#b"/>', r"refers to 'https://example.org/a.svg#b'"),
        ("<g>" * 3000 + SQUARE + "</g>" * 3000, "nested more than 64 deep"),
        ('<g id="a"><use href="#a"/><circle r="5"/></g>', "or drawn within itself"),
        (billion_laughs('xlink:href="#none" href="#{}"', 'id="{}"'), "draws more than 2,000"),
        (billion_laughs('href=" #{} "', 'id="{}"'), "draws more than 2,000"),
        (f'<g id="g0"><circle r="5"/></g>{DOUBLING_GROUPS}', "draws more than 2,000 elements"),
        (f'<polyline points="{"1" * 900}x"/>', "a number of more than 40 digits"),
        (f'<path id="p" d="{LONG_PATH[:8999]}"/>{USES}', "more than 20,000 letters and numbers of path data"),
        (f'<path d="M0 0L{".1" * 30_000}"/>', "more than 20,000 letters and numbers"),
        (f'<path d="{LONG_PATH}"/>', "more than 20,000 letters and numbers"),
        ('<path d="M1 1 L 90 hello"/>', "path data cannot be read: 'M1 1 L 90 hello'"),
        ('<path d="M0 0 L1e300 5"/>', "coordinates that are not numbers up to 1e"),
        ('<path d="M0 0 L5 5" transform="scale(1e200)"/>', "coordinates that are not numbers up to 1e"),
        ('<rect width="two" height="9"/>', "width='two' of <rect> is no length"),
        ("<style>rect{" + "q:1;" * 20_000 + "}</style>" + SQUARE, "style sheets have 80,006 characters"),
        ("<style>" + "rect{fill:red}" * 4000 + "</style>" + SQUARE * 200, "too many rules"),
        (f'<g transform="{"rotate(1)" * 300}">{SQUARE}</g>', "a transform that is too long"),
    ],
    ids=lambda value: f"{zlib.crc32(value.encode()):08x}",
)
def test_drawing_too_large_or_broken_raises_outline_error_in_one_line(body: str, message: str) -> None:
    with pytest.raises(OutlineError, match=message) as caught:
        parse_body(body)
    assert str(caught.value).startswith("shape/it.svg: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "unread",
    [
        f'<g opacity="{"0" * 3000}x">{DOT}</g>',
        f"<style>.a{{{'q:1;' * 3000}}}</style>{DOT}",
        f'<metadata>{"x" * 50_000}</metadata><g inkscape-label="{"y" * 50_000}">{DOT}</g>',
        f'<image href="cat.png"/><a href="https://example.org">{DOT}</a>',
        f'<font-face src="url(https://example.org/f)"/>{DOT}',
    ],
    ids=lambda value: f"{zlib.crc32(value.encode()):08x}",
)
def test_long_or_foreign_text_that_nothing_reads_is_no_reason_to_refuse(unread: str) -> None:
    np.testing.assert_allclose(parse_body(unread).strokes.points, parse_body(DOT).strokes.points)
