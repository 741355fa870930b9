"""The gate's decision about a fingerprint: made once and applied once, even if a process is killed in between.

Crash-safe by write order: the version is created with the decision in its tags; aliases and history follow from these
tags, and the tag `applied` is written last. The next process applies what is pending. If two machines move the
champion at the same time, the second model becomes challenger, as it was never compared with the first.
"""

import contextlib
import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from strokewise.code_digest import json_digest
from strokewise.errors import RegistryError
from strokewise.params import RegisterParams
from strokewise.registry import store, versions
from strokewise.registry.artifacts import PipelineState
from strokewise.registry.model_card import version_card
from strokewise.registry.runs import LoggedModelRef
from strokewise.registry.store import Store, StoreUnavailable, model_name
from strokewise.registry.versions import ModelVersionRecord, RegistryEvent, RegistrySnapshot

GateFunction = Callable[[ModelVersionRecord | None], Mapping[str, Any]]
"""The present champion → the decision: outcome (champion, challenger, refused), reasons, numbers."""


class DecisionPostponed(Exception):
    """The gate cannot decide yet. The message says what is missing, as a sentence."""


@dataclass(frozen=True)
class RegistrationOutcome:
    """The result of registering a model."""

    status: str | None  # "version 3, champion"; None without a version
    champion: bool
    reasons: tuple[str, ...]
    new: bool  # whether this call made the decision
    warning: str | None = None
    postponed: bool = False  # nothing was decided: something is missing, as the reasons say


def find_decision(
    snapshot: RegistrySnapshot, state: PipelineState, rules: RegisterParams
) -> RegistrationOutcome | None:
    """The earlier decision about this fingerprint; None if there is none, or a refusal under other conditions."""
    fingerprint = state.cnn.fingerprint
    version = snapshot.find_fingerprint(fingerprint)
    if version is not None:
        return RegistrationOutcome(
            status=snapshot.status(version),
            champion=snapshot.champion is not None and snapshot.champion.number == version.number,
            reasons=tuple((version.decision or {}).get("reasons", ())),
            new=False,
            warning=_other_weights_warning(version, state),
        )
    for event in reversed(snapshot.events):
        if event.fingerprint != fingerprint or event.action in ("rollback", "promote"):
            continue
        if event.action != "refused":
            reason = f"It was version {event.version}, which somebody deleted."
        elif event.decision_key == decision_key(state, rules):
            reason = event.reason
        else:  # a refused model has no version that a person could have moved: it may be judged again
            continue
        return RegistrationOutcome(status=None, champion=False, reasons=(reason,), new=False)
    return None


def decide_and_apply(
    connection: Store, state: PipelineState, rules: RegisterParams, logged: LoggedModelRef, gate: GateFunction
) -> RegistrationOutcome:
    """Let the gate judge the CNN and apply its decision. The caller holds `store.store_lock()`.

    If the gate raises DecisionPostponed, nothing is written.
    """
    champion = versions.read_snapshot(connection).champion
    try:
        judged = gate(champion)
    except DecisionPostponed as reason:
        return postponed_outcome(reason)
    decision = {**judged, "against": champion.number if champion else None, "at": versions.utc_now()}
    _ensure_registered_model(connection)
    _log_decision(connection, logged, decision)
    if decision["outcome"] == "refused":
        event = RegistryEvent(
            at=decision["at"],
            action="refused",
            version=None,
            previous=decision["against"],
            fingerprint=state.cnn.fingerprint,
            reason=" ".join(decision["reasons"]),
            decision_key=decision_key(state, rules),
        )
        versions.record_event(connection, event)
        return RegistrationOutcome(status=None, champion=False, reasons=tuple(decision["reasons"]), new=True)
    _create_version(connection, state, logged, decision)
    outcome = find_decision(apply_pending(connection), state, rules)
    assert outcome is not None
    return replace(outcome, new=True)


def postponed_outcome(reason: DecisionPostponed) -> RegistrationOutcome:
    """The outcome of a registration that the gate could not decide."""
    return RegistrationOutcome(status=None, champion=False, reasons=(str(reason),), new=True, postponed=True)


def decision_key(state: PipelineState, rules: RegisterParams) -> str:
    """Digest of what a refusal depends on: the evaluation and the rules."""
    return json_digest([state.evaluation, rules.model_dump(exclude_defaults=True)])[:16]


def apply_pending(connection: Store) -> RegistrySnapshot:
    """Apply every decision whose version lacks the tag `applied`."""
    snapshot = versions.read_snapshot(connection)
    for version in snapshot.versions:
        if not version.applied:
            _apply_decision(connection, snapshot, version)
            snapshot = versions.read_snapshot(connection)
    return snapshot


def _apply_decision(connection: Store, snapshot: RegistrySnapshot, version: ModelVersionRecord) -> None:
    decision = version.decision
    assert decision is not None
    first = snapshot.find_fingerprint(version.fingerprint)
    if first is not None and first.number != version.number:  # two machines registered it at the same time
        connection.client.delete_model_version(model_name(), str(version.number))
        return
    action, against, champion = decision["outcome"], decision["against"], snapshot.aliases.get("champion")
    reason = " ".join(decision["reasons"])
    if action == "champion" and champion not in (against, version.number):
        action, reason = "overtaken", f"Version {champion} became champion at the same time. {reason}"
    if action == "champion":
        if against is not None:
            _set_alias(connection, "previous", against)
        _set_alias(connection, "champion", version.number)
    else:
        _set_alias(connection, "challenger", version.number)
    event = RegistryEvent(
        at=decision["at"],
        action=action,
        version=version.number,
        previous=against,
        fingerprint=version.fingerprint,
        reason=reason,
    )
    versions.record_event(connection, event)
    connection.client.set_model_version_tag(model_name(), str(version.number), "applied", action)


def _create_version(
    connection: Store, state: PipelineState, logged: LoggedModelRef, decision: Mapping[str, Any]
) -> None:
    reasons = " ".join(decision["reasons"])
    tags = {
        "fingerprint": state.cnn.fingerprint,
        "weights": state.cnn.weights_digest,
        "evaluation": state.evaluation,
        "outcome": decision["outcome"],
        "reasons": reasons,
        "decision": json.dumps(decision, sort_keys=True, ensure_ascii=False),
        "accuracy": str(state.cnn.metrics.get("accuracy")),
        "baseline accuracy": str(state.baseline.metrics.get("accuracy")),
        "difference": str(state.metrics.get("paired", {}).get("difference")),
    }
    if state.commit:
        tags["commit"] = state.commit + (" and changes" if state.dirty else "")
    with connection.as_process_default():
        connection.client.create_model_version(
            model_name(),
            f"models:/{logged.model}",
            logged.run,
            tags,
            description=version_card(state, decision["reasons"], f"models:/{model_name()}@{decision['outcome']}"),
            model_id=logged.model,
        )


def _ensure_registered_model(connection: Store) -> None:
    """Create the registered model, which also holds the history of refused models."""
    from mlflow.exceptions import MlflowException

    if versions.get_registered_model(connection) is None:
        with contextlib.suppress(MlflowException):  # another process may have created it; if not, the next call fails
            connection.client.create_registered_model(
                model_name(), description="Hand-drawn shapes. `champion` answers; the tags hold the history."
            )


def _log_decision(connection: Store, logged: LoggedModelRef, decision: Mapping[str, Any]) -> None:
    """Log the decision with all its numbers as an artifact of the run and of the model."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "decision.json"
        path.write_text(json.dumps(decision, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
        connection.client.log_artifact(logged.run, str(path), "report")
        connection.client.log_model_artifact(logged.model, str(path))
    connection.client.set_tag(logged.run, "outcome", decision["outcome"])
    connection.client.set_tag(logged.run, "reasons", " ".join(decision["reasons"]))


def _set_alias(connection: Store, alias: str, number: int) -> None:
    connection.client.set_registered_model_alias(model_name(), alias, str(number))


def _other_weights_warning(version: ModelVersionRecord, state: PipelineState) -> str | None:
    if version.weights_digest == state.cnn.weights_digest:
        return None
    return (
        f"version {version.number} has this fingerprint but other weights ({version.weights_digest[:8]}, here "
        f"{state.cnn.weights_digest[:8]}): it was trained on another machine, which rounds otherwise"
    )


# --- decisions of a person


def rollback_champion(number: int | None, reason: str) -> RegistryEvent:
    """Make an earlier champion champion again: the version `number`, or the previous one if it is None.

    Raises RegistryError if there is no such champion or no reason is given.
    """
    return _move_champion("rollback", number, reason)


def promote_version(number: int, reason: str) -> RegistryEvent:
    """Make any version champion. Raises RegistryError if there is no such version or no reason is given."""
    return _move_champion("promote", number, reason)


def _move_champion(action: str, number: int | None, reason: str) -> RegistryEvent:
    if not reason.strip():
        raise RegistryError(f"a {action} needs a reason that can be read later; give one with --reason")
    if not store.store_exists():
        raise RegistryError("nothing is registered here yet; run `dvc repro` first")
    try:
        with store.connect(create=False) as connection, store.store_lock():
            snapshot = apply_pending(connection)
            version = _find_target(snapshot, action, number)
            previous = snapshot.aliases.get("champion")
            event = RegistryEvent(
                at=versions.utc_now(),
                action=action,
                version=version.number,
                previous=previous,
                fingerprint=version.fingerprint,
                reason=reason.strip(),
            )
            if previous is not None:
                _set_alias(connection, "previous", previous)
            _set_alias(connection, "champion", version.number)
            if snapshot.aliases.get("challenger") == version.number:
                connection.client.delete_registered_model_alias(model_name(), "challenger")
            versions.record_event(connection, event)
            return event
    except StoreUnavailable as error:
        raise RegistryError(f"nothing was moved: {error}") from None


def _find_target(snapshot: RegistrySnapshot, action: str, number: int | None) -> ModelVersionRecord:
    """The version to become champion. Raises RegistryError if there is none, or it may not."""
    numbers = ", ".join(str(version.number) for version in snapshot.versions) or "none"
    if number is None:
        number = snapshot.aliases.get("previous")
        if number is None:
            raise RegistryError(f"there is no previous champion to go back to; versions: {numbers}")
    version = snapshot.version(number)
    if version is None:
        raise RegistryError(f"there is no version {number}; versions: {numbers}")
    if version.number == snapshot.aliases.get("champion"):
        raise RegistryError(f"version {number} is the champion already; versions: {numbers}")
    champions = {event.version for event in snapshot.events if event.action in ("champion", "rollback", "promote")}
    if action == "rollback" and number not in champions:
        raise RegistryError(
            f"version {number} never was champion; `strokewise promote {number} --reason …` makes it so"
        )
    return version
