"""Paintings are finite, inside the canvas, pure functions of their index, balanced, and unique to their split."""

import hashlib
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from strokewise.params import GenerateParams, HandStrengths, InkStrengths
from strokewise.synthesis import ink, ink_params, render
from strokewise.synthesis.outlines import Catalogue
from strokewise.synthesis.pen import SUBPIXEL_BITS
from strokewise.synthesis.render import FACTOR_TYPES, Painting

KNOB = st.one_of(st.none(), st.floats(0, 4))
GENERATE_VALUES = st.fixed_dictionaries({
    "seed": st.integers(0, 2**63 - 1),
    "canvas": st.sampled_from([32, 33, 64, 128, 200]),
    "imprecision": st.floats(0, 2),
    "hand": st.fixed_dictionaries(dict.fromkeys(HandStrengths.model_fields, KNOB)),
    "ink": st.fixed_dictionaries(dict.fromkeys(InkStrengths.model_fields, KNOB)),
})  # fmt: skip


def with_values(generate: GenerateParams, **values: Any) -> GenerateParams:
    return GenerateParams.model_validate({**generate.model_dump(), **values})


def without_imprecision(generate: GenerateParams) -> GenerateParams:
    return with_values(generate, imprecision=0.0)


def factors_starting_with(prefix: str) -> set[str]:
    return {name for name in FACTOR_TYPES if name.startswith(prefix)}


def painting_digest(painting: Painting) -> str:
    return hashlib.sha256(painting.scene.tobytes() + repr(painting.factors).encode()).hexdigest()


def check_painting(request: pytest.FixtureRequest, values: dict[str, Any], index: int) -> None:
    """Render one painting; check its scene, its factors, and that all ink is inside the canvas."""
    catalogue: Catalogue = request.getfixturevalue("catalogue")  # as an argument, hypothesis would print all of it
    generate = with_values(request.getfixturevalue("defaults"), **values)
    extents: list[tuple[float, float, float]] = []
    draw_stroke = ink.draw_stroke

    def record_extent(mask: Any, run: Any, pen: float, pressure: float, rng: Any) -> None:
        half_pen = max(1, round(pen * (1 + pressure))) / 2  # at its widest
        extents.append((run.min() / (1 << SUBPIXEL_BITS), run.max() / (1 << SUBPIXEL_BITS), half_pen))
        draw_stroke(mask, run, pen, pressure, rng)

    ink.draw_stroke = record_extent
    try:
        painting = render.render_painting(catalogue, generate, "train", index)
    finally:
        ink.draw_stroke = draw_stroke
    margin = ink.CANVAS_MARGIN - 1  # rounding pens and flattening bends takes less than a pixel
    for low, high, half_pen in extents:
        assert low >= ink.CANVAS_MARGIN - 0.1
        assert high <= generate.canvas - ink.CANVAS_MARGIN + 0.1
        assert low - half_pen >= margin, "ink at the edge of the canvas"
        assert high + half_pen <= generate.canvas - margin, "ink at the edge of the canvas"
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
@given(values=GENERATE_VALUES, index=st.integers(0, 10**9))
def test_any_valid_params_render_a_valid_painting(
    request: pytest.FixtureRequest, values: dict[str, Any], index: int
) -> None:
    check_painting(request, values, index)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(10))
def test_ten_thousand_random_params_render_valid_paintings(request: pytest.FixtureRequest, part: int) -> None:
    rng = np.random.default_rng(part)  # a thousand in each part; the test above also shrinks what fails
    for _ in range(1000):
        values: dict[str, Any] = {
            "seed": int(rng.integers(2**63)),
            "canvas": int(rng.choice([32, 33, 50, 64, 128, 200])),
            "imprecision": float(2 * rng.random()),
        }
        for section, model in (("hand", HandStrengths), ("ink", InkStrengths)):
            knobs = 4 * rng.random(len(model.model_fields)) ** 2
            values[section] = {name: None if rng.random() < 0.5 else float(knob)
                               for name, knob in zip(model.model_fields, knobs, strict=True)}  # fmt: skip
        check_painting(request, values, int(rng.integers(10**9)))


def test_painting_depends_on_seed_split_and_index_only(catalogue: Catalogue, defaults: GenerateParams) -> None:
    expected = painting_digest(render.render_painting(catalogue, defaults, "test", 77))
    other_sizes = with_values(defaults, test=9, train=1)
    for index in (3, 78, 77):
        last = painting_digest(render.render_painting(catalogue, other_sizes, "test", index))
    assert last == expected
    other_seed = render.render_painting(catalogue, with_values(defaults, seed=1), "test", 77)
    assert painting_digest(other_seed) != expected


def test_splits_share_no_painting(catalogue: Catalogue, defaults: GenerateParams) -> None:
    digests = [
        painting_digest(render.render_painting(catalogue, defaults, split, index))
        for split in render.SPLIT_SEEDS
        for index in range(24)
    ]
    assert len(set(digests)) == len(digests)


def test_first_paintings_of_a_split_are_balanced(catalogue: Catalogue, defaults: GenerateParams) -> None:
    shapes = catalogue.shapes
    cycle = len(shapes) - 1 + render.DISTRACTOR_TURNS
    labels = [render.render_painting(catalogue, defaults, "train", index).label for index in range(2 * cycle)]
    counts = np.bincount(labels).tolist()
    assert counts == [2 * (render.DISTRACTOR_TURNS if shape == "other" else 1) for shape in shapes]


def test_few_paintings_cover_every_variant(catalogue: Catalogue, defaults: GenerateParams) -> None:
    for label, outlines in enumerate(catalogue.outlines):
        numbers = range(4 * len(outlines) + 4)
        uniforms = [render.latin_hypercube(defaults.seed, 0, label, number)[0] for number in numbers]
        variants = {int(uniform * len(outlines)) for uniform in uniforms}
        assert variants == set(range(len(outlines))) or catalogue.shapes[label] == "other", label


def test_painting_without_imprecision_is_the_outline_on_white(catalogue: Catalogue, defaults: GenerateParams) -> None:
    generate = without_imprecision(defaults)
    cycle = len(catalogue.shapes) - 1 + render.DISTRACTOR_TURNS
    for index in range(cycle):
        painting = render.render_painting(catalogue, generate, "train", index)
        assert painting.scene.ndim == 2
        assert painting.scene.min() == 0
        assert np.median(painting.scene) == 255
        same_variant = next(
            other
            for number in range(1, 200)
            if (other := render.render_painting(catalogue, generate, "test", index + number * cycle))
            and (other.factors["variant"] == painting.factors["variant"])
        )
        assert same_variant.label == painting.label
        is_other = catalogue.shapes[painting.label] == "other"
        assert is_other or np.array_equal(same_variant.scene, painting.scene)


def test_painting_without_imprecision_inks_all_of_the_outline(catalogue: Catalogue, defaults: GenerateParams) -> None:
    generate = without_imprecision(defaults)
    _, knobs = render.resolve_knobs(generate)
    uniforms = [0.5] * ink_params.INK_UNIFORMS
    params = ink_params.sample_ink_params(knobs, uniforms, 128, True, np.random.default_rng(0))
    for index in range(6 * len(catalogue.shapes)):
        painting = render.render_painting(catalogue, generate, "train", index)
        for outline in catalogue.outlines[painting.label]:
            if outline.variant == painting.factors["variant"]:
                scale, shift, _ = ink.place_on_canvas(outline.strokes.points, params, defaults.canvas)
                points = outline.strokes.points * scale + shift
                x, y = np.rint(np.stack([points.real, points.imag])).astype(int)
                assert painting.scene[y, x].max() < 200, outline.variant


@pytest.mark.parametrize("knob", InkStrengths.model_fields)
def test_ink_knob_changes_its_own_factors_only(catalogue: Catalogue, defaults: GenerateParams, knob: str) -> None:
    changed = set()
    for index in range(0, 1200, 11):
        off, on = (
            render.render_painting(
                catalogue,
                with_values(defaults, canvas=32, imprecision=0.0, ink={**defaults.ink.model_dump(), **knobs}),
                "train",
                index,
            ).factors
            for knobs in ({}, {knob: 1.0})
        )
        changed |= {name for name in FACTOR_TYPES if off[name] != on[name]}
    factors_of_knob = {
        "place": {"size", "x", "y"},
        "fill": {*factors_starting_with("fill"), "shade", "outlined"},
        "paper": {
            *("paper", "light", "dark", "inverted", "grain"),
            *factors_starting_with("ruling"),
            *factors_starting_with("shadow"),
        },
        "colour": {"coloured", *factors_starting_with("cast"), *factors_starting_with("tint")},
        "strays": {"strays", "neighbour", "writing"},
    }
    assert changed <= factors_of_knob.get(knob, {knob})
    assert changed


def test_smallest_painting_has_the_same_pixel_size_on_any_canvas(defaults: GenerateParams) -> None:
    _, knobs = render.resolve_knobs(defaults)
    uniforms = [0.5, 0.5, 0.5, 0.0, 0.5]
    for canvas, size in ((64, 0.3), (128, 38 / 128), (2048, 38 / 2048)):
        params = ink_params.sample_ink_params(knobs, uniforms, canvas, True, np.random.default_rng(0))
        assert params.size == pytest.approx(size)


def test_shapes_take_turns_and_other_takes_several(catalogue: Catalogue) -> None:
    shapes = catalogue.shapes
    turns = render.DISTRACTOR_TURNS
    classes = [render.class_of(catalogue, index) for index in range(10 * (len(shapes) - 1 + turns))]
    counts = np.bincount([label for label, _ in classes])
    assert counts.tolist() == [10 * turns if shape == "other" else 10 for shape in shapes]
    for label in range(len(shapes)):  # no painting is repeated: each label numbers its own
        assert [number for own, number in classes if own == label] == list(range(counts[label]))


def test_target_without_imprecision_is_the_outline_where_the_ink_lies(
    catalogue: Catalogue, defaults: GenerateParams
) -> None:
    generate = without_imprecision(defaults)
    for index in range(4 * len(catalogue.shapes)):
        painting = render.render_painting(catalogue, generate, "train", index)
        if catalogue.shapes[painting.label] == "other":
            assert painting.target is None
            continue
        assert painting.target is not None
        numbers, target = painting.target
        x, y = np.stack([target.real, target.imag]).astype(int)
        assert painting.scene[y, x].max() < 200
        outline = next(one for one in catalogue.outlines[painting.label] if one.variant == painting.factors["variant"])
        points = outline.strokes.points[numbers]
        rows = np.stack([points.real, points.imag, np.ones(len(points))], axis=1)
        _, rest, _, _ = np.linalg.lstsq(rows, np.stack([target.real, target.imag], axis=1), rcond=None)
        assert rest.max() < 1e-9 * len(points)


def test_target_follows_the_hand(catalogue: Catalogue, defaults: GenerateParams) -> None:
    """Dark ink on plain white paper lies where the target is, but for what a hand leaves out or draws beside it."""
    near = []
    for index in range(60 * len(catalogue.shapes)):
        painting = render.render_painting(catalogue, defaults, "train", index)
        if painting.target is not None and painting.scene.ndim == 2 and np.percentile(painting.scene, 80) == 255:
            ink_near = ndimage.minimum_filter(painting.scene, 9) < 160
            x, y = np.stack([painting.target[1].real, painting.target[1].imag]).astype(int).clip(0, 127)
            near.append(ink_near[y, x].mean())
    assert len(near) > 30
    assert np.mean(near) > 0.85
