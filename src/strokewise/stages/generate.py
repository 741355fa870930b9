"""data/outlines → data/paintings: the shards of each split, the data set's card as JSON and as a page, the outlines as
plain SVG for the model, a contact sheet.

Unfinished work is kept in `.strokewise/paintings/<digest of everything that decides a painting>/`, because DVC empties
data/paintings before it runs this stage. A shard that exists there is not painted again, whether it comes from an
interrupted run or from `--shard K/N`, which paints only a part of the shards. To spread the work over machines, run the
parts 1/N to N/N anywhere, copy their results into one `.strokewise/paintings/` (on a shared disk they already are), and
run plain `strokewise generate` there.
"""

import errno
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strokewise import code_digest, plots
from strokewise.data.outline_files import OUTLINES_FILE
from strokewise.data.png import downscale
from strokewise.data.shards import SPLITS, read_columns
from strokewise.errors import DatasetError, UserError
from strokewise.params import GenerateParams, Params
from strokewise.support import atomic_io, file_lock, processes, progress
from strokewise.support.paths import OUTLINES_DIR, PAINTINGS_DIR, SCRATCH_DIR, scratch_dir
from strokewise.synthesis import dataset_card, outlines, render, workers
from strokewise.synthesis.outlines import Catalogue
from strokewise.synthesis.workers import ShardPlan

PAINTING_LIBRARIES = ("numpy", "opencv-python-headless", "pyarrow")  # the bytes of a painting may depend on these
SHEET_COLUMNS = 12  # paintings per shape on a contact sheet
SHEET_CELL = 96  # pixels of a painting on a contact sheet
SCRATCH_LIFETIME_S = 7 * 24 * 3600  # seconds after which unfinished work of other parameters is deleted
FULL_DISK_ERRNOS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
PERMISSION_ERRNOS = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR}


@dataclass(frozen=True)
class GenerateResult:
    """The file or folder that was written, the number of paintings in it, and how many of them existed before."""

    path: Path
    paintings: int
    reused: int


def generate(params: Params, part: str | None = None, preview: Path | None = None) -> GenerateResult:
    """Paint the data set.

    Raises OutlineError for an invalid catalogue and UserError for an invalid option, a full disk or a killed worker.

    Args:
        params: All parameters; the section `generate` is used.
        part: Paint only this part of the shards, into the scratch folder: "3/10" is the third of ten.
        preview: Only draw a contact sheet of examples to this PNG file.
    """
    section = params.generate
    if part is not None and preview is not None:
        raise UserError("--shard and --preview exclude each other; give one of them")
    if preview is not None and preview.suffix.lower() != ".png":
        raise UserError(f"--preview {preview} is not a PNG file; give a name that ends in .png")
    plan = _select_part(workers.plan_shards(section), part)
    catalogue = outlines.load_catalogue(OUTLINES_DIR)
    with _disk_errors_explained():
        if preview is not None:
            _draw_contact_sheet(catalogue, section, "preview", None, preview)
            return GenerateResult(preview, 0, 0)
        scratch = scratch_dir() / "paintings" / _scratch_key(catalogue, section)
        if part is not None:  # without the lock, as other processes may paint other parts at the same time
            return GenerateResult(scratch, *_paint_missing(plan, scratch, catalogue, section))
        with file_lock.exclusive_lock(scratch.parent / "lock"):
            _remove_old_scratch(scratch)
            total, reused = _paint_missing(plan, scratch, catalogue, section)
            _publish_shards(plan, scratch)
            _write_card(plan, catalogue, section)
            _draw_contact_sheet(catalogue, section, "train", section.train, PAINTINGS_DIR / "contact-sheet.png")
            _clear_scratch(plan, scratch)
    return GenerateResult(PAINTINGS_DIR, total, reused)


def _select_part(plan: list[ShardPlan], part: str | None) -> list[ShardPlan]:
    """The shards of part K of N: every Nth shard, so that all parts are similar."""
    if part is None:
        return plan
    match = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", part)
    number, parts = (int(group) for group in match.groups()) if match else (0, 0)
    if not 1 <= number <= parts:
        raise UserError(f"--shard {part!r} is no part of the paintings; write K/N with K from 1 to N, say --shard 3/10")
    return plan[number - 1 :: parts]


def _scratch_key(catalogue: Catalogue, section: GenerateParams) -> str:
    """Digest of everything that decides a painting, without the sizes: a larger split begins with the smaller one."""
    inputs = {
        "generate": section.model_dump(exclude=set(SPLITS)),
        "catalogue": catalogue.digest,
        "code": code_digest.code_digest("synthesis.workers"),
        "libraries": {library: version(library) for library in PAINTING_LIBRARIES},
    }
    return code_digest.json_digest(inputs)[:16]


def _paint_missing(
    plan: list[ShardPlan], scratch: Path, catalogue: Catalogue, section: GenerateParams
) -> tuple[int, int]:
    """Paint the shards that `scratch` lacks; returns the number of all paintings and of those that existed before."""
    missing = [shard for shard in plan if not _is_painted(shard, scratch)]
    total = sum(shard.rows for shard in plan)
    reused = total - sum(shard.rows for shard in missing)
    if missing:
        with progress.progress_bar(total, "painting", "paintings", done=reused) as bar:
            workers.paint_shards(missing, scratch, catalogue, section, processes.available_cores(), bar.update)
    return total, reused


def _is_painted(shard: ShardPlan, scratch: Path) -> bool:
    """Whether `scratch` holds an intact copy of the shard: one from elsewhere may be damaged."""
    try:
        return shard.exists_in(scratch)
    except DatasetError:
        return False


def _publish_shards(plan: list[ShardPlan], scratch: Path) -> None:
    """Link the shards into data/paintings. They stay in `scratch` until the stage is done; links take no space."""
    for split in SPLITS:
        with atomic_io.atomic_replace(PAINTINGS_DIR / split) as folder:
            folder.mkdir()
            for shard in plan:
                if shard.split == split:
                    _link_or_copy(scratch / shard.name, folder / Path(shard.name).name)


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno in FULL_DISK_ERRNOS:
            raise
        shutil.copyfile(source, target)  # another file system, or one without links


def _write_card(plan: list[ShardPlan], catalogue: Catalogue, section: GenerateParams) -> None:
    columns: Iterator[tuple[str, dict[str, NDArray[Any]]]] = (
        (shard.split, read_columns(PAINTINGS_DIR / shard.name)) for shard in plan
    )
    card = dataset_card.build_card(catalogue, section, columns)
    atomic_io.write_json(PAINTINGS_DIR / "card.json", card)
    atomic_io.write_text(PAINTINGS_DIR / "README.md", dataset_card.card_markdown(card))
    atomic_io.write_json(PAINTINGS_DIR / OUTLINES_FILE, outlines.plain_outlines(catalogue))


def _draw_contact_sheet(
    catalogue: Catalogue, section: GenerateParams, split: str, total: int | None, path: Path
) -> None:
    """Draw the first `SHEET_COLUMNS` paintings of each shape, a row per shape; `total` None: the split is unlimited."""
    rows: list[list[NDArray[np.uint8]]] = [[] for _ in catalogue.shapes]
    needed = SHEET_COLUMNS * (len(rows) + render.DISTRACTOR_TURNS - 1)
    for index in range(needed if total is None else min(total, needed)):
        label, _ = render.class_of(catalogue, index)
        if len(rows[label]) < SHEET_COLUMNS:
            painting = render.render_painting(catalogue, section, split, index)
            rows[label].append(downscale(painting.scene, SHEET_CELL))
    plots.contact_sheet(rows, path, names=catalogue.shapes, cell=SHEET_CELL)


def _clear_scratch(plan: list[ShardPlan], scratch: Path) -> None:
    """Delete the published shards from `scratch`; a larger, unfinished data set may still need the others."""
    for shard in plan:
        (scratch / shard.name).unlink(missing_ok=True)
    for folder in [*(scratch / split for split in SPLITS), scratch]:
        with suppress(OSError):  # not empty
            folder.rmdir()


def _remove_old_scratch(scratch: Path) -> None:
    """Delete unfinished work of other parameters that has not changed for `SCRATCH_LIFETIME_S`."""
    for folder in scratch.parent.iterdir():
        if folder.is_dir() and folder != scratch:
            with suppress(FileNotFoundError):  # another process is painting there: files come and go
                last_change = max(path.stat().st_mtime for path in [folder, *folder.rglob("*")])
                if last_change < time.time() - SCRATCH_LIFETIME_S:
                    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _disk_errors_explained() -> Iterator[None]:
    """Raise UserError for a full disk and for a path that may not be written."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL_DISK_ERRNOS or "No space left" in str(error):
            raise UserError(
                f"the disk is full ({error.strerror or error}); finished shards are kept in"
                f" {SCRATCH_DIR / 'paintings'}: make room and run it again"
            ) from None
        if error.errno in PERMISSION_ERRNOS:
            raise UserError(
                f"{error.filename} cannot be written ({error.strerror}); allow it and run it again"
            ) from None
        raise
