"""`strokewise import`: what is imported, what is left out and why, and no test drawing among the training data."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from strokewise.data import human_drawings
from strokewise.importing import importer
from strokewise.preprocessing.decode import decode
from strokewise.support.paths import DRAWINGS_DIR, TRAIN_DRAWINGS_DIR

MakePage = Callable[[int], np.ndarray]
MakePng = Callable[[int], bytes]
WriteFile = Callable[[Path | str, bytes], None]
RunImport = Callable[..., str]
CountDrawings = Callable[..., dict[str, int]]


def shift(page: np.ndarray) -> np.ndarray:
    """The page with a margin above and at the right."""
    return cv2.copyMakeBorder(page, 9, 0, 0, 5, cv2.BORDER_CONSTANT, value=255)


def test_repeated_import_changes_nothing(run_import: RunImport, count_drawings: CountDrawings) -> None:
    assert "2 would be imported" in run_import("mine", "--dry-run")
    assert count_drawings() == {}
    output = run_import("mine")
    assert "1 skipped: Square is no shape of data/outlines; if rectangle is meant, --map Square=rectangle" in output
    assert count_drawings() == {"ellipse": 2}
    assert "1 imported into data/drawings/rectangle" in run_import("mine", "--map", "Square=rectangle")
    before = {path: path.stat().st_mtime_ns for path in human_drawings.drawing_paths(DRAWINGS_DIR)}
    assert "3 already there" in run_import("mine", "--map", "Square=rectangle", "--map", "x=other")
    assert {path: path.stat().st_mtime_ns for path in human_drawings.drawing_paths(DRAWINGS_DIR)} == before


def test_imported_pixels_are_lossless(run_import: RunImport, make_page: MakePage) -> None:
    run_import("mine")
    imported = {decode(path).tobytes() for path in human_drawings.drawing_paths(DRAWINGS_DIR)}
    assert imported == {make_page(number).tobytes() for number in (0, 1)}


def test_unusable_drawings_are_rejected_with_a_reason(
    run_import: RunImport, make_png: MakePng, write_file: WriteFile
) -> None:
    write_file("mine/ellipse/words.png", b"no picture at all")
    write_file("mine/ellipse/cut.png", make_png(7)[:200])
    write_file("mine/loose.png", make_png(8))
    write_file("mine/ellipse/again.png", make_png(0))
    write_file("mine/rectangle/as-well.png", make_png(1))
    output = run_import("mine")
    assert "words.png - this is no picture file" in output
    assert "cut.png - the PNG ends too early" in output
    assert "loose.png - nothing says what shape it is" in output
    assert "1 repeated in the collection" in output
    assert "as-well.png - the same drawing is there as ellipse/" in output


def test_test_drawings_are_not_imported_as_training_data(
    run_import: RunImport,
    make_page: MakePage,
    make_png: MakePng,
    write_file: WriteFile,
    count_drawings: CountDrawings,
) -> None:
    run_import("mine")
    write_file("more/ellipse/same.png", make_png(0))
    write_file("more/ellipse/near.jpg", cv2.imencode(".jpg", shift(make_page(1)))[1].tobytes())
    write_file("more/ellipse/new.png", make_png(9))
    output = run_import("more", "--train")
    assert "2 left out: the same, or nearly, lies in data/drawings" in output
    assert count_drawings(TRAIN_DRAWINGS_DIR) == {"ellipse": 1}


def test_near_duplicates_are_imported_and_reported(
    run_import: RunImport,
    make_page: MakePage,
    make_png: MakePng,
    write_file: WriteFile,
    count_drawings: CountDrawings,
) -> None:
    run_import("mine")
    write_file("more/ellipse/near.png", cv2.imencode(".png", shift(make_page(1)))[1].tobytes())
    write_file("more/ellipse/far.png", make_png(9))
    assert "1 imported, but nearly the same as another" in run_import("more")
    assert count_drawings() == {"ellipse": 4}


def test_drawing_for_which_memory_lacks_is_rejected_and_the_rest_is_imported(
    run_import: RunImport, count_drawings: CountDrawings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decode_or_fail(source: Path) -> np.ndarray:
        if source.name == "a.png":
            error = cv2.error("Failed to allocate 144000000 bytes")
            error.code = cv2.Error.StsNoMem
            raise error
        return decode(source)

    monkeypatch.setattr(importer, "decode", decode_or_fail)
    assert "a.png - there is too little memory to read it; shrink it, or close other programs" in run_import("mine")
    assert count_drawings() == {"ellipse": 1}


def test_batches_end_at_their_limit_of_bytes(
    run_import: RunImport, count_drawings: CountDrawings, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []

    def select(prepared: list[object], *rest: object) -> object:
        sizes.append(len(prepared))
        return select_new(prepared, *rest)

    select_new = importer._select_new
    monkeypatch.setattr(importer, "_select_new", select)
    monkeypatch.setattr(importer, "IMPORT_BATCH", (256, 1))
    run_import("mine", "--map", "Square=rectangle")
    assert sizes == [1, 1, 1]
    assert count_drawings() == {"ellipse": 2, "rectangle": 1}
