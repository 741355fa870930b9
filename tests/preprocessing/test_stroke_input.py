"""Strokes: every format of a drawing app gives the same scene; anything else raises a one-line error."""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strokewise.data.png import encode_png
from strokewise.errors import PictureError
from strokewise.preprocessing import stroke_formats, stroke_input
from strokewise.preprocessing.preprocess import preprocess

HOUSE = [[[10, 90], [50, 10], [90, 90]], [[20, 60], [80, 60]]]  # two strokes
SCENE = stroke_input.rasterize_strokes(HOUSE)[0]


def to_columns(drawing: list[Any]) -> list[Any]:
    """Quick, Draw!'s form: each stroke a list of all x and a list of all y."""
    return [[list(row) for row in zip(*stroke, strict=True)] for stroke in drawing]


@pytest.mark.parametrize(
    "drawing",
    [
        [np.array(stroke) for stroke in HOUSE],
        [np.array(stroke, np.float32).T.repeat([1, 1], axis=0) for stroke in [[*s, s[-1], s[-1]] for s in HOUSE]],
        tuple(tuple(tuple(point) for point in stroke) for stroke in HOUSE),
        [[{"x": x, "y": y, "pressure": 0.5} for x, y in stroke] for stroke in HOUSE],
        [[[x, y, 17 * at] for at, (x, y) in enumerate(stroke)] for stroke in HOUSE],
        [[[x, y, 17 * at, 0.5] for at, (x, y) in enumerate([*stroke, *[stroke[-1]] * 9])] for stroke in HOUSE],
        [{"points": stroke} for stroke in HOUSE],
        [[[x + 1000, y - 1e6] for x, y in stroke] for stroke in HOUSE],
        [[[x / 1024, y / 1024] for x, y in stroke] for stroke in HOUSE],
        [*HOUSE, []],
    ],
)
def test_every_format_gives_the_same_scene(drawing: Any) -> None:
    np.testing.assert_array_equal(stroke_input.rasterize_strokes(drawing)[0], SCENE)
    assert stroke_formats.is_drawing(drawing)


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(HOUSE),
        json.dumps({"strokes": HOUSE}),
        "\ufeff \n" + json.dumps(HOUSE),
        json.dumps({"word": "house", "drawing": to_columns(HOUSE), "recognized": True}),
        json.dumps({"drawing": [[*stroke, list(range(len(stroke[0])))] for stroke in to_columns(HOUSE)]}),
        json.dumps(to_columns([[*stroke, *[stroke[-1]] * 3] for stroke in HOUSE])),
    ],
)
def test_json_is_recognised_and_parsed(text: str) -> None:
    data = text.encode()
    assert stroke_formats.is_stroke_text(data)
    assert not stroke_formats.is_stroke_text(encode_png(SCENE))
    np.testing.assert_array_equal(stroke_input.parse_strokes(data)[0], SCENE)


def test_is_drawing_distinguishes_a_drawing_from_a_list_of_sources() -> None:
    for sources in ([HOUSE, HOUSE], [SCENE, SCENE], ["a.png"], [b"x"], [Path("a.png")], [], SCENE, [HOUSE, SCENE]):
        assert not stroke_formats.is_drawing(sources)
    assert stroke_formats.is_drawing(HOUSE[0])  # a single stroke is a drawing, too
    single, listed = stroke_input.rasterize_strokes(HOUSE[1]), stroke_input.rasterize_strokes([HOUSE[1]])
    np.testing.assert_array_equal(single[0], listed[0])


def test_line_width_is_the_average_of_the_painted_ones() -> None:
    page, _ = stroke_input.rasterize_strokes([[[0, 0], [0, 1]]])
    assert (page.min(0) < 128).sum() == pytest.approx(
        stroke_input.PEN_WIDTH * (stroke_input.RASTER_SIDE - 2 * stroke_input.RASTER_MARGIN), abs=2
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[1, 2], [3, NaN]]", "a coordinate is no number between"),
        ("[[1, 2], [3, 1e999]]", "a coordinate is no number between"),
        ("[[1, 2], [3, -Infinity]]", "a coordinate is no number between"),
        (f"[[1, 2], [3, {10**400}]]", "a coordinate is no number between"),
        (f"[[1, 2], [3, {'9' * 5000}]]", "this is no JSON"),
        ('[[1, 2], [3, "4"]]', "a coordinate is no number between"),
        ("[[1, 2], [3, true]]", "a coordinate is no number between"),
        ('[[{"x": 1}, {"x": 2}]]', "there are no strokes under the keys x"),
        ("[[1, 2], [3, 4, 5]]", "a stroke is no list of points that are all of one kind"),
        ("[[[1, 2], 3]]", "a stroke is no list of points that are all of one kind"),
        ("[1, 2]", "stroke 1 is no list of points but a int"),
        ("[null]", "stroke 1 is no list of points but a NoneType"),
        ("[[[1], [2], [3], [4]]]", "the strokes are neither"),
        ("[[5, 7], [5, 7]]", "all points of the strokes lie at 5, 7: that is a dot"),
        ("[]", "there are no strokes"),
        ("[[], []]", "there are no strokes"),
        ("{}", "there are no strokes under the keys \\(none\\)"),
        ('{"drawing": "line"}', "there are no strokes under the keys drawing"),
        ("[[1, 2],", "this is no JSON"),
        ("[" * 100_000, "nested more than 16 deep"),
        ("[" + "[0,0]," * 900_000 + "[1,1]]", "more than 100,000 points"),
        ("[[" + "[0,0]," * 100_000 + "[1,1]]]", "more than 100,000 points"),
        ("[" * 3 + " " * 2**23, "holds more than 8,388,608 bytes"),
    ],
)
def test_invalid_json_raises_one_line(text: str, message: str) -> None:
    start = time.process_time()
    with pytest.raises(PictureError, match=message) as caught:
        stroke_input.parse_strokes(text.encode())
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200
    assert time.process_time() - start < 3


def test_bytes_that_are_not_utf8_raise_picture_error() -> None:
    with pytest.raises(PictureError, match="this is no JSON"):
        stroke_input.parse_strokes(b"[\xff]")


NUMBERS = st.one_of(st.integers(), st.floats(), st.booleans(), st.none(), st.text(max_size=3))
JSON = st.recursive(
    st.one_of(NUMBERS, st.lists(st.lists(st.tuples(st.floats(-1e9, 1e9), st.integers(-9, 9)), max_size=4), max_size=4)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.sampled_from(["x", "y", "points", "strokes", "drawing"]), inner)
    ),
)


@settings(max_examples=300, deadline=None)
@given(JSON)
def test_any_json_is_drawn_or_refused(value: Any) -> None:
    stroke_formats.is_drawing(value)
    try:
        page, _ = stroke_input.parse_strokes(json.dumps(value).encode())
    except PictureError as error:
        assert "\n" not in str(error)  # noqa: PT017
    else:
        assert page.min() < 255
        preprocess(page, 32)


def test_matrix_leads_from_the_page_back_to_the_strokes() -> None:
    square = np.array([[-3.0, 1000.0], [2.0, 1000.0], [2.0, 1004.0], [-3.0, 1004.0], [-3.0, 1000.0]])
    page, matrix = stroke_input.rasterize_strokes([square.tolist()])
    y, x = np.nonzero(page < 128)
    ink = np.stack([x + 0.5, y + 0.5], axis=1) @ matrix[:, :2].T + matrix[:, 2]
    half = stroke_input.PEN_WIDTH * 5 / 2
    np.testing.assert_allclose(ink.min(0), [-3 - half, 1000 - half], atol=0.04)
    np.testing.assert_allclose(ink.max(0), [2 + half, 1004 + half], atol=0.04)
