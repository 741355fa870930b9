"""The bytes of an SVG → the lines that are seen in it, as polylines. Everything that costs time or memory is bounded.

    parse_svg(content, path) → root element
    extract_polylines(root, path) → [(polyline (n,) complex x + iy, whether it is closed), ...]

`svg_reader` walks the document, `svg_style` is its CSS, `svg_shapes` and `svg_values` are its geometry.
"""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from strokewise.errors import OutlineError, one_line
from strokewise.synthesis.svg_reader import SVG_NAMESPACE, SvgReader
from strokewise.synthesis.svg_shapes import Polyline
from strokewise.synthesis.svg_values import tag_name

SVG_ROOT_TAGS = ("svg", f"{{{SVG_NAMESPACE}}}svg")


def parse_svg(content: bytes, path: Path) -> ElementTree.Element:
    """The root of an SVG that is safe to read: no entities, no style sheet outside the file.

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
    if b"<?XML-STYLESHEET" in upper:
        raise OutlineError(f"{path} refers to a style sheet that is not in the file; export it as plain SVG")
    return root


def extract_polylines(root: ElementTree.Element, path: Path) -> list[Polyline]:
    """Every subpath that is seen as a polyline (n,) in the file's units, and whether it is closed.

    A closed one ends with its first point. `path` appears in messages. Raises OutlineError, one line, for whatever is
    broken, too large or not understood.
    """
    try:
        with np.errstate(all="ignore"):  # what is not finite is refused
            return SvgReader(root).polylines()
    except OutlineError as error:
        raise OutlineError(f"{path}: {error}; simplify it, or export it as plain SVG") from None
    except RecursionError:
        raise OutlineError(f"{path} is nested too deeply; simplify it") from None
    except (ArithmeticError, AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        reason = one_line(error, 120) or type(error).__name__  # svgelements raises whatever its parser meets
        raise OutlineError(f"{path} cannot be drawn: {reason}; export it as plain SVG") from None
