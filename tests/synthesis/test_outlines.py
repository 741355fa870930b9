"""From SVG to ideal strokes: lengths and areas against svgelements and the shoelace formula, and every bad file."""

import gzip
import math
import pickle
import zlib
from pathlib import Path

import numpy as np
import pytest
import svgelements

from strokewise.errors import OutlineError
from strokewise.synthesis import outlines
from strokewise.synthesis.outlines import Catalogue, Outline
from strokewise.synthesis.strokes import Points, polyline_length

HEAD = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 100 100">'


def read(body: str, head: str = HEAD) -> Outline:
    return outlines.parse_outline(f"{head}{body}</svg>".encode(), Path("shape/it.svg"))


def stroke(outline: Outline, number: int = 0) -> Points:
    one, end, _ = outline.strokes.parts[number]
    return outline.strokes.points[outline.strokes.first[one] : outline.strokes.last[end - 1] + 1]


def shoelace(line: Points) -> float:
    return abs(float((line.conj() * np.roll(line, -1)).imag.sum())) / 2


def drawn(path: Path) -> list[svgelements.Path]:
    return [svgelements.Path(part) for part in svgelements.SVG.parse(str(path)).elements()
            if isinstance(part, svgelements.Shape)]  # fmt: skip


def test_an_outline_is_as_long_as_svgelements_says(svg: Path, outline: Outline) -> None:
    shapes = drawn(svg)
    boxes = np.array([shape.bbox() for shape in shapes])
    side = max(boxes[:, 2].max() - boxes[:, 0].min(), boxes[:, 3].max() - boxes[:, 1].min())
    wanted = sum(shape.length(error=1e-5) for shape in shapes) * 2 / side
    got = sum(polyline_length(stroke(outline, number)) for number in range(len(outline.strokes.parts)))
    assert got == pytest.approx(wanted, rel=3e-3)


def test_an_outline_fills_its_frame(outline: Outline) -> None:
    points, half = outline.strokes.points, outline.strokes.half
    assert max(half.real, half.imag) == pytest.approx(1)
    assert points.real.max() == pytest.approx(half.real)
    assert points.real.min() == pytest.approx(-half.real)
    assert points.imag.max() == pytest.approx(half.imag)
    assert points.imag.min() == pytest.approx(-half.imag)


def test_every_edge_has_its_points_in_order(outline: Outline) -> None:
    strokes = outline.strokes
    assert strokes.first[0] == 0
    assert strokes.last[-1] == len(strokes.points) - 1
    np.testing.assert_array_equal(strokes.first[1:], strokes.last[:-1] + 1)
    np.testing.assert_array_equal(strokes.along[strokes.first], 0)
    np.testing.assert_array_equal(strokes.along[strokes.last], 1)
    for one, end, closed in strokes.parts:
        meets = abs(strokes.points[strokes.first[one]] - strokes.points[strokes.last[end - 1]]) < 1e-9
        assert meets or not closed
        np.testing.assert_allclose(
            strokes.points[strokes.last[one : end - 1]], strokes.points[strokes.first[one + 1 : end]]
        )


@pytest.mark.parametrize(
    ("body", "area"),
    [
        ('<circle cx="50" cy="50" r="40"/>', math.pi),
        ('<ellipse cx="50" cy="50" rx="40" ry="20"/>', math.pi / 2),
        ('<rect x="10" y="10" width="80" height="40"/>', 2),
        ('<polygon points="10,90 90,90 50,10"/>', 2),
        ('<path d="M10 10 h80 v80 h-80 z"/>', 4),
        ('<path d="M10 50 A40 40 0 0 0 90 50 Z"/>', math.pi / 2),
        ('<g transform="rotate(90) scale(3)"><rect width="20" height="10"/></g>', 2),
        ('<defs><rect id="r" width="20" height="10"/></defs><use xlink:href="#r" x="7"/>', 2),
    ],
)
def test_shapes_have_the_area_of_their_formula(body: str, area: float) -> None:
    assert shoelace(stroke(read(body))) == pytest.approx(area, rel=4e-3)


@pytest.mark.parametrize(
    ("body", "strokes", "corners"),
    [
        ('<path d="M10 10 L90 90 M90 10 L10 90"/>', 2, 2),
        ('<polyline points="10,10 50,90 90,10"/>', 1, 2),
        ('<polygon points="10,90 90,90 50,10"/>', 1, 3),
        ('<rect x="10" y="10" width="80" height="60" rx="20"/>', 1, 0),
        ('<line x1="1" y1="1" x2="9" y2="3"/><circle r="5"/>', 2, 1),
        ('<path d="M10 90 L90 90 L50 10 L10 90"/>', 1, 3),
    ],
)
def test_strokes_and_corners_are_found(body: str, strokes: int, corners: int) -> None:
    found = read(body).strokes
    assert len(found.parts) == strokes
    assert found.cornered.sum() == corners


def test_what_is_not_drawn_is_passed_over() -> None:
    hidden = '<rect width="500" height="500" fill="none" stroke="none"/><text x="3" y="4">A</text>'
    assert read(hidden + '<circle r="5"/>').strokes.half == pytest.approx(1 + 1j, abs=1e-3)


LINE = '<path d="M10 10 L90 10 L90 50" fill="none" stroke="red"/>'
DOT = '<circle cx="50" cy="80" r="5"/>'


@pytest.mark.parametrize(
    "hidden",
    [
        '<rect width="100" height="100" fill="white"/>',  # the page's ground
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
def test_what_cannot_be_seen_is_no_part_of_the_shape(hidden: str) -> None:
    alone, with_it = read(LINE), read(hidden + LINE)
    np.testing.assert_allclose(with_it.strokes.points, alone.strokes.points)


@pytest.mark.parametrize(
    "seen",
    [
        '<rect width="100" height="60" fill="white"/>',
        '<rect width="100" height="100" fill="white" stroke="black"/>',
        DOT.replace("/>", ' opacity="0.05"/>'),
        '<rect width="100" height="100" fill="black"/>',
        '<rect width="100" height="100" rx="20" fill="white"/>',
        '<rect x="200" width="100" height="100" fill="white"/>',
        DOT.replace("/>", ' fill="none" stroke="red" stroke-width="inherit"/>'),
        DOT.replace("/>", ' style="fill:url(&quot;#g&quot;)"/>'),
        f"<style>@font-face{{src:url('https://x/y')}} /* @import */</style><desc>url(http://a)</desc>{DOT}",
        f'<symbol id="s">{DOT}</symbol><use href="#s"/>',
        f'<defs><symbol id="s">{DOT}</symbol></defs><use href="#s"/>',
    ],
)
def test_what_can_be_seen_is_part_of_the_shape_once(seen: str) -> None:
    assert len(read(seen + LINE).strokes.parts) == 2


def test_a_box_alone_is_a_shape_and_no_ground() -> None:
    assert read('<rect width="100" height="100" fill="white"/>').strokes.half == 1 + 1j


SIZED = '<svg xmlns="http://www.w3.org/2000/svg" width="300" height="100px">'
SQUARE = '<rect x="1" y="1" width="2" height="2"/>'


@pytest.mark.parametrize(
    ("body", "head", "half"),
    [
        (f'<g transform="matrix(1 0 0 2 5 5)">{SQUARE}</g>', HEAD, 0.5 + 1j),
        (f'<g transform="scale(3)"><g transform="rotate(90)">{SQUARE}</g></g>', HEAD, 1 + 1j),
        ('<rect width="4" height="2" transform="skewX(45)"/>', HEAD, 1 + 1j / 3),
        ('<rect width="4" height="4" transform="rotate(45)"/>', HEAD, 1 + 1j),
        ('<rect width="4" height="2" transform="rotate(90) translate(9 9)"/>', HEAD, 0.5 + 1j),
        ('<circle r="4" transform="skewX(45)"/>', HEAD, 1 + 1j / math.sqrt(2)),
        ('<path d="M0 0 C0 4 4 4 4 0 S8 -4 8 0"/>', HEAD, 1 + 0.75j),
        ('<path d="M0 0 Q2 4 4 0 T8 0"/>', HEAD, 1 + 0.5j),
        ('<path d="M0 0 A4 4 0 0 1 8 0"/>', HEAD, 1 + 0.5j),
        (f'<svg x="3" y="3" width="9" height="9" viewBox="0 0 4 4">{SQUARE}</svg>', HEAD, 1 + 1j),
        ('<rect width="40mm" height="2cm"/>', HEAD, 1 + 0.5j),
        ('<rect width="100%" height="50%"/>', SIZED, 1 + 1j / 6),
        ('<rect width="100%" height="100%"/>', SIZED.replace("300", "10cm").replace("100px", "50mm"), 1 + 0.5j),
        (f'<style>.no {{ display: none }}</style><g class="no"><circle r="70"/></g>{SQUARE}', HEAD, 1 + 1j),
    ],
)
def test_whatever_a_drawing_program_writes_is_read(body: str, head: str, half: complex) -> None:
    assert read(body, head).strokes.half == pytest.approx(half, abs=2e-3)


def test_what_a_shape_allows_stands_in_its_file() -> None:
    plain = read('<circle r="5"/>')
    assert (plain.stretch, plain.turn, plain.mirror) == (
        outlines.DEFAULT_STRETCH,
        outlines.DEFAULT_TURN_DEG,
        outlines.DEFAULT_MIRROR,
    )
    assert (
        read('<circle r="5"/>', HEAD[:-1] + ' data-start="1" data-sketch="2" data-name="3">').stretch
        == outlines.DEFAULT_STRETCH
    )
    told = read('<circle r="5"/>', HEAD[:-1] + ' data-stretch="0.2 3" data-turn="90" data-mirror="yes">')
    assert (told.stretch, told.turn, told.mirror) == ((0.2, 3.0), 90.0, True)


@pytest.mark.parametrize(
    ("attribute", "message"),
    [
        ('data-stretch="2"', 'data-stretch="2" must be two numbers, 0.11 to 1 and 1 to 9'),
        ('data-stretch="2 3"', "must be two numbers"),
        ('data-stretch="0.5 nan"', "must be two numbers"),
        ('data-turn="200"', 'data-turn="200" must be degrees either way, 0 to 180'),
        ('data-turn="some"', "must be degrees"),
        ('data-mirror="maybe"', 'data-mirror="maybe" must be yes or no'),
        ('Data-Turn="90"', "Data-Turn is not known; did you mean data-turn"),
        ('data-strech="1 2"', "data-strech is not known; did you mean data-stretch"),
    ],
)
def test_a_wrong_allowance_is_named(attribute: str, message: str) -> None:
    with pytest.raises(OutlineError, match=message):
        read('<circle r="5"/>', f"{HEAD[:-1]} {attribute}>")


LAUGHS = '<!DOCTYPE svg [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;">]><svg xmlns="http://www.w3.org/2000/svg">&b;</svg>'
DOUBLED = "".join(f'<g id="g{i}"><use xlink:href="#g{i - 1}"/><use xlink:href="#g{i - 1}"/></g>' for i in range(1, 40))
USES = '<use href="#p"/>' * 30


def laughs(refers: str, named: str) -> str:
    """Each of a few groups ten times the one before."""
    groups = [f"<g {named.format('a0')}>{SQUARE}</g>"]
    for i in range(1, 6):
        used = f"<use {refers.format(f'a{i - 1}')}/>" * 10
        groups.append(f"<g {named.format(f'a{i}')}>{used}</g>")
    return "".join(groups)


BOMB = "M0 0" + "".join(f"L{i % 90} {i % 7}" for i in range(15_000))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it.svg is empty"),
        (b" \n", "it.svg is empty"),
        (b"a cat", "it.svg is not SVG: syntax error"),
        (b"<html><body/></html>", "is not SVG: its root element is <html>"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "is not SVG"),
        (HEAD.encode(), "is not SVG: no element found"),
        (f"{HEAD}</svg>".encode(), "holds no outline; draw the shape"),
        (f"{HEAD}<text>A</text></svg>".encode(), "holds only text; draw the shape"),
        (f'{HEAD}<image href="data:image/png;base64,AAAA"/></svg>'.encode(), "holds only pictures"),
        (f'{HEAD}<rect width="9" height="9" fill="none"/></svg>'.encode(), "holds no outline"),
        (f'{HEAD}<path d="M5 5 L5 5"/></svg>'.encode(), r"holds no outline|of no length"),
        (
            f'{HEAD}<path d="M1 1 L 90 hello"/></svg>'.encode(),
            "holds no outline that can be seen: its lines are broken",
        ),
        (f'{HEAD}<circle r="5" data-turn="90"/></svg>'.encode(), "data-turn stands on <circle>; put it on <svg>"),
        (gzip.compress(f"{HEAD}{SQUARE}</svg>".encode()), "is compressed; export it as plain SVG"),
        (
            b'<?xml-stylesheet href="a.css"?>' + f"{HEAD}{SQUARE}</svg>".encode(),
            "refers to .*xml-stylesheet.* outside the file",
        ),
        (f"{HEAD}<style>@import 'b.css';</style>{SQUARE}</svg>".encode(), "refers to .*@import.* outside the file"),
        (
            f'{HEAD}<rect width="9" height="9" fill="url(http://x/y#z)"/></svg>'.encode(),
            r"refers to 'http://x/y#z'",
        ),
        (f"{HEAD}{'<g>' * 3000}{SQUARE}{'</g>' * 3000}</svg>".encode(), "draws more than 2,000 elements"),
        (f'{HEAD}<g id=""><use href="#"/></g></svg>'.encode(), "or one within itself"),
        ((HEAD + laughs('xlink:href="#none" href="#{}"', 'id="{}"') + "</svg>").encode(), "draws more than 2,000"),
        ((HEAD + laughs('href=" #{}"', 'id="#{}"') + "</svg>").encode(), "draws more than 2,000"),
        ((HEAD + laughs('href="data:{}"', 'id="ata:{}"') + "</svg>").encode(), "draws more than 2,000"),
        (f'{HEAD}<polyline points="{"1" * 900}x"/></svg>'.encode(), "more than 40 digits in its points"),
        (f'{HEAD}<g opacity="{"0" * 3000}x">{SQUARE}</g></svg>'.encode(), "has 3,001 letters of opacity"),
        (
            f"{HEAD}<style>.a{{{'q:1;' * 3000}}}</style>{SQUARE}</svg>".encode(),
            "has 12,004 letters of style sheet, 8,000 are allowed",
        ),
        ((HEAD + '<circle r="3"/>' * 1500 + "</svg>").encode(), "256 is the most"),
        (b'<svg xmlns="foo"><path d="M0 0L5 5"/></svg>', "is not SVG"),
        (f'{HEAD}<path id="p" d="{BOMB[:9000]}"/>{USES}</svg>'.encode(), "words of path data, 20,000 are allowed"),
        (f'{HEAD}<path d="M0 0L{".1" * 30_000}"/></svg>'.encode(), "has 30,004 words of path data"),
        (f'{HEAD}<path d="M5 5"/></svg>'.encode(), "holds no outline"),
        (f'{HEAD}<circle r="0"/></svg>'.encode(), r"holds no outline|of no length"),
        (f'{HEAD}<path d="M0 0 L1e300 5"/></svg>'.encode(), "coordinates that are no numbers up to"),
        (f'{HEAD}<use href="https://example.org/a.svg#b"/></svg>'.encode(), r"refers to 'https://example.org/a.svg#b'"),
        (f'{HEAD}<image xlink:href="cat.png"/></svg>'.encode(), r"refers to 'cat.png' outside the file"),
        (LAUGHS.encode(), "declares XML entities"),
        (LAUGHS.encode("utf-16"), "declares XML entities"),
        (f'{HEAD}<path d="{BOMB}"/></svg>'.encode(), "has 45,003 words of path data, 20,000 are allowed"),
        (f'{HEAD}<g id="g0"><circle r="5"/></g>{DOUBLED}</svg>'.encode(), "draws more than 2,000 elements"),
        (f'{HEAD}<g id="a"><use href="#a"/><circle r="5"/></g></svg>'.encode(), "or one within itself"),
        (f'{HEAD}<path d="M0 0 {"l9 9 l9 -9 " * 200}"/></svg>'.encode(), "has 400 edges; 256 is the most"),
    ],
    ids=lambda value: f"{zlib.crc32(value):08x}" if isinstance(value, bytes) else None,
)
def test_a_bad_file_is_named_with_what_is_wrong(content: bytes, message: str) -> None:
    with pytest.raises(OutlineError, match=message):
        outlines.parse_outline(content, Path("shape/it.svg"))


def test_a_file_is_measured_before_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "big").mkdir()
    with (tmp_path / "big" / "huge.svg").open("wb") as file:
        file.truncate(2**40)  # sparse: reading it would take all memory
    with pytest.raises(OutlineError, match=r"huge.svg has 1,099,511,627,776 bytes, 256,000 are allowed"):
        outlines.load_catalogue(tmp_path)


def test_a_bad_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutlineError, match=r"no folder .*nowhere"):
        outlines.load_catalogue(tmp_path / "nowhere")
    with pytest.raises(OutlineError, match="holds no shapes"):
        outlines.load_catalogue(tmp_path)
    (tmp_path / "house").mkdir()
    with pytest.raises(OutlineError, match="house is empty"):
        outlines.load_catalogue(tmp_path)
    (tmp_path / "house" / "notes.txt").write_text("later")
    with pytest.raises(OutlineError, match=r"notes.txt is not an SVG file"):
        outlines.load_catalogue(tmp_path)
    (tmp_path / "other").mkdir()
    with pytest.raises(OutlineError, match="`other` is reserved"):
        outlines.load_catalogue(tmp_path)
    (tmp_path / "barn.svg").write_text(f"{HEAD}{SQUARE}</svg>")
    with pytest.raises(OutlineError, match=r"barn.svg lies beside the shapes; put it in .* its name: barn/"):
        outlines.load_catalogue(tmp_path)
    (tmp_path / "barn.svg").unlink()
    (tmp_path / "house\n").mkdir()
    with pytest.raises(OutlineError, match="is no name for a shape"):
        outlines.load_catalogue(tmp_path)


def test_a_new_shape_is_a_new_file(tmp_path: Path) -> None:
    for name in ("zigzag", "house"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "plain.svg").write_text(f'{HEAD}<polyline points="1,9 1,4 5,1 9,4 9,9 1,9"/></svg>')
    before = outlines.load_catalogue(tmp_path)
    assert before.shapes == ("house", "other", "zigzag")
    assert [len(variants) for variants in before.outlines] == [1, 0, 1]
    (tmp_path / "house" / "wide.svg").write_text(f'{HEAD}<circle r="5"/></svg>')
    after = outlines.load_catalogue(tmp_path)
    assert [outline.variant for outline in after.outlines[0]] == ["plain", "wide"]
    assert before.digest != after.digest == outlines.load_catalogue(tmp_path).digest


def test_a_catalogue_can_be_sent_to_another_process(catalogue: Catalogue) -> None:
    sent = pickle.loads(pickle.dumps(catalogue))  # noqa: S301 - our own, as multiprocessing does it
    assert (sent.shapes, sent.digest) == (catalogue.shapes, catalogue.digest)
