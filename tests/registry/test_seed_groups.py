"""Groups of seeds in MLflow: a parent run a group, a child a seed, each logged once; and a model's seeds found."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from strokewise.registry import seed_groups, store
from strokewise.registry.seed_groups import SeedResult
from strokewise.registry.store import Store

SETTINGS = {"train.seed": 5, "train.epochs": 2}


def results(label: str, count: int, first: int = 0) -> list[SeedResult]:
    numbers = range(first, first + count)
    return [SeedResult(n - first, f"{label}{n}", f"paintings{n}", {"cnn.accuracy": 0.5 + n / 100}) for n in numbers]


def log(connection: Store, label: str, seeds: list[SeedResult]) -> None:
    summary = {"cnn.accuracy": {"mean": 0.5 + len(seeds) / 100, "low": None}}
    seed_groups.log_group(connection, label, label, SETTINGS, seeds, summary, f"{len(seeds)} seeds")


def logged_runs(connection: Store, role: str) -> list[Any]:
    experiment = connection.experiment(create=False)
    assert experiment is not None
    return list(connection.client.search_runs([experiment], f"tags.{seed_groups.ROLE_TAG} = '{role}'"))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(database, tmp_path / "mlflow.db")
    monkeypatch.chdir(tmp_path)


def test_seeds_are_logged_once_and_the_summary_grows_with_them() -> None:
    with store.connect() as connection:
        log(connection, "a", results("a", 2))
        log(connection, "a", results("a", 3))
        log(connection, "a", results("a", 3))
        (parent,) = logged_runs(connection, "group")
        children = logged_runs(connection, "seed")
        assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
        assert sorted(run.data.params["train.seed"] for run in children) == ["5", "6", "7"]
        assert {run.data.params["train.epochs"] for run in (*children, parent)} == {"2"}
        assert parent.data.tags["mlflow.note.content"] == "3 seeds"
        history = connection.client.get_metric_history(parent.info.run_id, "cnn/accuracy/mean")
        assert [(metric.step, metric.value) for metric in history] == [(2, 0.52), (3, 0.53)]


def test_child_that_a_killed_process_left_is_replaced() -> None:
    with store.connect() as connection:
        log(connection, "a", results("a", 2))
        left = logged_runs(connection, "seed")[0]
        connection.client.delete_tag(left.info.run_id, "complete")
        log(connection, "a", results("a", 2))
        children = logged_runs(connection, "seed")
        assert len(children) == 2
        assert left.info.run_id not in {run.info.run_id for run in children}


def test_seeds_of_a_model_are_those_of_all_groups_that_it_is_in() -> None:
    with store.connect() as connection:
        log(connection, "a", results("a", 2))
        log(connection, "shifted", results("a", 2, first=1))  # the same settings, from the next seed on
        log(connection, "b", results("b", 3))
        own, other = (seed_groups.find_seeds(connection, name) for name in ("a1", "b0"))
        assert {result.fingerprint for result in own} == {"a0", "a1", "a2"}
        assert seed_groups.find_seeds(connection, "unknown") == []
        pairs = seed_groups.pair_results(own, other)
        assert {(mine.fingerprint, theirs.fingerprint) for mine, theirs in pairs} == {
            ("a0", "b0"),
            ("a1", "b1"),
            ("a2", "b2"),
        }
