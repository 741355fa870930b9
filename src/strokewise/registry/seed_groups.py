"""Results over several seeds in MLflow: one parent run a group of the same settings, one child run a seed.

A child is identified by the group and the seed's position and logged once; the parent's summary is renewed with each
seed. A model's runs (`runs.py`) are others: these carry no tag `model`.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from strokewise.registry import runs
from strokewise.registry.store import Store

if TYPE_CHECKING:
    from mlflow.entities import Run

GROUP_TAG, INDEX_TAG, TEST_TAG = "repeat_group", "repeat_seed", "repeat_test"
ROLE_TAG = "repeat_role"  # group: the parent; seed: a child
SUMMARY_TAG = "repeat_summary"  # on the parent: the number of seeds


@dataclass(frozen=True)
class SeedResult:
    """What one seed came to."""

    index: int  # what was added to the seeds of params.yaml
    fingerprint: str  # of its CNN
    test: str  # digest of its test paintings
    metrics: Mapping[str, float]  # of metrics.json, by full name


def log_group(
    connection: Store,
    group: str,
    label: str,
    settings: Mapping[str, Any],
    results: Sequence[SeedResult],
    summary: Mapping[str, Mapping[str, float | None]],
    note: str,
) -> None:
    """Log the seeds that MLflow lacks, then the summary on the parent.

    Args:
        connection: to the store.
        group: the digest of what all seeds share.
        label: its name for people.
        settings: the parameters by full name, as for the first seed.
        results: all that there are.
        summary: of each metric the mean, deviation, low and high.
        note: the summary as Markdown.
    """
    experiment = connection.experiment()
    assert experiment is not None
    parent = connection.client.get_run(_parent_run(connection, experiment, group, label, settings))
    logged = {run.data.tags[INDEX_TAG] for run in _children(connection, experiment, group)}
    for result in results:
        if str(result.index) not in logged:
            _log_seed(connection, parent, label, settings, result)
    if parent.data.tags.get(SUMMARY_TAG) == str(len(results)):
        return
    numbers = {
        f"{name.replace('.', '/')}/{part}": value
        for name, parts in summary.items()
        for part, value in parts.items()
        if value is not None
    }
    run = parent.info.run_id
    connection.client.log_batch(run, metrics=_metrics(numbers, step=len(results)))
    connection.client.set_tag(run, "mlflow.note.content", note)
    connection.client.set_terminated(run)
    connection.client.set_tag(run, SUMMARY_TAG, str(len(results)))


def _parent_run(connection: Store, experiment: str, group: str, label: str, settings: Mapping[str, Any]) -> str:
    tags = {GROUP_TAG: group, ROLE_TAG: "group"}
    found = runs.find_runs(connection, experiment, tags)
    if found:
        run = str(found[0].info.run_id)
    else:
        name = {"mlflow.runName": f"repeat {label}", "mlflow.source.type": "PROJECT", "mlflow.source.name": "dvc.yaml"}
        run = str(connection.client.create_run(experiment, tags={**tags, **name}).info.run_id)
    connection.client.log_batch(run, params=_params(settings))  # again, too: a process may have been killed before it
    return run


def _children(connection: Store, experiment: str, group: str) -> "list[Run]":
    return runs.find_runs(connection, experiment, {GROUP_TAG: group, ROLE_TAG: "seed", "complete": "yes"})


def _log_seed(connection: Store, parent: "Run", label: str, settings: Mapping[str, Any], result: SeedResult) -> None:
    experiment, group = parent.info.experiment_id, parent.data.tags[GROUP_TAG]
    tags = {
        "mlflow.parentRunId": parent.info.run_id,
        "mlflow.runName": f"repeat {label}, seed + {result.index}",
        GROUP_TAG: group,
        ROLE_TAG: "seed",
        INDEX_TAG: str(result.index),
        TEST_TAG: result.test,
        "fingerprint": result.fingerprint,
    }
    same = {GROUP_TAG: group, ROLE_TAG: "seed", INDEX_TAG: str(result.index)}
    for leftover in runs.find_runs(connection, experiment, same):
        connection.client.delete_run(leftover.info.run_id)  # of a killed process
    run = connection.client.create_run(experiment, tags=tags).info.run_id
    numbers = {name.replace(".", "/"): value for name, value in result.metrics.items()}
    own = {name: value + result.index if name.endswith(".seed") else value for name, value in settings.items()}
    connection.client.log_batch(run, metrics=_metrics(numbers), params=_params(own))
    connection.client.set_tag(run, "complete", "yes")
    connection.client.set_terminated(run)


def _metrics(numbers: Mapping[str, float], step: int = 0) -> list[Any]:
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    return [Metric(name, float(value), now, step) for name, value in numbers.items() if math.isfinite(value)]


def _params(settings: Mapping[str, Any]) -> list[Any]:
    from mlflow.entities import Param

    return [Param(name, str(value)) for name, value in settings.items() if value is not None]


def find_seeds(connection: Store, fingerprint: str) -> list[SeedResult]:
    """What every seed came to of the groups that the model with this fingerprint belongs to; empty if there is none."""
    experiment = connection.experiment(create=False)
    if experiment is None:
        return []
    own = runs.find_runs(connection, experiment, {"fingerprint": fingerprint, ROLE_TAG: "seed", "complete": "yes"})
    children = [
        run
        for group in sorted({each.data.tags[GROUP_TAG] for each in own})
        for run in _children(connection, experiment, group)
    ]
    results = [
        SeedResult(
            index=int(run.data.tags[INDEX_TAG]),
            fingerprint=run.data.tags["fingerprint"],
            test=run.data.tags[TEST_TAG],
            metrics={name.replace("/", "."): value for name, value in run.data.metrics.items()},
        )
        for run in children
    ]
    return list({result.fingerprint: result for result in results}.values())  # two groups may share some


def pair_results(first: Sequence[SeedResult], second: Sequence[SeedResult]) -> list[tuple[SeedResult, SeedResult]]:
    """The results of two groups that have the same test paintings, which belong to one seed."""
    others = {result.test: result for result in second}
    return [(result, others[result.test]) for result in first if result.test in others]
