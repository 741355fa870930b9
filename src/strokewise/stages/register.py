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

from strokewise.data.dataset import load_paintings, load_scenes, split_digest
from strokewise.errors import ModelError
from strokewise.params import Params
from strokewise.registry import artifacts, cache, promotion, runs, store, versions
from strokewise.registry.artifacts import PipelineState
from strokewise.registry.promotion import GateFunction, RegistrationOutcome
from strokewise.registry.store import Store, StoreUnavailable
from strokewise.registry.versions import ModelVersionRecord
from strokewise.support.paths import PAINTINGS_DIR

SHOWN_PICTURES = ("data/report/index.html", "data/report/mistakes.png", "data/paintings/contact-sheet.png")
TEXT_WIDTH = 100  # characters a line of reasons
NEXT_COMMANDS = {
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
    made = _read_pipeline_state(params, Path())
    try:
        outcome = _preview_outcome(params, made) if dry_run else _register_state(params, made)
    except StoreUnavailable as error:
        warning = f"not registered, nothing is lost: {error}; `strokewise register` does it later"
        outcome = RegistrationOutcome(None, False, (), False, warning)
    return Registered(outcome.champion, format_summary(made, outcome, dry_run), outcome.warning)


def restore(params: Params, root: Path, commit: str, experiment: str | None) -> RegistrationOutcome:
    """Bring an earlier state, put into the folder `root`, into this project's MLflow as if it were the present one.

    Raises as `register` does, and Unavailable where the store cannot be had.
    """
    return _register_state(params, _read_pipeline_state(params, root, commit, experiment))


def _read_pipeline_state(
    params: Params, root: Path, commit: str | None = None, experiment: str | None = None
) -> PipelineState:
    settings = {
        "generate": params.generate.model_dump(),
        "network": params.network.model_dump(),
        "train": params.train.model_dump(),
        "baseline": params.baseline.model_dump(),
        "evaluate": params.evaluate.model_dump(),
    }
    return artifacts.read_state(settings, split_digest("test", root / PAINTINGS_DIR), root, commit, experiment)


def _register_state(params: Params, made: PipelineState) -> RegistrationOutcome:
    """Both runs into the store, and the decision: the one made before, or a new one."""
    rules = params.register_.model_dump()
    asked = "register " + artifacts.state_key(made, rules)
    if (known := cache.get_answer(asked)) is not None:
        return RegistrationOutcome(**known)
    with store.connect() as opened, store.store_lock():
        logged = runs.log_runs(opened, made, load_scenes("test", [0], made.paintings)[0])
        outcome = promotion.find_decision(promotion.apply_pending(opened), made, rules)
        if outcome is None:
            outcome = promotion.decide_and_apply(opened, made, rules, logged["cnn"], _bind_gate(params, made, opened))
        answer = asdict(replace(outcome, fresh=False))
        cache.put_answer(asked, answer, runs.logged_paths(opened, logged), opened.address.state())
        return outcome


def _preview_outcome(params: Params, made: PipelineState) -> RegistrationOutcome:
    """What `_register_state` would do; nothing is written."""
    if not store.store_exists():
        return _previewed_outcome(_bind_gate(params, made, None)(None))
    with store.connect(create=False) as opened:
        shelf = versions.read_snapshot(opened)
        known = promotion.find_decision(shelf, made, params.register_.model_dump())
        return known or _previewed_outcome(_bind_gate(params, made, opened)(shelf.champion))


def _bind_gate(params: Params, made: PipelineState, opened: Store | None) -> GateFunction:
    """The gate, bound to this state, its rules and the seed of *evaluate*."""
    rules, resamples, seed = params.register_, params.evaluate.bootstrap_samples, params.evaluate.seed
    return lambda champion: _gate_decision(made, champion, opened, rules=rules, resamples=resamples, seed=seed)


def _gate_decision(
    made: PipelineState, champion: ModelVersionRecord | None, opened: Store | None, **rules: Any
) -> Mapping[str, Any]:
    """The gate's decision, the champion run on the same test paintings if it knows the same shapes."""
    from strokewise.evaluation import gate
    from strokewise.model.inference import predict_proba
    from strokewise.model.model_files import load_model

    labels, cnn, baseline = (np.asarray(answers) for answers in artifacts.test_predictions(made))
    if champion is None or opened is None:
        return asdict(gate.decide(labels, cnn, baseline, made.cnn.shapes, **rules))
    try:
        rival = load_model(versions.fetch_version(opened, store.REGISTRY_NAME, champion.number))
    except ModelError as error:  # of a version of strokewise that built networks otherwise
        decision = gate.decide(labels, cnn, baseline, made.cnn.shapes, **rules)
        if decision.outcome == "champion":
            why = f"It cannot be compared with the champion, version {champion.number}: {error}."
            decision = replace(decision, outcome="challenger", reasons=(decision.reasons[0], why))
        return asdict(decision)
    said = None
    if rival.shapes == made.cnn.shapes:
        paintings = load_paintings("test", rival.image_size, made.paintings)
        said = predict_proba(rival, paintings.pictures).argmax(axis=1)
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


def _previewed_outcome(decision: Mapping[str, Any]) -> RegistrationOutcome:
    becomes = {"champion": "a new version, champion", "challenger": "a new version, challenger", "refused": None}
    outcome = decision["outcome"]
    return RegistrationOutcome(becomes[outcome], outcome == "champion", tuple(decision["reasons"]), True)


def format_summary(made: PipelineState, outcome: RegistrationOutcome, dry_run: bool = False) -> str:
    """How the pipeline ends: the comparison, the decision with its reasons, where to look and what to type next."""
    paired = made.metrics["paired"]
    significant = (
        "significant" if paired["p"] < 0.05 and not paired["low"] <= 0 <= paired["high"] else "not significant"
    )
    lines = [
        ("CNN", _format_accuracy(made.cnn.measured)),
        (
            "Baseline",
            f"{_format_accuracy(made.baseline.measured)}   {made.baseline.measured.get('choice', '')}".rstrip(),
        ),
        (
            "Difference",
            f"{100 * paired['difference']:5.1f} points ({100 * paired['low']:.1f} to {100 * paired['high']:.1f})"
            f"   p {_format_p_value(paired['p'])}: {significant}, on {made.metrics['paintings']:,} paintings",
        ),
        *_format_outcome_lines(outcome, dry_run),
        ("Pictures", "  ".join(SHOWN_PICTURES)),
        *zip(("Next", "", ""), (f"{words:<32}{why}" for words, why in NEXT_COMMANDS.items()), strict=True),
    ]
    return "\n".join(f"{name:<11}{text}".rstrip() for name, text in lines)


def _format_outcome_lines(outcome: RegistrationOutcome, dry_run: bool) -> list[tuple[str, str]]:
    if not outcome.reasons and outcome.standing is None:
        return [("Registered", "not now (see the warning)")]
    if dry_run and outcome.fresh:
        told = f"would become {outcome.standing}" if outcome.standing else "would be refused"
    elif outcome.standing is None:
        told = "refused" if outcome.fresh else "refused before, and for the same reason now"
    else:
        told = outcome.standing if outcome.fresh else f"already registered: {outcome.standing}"
    reasons = " ".join(outcome.reasons if outcome.fresh else ("Decided then:", *outcome.reasons))
    lines = textwrap.wrap(reasons.replace(" %", "\N{NO-BREAK SPACE}%"), TEXT_WIDTH)
    return [("Registered", told), *(("", line.replace("\N{NO-BREAK SPACE}", " ")) for line in lines)]


def _format_accuracy(measured: Mapping[str, Any]) -> str:
    return f"{100 * measured['accuracy']:5.1f} % right ({100 * measured['low']:.1f} to {100 * measured['high']:.1f})"


def _format_p_value(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"
