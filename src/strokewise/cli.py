"""The door: Typer commands, one clear line for a user's mistake, exit codes. Imports nothing heavy itself."""

import dataclasses
import errno
import importlib
import io
import itertools
import json
import os
import sys
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Annotated, Any

import typer

from strokewise.errors import Refusal, UserError

app = typer.Typer(
    name="strokewise",
    help="Recognise hand-drawn shapes without collecting a single drawing.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

ParamsFile = Annotated[
    Path,
    typer.Option("--params", metavar="FILE", help="Parameters, if not those of this folder.", dir_okay=False),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Set one parameter for this call, say train.epochs=40. Repeatable."
    ),
]
PARAMS = Path("params.yaml")
PAGE = Path("explained.html")
MODEL = Path("data/model")
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
BARRED = {errno.EACCES, errno.EPERM, errno.EROFS}


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"strokewise {installed_version('strokewise')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


def run_stage(name: str, params: Path, overrides: list[str] | None, alone: bool = True, **options: Any) -> Any:
    """Check the parameters, wait for the same stage in this folder to end if it is to be `alone`, then run it."""
    from strokewise import locking
    from strokewise.params import Params

    checked = Params.load(params, overrides or [])
    stage = getattr(importlib.import_module(f"strokewise.stages.{name}"), name)
    if not alone or os.environ.get("RANK", "0") != "0":  # torchrun's others belong to the one that holds the lock
        return stage(checked, **options)
    with locking.exclusive(Path(".strokewise") / f"{name}.lock"):
        return stage(checked, **options)


@app.command()
def generate(
    params: ParamsFile = PARAMS,
    overrides: Overrides = None,
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="K/N",
            help="Paint only part K (from 1) of N parts, here or on another machine; without it, all parts are put"
            " together and what is missing is painted.",
        ),
    ] = None,
    preview: Annotated[
        Path | None,
        typer.Option(metavar="PNG", dir_okay=False, help="Only draw a sheet of examples, a row a shape."),
    ] = None,
) -> None:
    """Paint the data set: SVG outlines -> imprecise paintings in data/paintings."""
    whole = shard is None and preview is None
    made = run_stage("generate", params, overrides, alone=whole, part=shard, preview=preview)
    if not whole:
        counts = f": {made.paintings:,} paintings, {made.found:,} of them found" if shard else ""
        typer.echo(f"{made.folder}{counts}")


@app.command()
def train(params: ParamsFile = PARAMS, overrides: Overrides = None) -> None:
    """Train the CNN on the paintings -> data/model."""
    run_stage("train", params, overrides)


@app.command()
def baseline(params: ParamsFile = PARAMS, overrides: Overrides = None) -> None:
    """Fit scikit-learn on the flattened pixels of the same paintings -> data/baseline."""
    run_stage("baseline", params, overrides)


@app.command()
def evaluate(params: ParamsFile = PARAMS, overrides: Overrides = None) -> None:
    """Measure both models on the test paintings -> data/report."""
    run_stage("evaluate", params, overrides)


@app.command()
def explain(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="Pictures or folders of them (or models, with --compare).", show_default=False),
    ] = None,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FILE", dir_okay=False, help="The page about pictures of your own."),
    ] = PAGE,
    model: Annotated[Path, typer.Option("--model", metavar="FOLDER", help="The model that sees them.")] = MODEL,
    compare: Annotated[bool, typer.Option("--compare", help="Set model folders side by side on one page.")] = False,
    params: ParamsFile = PARAMS,
    overrides: Overrides = None,
) -> None:
    """Show what the CNN saw in one painting of every shape -> data/report/index.html; or in any pictures."""
    if not paths and not compare:
        if (output, model) != (PAGE, MODEL):
            raise UserError("--output and --model are for pictures of your own; name some, or leave both out")
        run_stage("explain", params, overrides)
        return
    if overrides or params != PARAMS:
        raise UserError("--params and --set are for the stage; pictures of your own and --compare take neither")
    if compare and model != MODEL:
        raise UserError("--compare takes the model folders themselves; name them all, without --model")
    from strokewise import recogniser
    from strokewise.stages.explain import compare_models, explain_pictures

    if compare:
        done = compare_models(paths or [], output)
    else:
        done = explain_pictures(list(recogniser.files(paths or [])), model, output)
    typer.echo(f"{done}: open it in a browser")


@app.command()
def register(
    params: ParamsFile = PARAMS,
    overrides: Overrides = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 3 if the CNN is not the champion now.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
) -> None:
    """Log both models in MLflow and let the gate decide whether the CNN becomes champion."""
    done = run_stage("register", params, overrides, dry_run=dry_run)
    if done.warning:
        typer.echo(f"strokewise: warning: {done.warning}", err=True)
    typer.echo(done.summary)
    if strict and not done.champion:
        raise Refusal("the CNN is not the champion (--strict); the lines above say why")


@app.command()
def network(
    params: ParamsFile = PARAMS,
    overrides: Overrides = None,
    shapes: Annotated[
        int | None, typer.Option(min=1, help="How many shapes it tells apart, if not those of data/outlines.")
    ] = None,
) -> None:
    """Print the CNN layer by layer: what it sees and costs, and what looking at everything at once would cost."""
    from strokewise import architecture
    from strokewise.params import Params

    checked = Params.load(params, overrides or [])
    outlines = [path for path in Path("data/outlines").glob("*") if path.is_dir()]
    typer.echo(architecture.table(checked.network, shapes or len(outlines) + 1))  # doodles are a shape too: `other`


@app.command()
def ui(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen on.", min=1, max=65535)] = 5000,
) -> None:
    """Show the runs in MLflow's web interface until Ctrl-C."""
    from strokewise.registry import server

    server.serve(host, port, typer.echo)


@app.command()
def history() -> None:
    """Print what happened in the registry, oldest first: who became champion, when and why."""
    from strokewise.registry import versions

    events = versions.history()
    for event in events:
        number = f"version {event.version}" if event.version else f"model {event.fingerprint[:8]}"
        typer.echo(f"{event.at[:19].replace('T', ' ')}  {event.what:<11}{number:<16}{event.reason}")
    if not events:
        typer.echo("nothing has been registered yet; `dvc repro` does it")


Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; the history keeps it.")]


@app.command()
def rollback(
    reason: Reason,
    version: Annotated[int | None, typer.Argument(help="An earlier champion; if not given the previous one.")] = None,
) -> None:
    """Make the previous champion champion again."""
    from strokewise.registry import decisions

    _moved(decisions.rollback(version, reason))


@app.command()
def promote(version: Annotated[int, typer.Argument(help="The version to make champion.")], reason: Reason) -> None:
    """Make a version champion whatever the gate said of it."""
    from strokewise.registry import decisions

    _moved(decisions.promote(version, reason))


def _moved(event: Any) -> None:
    before = f"; before it was version {event.before}" if event.before else ""
    typer.echo(f"version {event.version} is the champion now{before}")


@app.command()
def predict(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Pictures, or folders of them.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, with all scores.")] = False,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="A model folder, models:/name@alias or an alias; if not given the champion, else data/model.",
        ),
    ] = None,
) -> None:
    """Recognise the shape in pictures. One that cannot be read is named, the others still run."""
    from strokewise import recogniser
    from strokewise.errors import PictureError

    loaded = recogniser.load(model)
    shown, asked = itertools.tee(recogniser.files(paths))
    count = failed = 0
    for path, answer in zip(shown, loaded.stream(asked), strict=True):
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
        raise PictureError(f"{failed} of {count} pictures could not be read; the others are answered above")


def main() -> None:
    """Run the command line: a user's mistake is one line and exit code 2, Ctrl-C is 130, `--strict`'s no is 3."""
    # Waiting threads must not spin: beside a busy neighbour that costs a tenfold. Read when torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")  # a file's name may be no text
    try:
        app()
    except UserError as error:
        typer.echo(f"strokewise: {' '.join(str(error).split())}", err=True)
        sys.exit(error.exit_code)
    except OSError as error:
        if error.errno not in FULL | BARRED:
            raise
        what = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
        todo = "make room" if error.errno in FULL else "allow it"
        typer.echo(f"strokewise: {what}; {todo} and run it again", err=True)
        sys.exit(UserError.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
