"""Snapping test paintings: the numbers are those of the errors, doodles and mistakes apart."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from strokewise.errors import DatasetError
from strokewise.evaluation import snapping
from strokewise.evaluation.snapping import SnapResult
from strokewise.geometry.template import load_templates
from strokewise.params import GenerateParams, Params
from strokewise.synthesis import render
from strokewise.synthesis.outlines import Catalogue, load_catalogue, plain_outlines


@pytest.fixture(scope="module")
def catalogue(root: Path) -> Catalogue:
    return load_catalogue(root / "data" / "outlines")


@pytest.fixture(scope="module")
def ruler(root: Path) -> GenerateParams:
    """Paintings without imprecision, whose geometry is exact."""
    return Params.load(root / "params.yaml", ["generate.imprecision=0"]).generate


@pytest.fixture(scope="module")
def results(catalogue: Catalogue, ruler: GenerateParams) -> list[SnapResult]:
    count = 4 * (len(catalogue.shapes) + 1)
    labels = [render.class_of(catalogue, index)[0] for index in range(count)]
    return snapping.snap_paintings(catalogue, ruler, "test", [catalogue.shapes[i] for i in labels], [1.0] * count)


def test_exact_paintings_are_snapped_exactly(results: list[SnapResult]) -> None:
    numbers = snapping.snap_metrics(results, 200, 0)
    assert numbers["snapped"]["value"] == 1
    assert numbers["iou"]["p5"] > 0.93
    assert numbers["iou"]["low"] <= numbers["iou"]["mean"] <= numbers["iou"]["high"]
    assert numbers["distance"]["p95"] < 0.02
    assert numbers["angle"]["p95"] < 2
    assert numbers["points"]["p95"] < 0.03
    assert numbers["swapped"]["count"] == 0
    assert numbers["wrongly_snapped"] == {"count": 0, "total": 9, "value": 0.0, "low": 0.0,
                                          "high": numbers["wrongly_snapped"]["high"]}  # fmt: skip
    json.dumps(numbers, allow_nan=False)


def test_mistakes_have_no_error_and_count_as_wrong_for_doodles_only(
    catalogue: Catalogue, ruler: GenerateParams
) -> None:
    count = len(catalogue.shapes) + 1
    results = snapping.snap_paintings(catalogue, ruler, "test", ["ellipse"] * count, [1.0] * count)
    assert all(result.error is None for result in results if result.shape != "ellipse")
    numbers = snapping.snap_metrics(results, 50, 0)
    assert numbers["snapped"]["total"] == 1
    assert numbers["wrongly_snapped"]["total"] == 2
    nothing = snapping.snap_metrics([], 50, 0)
    assert nothing["iou"] is nothing["angle"] is nothing["snapped"]["value"] is None


def test_sheet_shows_the_worst_first(results: list[SnapResult], catalogue: Catalogue, ruler: GenerateParams) -> None:
    worst = snapping.worst_fits(results, 5)
    distances = [result.error.distance for result in worst if result.error]
    assert distances == sorted((r.error.distance for r in results if r.error), reverse=True)[:5]
    page, caption = snapping.draw_fit(catalogue, ruler, "test", worst[0])
    assert page.shape == (snapping.SHEET_SIDE, snapping.SHEET_SIDE, 3)
    assert caption.startswith(worst[0].shape)


def test_drawing_with_known_corners_is_measured(catalogue: Catalogue, tmp_path: Path) -> None:
    templates = load_templates(plain_outlines(catalogue))
    corners = np.array([[0.2, 0.2], [0.8, 0.25], [0.5, 0.9]])
    page = np.full((200, 100), 255, np.uint8)
    cv2.polylines(page, [(corners * [100, 200]).round().astype(np.int32)], True, 0, 2, cv2.LINE_AA)
    cv2.imwrite(str(tmp_path / "a.png"), page)
    row = snapping.snap_drawing(templates["triangle"], tmp_path / "a.png", corners[[2, 0, 1]], 1.0)
    assert row["snapped"]
    assert row["iou"] > 0.93
    assert row["vertices"] < 0.02
    ends = np.array([[0.1, 0.5], [0.5, 0.4], [0.9, 0.5], [0.5, 0.6]])
    page = np.full((100, 100), 255, np.uint8)
    cv2.ellipse(page, (50, 50), (40, 10), 0, 0, 360, 0, 2, cv2.LINE_AA)
    cv2.imwrite(str(tmp_path / "b.png"), page)
    row = snapping.snap_drawing(templates["ellipse"], tmp_path / "b.png", ends, 1.0)
    assert row["iou"] > 0.9
    assert row["vertices"] < 0.02
    unsure = snapping.snap_drawing(templates["ellipse"], tmp_path / "b.png", ends, 0.01)
    assert unsure == {"snapped": False, "iou": None, "vertices": None}
    numbers = snapping.drawing_metrics([("ellipse", row), ("ellipse", unsure)])
    assert (numbers["count"], numbers["snapped"], numbers["iou"]) == (2, 0.5, row["iou"])


def test_vertices_are_read_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "vertices.json"
    assert snapping.read_vertices(path) == {}
    path.write_text('{"triangle/a.png": [[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]]}')
    assert snapping.read_vertices(path)["triangle/a.png"].shape == (3, 2)
    for text in ("[", "[1]", '{"a": 1}', '{"a": [[1, 2], [3]]}', '{"a": [[1, "x"]]}', '{"a": [[1, NaN]]}'):
        path.write_text(text)
        with pytest.raises(DatasetError, match="cannot be used"):
            snapping.read_vertices(path)
