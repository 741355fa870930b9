"""The learning curve on toy paintings: nested subsets, points that are not measured twice, a table and a diagram."""

import csv
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from strokewise.data.dataset import subset_per_shape
from strokewise.data.shards import PaintingRow, write_shard
from strokewise.errors import DatasetError
from strokewise.evaluation import learning_curve
from strokewise.params import Params
from strokewise.stages.baseline import baseline
from strokewise.stages.train import train
from strokewise.support.paths import PAINTINGS_DIR

SHAPES = ("bar", "ring")
SMALL = [
    *(
        "network.image_size=16",
        "network.base_channels=4",
        "network.max_channels=8",
        "network.extra_filters=0",
        "train.epochs=2",
    ),
    *("train.batch_size=4", "train.threads=1", "train.device=cpu", "baseline.folds=2", "baseline.augmented_copies=0"),
]


def painting(index: int) -> PaintingRow:
    scene = np.full((40, 40), 255, np.uint8)
    size = int(np.random.default_rng(index).integers(8, 16))
    if index % 2:
        cv2.circle(scene, (20, 20), size, 0, 2)
    else:
        cv2.line(scene, (20 - size, 20), (20 + size, 24), 0, 2)
    return PaintingRow(cv2.imencode(".png", scene)[1].tobytes(), index % 2, {})


@pytest.fixture
def params(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    monkeypatch.chdir(tmp_path)
    for split, count in (("train", 16), ("validation", 4), ("test", 10)):
        write_shard(PAINTINGS_DIR / split / "00000.parquet", map(painting, range(count)), SHAPES, {})
    return Params.load(root / "params.yaml", SMALL)


def test_larger_subset_contains_the_smaller() -> None:
    labels = np.array([1, 1, 0, 1, 0, 0])
    assert subset_per_shape(labels, 1).tolist() == [0, 2]
    assert subset_per_shape(labels, 2).tolist() == [0, 1, 2, 4]
    assert subset_per_shape(labels, 9).tolist() == list(range(6))


def test_measured_points_are_written_and_not_measured_again(params: Params) -> None:
    trained: list[int] = []

    def counted_train(point_params: Params, folder: Path, size: int) -> None:
        trained.append(size)
        train(point_params, folder, size)

    def measure(sizes: list[int]) -> list[dict[str, Any]]:
        return learning_curve.measure_learning_curve(params, counted_train, baseline, sizes)

    measure([2])
    rows = measure([4, 2])
    assert trained == [2, 2, 4], "at two points the smaller one takes more epochs than alone"
    assert measure([2, 4]) == rows
    assert trained == [2, 2, 4]
    assert [(row["paintings"], row["epochs"]) for row in rows] == [(2, 4), (4, 2)]
    with (learning_curve.CURVE_DIR / "curve.csv").open() as file:
        assert [float(row["cnn"]) for row in csv.DictReader(file)] == [row["cnn"] for row in rows]
    assert cv2.imread(str(learning_curve.CURVE_DIR / "curve.png")) is not None
    assert len(learning_curve.curve_table(rows).splitlines()) == 3
    assert all(path.suffix == ".json" for path in Path(".strokewise/curve").iterdir())


def test_size_above_the_rarest_shape_raises_dataset_error(params: Params) -> None:
    with pytest.raises(DatasetError, match="9 paintings a shape were asked for, and the rarest shape has 8"):
        learning_curve.measure_learning_curve(params, train, baseline, [9])
