"""data/outlines -> data/paintings: the shards of each split, a card in JSON and as a page, a contact sheet.

Unfinished work lies in the project's scratch, `.strokewise/paintings/<digest of all that decides a painting>/`: DVC
empties data/paintings before it runs this stage, so what is to survive a crash cannot stand there. A shard that lies
in the scratch is not painted again, whoever put it there: a run that was broken off, or `--shard K/N`, which paints
one part of the shards alone. To spread the work over machines, run part 1/N to N/N anywhere, bring what they made
into one `.strokewise/paintings/` (nothing to do on a shared disk), and run plain `strokewise generate` there.
"""

import errno
import hashlib
import json
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

from numpy.typing import NDArray

from strokewise import code_digest, plots
from strokewise.data.png import Scene, downscale
from strokewise.data.shards import SPLITS, read_columns
from strokewise.errors import DatasetError, UserError
from strokewise.params import GenerateParams, Params
from strokewise.support import atomic_io, file_lock, progress
from strokewise.support.paths import OUTLINES_DIR, PAINTINGS_DIR, SCRATCH_DIR, scratch_dir
from strokewise.synthesis import dataset_card, outlines, render, workers
from strokewise.synthesis.outlines import Catalogue
from strokewise.synthesis.workers import ShardPlan

PAINTING_LIBRARIES = ("numpy", "opencv-python-headless", "pyarrow")  # that a painting's bytes may depend on
SHEET_COLUMNS = 12  # paintings of a shape on a sheet
SHEET_CELL = 96  # pixels of a painting on a sheet
SCRATCH_LIFETIME_S = 7 * 24 * 3600  # seconds after which the unfinished work of other parameters is thrown away
FULL_DISK_ERRNOS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
PERMISSION_ERRNOS = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR}


@dataclass(frozen=True)
class Generated:
    """What was made: the folder it is in, the number of paintings there, and how many of them were there before."""

    folder: Path
    paintings: int
    found: int


def generate(params: Params, part: str | None = None, preview: Path | None = None) -> Generated:
    """Paint the data set; or only a `part` ("3/10", from 1) of its shards; or only a sheet of examples, `preview`.

    Raises OutlineError for a bad catalogue and UserError for a bad part, a full disk or a killed worker.
    """
    settings = params.generate
    if part is not None and preview is not None:
        raise UserError("--shard and --preview are two things: give one of them")
    if preview is not None and preview.suffix.lower() != ".png":
        raise UserError(f"--preview {preview} is no PNG; name a file that ends in .png")
    wanted = _select_part(workers.plan_shards(settings), part)
    catalogue = outlines.load_catalogue(OUTLINES_DIR)
    with _explain_disk_errors():
        if preview is not None:
            _draw_contact_sheet(catalogue, settings, "preview", None, preview)
            return Generated(preview, 0, 0)
        scratch = scratch_dir() / "paintings" / _scratch_key(catalogue, settings)
        if part is not None:  # others may be painting their parts at the same time
            return Generated(scratch, *_paint_missing(wanted, scratch, catalogue, settings))
        with file_lock.exclusive_lock(scratch.parent / "lock"):
            _remove_old_scratch(scratch)
            done = _paint_missing(wanted, scratch, catalogue, settings)
            _publish_shards(wanted, scratch)
            made = dataset_card.build_card(catalogue, settings, _shard_columns(wanted))
            atomic_io.write_json(PAINTINGS_DIR / "card.json", made)
            atomic_io.write_text(PAINTINGS_DIR / "README.md", dataset_card.card_markdown(made))
            _draw_contact_sheet(catalogue, settings, "train", settings.train, PAINTINGS_DIR / "contact-sheet.png")
            _clear_scratch(wanted, scratch)
    return Generated(PAINTINGS_DIR, *done)


def _select_part(plan: list[ShardPlan], part: str | None) -> list[ShardPlan]:
    """The shards of part K of N: every Nth, so that all parts are alike."""
    if part is None:
        return plan
    match = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", part)
    number, parts = (int(group) for group in match.groups()) if match else (0, 0)
    if not 1 <= number <= parts:
        raise UserError(f"--shard {part!r} is no part of the paintings; write K/N with K from 1 to N, say --shard 3/10")
    return plan[number - 1 :: parts]


def _scratch_key(catalogue: Catalogue, settings: GenerateParams) -> str:
    """Of all that decides a painting: not of how many there are, as a larger set begins with the smaller one."""
    decided = {
        "generate": settings.model_dump(exclude=set(SPLITS)),
        "catalogue": catalogue.digest,
        "code": code_digest.code_digest("synthesis.workers"),
        "libraries": {library: version(library) for library in PAINTING_LIBRARIES},
    }
    return hashlib.sha256(json.dumps(decided, sort_keys=True).encode()).hexdigest()[:16]


def _paint_missing(
    wanted: list[ShardPlan], scratch: Path, catalogue: Catalogue, settings: GenerateParams
) -> tuple[int, int]:
    """Paint what is not in `scratch` yet; returns how many paintings are wanted and how many were there."""
    missing = [shard for shard in wanted if not _is_painted(shard, scratch)]
    total = sum(shard.rows for shard in wanted)
    found = total - sum(shard.rows for shard in missing)
    if missing:
        with progress.progress_bar(total, "painting", "paintings") as shown:
            shown.update(found)
            workers.paint_shards(missing, scratch, catalogue, settings, workers.available_cores(), shown.update)
    return total, found


def _is_painted(shard: ShardPlan, scratch: Path) -> bool:
    """Whether the shard needs no painting; one that came damaged from elsewhere does."""
    try:
        return shard.there(scratch)
    except DatasetError:
        return False


def _publish_shards(wanted: list[ShardPlan], scratch: Path) -> None:
    """Put the shards in their places. They stay in the scratch, too, until all is done: a link costs no room."""
    for split in SPLITS:
        with atomic_io.atomic_replace(PAINTINGS_DIR / split) as fresh:
            fresh.mkdir()
            for shard in wanted:
                if shard.split == split:
                    _link_or_copy(scratch / shard.name, fresh / Path(shard.name).name)


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno in FULL_DISK_ERRNOS:
            raise
        shutil.copyfile(source, target)  # another file system, or one without links


def _clear_scratch(wanted: list[ShardPlan], scratch: Path) -> None:
    """Take out of the scratch what stands in its place now: with the other shards there, a larger set goes on."""
    for shard in wanted:
        (scratch / shard.name).unlink(missing_ok=True)
    for folder in [*(scratch / split for split in SPLITS), scratch]:
        with suppress(OSError):  # it is not empty
            folder.rmdir()


def _shard_columns(wanted: list[ShardPlan]) -> Iterator[tuple[str, dict[str, NDArray[Any]]]]:
    for shard in wanted:
        yield shard.split, read_columns(PAINTINGS_DIR / shard.name)


def _draw_contact_sheet(
    catalogue: Catalogue, settings: GenerateParams, split: str, total: int | None, path: Path
) -> None:
    """The first paintings of a split that holds `total` (None: no end of them), a row a shape, `SHEET_COLUMNS` each."""
    rows: list[list[Scene]] = [[] for _ in catalogue.shapes]
    needed = SHEET_COLUMNS * (len(rows) + render.DISTRACTOR_TURNS - 1)
    for index in range(needed if total is None else min(total, needed)):
        label, _ = render.class_of(catalogue, index)
        if len(rows[label]) < SHEET_COLUMNS:
            painting = render.render_painting(catalogue, settings, split, index)
            rows[label].append(downscale(painting.scene, SHEET_CELL))
    plots.contact_sheet(rows, path, names=catalogue.shapes, cell=SHEET_CELL)


def _remove_old_scratch(scratch: Path) -> None:
    """Throw away unfinished work of other parameters that nobody has touched for a week."""
    for folder in scratch.parent.iterdir():
        if folder.is_dir() and folder != scratch:
            with suppress(FileNotFoundError):  # somebody is painting there: files come and go
                if (
                    max(path.stat().st_mtime for path in [folder, *folder.rglob("*")])
                    < time.time() - SCRATCH_LIFETIME_S
                ):
                    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _explain_disk_errors() -> Iterator[None]:
    """A full disk and a folder that may not be written are the user's to mend: one line each."""
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
