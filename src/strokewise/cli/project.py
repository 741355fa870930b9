"""The command `init`, which lays out a project; and `code`, which a stage of that project runs."""

from pathlib import Path
from typing import Annotated

import typer

from strokewise.cli.stages import help_examples
from strokewise.errors import printable

app = typer.Typer()


@app.command(epilog=help_examples("strokewise init my-shapes"))
def init(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="The project's folder: it must not exist yet, or be empty.")
    ],
) -> None:
    """Lay out a project of your own: outlines, parameters and the pipeline, with git and DVC initialised."""
    from strokewise.project import create_project

    shapes = create_project(folder)
    typer.echo(f"{printable(folder)}: {len(shapes)} shapes in data/outlines ({', '.join(shapes)})")
    typer.echo(f"next: cd {printable(folder)} && git commit --message 'A new project' && dvc repro")


@app.command(hidden=True)
def code() -> None:
    """Write digests of what the stages compute into data/code; the stage `code` of a project runs this."""
    from strokewise.project import write_code_digests

    write_code_digests()
