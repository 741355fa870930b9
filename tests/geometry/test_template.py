"""Templates: what fitting needs to know of an outline."""

import numpy as np
import pytest

from geometry_drawings import ALL
from strokewise.errors import ModelError
from strokewise.geometry.template import Template, load_templates, parse_template, whiten_polygon

SVG = '<svg xmlns="http://www.w3.org/2000/svg" data-fit="affine" data-points="tail 0 5, tip 9 5"><path d="{}"/></svg>'


@pytest.mark.parametrize("template", ALL, ids=lambda template: f"{template.shape}-{template.variant}")
def test_samples_lie_evenly_on_the_outline(template: Template) -> None:
    shares = np.linspace(0, 1, 400)[:, None, None]
    line = np.vstack([(part[:-1] + shares * np.diff(part, axis=0)).reshape(-1, 2) for part in template.lines])
    gaps = np.hypot(*np.moveaxis(template.samples[:, None] - line, 2, 0))
    assert gaps.min(axis=1).max() < 0.01
    assert gaps.min(axis=0).max() < template.length / len(template.samples)
    np.testing.assert_allclose(np.hypot(*template.tangents.T), 1)
    assert np.abs(np.vstack(template.lines)).max() == pytest.approx(1)


def test_kinds_of_outline_are_seen(templates: dict[str, tuple[Template, ...]]) -> None:
    named = {(template.shape, template.variant): template for template in ALL}
    ellipses = {key for key, template in named.items() if template.is_ellipse}
    assert ellipses == {("ellipse", "circle"), ("ellipse", "flat")}
    assert named["rectangle", "rounded"].corner_radii == pytest.approx([11, 11], abs=0.2)
    assert [key for key, template in named.items() if template.corner_radii is not None] == [("rectangle", "rounded")]
    assert not named["star", "pentagram"].is_region
    assert not named["ellipse", "two-arcs"].is_region
    assert named["star", "outline"].is_region
    corners = {
        template.variant: 0 if template.vertices is None else len(template.vertices)
        for template in templates["triangle"]
    }
    assert corners == {**dict.fromkeys(corners, 3), "blunt": 4, "capped": 0, "sail": 0}


def test_outlines_that_differ_by_a_stretch_are_relatives(templates: dict[str, tuple[Template, ...]]) -> None:
    families = {
        shape: {tuple(relative.variant for relative in template.relatives) for template in variants}
        for shape, variants in templates.items()
    }
    assert ("box", "oblong", "square") in families["rectangle"]
    assert len(families["triangle"]) == 4  # all of three straight edges, and three others
    assert ("circle", "flat") in {tuple(v for v in family if v != "oval") for family in families["ellipse"]}
    assert len(families["star"]) == len(templates["star"])


def test_whitened_polygon_has_unit_covariance() -> None:
    matrix, centre = whiten_polygon(np.array([[10.0, 10.0], [50.0, 20.0], [60.0, 70.0], [0.0, 40.0]]))
    rng = np.random.default_rng(0)
    a, b, c, d = np.array([[10.0, 10.0], [50.0, 20.0], [60.0, 70.0], [0.0, 40.0]])
    areas = np.array([np.linalg.det([b - a, c - a]), np.linalg.det([c - a, d - a])])
    first = rng.random(200_000) < areas[0] / areas.sum()
    u, v = np.sort(rng.random((2, 200_000)), axis=0)
    corners = np.where(first[:, None, None], np.stack([a, b, c]), np.stack([a, c, d]))
    points = u[:, None] * corners[:, 0] + (v - u)[:, None] * corners[:, 1] + (1 - v)[:, None] * corners[:, 2]
    white = (points - centre) @ matrix.T
    np.testing.assert_allclose(np.cov(white.T), np.eye(2), atol=0.02)
    np.testing.assert_allclose(white.mean(0), 0, atol=0.02)


def test_attributes_are_read() -> None:
    template = parse_template(SVG.format("M0 0 L9 0 L9 9 Z"), "arrow", "plain")
    assert (template.fit, template.mirror) == ("affine", False)
    assert {name: point.tolist() for name, point in template.named_points.items()} == {"tail": [0, 5], "tip": [9, 5]}


@pytest.mark.parametrize(
    "svg",
    ["", "<svg/>", SVG.format(""), SVG.format("M0 0 H5"), SVG.format("M0 0 L1 1").replace("affine", "magic"),
     SVG.format("M0 0 L1 1").replace("tail 0 5", "tail 0")],
)  # fmt: skip
def test_what_is_no_plain_svg_raises_model_error(svg: str) -> None:
    with pytest.raises(ModelError, match="the model's outline arrow/plain cannot be read"):
        load_templates({"arrow": {"plain": svg}})


def test_plain_outlines_are_the_most_symmetric_and_straight_ones(templates: dict[str, tuple[Template, ...]]) -> None:
    plain = {shape: {each.variant for each in variants if each.is_plain} for shape, variants in templates.items()}
    assert plain["rectangle"] == {"box", "oblong", "square"}
    assert plain["ellipse"] == {"circle", "flat"}
    assert plain["diamond"] == {"rhombus", "slim"}
    assert plain["triangle"] == {"even", "flat", "leaning", "plain", "right", "wedge"}
