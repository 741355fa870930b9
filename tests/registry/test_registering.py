"""`register` against a real MLflow store: runs as a projection, versions by the gate, and what people moved stays."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest

from strokewise.errors import ModelError, RegistryError
from strokewise.model.onnx_export import build_onnx
from strokewise.params import Params
from strokewise.registry import promotion, runs, store, versions
from strokewise.registry.store import REGISTRY_NAME, Store, StoreUnavailable
from strokewise.registry.versions import RegistrySnapshot
from strokewise.serving import packaging
from strokewise.stages.register import Registered, register
from strokewise.support import atomic_io

GOOD, WEAK, REFUSED = {}, {"weak": 0.2}, {"weak": 0.6}
Put = Callable[..., Path]


def shelf() -> RegistrySnapshot:
    with store.connect(create=False) as opened:
        return versions.read_snapshot(opened)


def runs(**conditions: str) -> list[Any]:
    with store.connect(create=False) as opened:
        wanted = " and ".join(f"tags.{name} = '{value}'" for name, value in conditions.items())
        return list(opened.client.search_runs([opened.experiment() or ""], wanted))


def paths(run: Any) -> set[str]:
    root = Path(run.info.artifact_uri)
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


def what(found: RegistrySnapshot) -> list[tuple[str, int | None]]:
    return [(event.what, event.version) for event in found.events]


def test_two_runs_and_the_first_champion(project: Put, params: Params) -> None:
    root = project()
    done = register(params)
    assert done.champion
    assert done.warning is None
    assert "Registered version 1, champion" in done.summary
    (cnn,), (baseline,) = runs(model="cnn"), runs(model="baseline")
    config = json.loads((root / "data/model/config.json").read_text())
    metrics = json.loads((root / "data/report/metrics.json").read_text())
    for run in (cnn, baseline):
        assert run.info.status == "FINISHED"
        assert run.data.tags["evaluation"] == metrics["evaluation"]
        assert {data.dataset.name for data in run.inputs.dataset_inputs} == {"paintings train", "paintings test"}
        assert len(run.outputs.model_outputs) == 1
    assert cnn.data.tags["fingerprint"] == config["fingerprint"]
    assert cnn.data.params["train.epochs"] == "3"  # as the model says, not as params.yaml does
    assert cnn.data.params["network.image_size"] == "16"
    assert baseline.data.params["choice"] == "PCA + RBF SVM"
    assert cnn.data.metrics["test/accuracy"] == metrics["cnn"]["accuracy"]
    assert cnn.data.metrics["test/accuracy_low"] == metrics["cnn"]["low"]
    assert baseline.data.metrics["test/recall/cross"] == metrics["baseline"]["shapes"]["cross"]["recall"]
    assert cnn.data.metrics["paired/wins"] == metrics["paired"]["wins"]
    assert paths(cnn) == {
        *("report/metrics.json", "report/mistakes.png", "report/decision.json", "report/explain/ring.png"),
        *("report/confusion-cnn.csv", "report/confusion-baseline.csv", "paintings/contact-sheet.png"),
    }
    with store.connect() as opened:
        curve = opened.client.get_metric_history(cnn.info.run_id, "validation/loss")
    assert [(point.step, point.value) for point in curve] == [(1, 1.1), (2, 0.55), (3, pytest.approx(1.1 / 3))]
    only = shelf()
    assert [version.run for version in only.versions] == [cnn.info.run_id]
    assert only.aliases == {"champion": 1}
    assert only.champion is not None
    assert only.champion.decision is not None
    assert only.champion.decision["numbers"]["baseline"]["wins"] == metrics["paired"]["wins"]
    assert not list(root.glob("mlartifacts"))


@pytest.mark.slow
def test_registering_again_only_confirms(project: Put, params: Params) -> None:
    root = project()
    register(params)
    before = {path: path.stat().st_mtime_ns for path in (root / "mlruns").rglob("*")}
    again = register(params)
    assert again.champion
    assert "already registered: version 1, champion" in again.summary
    assert {path: path.stat().st_mtime_ns for path in (root / "mlruns").rglob("*")} == before
    assert len(runs()) == 2
    assert what(shelf()) == [("champion", 1)]


@pytest.mark.slow
def test_the_store_deleted_everything_is_back(project: Put, params: Params, database: Path) -> None:
    root = project()
    register(params)
    first = {run.data.tags["model"]: run for run in runs()}
    shutil.copy(database, root / "mlflow.db")
    shutil.rmtree(root / "mlruns")
    done = register(params)
    assert "Registered version 1, champion" in done.summary
    for run in runs():
        before = first[run.data.tags["model"]]
        assert run.data.params == before.data.params
        assert run.data.metrics == before.data.metrics
        varying = {"complete"}
        assert {k: v for k, v in run.data.tags.items() if k not in varying} == {
            k: v for k, v in before.data.tags.items() if k not in varying
        }


@pytest.mark.slow
def test_artifacts_deleted_are_logged_again(project: Put, params: Params) -> None:
    root = project()
    register(params)
    shutil.rmtree(root / "mlruns")
    with pytest.raises(RegistryError, match=r"the files of strokewise version 1 are gone .* delete mlflow.db too"):
        versions.champion_dir()
    register(params)
    assert len(runs()) == 2
    assert all("report/metrics.json" in paths(run) for run in runs())


@pytest.mark.slow
def test_a_run_that_broke_off_is_replaced(project: Put, params: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    project()

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(runs, "_data", full)
        done = register(params)
    assert not done.champion
    assert done.warning is not None
    assert "not registered, nothing is lost: mlflow.db: [Errno 28] No space left on device" in done.warning
    assert "\n" not in done.warning
    assert [run.info.status for run in runs()] == ["RUNNING"]
    assert register(params).champion
    assert sorted(run.data.tags["model"] for run in runs()) == ["baseline", "cnn"]
    with store.connect() as opened:
        assert len(opened.client.search_logged_models([opened.experiment() or ""])) == 2


@pytest.mark.slow
def test_another_evaluation_is_another_run_of_the_same_model(project: Put, params: Params) -> None:
    root = project()
    register(params)
    metrics = json.loads((root / "data/report/metrics.json").read_text())
    atomic_io.write_json(root / "data/report/metrics.json", metrics | {"evaluation": "e" * 64})
    done = register(params)
    assert "already registered: version 1, champion" in done.summary
    assert len(runs(model="cnn")) == len(runs(model="baseline")) == 2
    with store.connect() as opened:
        assert len(opened.client.search_logged_models([opened.experiment() or ""])) == 2


def test_better_replaces_equal_challenges_weak_is_refused(project: Put, params: Params) -> None:
    project(**WEAK)
    assert register(params).champion
    project(**GOOD)
    better = register(params)
    assert better.champion
    assert "It is better than the champion on the same paintings" in " ".join(better.summary.split())
    assert shelf().aliases == {"champion": 2, "previous": 1}
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
    found = shelf()
    assert len(found.versions) == 3
    assert found.aliases == {"champion": 2, "previous": 1, "challenger": 3}
    assert what(found) == [("champion", 1), ("champion", 2), ("challenger", 3), ("refused", None)]
    project(**WEAK)
    assert "already registered: version 1, previous" in register(params).summary


@pytest.mark.slow
def test_a_refusal_is_asked_again_under_other_rules(project: Put, params: Params) -> None:
    project(**REFUSED)
    assert "refused" in register(params).summary
    loose = Params.load(Path("params.yaml"), ["register.min_recall=0.1"])
    assert "Registered version 1, champion" in register(loose).summary
    assert what(shelf()) == [("refused", None), ("champion", 1)]


@pytest.mark.slow
def test_other_shapes_cannot_be_compared(project: Put, params: Params) -> None:
    project(**WEAK)
    register(params)
    project(shapes=("bar", "cross", "zigzag"))
    done = register(params)
    assert "version 2, challenger" in done.summary
    assert "knows other shapes (new: zigzag; gone: ring)" in " ".join(done.summary.split())


@pytest.mark.slow
def test_a_champion_of_another_making_cannot_be_compared(project: Put, params: Params) -> None:
    root = project(**WEAK)
    register(params)
    champion = versions.champion_dir()
    assert champion is not None
    (champion / "model.safetensors").write_bytes(b"of another age")
    shutil.rmtree(root / "data")
    project(**GOOD)
    done = register(params)
    assert "version 2, challenger" in done.summary
    assert "cannot be compared with the champion, version 1: the model in" in " ".join(done.summary.split())


@pytest.mark.slow
def test_what_a_person_moved_stays(project: Put, params: Params) -> None:
    project(**WEAK)
    register(params)
    project(**GOOD)
    register(params)
    back = promotion.rollback_champion(None, "it misread my circles")
    assert (back.version, back.before) == (1, 2)
    assert shelf().aliases == {"champion": 1, "previous": 2}
    again = register(params)
    assert not again.champion
    assert "already registered: version 2, previous" in again.summary
    assert shelf().aliases == {"champion": 1, "previous": 2}
    promotion.promote_version(2, "it was the scanner")
    assert shelf().aliases == {"champion": 2, "previous": 1}
    events = versions.read_events()
    assert what(shelf()) == [("champion", 1), ("champion", 2), ("rollback", 1), ("promote", 2)]
    assert [event.reason for event in events[2:]] == ["it misread my circles", "it was the scanner"]
    assert [event.at for event in events] == sorted(event.at for event in events)


@pytest.mark.slow
def test_a_challenger_that_is_promoted_challenges_no_more(project: Put, params: Params) -> None:
    project(**GOOD)
    register(params)
    project(seed=1)
    register(params)
    promotion.promote_version(2, "smaller")
    assert shelf().aliases == {"champion": 2, "previous": 1}


@pytest.mark.slow
def test_a_version_that_a_person_deleted_stays_deleted(project: Put, params: Params) -> None:
    project()
    register(params)
    with store.connect() as opened:
        opened.client.delete_model_version(REGISTRY_NAME, "1")
    done = register(params)
    assert not done.champion
    assert "It was version 1, which somebody deleted." in done.summary
    assert shelf().versions == ()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: promotion.rollback_champion(None, "x"), "there is no previous champion to go back to; versions: 1, 2"),
        (
            lambda: promotion.rollback_champion(2, "x"),
            "version 2 never was champion; `strokewise promote 2 --reason …`",
        ),
        (lambda: promotion.promote_version(7, "x"), "there is no version 7; versions: 1, 2"),
        (lambda: promotion.promote_version(1, "x"), "version 1 is the champion already"),
        (lambda: promotion.promote_version(2, "  "), "a promote needs a reason"),
        (lambda: versions.model_dir("models:/strokewise@nobody"), "models:/strokewise@nobody does not exist"),
        (lambda: versions.model_dir("models:/strokewise/7"), "models:/strokewise/7 does not exist"),
        (lambda: versions.model_dir("models:/unheard@champion"), "models:/unheard@champion does not exist"),
        (
            lambda: versions.model_dir("models:/strokewise"),
            "names no registered model; write models:/strokewise@champion",
        ),
    ],
)
def test_wishes_that_cannot_be_met(act: Callable[[], Any], message: str, full: None) -> None:
    with pytest.raises(RegistryError, match=message):
        act()


@pytest.fixture
def full(project: Put, params: Params) -> None:
    """A champion and a challenger."""
    for how in (GOOD, {"seed": 1}):
        project(**how)
        register(params)


def test_without_a_store_nobody_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import sys; from strokewise.registry import versions; print(versions.champion(), 'mlflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "None False\n"
    monkeypatch.chdir(tmp_path)
    assert versions.read_events() == []
    with pytest.raises(RegistryError, match="nothing is registered here yet"):
        versions.model_dir("models:/strokewise@champion")
    with pytest.raises(RegistryError, match="nothing is registered here yet"):
        promotion.rollback_champion(None, "x")


@pytest.mark.slow
def test_mlflow_is_imported_only_if_the_store_has_changed(full: None) -> None:
    code = "import sys; from strokewise.registry import versions; print(versions.champion(), 'mlflow' in sys.modules)"

    def ask() -> tuple[str, str]:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        folder, imported = done.stdout.split()
        return folder, imported

    (first, asked), (again, asked_again) = ask(), ask()
    assert (asked, asked_again, again) == ("True", "False", first)
    promotion.promote_version(2, "a person knows better")
    second, asked = ask()
    assert (asked, ask()) == ("True", (second, "False"))
    assert second != first
    shutil.rmtree(second)
    with pytest.raises(RegistryError, match="are gone"):
        versions.champion_dir()


@pytest.mark.slow
def test_names_lead_to_model_folders(project: Put, params: Params) -> None:
    root = project()
    assert versions.champion_dir() is None
    register(params)
    folder = versions.champion_dir()
    assert folder is not None
    assert folder == versions.model_dir("models:/strokewise@champion") == versions.model_dir("models:/strokewise/1")
    for name in ("config.json", "model.safetensors", "history.csv"):
        assert (folder / name).read_bytes() == (root / "data/model" / name).read_bytes()
    champion = versions.model_dir("models:/strokewise@champion")
    beside = champion.parent.parent / packaging.ONNX_ARTIFACT
    assert beside.read_bytes() == build_onnx(champion), "the same network for other runtimes lies beside it"


@contextlib.contextmanager
def breaking(patch: pytest.MonkeyPatch, name: str) -> Iterator[None]:
    """The store is gone from the moment on that `decisions` calls `name`."""

    def gone(*_: Any) -> None:
        raise StoreUnavailable("gone")

    with patch.context() as inner:
        inner.setattr(promotion, name, gone)
        yield


@pytest.mark.slow
@pytest.mark.parametrize("name", ["_attach", "_create", "_carry_out", "_alias"])
def test_a_decision_that_broke_off_is_finished(
    name: str, project: Put, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    project(**WEAK)
    register(params)
    project(**GOOD)
    with breaking(monkeypatch, name):
        assert "gone" in str(register(params).warning)
    assert shelf().aliases == {"champion": 1}
    project(seed=1)  # the next model finds the one before unfinished, and is compared with what that became
    assert "version 3, challenger" in register(params).summary or name in ("_attach", "_create")
    project(**GOOD)
    register(params)
    assert len(shelf().versions) == 3
    assert shelf().aliases["previous"] == 1
    assert len(what(shelf())) == 3


@pytest.mark.slow
def test_overtaken_by_another_machine(project: Put, params: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    project(**WEAK)
    register(params)
    project(**GOOD)
    with breaking(monkeypatch, "_carry_out"):
        register(params)
    with store.connect() as opened:  # meanwhile elsewhere
        opened.client.create_model_version(
            REGISTRY_NAME, str(versions.champion_dir()), tags={"fingerprint": "elsewhere"}
        )
        opened.client.set_registered_model_alias(REGISTRY_NAME, "champion", "3")
    done = register(params)
    assert not done.champion
    assert shelf().aliases == {"champion": 3, "challenger": 2}
    assert what(shelf()) == [("champion", 1), ("overtaken", 2)]


def test_a_queued_experiment_registers_in_the_original_root(
    project: Put, params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = project()
    copy = tmp_path / "copy"
    shutil.move(root / "data", copy / "data")
    monkeypatch.setenv("DVC_ROOT", str(root))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    monkeypatch.chdir(copy)
    assert "Registered version 1, champion" in register(params).summary
    assert [path.name for path in copy.iterdir()] == ["data"]
    assert os.environ["MLFLOW_TRACKING_URI"] == ""
    assert mlflow.get_tracking_uri() == f"sqlite:///{copy}/mlflow.db"  # MLflow's own default, as before
    assert versions.champion_dir() is not None


@pytest.mark.slow
def test_a_dry_run_writes_nothing(project: Put, params: Params) -> None:
    root = project(**WEAK)
    (root / "mlflow.db").unlink()
    first = register(params, dry_run=True)
    assert first.champion
    assert "Registered would become a new version, champion" in first.summary
    assert not (root / "mlflow.db").exists()
    register(params)
    project(**GOOD)
    assert "would become a new version, champion" in register(params, dry_run=True).summary
    project(**REFUSED)
    assert "would be refused" in register(params, dry_run=True).summary
    project(**WEAK)
    assert "already registered: version 1, champion" in register(params, dry_run=True).summary
    assert len(runs()) == 2
    assert what(shelf()) == [("champion", 1)]


@pytest.mark.slow
def test_other_weights_of_the_same_fingerprint_warn(project: Put, params: Params) -> None:
    root = project()
    register(params)
    weights = project(seed=1) / "data/model/model.safetensors"
    other = weights.read_bytes()
    root = project()
    (root / "data/model/model.safetensors").write_bytes(other)
    done = register(params)
    assert done.warning is not None
    assert "version 1 has this fingerprint but other weights" in done.warning
    assert len(shelf().versions) == 1


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("data/report/metrics.json", "there is no data/report/metrics.json; run `dvc repro`, or `strokewise evaluate`"),
        ("data/model/config.json", "there is no data/model/config.json; run `dvc repro`, or `strokewise train`"),
        ("data/model/model.safetensors", "data/model holds no weights"),
        ("data/report/confusion-cnn.csv", "confusion-cnn.csv cannot be read: .*; run `strokewise evaluate`"),
    ],
)
def test_results_that_are_missing(path: str, message: str, project: Put, params: Params) -> None:
    (project() / path).unlink()
    with pytest.raises(ModelError, match=message):
        register(params)


def test_curves_that_are_no_numbers(project: Put, params: Params) -> None:
    (project() / "data/model/history.csv").write_text("epoch,loss\n1,little\n")
    with pytest.raises(ModelError, match=r"history.csv cannot be read: .*'little'; run `strokewise train`"):
        register(params)


def test_a_report_about_another_model(project: Put, params: Params) -> None:
    root = project()
    config = root / "data/model/config.json"
    atomic_io.write_json(config, json.loads(config.read_text()) | {"fingerprint": "f" * 64})
    with pytest.raises(ModelError, match=r"data/report is about another model than data/model; run `strokewise eval"):
        register(params)


@pytest.mark.slow
def test_the_commit_and_the_experiment_are_named(project: Put, params: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    root = project()
    monkeypatch.setenv("DVC_EXP_NAME", "pied-wren")

    def git(*words: str) -> str:
        who = ("-c", "user.name=t", "-c", "user.email=t@t")
        done = subprocess.run(["git", *who, *words], cwd=root, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    git("init", "-q")
    git("add", "params.yaml")
    git("commit", "-qm", "first")
    register(params)
    (clean,) = runs(model="cnn")
    assert clean.data.tags["mlflow.source.git.commit"] == git("rev-parse", "HEAD")
    assert clean.data.tags["dirty"] == "false"
    assert clean.data.tags["dvc.experiment"] == "pied-wren"
    (root / "params.yaml").write_text("changed")
    project(seed=1)
    (root / "params.yaml").write_text("changed")
    register(params)
    assert {run.data.tags["dirty"] for run in runs(model="cnn")} == {"false", "true"}


@pytest.mark.slow
def test_the_result_is_plain(project: Put, params: Params) -> None:
    project()
    done = register(params)
    assert isinstance(done, Registered)
    lines = done.summary.splitlines()
    assert len(lines) <= 15
    assert all(len(line) <= 120 for line in lines)
    assert [line.split()[0] for line in lines[:4]] == ["CNN", "Baseline", "Difference", "Registered"]
    assert "p < 0.001: significant, on 120 paintings" in lines[2]


@pytest.mark.slow
def test_a_store_is_told_to_hurry(project: Put, params: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    project()
    asked = []
    monkeypatch.setattr(Store, "hurry", lambda opened: asked.append(opened))
    register(params)
    assert len(asked) > 10
