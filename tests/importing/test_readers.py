"""Collections: a CSV, a Parquet and bitmaps are read; anything else raises one line."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from strokewise.errors import DatasetError

MakePage = Callable[[int], np.ndarray]
MakePng = Callable[[int], bytes]
RunImport = Callable[..., str]
CountDrawings = Callable[..., dict[str, int]]


def test_csv_names_paths_beside_it(run_import: RunImport, count_drawings: CountDrawings) -> None:
    with Path("mine/list.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "shape"), ("ellipse/a.png", "ellipse"), ("gone.png", "other")])
    assert "gone.png - " in run_import("mine/list.csv")
    assert count_drawings() == {"ellipse": 1}
    Path("mine/list.csv").write_text("file,name\n")
    with pytest.raises(DatasetError, match=r"has the columns file, name; it needs path and shape"):
        run_import("mine/list.csv")


@pytest.fixture
def write_parquet(make_png: MakePng) -> Callable[[list[str] | None], None]:
    """write_parquet(class_names): write mine/set.parquet, with bytes, a path and the names if there are any."""

    def write(class_names: list[str] | None) -> None:
        schema = pa.schema({"image": pa.struct({"bytes": pa.binary(), "path": pa.string()}), "label": pa.int64()})
        if class_names:
            features = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": class_names}}
            schema = schema.with_metadata({"huggingface": json.dumps({"info": {"features": features}})})
        images = [
            {"bytes": make_png(0), "path": None},
            {"bytes": None, "path": "ellipse/b.png"},
            {"bytes": make_png(2), "path": None},
        ]
        pq.write_table(pa.table({"image": images, "label": [0, 0, 1]}, schema=schema), "mine/set.parquet")

    return write


def test_parquet_is_read_in_the_convention_of_hugging_face(
    write_parquet: Callable[[list[str] | None], None], run_import: RunImport, count_drawings: CountDrawings
) -> None:
    write_parquet(["ellipse", "square"])
    run_import("mine/set.parquet", "--map", "square=rectangle")
    assert count_drawings() == {"ellipse": 2, "rectangle": 1}
    write_parquet(None)
    with pytest.raises(DatasetError, match=r"label holds int64 and its schema 0 class names; labels are text, or"):
        run_import("mine/set.parquet")


def test_bitmaps_need_a_shape(make_page: MakePage, run_import: RunImport, count_drawings: CountDrawings) -> None:
    pages = [255 - cv2.resize(make_page(number), (28, 28), interpolation=cv2.INTER_AREA) for number in (3, 4)]
    np.save("bitmaps.npy", np.stack(pages).reshape(2, 784))
    run_import("bitmaps.npy", "--shape", "ellipse", "--limit", "1")
    assert count_drawings() == {"ellipse": 1}
    with pytest.raises(DatasetError, match="does not say what it shows; add --shape"):
        run_import("bitmaps.npy")
    with pytest.raises(DatasetError, match="--shape circle is no shape; is it ellipse"):
        run_import("bitmaps.npy", "--shape", "circle")
    np.save("bitmaps.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(DatasetError, match=r"cannot be read: .*get it again"):
        run_import("bitmaps.npy", "--shape", "ellipse")


def test_missing_collection_raises_dataset_error(run_import: RunImport) -> None:
    with pytest.raises(DatasetError, match=r"there is no nowhere; name a folder with one sub-folder a shape"):
        run_import("nowhere")
