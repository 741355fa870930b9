"""CSS of an SVG → for every element the values that decide what is seen and where.

Presentation attributes, style sheets and `style` attributes are cascaded as in CSS 2.1: by importance, origin,
specificity and order. Selectors are matched by cssselect2. What decides something and is not understood (a selector, an
at-rule, a property) raises OutlineError that names it; all other properties are ignored.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import cssselect2
import tinycss2
from tinycss2.color4 import parse_color

from strokewise.errors import OutlineError

MAX_STYLE_LENGTH = 65_536  # characters of all style sheets
MAX_MATCHES = 500_000  # selectors times elements
INHERITED = {
    "fill": "black",
    "fill-opacity": "1",
    "stroke": "none",
    "stroke-opacity": "1",
    "stroke-width": "1",
    "stroke-dasharray": "none",
    "visibility": "visible",
    "color": "black",
    "font-size": "16px",
    "marker-start": "none",
    "marker-mid": "none",
    "marker-end": "none",
    "clip-rule": "nonzero",
}
"""Properties that children inherit, with their initial values."""
OWN = {
    "display": "inline",
    "opacity": "1",
    "clip-path": "none",
    "mask": "none",
    "overflow": "",
    "transform": "none",
    "transform-origin": "",
    "transform-box": "view-box",
}
"""Properties of an element alone, with their initial values."""
GEOMETRY = ("x", "y", "width", "height", "cx", "cy", "r", "rx", "ry", "d")
"""Attributes that CSS may set as well (SVG 2)."""
REFUSED = {  # property -> values that change nothing
    "translate": {"none"},
    "rotate": {"none"},
    "scale": {"none"},
    "offset-path": {"none"},
    "offset": {"none"},
    "zoom": {"1", "100%", "normal"},
    "perspective": {"none"},
    "mask-image": {"none"},
    "-webkit-mask": {"none"},
    "-webkit-mask-image": {"none"},
    "-webkit-clip-path": {"none"},
    "content-visibility": {"visible", "auto"},
    "all": set(),
}
"""Properties that decide what is seen and where, and are not understood."""
IGNORED_AT_RULES = {
    "font-face",
    "charset",
    "keyframes",
    "-webkit-keyframes",
    "-moz-keyframes",
    "namespace",
    "page",
    "property",
}
KNOWN = {*INHERITED, *OWN, *GEOMETRY, "marker"}


@dataclass(frozen=True)
class _Rule:
    selector: cssselect2.compiler.CompiledSelector
    declarations: dict[str, tuple[str, bool]]
    order: int


class StyleSheet:
    """The cascade of one document.

    Raises OutlineError, without the file's name, for what is not understood.
    """

    def __init__(self, root: ElementTree.Element) -> None:
        self._wrappers = {
            id(wrapper.etree_element): wrapper
            for wrapper in cssselect2.ElementWrapper.from_xml_root(root).iter_subtree()
        }
        text = "\n".join("".join(node.itertext()) for node in root.iter() if _applies(node))
        if len(text) > MAX_STYLE_LENGTH:
            raise OutlineError(f"its style sheets have {len(text):,} characters, {MAX_STYLE_LENGTH:,} are allowed")
        self._rules = list(_parse_rules(text))
        if len(self._rules) * len(self._wrappers) > MAX_MATCHES:
            raise OutlineError("its style sheets have too many rules for so many elements")

    def declared(self, node: ElementTree.Element) -> dict[str, str]:
        """The values that are declared for an element itself, by property; not what it inherits."""
        found = {name: node.attrib[name].strip() for name in KNOWN if name in node.attrib and name not in GEOMETRY}
        _check_refused({name: node.attrib[name] for name in ("mask-image",) if name in node.attrib})
        wrapper = self._wrappers[id(node)]
        ranked = []
        for rule in self._rules:
            if rule.selector.test(wrapper):
                ranked += [
                    ((important, rule.selector.specificity, rule.order), name, value)
                    for name, (value, important) in rule.declarations.items()
                ]
        inline = node.get("style")
        if inline:
            if len(inline) > MAX_STYLE_LENGTH:
                raise OutlineError(f"a style attribute has {len(inline):,} characters")
            for name, (value, important) in _parse_declarations(inline).items():
                ranked.append(((important, (1, 0, 0, 0), 0), name, value))
        for _, name, value in sorted(ranked, key=lambda each: each[0]):
            found[name] = value
        return found


class Style:
    """The computed values of an element: `style["fill"]`. `style.declared` are those declared for it alone."""

    def __init__(self, declared: Mapping[str, str], parent: "Style | None") -> None:
        self.declared = {name: value for name, value in declared.items() if not name.startswith("--")}
        self._variables: dict[str, str] = {
            **(parent._variables if parent else {}),
            **{name: value for name, value in declared.items() if name.startswith("--")},
        }
        shorthand = self.declared.pop("marker", None)
        if shorthand is not None:
            self.declared = {**dict.fromkeys(("marker-start", "marker-mid", "marker-end"), shorthand), **self.declared}
        self.declared = {name: self._resolve(value) for name, value in self.declared.items()}
        self._values: dict[str, str] = {}
        for name, initial in {**INHERITED, **OWN}.items():
            value = self.declared.get(name)
            inherited = parent[name] if parent else initial
            if value is not None and name in ("fill", "stroke", "color") and not _is_paint(value):
                value = None  # an invalid declaration is ignored
            match value:
                case None | "unset" | "revert" | "revert-layer":
                    self._values[name] = inherited if name in INHERITED else initial
                case "inherit":
                    self._values[name] = inherited
                case "initial":
                    self._values[name] = initial
                case _:
                    self._values[name] = value
        if self._values["color"].lower() == "currentcolor":
            self._values["color"] = parent["color"] if parent else "black"

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    def alpha(self, name: str) -> float | None:
        """The opacity, 0 to 1, of the paint `fill` or `stroke`; None for no paint.

        A reference to a gradient or pattern counts as opaque: whether it exists is for the caller to see.
        """
        paint = self[name]
        if paint.lower() == "currentcolor":
            paint = self["color"]
        if paint == "none":
            return None
        colour = None if paint.startswith(("url(", "context-")) else parse_color(paint)
        alpha = 1.0 if colour is None or isinstance(colour, str) else float(colour.alpha)
        return alpha * parse_opacity(self[f"{name}-opacity"])

    def _resolve(self, value: str) -> str:
        """With `var(--name, fallback)` replaced."""
        for _ in range(16):
            match = re.search(r"var\(\s*(--[\w-]+)\s*(?:,([^()]*(?:\([^()]*\)[^()]*)*))?\)", value)
            if match is None:
                return value
            found = self._variables.get(match[1], match[2])
            if found is None:
                raise OutlineError(f"the CSS variable {match[1][:40]} has no value")
            value = value[: match.start()] + found.strip() + value[match.end() :]
        raise OutlineError("a CSS variable refers to itself")


def parse_opacity(text: str) -> float:
    """A CSS opacity, a number or percentage, clipped to 0 to 1; 1 for what is neither."""
    try:
        value = float(text.rstrip("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        return 1.0
    return min(1.0, max(0.0, value)) if value == value else 1.0


def parse_rgb(text: str) -> tuple[float, float, float] | None:
    """A colour as red, green and blue from 0 to 1; None for what is none."""
    colour = parse_color(text)
    if colour is None or isinstance(colour, str):
        return None
    try:
        red, green, blue = colour.to("srgb")[:3]
    except (ValueError, TypeError, AttributeError):
        return None
    return float(red), float(green), float(blue)


def _is_paint(value: str) -> bool:
    lowered = value.lower()
    return (
        lowered in ("none", "inherit", "initial", "unset", "revert", "revert-layer", "currentcolor")
        or lowered.startswith(("url(", "context-"))
        or parse_color(value) is not None
    )


def _applies(node: ElementTree.Element) -> bool:
    """Whether an element is a <style> with CSS for a screen."""
    is_css = str(node.tag).rpartition("}")[2] == "style" and node.get("type", "text/css").strip() in ("", "text/css")
    return is_css and _is_for_screen(node.get("media", "").strip() or "all")


def _is_for_screen(media: str) -> bool:
    """Whether a media query holds for a light screen. Raises OutlineError for one that is not understood."""
    words = " ".join(media.lower().replace(":", ": ").split())
    if words in ("all", "screen", "only screen", "(prefers-color-scheme: light)"):
        return True
    if words in ("print", "(prefers-color-scheme: dark)") or "prefers-reduced-motion" in words:
        return False
    raise OutlineError(f"the CSS rule @media {media[:40]} is not understood")


def _parse_rules(text: str) -> Iterator[_Rule]:
    rules = tinycss2.parse_stylesheet(text, skip_comments=True, skip_whitespace=True)
    order = 0
    while rules:
        rule = rules.pop(0)
        if rule.type == "error":
            raise OutlineError(f"its style sheet cannot be read: {rule.message}")
        if rule.type == "at-rule":
            rules = _inside(rule) + rules
            continue
        declarations = _parse_declarations(rule.content)
        if not declarations:
            continue
        selector = tinycss2.serialize(rule.prelude).strip()
        try:
            compiled = cssselect2.compile_selector_list(selector)
        except cssselect2.SelectorError:
            raise OutlineError(f"the CSS selector {selector[:60]!r} is not understood") from None
        for each in compiled:
            order += 1
            if each.pseudo_element is None:
                yield _Rule(each, declarations, order)


def _inside(rule: tinycss2.ast.AtRule) -> Any:
    """The rules of an at-rule that apply."""
    name, prelude = rule.lower_at_keyword, tinycss2.serialize(rule.prelude).strip()
    if name in IGNORED_AT_RULES or (name == "media" and not _is_for_screen(prelude)):
        return []
    if name == "import":
        raise OutlineError(f"it refers to {prelude[:80]}, which is not in the file")
    if name == "media":
        return tinycss2.parse_rule_list(rule.content or [], skip_comments=True, skip_whitespace=True)
    raise OutlineError(f"the CSS rule {f'@{name} {prelude[:40]}'.strip()} is not understood")


def _parse_declarations(content: object) -> dict[str, tuple[str, bool]]:
    """The declarations that matter: value and importance by property. Raises OutlineError for a refused property."""
    found = {}
    for item in tinycss2.parse_blocks_contents(content, skip_comments=True, skip_whitespace=True):
        if item.type in ("qualified-rule", "at-rule"):
            raise OutlineError(f"the CSS rule {tinycss2.serialize([item])[:40]!r} within another is not understood")
        if item.type != "declaration":
            continue  # an error in one is ignored, as browsers do
        name = item.name if item.name.startswith("--") else item.lower_name
        value = tinycss2.serialize(item.value).strip()
        if name in KNOWN or name.startswith("--"):
            found[name] = value, item.important
        else:
            _check_refused({name: value})
    return found


def _check_refused(declared: Mapping[str, str]) -> None:
    for name, value in declared.items():
        if name in REFUSED and value.strip().lower() not in {*REFUSED[name], "initial", "unset"}:
            raise OutlineError(f"the CSS property {name}: {value[:40]} is not understood")
