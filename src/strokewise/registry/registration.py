"""Register a state of the pipeline in MLflow: both runs are logged, and the gate's decision about the CNN is applied.

MLflow is a projection of the pipeline: registering again confirms what is there, restores what is missing and changes
nothing that a person moved.
"""

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from strokewise.data.dataset import load_paintings, load_scenes
from strokewise.errors import ModelError
from strokewise.params import RegisterParams
from strokewise.registry import artifacts, cache, promotion, runs, seed_groups, store, versions
from strokewise.registry.artifacts import PipelineState
from strokewise.registry.promotion import DecisionPostponed, GateFunction, RegistrationOutcome
from strokewise.registry.store import Store
from strokewise.registry.versions import ModelVersionRecord

if TYPE_CHECKING:
    from strokewise.evaluation.gate import GateDecision
    from strokewise.evaluation.metrics import FloatArray

SEED_METRIC = "cnn.accuracy"  # by which settings are compared over seeds
PREVIEW_STATUS = {"champion": "a new version, champion", "challenger": "a new version, challenger", "refused": None}


def register_state(
    state: PipelineState, rules: RegisterParams, *, bootstrap_samples: int, seed: int
) -> RegistrationOutcome:
    """Log both runs, then apply the earlier decision about this state or make a new one.

    Args:
        state: what to register.
        rules: the gate's.
        bootstrap_samples, seed: of the paired comparison with the champion.

    Raises StoreUnavailable if the store cannot be used, ModelError or DatasetError if results cannot be read.
    """
    question = "registration " + artifacts.state_key(state, rules)
    if (cached := cache.get_answer(question)) is not None:
        return RegistrationOutcome(**cached)
    artifacts.test_predictions(state)  # raises, if it does, before anything is logged
    with store.connect() as connection, store.store_lock():
        logged = runs.log_runs(connection, state, load_scenes("test", [0], state.paintings)[0])
        outcome = promotion.find_decision(promotion.apply_pending(connection), state, rules)
        if outcome is None:
            gate = _bind_gate(state, rules, bootstrap_samples, seed, connection)
            outcome = promotion.decide_and_apply(connection, state, rules, logged["cnn"], gate)
        if outcome.postponed:
            return outcome
        answer = asdict(replace(outcome, new=False))
        cache.put_answer(question, answer, runs.logged_paths(connection, logged), connection.address.change_stamp())
        return outcome


def preview_registration(
    state: PipelineState, rules: RegisterParams, *, bootstrap_samples: int, seed: int
) -> RegistrationOutcome:
    """What `register_state` would return, with the same arguments; nothing is written."""
    if not store.store_exists():
        return _preview_outcome(_bind_gate(state, rules, bootstrap_samples, seed, None)(None))
    with store.connect(create=False) as connection:
        snapshot = versions.read_snapshot(connection)
        decided = promotion.find_decision(snapshot, state, rules)
        gate = _bind_gate(state, rules, bootstrap_samples, seed, connection)
        try:
            return decided or _preview_outcome(gate(snapshot.champion))
        except DecisionPostponed as reason:
            return promotion.postponed_outcome(reason)


def _preview_outcome(decision: Mapping[str, Any]) -> RegistrationOutcome:
    return RegistrationOutcome(
        status=PREVIEW_STATUS[decision["outcome"]],
        champion=decision["outcome"] == "champion",
        reasons=tuple(decision["reasons"]),
        new=True,
    )


def _bind_gate(
    state: PipelineState, rules: RegisterParams, bootstrap_samples: int, seed: int, connection: Store | None
) -> GateFunction:
    """The gate as a function of the present champion, which is read through `connection`."""
    settings = {"rules": rules, "bootstrap_samples": bootstrap_samples, "seed": seed}
    return lambda champion: _gate_decision(state, champion, connection, settings)


def _gate_decision(
    state: PipelineState, champion: ModelVersionRecord | None, connection: Store | None, settings: Mapping[str, Any]
) -> Mapping[str, Any]:
    """The gate's decision; a champion that knows the same shapes predicts the same test paintings."""
    from strokewise.evaluation import gate
    from strokewise.model.onnx_file import load_onnx

    labels, cnn, baseline = (np.asarray(values) for values in artifacts.test_predictions(state))
    shapes = state.cnn.shapes
    if champion is None or connection is None:
        return asdict(gate.decide(labels, cnn, baseline, shapes, **settings))
    try:
        model = load_onnx(versions.fetch_version(connection, store.model_name(), champion.number))
    except ModelError as error:  # of a version of strokewise with another architecture
        decision = gate.decide(labels, cnn, baseline, shapes, **settings)
        if decision.outcome == "champion":
            reason = f"It cannot be compared with the champion, version {champion.number}: {error}."
            decision = replace(decision, outcome="challenger", reasons=(decision.reasons[0], reason))
        return asdict(decision)
    champion_predicted = None
    if model.shapes == shapes:
        pictures = load_paintings("test", model.image_size, state.paintings).pictures
        champion_predicted = model.predict_proba(pictures).argmax(axis=1)
    is_champion = champion.fingerprint == state.cnn.fingerprint

    def decide(over_seeds: "tuple[FloatArray, FloatArray] | None") -> "GateDecision":
        return gate.decide(
            labels,
            cnn,
            baseline,
            shapes,
            champion_predicted=champion_predicted,
            champion_shapes=model.shapes,
            is_champion=is_champion,
            over_seeds=over_seeds,
            **settings,
        )

    decision = decide(None)
    wanted = settings["rules"].seeds
    if wanted > 1 and "champion" in decision.numbers:  # it passed, and the champion is to be beaten
        decision = decide(_accuracies_over_seeds(state, champion, connection, wanted))
    return asdict(decision)


def _accuracies_over_seeds(
    state: PipelineState, champion: ModelVersionRecord, connection: Store, wanted: int
) -> "tuple[FloatArray, FloatArray]":
    """The accuracies of both settings, (S,) each, of at least `wanted` seeds that have the same test paintings.

    Raises DecisionPostponed if they are too few.
    """
    own = seed_groups.find_seeds(connection, state.cnn.fingerprint)
    theirs = seed_groups.find_seeds(connection, champion.fingerprint)
    pairs = seed_groups.pair_results(own, theirs)
    if len(pairs) < wanted:
        raise DecisionPostponed(
            f"register.seeds is {wanted}: it must beat the champion, version {champion.number}, over as many seeds. Of"
            f" it {len(own)} were run, of the champion {len(theirs)}, {len(pairs)} on the same test paintings: run"
            f" `strokewise repeat {wanted}` here and with the champion's parameters, then `strokewise register`."
        )
    ours, champions = np.array([[result.metrics[SEED_METRIC] for result in pair] for pair in pairs]).T
    return ours, champions
