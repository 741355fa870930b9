"""`strokewise sync`: four states in git and a DVC cache, MLflow deleted, and all of it restored."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from registry_queries import read_snapshot
from strokewise.params import Params
from strokewise.registry import store, versions
from strokewise.stages.register import register

pytestmark = pytest.mark.slow
Project = Callable[..., Path]
RunCli = Callable[..., tuple[int, str, str]]
STATES: list[dict[str, Any]] = [
    {"weak": 0.2},
    {"weak": 0.6},
    {},
    {"seed": 1},
]  # champion, refused, champion, challenger
DVC_YAML = """
stages:
  all:
    cmd: "true"
    outs:
      - data/model
      - data/baseline
      - data/paintings/test
      - data/report/explain
      - data/report/mistakes.png
      - data/report/details.json
      - data/report/confusion-cnn.csv
      - data/report/confusion-baseline.csv
    metrics: [data/report/metrics.json: {cache: false}]
    plots: [data/paintings/contact-sheet.png]
"""


def git(root: Path, *arguments: str) -> str:
    author = ("-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", *author, *arguments], cwd=root, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit_state(root: Path, message: str) -> str:
    """What `dvc repro` and `git commit` leave of the results in `root`/data; returns the commit."""
    subprocess.run([sys.executable, "-m", "dvc", "commit", "--force", "--quiet"], cwd=root, check=True)
    files = (".dvc/config", ".gitignore", "dvc.yaml", "dvc.lock", "params.yaml", "data/report/metrics.json")
    git(root, "add", "--force", *files)
    git(root, "commit", "-qm", message)
    return git(root, "rev-parse", "HEAD")


@pytest.fixture
def make_history(
    project: Project, params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Path]:
    """make_history(states): a project in which these states were made, committed and registered one by one.

    With `subfolder` the project is not at the root of the git repository.
    """

    def make(states: list[dict[str, Any]], subfolder: bool = False) -> Path:
        root = project()
        monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "dvc"))
        git(root.parent if subfolder else root, "init", "-q", "--initial-branch", "main")
        (root / ".dvc").mkdir()
        (root / ".dvc/config").write_text("[core]\n    analytics = false\n    check_update = false\n")
        (root / ".gitignore").write_text("/data\n/mlflow.db\n/mlruns\n/.dvc\n/.strokewise\n")
        (root / "dvc.yaml").write_text(DVC_YAML)
        for number, options in enumerate(states):
            project(**options)
            commit_state(root, f"state {number}")
            register(params)
        shutil.rmtree(root / "data")
        return root

    return make


def delete_store(root: Path, database: Path) -> None:
    shutil.rmtree(root / "mlruns")
    shutil.rmtree(root / ".strokewise")
    shutil.copy(database, root / "mlflow.db")


def read_everything() -> dict[str, Any]:
    """All that the store holds, without ids and times."""

    def without_times(text: str) -> str:
        return re.sub(r'"at": "[^"]*"', "", text)

    with store.connect() as connection:
        client, experiment = connection.client, connection.experiment() or ""
        runs = {}
        for run in client.search_runs([experiment]):
            root = Path(run.info.artifact_uri)
            files = {
                path.relative_to(root).as_posix(): without_times(path.read_text("latin-1"))
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
        snapshot = versions.read_snapshot(connection)
        tags = {
            str(each.version): {name: without_times(value) for name, value in each.tags.items()}
            for each in client.search_model_versions("")
        }
    return {
        "runs": runs,
        "models": sorted(map(sorted, (model.items() for model in models))),
        "versions": tags,
        "aliases": dict(snapshot.aliases),
        "events": [
            (event.action, event.version, event.previous, event.reason, event.decision_key) for event in snapshot.events
        ],
    }


def test_deleted_store_is_restored_and_a_second_sync_changes_nothing(
    make_history: Callable[..., Path], database: Path, run_cli: RunCli
) -> None:
    root = make_history(STATES)
    before, status = read_everything(), git(root, "status", "--porcelain")
    assert len(before["runs"]) == 8
    delete_store(root, database)
    code, stdout, _ = run_cli("sync")
    assert code == 0
    assert "state 0\n          version 1, champion" in stdout
    assert "refused: It recognises" in stdout
    assert "4 states in git, 4 decided now" in stdout
    assert "what people moved by hand" in stdout
    assert read_everything() == before
    files = {path: path.stat().st_mtime_ns for path in (root / "mlruns").rglob("*")}
    code, stdout, _ = run_cli("sync")
    assert stdout.count("there already: ") == 4
    assert "4 states in git, 0 decided now" in stdout
    assert read_everything() == before
    assert {path: path.stat().st_mtime_ns for path in (root / "mlruns").rglob("*")} == files
    assert not (root / ".strokewise/sync").exists()
    assert not (root / "data").exists()
    assert git(root, "worktree", "list").count("\n") == 0
    assert git(root, "status", "--porcelain") == status


def test_state_that_cannot_be_restored_is_skipped_with_its_reason(
    make_history: Callable[..., Path], run_cli: RunCli
) -> None:
    root = make_history([{}])
    first = git(root, "rev-parse", "HEAD")
    content = (root / "params.yaml").read_text()

    def sync(*revisions: str) -> str:
        code, stdout, _ = run_cli("sync", *(word for revision in revisions for word in ("--rev", revision)))
        assert code == 0
        assert not (root / ".strokewise/sync").exists()
        return stdout

    (root / "params.yaml").write_text("generate: 1")
    git(root, "commit", "-qm", "of another version", "params.yaml")
    stdout = sync("HEAD")
    assert "of another version\n          skipped: params.yaml: generate is 1" in stdout
    assert "only the strokewise of that commit can register it" in stdout
    (root / "params.yaml").write_text(content.replace("image_size:", "grid:"))
    git(root, "commit", "-qm", "with an old parameter", "params.yaml")
    stdout = sync("HEAD")
    assert "with an old parameter\n          skipped: params.yaml: network.image_size is missing" in stdout
    assert "only the strokewise of that commit can register it" in stdout

    (root / "params.yaml").write_text(content)
    (root / "data/report").mkdir(parents=True)
    metrics = git(root, "show", "HEAD:data/report/metrics.json")
    (root / "data/report/metrics.json").write_text(metrics + "\n\n")
    git(root, "commit", "-qm", "without its lock", "params.yaml", "data/report/metrics.json")
    assert "skipped: its data/report/metrics.json is not the one of its dvc.lock: they were committed" in sync("HEAD")
    git(root, "rm", "-q", "--cached", "dvc.lock")
    git(root, "commit", "-qm", "without a lock")
    assert "skipped: it has no dvc.lock: the pipeline had not run" in sync("HEAD")

    # `dvc.lock` again as it was first: the same state, not a second one
    git(root, "checkout", "-q", first, "--", "dvc.lock", "data/report/metrics.json")
    git(root, "commit", "-qm", "with its lock")
    assert "1 states in git, 0 decided now" in sync()

    (root / ".strokewise/sync/leftover").mkdir(parents=True)  # of a killed process
    cached = [file for file in (root / ".dvc/cache").rglob("*") if file.is_file()]
    (file,) = [file for file in cached if {b'"choice"', b'"weights"'} <= set(re.findall(rb'"\w+"', file.read_bytes()))]
    # config.json of the baseline
    file.unlink()
    stdout = sync("HEAD")
    assert "skipped: data/baseline is not in the DVC cache; `dvc fetch --all-commits` gets it" in stdout
    code, _, stderr = run_cli("sync", "--rev", "nothing")
    assert (code, "--rev 'nothing' is no commit and no experiment" in stderr) == (2, True)


def test_experiment_is_found_by_its_name(make_history: Callable[..., Path], database: Path, run_cli: RunCli) -> None:
    root = make_history([{}, {"seed": 1}])
    git(root, "update-ref", "refs/exps/aa/bbcc/pied-wren", git(root, "rev-parse", "HEAD"))
    git(root, "reset", "-q", "--hard", "HEAD~1")
    delete_store(root, database)
    code, stdout, _ = run_cli("sync", "--rev", "pied-wren", "--rev", "main")
    assert code == 0
    assert "pied-wren\n          version 1, champion" in stdout
    assert "state 0\n          version 2, challenger" in stdout
    with store.connect() as connection:
        (run,) = connection.client.search_runs(
            [connection.experiment() or ""], "tags.`dvc.experiment` = 'pied-wren' and tags.model = 'cnn'"
        )
    assert run.info.run_name.startswith("cnn pied-wren ")
    assert len(read_snapshot().versions) == 2


def test_project_in_a_subfolder_of_the_repository_is_restored(
    make_history: Callable[..., Path], database: Path, run_cli: RunCli
) -> None:
    root = make_history([{}], subfolder=True)
    delete_store(root, database)
    code, stdout, _ = run_cli("sync")
    assert (code, "state 0\n          version 1, champion" in stdout) == (0, True), stdout
