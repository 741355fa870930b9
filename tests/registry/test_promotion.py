"""Who becomes champion: the gate's decisions, those of a person, and decisions that were interrupted."""

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from registry_queries import event_actions, read_snapshot
from strokewise.errors import RegistryError
from strokewise.model.config_file import read_config
from strokewise.model.model_files import load_model, save_model
from strokewise.params import Params
from strokewise.registry import promotion, store, versions
from strokewise.registry.store import DEFAULT_NAME, StoreUnavailable
from strokewise.stages.register import register

GOOD: dict[str, Any] = {}
WEAK, REFUSED = {"weak": 0.2}, {"weak": 0.6}
Project = Callable[..., Path]


def test_better_model_replaces_equal_one_challenges_weak_one_is_refused(project: Project, params: Params) -> None:
    project(**WEAK)
    assert register(params).champion
    project(**GOOD)
    better = register(params)
    assert better.champion
    assert "It is better than the champion on the same paintings" in " ".join(better.summary.split())
    assert read_snapshot().aliases == {"champion": 2, "previous": 1}
    project(seed=1)
    equal = register(params)
    assert not equal.champion
    assert "version 3, challenger" in equal.summary
    assert "not shown to be better" in " ".join(equal.summary.split())
    project(**REFUSED)
    refused = register(params)
    assert "Registered refused" in refused.summary
    assert "must recognise 70% of each shape" in " ".join(refused.summary.split()).replace("70 %", "70%")
    assert "refused before" in register(params).summary
    snapshot = read_snapshot()
    assert len(snapshot.versions) == 3
    assert snapshot.aliases == {"champion": 2, "previous": 1, "challenger": 3}
    assert event_actions(snapshot) == [("champion", 1), ("champion", 2), ("challenger", 3), ("refused", None)]
    project(**WEAK)
    assert "already registered: version 1, previous" in register(params).summary


@pytest.mark.slow
def test_refused_model_is_judged_again_under_other_rules(project: Project, params: Params) -> None:
    project(**REFUSED)
    assert "refused" in register(params).summary
    loose = Params.load(Path("params.yaml"), ["register.min_recall=0.1"])
    assert "Registered version 1, champion" in register(loose).summary
    assert event_actions(read_snapshot()) == [("refused", None), ("champion", 1)]


@pytest.mark.slow
def test_model_with_other_shapes_is_not_compared_with_the_champion(project: Project, params: Params) -> None:
    project(**WEAK)
    register(params)
    project(shapes=("bar", "cross", "zigzag"))
    result = register(params)
    assert "version 2, challenger" in result.summary
    assert "knows other shapes (new: zigzag; gone: ring)" in " ".join(result.summary.split())


@pytest.mark.slow
def test_unreadable_champion_is_not_compared(project: Project, params: Params) -> None:
    root = project(**WEAK)
    register(params)
    champion = versions.champion_dir()
    assert champion is not None
    (champion / "model.onnx").write_bytes(b"of another version")
    shutil.rmtree(root / "data")
    project(**GOOD)
    result = register(params)
    assert "version 2, challenger" in result.summary
    assert "cannot be compared with the champion, version 1: " in " ".join(result.summary.split())


@pytest.mark.slow
def test_decisions_of_a_person_are_not_undone(project: Project, params: Params) -> None:
    project(**WEAK)
    register(params)
    project(**GOOD)
    register(params)
    rollback = promotion.rollback_champion(None, "it misread my circles")
    assert (rollback.version, rollback.previous) == (1, 2)
    assert read_snapshot().aliases == {"champion": 1, "previous": 2}
    again = register(params)
    assert not again.champion
    assert "already registered: version 2, previous" in again.summary
    assert read_snapshot().aliases == {"champion": 1, "previous": 2}
    promotion.promote_version(2, "it was the scanner")
    assert read_snapshot().aliases == {"champion": 2, "previous": 1}
    events = versions.read_events()
    assert event_actions(read_snapshot()) == [("champion", 1), ("champion", 2), ("rollback", 1), ("promote", 2)]
    assert [event.reason for event in events[2:]] == ["it misread my circles", "it was the scanner"]
    assert [event.at for event in events] == sorted(event.at for event in events)


@pytest.mark.slow
def test_promoted_challenger_loses_its_alias(champion_and_challenger: None) -> None:
    promotion.promote_version(2, "smaller")
    assert read_snapshot().aliases == {"champion": 2, "previous": 1}


@pytest.mark.slow
def test_version_deleted_by_a_person_stays_deleted(project: Project, params: Params) -> None:
    project()
    register(params)
    with store.connect() as connection:
        connection.client.delete_model_version(DEFAULT_NAME, "1")
    result = register(params)
    assert not result.champion
    assert "It was version 1, which somebody deleted." in result.summary
    assert read_snapshot().versions == ()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("move", "message"),
    [
        (lambda: promotion.rollback_champion(None, "x"), "there is no previous champion to go back to; versions: 1, 2"),
        (
            lambda: promotion.rollback_champion(2, "x"),
            "version 2 never was champion; `strokewise promote 2 --reason …`",
        ),
        (lambda: promotion.promote_version(7, "x"), "there is no version 7; versions: 1, 2"),
        (lambda: promotion.promote_version(1, "x"), "version 1 is the champion already"),
        (lambda: promotion.promote_version(2, "  "), "a promote needs a reason"),
    ],
)
def test_impossible_move_raises_registry_error(
    move: Callable[[], Any], message: str, champion_and_challenger: None
) -> None:
    with pytest.raises(RegistryError, match=message):
        move()


def test_rollback_without_a_store_raises_registry_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RegistryError, match="nothing is registered here yet"):
        promotion.rollback_champion(None, "x")


@contextlib.contextmanager
def failing(patch: pytest.MonkeyPatch, name: str) -> Iterator[None]:
    """The store is unavailable from the moment on that `promotion` calls its function `name`."""

    def fail(*_: Any) -> None:
        raise StoreUnavailable("gone")

    with patch.context() as inner:
        inner.setattr(promotion, name, fail)
        yield


@pytest.mark.slow
@pytest.mark.parametrize("name", ["_log_decision", "_create_version", "_apply_decision", "_set_alias"])
def test_interrupted_decision_is_completed(
    name: str, project: Project, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    project(**WEAK)
    register(params)
    project(**GOOD)
    with failing(monkeypatch, name):
        assert "gone" in str(register(params).warning)
    assert read_snapshot().aliases == {"champion": 1}
    project(seed=1)  # the next model completes the decision before, and is compared with its result
    assert "version 3, challenger" in register(params).summary or name in ("_log_decision", "_create_version")
    project(**GOOD)
    register(params)
    assert len(read_snapshot().versions) == 3
    assert read_snapshot().aliases["previous"] == 1
    assert len(event_actions(read_snapshot())) == 3


@pytest.mark.slow
def test_model_overtaken_by_another_machine_becomes_challenger(
    project: Project, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    project(**WEAK)
    register(params)
    project(**GOOD)
    with failing(monkeypatch, "_apply_decision"):
        register(params)
    with store.connect() as connection:  # meanwhile on another machine
        connection.client.create_model_version(
            DEFAULT_NAME, str(versions.champion_dir()), tags={"fingerprint": "elsewhere"}
        )
        connection.client.set_registered_model_alias(DEFAULT_NAME, "champion", "3")
    result = register(params)
    assert not result.champion
    assert read_snapshot().aliases == {"champion": 3, "challenger": 2}
    assert event_actions(read_snapshot()) == [("champion", 1), ("overtaken", 2)]


@pytest.mark.slow
def test_other_weights_of_the_same_fingerprint_warn(project: Project, params: Params) -> None:
    root = project()
    register(params)
    other = load_model(project(seed=1) / "data/model")
    root = project()
    config = read_config(root / "data/model")
    save_model(other, root / "data/model", {name: value for name, value in config.items() if name != "digest"})
    result = register(params)
    assert result.warning is not None
    assert "version 1 has this fingerprint but other weights" in result.warning
    assert len(read_snapshot().versions) == 1
