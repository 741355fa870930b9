"""The commands of someone who uses a model."""

import dataclasses
import itertools
import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from strokewise.cli.stages import Overrides, ParamsFile
from strokewise.support.paths import PARAMS_FILE

app = typer.Typer()

STDIN = Path("-")
ModelOption = Annotated[
    str | None,
    typer.Option(
        metavar="MODEL",
        help="A model folder, models:/name@alias or an alias; if not given the champion, else data/model.",
    ),
]


@app.command()
def predict(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH...", help="Pictures, strokes in JSON, folders of them; - is a picture or JSON from a pipe."
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, with all scores.")] = False,
    model: ModelOption = None,
    reject_below: Annotated[
        float, typer.Option("--reject-below", metavar="P", help="Say `other` rather than guess below this confidence.")
    ] = 0.0,
) -> None:
    """Recognise the shape in pictures. One that cannot be read is named, the others still run."""
    from strokewise import recogniser
    from strokewise.errors import PictureError

    loaded = recogniser.load(model)
    shown, asked = itertools.tee(
        recogniser.find_pictures(paths, recogniser.PICTURE_SUFFIXES | recogniser.STROKE_SUFFIXES)
    )
    sources = (_read_stdin() if path == STDIN else path for path in asked)
    count = failed = 0
    for path, answer in zip(shown, loaded.stream(sources, reject_below), strict=True):
        count += 1
        if isinstance(answer, PictureError):
            failed += 1
            problem = {"path": str(path), "error": str(answer)}
            typer.echo(json.dumps(problem) if as_json else f"{'-':10}      {path}: {answer}", err=not as_json)
        elif as_json:
            typer.echo(json.dumps({"path": str(path), **dataclasses.asdict(answer)}))
        else:
            typer.echo(f"{answer.shape:10} {answer.confidence:4.0%} {path}")
    if not count:
        raise PictureError(f"no pictures in {', '.join(map(str, paths))}; name files or folders that hold some")
    if failed:
        others = "; the others are answered above" if failed < count else ""
        raise PictureError(f"{failed} of {count} pictures could not be read{others}")


@app.command()
def export(
    onnx: Annotated[Path, typer.Option("--onnx", metavar="FILE", dir_okay=False, help="The file to write.")],
    model: ModelOption = None,
) -> None:
    """Write the network as ONNX, to be run in a browser or elsewhere without strokewise."""
    from strokewise import recogniser

    difference = recogniser.load(model).export(onnx)
    typer.echo(f"{onnx}: onnxruntime answers as PyTorch does, to {difference:.1g}")


def _read_stdin() -> bytes:
    """What standard input holds, as far as anything would read it."""

    from strokewise.preprocessing.decode import MAX_FILE_BYTES

    return sys.stdin.buffer.read(MAX_FILE_BYTES + 1)


@app.command()
def network(
    params: ParamsFile = PARAMS_FILE,
    overrides: Overrides = None,
    shapes: Annotated[
        int | None, typer.Option(min=1, help="How many shapes it tells apart, if not those of data/outlines.")
    ] = None,
) -> None:
    """Print the CNN layer by layer: what it sees and costs, and what looking at everything at once would cost."""
    from strokewise.model.layers import layer_table
    from strokewise.params import Params

    checked = Params.load(params, overrides or [])
    outlines = [path for path in Path("data/outlines").glob("*") if path.is_dir()]
    typer.echo(layer_table(checked.network, shapes or len(outlines) + 1))  # doodles are a shape too: `other`


@app.command()
def doctor(as_json: Annotated[bool, typer.Option("--json", help="One JSON object with all findings.")] = False) -> None:
    """Look at everything that can be wrong here, and say what to do; exit code 3 if something does not work."""
    from strokewise import doctor as doctors
    from strokewise.errors import Refusal

    found = []
    for finding in doctors.run_checks(Path.cwd()):
        found.append(finding)
        if not as_json:
            typer.echo(f"{finding.state:5}{finding.check:12}{finding.said}")
            if finding.todo:
                typer.echo(f"{'':17}-> {finding.todo}")
    bad = sum(finding.state == "bad" for finding in found)
    if as_json:
        typer.echo(json.dumps({"usable": not bad, "findings": [dataclasses.asdict(finding) for finding in found]}))
    if bad:
        raise Refusal(f"{bad} of {len(found)} findings are bad; the lines with -> say what to do")
