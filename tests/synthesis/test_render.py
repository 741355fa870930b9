"""Paintings: finite, inside the canvas, pure functions of their place, balanced, and never shared by two splits."""

import hashlib
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from strokewise.params import GenerateParams, HandStrengths, InkStrengths
from strokewise.synthesis import ink, ink_params, render
from strokewise.synthesis.outlines import Catalogue
from strokewise.synthesis.render import FACTOR_TYPES, Painting

KNOB = st.one_of(st.none(), st.floats(0, 4))
SETTINGS = st.fixed_dictionaries({
    "seed": st.integers(0, 2**63 - 1),
    "canvas": st.sampled_from([32, 33, 64, 128, 200]),
    "imprecision": st.floats(0, 2),
    "hand": st.fixed_dictionaries(dict.fromkeys(HandStrengths.model_fields, KNOB)),
    "ink": st.fixed_dictionaries(dict.fromkeys(InkStrengths.model_fields, KNOB)),
})  # fmt: skip


def changed(generate: GenerateParams, **values: Any) -> GenerateParams:
    return GenerateParams.model_validate({**generate.model_dump(), **values})


def still(generate: GenerateParams, **values: Any) -> GenerateParams:
    return changed(generate, imprecision=0.0, **values)


def named(start: str) -> set[str]:
    return {name for name in FACTOR_TYPES if name.startswith(start)}


def digest(painting: Painting) -> str:
    return hashlib.sha256(painting.scene.tobytes() + repr(painting.factors).encode()).hexdigest()


def check(request: pytest.FixtureRequest, values: dict[str, Any], index: int) -> None:
    catalogue: Catalogue = request.getfixturevalue("catalogue")  # as arguments, hypothesis would print them whole
    generate = changed(request.getfixturevalue("defaults"), **values)
    inked: list[tuple[float, float, float]] = []
    original = ink.draw_stroke

    def watched(mask: Any, run: Any, pen: float, pressure: float, rng: Any) -> None:
        half = max(1, round(pen * (1 + pressure))) / 2  # of the pen at its widest
        inked.append((run.min() / (1 << ink.SUBPIXEL_BITS), run.max() / (1 << ink.SUBPIXEL_BITS), half))
        original(mask, run, pen, pressure, rng)

    ink.draw_stroke = watched
    try:
        painting = render.render_painting(catalogue, generate, "train", index)
    finally:
        ink.draw_stroke = original
    free = ink.CANVAS_MARGIN - 1  # less than a pixel goes for whole pens and flat bends
    for least, most, half in inked:
        assert least >= ink.CANVAS_MARGIN - 0.1
        assert most <= generate.canvas - ink.CANVAS_MARGIN + 0.1
        assert least - half >= free, "ink at the canvas's edge"
        assert most + half <= generate.canvas - free, "ink at the canvas's edge"
    scene = painting.scene
    assert scene.dtype == np.uint8
    assert scene.shape in ((generate.canvas,) * 2, (generate.canvas, generate.canvas, 3))
    assert scene.min() < scene.max(), "nothing was drawn"
    assert painting.label == render.class_of(catalogue, index)[0]
    assert list(painting.factors) == list(FACTOR_TYPES)
    for name, value in painting.factors.items():
        assert type(value) is FACTOR_TYPES[name]
        assert not isinstance(value, float) or np.isfinite(value)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=SETTINGS, index=st.integers(0, 10**9))
def test_any_setting_paints(request: pytest.FixtureRequest, values: dict[str, Any], index: int) -> None:
    check(request, values, index)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(10))
def test_ten_thousand_settings_paint(request: pytest.FixtureRequest, part: int) -> None:
    rng = np.random.default_rng(part)  # a thousand each; to shrink one that fails is left to the test above
    for _ in range(1000):
        values: dict[str, Any] = {
            "seed": int(rng.integers(2**63)),
            "canvas": int(rng.choice([32, 33, 50, 64, 128, 200])),
            "imprecision": float(2 * rng.random()),
        }
        for section, model in (("hand", HandStrengths), ("ink", InkStrengths)):
            own = 4 * rng.random(len(model.model_fields)) ** 2
            values[section] = {name: None if rng.random() < 0.5 else float(value)
                               for name, value in zip(model.model_fields, own, strict=True)}  # fmt: skip
        check(request, values, int(rng.integers(10**9)))


def test_a_painting_depends_on_seed_split_and_index_alone(catalogue: Catalogue, defaults: GenerateParams) -> None:
    alone = digest(render.render_painting(catalogue, defaults, "test", 77))
    for index in (3, 78, 77):
        last = digest(render.render_painting(catalogue, changed(defaults, test=9, train=1), "test", index))
    assert last == alone
    assert digest(render.render_painting(catalogue, changed(defaults, seed=1), "test", 77)) != alone


def test_splits_share_no_painting(catalogue: Catalogue, defaults: GenerateParams) -> None:
    digests = [
        digest(render.render_painting(catalogue, defaults, split, index))
        for split in render.SPLIT_SEEDS
        for index in range(24)
    ]
    assert len(set(digests)) == len(digests)


def test_every_beginning_is_balanced(catalogue: Catalogue, defaults: GenerateParams) -> None:
    labels = [render.render_painting(catalogue, defaults, "train", index).label for index in range(25)]
    assert np.ptp(np.bincount(labels[: 2 * len(catalogue.shapes)])) == 0
    assert np.ptp(np.bincount(labels)) <= 1


def test_few_paintings_cover_every_variant(catalogue: Catalogue, defaults: GenerateParams) -> None:
    shapes = len(catalogue.shapes)
    for label, outlines in enumerate(catalogue.outlines):
        turns = range(4 * len(outlines) + 4)
        seen = {int(render.latin_hypercube(defaults.seed, 0, label, turn)[0] * len(outlines)) for turn in turns}
        assert seen == set(range(len(outlines))) or catalogue.shapes[label] == "other", (label, shapes)


def test_without_imprecision_a_painting_is_the_outline_on_white(catalogue: Catalogue, defaults: GenerateParams) -> None:
    turns = len(catalogue.shapes) + 1  # in a round, of which two are for doodles
    for index in range(turns):
        first = render.render_painting(catalogue, still(defaults), "train", index)
        assert first.scene.ndim == 2
        assert first.scene.min() == 0
        assert np.median(first.scene) == 255
        twin = next(
            other
            for turn in range(1, 200)
            if (other := render.render_painting(catalogue, still(defaults), "test", index + turn * turns))
            and (other.factors["variant"] == first.factors["variant"])
        )
        assert twin.label == first.label
        assert catalogue.shapes[first.label] == "other" or np.array_equal(twin.scene, first.scene)


def test_without_imprecision_all_of_the_outline_is_inked(catalogue: Catalogue, defaults: GenerateParams) -> None:
    shapes = len(catalogue.shapes)
    for index in range(6 * shapes):
        painting = render.render_painting(catalogue, still(defaults), "train", index)
        for outline in catalogue.outlines[painting.label]:
            if outline.variant == painting.factors["variant"]:
                knobs, lots = render.resolve_knobs(still(defaults))[1], [0.5] * ink_params.INK_UNIFORMS
                how = ink_params.sample_ink_params(knobs, lots, 128, True, np.random.default_rng(0))
                scale, shift, _ = ink.place_on_canvas(outline.strokes.points, how, defaults.canvas)
                x, y = np.rint(np.stack([(p := outline.strokes.points * scale + shift).real, p.imag])).astype(int)
                assert painting.scene[y, x].max() < 200, outline.variant


@pytest.mark.parametrize("knob", InkStrengths.model_fields)
def test_a_knob_of_the_ink_leaves_the_hand_alone(catalogue: Catalogue, defaults: GenerateParams, knob: str) -> None:
    moved = set()
    for index in range(0, 1200, 11):
        plain, inked = (
            render.render_painting(
                catalogue, changed(defaults, canvas=32, imprecision=0.0, ink={**defaults.ink.model_dump(), **k}),
                          "train", index).factors for k in ({}, {knob: 1.0})
        )  # fmt: skip
        moved |= {name for name in FACTOR_TYPES if plain[name] != inked[name]}
    assert moved <= {
        "place": {"size", "x", "y"},
        "fill": {"fill", "shade", "hatch_angle", "hatch_apart", "hatch_over"},
        "paper": {"paper", "light", "dark", "inverted", "grain", *named("ruling"), *named("shadow")},
        "colour": {"coloured", *named("cast"), *named("tint")},
        "strays": {"strays", "neighbour"},
    }.get(knob, {knob})
    assert moved


def test_a_drawing_is_as_small_on_a_large_canvas(catalogue: Catalogue, defaults: GenerateParams) -> None:
    knobs = render.resolve_knobs(defaults)[1]
    lots = [0.5, 0.5, 0.5, 0.0]
    for canvas, size in ((64, 0.3), (128, 38 / 128), (2048, 38 / 2048)):
        assert ink_params.sample_ink_params(knobs, lots, canvas, True, np.random.default_rng(0)).size == pytest.approx(
            size
        )


def test_shapes_take_turns_and_doodles_take_two(catalogue: Catalogue) -> None:
    shapes = catalogue.shapes
    turns = [render.class_of(catalogue, index) for index in range(10 * (len(shapes) + 1))]
    counts = np.bincount([label for label, _ in turns])
    assert counts.tolist() == [20 if shape == "other" else 10 for shape in shapes]
    for label in range(len(shapes)):  # nothing is painted twice: each label counts its own turns
        assert [turn for of, turn in turns if of == label] == list(range(counts[label]))
