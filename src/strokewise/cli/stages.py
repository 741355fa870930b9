"""The commands that are stages: check the parameters, wait for one's turn, run `stages/<name>.py`."""

import importlib
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from strokewise.errors import Refusal, UserError
from strokewise.support.paths import MODEL_DIR, PARAMS_FILE, SCRATCH_DIR

app = typer.Typer()

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
EXPLAIN_PAGE = Path("explained.html")


def run_stage(name: str, params: Path, overrides: list[str] | None, alone: bool = True, **options: Any) -> Any:
    """Check the parameters, wait for the same stage in this folder to end if it is to be `alone`, then run it."""
    from strokewise.params import Params
    from strokewise.support import file_lock

    checked = Params.load(params, overrides or [])
    stage = getattr(importlib.import_module(f"strokewise.stages.{name}"), name)
    if not alone or os.environ.get("RANK", "0") != "0":  # torchrun's others belong to the one that holds the lock
        return stage(checked, **options)
    with file_lock.exclusive_lock(SCRATCH_DIR / f"{name}.lock"):
        return stage(checked, **options)


@app.command()
def generate(
    params: ParamsFile = PARAMS_FILE,
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
def train(
    params: ParamsFile = PARAMS_FILE,
    overrides: Overrides = None,
    live: Annotated[
        bool, typer.Option("--live", envvar="STROKEWISE_LIVE", help="Show the curves in MLflow as they grow.")
    ] = False,
) -> None:
    """Train the CNN on the paintings -> data/model."""
    if not live:
        run_stage("train", params, overrides)
        return
    from strokewise.registry import live as following

    with following.live_logging() as on_start:
        run_stage("train", params, overrides, on_start=on_start)


@app.command(hidden=True)
def follow(folder: Path, trainer: Annotated[int, typer.Option("--of", metavar="PID")]) -> None:
    """What `train --live` starts: log the curves that grow in a folder until the training process is gone."""
    from strokewise.registry import live as following

    following.follow_training(folder, trainer)


@app.command()
def baseline(params: ParamsFile = PARAMS_FILE, overrides: Overrides = None) -> None:
    """Fit scikit-learn on the flattened pixels of the same paintings -> data/baseline."""
    run_stage("baseline", params, overrides)


@app.command()
def evaluate(params: ParamsFile = PARAMS_FILE, overrides: Overrides = None) -> None:
    """Measure both models on the test paintings -> data/report."""
    run_stage("evaluate", params, overrides)


@app.command()
def curve(
    sizes: Annotated[
        str | None,
        typer.Option(metavar="N,N,...", help="Paintings a shape at each point; if not given 5, 10, 25 and 50, or all."),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER", file_okay=False, help="For curve.csv and curve.png.")
    ] = Path("data/curve"),
    params: ParamsFile = PARAMS_FILE,
    overrides: Overrides = None,
) -> None:
    """Train both models on few paintings a shape, and draw how they fare. Minutes; killed, it goes on."""
    from strokewise.params import Params

    checked = Params.load(params, overrides or [])
    try:
        wanted = [int(size) for size in sizes.split(",")] if sizes is not None else None
    except ValueError:
        wanted = []
    if wanted is not None and (not wanted or min(wanted) < 2):
        raise UserError(f"--sizes {sizes!r} is no list of numbers from 2 on; write, say, --sizes 5,10,25,50")
    from strokewise.evaluation.learning_curve import curve_table, measure_learning_curve
    from strokewise.stages.baseline import baseline as fit_baseline
    from strokewise.stages.train import train as train_cnn
    from strokewise.support import file_lock

    with file_lock.exclusive_lock(SCRATCH_DIR / "curve.lock"):
        typer.echo(curve_table(measure_learning_curve(checked, train_cnn, fit_baseline, wanted, output)))
    typer.echo(f"{output}/curve.csv, {output}/curve.png")


@app.command()
def explain(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="Pictures or folders of them (or models, with --compare).", show_default=False),
    ] = None,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FILE", dir_okay=False, help="The page about pictures of your own."),
    ] = EXPLAIN_PAGE,
    model: Annotated[Path, typer.Option("--model", metavar="FOLDER", help="The model that sees them.")] = MODEL_DIR,
    compare: Annotated[bool, typer.Option("--compare", help="Set model folders side by side on one page.")] = False,
    params: ParamsFile = PARAMS_FILE,
    overrides: Overrides = None,
) -> None:
    """Show what the CNN saw in one painting of every shape -> data/report/index.html; or in any pictures."""
    if not paths and not compare:
        if (output, model) != (EXPLAIN_PAGE, MODEL_DIR):
            raise UserError("--output and --model are for pictures of your own; name some, or leave both out")
        run_stage("explain", params, overrides)
        return
    if overrides or params != PARAMS_FILE:
        raise UserError("--params and --set are for the stage; pictures of your own and --compare take neither")
    if compare and model != MODEL_DIR:
        raise UserError("--compare takes the model folders themselves; name them all, without --model")
    from strokewise import recogniser
    from strokewise.stages.explain import compare_models, explain_pictures

    if compare:
        done = compare_models(paths or [], output)
    else:
        done = explain_pictures(list(recogniser.find_pictures(paths or [])), model, output)
    typer.echo(f"{done}: open it in a browser")


@app.command()
def register(
    params: ParamsFile = PARAMS_FILE,
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
