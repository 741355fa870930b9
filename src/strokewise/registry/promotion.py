"""The gate's decision about a fingerprint, made once and carried out once, whatever is killed in between.

The order is the safety: the version is made with the decision in its tags, then aliases and history follow from
these tags, the tag `settled` last. Whoever comes next finishes what broke off. Of two machines that moved the
champion at the same time, the second becomes challenger: it was never compared with the first.
"""

import contextlib
import hashlib
import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from strokewise.errors import RegistryError
from strokewise.registry import store, versions
from strokewise.registry.artifacts import PipelineState
from strokewise.registry.runs import LoggedModelRef
from strokewise.registry.store import REGISTRY_NAME, Store, StoreUnavailable
from strokewise.registry.versions import ModelVersionRecord, RegistryEvent, RegistrySnapshot

GateFunction = Callable[[ModelVersionRecord | None], Mapping[str, Any]]
"""The present champion -> the decision: outcome (champion, challenger, refused), reasons, numbers."""


@dataclass(frozen=True)
class RegistrationOutcome:
    """What became of the model; `standing` is where it stands in the registry, None without a version."""

    standing: str | None
    champion: bool
    reasons: tuple[str, ...]
    fresh: bool  # decided by this call
    warning: str | None = None


def find_decision(shelf: RegistrySnapshot, made: PipelineState, rules: Mapping[str, Any]) -> RegistrationOutcome | None:
    """The decision that was made about this fingerprint before; None if there is none."""
    fingerprint = made.cnn.fingerprint
    version = shelf.of(fingerprint)
    if version is not None:
        reasons = tuple((version.decision or {}).get("reasons", ()))
        champion = shelf.champion is not None and shelf.champion.number == version.number
        return RegistrationOutcome(
            shelf.standing(version), champion, reasons, False, _other_weights_warning(version, made)
        )
    for event in reversed(shelf.events):
        if event.fingerprint != fingerprint or event.what in ("rollback", "promote"):
            continue
        if event.what == "refused":
            # Without a version there is nothing a person could have moved: another question gets another answer.
            if event.question == decision_key(made, rules):
                return RegistrationOutcome(None, False, (event.reason,), False)
            continue
        return RegistrationOutcome(None, False, (f"It was version {event.version}, which somebody deleted.",), False)
    return None


def decide_and_apply(
    opened: Store, made: PipelineState, rules: Mapping[str, Any], logged: LoggedModelRef, judge: GateFunction
) -> RegistrationOutcome:
    """Let the gate judge the CNN and carry out what it says. The caller holds the store's lock."""
    champion = versions.read_snapshot(opened).champion
    decision = {**judge(champion), "against": champion.number if champion else None, "at": versions.utc_now()}
    _ensure_registered_model(opened)
    _log_decision(opened, logged, decision)
    if decision["outcome"] == "refused":
        reason = " ".join(decision["reasons"])
        event = RegistryEvent(decision["at"], "refused", None, decision["against"], made.cnn.fingerprint, reason)
        versions.record_event(opened, replace(event, question=decision_key(made, rules)))
        return RegistrationOutcome(None, False, tuple(decision["reasons"]), True)
    _create_version(opened, made, logged, decision)
    confirmed = find_decision(apply_pending(opened), made, rules)
    assert confirmed is not None
    return replace(confirmed, fresh=True)


def decision_key(made: PipelineState, rules: Mapping[str, Any]) -> str:
    """What a refusal answers: the measurement and the rules."""
    return hashlib.sha256(json.dumps([made.evaluation, dict(rules)], sort_keys=True).encode()).hexdigest()[:16]


def apply_pending(opened: Store) -> RegistrySnapshot:
    """Carry out every decision that has a version but was not carried out to the end."""
    shelf = versions.read_snapshot(opened)
    for version in shelf.versions:
        if not version.settled:
            _apply_decision(opened, shelf, version)
            shelf = versions.read_snapshot(opened)
    return shelf


def _apply_decision(opened: Store, shelf: RegistrySnapshot, version: ModelVersionRecord) -> None:
    decision = version.decision
    assert decision is not None
    first = shelf.of(version.fingerprint)
    if first is not None and first.number != version.number:  # two machines at once: the second is not needed
        opened.client.delete_model_version(REGISTRY_NAME, str(version.number))
        return
    what, against, now = decision["outcome"], decision["against"], shelf.aliases.get("champion")
    reason = " ".join(decision["reasons"])
    if what == "champion" and now not in (against, version.number):
        what, reason = "overtaken", f"Version {now} became champion at the same time. {reason}"
    if what == "champion":
        if against is not None:
            _set_alias(opened, "previous", against)
        _set_alias(opened, "champion", version.number)
    else:
        _set_alias(opened, "challenger", version.number)
    versions.record_event(
        opened, RegistryEvent(decision["at"], what, version.number, against, version.fingerprint, reason)
    )
    opened.client.set_model_version_tag(REGISTRY_NAME, str(version.number), "settled", what)


def _create_version(opened: Store, made: PipelineState, logged: LoggedModelRef, decision: Mapping[str, Any]) -> None:
    cnn = made.cnn
    tags = {
        "fingerprint": cnn.fingerprint,
        "weights": cnn.weights,
        "evaluation": made.evaluation,
        "outcome": decision["outcome"],
        "reasons": " ".join(decision["reasons"]),
        "decision": json.dumps(decision, sort_keys=True, ensure_ascii=False),
        "accuracy": str(cnn.measured.get("accuracy")),
        "baseline accuracy": str(made.baseline.measured.get("accuracy")),
        "difference": str(made.metrics.get("paired", {}).get("difference")),
    }
    if made.commit:
        tags["commit"] = made.commit + (" and changes" if made.dirty else "")
    described = f"{made.metrics.get('sentence', '')}\n\n{' '.join(decision['reasons'])}".strip()
    with opened.everywhere():
        opened.client.create_model_version(
            REGISTRY_NAME, f"models:/{logged.model}", logged.run, tags, description=described, model_id=logged.model
        )


def _ensure_registered_model(opened: Store) -> None:
    """Make the registered model, which carries the history even of models that were all refused."""
    from mlflow.exceptions import MlflowException

    if versions.get_registered_model(opened) is None:
        with contextlib.suppress(MlflowException):  # somebody else was faster; if not, the next call fails
            opened.client.create_registered_model(
                REGISTRY_NAME, description="Hand-drawn shapes. `champion` answers; the tags hold the history."
            )


def _log_decision(opened: Store, logged: LoggedModelRef, decision: Mapping[str, Any]) -> None:
    """The decision with all its numbers as an artifact of the run and of the model."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "decision.json"
        path.write_text(json.dumps(decision, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
        opened.client.log_artifact(logged.run, str(path), "report")
        opened.client.log_model_artifact(logged.model, str(path))
    opened.client.set_tag(logged.run, "outcome", decision["outcome"])
    opened.client.set_tag(logged.run, "reasons", " ".join(decision["reasons"]))


def _set_alias(opened: Store, alias: str, number: int) -> None:
    opened.client.set_registered_model_alias(REGISTRY_NAME, alias, str(number))


def _other_weights_warning(version: ModelVersionRecord, made: PipelineState) -> str | None:
    if version.weights == made.cnn.weights:
        return None
    return (
        f"version {version.number} has this fingerprint but other weights ({version.weights[:8]}, here "
        f"{made.cnn.weights[:8]}): it was trained on another machine, which rounds otherwise"
    )


# --- what a person decides


def rollback_champion(number: int | None, reason: str) -> RegistryEvent:
    """Make the previous champion, or an earlier one named by its version, champion again; says so in the history.

    Raises RegistryError if there is no such champion.
    """
    return _move_champion("rollback", number, reason)


def promote_version(number: int, reason: str) -> RegistryEvent:
    """Make any version champion. Raises RegistryError if there is no such version or no reason is given."""
    return _move_champion("promote", number, reason)


def _move_champion(what: str, number: int | None, reason: str) -> RegistryEvent:
    if not reason.strip():
        raise RegistryError(f"a {what} needs a reason that can be read later; give one with --reason")
    if not store.store_exists():
        raise RegistryError("nothing is registered here yet; run `dvc repro` first")
    try:
        with store.connect(create=False) as opened, store.store_lock():
            shelf = apply_pending(opened)
            version = _find_target(shelf, what, number)
            before = shelf.aliases.get("champion")
            event = RegistryEvent(versions.utc_now(), what, version.number, before, version.fingerprint, reason.strip())
            if before is not None:
                _set_alias(opened, "previous", before)
            _set_alias(opened, "champion", version.number)
            if shelf.aliases.get("challenger") == version.number:
                opened.client.delete_registered_model_alias(REGISTRY_NAME, "challenger")
            versions.record_event(opened, event)
            return event
    except StoreUnavailable as error:
        raise RegistryError(f"nothing was moved: {error}") from None


def _find_target(shelf: RegistrySnapshot, what: str, number: int | None) -> ModelVersionRecord:
    known = ", ".join(str(version.number) for version in shelf.versions) or "none"
    if number is None:
        number = shelf.aliases.get("previous")
        if number is None:
            raise RegistryError(f"there is no previous champion to go back to; versions: {known}")
    version = shelf.numbered(number)
    if version is None:
        raise RegistryError(f"there is no version {number}; versions: {known}")
    if version.number == shelf.aliases.get("champion"):
        raise RegistryError(f"version {number} is the champion already; versions: {known}")
    reigned = {event.version for event in shelf.events if event.what in ("champion", "rollback", "promote")}
    if what == "rollback" and number not in reigned:
        raise RegistryError(
            f"version {number} never was champion; `strokewise promote {number} --reason …` makes it so"
        )
    return version
