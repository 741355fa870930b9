"""The stage generate: the same bytes however they came about, nothing half-written, every interruption survived."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from ruamel.yaml import YAML

from strokewise import plots
from strokewise.data import dataset
from strokewise.data.dataset import load_factors, load_paintings
from strokewise.data.png import encode_png
from strokewise.data.shards import OTHER
from strokewise.errors import OutlineError, UserError
from strokewise.params import Params
from strokewise.stages import generate as stage
from strokewise.stages.generate import generate
from strokewise.support import atomic_io
from strokewise.support.paths import PAINTINGS_DIR
from strokewise.synthesis import outlines, render, workers

SIZES = {"train": 50, "validation": 20, "test": 33}
SCRATCH = Path(".strokewise/paintings")


@pytest.fixture
def project(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a few shapes of the catalogue, where shards hold 20 paintings and one process paints."""
    for folder in sorted((root / "data" / "outlines").iterdir())[:3]:
        shutil.copytree(folder, tmp_path / "data" / "outlines" / folder.name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(dataset, "ROWS", 20)
    monkeypatch.setattr(workers, "cores", lambda: 1)
    monkeypatch.setattr(stage, "COLUMNS", 2)
    return tmp_path


@pytest.fixture
def params(root: Path) -> Callable[..., Params]:
    """Parameters for small paintings, with changes: params(train=70)."""

    def changed(**changes: float) -> Params:
        values = {**SIZES, "canvas": 32, **changes}
        return Params.load(root / "params.yaml", [f"generate.{key}={value}" for key, value in values.items()])

    return changed


def contents(folder: Path = PAINTINGS_DIR) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_it_makes_what_the_pipeline_expects(project: Path, params: Callable[..., Params]) -> None:
    made = generate(params())
    assert (made.folder, made.paintings, made.found) == (PAINTINGS_DIR, 103, 0)
    assert set(contents()) == {
        *(f"train/{number:05d}.parquet" for number in range(3)),
        *(f"test/{number:05d}.parquet" for number in range(2)),
        "validation/00000.parquet",
        "card.json",
        "README.md",
        "contact-sheet.png",
    }
    for split, size in SIZES.items():
        assert load_paintings(split, 32).pictures.shape == (size, 32, 32)
    assert [path.name for path in SCRATCH.iterdir()] == ["lock"]


def test_the_card_counts_what_is_there(project: Path, params: Callable[..., Params]) -> None:
    generate(params())
    card = json.loads((PAINTINGS_DIR / "card.json").read_text())
    catalogue = outlines.load_catalogue(Path("data/outlines"))
    assert card["shapes"] == list(catalogue.shapes)
    assert card["catalogue"] == catalogue.digest
    assert card["generate"]["canvas"] == 32
    every = {name: [] for name in render.FACTOR_TYPES}
    for split, size in SIZES.items():
        labels = load_paintings(split, 16).labels
        counts = {catalogue.shapes[label]: count for label, count in Counter(labels.tolist()).items()}
        assert card["splits"][split]["paintings"] == size
        assert {name: count for name, count in card["splits"][split]["shapes"].items() if count} == counts
        for name, values in load_factors(split).items():
            every[name] += values.tolist()
    for name, kind in render.FACTOR_TYPES.items():
        if kind in (int, float):
            assert (card["factors"][name]["least"], card["factors"][name]["greatest"]) == (
                min(every[name]),
                max(every[name]),
            )
        else:
            assert sum(card["factors"][name]["values"].values()) == 103


def test_the_page_tells_the_viewer_where_the_splits_are(project: Path, params: Callable[..., Params]) -> None:
    generate(params())
    page = (PAINTINGS_DIR / "README.md").read_text()
    head = YAML(typ="safe").load(page.split("---\n")[1])
    for files in head["configs"][0]["data_files"]:
        assert list(PAINTINGS_DIR.glob(files["path"])), files
    assert all(f"| {shape} |" in page for shape in outlines.load_catalogue(Path("data/outlines")).shapes)
    assert "| **all** | 50 | 20 | 33 |" in page
    rows = dict(line[2:-2].split(" | ", 1) for line in page.splitlines() if line.startswith("| "))
    for name, kind in render.FACTOR_TYPES.items():
        assert rows[name].startswith(f"{kind.__name__} | "), name
        assert rows[name].endswith(f" | {render.FACTOR_MEANINGS[name]}"), name
    assert rows["contains"].startswith("str | (none), ")
    words = Counter(load_factors("train")["variant"].tolist())
    words += Counter(load_factors("validation")["variant"].tolist() + load_factors("test")["variant"].tolist())
    told, more = rows["variant"].split(" | ")[1].rsplit(" and ", 1)
    assert more == f"{len(words) - 12} more"
    assert [words[word] for word in told.split(", ")] == sorted(words.values(), reverse=True)[:12]


def test_a_painting_does_not_depend_on_the_run_it_came_from(project: Path, params: Callable[..., Params]) -> None:
    generate(params())
    first = contents()
    generate(params())
    assert contents() == first
    generate(params(train=75))
    grown = contents()
    for name in ("train/00000.parquet", "train/00001.parquet", "test/00001.parquet", "validation/00000.parquet"):
        assert grown[name] == first[name]
    generate(params(seed=1))
    assert contents()["train/00000.parquet"] != first["train/00000.parquet"]


def test_splits_share_no_painting(project: Path, params: Callable[..., Params]) -> None:
    generate(params())
    images = [
        image["bytes"]
        for name in contents()
        if name.endswith(".parquet")
        for image in pq.read_table(PAINTINGS_DIR / name)["image"].to_pylist()
    ]
    assert len(set(images)) == len(images) == 103


def test_parts_painted_anywhere_come_together_to_the_same_bytes(project: Path, params: Callable[..., Params]) -> None:
    generate(params())
    whole = contents()
    shutil.rmtree(PAINTINGS_DIR)
    elsewhere = project / "elsewhere"
    shutil.copytree("data", elsewhere / "data")
    parts: set[str] = set()
    for part in ("3/4", "1/4", "2/4"):
        made = generate(params(), part=part)
        parts |= set(contents(made.folder))
        assert not PAINTINGS_DIR.exists()
    os.chdir(elsewhere)
    made = generate(params(), part="4/4")
    parts |= set(contents(made.folder))
    assert sorted(parts) == [name for name in sorted(whole) if name.endswith(".parquet")]
    shutil.copytree(elsewhere / SCRATCH, project / SCRATCH, dirs_exist_ok=True)
    os.chdir(project)
    made = generate(params())
    assert (made.paintings, made.found) == (103, 103)
    assert contents() == whole


@pytest.mark.parametrize("part", ["0/3", "4/3", "x", "1/0", "-1/3", "1/2/3", "", "1", "1.5/2"])
def test_a_bad_part_is_named(project: Path, params: Callable[..., Params], part: str) -> None:
    with pytest.raises(UserError, match=r"is no part of the paintings; write K/N with K from 1 to N, say --shard 3/10"):
        generate(params(), part=part)
    assert not SCRATCH.exists()


def test_a_preview_shows_every_shape_and_touches_nothing(
    project: Path, params: Callable[..., Params], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[int] = []
    sheet = plots.contact_sheet
    monkeypatch.setattr(stage, "COLUMNS", 3)
    monkeypatch.setattr(
        plots, "sheet", lambda scenes, *rest, **more: (rows.extend(map(len, scenes)), sheet(scenes, *rest, **more))
    )
    generate(params(), preview=Path("sheet.png"))
    assert rows == [stage.SHEET_COLUMNS] * 4
    assert not PAINTINGS_DIR.exists()
    assert not SCRATCH.exists()
    shapes = len(outlines.load_catalogue(Path("data/outlines")).shapes)
    height, width = cv2.imread("sheet.png").shape[:2]
    assert height > shapes * stage.SHEET_CELL
    assert width > stage.SHEET_COLUMNS * stage.SHEET_CELL
    with pytest.raises(UserError, match=r"--preview sheet.jpg is no PNG"):
        generate(params(), preview=Path("sheet.jpg"))
    with pytest.raises(UserError, match="--shard and --preview are two things"):
        generate(params(), part="1/2", preview=Path("sheet.png"))


def test_an_interrupted_run_goes_on_where_it_was(
    project: Path, params: Callable[..., Params], monkeypatch: pytest.MonkeyPatch
) -> None:
    generate(params())
    whole = contents()
    painted, paint = [], render.render_painting

    def interrupted(catalogue: outlines.Catalogue, settings: object, split: str, index: int) -> render.Painting:
        painted.append((split, index))
        if len(painted) == 45:
            raise KeyboardInterrupt
        return paint(catalogue, settings, split, index)

    monkeypatch.setattr(render, "paint", interrupted)
    shutil.rmtree(PAINTINGS_DIR)
    with pytest.raises(KeyboardInterrupt):
        generate(params())
    assert not PAINTINGS_DIR.exists()
    assert len(list(SCRATCH.rglob("*.parquet"))) == 2, "two whole shards, and nothing of the third"
    made = generate(params())
    assert made.found == 40
    assert contents() == whole


def test_a_damaged_shard_in_the_scratch_is_painted_again(project: Path, params: Callable[..., Params]) -> None:
    generate(params())
    whole = contents()
    made = generate(params(), part="1/1")
    (made.folder / "train" / "00001.parquet").write_bytes(b"PAR1 half of it")
    assert generate(params()).found == 83
    assert contents() == whole


def test_a_larger_split_takes_over_what_a_smaller_one_left(project: Path, params: Callable[..., Params]) -> None:
    generate(params(), part="1/1")
    assert generate(params(train=75)).found == 103 - 10, "all but the last shard of train, which has grown"


def test_a_small_set_leaves_alone_what_a_large_one_has_not_finished(
    project: Path, params: Callable[..., Params]
) -> None:
    generate(params(train=100), part="1/1")
    generate(params(train=10, validation=10, test=10))
    assert generate(params(train=100)).found == 100 + 20 + 33 - 3 * 20, "all but the first shards, which both have"
    assert not list(SCRATCH.rglob("*.parquet"))


def test_a_painting_alone_is_the_one_in_the_shard(project: Path, params: Callable[..., Params]) -> None:
    settings = params()
    generate(settings)
    catalogue = outlines.load_catalogue(Path("data/outlines"))
    table = pq.read_table(PAINTINGS_DIR / "train" / "00001.parquet")
    for row in (0, 7, 19):
        painting = render.render_painting(catalogue, settings.generate, "train", 20 + row)
        assert table["image"][row].as_py()["bytes"] == encode_png(painting.scene)
        assert table["label"][row].as_py() == painting.label


@pytest.mark.slow
def test_what_was_generated_opens_with_datasets(
    project: Path, params: Callable[..., Params], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(project / "hub"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    generate(params())
    found = datasets.load_dataset(str(PAINTINGS_DIR), cache_dir="cache")
    assert {split: len(rows) for split, rows in found.items()} == SIZES
    assert found["test"].features["label"].names == list(outlines.load_catalogue(Path("data/outlines")).shapes)
    assert found["test"][0]["image"].size == (32, 32)


def test_old_unfinished_work_is_forgotten_after_a_week(project: Path, params: Callable[..., Params]) -> None:
    old, recent = SCRATCH / "0123456789abcdef", SCRATCH / "fedcba9876543210"
    for folder in (old, recent):
        (folder / "train").mkdir(parents=True)
        (folder / "train" / "00000.parquet").touch()
    for path in (old, old / "train", old / "train" / "00000.parquet"):
        os.utime(path, (time.time() - stage.SCRATCH_LIFETIME_S - 60,) * 2)
    generate(params())
    assert not old.exists()
    assert recent.exists()


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "the disk is full .*; finished shards are kept in"),
        (PermissionError(errno.EACCES, "Permission denied", "data/x"), "data/x cannot be written .Permission denied"),
    ],
)
def test_disk_trouble_is_one_line(
    project: Path,
    params: Callable[..., Params],
    monkeypatch: pytest.MonkeyPatch,
    error: OSError,
    message: str,
) -> None:
    def failing(path: Path, value: object) -> None:
        raise error

    monkeypatch.setattr(atomic_io, "write_json", failing)
    with pytest.raises(UserError, match=message) as caught:
        generate(params())
    assert "\n" not in str(caught.value)
    assert len(list(SCRATCH.rglob("*.parquet"))) == 6


def test_a_bad_catalogue_paints_nothing(project: Path, params: Callable[..., Params]) -> None:
    (next((project / "data" / "outlines").iterdir()) / "wrong.svg").write_text("no svg")
    with pytest.raises(OutlineError, match=r"wrong.svg"):
        generate(params())
    assert not PAINTINGS_DIR.exists()


def test_every_shape_of_the_catalogue_is_painted_in_turn(project: Path, params: Callable[..., Params]) -> None:
    generate(params())
    train = load_paintings("train", 16)
    counts = np.bincount(train.labels)
    doodles = train.shapes.index(OTHER)
    shapes = np.delete(counts, doodles)
    assert shapes.max() - shapes.min() <= 1
    assert 2 * shapes.min() - 2 <= counts[doodles] <= 2 * shapes.max(), "doodles take two turns of a shape's one"


# --- in processes of their own


@pytest.mark.slow
def test_the_number_of_processes_changes_no_byte(tmp_path: Path, root: Path, params: Callable[..., Params]) -> None:
    settings = params(train=2100, validation=1, test=1).generate
    catalogue = outlines.load_catalogue(root / "data" / "outlines")
    for processes in (1, 3):
        done: list[int] = []
        folder = tmp_path / str(processes)
        workers.paint_shards(workers.plan_shards(settings), folder, catalogue, settings, processes, done.append)
        assert sum(done) == 2102
    assert contents(tmp_path / "1") == contents(tmp_path / "3")


def started(project: Path, root: Path) -> "subprocess.Popen[str]":
    """`strokewise generate` in a session of its own, with enough to do that it can be interrupted."""
    shutil.copy(root / "params.yaml", project)
    sizes = [word for size in ("train=30000", "validation=1", "test=1") for word in ("--set", f"generate.{size}")]
    return subprocess.Popen(
        [sys.executable, "-m", "strokewise", "generate", *sizes],
        env={**os.environ, "PYTHONPATH": str(root / "src")},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def session(process: "subprocess.Popen[str]") -> list[tuple[int, str]]:
    """Pid and command of what still lives in the process group of `process`, itself left out."""
    listed = subprocess.run(
        ["ps", "-A", "-ww", "-o", "pid=,pgid=,stat=,args="], capture_output=True, text=True, check=True
    )
    found = [line.split(maxsplit=3) for line in listed.stdout.splitlines()]
    return [
        (int(pid), command)
        for pid, leader, state, command in found
        if int(leader) == process.pid != int(pid) and not state.startswith("Z")
    ]


def waited_for(what: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.05)


def a_shard_is_done() -> bool:
    return any(SCRATCH.rglob("0*.parquet")) and any(SCRATCH.rglob(".0*"))


@pytest.mark.slow
@pytest.mark.parametrize("early", [False, True])
def test_ctrl_c_ends_everything_and_keeps_whole_shards(project: Path, root: Path, early: bool) -> None:
    process = started(project, root)
    waited_for((lambda: len(session(process)) > 1) if early else a_shard_is_done)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in said
    waited_for(lambda: not session(process), 10)
    assert not PAINTINGS_DIR.exists()
    assert not list(SCRATCH.rglob(".0*")), "half a shard"


@pytest.mark.slow
def test_workers_do_not_outlive_a_killed_parent(project: Path, root: Path) -> None:
    process = started(project, root)
    waited_for(a_shard_is_done)
    process.kill()
    process.communicate()
    waited_for(lambda: not session(process), 10)


@pytest.mark.slow
def test_a_killed_worker_is_told_in_one_line(project: Path, root: Path) -> None:
    process = started(project, root)
    waited_for(a_shard_is_done)
    worker = max(pid for pid, command in session(process) if "spawn_main" in command)
    os.kill(worker, signal.SIGKILL)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 2
    assert said.splitlines()[-1].startswith("strokewise: a painting process was killed, maybe for want of memory;")
    assert "Traceback" not in said
    waited_for(lambda: not session(process), 10)
