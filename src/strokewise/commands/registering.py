"""The commands that look into the registry, or move what is in it."""

from typing import Annotated, Any

import typer

app = typer.Typer()


@app.command()
def ui(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen on.", min=1, max=65535)] = 5000,
) -> None:
    """Show the runs in MLflow's web interface until Ctrl-C."""
    from strokewise.registry import server

    server.serve(host, port, typer.echo)


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen on.", min=1, max=65535)] = 5001,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL", help="A model folder, models:/name@alias or an alias; if not given the champion."
        ),
    ] = None,
) -> None:
    """Answer pictures over HTTP until Ctrl-C: the champion in MLflow's scoring server, with a guard before it."""
    from strokewise.registry import scorer

    scorer.serve(host, port, model, typer.echo)


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
