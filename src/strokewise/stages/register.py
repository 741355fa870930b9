"""data/model, data/baseline, data/report -> runs in MLflow, and the gate's decision about the CNN carried out there.

MLflow is a projection: registering again confirms what is there, brings back what is not, and undoes nothing that a
person moved. A store that is slow or gone costs a warning; the rest is done the next time.
"""

import textwrap
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from strokewise import dataset
from strokewise.errors import ModelError
from strokewise.params import Params
from strokewise.registry import decisions, memory, state, store, tracking, versions
from strokewise.registry.decisions import Judge, Outcome
from strokewise.registry.state import State
from strokewise.registry.store import Store, Unavailable
from strokewise.registry.versions import Version

PICTURES = ("data/report/index.html", "data/report/mistakes.png", "data/paintings/contact-sheet.png")
WIDTH = 100  # characters a line of reasons
NEXT = {
    "strokewise predict drawing.png": "recognise a drawing of your own",
    "strokewise ui": "compare the runs in MLflow",
    "dvc exp run -S train.epochs=40": "try something else",
}


@dataclass(frozen=True)
class Registered:
    """What became of the CNN, as text for a person; `champion` says whether it answers now (or, dry, would)."""

    champion: bool
    summary: str
    warning: str | None


def register(params: Params, dry_run: bool = False) -> Registered:
    """Bring MLflow up to date with what the pipeline made; with `dry_run` only say what would become of it.

    Raises ModelError or DatasetError if the pipeline's results are missing or do not belong together, RegistryError
    if `MLFLOW_TRACKING_URI` is wrong.
    """
    made = _read(params, Path())
    try:
        outcome = _foresee(params, made) if dry_run else _bring(params, made)
    except Unavailable as error:
        warning = f"not registered, nothing is lost: {error}; `strokewise register` does it later"
        outcome = Outcome(None, False, (), False, warning)
    return Registered(outcome.champion, summary(made, outcome, dry_run), outcome.warning)


def restore(params: Params, root: Path, commit: str, experiment: str | None) -> Outcome:
    """Bring an earlier state, put into the folder `root`, into this project's MLflow as if it were the present one.

    Raises as `register` does, and Unavailable where the store cannot be had.
    """
    return _bring(params, _read(params, root, commit, experiment))


def _read(params: Params, root: Path, commit: str | None = None, experiment: str | None = None) -> State:
    settings = {
        "generate": params.generate.model_dump(),
        "network": params.network.model_dump(),
        "train": params.train.model_dump(),
        "baseline": params.baseline.model_dump(),
        "evaluate": params.evaluate.model_dump(),
    }
    return state.read(settings, dataset.digest("test", root / dataset.FOLDER), root, commit, experiment)


def _bring(params: Params, made: State) -> Outcome:
    """Both runs into the store, and the decision: the one made before, or a new one."""
    rules = params.register_.model_dump()
    asked = "register " + state.key(made, rules)
    if (known := memory.recalled(asked)) is not None:
        return Outcome(**known)
    with store.opened() as opened, store.locked():
        runs = tracking.log(opened, made, dataset.scenes("test", [0], made.paintings)[0])
        outcome = decisions.confirm(decisions.finish(opened), made, rules)
        if outcome is None:
            outcome = decisions.decide(opened, made, rules, runs["cnn"], _judge(params, made, opened))
        answer = asdict(replace(outcome, fresh=False))
        memory.remember(asked, answer, tracking.files(opened, runs), opened.address.state())
        return outcome


def _foresee(params: Params, made: State) -> Outcome:
    """What `_bring` would do; nothing is written."""
    if not store.exists():
        return _foretold(_judge(params, made, None)(None))
    with store.opened(create=False) as opened:
        shelf = versions.shelf(opened)
        known = decisions.confirm(shelf, made, params.register_.model_dump())
        return known or _foretold(_judge(params, made, opened)(shelf.champion))


def _judge(params: Params, made: State, opened: Store | None) -> Judge:
    """The gate, bound to this state, its rules and the seed of *evaluate*."""
    rules, resamples, seed = params.register_, params.evaluate.resamples, params.evaluate.seed
    return lambda champion: _decision(made, champion, opened, rules=rules, resamples=resamples, seed=seed)


def _decision(made: State, champion: Version | None, opened: Store | None, **rules: Any) -> Mapping[str, Any]:
    """The gate's decision, the champion run on the same test paintings if it knows the same shapes."""
    from strokewise import network  # torch and scipy, for the one time that a model is judged
    from strokewise.judge import gate

    labels, cnn, baseline = (np.asarray(answers) for answers in state.answers(made))
    if champion is None or opened is None:
        return asdict(gate.decide(labels, cnn, baseline, made.cnn.shapes, **rules))
    try:
        rival = network.load(versions.fetch(opened, store.NAME, champion.number))
    except ModelError as error:  # of a version of strokewise that built networks otherwise
        decision = gate.decide(labels, cnn, baseline, made.cnn.shapes, **rules)
        if decision.outcome == "champion":
            why = f"It cannot be compared with the champion, version {champion.number}: {error}."
            decision = replace(decision, outcome="challenger", reasons=(decision.reasons[0], why))
        return asdict(decision)
    said = None
    if rival.shapes == made.cnn.shapes:
        paintings = dataset.load("test", rival.grid, made.paintings)
        said = network.probabilities(rival, paintings.pictures).argmax(axis=1)
    same = champion.fingerprint == made.cnn.fingerprint
    return asdict(
        gate.decide(
            *(labels, cnn, baseline, made.cnn.shapes),
            **rules,
            champion_said=said,
            champion_shapes=rival.shapes,
            is_champion=same,
        )
    )


def _foretold(decision: Mapping[str, Any]) -> Outcome:
    becomes = {"champion": "a new version, champion", "challenger": "a new version, challenger", "refused": None}
    outcome = decision["outcome"]
    return Outcome(becomes[outcome], outcome == "champion", tuple(decision["reasons"]), True)


def summary(made: State, outcome: Outcome, dry_run: bool = False) -> str:
    """How the pipeline ends: the comparison, the decision with its reasons, where to look and what to type next."""
    paired = made.metrics["paired"]
    significant = (
        "significant" if paired["p"] < 0.05 and not paired["low"] <= 0 <= paired["high"] else "not significant"
    )
    lines = [
        ("CNN", _accuracy(made.cnn.measured)),
        ("Baseline", f"{_accuracy(made.baseline.measured)}   {made.baseline.measured.get('choice', '')}".rstrip()),
        (
            "Difference",
            f"{100 * paired['difference']:5.1f} points ({100 * paired['low']:.1f} to {100 * paired['high']:.1f})"
            f"   p {_p(paired['p'])}: {significant}, on {made.metrics['paintings']:,} paintings",
        ),
        *_decided(outcome, dry_run),
        ("Pictures", "  ".join(PICTURES)),
        *zip(("Next", "", ""), (f"{words:<32}{why}" for words, why in NEXT.items()), strict=True),
    ]
    return "\n".join(f"{name:<11}{text}".rstrip() for name, text in lines)


def _decided(outcome: Outcome, dry_run: bool) -> list[tuple[str, str]]:
    if not outcome.reasons and outcome.standing is None:
        return [("Registered", "not now (see the warning)")]
    if dry_run and outcome.fresh:
        told = f"would become {outcome.standing}" if outcome.standing else "would be refused"
    elif outcome.standing is None:
        told = "refused" if outcome.fresh else "refused before, and for the same reason now"
    else:
        told = outcome.standing if outcome.fresh else f"already registered: {outcome.standing}"
    reasons = " ".join(outcome.reasons if outcome.fresh else ("Decided then:", *outcome.reasons))
    lines = textwrap.wrap(reasons.replace(" %", "\N{NO-BREAK SPACE}%"), WIDTH)
    return [("Registered", told), *(("", line.replace("\N{NO-BREAK SPACE}", " ")) for line in lines)]


def _accuracy(measured: Mapping[str, Any]) -> str:
    return f"{100 * measured['accuracy']:5.1f} % right ({100 * measured['low']:.1f} to {100 * measured['high']:.1f})"


def _p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"
