"""The columns of ink and paper: each drawn where it applies, in its range and by itself, and seen in the scene."""

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from typing import Any

import cv2
import numpy as np
import pytest

from strokewise.params import GenerateParams, InkStrengths
from strokewise.synthesis import distractors, ink, ink_params, paper, render
from strokewise.synthesis.ink_params import FILLS, PAPERS, InkParams
from strokewise.synthesis.outlines import Catalogue

NONE = dict.fromkeys(InkStrengths.model_fields, 0.0)
OBLONG = np.array([0, 2, 2 + 1j, 1j, 0])
C = 200

Row = dict[str, Any]
When = Callable[[Row], bool]


def always(row: Row) -> bool:
    return True


def filled(row: Row) -> bool:
    return bool(row["fill"] != "none")


def hatched(row: Row) -> bool:
    return row["fill"] in ("hatched", "scribbled")


def squared(row: Row) -> bool:
    return bool(row["paper"] == "squared")


def ruled(row: Row) -> bool:
    return bool(row["ruling"] > 0)


def photographed(row: Row) -> bool:
    return bool(row["paper"] == "photographed")


def coloured(row: Row) -> bool:
    return bool(row["coloured"])


DRAWN: dict[str, tuple[When, float, float, float]] = {  # when, the least and the most there is, the mean
    "x": (always, 0, 1, 0.5),
    "y": (always, 0, 1, 0.5),
    "pressure": (always, 0, 0.6, 0.12),
    "breaks": (always, 0, 4, 0.2),
    "bleeding": (always, 0, 0.3, 0.075),
    "strays": (always, 0, 3, 0.1),
    "neighbour": (always, 0, 1, 0.03),
    "shade": (filled, 0.3, 1, 0.825),
    "hatch_angle": (hatched, 0, 180, 90),
    "hatch_apart": (hatched, 0.06, 0.18, 0.12),
    "hatch_over": (hatched, 0, 1, 0.4),
    "light": (always, 195, 255, 237),
    "dark": (always, 0, 90, 31.5),
    "inverted": (always, 0, 1, 0.2),
    "coloured": (always, 0, 1, 0.2),
    "cast_red": (coloured, 0, 0.25, 0.0625),
    "cast_green": (coloured, 0, 0.25, 0.0625),
    "cast_blue": (coloured, 0, 0.25, 0.0625),
    "tint_red": (coloured, 0, 130, 42),
    "tint_green": (coloured, 0, 130, 42),
    "tint_blue": (coloured, 0, 130, 42),
    "ruling": (ruled, 0.04, 0.2, 0.12),
    "ruling_apart": (ruled, 0.06, 0.2, 0.13),
    "ruling_x": (squared, 0, 1, 0.5),
    "ruling_y": (ruled, 0, 1, 0.5),
    "shadow_top_left": (photographed, 0, 0.45, 0.1125),
    "shadow_top_right": (photographed, 0, 0.45, 0.1125),
    "shadow_bottom_left": (photographed, 0, 0.45, 0.1125),
    "shadow_bottom_right": (photographed, 0, 0.45, 0.1125),
    "grain": (photographed, 0, 3, 1.5),
}


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    """The manners of many paintings of what can be filled, at imprecision 1 but with many fillings."""
    knobs, rng = dict.fromkeys(InkStrengths.model_fields, 1.0) | {"fill": 4.0}, np.random.default_rng(0)
    return [
        vars(ink_params.sample_ink_params(knobs, rng.random(ink_params.INK_UNIFORMS).tolist(), C, True, rng))
        for _ in range(12_000)
    ]


@pytest.mark.parametrize("name", DRAWN)
def test_a_column_is_drawn_where_it_applies_in_its_range(rows: list[Row], name: str) -> None:
    when, least, most, mean = DRAWN[name]
    some = np.array([row[name] for row in rows if when(row)], dtype=float)
    assert all(row[name] == 0 for row in rows if not when(row))
    assert least <= some.min() < least + 0.1 * (most - least)
    assert most - 0.15 * (most - least) < some.max() <= most
    assert some.mean() == pytest.approx(mean, abs=max(0.04 * (most - least), 5 * some.std() / len(some) ** 0.5))


def test_columns_are_drawn_one_by_one(rows: list[Row]) -> None:
    kin = [{"shadow"}, {"cast"}, {"dark", "tint"}]  # corners share a strength, casts a least, and ink is never bright
    for one, other in combinations(DRAWN, 2):
        together = DRAWN[one][0], DRAWN[other][0]
        pairs = np.array([(row[one], row[other]) for row in rows if all(when(row) for when in together)], dtype=float)
        if len(pairs) and pairs.std(0).all():
            most = 0.8 if {one.split("_")[0], other.split("_")[0]} in kin else 5 / len(pairs) ** 0.5  # deviations
            assert abs(np.corrcoef(pairs.T)[0, 1]) < most, (one, other)


def test_kinds_are_as_frequent_as_they_are_to_be(rows: list[Row]) -> None:
    count = len(rows)
    for kind in FILLS[1:]:
        assert sum(row["fill"] == kind for row in rows) == pytest.approx(0.2 * count, rel=0.1)
    for kind in PAPERS[1:]:
        assert sum(row["paper"] == kind for row in rows) == pytest.approx(0.35 / 3 * count, rel=0.1)
    shown = [ruled(row) for row in rows if photographed(row)]
    assert sum(shown) == pytest.approx(0.25 * len(shown), rel=0.2)
    assert not any(ruled(row) for row in rows if row["paper"] == "plain")
    assert all(ruled(row) for row in rows if row["paper"] in ("lined", "squared"))
    casts = np.array([[row["cast_red"], row["cast_green"], row["cast_blue"]] for row in rows if coloured(row)])
    assert ((casts == 0).sum(1) == 1).all(), "one colour keeps its light"


def test_as_many_numbers_are_drawn_as_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ink_params, "INK_DRAWS", ink_params.INK_DRAWS - 1)
    with pytest.raises(StopIteration):
        how()


def test_rules_on_a_small_canvas_stand_six_pixels_apart() -> None:
    knobs, rng = {**NONE, "paper": 1.0}, np.random.default_rng(0)
    found = [ink_params.sample_ink_params(knobs, [0.5, 0.5, 0.0, 0.5], 32, True, rng) for _ in range(300)]
    assert min(one.ruling_apart for one in found if one.ruling) == 6 / 32


def test_filled_is_what_has_something_to_fill(catalogue: Catalogue, defaults: GenerateParams) -> None:
    filling = GenerateParams.model_validate({**defaults.model_dump(), "ink": {**defaults.ink.model_dump(), "fill": 4}})
    bare = {
        (shape, outline.variant): not any(closed for _, _, closed in outline.strokes.spans)
        for shape, outlines in zip(catalogue.shapes, catalogue.outlines, strict=True)
        for outline in outlines
    }
    assert any(bare.values()), "outlines of open strokes alone"
    bare |= {
        ("other", kind): True for kind in (*distractors.COMPOSED_WEIGHTS, "letters", "zigzag", "wave", "angle", "marks")
    }
    bare |= {("other", kind): False for kind in ("arch", "ell", "octagon")}
    seen: dict[tuple[str, str], set[str]] = {}
    for index in range(5200):
        painting = render.render_painting(catalogue, filling, "train", index)
        row = painting.factors
        assert row["contains"] == "" or catalogue.shapes[painting.label] == "other"
        seen.setdefault((catalogue.shapes[painting.label], str(row["variant"])), set()).add(str(row["fill"]))
    for kind, empty in bare.items():
        assert seen[kind] == {"none"} if empty else len(seen[kind] - {"none"}) >= 1, kind


# --- seen in the scene


def how(**values: Any) -> InkParams:
    """A black pen on white paper, in the middle, but for `values`."""
    return replace(
        ink_params.sample_ink_params(NONE, [0.5] * ink_params.INK_UNIFORMS, C, True, np.random.default_rng(0)), **values
    )


def scene(inking: InkParams, seed: int = 0, canvas: int = C) -> Any:
    """Of an oblong, twice as wide as high."""
    rng = np.random.default_rng(seed)
    areas = [OBLONG] if inking.fill != "none" else []
    mask = ink.draw_ink(OBLONG, np.array([], dtype=np.intp), areas, 1.0, inking, canvas, rng)
    return paper.composite(mask, inking, rng)


def test_what_does_not_apply_is_nought() -> None:
    for seed in range(20):
        plain = vars(
            ink_params.sample_ink_params(NONE, [0.5] * ink_params.INK_UNIFORMS, C, True, np.random.default_rng(seed))
        )
        assert {name for name, value in plain.items() if value} == {"size", "x", "y", "pen", "light", "fill", "paper"}
        assert (plain["fill"], plain["paper"], plain["light"]) == ("none", "plain", 255)


@pytest.mark.parametrize("shade", [0.3, 0.7, 1.0])
def test_a_solid_filling_has_its_shade(shade: float) -> None:
    inside = scene(how(fill="solid", shade=shade))[90:110, 60:140]
    assert set(inside.ravel().tolist()) <= {round(255 * (1 - shade)) + off for off in (-1, 0, 1)}


@pytest.mark.parametrize("fill", FILLS[1:])
def test_a_filling_is_painted(catalogue: Catalogue, defaults: GenerateParams, fill: str) -> None:
    filling = GenerateParams.model_validate(
        {**defaults.model_dump(), "imprecision": 0.0, "ink": {**defaults.ink.model_dump(), "fill": 4}}
    )
    seen = 0
    for index in range(200):
        painting = render.render_painting(catalogue, filling, "train", index)
        if painting.factors["fill"] == fill:
            bare = render.render_painting(catalogue, defaults.model_copy(update={"imprecision": 0.0}), "train", index)
            assert (painting.scene < 128).sum() > 1.2 * (bare.scene < 128).sum() or painting.factors["shade"] < 0.5
            seen += 1
    assert seen > 10


@pytest.mark.parametrize("apart", [0.09, 0.18])
@pytest.mark.parametrize("angle", [0.0, 30.0, 90.0, 135.0])
def test_hatching_lies_at_its_angle_and_distance(angle: float, apart: float) -> None:
    high = 0.8 * (4 * C - 2 * ink.CANVAS_MARGIN) / 1.02 / 2
    inking = how(fill="hatched", shade=1.0, hatch_angle=angle, hatch_apart=apart, pen=0.02)
    inside = scene(inking, canvas=4 * C)[280:520, 240:560].astype(float)
    padded = np.zeros((960, 960))
    padded[:240, :320] = inside - inside.mean()
    spectrum = np.abs(np.fft.fft2(padded))
    spectrum[np.hypot(*np.meshgrid(np.fft.fftfreq(960), np.fft.fftfreq(960))) > 1.5 / (apart * high)] = 0  # harmonics
    y, x = (int(at) for at in np.unravel_index(int(spectrum[:, :480].argmax()), (960, 480)))
    y = y - 960 if y > 480 else y
    across = np.degrees(np.arctan2(y, x)) - 90  # lines lie square to the wave
    assert abs((across - angle + 90) % 180 - 90) < 10
    assert 960 / np.hypot(y, x) == pytest.approx(apart * high, rel=0.2)


def test_scribbling_joins_the_lines_of_a_hatching() -> None:
    area, found = [50 * OBLONG + 20 + 20j], {}
    for fill in ("hatched", "scribbled"):
        inking = how(fill=fill, shade=1.0, hatch_angle=90.0, hatch_apart=0.3, hatch_over=True)
        found[fill] = ink.draw_filling(area, inking, 2.0, (100.0, 50.0), C, np.random.default_rng(0))
    parts = {fill: cv2.connectedComponents((mask > 128).astype(np.uint8))[0] - 1 for fill, mask in found.items()}
    assert parts["scribbled"] == 1
    assert parts["hatched"] > 4


def test_hatching_goes_over_the_border_where_it_is_told_to() -> None:
    outside = [
        (scene(how(fill=fill, shade=1.0, hatch_angle=30.0, hatch_apart=0.2, pen=0.01, hatch_over=over))[:57] < 200)
        for fill, over in [("hatched", False), ("solid", False), ("hatched", True)]
    ]
    assert [bool(found.any()) for found in outside] == [False, False, True]


@pytest.mark.parametrize(("apart", "step"), [(0.1, 20), (0.15, 30)])
@pytest.mark.parametrize("kind", PAPERS[1:])
def test_rules_stand_where_their_columns_say(kind: str, apart: float, step: int) -> None:
    seen = scene(how(paper=kind, ruling=0.2, ruling_apart=apart, ruling_x=0.5, ruling_y=0.1, light=200))
    rows, columns = seen[:, 1].astype(int), seen[1].astype(int)
    assert np.flatnonzero(rows < 200).tolist() == list(range(step // 10, C, step))
    assert np.flatnonzero(columns < 200).tolist() == (list(range(step // 2, C, step)) if kind == "squared" else [])
    assert {*rows[rows < 200].tolist(), *columns[columns < 200].tolist()} == {160}


def test_a_photograph_is_shaded_as_its_corners_say() -> None:
    shades = {"shadow_top_left": 0.1, "shadow_top_right": 0.4, "shadow_bottom_left": 0.2, "shadow_bottom_right": 0.3}
    light = scene(how(paper="photographed", **shades)) / 255
    assert [light[0, 0], light[0, -1], light[-1, 0], light[-1, -1]] == pytest.approx([0.9, 0.6, 0.8, 0.7], abs=0.01)
    assert light[C // 2, 5] == pytest.approx(0.85, abs=0.01)


@pytest.mark.parametrize("grain", [0.0, 1.5, 3.0])
def test_grain_has_the_deviation_that_is_told_and_a_pattern_of_its_own(grain: float) -> None:
    one, other = (scene(how(paper="photographed", grain=grain, light=200), seed)[:50].astype(int) for seed in (0, 1))
    assert one.std() == pytest.approx(grain, abs=0.15)
    assert (one == other).all() == (grain == 0)


@pytest.mark.parametrize("inverted", [False, True])
def test_colours_are_those_of_the_columns(inverted: bool) -> None:
    found = scene(how(
        coloured=True, inverted=inverted, light=240, dark=20, pen=0.05,
        cast_red=0.1, cast_blue=0.2, tint_green=60.0, tint_blue=130.0,
    ))  # fmt: skip
    light, dark = [216, 240, 192], [20, 80, 150]
    assert found.shape == (C, C, 3)
    assert found[2, 2].tolist() == (dark if inverted else light)
    assert found[C // 2, 24].tolist() == (light if inverted else dark), "on the left side of the oblong"


def test_ink_is_no_brighter_than_it_may_be(rows: list[Row]) -> None:
    dark = [row["dark"] + row[f"tint_{name}"] for row in rows for name in ("red", "green", "blue") if coloured(row)]
    assert 149 < max(dark) <= ink_params.MAX_INK_LEVEL
