"""Strokes in XML → points (n, 2): InkML's traces, and the gestures of the $1 recogniser's data set.

InkML: W3C recommendation of 2011-09-20, explicit values only. $1: Wobbrock, Wilson and Li 2007, `<Point X="…" Y="…"/>`.
"""

import math
import re
from xml.etree import ElementTree

import numpy as np

from strokewise.errors import PictureError
from strokewise.preprocessing.stroke_layout import EXPECTED_STROKES, Stroke


def parse_xml(data: bytes) -> list[Stroke]:
    """Read the traces of InkML, or the points of a $1 gesture.

    Raises PictureError for anything else; an SVG is named as such.
    """
    upper = data.replace(b"\x00", b"").upper()
    if b"<!ENTITY" in upper or b"<!DOCTYPE" in upper:
        raise PictureError("the XML declares entities or a document type, which are not read")
    try:
        root = ElementTree.fromstring(data)  # noqa: S314 - bounded, and free of entities
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise PictureError(f"this is no XML that can be read ({error}); {EXPECTED_STROKES}") from None
    name = root.tag.rpartition("}")[2].lower()
    if name == "svg":
        raise PictureError("this is an SVG; export the drawing as PNG, or give its strokes as JSON")
    if name == "ink":
        traces = [node.text or "" for node in root.iter() if node.tag.rpartition("}")[2] == "trace"]
        return [_inkml_trace(trace) for trace in traces]
    strokes = [[child for child in node if _is_point_element(child)] for node in root.iter()]
    if not any(strokes):
        raise PictureError(f"the XML is <{name}> and holds no <point>; {EXPECTED_STROKES}")
    return [np.array([_coordinates(point) for point in stroke], np.float64) for stroke in strokes if stroke]


def _is_point_element(node: ElementTree.Element) -> bool:
    return node.tag.rpartition("}")[2].lower() == "point"


def _coordinates(point: ElementTree.Element) -> tuple[float, float]:
    return _parse_float(point.get("X", point.get("x"))), _parse_float(point.get("Y", point.get("y")))


def _inkml_trace(text: str) -> Stroke:
    """Convert a trace: points separated by commas, values by blanks, x and y first."""
    if re.search(r"['\"!*?]", text):
        raise PictureError("an InkML trace is written as differences, which are not read; write explicit values")
    rows = [[_parse_float(word) for word in point.split()[:2]] for point in text.split(",") if point.strip()]
    if any(len(row) != 2 for row in rows):
        raise PictureError(f"an InkML trace has a point without x and y; {EXPECTED_STROKES}")
    return np.array(rows, np.float64).reshape(-1, 2)


def _parse_float(text: str | None) -> float:
    try:
        return float(text) if text is not None and len(text) < 60 else math.nan
    except ValueError:
        return math.nan
