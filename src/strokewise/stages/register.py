"""data/model, data/baseline, data/report → runs in MLflow, and the gate's decision about the CNN applied there.

A store that is slow or gone costs a warning; registering again adds what is missing.
"""

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from strokewise.params import Params
from strokewise.registry import artifacts, registration
from strokewise.registry.artifacts import PipelineState
from strokewise.registry.promotion import RegistrationOutcome
from strokewise.registry.store import StoreUnavailable

SHOWN_PAGES = ("data/report/live.html", "data/report/index.html")
SHOWN_PICTURES = ("data/report/mistakes.png", "data/paintings/contact-sheet.png")
TEXT_WIDTH = 100  # characters a line of reasons
NEXT_COMMANDS = {
    "strokewise predict drawing.png": "recognise a drawing of your own",
    "strokewise ui": "compare the runs in MLflow",
    "dvc exp run -S train.epochs=40": "try something else",
}


@dataclass(frozen=True)
class RegisterResult:
    """What became of the CNN."""

    champion: bool  # whether it is the champion now, or would be in a dry run
    summary: str
    warning: str | None


def register(params: Params, dry_run: bool = False) -> RegisterResult:
    """Bring MLflow up to date with the pipeline's results; with `dry_run` only report what would change.

    Raises ModelError or DatasetError if results are missing or do not belong together, RegistryError if
    `MLFLOW_TRACKING_URI` is wrong.
    """
    settings = {
        "generate": params.generate.model_dump(),
        "network": params.network.model_dump(),
        "train": params.train.model_dump(),
        "baseline": params.baseline.model_dump(),
        "evaluate": params.evaluate.model_dump(),
    }
    state = artifacts.read_state(settings)
    run = registration.preview_registration if dry_run else registration.register_state
    try:
        outcome = run(
            state,
            params.register_,
            bootstrap_samples=params.evaluate.bootstrap_samples,
            seed=params.evaluate.seed,
        )
    except StoreUnavailable as error:
        warning = f"not registered, nothing is lost: {error}; `strokewise register` does it later"
        outcome = RegistrationOutcome(status=None, champion=False, reasons=(), new=False, warning=warning)
    return RegisterResult(outcome.champion, format_summary(state, outcome, dry_run), outcome.warning)


def format_summary(state: PipelineState, outcome: RegistrationOutcome, dry_run: bool = False) -> str:
    """The end of the pipeline as text: the comparison, the decision with its reasons, and what to do next."""
    paired = state.metrics["paired"]
    significant = paired["p"] < 0.05 and not paired["low"] <= 0 <= paired["high"]
    baseline = f"{_format_accuracy(state.baseline.metrics)}   {state.baseline.metrics.get('choice', '')}"
    difference = (
        f"{100 * paired['difference']:5.1f} points ({100 * paired['low']:.1f} to {100 * paired['high']:.1f})"
        f"   p {_format_p_value(paired['p'])}: {'' if significant else 'not '}significant,"
        f" on {state.metrics['paintings']:,} paintings"
    )
    lines = [
        ("CNN", _format_accuracy(state.cnn.metrics)),
        ("Baseline", baseline),
        ("Difference", difference),
        *_format_outcome_lines(outcome, dry_run),
        ("Pages", "  ".join(SHOWN_PAGES)),
        ("Pictures", "  ".join(SHOWN_PICTURES)),
        *zip(("Next", "", ""), (f"{command:<32}{why}" for command, why in NEXT_COMMANDS.items()), strict=True),
    ]
    return "\n".join(f"{name:<11}{text}".rstrip() for name, text in lines)


def _format_outcome_lines(outcome: RegistrationOutcome, dry_run: bool) -> list[tuple[str, str]]:
    if not outcome.reasons and outcome.status is None:
        return [("Registered", "not now (see the warning)")]
    if outcome.postponed:
        status = "not decided yet"
    elif dry_run and outcome.new:
        status = f"would become {outcome.status}" if outcome.status else "would be refused"
    elif outcome.status is None:
        status = "refused" if outcome.new else "refused before, and for the same reason now"
    else:
        status = outcome.status if outcome.new else f"already registered: {outcome.status}"
    reasons = " ".join(outcome.reasons if outcome.new else ("Decided then:", *outcome.reasons))
    lines = textwrap.wrap(reasons.replace(" %", "\N{NO-BREAK SPACE}%"), TEXT_WIDTH)
    return [("Registered", status), *(("", line.replace("\N{NO-BREAK SPACE}", " ")) for line in lines)]


def _format_accuracy(metrics: Mapping[str, Any]) -> str:
    return f"{100 * metrics['accuracy']:5.1f} % right ({100 * metrics['low']:.1f} to {100 * metrics['high']:.1f})"


def _format_p_value(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"
