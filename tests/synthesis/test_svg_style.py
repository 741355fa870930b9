"""CSS: which declaration wins, which selectors apply, and what is refused by name."""

import math
from pathlib import Path
from xml.etree import ElementTree

import pytest

from strokewise.errors import OutlineError
from strokewise.synthesis import svg
from strokewise.synthesis.svg_style import Style, StyleSheet, parse_opacity, parse_rgb

BODY = '<g class="icon a" id="g"><rect class="box" width="9" height="9"/><path d="M0 0L9 9"/></g><circle r="4"/>'
SHAPES = ("rect", "path", "circle")


def styles(css: str, body: str = BODY) -> dict[str, Style]:
    """The computed style of each element by its tag name."""
    root = ElementTree.fromstring(f"<svg><style>{css}</style>{body}</svg>")  # noqa: S314 - our own
    sheet = StyleSheet(root)
    found: dict[str, Style] = {}

    def walk(node: ElementTree.Element, parent: Style | None) -> None:
        found[node.tag] = Style(sheet.declared(node), parent)
        for child in node:
            walk(child, found[node.tag])

    walk(root, None)
    return found


@pytest.mark.parametrize(
    ("selector", "hidden"),
    [
        ("rect", {"rect"}),
        (".box", {"rect"}),
        ("g path", {"path"}),
        ("svg path", {"path"}),
        (".icon path", {"path"}),
        (".icon > rect", {"rect"}),
        ("svg > rect", set()),
        ("rect + path", {"path"}),
        ("rect ~ path", {"path"}),
        ("g + circle", {"circle"}),
        (".icon.a .box", {"rect"}),
        ("#g *", {"rect", "path"}),
        ("[class='box']", {"rect"}),
        ("[d^='M0']", {"path"}),
        ("path, circle", {"path", "circle"}),
        ("g :not(.box)", {"path"}),
        ("g :first-child", {"rect"}),
        ("g :last-child", {"path"}),
        ("g :nth-child(2)", {"path"}),
        (":is(path, circle)", {"path", "circle"}),
        ("rect:hover", set()),
        ("path::before", set()),
        ("g:has(rect) path", {"path"}),
        (".nothing", set()),
    ],
)
def test_selector_chooses_what_it_means(selector: str, hidden: set[str]) -> None:
    found = styles(f"{selector} {{ display: none }}".replace(">", "&gt;"))
    assert {name for name in SHAPES if found[name]["display"] == "none"} == hidden


@pytest.mark.parametrize(
    ("css", "attributes", "fill"),
    [
        ("", 'fill="red"', "red"),
        ("rect { fill: blue }", 'fill="red"', "blue"),
        ("rect { fill: blue }", 'style="fill: red"', "red"),
        ("rect { fill: blue !important }", 'style="fill: red"', "blue"),
        (".b { fill: green } rect { fill: blue }", 'class="b"', "green"),
        ("rect { fill: green } rect { fill: blue }", "", "blue"),
        ("#r { fill: green } .b { fill: blue }", 'class="b" id="r"', "green"),
        ("svg { fill: gold }", "", "gold"),
        ("svg { fill: gold }", 'fill="inherit"', "gold"),
        ("svg { fill: gold } rect { fill: initial }", "", "black"),
        ("svg { fill: gold } rect { fill: unset }", "", "gold"),
        ("svg { fill: gold }", 'fill="no colour"', "gold"),
        ("svg { --ink: teal } rect { fill: var(--ink) }", "", "teal"),
        ("rect { fill: var(--ink, var(--other, plum)) }", "", "plum"),
        ("@media print { rect { fill: red } }", 'fill="blue"', "blue"),
        ("@media screen { rect { fill: red } }", 'fill="blue"', "red"),
        ("@media (prefers-color-scheme:dark) { rect { fill: red } }", "", "black"),
        ("@font-face { src: url(https://example.org/f) } rect { fill: red }", "", "red"),
        ("/* rect { fill: red } */", "", "black"),
        ("rect { fill: red; unknown-thing: 3; broken }", "", "red"),
    ],
)
def test_cascade_ends_with_the_value_that_a_browser_uses(css: str, attributes: str, fill: str) -> None:
    assert styles(css, f"<rect {attributes}/>")["rect"]["fill"] == fill


@pytest.mark.parametrize(
    ("css", "message"),
    [
        ("rect:nonsense { display: none }", r"selector 'rect:nonsense' is not understood"),
        ("rect:popover-open { fill: none }", "selector 'rect:popover-open' is not understood"),
        ("> rect { fill: none }", "selector '> rect' is not understood"),
        ("@supports (fill: red) { rect { fill: none } }", "@supports .* is not understood"),
        ("@media (min-width: 100px) { rect { fill: none } }", "@media .min-width: 100px. is not understood"),
        ("@layer base { rect { fill: none } }", "@layer base is not understood"),
        ("@import url(a.css);", "refers to url.a.css., which is not in the file"),
        (".icon { rect { display: none } }", "within another is not understood"),
        ("rect { translate: 9px 4px }", "property translate: 9px 4px is not understood"),
        ("rect { rotate: 45deg }", "property rotate"),
        ("rect { scale: 2 }", "property scale"),
        ("rect { offset-path: path('M0 0') }", "property offset-path"),
        ("rect { mask-image: none, url(#m) }", "property mask-image"),
        ("rect { fill: var(--missing) }", "variable --missing has no value"),
        ("svg { --a: var(--a) } rect { fill: var(--a) }", "variable refers to itself"),
        ("rect { fill: red", "never"),
    ],
)
def test_what_decides_and_is_not_understood_is_named(css: str, message: str) -> None:
    if message == "never":  # CSS closes what is left open
        assert styles(css)["rect"]["fill"] == "red"
        return
    with pytest.raises(OutlineError, match=message):
        styles(css.replace(">", "&gt;"))


def test_media_attribute_of_a_style_sheet_counts() -> None:
    body = '<style media="print">rect { fill: red }</style><style media="screen">rect { stroke: red }</style><rect/>'
    found = styles("", body)["rect"]
    assert (found["fill"], found["stroke"]) == ("black", "red")
    with pytest.raises(OutlineError, match=r"@media \(width > 3px\) is not understood"):
        styles("", '<style media="(width &gt; 3px)">rect { fill: red }</style><rect/>')


@pytest.mark.parametrize("name", ["translate", "rotate", "scale", "offset-path", "mask-image"])
def test_refused_property_that_changes_nothing_is_ignored(name: str) -> None:
    styles(f"rect {{ {name}: none }}")


def test_opacity_of_paint_is_that_of_its_colour_times_its_own() -> None:
    found = styles("rect { fill: rgb(0 0 0 / 50%); fill-opacity: 0.5; stroke: currentColor; color: #0008 }")["rect"]
    assert found.alpha("fill") == pytest.approx(0.25)
    assert found.alpha("stroke") == pytest.approx(0x88 / 255)
    assert styles("rect { fill: none }")["rect"].alpha("fill") is None


@pytest.mark.parametrize(
    ("text", "value"), [("0.5", 0.5), ("50%", 0.5), ("3", 1.0), ("-1", 0.0), ("nan", 1.0), ("", 1.0), ("+0e0", 0.0)]
)
def test_opacity_is_a_number_or_percentage_from_0_to_1(text: str, value: float) -> None:
    assert parse_opacity(text) == value


@pytest.mark.parametrize("text", ["white", "#fff", "#ffffff", "rgb(255, 255, 255)", "hsl(0 0% 100%)", "hwb(0 100% 0%)"])
def test_white_is_white_however_it_is_written(text: str) -> None:
    colour = parse_rgb(text)
    assert colour is not None
    assert all(math.isclose(channel, 1, abs_tol=1e-6) for channel in colour)
    assert parse_rgb("currentcolor") is parse_rgb("no colour") is None


def test_css_hides_what_it_hides_in_a_file() -> None:
    text = f'<svg xmlns="http://www.w3.org/2000/svg"><style>.icon *{{display:none}}</style>{BODY}</svg>'
    assert len(svg.extract_polylines(svg.parse_svg(text.encode(), Path("it.svg")), Path("it.svg"))) == 1
