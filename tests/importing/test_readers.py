"""Collections: a CSV, a Parquet and bitmaps are read; anything else raises one line."""

import csv
import json
import os
import socket
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from strokewise.errors import DatasetError
from strokewise.importing import readers

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
    with pytest.raises(DatasetError, match="holds Python objects"):
        run_import("bitmaps.npy", "--shape", "ellipse")


def test_missing_collection_raises_dataset_error(run_import: RunImport) -> None:
    with pytest.raises(DatasetError, match=r"there is no nowhere; name a folder with one sub-folder a shape"):
        run_import("nowhere")


def npy_header(text: str, version: tuple[int, int] = (1, 0), length: int | None = None) -> bytes:
    """The header of a .npy that claims what `text` says, and a few bytes of data."""
    size = struct.pack("<H" if version == (1, 0) else "<I", len(text) if length is None else length)
    return b"\x93NUMPY" + bytes(version) + size + text.encode("latin1") + bytes(784)


def npy_of(shape: str, descr: str = "'|u1'") -> bytes:
    return npy_header(f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK\x03\x04" + bytes(40), "is a .npz archive"),
        (npy_of("(1,)", "'|O'"), "a pickle"),
        (npy_of("(-1, 784)"), "it must hold uint8"),
        (npy_of("(True, 784)"), "it must hold uint8"),
        (npy_of("(0, 784)"), "it must hold uint8"),
        (npy_of("(1.5, 784)"), "cannot be read"),
        (npy_of("('x', 784)"), "cannot be read"),
        (npy_of("()"), "it must hold uint8"),
        (npy_of("(1, 784)", "'<f8'"), "it must hold uint8"),
        (npy_of("(1, 784)", "[('a', '|u1')]"), "it must hold uint8"),
        (npy_of("(2, 784)"), "claims .* get it again"),
        (npy_of(f"({10**15}, 784)"), "claims .* get it again"),
        (npy_of(f"(1, {10**30}, {10**30})"), "claims .* get it again"),
        (npy_header("{}", (2, 0), 2**32 - 1), "cannot be read"),
        (npy_header("(" * 9000), "cannot be read"),
        (npy_header("{'descr': '|u1'}"), "cannot be read"),
        (npy_header("", (9, 9)), "cannot be read"),
        (b"", "cannot be read"),
        (b"\x93NUMPY", "cannot be read"),
    ],
)
def test_strange_npy_raises_one_line(content: bytes, message: str, run_import: RunImport) -> None:
    Path("set.npy").write_bytes(content)
    with pytest.raises(DatasetError, match=message) as caught:
        run_import("set.npy", "--shape", "ellipse")
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("images", "labels", "metadata", "message"),
    [
        (pa.array([1, 2]), pa.array(["ellipse"] * 2), None, "image holds int64; pictures are binary"),
        (pa.array(["a", "b"]), pa.array(["ellipse"] * 2), None, "image holds string; pictures are binary"),
        (pa.nulls(2), pa.array(["ellipse"] * 2), None, "image holds null"),
        (pa.array([{"bytes": 3}] * 2), pa.array(["ellipse"] * 2), None, "image holds struct"),
        (pa.array([{"x": b""}] * 2), pa.array(["ellipse"] * 2), None, "image holds struct"),
        (pa.array([b"", b""]), pa.array([0.5, 1.5]), None, "label holds double"),
        (pa.array([b"", b""]), pa.array([["a"], ["b"]]), None, "label holds list"),
        (pa.array([b"", b""]), pa.array([0, 1]), "[" * 100_000, "0 class names"),
        (pa.array([b"", b""]), pa.array([0, 1]), '{"info": {"features": [3]}}', "0 class names"),
        (pa.array([b"", b""]), pa.array([0, 1]), '{"info": {"features": {"label": {"names": 5}}}}', "0 class names"),
        (pa.array([b"", b""]), pa.array([0, 1]), '{"info": {"features": {"label": null}}}', "0 class names"),
    ],
)
def test_parquet_of_strange_columns_or_metadata_raises_one_line(
    images: pa.Array, labels: pa.Array, metadata: str | None, message: str, run_import: RunImport
) -> None:
    table = pa.table({"image": images, "label": labels})
    table = table.replace_schema_metadata({"huggingface": metadata}) if metadata else table
    pq.write_table(table, "set.parquet")
    with pytest.raises(DatasetError, match=message):
        run_import("set.parquet")


@pytest.mark.parametrize("doubled", ["image", "label"])
def test_doubled_parquet_column_raises_one_line(doubled: str, run_import: RunImport) -> None:
    columns = {"image": pa.array([b""]), "label": pa.array(["ellipse"])}
    table = pa.table([*columns.values(), columns[doubled]], names=["image", "label", doubled])
    pq.write_table(table, "set.parquet")
    with pytest.raises(DatasetError, match=f"several columns {doubled}"):
        run_import("set.parquet")


def test_damaged_parquet_beside_a_whole_one_is_one_line_and_the_rest_is_imported(
    make_png: MakePng, run_import: RunImport, count_drawings: CountDrawings
) -> None:
    Path("set").mkdir()
    pq.write_table(pa.table({"image": [make_png(5)], "label": ["ellipse"]}), "set/b.parquet")
    Path("set/a.parquet").write_bytes(b"PAR1 nothing PAR1")
    os.mkfifo("set/c.parquet")
    output = run_import("set")
    assert "a.parquet cannot be read" in output
    assert "c.parquet is no file" in output
    assert count_drawings() == {"ellipse": 1}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (f"{'x' * 10_000_000},ellipse\n", "line 2 - this is no CSV: field larger"),
        ("a\0b.png,ellipse\n", r"a\x00b.png - "),
        ("a.png\n", "a.png - nothing says what shape it is"),
        (f"a.png,{'y' * 100_000}\n", "skipped: yyy"),
        ("a.png,\x1b[31mred\n", r"skipped: \x1b[31mred"),
    ],
)
def test_strange_csv_line_is_reported_and_the_rest_is_imported(
    line: str, message: str, run_import: RunImport, count_drawings: CountDrawings
) -> None:
    Path("mine/list.csv").write_text(f"path,shape\n{line}ellipse/a.png,ellipse\n")
    output = run_import("mine/list.csv")
    assert message in output
    assert len(output) < 2000
    assert "\x1b" not in output
    assert count_drawings() == {"ellipse": 1}


@pytest.mark.parametrize("columns", [["path", "shape", "path"], ["shape", "path", "shape"], ["c"] * 5000])
def test_csv_of_strange_columns_raises_one_line(columns: list[str], run_import: RunImport) -> None:
    Path("list.csv").write_text(",".join(columns) + "\n")
    with pytest.raises(DatasetError, match="it needs path and shape, once each") as caught:
        run_import("list.csv")
    assert len(str(caught.value)) < 400


def test_strange_entries_of_a_folder_are_reported_and_the_rest_is_imported(
    run_import: RunImport, count_drawings: CountDrawings
) -> None:
    folder = Path("mine/ellipse")
    os.mkfifo(folder / "pipe.png")
    (folder / "loop.png").symlink_to("loop.png")
    (folder / "gone.png").symlink_to("nowhere.png")
    (folder / "above").symlink_to("..")
    (folder / "red\x1b[31m\n\u202e.png").write_bytes(b"no picture")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("mine/ellipse/socket")
        output = run_import("mine")
    for name in ("pipe.png", "socket"):
        assert f"{name} - mine/ellipse/{name} is no file" in output
    assert "loop.png - mine/ellipse/loop.png cannot be read" in output
    assert "gone.png - mine/ellipse/gone.png cannot be read" in output
    assert "above - links to folders are not followed" in output
    assert r"red\x1b[31m\n\u202e.png - " in output
    assert not {"\x1b", "\u202e"} & set(output)
    assert count_drawings() == {"ellipse": 2}


@pytest.mark.parametrize("name", ["pipe.csv", "loop.npy", "x" * 300])
def test_path_that_is_no_file_raises_one_line(name: str, run_import: RunImport) -> None:
    os.mkfifo("pipe.csv")
    Path("loop.npy").symlink_to("loop.npy")
    with pytest.raises(DatasetError, match=r"is no file|cannot be opened"):
        run_import(name)


def test_lack_of_memory_is_not_reported_as_damage(
    write_parquet: Callable[[list[str] | None], None], run_import: RunImport, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path, **_: object) -> None:
        raise pa.ArrowMemoryError("malloc of size 1 failed")

    write_parquet(["ellipse", "other"])
    for name in ("read_metadata", "ParquetFile"):
        with monkeypatch.context() as patch:
            patch.setattr(pq, name, fail)
            with pytest.raises(MemoryError):
                run_import("mine/set.parquet")


def test_page_that_would_fill_memory_is_reported_and_the_rest_is_imported(
    make_png: MakePng, run_import: RunImport, count_drawings: CountDrawings
) -> None:
    Path("set").mkdir()
    for name, image in (("a", bytes(2**28)), ("b", make_png(5))):  # the first has some kilobytes on disk
        pq.write_table(pa.table({"image": [image], "label": ["ellipse"]}), f"set/{name}.parquet", compression="zstd")
    assert "a.parquet from row 0 on - it cannot be read: a page of it holds 268,435," in run_import("set")
    assert count_drawings() == {"ellipse": 1}


def test_dictionary_of_large_pictures_does_not_fill_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "PARQUET_BATCH", (64, 2**22))
    image = pa.DictionaryArray.from_arrays(pa.array([0] * 64, pa.int32()), pa.array([bytes(2**22)]))
    pq.write_table(pa.table({"image": image, "label": ["ellipse"] * 64}), "set.parquet", store_schema=False)
    collection = readers.read_collection(Path("set.parquet"), None)
    tracemalloc.start()
    try:
        sizes = {len(item.picture) for item in collection.items if isinstance(item.picture, bytes)}
        assert tracemalloc.get_traced_memory()[1] < 2**25  # all at once take 2^28
    finally:
        tracemalloc.stop()
    assert sizes == {2**22}


@pytest.mark.parametrize("name", ["set.csv", "set.npy", "set.parquet"])
def test_too_many_drawings_are_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "MAX_DRAWINGS", 3)
    Path("set.csv").write_text("path,shape\n" + "a.png,ellipse\n" * 5)
    np.save("set.npy", np.zeros((4, 784), np.uint8))
    pq.write_table(pa.table({"image": [b""] * 4, "label": ["ellipse"] * 4}), "set.parquet")
    with pytest.raises(DatasetError, match=rf"{name} holds 4 drawings; 3 are imported at a time: split it"):
        readers.read_collection(Path(name), "ellipse" if name == "set.npy" else None)
