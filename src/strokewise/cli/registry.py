"""The commands of the registry: ui, serve, history, rollback, promote and sync."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from strokewise.cli.stages import help_examples
from strokewise.errors import printable

if TYPE_CHECKING:
    from strokewise.recogniser import Recogniser
    from strokewise.registry.replay import ReplayedState
    from strokewise.registry.versions import RegistryEvent
    from strokewise.serving.app import ServedPage

app = typer.Typer()


@app.command(epilog=help_examples("strokewise ui", "strokewise ui --port 5010"))
def ui(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen on.", min=1, max=65535)] = 5000,
) -> None:
    """Show the runs in MLflow's web interface; Ctrl-C ends it."""
    from strokewise.registry import mlflow_ui

    mlflow_ui.serve_ui(host, port, typer.echo)


@app.command(
    epilog=help_examples(
        "strokewise serve",
        "strokewise serve --model data/model --port 5010",
        "strokewise serve --collect data/feedback",
        "strokewise serve --host 0.0.0.0 --allowed-hosts drawings.example.org",
    )
)
def serve(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen on.", min=1, max=65535)] = 5001,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="A model, as for predict: a folder, models:/name@alias or an alias; by default the champion.",
        ),
    ] = None,
    allowed_hosts: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME,...",
            help="Names by which clients may ask for the server besides its address; * allows all. Repeatable.",
        ),
    ] = None,
    collect: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            file_okay=False,
            help="Keep drawings that the page sends with their right names, for `strokewise import FOLDER --train`.",
        ),
    ] = None,
) -> None:
    """Answer pictures over HTTP, as MLflow's scoring server does, and show a page to draw on; Ctrl-C ends it."""
    from strokewise.serving.serve import serve_model
    from strokewise.support import native_output

    names = [name.strip() for value in allowed_hosts or () for name in value.split(",")]
    with native_output.silent_libraries():  # a damaged picture has its answer, and is nothing for the log
        serve_model(host, port, lambda: _load_served(model, collect is not None), typer.echo, names, collect)


def _load_served(model: str | None, collects: bool) -> "tuple[Recogniser, str, Callable[[], ServedPage]]":
    """The recogniser, its display name, and what makes its page.

    Imported after the port is bound, because it takes seconds.
    """
    from strokewise.loading import find_model
    from strokewise.recogniser import Recogniser

    path, name = find_model(model)
    return Recogniser(path), name, lambda: _make_page(path, name, collects)


def _make_page(model: Path, name: str, collects: bool) -> "ServedPage":
    """The page to draw on, with a slider if snapshots lie beside the model. Raises UserError where there is none."""
    from strokewise.serving.app import ServedPage
    from strokewise.support.extras import missing_extra
    from strokewise.support.paths import SNAPSHOTS_FILE

    try:
        from strokewise.explain.live_page import live_page, read_snapshots
        from strokewise.model.onnx_file import load_onnx

        page = live_page(load_onnx(model), name, read_snapshots(model / SNAPSHOTS_FILE), collects=collects)
    except ModuleNotFoundError as error:
        raise missing_extra(error) or error from None
    return ServedPage(page.html.encode(), page.policy)


@app.command(epilog=help_examples("strokewise history"))
def history() -> None:
    """Print the events of the registry, oldest first: which model became champion, when and why."""
    from strokewise.registry import versions

    events = versions.read_events()
    for event in events:
        number = f"version {event.version}" if event.version else f"model {event.fingerprint[:8]}"
        typer.echo(f"{event.at[:19].replace('T', ' ')}  {event.action:<11}{number:<16}{printable(event.reason)}")
    if not events:
        typer.echo("nothing has been registered yet; `dvc repro` does it")


ReasonOption = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it is kept in the history.")]


@app.command(
    epilog=help_examples(
        "strokewise rollback --reason 'it misread our circles'", "strokewise rollback 3 --reason 'the last good one'"
    )
)
def rollback(
    reason: ReasonOption,
    version: Annotated[int | None, typer.Argument(help="An earlier champion; by default the previous one.")] = None,
) -> None:
    """Make the previous champion champion again."""
    from strokewise.registry import promotion

    _print_move(promotion.rollback_champion(version, reason))


@app.command(epilog=help_examples("strokewise promote 4 --reason 'the test set was mislabelled'"))
def promote(
    version: Annotated[int, typer.Argument(help="The version to make champion.")], reason: ReasonOption
) -> None:
    """Make a version champion, whatever the gate decided."""
    from strokewise.registry import promotion

    _print_move(promotion.promote_version(version, reason))


def _print_move(event: "RegistryEvent") -> None:
    before = f"; before it was version {event.previous}" if event.previous else ""
    typer.echo(f"version {event.version} is the champion now{before}")


@app.command(epilog=help_examples("strokewise sync", "strokewise sync --rev main --rev my-experiment"))
def sync(
    rev: Annotated[
        list[str] | None,
        typer.Option(metavar="REV", help="Only this commit, or DVC experiment. Repeatable, in the order given."),
    ] = None,
) -> None:
    """Rebuild MLflow from git and the DVC cache: every state of the pipeline on this branch, oldest first."""
    from strokewise.registry.replay import replay

    total = new = 0
    for state in replay(rev or ()):
        total += 1
        new += state.outcome is not None and state.outcome.new
        typer.echo(f"{state.commit.sha[:8]}  {printable(state.commit.experiment or state.commit.title)}")
        typer.echo(f"          {_format_replayed(state)}")
    typer.echo(f"{total} states in git, {new} decided now" if total else "no commit here has a dvc.lock")
    if new:
        typer.echo("Not in git, so not back: what people moved by hand, experiments that were not kept, times and ids.")


def _format_replayed(state: "ReplayedState") -> str:
    outcome = state.outcome
    if outcome is None:
        return f"skipped: {state.skipped}"
    undecided = "not decided yet" if outcome.postponed else "refused"
    status = outcome.status or f"{undecided}: {' '.join(outcome.reasons)}"
    warning = f" (warning: {outcome.warning})" if outcome.warning else ""
    return f"{'' if outcome.new else 'there already: '}{status}{warning}"
