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

from strokewise import dataset, disk, figures, locking, pictures, progress, sources
from strokewise.dataset import FOLDER
from strokewise.errors import DatasetError, UserError
from strokewise.paint import card, outlines, painter, shards
from strokewise.paint.outlines import Catalogue
from strokewise.paint.shards import Shard
from strokewise.params import Generate, Params

OUTLINES = Path("data/outlines")
LIBRARIES = ("numpy", "opencv-python-headless", "pyarrow")  # that a painting's bytes may depend on
COLUMNS = 12  # paintings of a shape on a sheet
CELL = 96  # pixels of a painting on a sheet
KEPT_S = 7 * 24 * 3600  # seconds after which the unfinished work of other parameters is thrown away
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
BARRED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR}


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
    wanted = _part(shards.plan(settings), part)
    catalogue = outlines.read(OUTLINES)
    with _disk_trouble_told():
        if preview is not None:
            _sheet(catalogue, settings, "preview", None, preview)
            return Generated(preview, 0, 0)
        scratch = disk.home() / disk.SCRATCH / "paintings" / _digest(catalogue, settings)
        if part is not None:  # others may be painting their parts at the same time
            return Generated(scratch, *_painted(wanted, scratch, catalogue, settings))
        with locking.exclusive(scratch.parent / "lock"):
            _forget_others(scratch)
            done = _painted(wanted, scratch, catalogue, settings)
            _collect(wanted, scratch)
            made = card.card(catalogue, settings, _columns(wanted))
            disk.write_json(FOLDER / "card.json", made)
            disk.write_text(FOLDER / "README.md", card.page(made))
            _sheet(catalogue, settings, "train", settings.train, FOLDER / "contact-sheet.png")
            _clear_away(wanted, scratch)
    return Generated(FOLDER, *done)


def _part(plan: list[Shard], part: str | None) -> list[Shard]:
    """The shards of part K of N: every Nth, so that all parts are alike."""
    if part is None:
        return plan
    match = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", part)
    number, parts = (int(group) for group in match.groups()) if match else (0, 0)
    if not 1 <= number <= parts:
        raise UserError(f"--shard {part!r} is no part of the paintings; write K/N with K from 1 to N, say --shard 3/10")
    return plan[number - 1 :: parts]


def _digest(catalogue: Catalogue, settings: Generate) -> str:
    """Of all that decides a painting: not of how many there are, as a larger set begins with the smaller one."""
    decided = {
        "generate": settings.model_dump(exclude=set(dataset.SPLITS)),
        "catalogue": catalogue.digest,
        "code": sources.digest("paint.shards"),
        "libraries": {library: version(library) for library in LIBRARIES},
    }
    return hashlib.sha256(json.dumps(decided, sort_keys=True).encode()).hexdigest()[:16]


def _painted(wanted: list[Shard], scratch: Path, catalogue: Catalogue, settings: Generate) -> tuple[int, int]:
    """Paint what is not in `scratch` yet; returns how many paintings are wanted and how many were there."""
    missing = [shard for shard in wanted if not _there(shard, scratch)]
    total = sum(shard.rows for shard in wanted)
    found = total - sum(shard.rows for shard in missing)
    if missing:
        with progress.bar(total, "painting", "paintings") as shown:
            shown.update(found)
            shards.paint(missing, scratch, catalogue, settings, shards.cores(), shown.update)
    return total, found


def _there(shard: Shard, scratch: Path) -> bool:
    """Whether the shard needs no painting; one that came damaged from elsewhere does."""
    try:
        return shard.there(scratch)
    except DatasetError:
        return False


def _collect(wanted: list[Shard], scratch: Path) -> None:
    """Put the shards in their places. They stay in the scratch, too, until all is done: a link costs no room."""
    for split in dataset.SPLITS:
        with disk.replacing(FOLDER / split) as fresh:
            fresh.mkdir()
            for shard in wanted:
                if shard.split == split:
                    _link(scratch / shard.name, fresh / Path(shard.name).name)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno in FULL:
            raise
        shutil.copyfile(source, target)  # another file system, or one without links


def _clear_away(wanted: list[Shard], scratch: Path) -> None:
    """Take out of the scratch what stands in its place now: with the other shards there, a larger set goes on."""
    for shard in wanted:
        (scratch / shard.name).unlink(missing_ok=True)
    for folder in [*(scratch / split for split in dataset.SPLITS), scratch]:
        with suppress(OSError):  # it is not empty
            folder.rmdir()


def _columns(wanted: list[Shard]) -> Iterator[tuple[str, dict[str, NDArray[Any]]]]:
    for shard in wanted:
        yield shard.split, dataset.columns(FOLDER / shard.name)


def _sheet(catalogue: Catalogue, settings: Generate, split: str, total: int | None, path: Path) -> None:
    """The first paintings of a split that holds `total` (None: no end of them), a row a shape, `COLUMNS` each."""
    rows: list[list[pictures.Scene]] = [[] for _ in catalogue.shapes]
    needed = COLUMNS * (len(rows) + painter.DOODLES - 1)
    for index in range(needed if total is None else min(total, needed)):
        label, _ = painter.whose_turn(catalogue, index)
        if len(rows[label]) < COLUMNS:
            painting = painter.paint(catalogue, settings, split, index)
            rows[label].append(pictures.shrunk(painting.scene, CELL))
    figures.sheet(rows, path, names=catalogue.shapes, cell=CELL)


def _forget_others(scratch: Path) -> None:
    """Throw away unfinished work of other parameters that nobody has touched for a week."""
    for folder in scratch.parent.iterdir():
        if folder.is_dir() and folder != scratch:
            with suppress(FileNotFoundError):  # somebody is painting there: files come and go
                if max(path.stat().st_mtime for path in [folder, *folder.rglob("*")]) < time.time() - KEPT_S:
                    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _disk_trouble_told() -> Iterator[None]:
    """A full disk and a folder that may not be written are the user's to mend: one line each."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL or "No space left" in str(error):
            raise UserError(
                f"the disk is full ({error.strerror or error}); finished shards are kept in"
                f" {disk.SCRATCH / 'paintings'}: make room and run it again"
            ) from None
        if error.errno in BARRED:
            raise UserError(
                f"{error.filename} cannot be written ({error.strerror}); allow it and run it again"
            ) from None
        raise
