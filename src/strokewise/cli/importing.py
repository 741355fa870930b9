"""The command `import`: copies drawings by people into the project and prints a report."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from strokewise.cli.stages import help_examples
from strokewise.errors import DatasetError, one_line, printable
from strokewise.support.paths import DRAWINGS_DIR, SCRATCH_DIR, TRAIN_DRAWINGS_DIR

if TYPE_CHECKING:
    from strokewise.importing.importer import ImportReport
    from strokewise.importing.labels import LabelMap

app = typer.Typer()
MAX_LISTED = 10  # drawings of each kind, and labels; the others are only counted
MAX_LABEL_LENGTH = 60  # characters of a label that are printed


@app.command(
    "import",
    epilog=help_examples(
        "strokewise import my-drawings --map square=rectangle",
        "strokewise import circles.npy --shape ellipse --limit 500 --train --dry-run",
    ),
)
def import_(
    source: Annotated[
        Path,
        typer.Argument(
            help="A folder with a sub-folder per shape, a CSV (path,shape), a Parquet file, or a .npy with --shape."
        ),
    ],
    train: Annotated[bool, typer.Option("--train", help="For training instead of evaluation.")] = False,
    shape: Annotated[
        str | None, typer.Option(metavar="SHAPE", help="The shape of all drawings of a .npy or a folder.")
    ] = None,
    label_pairs: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="THEIRS=SHAPE", help="Rename a label: square=rectangle. Repeatable."),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many per shape, the first ones.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what would be done.")] = False,
) -> None:
    """Copy drawings by people into data/drawings, or data/drawings-train with --train. Skips unknown labels."""
    from strokewise.importing import importer, labels, readers
    from strokewise.support import file_lock, native_output

    label_map = labels.read_label_map(label_pairs or [])
    shapes = ", ".join(label_map.shapes)
    if shape is not None and label_map.shape(shape) is None:
        raise DatasetError(f"--shape {shape} is no shape; is it {label_map.nearest(shape)}? There are {shapes}")
    collection = readers.read_collection(source, shape)
    with file_lock.exclusive_lock(SCRATCH_DIR / "import.lock"), native_output.silent_libraries():
        report = importer.import_drawings(collection, label_map, train, limit, dry_run)
    for line in _format_report(report, label_map, train, dry_run):
        typer.echo(printable(line))
    if not (report.imported or report.already_present or report.leaks):
        raise DatasetError(f"nothing in {source} could be imported; the lines above say why; shapes: {shapes}")


def _format_report(report: "ImportReport", label_map: "LabelMap", train: bool, dry_run: bool) -> list[str]:
    """The report as lines, one per kind of result."""
    folder, other = (TRAIN_DRAWINGS_DIR, DRAWINGS_DIR) if train else (DRAWINGS_DIR, TRAIN_DRAWINGS_DIR)
    would = "would be " if dry_run else ""
    lines = [f"{count:7,} {would}imported into {folder}/{shape}" for shape, count in sorted(report.imported.items())]
    counts = {
        "already there": report.already_present,
        "repeated in the collection, pixel by pixel": report.repeated,
        "beyond --limit": report.over_limit,
    }
    lines += [f"{count:7,} {kind}" for kind, count in counts.items() if count]
    lines += _format_drawings(report.leaks, f"left out: the same, or nearly, lies in {other}", "is")
    lines += _format_drawings(report.near_duplicates, f"{would}imported, but nearly the same as another", "is like")
    lines += _format_drawings(report.rejected, "rejected", "-")
    unknown = sorted(report.unknown_labels.items())
    for label, count in unknown[:MAX_LISTED]:
        hint, name = label_map.nearest(label), one_line(label, MAX_LABEL_LENGTH)
        lines.append(
            f"{count:7,} skipped: {name} is no shape of data/outlines; if {hint} is meant, --map {name}={hint}"
        )
    if others := unknown[MAX_LISTED:]:
        lines.append(
            f"{sum(count for _, count in others):7,} skipped: of {len(others):,} more labels that are no shape"
        )
    unused = label_map.mapping.keys() - report.labels
    return lines + [f"        --map {label}=... met nothing of that name" for label in unused]


def _format_drawings(pairs: Sequence[tuple[str, str]], kind: str, relation: str) -> list[str]:
    """The number of drawings of a kind, and the first of them with what they are related to."""
    if not pairs:
        return []
    lines = [f"{len(pairs):7,} {kind}"]
    lines += [f"          {name} {relation} {other}" for name, other in pairs[:MAX_LISTED]]
    if len(pairs) > MAX_LISTED:
        lines.append(f"          ... and {len(pairs) - MAX_LISTED:,} more")
    return lines
