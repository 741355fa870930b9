"""Where things stand, what is hidden, cut and added: against a real browser, which draws every case once."""

import base64
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from strokewise.errors import OutlineError
from strokewise.synthesis import svg

Browse = Callable[..., tuple[str, str]]
Masks = dict[str, NDArray[np.bool_]]
SIDE, COLUMNS = 300, 8  # pixels of a picture, whose view box is 100 wide; pictures in a row of the page
STROKE = 3  # units
HEAD = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 100 100"'
DRAW = f'fill="none" stroke="black" stroke-width="{STROKE}"'
ZIGZAG = '<path d="M10 10 L90 10 L90 50 L40 70"/>'
FLAG = '<path d="M0 0 H10 V6 H0 Z"/>'
DISC = '<circle cx="50" cy="50" r="40"/>'
CLIPPED = '<circle cx="50" cy="50" r="40" clip-path="url(#c)"/>'
CLIP = '<clipPath id="c"><rect width="100" height="50"/></clipPath>'
SYMBOL = f'<symbol id="s" viewBox="0 0 10 10">{FLAG}</symbol>'
MARKER = '<marker id="m" markerWidth="6" markerHeight="5" {}><path d="M0 0 L6 2.5 L0 5 Z"/></marker>'
MARKER_ATTRIBUTES = (
    'refX="3" refY="2.5"',
    'orient="auto" refX="6" refY="2.5"',
    'orient="40"',
    'orient="auto-start-reverse" refX="6" refY="2.5"',
    'markerUnits="userSpaceOnUse" orient="auto" viewBox="0 0 2 2" overflow="visible"',
    'viewBox="0 0 4 4" refX="2" refY="2" orient="0.5turn"',
)
MARKED_SHAPES = (
    '<line x1="20" y1="30" x2="80" y2="60" {}/>',
    '<path d="M20 20 L80 20 C90 60 60 80 50 80" {}/>',
    '<polyline points="20,20 80,20 50,80" {}/>',
    '<polygon points="20,20 80,20 50,80" {}/>',
)

PLACED = [
    # nested viewports
    f'<svg x="50" y="50" width="40" height="20" viewBox="0 0 40 20">{FLAG}</svg>',
    f'<svg x="5" y="20" width="80" height="20" viewBox="0 0 20 20">{FLAG}</svg>',
    f'<svg x="5" y="20" width="80" height="20" viewBox="0 0 20 20" preserveAspectRatio="none">{FLAG}</svg>',
    f'<svg y="20" width="80" height="60" viewBox="0 0 20 9" preserveAspectRatio="xMaxYMax slice">{FLAG}</svg>',
    f'<svg x="10%" y="20%" width="50%" height="50%"><svg x="10" viewBox="0 0 20 20">{FLAG}</svg></svg>',
    f'<svg x="50" y="50" viewBox="0 0 10 10">{FLAG}</svg>',
    f'<g transform="translate(20 5)"><svg x="10" y="10">{FLAG}<g transform="scale(2)">{FLAG}</g></svg></g>',
    f'<svg viewBox="-20 -10 50 50" transform="rotate(20)" x="30">{FLAG}</svg>',
    # use and symbol
    f'{SYMBOL}<use href="#s" x="20" y="30" width="50" height="50"/>',
    f'{SYMBOL}<use xlink:href="#s" width="40" height="90%"/>',
    f'{SYMBOL}<g transform="scale(.5)"><use href="#s" x="20"/></g>',
    f'<defs><g id="g" transform="rotate(20)">{FLAG}</g></defs><use href="#g" x="40" transform="scale(2)"/>',
    f'<defs><svg id="v" width="30" height="30" viewBox="0 0 10 10">{FLAG}</svg></defs>'
    '<use href="#v" x="5" y="9"/><use href="#v" x="50" y="9" width="50"/>',
    # transforms
    f'<g transform="rotate(30, 50, 50)">{ZIGZAG}</g>',
    f'<g transform="rotate(90)" transform-origin="50 50">{ZIGZAG}</g>',
    f'<g style="transform: rotate(0.25turn); transform-origin: 50px 50px">{ZIGZAG}</g>',
    f'<g style="transform: rotate(40deg); transform-origin: center">{ZIGZAG}</g>',
    f'<g style="transform: scale(.5); transform-box: fill-box; transform-origin: right bottom">{ZIGZAG}</g>',
    f'<g style="transform: translate(10px, 12px) skewX(10deg) scale(.5)">{ZIGZAG}</g>',
    f'<g style="transform: translate(10%, 20%)">{FLAG}</g>',
    f'<g style="transform: translate(50%, 100%); transform-box: fill-box">{FLAG}</g>',
    f'<g transform="matrix(.5 .2 -.3 .6 40 10) translate(3) scale(1 .5)">{ZIGZAG}</g>',
    # geometry in other units, and set by CSS
    '<rect x="10%" y="1em" width="5mm" height="50%"/>',
    '<g font-size="30"><rect x="1em" y=".5em" width="1em" height="20%"/></g>',
    '<rect x="10" y="10" rx="12" width="60" height="40"/><ellipse cx="50%" cy="70" rx="10%" ry="20%"/>',
    "<style>circle { r: 30px; cx: 50px; cy: 40% }</style><circle/>",
    '<style>path { d: path("M10 10 H60 V40 Z") }</style><path/>',
    f'<switch><g systemLanguage="de">{FLAG}</g><g systemLanguage="en">{ZIGZAG}</g><g>{FLAG}</g></switch>',
    # arcs, curves, several subpaths
    '<path d="M20 50 a20 30 20 1 1 40 10 q9 9 9-20t10 3 c1 2 3 4 15 30 s-20 0 -30-10 z m-9 0 h30"/>',
    '<polyline points="10,10 40 20,60-5 1e1 40"/><polygon points="50 50 60 50 60 80"/>',
]
CUT = [
    f"{CLIP}{CLIPPED}",
    f'{CLIP}<g clip-path="url(#c)" transform="rotate(30 50 50)">{DISC}</g>',
    f'{CLIP}<g transform="scale(.5)"><g clip-path="url(#c)">{DISC}</g></g>',
    f'<clipPath id="c"><circle cx="30" cy="50" r="30"/></clipPath><g style="clip-path:url(#c)">{DISC}</g>',
    f'<clipPath id="c" clipPathUnits="objectBoundingBox"><rect width=".5" height="1"/></clipPath>{CLIPPED}',
    f'<clipPath id="c" transform="translate(50 0)"><rect width="100" height="100"/></clipPath>{CLIPPED}',
    '<clipPath id="b"><rect width="60" height="100"/></clipPath>'
    f'<clipPath id="c" clip-path="url(#b)"><rect x="30" width="99" height="99"/></clipPath>{CLIPPED}',
    f'<defs><rect id="r" width="100" height="50"/></defs><clipPath id="c"><use href="#r" y="60"/></clipPath>{CLIPPED}',
    # what lies outside the page, and outside a viewport within it
    '<path d="M10 10H90V60H10Z"/><path d="M900 900h50v50z"/>',
    '<circle cx="100" cy="50" r="40"/>',
    '<svg x="10" y="10" width="40" height="40"><circle cx="40" cy="20" r="30"/></svg>',
    '<svg x="10" y="10" width="40" height="40" overflow="visible"><circle cx="40" cy="20" r="30"/></svg>',
    '<symbol id="s" viewBox="0 0 9 9"><circle cx="9" cy="4" r="4"/></symbol><use href="#s" width="50" height="50"/>',
]
MARKED = [
    MARKER.format(attributes) + shape.format(f"{DRAW} {where}")
    for attributes in MARKER_ATTRIBUTES
    for shape in MARKED_SHAPES
    for where in ('marker-end="url(#m)"', 'style="marker-start:url(#m)"', 'style="marker:url(#m)"')
]


@pytest.fixture(scope="module")
def browser_masks(browse: Browse, tmp_path_factory: pytest.TempPathFactory) -> Masks:
    """The ink that a browser shows for each body, (SIDE, SIDE)."""
    folder, bodies = tmp_path_factory.mktemp("page"), [*PLACED, *CUT, *MARKED]
    images = []
    for number, body in enumerate(bodies):
        data = base64.b64encode(f"{HEAD}>{body}</svg>".encode()).decode()
        top, left = (step * SIDE for step in divmod(number, COLUMNS))
        place = f"position:absolute;top:{top}px;left:{left}px;width:{SIDE}px;height:{SIDE}px"
        images.append(f'<img style="{place}" src="data:image/svg+xml;base64,{data}">')
    (folder / "page.html").write_text(f"<!DOCTYPE html><body>{''.join(images)}", encoding="utf-8")
    size = f"--window-size={COLUMNS * SIDE},{-(-len(bodies) // COLUMNS) * SIDE}"
    browse(folder / "page.html", f"--screenshot={folder / 'page.png'}", size)
    picture = cv2.imread(str(folder / "page.png"), cv2.IMREAD_GRAYSCALE)
    assert picture is not None
    masks = {}
    for number, body in enumerate(bodies):
        top, left = (step * SIDE for step in divmod(number, COLUMNS))
        masks[body] = np.asarray(picture[top : top + SIDE, left : left + SIDE] < 128)
        assert masks[body].any(), body
    return masks


def read_lines(body: str, head: str = HEAD) -> list[NDArray[np.complex128]]:
    root = svg.parse_svg(f"{head}>{body}</svg>".encode(), Path("it.svg"))
    return [line for line, _ in svg.extract_polylines(root, Path("it.svg"))]


def rasterize(lines: list[NDArray[np.complex128]], filled: bool) -> NDArray[np.bool_]:
    """Lines as a browser draws them, filled or as strokes, (SIDE, SIDE)."""
    finer = 4
    mask = np.zeros((SIDE * finer, SIDE * finer), np.uint8)
    scale = SIDE * finer / 100 * 16
    corners = [np.rint(np.stack([line.real, line.imag], 1) * scale - 8).astype(np.int32) for line in lines]
    for corner in corners if filled else ():
        cv2.fillPoly(mask, [corner], 255, cv2.LINE_8, 4)
    if not filled:
        cv2.polylines(mask, corners, False, 255, STROKE * SIDE * finer // 100, cv2.LINE_8, 4)
    return np.asarray(cv2.resize(mask, (SIDE, SIDE), interpolation=cv2.INTER_AREA) > 127)


def overlap(found: NDArray[np.bool_], expected: NDArray[np.bool_]) -> float:
    """Intersection over union."""
    return float((expected & found).sum() / (expected | found).sum())


@pytest.mark.parametrize("body", PLACED)
def test_shapes_stand_where_a_browser_puts_them(body: str, browser_masks: Masks) -> None:
    assert overlap(rasterize(read_lines(body), filled=True), browser_masks[body]) > 0.97


@pytest.mark.parametrize("body", CUT)
def test_what_a_browser_cuts_is_cut(body: str, browser_masks: Masks) -> None:
    assert overlap(rasterize(read_lines(body), filled=True), browser_masks[body]) > 0.97


@pytest.mark.parametrize("body", MARKED)
def test_markers_are_drawn_where_a_browser_draws_them(body: str, browser_masks: Masks) -> None:
    lines = read_lines(body)
    assert len(lines) > 1
    stroke, arrowheads = rasterize(lines[:1], filled=False), rasterize(lines[1:], filled=True)
    assert overlap(stroke | arrowheads, browser_masks[body]) > 0.9
    assert overlap(arrowheads & ~stroke, browser_masks[body] & ~stroke) > 0.8


@pytest.mark.parametrize(
    ("marker", "shape"),
    [
        (MARKER.format(""), f'<path d="M10 50H90" {DRAW} marker-end="none"/>'),
        (MARKER.format(""), f'<path d="M10 50H90" {DRAW} marker-end="url(#nowhere)"/>'),
        (MARKER.format(""), f'<rect x="9" y="9" width="50" height="50" {DRAW} marker-end="url(#m)"/>'),
        (MARKER.format('display="none"'), f'<path d="M10 50H90" {DRAW} marker-end="url(#m)"/>'),
        (MARKER.format("").replace('Width="6"', 'Width="0"'), f'<path d="M10 50H90" {DRAW} marker-end="url(#m)"/>'),
        (MARKER.format(""), f'<path d="M10 50H90" {DRAW}/>'),
    ],
)
def test_marker_that_is_not_shown_adds_nothing(marker: str, shape: str) -> None:
    assert len(read_lines(marker + shape)) == 1


@pytest.mark.parametrize(
    "head",
    ['width="1em" height="1em"', 'width="auto" height=""', 'width="200" height="200" x="5" y="7"', 'width="100%"'],
)
def test_size_of_the_page_does_not_matter(head: str) -> None:
    [sized], [line] = read_lines(ZIGZAG, f"{HEAD} {head}"), read_lines(ZIGZAG)
    np.testing.assert_array_equal(sized, line)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (f'<mask id="k">{FLAG}</mask><g mask="url(#k)">{ZIGZAG}</g>', "uses a mask"),
        (f'<g style="clip-path: circle(40%)">{ZIGZAG}</g>', r"clip-path: circle\(40%\) is not understood"),
        (f'<clipPath id="c"/><g clip-path="url(#c)">{ZIGZAG}</g>', "a clip path hides all of it"),
        (
            f'<clipPath id="c"><path d="M0 0H60V20H20V60H0Z"/></clipPath>{CLIPPED}',
            "a clip path that is not convex cuts the drawing",
        ),
        (f'<g style="transform: rotate3d(1,0,0,40deg)">{ZIGZAG}</g>', "transform rotate3d"),
        (
            f'<g transform-origin="here 3" transform="scale(2)">{ZIGZAG}</g>',
            "transform-origin here 3 is not understood",
        ),
    ],
)
def test_what_decides_what_is_seen_and_is_not_understood_is_named(body: str, message: str) -> None:
    with pytest.raises(OutlineError, match=message):
        read_lines(body)


@pytest.mark.parametrize(
    "ground", ["M0 0h100v100H0z", "M100 100V0H0V100z", "M-5 -5H105V105H-5Z", "M0.5 0.5H99V99.5H0.5Z"]
)
@pytest.mark.parametrize("paint", ['fill="#fff"', 'style="fill:rgb(98%,96%,90%)"', 'fill="black" fill-opacity="0.01"'])
def test_background_is_left_out_however_it_is_written(ground: str, paint: str) -> None:
    [line] = read_lines(f'<path d="{ground}" {paint}/><g {DRAW}>{ZIGZAG}</g>')
    np.testing.assert_array_equal(line, read_lines(f"<g {DRAW}>{ZIGZAG}</g>")[0])
