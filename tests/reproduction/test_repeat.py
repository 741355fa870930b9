"""Groups of seeds: their comparison, and `strokewise repeat` through DVC's queue on a toy pipeline."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from strokewise.errors import UserError
from strokewise.registry import store
from strokewise.registry.seed_groups import SeedResult
from strokewise.reproduction.repeat import SeedGroup, compare_groups


def group(label: str, accuracy: float, loss: float, test: str = "t", count: int = 5) -> SeedGroup:
    noise = np.random.default_rng(3).normal(0, 0.002, (count, 2))
    results = tuple(
        SeedResult(
            index,
            f"{label}{index}",
            f"{test}{index}",
            {
                "cnn.accuracy": accuracy + noise[index, 0] * (1 + accuracy),
                "cnn.log_loss": loss + noise[index, 1] * (1 + loss),
                "baseline.accuracy": 0.5,
                "difference.low": 0.1,
            },
        )
        for index in range(count)
    )
    return SeedGroup(label, label, results)


def test_better_and_worse_follow_what_a_figure_means() -> None:
    compared = compare_groups(group("b", 0.95, 0.2), [group("a", 0.90, 0.3)])
    assert {each.figure: each.verdict for each in compared} == {"cnn.accuracy": "better", "cnn.log_loss": "better"}
    compared = compare_groups(group("a", 0.90, 0.3), [group("b", 0.95, 0.2)])
    assert {each.verdict for each in compared} == {"worse"}


def test_p_values_are_corrected_for_all_comparisons() -> None:
    own, other = group("b", 0.95, 0.2), group("a", 0.90, 0.3)
    alone = {each.figure: each.corrected_p for each in compare_groups(own, [other])}
    many = compare_groups(own, [other, group("c", 0.90, 0.3), group("d", 0.90, 0.3)])
    assert all(each.corrected_p > alone[each.figure] for each in many)


def test_equal_groups_are_not_shown_to_differ() -> None:
    assert {each.verdict for each in compare_groups(group("b", 0.9, 0.3), [group("a", 0.9, 0.3)])} == {"not shown"}


def test_groups_without_common_paintings_or_seeds_are_refused() -> None:
    with pytest.raises(UserError, match="b and a cannot be compared: their test paintings differ"):
        compare_groups(group("b", 0.9, 0.3), [group("a", 0.9, 0.3, test="other")])
    with pytest.raises(UserError, match="they have 1 seeds in common, and two are the least"):
        compare_groups(group("b", 0.9, 0.3), [group("a", 0.9, 0.3, count=1)])


@pytest.mark.slow
def test_groups_run_once_are_logged_compared_and_asked_for_by_the_gate(
    project_and_digests: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = project_and_digests[0].copy(tmp_path / "project")
    code, stdout, stderr = project.run_cli("repeat", "2", "-S", "train.epochs=4")
    assert (code, "cnn.accuracy" in stdout) == (0, True), stderr
    code, stdout, stderr = project.run_cli("repeat", "2", "--against", "train.epochs=4", "--json")
    assert code == 0, stderr
    result = json.loads(stdout)
    assert [seed["index"] for seed in result["seeds"]] == [0, 1]
    config = json.loads((project.folder / "data/model/config.json").read_text())
    assert result["seeds"][0]["fingerprint"] == config["fingerprint"], "number 0 is the present setting"
    assert {each["against"] for each in result["comparisons"]} == {"train.epochs=4"}
    assert {each["verdict"] for each in result["comparisons"]} <= {"better", "worse", "not shown"}
    code, again, stderr = project.run_cli("repeat", "2", "--against", "train.epochs=4", "--json")
    assert (code, again, "Running stage" in stderr) == (0, stdout, False)
    assert project.run("git", "status", "--porcelain") == ""
    assert project.run_cli("repeat", "2", "--against", "no-such")[0] == 2

    monkeypatch.setenv("DVC_ROOT", str(project.folder))
    with store.connect(create=False) as connection:
        runs = connection.client.search_runs([connection.experiment()], "tags.`repeat.kind` != ''")
    parents = {run.info.run_id: run for run in runs if run.data.tags["repeat.kind"] == "group"}
    children = [run for run in runs if run.data.tags["repeat.kind"] == "seed"]
    assert (len(parents), len(children)) == (2, 4)
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == set(parents)
    (plain,) = [run for run in parents.values() if run.data.tags["mlflow.runName"] == "repeat params.yaml"]
    assert plain.data.metrics["cnn/accuracy/mean"] == pytest.approx(result["summary"]["cnn.accuracy"]["mean"])
    monkeypatch.delenv("DVC_ROOT")

    params = project.folder / "params.yaml"
    params.write_text(params.read_text().replace("seeds: 1 ", "seeds: 2 ").replace("epochs: 16 ", "epochs: 4 "))
    project.run("dvc", "repro", "explain")
    code, stdout, stderr = project.run_cli("register", "--set", "register.seeds=3")
    assert (code, "not decided yet" in stdout, "strokewise repeat 3" in stdout) == (0, True, True), stdout + stderr
    assert project.run_cli("history")[1].count("\n") == 1, "nothing was decided"
    stdout = project.run("strokewise", "register")
    assert "Over 2 seeds its settings are not shown to be better than the champion's" in " ".join(stdout.split())
