"""`strokewise sync`: a history of states in git and a DVC cache, MLflow deleted, and all of it back."""

import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from strokewise.params import Params
from strokewise.registry import replay, store, versions
from strokewise.stages.register import register

pytestmark = pytest.mark.slow
Put = Callable[..., Path]
RunCli = Callable[..., tuple[int, str, str]]
HOWS: list[dict[str, Any]] = [{"weak": 0.2}, {"weak": 0.6}, {}, {"seed": 1}]  # champion, refused, champion, challenger
OUTS = ("data/model", "data/baseline", "data/paintings/test", "data/paintings/contact-sheet.png", "data/report/explain")


def git(root: Path, *words: str) -> str:
    who = ("-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", *who, *words], cwd=root, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def keep(root: Path, path: Path) -> dict[str, Any]:
    """A file or folder as DVC would put it into its cache, and its entry in `dvc.lock`."""

    def stored(content: bytes, end: str = "") -> str:
        digest = hashlib.md5(content).hexdigest() + end  # noqa: S324 - DVC's
        place = root / ".dvc/cache/files/md5" / digest[:2] / digest[2:]
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        return digest

    named = {"path": path.relative_to(root).as_posix(), "hash": "md5"}
    if path.is_file():
        return named | {"md5": stored(path.read_bytes())}
    files = [file for file in sorted(path.rglob("*")) if file.is_file()]
    listed = [{"md5": stored(file.read_bytes()), "relpath": file.relative_to(path).as_posix()} for file in files]
    return named | {"md5": stored(json.dumps(listed).encode(), ".dir")}


def commit(root: Path, message: str) -> str:
    """What `dvc repro` and `git commit` leave of the state in `root`/data."""
    report = [path for path in (root / "data/report").iterdir() if path.is_file()]
    outs = [keep(root, path) for path in [*(root / name for name in OUTS), *report]]
    with (root / "dvc.lock").open("w") as file:
        YAML().dump({"schema": "2.0", "stages": {"all": {"cmd": "x", "outs": outs}}}, file)
    git(root, "add", "--force", "params.yaml", "dvc.lock", "data/report/metrics.json")
    git(root, "commit", "-qm", message)
    return git(root, "rev-parse", "HEAD")


@pytest.fixture
def told(project: Put, params: Params, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project in which four states were made, registered and committed, one after the other."""
    root = project()
    git(root, "init", "-q")
    monkeypatch.setattr(replay, "cache", lambda: root / ".dvc/cache")  # DVC itself is asked in the test below
    for number, how in enumerate(HOWS):
        project(**how)
        commit(root, f"state {number}")
        register(params)
    shutil.rmtree(root / "data")
    return root


def forget(root: Path, database: Path) -> None:
    shutil.copy(database, root / "mlflow.db")
    shutil.rmtree(root / "mlruns", ignore_errors=True)


def everything() -> dict[str, Any]:
    """All that the store holds, without ids and times."""

    def timeless(text: str) -> str:
        return re.sub(r'"at": "[^"]*"', "", text)

    with store.connect() as opened:
        client, experiment = opened.client, opened.experiment() or ""
        runs = {}
        for run in client.search_runs([experiment]):
            root = Path(run.info.artifact_uri)
            files = {
                path.relative_to(root).as_posix(): timeless(path.read_text("latin-1"))
                for path in root.rglob("*")
                if path.is_file()
            }
            curves = {
                name: [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, name)]
                for name in run.data.metrics
            }
            tags = {name: value for name, value in run.data.tags.items() if name != "complete"}
            key = f"{tags['model']} {tags['fingerprint']} {tags['evaluation']}"
            assert key not in runs
            runs[key] = (run.info.run_name, run.info.status, run.data.params, curves, tags, files)
        models = [model.tags for model in client.search_logged_models([experiment])]
        found = versions.read_snapshot(opened)
        tags = {
            str(each.version): {name: timeless(value) for name, value in each.tags.items()}
            for each in client.search_model_versions("")
        }
    return {
        "runs": runs,
        "models": sorted(map(sorted, (model.items() for model in models))),
        "versions": tags,
        "aliases": dict(found.aliases),
        "events": [(event.what, event.version, event.before, event.reason, event.question) for event in found.events],
    }


def test_all_is_back_and_a_second_time_changes_nothing(told: Path, database: Path, run_cli: RunCli) -> None:
    before = everything()
    assert len(before["runs"]) == 8
    forget(told, database)
    code, said, _ = run_cli("sync")
    assert code == 0
    assert "state 0\n          version 1, champion" in said
    assert "refused: It recognises" in said
    assert "4 states in git, 4 decided now" in said
    assert "what people moved by hand" in said
    assert everything() == before
    files = {path: path.stat().st_mtime_ns for path in (told / "mlruns").rglob("*")}
    code, said, _ = run_cli("sync")
    assert said.count("there already: ") == 4
    assert "4 states in git, 0 decided now" in said
    assert everything() == before
    assert {path: path.stat().st_mtime_ns for path in (told / "mlruns").rglob("*")} == files
    assert not (told / ".strokewise/sync").exists()
    assert git(told, "worktree", "list").count("\n") == 0


def test_what_cannot_be_restored_is_named_and_skipped(
    told: Path, run_cli: RunCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = (told / "params.yaml").read_text()
    (told / "params.yaml").write_text("generate: 1")
    git(told, "commit", "-qam", "of another age")
    (told / "params.yaml").write_text(given)
    code, said, _ = run_cli("sync", "--rev", "HEAD")
    assert (code, "of another age\n          skipped: params.yaml: generate is 1" in said) == (0, True), said
    weights = YAML(typ="safe").load((told / "dvc.lock").read_text())["stages"]["all"]["outs"][1]["md5"]
    (told / ".dvc/cache/files/md5" / weights[:2] / weights[2:]).unlink()  # the folder of the baseline, in all states
    (told / ".strokewise/sync/left").mkdir(parents=True)  # by one that was killed
    code, said, _ = run_cli("sync", "--rev", "HEAD")
    assert (code, "skipped: data/baseline not in the DVC cache; `dvc fetch --all-commits` gets" in said) == (0, True)
    assert not (told / ".strokewise/sync").exists()
    code, said, error = run_cli("sync", "--rev", "nothing")
    assert (code, "--rev 'nothing' is no commit and no experiment" in error) == (2, True)
