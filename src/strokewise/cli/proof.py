"""The commands that prove a result: verify, reproduce, report and repeat."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from strokewise.cli.stages import ParamsFile, help_examples
from strokewise.errors import Refusal, printable
from strokewise.support.paths import PARAMS_FILE
from strokewise.support.text_tables import text_table

if TYPE_CHECKING:
    from strokewise.reproduction.reproduce import Reproduction
    from strokewise.support.findings import Findings

app = typer.Typer()

JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object with everything.")]


def print_findings(found: "Findings", as_json: bool, key: str) -> tuple[int, int]:
    """Print the findings, or one JSON object whose `key` says whether none is bad; returns how many are, and of all."""
    findings = []
    for finding in found:
        findings.append(finding)
        if not as_json:
            typer.echo(f"{finding.state:5}{finding.check:12}{printable(finding.message)}")
            if finding.action:
                typer.echo(f"{'':17}-> {printable(finding.action)}")
    bad = sum(finding.state == "bad" for finding in findings)
    if as_json:
        typer.echo(json.dumps({key: not bad, "findings": [dataclasses.asdict(finding) for finding in findings]}))
    return bad, len(findings)


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

    bad, _ = print_findings(verify_project(Path.cwd(), exported or ()), as_json, "agrees")
    if bad:
        count = f"{bad} things do" if bad > 1 else "one thing does"
        raise Refusal(f"{count} not agree; the lines that begin with bad name them")


@app.command(
    epilog=help_examples("strokewise reproduce", "strokewise reproduce 3 --fresh", "strokewise reproduce main")
)
def reproduce(
    target: Annotated[
        str, typer.Argument(metavar="TARGET", help="A version's alias or number, a revision of git, or an experiment.")
    ] = "champion",
    fresh: Annotated[bool, typer.Option("--fresh", help="Run every stage: take nothing from DVC's run cache.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Make a model again, apart from the working tree, and compare stage by stage; exits with 3 where it differs."""
    from strokewise.reproduction.reproduce import reproduce_target

    result = reproduce_target(Path.cwd(), target, fresh)
    typer.echo(json.dumps(result.to_dict()) if as_json else _format_reproduction(result))
    if result.outcome == "DIFFERENT":
        raise Refusal(f"{result.target} came out different; the table says where")


def _format_reproduction(result: "Reproduction") -> str:
    rows = [("stage", "outcome", "how", "what differs")]
    for stage in result.stages:
        differences = [f"{each.where}: {each.what}" for each in stage.differences] or [""]
        rows.append((stage.stage, stage.outcome, stage.how, differences[0]))
        rows += [("", "", "", difference) for difference in differences[1:]]
    cached = [stage.stage for stage in result.stages if stage.how == "run cache"]
    lines = [
        f"{result.outcome}: {result.target}, commit {result.commit[:8]}",
        f"on {result.machine}; {result.environment}",
        *([f"written onto {result.version}"] if result.version else []),
        *([f"{', '.join(cached)} came from DVC's run cache; --fresh runs them"] if cached else []),
    ]
    return printable_lines([*text_table(rows), "", *lines])


def printable_lines(lines: Sequence[str]) -> str:
    """The lines with their control characters escaped."""
    return "\n".join(printable(line) for line in lines)


@app.command(epilog=help_examples("strokewise report --against main", "strokewise report --against HEAD~1 --markdown"))
def report(
    against: Annotated[str, typer.Option(metavar="REVISION", help="A revision of git, or a DVC experiment.")],
    markdown: Annotated[bool, typer.Option("--markdown", help="For a pull request's comment.")] = False,
    run: Annotated[
        bool, typer.Option("--run", help="Make the results of REVISION again, apart, if DVC's cache lacks them.")
    ] = False,
    params_file: ParamsFile = PARAMS_FILE,
) -> None:
    """Say what changed since a revision: parameters, numbers, the paired difference and the gate's verdict."""
    from strokewise.params import Params
    from strokewise.reproduction.change_report import format_report, report_changes

    sections = report_changes(Path.cwd(), Params.load(params_file), against, run)
    typer.echo(format_report(sections, markdown), nl=False)


@app.command(
    epilog=help_examples(
        "strokewise repeat 5",
        "strokewise repeat 5 -S train.epochs=40",
        "strokewise repeat 5 -S train.epochs=80 --against train.epochs=40",
    )
)
def repeat(
    count: Annotated[int, typer.Argument(metavar="N", help="The number of seeds.", min=1, max=1000)],
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", "-S", metavar="KEY=VALUE", help="A parameter, as for `dvc exp run`. Repeatable."),
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(metavar="GROUP", help="Another group: what its -S said, or params.yaml (default). Repeatable."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Run the pipeline for N seeds through DVC's queue; say mean and spread, and compare with another such group."""
    from strokewise.reproduction import repeat as repetition

    group, compared = repetition.repeat_pipeline(Path.cwd(), sorted(overrides or []), count, against or ())
    if as_json:
        summary = {name: dataclasses.asdict(each) for name, each in group.summary().items()}
        seeds = [dataclasses.asdict(result) for result in group.results]
        comparisons = [dataclasses.asdict(each) for each in compared]
        content = {"group": group.group, "label": group.label, "summary": summary, "seeds": seeds}
        typer.echo(json.dumps({**content, "comparisons": comparisons}))
        return
    lines = [f"{group.label}, {count} seeds", "", *text_table(repetition.summary_rows(group))]
    if compared:
        lines += ["", *text_table(repetition.comparison_rows(compared))]
    typer.echo(printable_lines(lines))
