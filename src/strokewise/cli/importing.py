"""The command that brings drawings by people in, and what it tells of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from strokewise.errors import DatasetError
from strokewise.support.paths import SCRATCH_DIR

if TYPE_CHECKING:
    from strokewise.importing.importer import ImportReport
    from strokewise.importing.labels import LabelMap

app = typer.Typer()
MAX_LINES_PER_FINDING = 10  # lines of a kind; the rest is a number


@app.command("import")
def import_(
    source: Annotated[
        Path,
        typer.Argument(
            help="A folder with one sub-folder a shape, a CSV (path,shape), a Parquet, or a .npy with --shape."
        ),
    ],
    train: Annotated[bool, typer.Option("--train", help="To learn from, not to judge by.")] = False,
    shape: Annotated[str | None, typer.Option(metavar="SHAPE", help="What all of a .npy or a folder shows.")] = None,
    mapped: Annotated[
        list[str] | None, typer.Option("--map", metavar="THEIRS=SHAPE", help="Say square=rectangle. Repeatable.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many a shape, the first.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
) -> None:
    """Bring drawings by people into data/drawings, or data/drawings-train with --train. Labels unknown are skipped."""
    from strokewise.importing import importer, labels, readers
    from strokewise.support import file_lock

    names = labels.read_label_map(mapped or [])
    if shape is not None and names.shape(shape) is None:
        raise DatasetError(
            f"--shape {shape} is no shape; is it {names.nearest(shape)}? There are {_list_shapes(names)}"
        )
    collection = readers.read_collection(source, shape)
    with file_lock.exclusive_lock(SCRATCH_DIR / "import.lock"):
        report = importer.import_drawings(collection, names, train, limit, dry_run)
    for line in _format_report(report, names, train, dry_run):
        typer.echo(line)
    if not (report.imported or report.already_present or report.leaks):
        raise DatasetError(
            f"nothing in {source} could be imported; the lines above say why; shapes: {_list_shapes(names)}"
        )


def _list_shapes(names: "LabelMap") -> str:
    return ", ".join(names.shapes)


def _format_report(report: "ImportReport", names: "LabelMap", train: bool, dry_run: bool) -> list[str]:
    """The report, a line a finding."""
    folder, across = ("data/drawings-train", "data/drawings") if train else ("data/drawings", "data/drawings-train")
    would = "would be " if dry_run else ""
    lines = [f"{count:7,} {would}imported into {folder}/{shape}" for shape, count in sorted(report.imported.items())]
    counts = {
        "already there": report.already_present,
        "repeated in the collection, pixel by pixel": report.repeated,
        "beyond --limit": report.over_limit,
    }
    lines += [f"{count:7,} {what}" for what, count in counts.items() if count]
    lines += _format_examples(report.leaks, f"left out: the same, or nearly, lies in {across}", "is")
    lines += _format_examples(report.near_duplicates, f"{would}imported, but nearly the same as another", "is like")
    lines += _format_examples(report.rejected, "rejected", "-")
    for label, count in sorted(report.unknown_labels.items()):
        hint = names.nearest(label)
        lines.append(
            f"{count:7,} skipped: {label} is no shape of data/outlines; if {hint} is meant, --map {label}={hint}"
        )
    lines += [f"        --map {theirs}=... met nothing of that name" for theirs in names.mapping.keys() - report.labels]
    return lines


def _format_examples(pairs: Sequence[tuple[str, str]], what: str, joint: str) -> list[str]:
    if not pairs:
        return []
    shown = [f"          {one} {joint} {two}" for one, two in pairs[:MAX_LINES_PER_FINDING]]
    more = (
        [f"          ... and {len(pairs) - MAX_LINES_PER_FINDING:,} more"] if len(pairs) > MAX_LINES_PER_FINDING else []
    )
    return [f"{len(pairs):7,} {what}", *shown, *more]
