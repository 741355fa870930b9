"""Groups of seeds: their comparison, and `strokewise repeat` through DVC's queue on a toy pipeline."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from strokewise.errors import UserError
from strokewise.registry import store
from strokewise.registry.seed_groups import SeedResult
from strokewise.reproduction.repeat import SeedGroup, compare_groups, repeat_pipeline


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
    alone = {each.figure: each.numbers.p for each in compare_groups(own, [other])}
    many = compare_groups(own, [other, group("c", 0.90, 0.3), group("d", 0.90, 0.3)])
    assert all(each.numbers.p > alone[each.figure] for each in many)


def test_equal_groups_are_not_shown_to_differ() -> None:
    assert {each.verdict for each in compare_groups(group("b", 0.9, 0.3), [group("a", 0.9, 0.3)])} == {"not shown"}


def test_groups_without_common_paintings_or_seeds_are_refused() -> None:
    with pytest.raises(
        UserError, match="b and a cannot be compared: 0 of their 5 and 5 seeds have the same test paint"
    ):
        compare_groups(group("b", 0.9, 0.3), [group("a", 0.9, 0.3, test="other")])
    with pytest.raises(UserError, match="1 of their 5 and 1 seeds"):
        compare_groups(group("b", 0.9, 0.3), [group("a", 0.9, 0.3, count=1)])


@pytest.fixture(scope="module")
def project(project_and_digests: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return project_and_digests[0].copy(tmp_path_factory.mktemp("repeat") / "project")


class Repeat:
    """`strokewise repeat` in the background."""

    def __init__(self, project: Any, log: Path, *arguments: str) -> None:
        self.log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "strokewise", "repeat", *arguments],
                cwd=project.folder, env=project.environment, stdout=output, stderr=output,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )  # fmt: skip

    def wait_for(self, text: str) -> None:
        deadline = time.monotonic() + 300
        while text not in self.log.read_text():
            assert time.monotonic() < deadline, self.log.read_text()
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.1)

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)


def stages_run(project: Any, stage: str) -> int:
    """How often the experiments of the queue ran a stage."""
    outputs = (project.folder / ".dvc/tmp/exps/run").glob("*/*.out")
    return sum(path.read_text().count(f"Running stage '{stage}'") for path in outputs)


@pytest.mark.slow
def test_interrupted_and_killed_seeds_are_taken_up_and_nothing_runs_twice(project: Any, tmp_path: Path) -> None:
    words = ("2", "-S", "train.epochs=30")
    first = Repeat(project, tmp_path / "first", *words)
    first.wait_for("Running stage 'evaluate'")  # the first seed is trained
    second = Repeat(project, tmp_path / "second", *words)
    second.wait_for("waiting for process")
    assert second.end(signal.SIGINT) == 130
    assert first.end(signal.SIGINT) == 130, first.log.read_text()
    assert "Traceback" not in first.log.read_text() + second.log.read_text()
    while "Running" in (status := project.run("dvc", "queue", "status")):
        time.sleep(1)  # on a busy machine, a stage takes more than the time that Ctrl-C gives it
    assert "Queued" not in status
    assert project.run("git", "status", "--porcelain") == ""

    third = Repeat(project, tmp_path / "third", *words)
    third.wait_for("Running stage 'train'")  # of the second seed
    third.end(signal.SIGKILL)
    fourth = Repeat(project, tmp_path / "fourth", *words)
    fourth.wait_for("Running stage 'train'")  # the worker goes on, and it is joined
    worker = int((project.folder / ".dvc/tmp/exps/celery/dvc-exp-worker-1.pid").read_text())
    os.kill(worker, signal.SIGKILL)
    fourth.end(signal.SIGKILL)
    code, stdout, stderr = project.run_cli("repeat", *words, "--json")
    assert code == 0, stderr
    assert [seed["index"] for seed in json.loads(stdout)["seeds"]] == [0, 1]
    trained, evaluated = stages_run(project, "train"), stages_run(project, "evaluate")
    assert (stages_run(project, "generate"), trained in (2, 3), evaluated in (3, 4)) == (1, True, True)
    code, again, stderr = project.run_cli("repeat", *words, "--json")
    assert (code, again) == (0, stdout), stderr
    assert stages_run(project, "train") == trained


@pytest.mark.parametrize(
    ("overrides", "against", "message"),
    [
        (["train.epoch=3"], [], "train.epoch is unknown; did you mean epochs"),
        (["train.epochs=many"], [], "train.epochs"),
        (
            ["register.seeds=3"],
            [],
            "-S register.seeds=3 decides nothing about the seeds' results; give one of generate",
        ),
        ([], ["no-such"], "--against 'no-such' is no other group; there are: none"),
    ],
)
def test_mistake_is_named_before_anything_runs(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overrides: list[str], against: list[str], message: str
) -> None:
    shutil.copy(root / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    with pytest.raises(UserError, match=re.escape(message)):
        repeat_pipeline(tmp_path, overrides, 2, against)
    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]


@pytest.mark.slow
def test_groups_run_once_are_logged_compared_and_asked_for_by_the_gate(
    project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, stdout, stderr = project.run_cli("repeat", "2", "-S", "train.epochs=30")
    assert (code, "cnn.accuracy" in stdout) == (0, True), stderr
    code, stdout, stderr = project.run_cli("repeat", "2", "--against", "train.epochs=30", "--json")
    assert code == 0, stderr
    result = json.loads(stdout)
    assert [seed["index"] for seed in result["seeds"]] == [0, 1]
    config = json.loads((project.folder / "data/model/config.json").read_text())
    assert result["seeds"][0]["fingerprint"] == config["fingerprint"], "number 0 is the present setting"
    assert {each["against"] for each in result["comparisons"]} == {"train.epochs=30"}
    assert {each["verdict"] for each in result["comparisons"]} <= {"better", "worse", "not shown"}
    code, again, stderr = project.run_cli("repeat", "2", "--against", "train.epochs=30", "--json")
    assert (code, again, "Running stage" in stderr) == (0, stdout, False)
    assert project.run("git", "status", "--porcelain") == ""

    monkeypatch.setenv("DVC_ROOT", str(project.folder))
    with store.connect(create=False) as connection:
        runs = connection.client.search_runs([connection.experiment()], "tags.repeat_role != ''")
    parents = {run.info.run_id: run for run in runs if run.data.tags["repeat_role"] == "group"}
    children = [run for run in runs if run.data.tags["repeat_role"] == "seed"]
    assert (len(parents), len(children)) == (2, 4)
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == set(parents)
    (plain,) = [run for run in parents.values() if run.data.tags["mlflow.runName"] == "repeat params.yaml"]
    assert plain.data.metrics["cnn/accuracy/mean"] == pytest.approx(result["summary"]["cnn.accuracy"]["mean"])
    seeds = {run.data.params["train.seed"] for run in children}
    assert (seeds, plain.data.tags["repeat_summary"]) == ({"0", "1"}, "2")
    monkeypatch.delenv("DVC_ROOT")

    params = project.folder / "params.yaml"
    params.write_text(params.read_text().replace("seeds: 1 ", "seeds: 2 ").replace("epochs: 16 ", "epochs: 30 "))
    project.run("dvc", "repro", "evaluate")
    code, stdout, stderr = project.run_cli("register", "--set", "register.seeds=3")
    assert (code, "not decided yet" in stdout, "strokewise repeat 3" in stdout) == (0, True, True), stdout + stderr
    assert project.run_cli("history")[1].count("\n") == 1, "nothing was decided"
    stdout = project.run("strokewise", "register")
    assert "Over 2 seeds its settings are not shown to be better than the champion's" in " ".join(stdout.split())
