"""The commands of the pipeline: generate, train, baseline, evaluate, explain and register; also curve.

Each command of a stage checks the parameters, waits until no other process runs this stage in this folder, and calls
`stages/<name>.py`.
"""

import importlib
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from strokewise.errors import Refusal, UserError, printable
from strokewise.support.paths import CURVE_DIR, MODEL_DIR, PARAMS_FILE, SCRATCH_DIR

app = typer.Typer()

ParamsFile = Annotated[
    Path,
    typer.Option("--params", metavar="FILE", help="Read the parameters from this file.", dir_okay=False),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Set a parameter for this call: train.epochs=40. Repeatable."),
]
EXPLAIN_PAGE = Path("explained.html")


def help_examples(*commands: str) -> str:
    """The end of a command's help: one example per line."""
    return "\n\n".join(("Examples:", *commands))


def run_stage(name: str, params_file: Path, overrides: list[str] | None, locked: bool = True, **options: Any) -> Any:
    """Check the parameters and run a stage; with `locked`, wait for another process that runs it in this folder."""
    from strokewise.params import Params
    from strokewise.support import file_lock

    params = Params.load(params_file, overrides or [])
    stage = getattr(importlib.import_module(f"strokewise.stages.{name}"), name)
    if not locked or os.environ.get("RANK", "0") != "0":  # torchrun's first process holds the lock for the others
        return stage(params, **options)
    with file_lock.exclusive_lock(SCRATCH_DIR / f"{name}.lock"):
        return stage(params, **options)


@app.command(
    epilog=help_examples(
        "strokewise generate",
        "strokewise generate --preview sheet.png --set generate.imprecision=2",
        "strokewise generate --shard 1/10",
    )
)
def generate(
    params_file: ParamsFile = PARAMS_FILE,
    overrides: Overrides = None,
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="K/N",
            help="Paint only part K (from 1) of N parts, here or on another machine; without it, all parts are joined"
            " and missing paintings are painted.",
        ),
    ] = None,
    preview: Annotated[
        Path | None,
        typer.Option(metavar="PNG", dir_okay=False, help="Only draw a sheet of examples, a row per shape."),
    ] = None,
) -> None:
    """Paint the data set: SVG outlines -> imprecise paintings in data/paintings."""
    complete = shard is None and preview is None
    result = run_stage("generate", params_file, overrides, locked=complete, part=shard, preview=preview)
    if not complete:
        counts = f": {result.paintings:,} paintings, {result.reused:,} of them existed already" if shard else ""
        typer.echo(f"{printable(result.path)}{counts}")


@app.command(epilog=help_examples("strokewise train", "strokewise train --live --set train.epochs=40"))
def train(
    params_file: ParamsFile = PARAMS_FILE,
    overrides: Overrides = None,
    live: Annotated[
        bool, typer.Option("--live", envvar="STROKEWISE_LIVE", help="Log the curves to MLflow during training.")
    ] = False,
) -> None:
    """Train the CNN on the paintings -> data/model. An interrupted training is resumed."""
    if not live:
        run_stage("train", params_file, overrides)
        return
    from strokewise.registry.live import live_logging

    with live_logging() as on_start:
        run_stage("train", params_file, overrides, on_start=on_start)


@app.command(hidden=True)
def follow(folder: Path, trainer: Annotated[int, typer.Option("--of", metavar="PID")]) -> None:
    """Log the training curves in a folder to MLflow until the training process ends; `train --live` starts this."""
    from strokewise.registry.live import follow_training

    follow_training(folder, trainer)


@app.command(epilog=help_examples("strokewise baseline", "strokewise baseline --set baseline.folds=5"))
def baseline(params_file: ParamsFile = PARAMS_FILE, overrides: Overrides = None) -> None:
    """Fit scikit-learn on the flattened pixels of the same paintings -> data/baseline."""
    run_stage("baseline", params_file, overrides)


@app.command(epilog=help_examples("strokewise evaluate", "strokewise evaluate --set evaluate.imprecision_samples=960"))
def evaluate(params_file: ParamsFile = PARAMS_FILE, overrides: Overrides = None) -> None:
    """Measure both models on the test paintings -> data/report."""
    run_stage("evaluate", params_file, overrides)


@app.command(epilog=help_examples("strokewise curve", "strokewise curve --sizes 5,10,25 --output few"))
def curve(
    sizes: Annotated[
        str | None,
        typer.Option(metavar="N,N,...", help="Paintings per shape at each point; by default 5, 10, 25 and 50, or all."),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER", file_okay=False, help="For curve.csv and curve.png.")
    ] = CURVE_DIR,
    params_file: ParamsFile = PARAMS_FILE,
    overrides: Overrides = None,
) -> None:
    """Train both models on few paintings per shape, and plot their accuracy. Takes minutes; resumes if interrupted."""
    from strokewise.params import Params

    params = Params.load(params_file, overrides or [])
    try:
        numbers = [int(size) for size in sizes.split(",")] if sizes is not None else None
    except ValueError:
        numbers = []
    if numbers is not None and (not numbers or min(numbers) < 2):
        raise UserError(f"--sizes {sizes!r} is no list of numbers from 2 on; write, say, --sizes 5,10,25,50")
    from strokewise.evaluation.learning_curve import curve_table, measure_learning_curve
    from strokewise.stages.baseline import baseline as fit_baseline
    from strokewise.stages.train import train as train_cnn
    from strokewise.support import file_lock

    with file_lock.exclusive_lock(SCRATCH_DIR / "curve.lock"):
        typer.echo(curve_table(measure_learning_curve(params, train_cnn, fit_baseline, numbers, output)))
    typer.echo(printable(f"{output}/curve.csv, {output}/curve.png"))


@app.command(
    epilog=help_examples(
        "strokewise explain",
        "strokewise explain drawing.png --output drawing.html",
        "strokewise explain --compare data/model other/model",
    )
)
def explain(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="Pictures or folders of them; with --compare, model folders.", show_default=False),
    ] = None,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FILE", dir_okay=False, help="The page about pictures of your own."),
    ] = EXPLAIN_PAGE,
    model: Annotated[
        Path, typer.Option("--model", metavar="FOLDER", help="The model for pictures of your own.")
    ] = MODEL_DIR,
    compare: Annotated[bool, typer.Option("--compare", help="Compare model folders side by side on one page.")] = False,
    params_file: ParamsFile = PARAMS_FILE,
    overrides: Overrides = None,
) -> None:
    """Show what the CNN saw in one painting per shape -> data/report/index.html; or in pictures of your own."""
    if not paths and not compare:
        if (output, model) != (EXPLAIN_PAGE, MODEL_DIR):
            raise UserError("--output and --model are for pictures of your own; name some, or leave both out")
        run_stage("explain", params_file, overrides)
        return
    if overrides or params_file != PARAMS_FILE:
        raise UserError("--params and --set are for the stage; pictures of your own and --compare take neither")
    if compare and model != MODEL_DIR:
        raise UserError("--compare takes the model folders themselves; name them all, without --model")
    from strokewise.preprocessing.sources import find_pictures
    from strokewise.stages.explain import compare_models, explain_pictures
    from strokewise.support import atomic_io, native_output

    output = atomic_io.replaceable(output)
    if compare:
        page = compare_models(paths or [], output)
    else:
        with native_output.silent_libraries():
            page = explain_pictures(list(find_pictures(paths or [])), model, output)
    typer.echo(f"{printable(page)}: open it in a browser")


@app.command(epilog=help_examples("strokewise register", "strokewise register --dry-run --strict"))
def register(
    params_file: ParamsFile = PARAMS_FILE,
    overrides: Overrides = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 3 if the CNN is not the champion now.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what would be done.")] = False,
) -> None:
    """Log both models in MLflow and let the gate decide whether the CNN becomes champion."""
    from strokewise.support import progress

    result = run_stage("register", params_file, overrides, dry_run=dry_run)
    if result.warning:
        progress.warn(result.warning)
    typer.echo(result.summary)
    if strict and not result.champion:
        raise Refusal("the CNN is not the champion (--strict); the lines above say why")
