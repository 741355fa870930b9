"""The stage generate: deterministic bytes, nothing half-written, unfinished work is resumed, errors in one line."""

import errno
import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest

from strokewise import plots
from strokewise.data import dataset, shards
from strokewise.data.dataset import load_paintings
from strokewise.data.outline_files import OUTLINES_FILE, read_outlines
from strokewise.data.shapes import OTHER
from strokewise.errors import OutlineError, UserError
from strokewise.params import GenerateParams, Params
from strokewise.stages import generate as stage
from strokewise.stages.generate import generate
from strokewise.support import atomic_io, processes
from strokewise.support.paths import PAINTINGS_DIR
from strokewise.synthesis import dataset_card, outlines, render

SIZES = {"train": 50, "validation": 20, "test": 33}
SCRATCH = Path(".strokewise/paintings")

MakeParams = Callable[..., Params]


@pytest.fixture
def workdir(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with three shapes; shards hold 20 paintings and one process paints."""
    for folder in sorted((root / "data" / "outlines").iterdir())[:3]:
        shutil.copytree(folder, tmp_path / "data" / "outlines" / folder.name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(shards, "ROWS_PER_SHARD", 20)
    monkeypatch.setattr(dataset, "ROWS_PER_SHARD", 20)
    monkeypatch.setattr(processes, "available_cores", lambda: 1)
    monkeypatch.setattr(stage, "SHEET_COLUMNS", 2)
    return tmp_path


@pytest.fixture
def make_params(root: Path) -> MakeParams:
    """make_params(train=70): parameters for few and small paintings, with changes to the section `generate`."""

    def make(**changes: float) -> Params:
        values = {**SIZES, "canvas": 32, **changes}
        return Params.load(root / "params.yaml", [f"generate.{key}={value}" for key, value in values.items()])

    return make


def read_files(folder: Path = PAINTINGS_DIR) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_generate_writes_shards_card_and_contact_sheet(workdir: Path, make_params: MakeParams) -> None:
    result = generate(make_params())
    assert (result.path, result.paintings, result.reused) == (PAINTINGS_DIR, 103, 0)
    assert set(read_files()) == {
        *(f"train/{number:05d}.parquet" for number in range(3)),
        *(f"test/{number:05d}.parquet" for number in range(2)),
        "validation/00000.parquet",
        "card.json",
        "README.md",
        "contact-sheet.png",
        OUTLINES_FILE,
    }
    assert read_outlines() == outlines.plain_outlines(outlines.load_catalogue(Path("data/outlines")))
    for split, size in SIZES.items():
        assert load_paintings(split, 32).pictures.shape == (size, 32, 32)
    assert [path.name for path in SCRATCH.iterdir()] == ["lock"]


def test_generate_writes_the_card_of_all_shards(workdir: Path, make_params: MakeParams) -> None:
    params = make_params()
    generate(params)
    catalogue = outlines.load_catalogue(Path("data/outlines"))
    columns = [(path.parent.name, shards.read_columns(path)) for path in sorted(PAINTINGS_DIR.rglob("*.parquet"))]
    card = dataset_card.build_card(catalogue, params.generate, columns)
    assert {split: counts["paintings"] for split, counts in card["splits"].items()} == SIZES
    assert json.loads((PAINTINGS_DIR / "card.json").read_text()) == card
    card["splits"] = {split: card["splits"][split] for split in SIZES}
    assert (PAINTINGS_DIR / "README.md").read_text() == dataset_card.card_markdown(card)


def test_paintings_do_not_depend_on_the_run(workdir: Path, make_params: MakeParams) -> None:
    generate(make_params())
    first = read_files()
    generate(make_params())
    assert read_files() == first
    generate(make_params(train=75))
    larger = read_files()
    for name in ("train/00000.parquet", "train/00001.parquet", "test/00001.parquet", "validation/00000.parquet"):
        assert larger[name] == first[name]
    generate(make_params(seed=1))
    assert read_files()["train/00000.parquet"] != first["train/00000.parquet"]


def test_splits_share_no_painting(workdir: Path, make_params: MakeParams) -> None:
    generate(make_params())
    images = [
        image["bytes"]
        for name in read_files()
        if name.endswith(".parquet")
        for image in pq.read_table(PAINTINGS_DIR / name)["image"].to_pylist()
    ]
    assert len(set(images)) == len(images) == 103


def test_shapes_take_turns_and_other_takes_several(workdir: Path, make_params: MakeParams) -> None:
    generate(make_params())
    train = load_paintings("train", 16)
    counts = np.bincount(train.labels)
    other = train.shapes.index(OTHER)
    shape_counts = np.delete(counts, other)
    assert shape_counts.max() - shape_counts.min() <= 1
    turns = render.DISTRACTOR_TURNS
    assert turns * (shape_counts.min() - 1) <= counts[other] <= turns * shape_counts.max()


# --- parts and preview


def test_parts_painted_on_several_machines_give_the_same_bytes(workdir: Path, make_params: MakeParams) -> None:
    generate(make_params())
    expected = read_files()
    shutil.rmtree(PAINTINGS_DIR)
    other_machine = workdir / "other-machine"
    shutil.copytree("data", other_machine / "data")
    names: set[str] = set()
    for part in ("3/4", "1/4", "2/4"):
        result = generate(make_params(), part=part)
        names |= set(read_files(result.path))
        assert not PAINTINGS_DIR.exists()
    os.chdir(other_machine)
    result = generate(make_params(), part="4/4")
    names |= set(read_files(result.path))
    assert sorted(names) == [name for name in sorted(expected) if name.endswith(".parquet")]
    shutil.copytree(other_machine / SCRATCH, workdir / SCRATCH, dirs_exist_ok=True)
    os.chdir(workdir)
    result = generate(make_params())
    assert (result.paintings, result.reused) == (103, 103)
    assert read_files() == expected


@pytest.mark.parametrize("part", ["0/3", "4/3", "x", "1/0", "-1/3", "1/2/3", "", "1", "1.5/2"])
def test_invalid_part_raises_user_error(workdir: Path, make_params: MakeParams, part: str) -> None:
    with pytest.raises(UserError, match=r"is no part of the paintings; write K/N with K from 1 to N, say --shard 3/10"):
        generate(make_params(), part=part)
    assert not SCRATCH.exists()


def test_preview_draws_every_shape_and_writes_nothing_else(
    workdir: Path, make_params: MakeParams, monkeypatch: pytest.MonkeyPatch
) -> None:
    row_lengths: list[int] = []
    contact_sheet = plots.contact_sheet

    def record_rows(rows: list[list[np.ndarray]], *args: object, **kwargs: object) -> None:
        row_lengths.extend(map(len, rows))
        contact_sheet(rows, *args, **kwargs)

    monkeypatch.setattr(stage, "SHEET_COLUMNS", 3)
    monkeypatch.setattr(plots, "contact_sheet", record_rows)
    generate(make_params(), preview=Path("sheet.png"))
    assert row_lengths == [3] * 4
    assert not PAINTINGS_DIR.exists()
    assert not SCRATCH.exists()
    shapes = len(outlines.load_catalogue(Path("data/outlines")).shapes)
    height, width = cv2.imread("sheet.png").shape[:2]
    assert height > shapes * stage.SHEET_CELL
    assert width > stage.SHEET_COLUMNS * stage.SHEET_CELL


def test_invalid_preview_raises_user_error(workdir: Path, make_params: MakeParams) -> None:
    with pytest.raises(UserError, match=r"--preview sheet.jpg is not a PNG file"):
        generate(make_params(), preview=Path("sheet.jpg"))
    with pytest.raises(UserError, match="--shard and --preview exclude each other"):
        generate(make_params(), part="1/2", preview=Path("sheet.png"))


# --- unfinished work


def test_interrupted_run_is_resumed(workdir: Path, make_params: MakeParams, monkeypatch: pytest.MonkeyPatch) -> None:
    generate(make_params())
    expected = read_files()
    render_painting = render.render_painting
    calls: list[tuple[str, int]] = []

    def interrupt(catalogue: outlines.Catalogue, params: GenerateParams, split: str, index: int) -> render.Painting:
        calls.append((split, index))
        if len(calls) == 45:
            raise KeyboardInterrupt
        return render_painting(catalogue, params, split, index)

    monkeypatch.setattr(render, "render_painting", interrupt)
    shutil.rmtree(PAINTINGS_DIR)
    with pytest.raises(KeyboardInterrupt):
        generate(make_params())
    assert not PAINTINGS_DIR.exists()
    assert len(list(SCRATCH.rglob("*.parquet"))) == 2, "two whole shards, and nothing of the third"
    result = generate(make_params())
    assert result.reused == 40
    assert read_files() == expected


def test_damaged_shard_in_the_scratch_folder_is_painted_again(workdir: Path, make_params: MakeParams) -> None:
    generate(make_params())
    expected = read_files()
    result = generate(make_params(), part="1/1")
    (result.path / "train" / "00001.parquet").write_bytes(b"PAR1 half of it")
    assert generate(make_params()).reused == 83
    assert read_files() == expected


def test_larger_split_reuses_shards_of_a_smaller_one(workdir: Path, make_params: MakeParams) -> None:
    generate(make_params(), part="1/1")
    assert generate(make_params(train=75)).reused == 103 - 10, "all but the last shard of train, which has grown"


def test_smaller_split_keeps_unfinished_shards_of_a_larger_one(workdir: Path, make_params: MakeParams) -> None:
    generate(make_params(train=100), part="1/1")
    generate(make_params(train=10, validation=10, test=10))
    expected = 100 + 20 + 33 - 3 * 20
    assert generate(make_params(train=100)).reused == expected, "all but the first shards, which both have"
    assert not list(SCRATCH.rglob("*.parquet"))


def test_old_unfinished_work_is_deleted_after_a_week(workdir: Path, make_params: MakeParams) -> None:
    old, recent = SCRATCH / "0123456789abcdef", SCRATCH / "fedcba9876543210"
    for folder in (old, recent):
        (folder / "train").mkdir(parents=True)
        (folder / "train" / "00000.parquet").touch()
    for path in (old, old / "train", old / "train" / "00000.parquet"):
        os.utime(path, (time.time() - stage.SCRATCH_LIFETIME_S - 60,) * 2)
    generate(make_params())
    assert not old.exists()
    assert recent.exists()


# --- errors


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "the disk is full .*; finished shards are kept in"),
        (PermissionError(errno.EACCES, "Permission denied", "data/x"), "data/x cannot be written .Permission denied"),
    ],
)
def test_disk_error_raises_user_error_in_one_line(
    workdir: Path, make_params: MakeParams, monkeypatch: pytest.MonkeyPatch, error: OSError, message: str
) -> None:
    def fail(path: Path, value: object) -> None:
        raise error

    monkeypatch.setattr(atomic_io, "write_json", fail)
    with pytest.raises(UserError, match=message) as caught:
        generate(make_params())
    assert "\n" not in str(caught.value)
    assert len(list(SCRATCH.rglob("*.parquet"))) == 6


def test_invalid_catalogue_raises_outline_error_and_writes_nothing(workdir: Path, make_params: MakeParams) -> None:
    (next((workdir / "data" / "outlines").iterdir()) / "wrong.svg").write_text("no svg")
    with pytest.raises(OutlineError, match=r"wrong.svg"):
        generate(make_params())
    assert not PAINTINGS_DIR.exists()


@pytest.mark.slow
def test_hugging_face_loads_the_generated_folder(
    workdir: Path, make_params: MakeParams, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(workdir / "hub"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    generate(make_params())
    loaded = datasets.load_dataset(str(PAINTINGS_DIR), cache_dir="cache")
    assert {split: len(rows) for split, rows in loaded.items()} == SIZES
    assert loaded["test"].features["label"].names == list(outlines.load_catalogue(Path("data/outlines")).shapes)
    assert loaded["test"][0]["image"].size == (32, 32)
