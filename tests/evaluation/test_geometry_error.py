"""Errors of a geometry: closed forms, symmetries, and the nearest member of a family."""

import math

import numpy as np
import pytest

from geometry_drawings import ALL, TEMPLATES, around, turn
from strokewise.evaluation.geometry_error import area_overlap, corner_gap, geometry_error, nearest_member
from strokewise.geometry.template import Template


def named(shape: str, variant: str) -> Template:
    return next(template for template in TEMPLATES[shape] if template.variant == variant)


@pytest.mark.parametrize("template", ALL, ids=lambda template: f"{template.shape}-{template.variant}")
def test_equal_geometries_have_no_error(template: Template) -> None:
    matrix = around(turn(33) @ np.diag([1.3, 0.8]), template)
    error = geometry_error(template, matrix, template, matrix)
    assert error.iou in (None, 1.0)
    for value in (error.distance, error.centre, error.size, error.angle or 0.0, error.vertices or 0.0):
        assert value == pytest.approx(0, abs=1e-5)
    assert (error.points or 0.0) == 0.0
    assert not error.swapped


def test_areas_overlap_as_the_closed_form_says() -> None:
    square = np.array([[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]], float)
    assert area_overlap([square], [square + np.array([5, 0])]) == pytest.approx(1 / 3, abs=0.01)
    assert area_overlap([square], [square * 0.5]) == pytest.approx(1 / 4, abs=0.01)
    assert area_overlap([square], [square + 20]) == 0
    t = np.linspace(0, 2 * np.pi, 400)
    circle = np.stack([5 + 5 * np.cos(t), 5 + 5 * np.sin(t)], axis=1)
    assert area_overlap([square], [circle]) == pytest.approx(math.pi / 4, abs=0.01)


def test_corners_may_be_named_in_any_order() -> None:
    corners = np.array([[0, 0], [10, 0], [10, 10], [0, 10]], float)
    assert corner_gap(corners[[2, 0, 3, 1]], corners) == 0
    assert corner_gap(corners + np.array([3, 4]), corners) == pytest.approx(5)
    hexagon = np.stack([np.cos(np.arange(6)), np.sin(np.arange(6))], axis=1)
    assert corner_gap(np.roll(hexagon[::-1], 2, axis=0), hexagon) == pytest.approx(0)


def test_angle_is_up_to_the_symmetries_of_the_outline() -> None:
    for shape, variant, period in (("rectangle", "oblong", 180), ("rectangle", "square", 90), ("star", "outline", 72),
                                   ("hexagon", "flat", 60), ("arrow", "line", 360)):  # fmt: skip
        template = named(shape, variant)
        true = around(np.eye(2), template)
        same = geometry_error(template, around(turn(period), template), template, true)
        assert same.angle == pytest.approx(0, abs=1e-6), variant
        off = geometry_error(template, around(turn(period + 5), template), template, true)
        assert off.angle == pytest.approx(5, abs=1e-6), variant


def test_a_circle_has_no_angle_and_an_ellipse_the_one_of_its_axis() -> None:
    circle = named("ellipse", "circle")
    assert geometry_error(circle, around(turn(20), circle), circle, around(np.eye(2), circle)).angle is None
    long = np.diag([2.0, 1.0])
    error = geometry_error(circle, around(turn(190) @ long, circle), circle, around(long, circle))
    assert error.angle == pytest.approx(10)


def test_named_points_tell_an_arrow_from_its_reverse() -> None:
    arrow = named("arrow", "line")
    true = around(np.eye(2), arrow)
    assert geometry_error(arrow, around(turn(180), arrow), arrow, true).swapped
    near = geometry_error(arrow, around(turn(3), arrow), arrow, true)
    assert not near.swapped
    assert near.points == pytest.approx(2 * 42 * math.sin(math.radians(1.5)) / 84, rel=0.1)


@pytest.mark.parametrize("fit", ["similarity", "box", "affine"])
def test_nearest_member_is_exact_within_the_family(fit: str) -> None:
    rng = np.random.default_rng(0)
    template = next(t for t in ALL if t.fit == "affine")
    template = Template(template.shape, template.variant, fit, True, template.subpaths, {})
    for _ in range(20):
        flip = np.diag([1.0, rng.choice([-1.0, 1.0])])
        stretch = np.diag([1.0, 1.0]) if fit == "similarity" else np.diag(rng.uniform(0.5, 2, 2))
        slant = np.array([[1, 0.3], [0, 1]]) if fit == "affine" else np.eye(2)
        linear = turn(rng.uniform(-180, 180)) @ slant @ stretch @ flip * rng.uniform(0.5, 3)
        points = rng.normal(size=(30, 2)) * [3, 1] + 7
        matrix = nearest_member(template, points, points @ linear.T + [5, -2])
        np.testing.assert_allclose(matrix, np.column_stack([linear, [5, -2]]), atol=1e-6)


def test_nearest_box_of_a_slanted_one_is_nearer_than_its_neighbours() -> None:
    template = named("rectangle", "box")
    rng = np.random.default_rng(1)
    points = rng.uniform(-1, 1, (50, 2))
    target = points @ np.array([[2, 0.6], [0.1, 1]]).T
    best = nearest_member(template, points, target)

    def rest(matrix: np.ndarray) -> float:
        return float(((points @ matrix[:, :2].T + matrix[:, 2] - target) ** 2).sum())

    for change in (turn(1), turn(-1), np.diag([1.01, 1]), np.diag([1, 0.99])):
        other = best.copy()
        other[:, :2] = change @ best[:, :2] if change[0, 1] else best[:, :2] @ change
        assert rest(other) > rest(best)
