"""`strokewise import` as typed: every kind of collection, what is kept, what is turned away and why."""

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from strokewise.cli.app import app
from strokewise.data import human_drawings
from strokewise.errors import DatasetError
from strokewise.importing.near_duplicates import MIN_CORRELATION, NearDuplicateIndex
from strokewise.preprocessing.decode import decode
from strokewise.preprocessing.preprocess import preprocess
from strokewise.support.paths import DRAWINGS_DIR, TRAIN_DRAWINGS_DIR


def scribble(number: int) -> np.ndarray:
    """A page with something of its own on it, uint8 (60, 60)."""
    page = np.full((60, 60), 255, np.uint8)
    points = np.random.default_rng(number).integers(8, 52, (5, 2)).astype(np.int32)
    cv2.polylines(page, [points], True, 0, 2, cv2.LINE_AA)
    return page


def png(number: int) -> bytes:
    return cv2.imencode(".png", scribble(number))[1].tobytes()


@pytest.fixture(autouse=True)
def _yard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project with two shapes and `other`, and a collection of three drawings."""
    monkeypatch.chdir(tmp_path)
    for shape in ("ellipse", "rectangle"):
        Path("data/outlines", shape).mkdir(parents=True)
    for number, name in enumerate(("ellipse/a.png", "ellipse/b.png", "Square/c.png")):
        put(Path("mine", name), png(number))


def put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def typed(*words: str) -> Result:
    return CliRunner().invoke(app, ["import", *words])


def kept(folder: Path = DRAWINGS_DIR) -> dict[str, int]:
    found = [human_drawings.shape_of(path, folder) for path in human_drawings.drawing_paths(folder)]
    return {shape: found.count(shape) for shape in sorted(set(found))}


def test_a_folder_comes_in_once_and_again_changes_nothing() -> None:
    assert "2 would be imported" in typed("mine", "--dry-run").output
    assert kept() == {}
    said = typed("mine").output
    assert "1 skipped: Square is no shape of data/outlines; if rectangle is meant, --map Square=rectangle" in said
    assert kept() == {"ellipse": 2}
    assert "1 imported into data/drawings/rectangle" in typed("mine", "--map", "Square=rectangle").output
    before = {path: path.stat().st_mtime_ns for path in human_drawings.drawing_paths(DRAWINGS_DIR)}
    assert "3 already there" in typed("mine", "--map", "Square=rectangle", "--map", "x=other").output
    assert {path: path.stat().st_mtime_ns for path in human_drawings.drawing_paths(DRAWINGS_DIR)} == before


def test_no_pixel_is_lost_and_the_door_sees_the_same() -> None:
    typed("mine")
    seen = {decode(path).tobytes() for path in human_drawings.drawing_paths(DRAWINGS_DIR)}
    assert seen == {scribble(number).tobytes() for number in (0, 1)}


def test_what_cannot_be_used_is_named_with_its_reason() -> None:
    put(Path("mine/ellipse/words.png"), b"no picture at all")
    put(Path("mine/ellipse/cut.png"), png(7)[:200])
    put(Path("mine/loose.png"), png(8))
    put(Path("mine/ellipse/again.png"), png(0))
    put(Path("mine/rectangle/as-well.png"), png(1))
    said = typed("mine")
    assert said.exit_code == 0
    assert "words.png - this is no picture file" in said.output
    assert "cut.png - the PNG ends too early" in said.output
    assert "loose.png - nothing says what shape it is" in said.output
    assert "1 repeated in the collection" in said.output
    assert "as-well.png - the same drawing is there as ellipse/" in said.output


def test_the_same_drawing_never_judges_and_teaches() -> None:
    typed("mine")
    shifted = cv2.copyMakeBorder(scribble(1), 9, 0, 0, 5, cv2.BORDER_CONSTANT, value=255)
    put(Path("more/ellipse/same.png"), png(0))
    put(Path("more/ellipse/near.jpg"), cv2.imencode(".jpg", shifted)[1].tobytes())
    put(Path("more/ellipse/new.png"), png(9))
    said = typed("more", "--train").output
    assert "2 left out: the same, or nearly, lies in data/drawings" in said
    assert kept(TRAIN_DRAWINGS_DIR) == {"ellipse": 1}


def test_near_duplicates_are_told_but_kept() -> None:
    typed("mine")
    shifted = cv2.copyMakeBorder(scribble(1), 9, 0, 0, 5, cv2.BORDER_CONSTANT, value=255)
    put(Path("more/ellipse/near.png"), cv2.imencode(".png", shifted)[1].tobytes())
    put(Path("more/ellipse/far.png"), png(9))
    assert "1 imported, but nearly the same as another" in typed("more").output
    assert kept() == {"ellipse": 4}


def test_a_csv_names_paths_beside_it() -> None:
    with Path("mine/list.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "shape"), ("ellipse/a.png", "ellipse"), ("gone.png", "other")])
    said = typed("mine/list.csv").output
    assert "gone.png - " in said
    assert kept() == {"ellipse": 1}
    Path("mine/list.csv").write_text("file,name\n")
    with pytest.raises(DatasetError, match=r"has the columns \['file', 'name'\]; it needs path and shape"):
        typed_raising("mine/list.csv")


def typed_raising(*words: str) -> None:
    CliRunner().invoke(app, ["import", *words], catch_exceptions=False)


def parquet(names: list[str] | None) -> None:
    image = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    cells = [{"bytes": png(0), "path": None}, {"bytes": None, "path": "ellipse/b.png"}, {"bytes": png(2), "path": None}]
    layout = pa.schema({"image": image, "label": pa.int64()})
    if names:
        features = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": names}}
        layout = layout.with_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(pa.table({"image": cells, "label": [0, 0, 1]}, schema=layout), "mine/set.parquet")


def test_a_parquet_in_the_convention_of_hugging_face() -> None:
    parquet(["ellipse", "square"])
    typed("mine/set.parquet", "--map", "square=rectangle")
    assert kept() == {"ellipse": 2, "rectangle": 1}
    parquet(None)
    with pytest.raises(DatasetError, match=r"label holds int64 and its schema 0 class names; labels are text, or"):
        typed_raising("mine/set.parquet")


def test_bitmaps_need_a_shape() -> None:
    small = np.stack([255 - cv2.resize(scribble(number), (28, 28), interpolation=cv2.INTER_AREA) for number in (3, 4)])
    np.save("bitmaps.npy", small.reshape(2, 784))
    typed("bitmaps.npy", "--shape", "ellipse", "--limit", "1")
    assert kept() == {"ellipse": 1}
    with pytest.raises(DatasetError, match="does not say what it shows; add --shape"):
        typed_raising("bitmaps.npy")
    with pytest.raises(DatasetError, match="--shape circle is no shape; is it ellipse"):
        typed_raising("bitmaps.npy", "--shape", "circle")
    np.save("bitmaps.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(DatasetError, match=r"cannot be read: .*get it again"):
        typed_raising("bitmaps.npy", "--shape", "ellipse")


def test_what_cannot_be_imported_at_all_is_one_line() -> None:
    with pytest.raises(DatasetError, match=r"there is no nowhere; name a folder with one sub-folder a shape"):
        typed_raising("nowhere")
    with pytest.raises(DatasetError, match=r"--map 'a=b' is not THEIRS=SHAPE with a shape of ellipse, other, rect"):
        typed_raising("mine", "--map", "a=b")
    put(Path("strange/house/a.png"), png(1))
    with pytest.raises(DatasetError, match=r"nothing in strange could be imported; the lines above say why"):
        typed_raising("strange")


def test_twins_agree_with_a_plain_correlation() -> None:
    seen = np.stack([preprocess(scribble(number), 32) for number in range(12)])
    twins = NearDuplicateIndex()
    twins.add(seen[:5], list("abcde"))
    twins.add(seen[5:10], list("fghij"))
    assert twins.of(seen[8:]) == ["i", "j", None, None]
    assert max(np.corrcoef(seen[11].ravel(), other.ravel())[0, 1] for other in seen[:10]) < MIN_CORRELATION
