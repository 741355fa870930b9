"""The catalogue: what a shape allows, files and folders that are refused, and how it is listed."""

import pickle
import zlib
from pathlib import Path

import pytest

from strokewise.errors import OutlineError
from strokewise.synthesis import outlines
from strokewise.synthesis.outlines import Catalogue, Outline

HEAD = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 100 100">'
SQUARE = '<rect x="1" y="1" width="2" height="2"/>'


def parse_body(body: str, head: str = HEAD) -> Outline:
    return outlines.parse_outline(f"{head}{body}</svg>".encode(), Path("shape/it.svg"))


def test_allowances_are_read_from_the_root_element() -> None:
    default = parse_body('<circle r="5"/>')
    assert (default.stretch, default.turn, default.mirror) == (
        outlines.DEFAULT_STRETCH,
        outlines.DEFAULT_TURN_DEG,
        outlines.DEFAULT_MIRROR,
    )
    unrelated = parse_body('<circle r="5"/>', HEAD[:-1] + ' data-start="1" data-sketch="2" data-name="3">')
    assert unrelated.stretch == outlines.DEFAULT_STRETCH
    own = parse_body('<circle r="5"/>', HEAD[:-1] + ' data-stretch="0.2 3" data-turn="90" data-mirror="yes">')
    assert (own.stretch, own.turn, own.mirror) == ((0.2, 3.0), 90.0, True)


@pytest.mark.parametrize(
    ("attribute", "message"),
    [
        ('data-stretch="2"', 'data-stretch="2" must be two numbers, 0.11 to 1 and 1 to 9'),
        ('data-stretch="2 3"', "must be two numbers"),
        ('data-stretch="0.5 nan"', "must be two numbers"),
        ('data-turn="200"', 'data-turn="200" must be degrees either way, 0 to 180'),
        ('data-turn="some"', "must be degrees"),
        ('data-mirror="maybe"', 'data-mirror="maybe" must be yes or no'),
        ('Data-Turn="90"', "Data-Turn is unknown; did you mean data-turn"),
        ('data-strech="1 2"', "data-strech is unknown; did you mean data-stretch"),
    ],
)
def test_invalid_allowance_raises_outline_error(attribute: str, message: str) -> None:
    with pytest.raises(OutlineError, match=message):
        parse_body('<circle r="5"/>', f"{HEAD[:-1]} {attribute}>")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (f"{HEAD}</svg>".encode(), "holds no outline; draw the shape"),
        (f"{HEAD}<text>A</text></svg>".encode(), "holds only text; draw the shape"),
        (f'{HEAD}<image href="data:image/png;base64,AAAA"/></svg>'.encode(), "holds only pictures"),
        (f'{HEAD}<rect width="9" height="9" fill="none"/></svg>'.encode(), "holds no visible outline"),
        (f'{HEAD}<path d="M5 5 L5 5"/></svg>'.encode(), r"holds no visible outline|of zero length"),
        (f'{HEAD}<path d="M1 1 L 90 hello"/></svg>'.encode(), "path data cannot be read"),
        (f'{HEAD}<circle r="5" data-turn="90"/></svg>'.encode(), "data-turn is set on <circle>; set it on <svg>"),
        ((HEAD + '<circle r="3"/>' * 1500 + "</svg>").encode(), "256 are allowed"),
        (f'{HEAD}<path d="M5 5"/></svg>'.encode(), "holds no visible outline"),
        (f'{HEAD}<circle r="0"/></svg>'.encode(), r"holds no visible outline|of zero length"),
        (f'{HEAD}<path d="M0 0 L1e300 5"/></svg>'.encode(), "coordinates that are not numbers up to"),
        (f'{HEAD}<path d="M0 0 {"l.2 9 l.2 -9 " * 200}"/></svg>'.encode(), "has 401 edges, 256 are allowed"),
    ],
    ids=lambda value: f"{zlib.crc32(value):08x}" if isinstance(value, bytes) else None,
)
def test_svg_without_a_drawable_shape_raises_outline_error(content: bytes, message: str) -> None:
    with pytest.raises(OutlineError, match=message):
        outlines.parse_outline(content, Path("shape/it.svg"))


def test_file_size_is_checked_before_reading(tmp_path: Path) -> None:
    (tmp_path / "big").mkdir()
    with (tmp_path / "big" / "huge.svg").open("wb") as file:
        file.truncate(2**40)  # sparse: reading it would take all memory
    with pytest.raises(OutlineError, match=r"huge.svg has 1,099,511,627,776 bytes, 256,000 are allowed"):
        outlines.load_catalogue(tmp_path)


def test_invalid_folder_raises_outline_error(tmp_path: Path) -> None:
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
    with pytest.raises(OutlineError, match=r"barn.svg is in no shape's folder; move it into .* its shape: barn/"):
        outlines.load_catalogue(tmp_path)
    (tmp_path / "barn.svg").unlink()
    (tmp_path / "house\n").mkdir()
    with pytest.raises(OutlineError, match="cannot be the name of a shape"):
        outlines.load_catalogue(tmp_path)


def test_shapes_and_variants_are_listed_in_order(tmp_path: Path) -> None:
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


def test_catalogue_can_be_pickled(catalogue: Catalogue) -> None:
    copy = pickle.loads(pickle.dumps(catalogue))  # noqa: S301 - our own, as multiprocessing does it
    assert (copy.shapes, copy.digest) == (catalogue.shapes, catalogue.digest)


@pytest.mark.parametrize(
    ("attribute", "message"),
    [
        ('data-fit="stretchy"', 'data-fit="stretchy" must be similarity, box, affine or vertices'),
        ('data-fit="vertices"', "is for an outline that is one polygon"),
        ('data-points="tail"', "must name points as"),
        ('data-points="tail 1"', "must name points as"),
        ('data-points="tail 1 x"', "must name points as"),
        ('data-points="tail 1 nan"', "must name points as"),
        ('data-points="a b 1 2"', "must name points as"),
        ('data-points="tail 1 2, tail 3 4"', "names tail twice"),
        (f'data-points="{", ".join(f"p{i} {i} 0" for i in range(33))}"', "names 33 points, 32 are allowed"),
        ('data-fitt="box"', "did you mean data-fit"),
    ],
)
def test_invalid_fit_or_points_raise_outline_error(attribute: str, message: str) -> None:
    content = (
        f'<svg xmlns="http://www.w3.org/2000/svg" {attribute}><path d="M0 0L9 9L4 0" stroke="#000" fill="none"/></svg>'
    )
    with pytest.raises(OutlineError, match=message):
        outlines.parse_outline(content.encode(), Path("a.svg"))
