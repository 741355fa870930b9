"""Sampling of ink and paper: each column in its range where it applies, independent of the others, 0 elsewhere."""

from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from strokewise.params import GenerateParams, InkStrengths
from strokewise.synthesis import distractors, ink_params, render
from strokewise.synthesis.ink_params import FILLS, PAPERS, InkParams
from strokewise.synthesis.outlines import Catalogue

CANVAS = 200

Row = dict[str, Any]
Condition = Callable[[Row], bool]


def always(row: Row) -> bool:
    return True


def filled(row: Row) -> bool:
    return bool(row["fill"] != "none")


def filled_by_lines(row: Row) -> bool:
    return row["fill"] not in ("none", "solid")


def filled_solidly(row: Row) -> bool:
    return bool(row["fill"] == "solid")


def hatched(row: Row) -> bool:
    return row["fill"] in ink_params.HATCHINGS


def squared(row: Row) -> bool:
    return bool(row["paper"] == "squared")


def ruled(row: Row) -> bool:
    return bool(row["ruling"] > 0)


def photographed(row: Row) -> bool:
    return bool(row["paper"] == "photographed")


def coloured(row: Row) -> bool:
    return bool(row["coloured"])


DISTRIBUTIONS: dict[str, tuple[Condition, float, float, float]] = {  # where it applies, minimum, maximum, mean
    "x": (always, 0, 1, 0.5),
    "y": (always, 0, 1, 0.5),
    "pressure": (always, 0, 0.6, 0.12),
    "breaks": (always, 0, 4, 0.2),
    "bleeding": (always, 0, 0.3, 0.075),
    "strays": (always, 0, 3, 0.1),
    "neighbour": (always, 0, 1, 0.03),
    "writing": (always, 0, 1, 0.03),
    "fill_angle": (hatched, 0, 180, 90),
    "fill_apart": (filled_by_lines, 0.02, 0.2, 0.116),
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
    "ruling": (ruled, 0.04, 0.26, 0.15),
    "ruling_apart": (ruled, 0.06, 0.46, 0.193),
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
    """Samples for many paintings that can be filled, at imprecision 1 but with many fillings."""
    knobs, rng = dict.fromkeys(InkStrengths.model_fields, 1.0) | {"fill": 4.0}, np.random.default_rng(0)
    return [
        vars(ink_params.sample_ink_params(knobs, rng.random(ink_params.INK_UNIFORMS).tolist(), CANVAS, True, rng))
        for _ in range(12_000)
    ]


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_column_has_its_range_and_mean_where_it_applies(rows: list[Row], name: str) -> None:
    applies, low, high, mean = DISTRIBUTIONS[name]
    values = np.array([row[name] for row in rows if applies(row)], dtype=float)
    assert all(row[name] == 0 for row in rows if not applies(row))
    assert low <= values.min() < low + 0.1 * (high - low)
    assert high - 0.15 * (high - low) < values.max() <= high
    assert values.mean() == pytest.approx(mean, abs=max(0.04 * (high - low), 5 * values.std() / len(values) ** 0.5))


def test_columns_are_uncorrelated(rows: list[Row]) -> None:
    # corners of a shadow share its strength, casts their minimum, and ink has a highest level
    related = [{"shadow"}, {"cast"}, {"dark", "tint"}]
    for one, other in combinations(DISTRIBUTIONS, 2):
        conditions = DISTRIBUTIONS[one][0], DISTRIBUTIONS[other][0]
        pairs = [(row[one], row[other]) for row in rows if all(applies(row) for applies in conditions)]
        values = np.array(pairs, dtype=float)
        if len(values) and values.std(0).all():
            is_related = {one.split("_")[0], other.split("_")[0]} in related
            limit = 0.8 if is_related else 5 / len(values) ** 0.5  # 5 standard deviations
            assert abs(np.corrcoef(values.T)[0, 1]) < limit, (one, other)


def test_fills_and_papers_have_their_frequencies(rows: list[Row]) -> None:
    count = len(rows)
    shares = np.diff([0.0, *ink_params.FILL_BOUNDS]) / ink_params.FILL_BOUNDS[-1]
    for kind, share in zip(FILLS[1:], shares, strict=True):
        assert sum(row["fill"] == kind for row in rows) == pytest.approx(0.17 * 4 * share * count, rel=0.15)
    for kind in PAPERS[1:]:
        assert sum(row["paper"] == kind for row in rows) == pytest.approx(0.35 / 3 * count, rel=0.1)
    ruled_photographs = [ruled(row) for row in rows if photographed(row)]
    assert sum(ruled_photographs) == pytest.approx(0.25 * len(ruled_photographs), rel=0.2)
    assert not any(ruled(row) for row in rows if row["paper"] == "plain")
    assert all(ruled(row) for row in rows if row["paper"] in ("lined", "squared"))


def test_only_a_filling_by_lines_may_lack_the_outline(rows: list[Row]) -> None:
    bare = [row for row in rows if not row["outlined"]]
    assert 0.02 * len(rows) < len(bare) < 0.2 * len(rows)
    assert {row["fill"] for row in bare} <= {"hatched", "zigzag", "crosshatched", "spiral"}
    assert all(row["shade"] == 1 for row in rows if filled_by_lines(row))
    assert all(0.3 <= row["shade"] <= 1 for row in rows if filled_solidly(row))
    assert all(row["shade"] == 0 for row in rows if not filled(row))


def test_lines_of_a_filling_reach_short_of_the_rim_and_over_it(rows: list[Row]) -> None:
    reaches = np.array([row["fill_reach"] for row in rows if filled_by_lines(row)])
    assert 0.2 < reaches.min() < 0.8
    assert 1.1 < reaches.max() < 1.5
    assert (reaches == 1).mean() == pytest.approx(0.3, abs=0.05), "neat ones end at it"
    assert all(row["fill_reach"] == 0 for row in rows if not filled_by_lines(row))


def test_connectors_touch_closed_drawings_only() -> None:
    knobs = dict.fromkeys(InkStrengths.model_fields, 4.0)
    for closed in (True, False):
        rng = np.random.default_rng(0)
        counts = [
            ink_params.sample_ink_params(
                knobs, rng.random(ink_params.INK_UNIFORMS).tolist(), CANVAS, closed, rng
            ).connectors
            for _ in range(500)
        ]
        assert set(counts) == ({0, 1, 2, 3} if closed else {0})


def test_one_channel_has_no_cast(rows: list[Row]) -> None:
    casts = np.array([[row["cast_red"], row["cast_green"], row["cast_blue"]] for row in rows if coloured(row)])
    assert ((casts == 0).sum(1) == 1).all()


def test_ink_is_at_most_as_bright_as_its_limit(rows: list[Row]) -> None:
    levels = [row["dark"] + row[f"tint_{name}"] for row in rows for name in ("red", "green", "blue") if coloured(row)]
    assert 149 < max(levels) <= ink_params.MAX_INK_LEVEL


def test_sampling_uses_all_numbers_that_it_draws(
    make_ink_params: Callable[..., InkParams], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ink_params, "INK_DRAWS", ink_params.INK_DRAWS - 1)
    with pytest.raises(StopIteration):
        make_ink_params()


def test_rules_on_a_small_canvas_are_six_pixels_apart() -> None:
    knobs = {**dict.fromkeys(InkStrengths.model_fields, 0.0), "paper": 1.0}
    rng = np.random.default_rng(0)
    samples = [ink_params.sample_ink_params(knobs, [0.5, 0.5, 0.0, 0.5, 0.5], 32, True, rng) for _ in range(300)]
    assert min(sample.ruling_apart for sample in samples if sample.ruling) == 6 / 32


def test_columns_that_do_not_apply_are_zero(make_ink_params: Callable[..., InkParams]) -> None:
    for seed in range(20):
        plain = vars(make_ink_params(seed))
        assert {name for name, value in plain.items() if value} == {
            *("size", "x", "y", "pen", "light", "fill", "paper", "outlined")
        }
        assert (plain["fill"], plain["paper"], plain["light"]) == ("none", "plain", 255)


def test_only_drawings_with_a_single_closed_area_are_filled(catalogue: Catalogue, defaults: GenerateParams) -> None:
    generate = GenerateParams.model_validate({**defaults.model_dump(), "ink": {**defaults.ink.model_dump(), "fill": 4}})
    unfillable = {
        (shape, outline.variant): not any(closed for _, _, closed in outline.strokes.spans)
        for shape, outlines in zip(catalogue.shapes, catalogue.outlines, strict=True)
        for outline in outlines
    }
    assert any(unfillable.values()), "the catalogue has outlines of open strokes alone"
    unfillable |= {
        ("other", kind): True for kind in (*distractors.COMPOSED, "letters", "zigzag", "wave", "angle", "marks")
    }
    unfillable |= {("other", kind): False for kind in ("arch", "ell", "octagon")}
    fills: dict[tuple[str, str], set[str]] = {}
    for index in range(5200):
        painting = render.render_painting(catalogue, generate, "train", index)
        row = painting.factors
        assert row["contains"] == "" or catalogue.shapes[painting.label] == "other"
        fills.setdefault((catalogue.shapes[painting.label], str(row["variant"])), set()).add(str(row["fill"]))
    for kind, is_unfillable in unfillable.items():
        assert fills[kind] == {"none"} if is_unfillable else len(fills[kind] - {"none"}) >= 1, kind
