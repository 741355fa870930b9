"""The commands that prove a result: verify."""

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from strokewise.cli.stages import help_examples
from strokewise.errors import Refusal, printable

if TYPE_CHECKING:
    from strokewise.support.findings import Finding, Findings

app = typer.Typer()

JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object with everything.")]


def print_findings(found: "Findings", as_json: bool, key: str) -> "list[Finding]":
    """Print the findings, or one JSON object whose `key` says whether none is bad; returns the bad ones."""
    findings = []
    for finding in found:
        findings.append(finding)
        if not as_json:
            typer.echo(f"{finding.state:5}{finding.check:12}{printable(finding.message)}")
            if finding.action:
                typer.echo(f"{'':17}-> {printable(finding.action)}")
    bad = [finding for finding in findings if finding.state == "bad"]
    if as_json:
        typer.echo(json.dumps({key: not bad, "findings": [dataclasses.asdict(finding) for finding in findings]}))
    return bad


@app.command(epilog=help_examples("strokewise verify", "strokewise verify shapes.onnx --json"))
def verify(
    exported: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FILE", help="Exported model files to check, too.", show_default=False),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check, without running anything, whether all that lies here belongs together; exits with 3 where it does not."""
    from strokewise.reproduction.verify import verify_project

    bad = print_findings(verify_project(Path.cwd(), exported or ()), as_json, "agrees")
    if bad:
        count = f"{len(bad)} things do" if len(bad) > 1 else "one thing does"
        raise Refusal(f"{count} not agree; the lines that begin with bad name them")
