"""XML with strokes: InkML and $1 gestures are read, everything else is named."""

import pytest

from strokewise.errors import PictureError
from strokewise.preprocessing.stroke_formats import is_stroke_text
from strokewise.preprocessing.stroke_xml import parse_xml


def test_inkml_traces_are_read() -> None:
    ink = (
        b'<ink xmlns="http://www.w3.org/2003/InkML"><trace>10 0 5, 9 14</trace><trace id="b">\n1 2,3 4\n</trace></ink>'
    )
    assert [stroke.tolist() for stroke in parse_xml(ink)] == [[[10, 0], [9, 14]], [[1, 2], [3, 4]]]


def test_gestures_of_the_one_dollar_recogniser_are_read() -> None:
    gesture = b'<?xml version="1.0"?><Gesture Name="v"><Point X="1" Y="2" T="0"/><Point X="3" Y="4" T="9"/></Gesture>'
    assert [stroke.tolist() for stroke in parse_xml(gesture)] == [[[1, 2], [3, 4]]]
    several = b'<Gesture><Stroke><Point X="1" Y="2"/></Stroke><Stroke><Point X="3" Y="4"/></Stroke></Gesture>'
    assert [stroke.tolist() for stroke in parse_xml(several)] == [[[1, 2]], [[3, 4]]]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'<svg xmlns="http://www.w3.org/2000/svg"><polyline points="0,0 1,1"/></svg>', "this is an SVG; export"),
        (b"<ink><trace>1 2, '3 '4</trace></ink>", "is written as differences, which are not read"),
        (b"<ink><trace>1, 2</trace></ink>", "a point without x and y"),
        (b"<html><body/></html>", "the XML is <html> and holds no <point>"),
        (b"<a", "this is no XML that can be read"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "declares entities or a document type"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'.encode("utf-16"), "declares entities or a document type"),
        (b'<?xml version="1.0" encoding="none"?><a/>', "this is no XML that can be read"),
    ],
)
def test_other_xml_is_refused_by_name(data: bytes, message: str) -> None:
    assert is_stroke_text(data) or data[:2] == b"\xff\xfe"
    with pytest.raises(PictureError, match=message) as caught:
        parse_xml(data)
    assert "\n" not in str(caught.value)


def test_the_largest_gesture_is_read() -> None:
    (stroke,) = parse_xml(b"<Gesture>" + b'<Point X="1" Y="2"/>' * 100_000 + b"</Gesture>")
    assert stroke.shape == (100_000, 2)
