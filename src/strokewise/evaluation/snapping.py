"""How well outlines are laid over test paintings, whose true geometry the painter knows, and over people's drawings.

    paintings, painted again with their targets, and the CNN's answers → SnapResult a painting → numbers, a sheet

The true geometry of a painting is the member of its outline's family (what `data-fit` allows) that is nearest to where
the hand took each point of the outline.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from strokewise.data.shapes import OTHER
from strokewise.errors import DatasetError
from strokewise.evaluation import metrics
from strokewise.evaluation.geometry_error import (
    MAX_CIRCULAR,
    Array,
    GeometryError,
    area_overlap,
    corner_gap,
    geometry_error,
    nearest_member,
    outline_lines,
)
from strokewise.geometry.path_data import flatten_subpath
from strokewise.geometry.snap import Geometry, snap_outline
from strokewise.geometry.template import ShapeTemplates, Template, load_templates
from strokewise.params import GenerateParams
from strokewise.preprocessing.preprocess import CroppedInk, preprocess_with_ink
from strokewise.support import processes, progress
from strokewise.synthesis import render
from strokewise.synthesis.outlines import Catalogue, Outline, plain_outlines

IMAGE_SIZE = 64  # pixels: decides the resolution of the ink alone, whatever the network's is
PAINTINGS_PER_TASK = 40  # paintings that a process is given at a time
TRUE_COLOUR, FOUND_COLOUR = (0, 130, 60), (215, 30, 30)  # RGB, of outlines on the sheet
SHEET_SIDE = 256  # pixels of a painting on the sheet


@dataclass(frozen=True, eq=False)
class SnapResult:
    """What snapping made of one painting."""

    index: int
    shape: str
    """The one that it shows."""
    predicted: str
    geometry: Geometry | None
    error: GeometryError | None
    """Of a geometry of the right shape."""


@dataclass(frozen=True, eq=False)
class TrueOutline:
    """The outline that a painting shows, and where: a matrix (2, 3) from its viewBox to the canvas."""

    template: Template
    matrix: Array


def snap_paintings(
    catalogue: Catalogue, config: GenerateParams, split: str, predicted: Sequence[str], confidence: Sequence[float]
) -> list[SnapResult]:
    """Paint the first paintings of a split again and snap each to the shape that the CNN says, on all cores."""
    jobs = [(split, i, predicted[i], float(confidence[i])) for i in range(len(predicted))]
    batches = [jobs[start : start + PAINTINGS_PER_TASK] for start in range(0, len(jobs), PAINTINGS_PER_TASK)]
    cores = processes.available_cores()
    if cores == 1 or len(batches) < 4:
        _init_snapping(catalogue, config)
        return [result for batch in progress.track(batches, len(batches), "snapping", "batches")
                for result in _snap_batch(batch)]  # fmt: skip
    with processes.worker_pool(cores, _init_snapping, (catalogue, config)) as pool:
        done = progress.track(pool.map(_snap_batch, batches), len(batches), "snapping", "batches")
        return [result for batch in done for result in batch]


_loaded: list[tuple[Catalogue, GenerateParams, ShapeTemplates]] = []


def _init_snapping(catalogue: Catalogue, config: GenerateParams) -> None:
    cv2.setNumThreads(1)
    _loaded[:] = [(catalogue, config, load_templates(plain_outlines(catalogue)))]


def _snap_batch(jobs: list[tuple[str, int, str, float]]) -> list[SnapResult]:
    catalogue, config, templates = _loaded[0]
    results = []
    for split, index, predicted, confidence in jobs:
        painting = render.render_painting(catalogue, config, split, index)
        shape = catalogue.shapes[painting.label]
        geometry = None
        if predicted != OTHER:
            found = snap_ink(templates[predicted], preprocess_with_ink(painting.scene, IMAGE_SIZE)[1], confidence)
            geometry = None if isinstance(found, str) else found
        error = None
        if geometry is not None and predicted == shape:
            true = true_outline(catalogue, templates, painting)
            used = next(template for template in templates[shape] if template.variant == geometry.variant)
            error = geometry_error(used, np.array(geometry.matrix), true.template, true.matrix)
        results.append(SnapResult(index, shape, predicted, geometry, error))
    return results


def snap_ink(templates: Sequence[Template], ink: CroppedInk, confidence: float = 1.0) -> Geometry | str:
    """Snap the ink of a picture, in the picture's own pixels."""
    return snap_outline(templates, ink.ink, np.column_stack([np.diag(ink.scale), ink.corner]), confidence)


def true_outline(catalogue: Catalogue, templates: ShapeTemplates, painting: render.Painting) -> TrueOutline:
    """The true geometry of a painting of a shape."""
    shape, variant = catalogue.shapes[painting.label], painting.factors["variant"]
    outline = next(one for one in catalogue.outlines[painting.label] if one.variant == variant)
    template = next(one for one in templates[shape] if one.variant == variant)
    assert painting.target is not None, "a painting of a shape has a target"
    numbers, target = painting.target
    on_page = _page_points(outline)[numbers]
    return TrueOutline(template, nearest_member(template, on_page, np.stack([target.real, target.imag], axis=1)))


def _page_points(outline: Outline) -> Array:
    """The points of an outline's strokes in the units of its viewBox, (P, 2)."""
    centre, half = outline.frame
    points = outline.strokes.points * half + centre
    return np.stack([points.real, points.imag], axis=1)


# --- numbers


def snap_metrics(results: Sequence[SnapResult], bootstrap_samples: int, seed: int) -> dict[str, Any]:
    """Everything that is measured, ready for JSON.

    `snapped` is the share of shapes called right that got a geometry, `wrongly_snapped` that of `other` that got one.
    Of the geometries, each error has its mean, median and 95th percentile (of `iou` the 5th), and the mean's interval.
    """
    right = [result for result in results if result.shape == result.predicted != OTHER]
    others = [result for result in results if result.shape == OTHER]
    found = [result.error for result in right if result.error is not None]
    open_ones = [error for error in found if error.iou is None]
    rng = np.random.default_rng(seed)

    def summary(values: Sequence[float | None], low_is_bad: bool = False) -> dict[str, Any] | None:
        numbers = np.array([value for value in values if value is not None], np.float64)
        if not len(numbers):
            return None
        means = numbers[rng.integers(0, len(numbers), (bootstrap_samples, len(numbers)), np.int32)].mean(axis=1)
        ends = np.quantile(means, [(1 - metrics.CONFIDENCE) / 2, (1 + metrics.CONFIDENCE) / 2])
        tail = {"p5": float(np.quantile(numbers, 0.05))} if low_is_bad else {"p95": float(np.quantile(numbers, 0.95))}
        middle = {"mean": float(numbers.mean()), "low": float(ends[0]), "high": float(ends[1])}
        return {"count": len(numbers), **middle, "median": float(np.median(numbers)), **tail}

    def share(part: Sequence[Any], whole: Sequence[Any]) -> dict[str, Any]:
        proportion = metrics.wilson_proportion(len(part), len(whole))
        return {name: getattr(proportion, name) for name in ("count", "total", "value", "low", "high")}

    swaps = [error for error in found if error.swapped is not None]
    return {
        "snapped": share(found, right),
        "wrongly_snapped": share([result for result in others if result.geometry is not None], others),
        "iou": summary([error.iou for error in found], low_is_bad=True),
        "distance": summary([error.distance for error in found]),
        "distance_open": summary([error.distance for error in open_ones]),
        **{
            name: summary([getattr(error, name) for error in found])
            for name in ("centre", "size", "angle", "vertices", "points")
        },
        "swapped": share([error for error in swaps if error.swapped], swaps),
        "shapes": {
            shape: {
                "snapped": len(errors) / max(1, sum(result.shape == shape for result in right)),
                "iou": _mean([error.iou for error in errors]),
                "distance": _mean([error.distance for error in errors]),
                "angle": _mean([error.angle for error in errors]),
            }
            for shape in sorted({result.shape for result in right})
            for errors in [[r.error for r in right if r.shape == shape and r.error is not None]]
        },
    }


def _mean(values: Sequence[float | None]) -> float | None:
    numbers = [value for value in values if value is not None]
    return float(np.mean(numbers)) if numbers else None


# --- drawings by people


def read_vertices(path: Path) -> dict[str, Array]:
    """Known corners of drawings: file, relative to the folder → points (n, 2) as shares of the picture's sides.

    Of an ellipse they are the ends of its axes. An empty dictionary without the file; raises DatasetError if it is
    damaged.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        found = {str(name): np.array(points, np.float64) for name, points in content.items()}
        if any(points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all() for points in found.values()):
            raise ValueError("its points are no pairs of numbers")
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise DatasetError(f'{path} cannot be used ({error}); write {{"shape/file.png": [[x, y], ...]}}') from None
    return found


def snap_drawing(templates: Sequence[Template], source: Path, corners: Array, confidence: float) -> dict[str, Any]:
    """Compare the geometry of a drawing with its known corners: `snapped`, `iou` and `vertices`, None where undefined.

    `vertices` is the mean distance of the corners as a share of the picture's sides.
    """
    ink = preprocess_with_ink(source, IMAGE_SIZE)[1]
    picture = cv2.imread(str(source), cv2.IMREAD_UNCHANGED)
    geometry = snap_ink(templates, ink, confidence)
    if isinstance(geometry, str) or picture is None:
        return {"snapped": False, "iou": None, "vertices": None}
    height, width = picture.shape[:2]
    template = next(one for one in templates if one.variant == geometry.variant)
    matrix = np.array(geometry.matrix)
    lines = [line / [width, height] for line in outline_lines(template, matrix)]
    box = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * template.size / 2 + template.centre
    if geometry.shape == "ellipse" and len(corners) == 4:
        axes, radii, _ = np.linalg.svd(matrix[:, :2] @ np.diag(template.size / 2))
        ends = (axes * radii).T
        middle = matrix[:, :2] @ template.centre + matrix[:, 2]
        mine: Array | None = np.vstack([middle + ends, middle - ends])
        half = np.stack([corners[0] - corners[2], corners[1] - corners[3]]) / 2
        t = np.linspace(0, 2 * np.pi, 120)[:, np.newaxis]
        truth = corners.mean(axis=0) + np.cos(t) * half[0] + np.sin(t) * half[1]
        lengths = np.sort(np.hypot(*half.T))
        mine = None if lengths[0] > MAX_CIRCULAR * lengths[1] else mine
    else:
        whole = flatten_subpath(template.subpaths[0]) if template.vertices is None else template.subpaths[0].corners
        known = whole if len(whole) == len(corners) else box  # of round corners, those of the box
        mine, truth = (known @ matrix[:, :2].T + matrix[:, 2] if len(known) == len(corners) else None), corners
    gap = None if mine is None else corner_gap(mine / [width, height], corners)
    return {"snapped": True, "iou": area_overlap(lines, [np.vstack([truth, truth[:1]])]), "vertices": gap}


def drawing_metrics(rows: Sequence[tuple[str, Mapping[str, Any]]]) -> dict[str, Any]:
    """Of drawings, each a shape and what `snap_drawing` returned: shares and errors, all together and by shape."""

    def summary(part: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        gaps = [row["vertices"] for row in part if row["vertices"] is not None]
        snapped = metrics.wilson_proportion(sum(row["snapped"] for row in part), len(part))
        return {
            "count": len(part),
            "snapped": snapped.value,
            "snapped_interval": [snapped.low, snapped.high],
            "iou": _mean([row["iou"] for row in part]),
            "vertices_median": float(np.median(gaps)) if gaps else None,
        }

    shapes = sorted({shape for shape, _ in rows})
    return summary([row for _, row in rows]) | {
        "shapes": {shape: summary([row for of, row in rows if of == shape]) for shape in shapes}
    }


# --- the sheet of the worst fits


def worst_fits(results: Sequence[SnapResult], count: int) -> list[SnapResult]:
    """The geometries that lie farthest from the truth."""
    measured = [result for result in results if result.error is not None]
    return sorted(measured, key=lambda result: (-result.error.distance, result.index))[:count]  # type: ignore[union-attr]


def draw_fit(
    catalogue: Catalogue, config: GenerateParams, split: str, result: SnapResult
) -> tuple[NDArray[np.uint8], str]:
    """A painting with its true outline and the one that was found, uint8 (H, W, 3), and a caption."""
    templates = load_templates({result.shape: plain_outlines(catalogue)[result.shape]})
    painting = render.render_painting(catalogue, config, split, result.index)
    true = true_outline(catalogue, templates, painting)
    assert result.geometry is not None, "it has a geometry"
    assert result.error is not None, "of the right shape"
    used = next(one for one in templates[result.shape] if one.variant == result.geometry.variant)
    colour = cv2.cvtColor(painting.scene, cv2.COLOR_GRAY2RGB) if painting.scene.ndim == 2 else painting.scene
    scale = SHEET_SIDE / config.canvas
    page = cv2.resize(colour, (SHEET_SIDE, SHEET_SIDE), interpolation=cv2.INTER_NEAREST) // 2 + 127
    for template, matrix, ink in (
        (true.template, true.matrix, TRUE_COLOUR),
        (used, np.array(result.geometry.matrix), FOUND_COLOUR),
    ):
        for line in outline_lines(template, matrix):
            pixels = np.rint((line * scale - 0.5) * 16).astype(np.int32)
            cv2.polylines(page, [pixels], False, ink, 2, cv2.LINE_AA, 4)
    overlap = "" if result.error.iou is None else f" IoU {result.error.iou:.2f}"
    return np.asarray(page, np.uint8), f"{result.shape} {100 * result.error.distance:.1f} %{overlap}"
