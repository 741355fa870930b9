"""`strokewise repeat`: the pipeline for several seeds through DVC's queue, and two such groups compared.

Seed number i of a group adds i to every `seed` of params.yaml, so number 0 is the present setting itself, and the same
number of two groups has the same paintings unless these themselves were changed. The result of a seed is kept in the
scratch folder under a digest of all that decided it: what ran before is not run again.
"""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from strokewise.code_digest import code_digest, json_digest
from strokewise.errors import UserError, one_line
from strokewise.evaluation import seeds
from strokewise.evaluation.seeds import SeedComparison, SeedSummary
from strokewise.params import Params
from strokewise.registry import seed_groups, store
from strokewise.registry.artifacts import git_output
from strokewise.registry.seed_groups import SeedResult
from strokewise.registry.store import StoreUnavailable
from strokewise.reproduction import lock_file
from strokewise.reproduction.pipeline_files import git
from strokewise.support import atomic_io, file_lock
from strokewise.support.paths import (
    DRAWINGS_DIR,
    DVC_LOCK_FILE,
    MODEL_DIR,
    OUTLINES_DIR,
    PAINTINGS_DIR,
    REPORT_DIR,
    TRAIN_DRAWINGS_DIR,
    scratch_dir,
)
from strokewise.support.progress import warn
from strokewise.support.text_tables import markdown_table

LAST_STAGE = "evaluate"
REPEATED_STAGES = ("generate", "train", "baseline", LAST_STAGE)
PLAIN_LABEL = "params.yaml"  # the group without -S
LOWER_IS_BETTER = ("loss", "error", "rejections", "residual", "distance")  # in a figure's name
SIGNIFICANCE = 0.05  # of the corrected p values


@dataclass(frozen=True)
class SeedGroup:
    """Settings, and what they came to with each seed."""

    group: str  # digest of all that the seeds share
    label: str
    results: tuple[SeedResult, ...]

    def summary(self) -> dict[str, SeedSummary]:
        """Mean, deviation and interval of every figure that all seeds have."""
        names = set.intersection(*(set(result.metrics) for result in self.results))
        return {
            name: seeds.summarise_seeds([result.metrics[name] for result in self.results])
            for name in sorted(names)
            if name.rpartition(".")[2] not in ("low", "high")
        }


@dataclass(frozen=True)
class FigureComparison:
    """A figure of two groups; `verdict` is better, worse or not shown, of the first group."""

    against: str
    figure: str
    numbers: SeedComparison
    corrected_p: float
    verdict: str


def repeat_pipeline(root: Path, params: Params, overrides: Sequence[str], count: int) -> SeedGroup:
    """Run what is missing of `count` seeds, and log the group in MLflow.

    Args:
        root: the checkout, which is the working directory.
        params: of params.yaml with the overrides.
        overrides: section.key=value, as DVC's -S takes them.
        count: of seeds.

    Raises UserError if a seed fails.
    """
    settings = {
        name: getattr(params, name).model_dump() for name in ("generate", "network", "train", "baseline", "evaluate")
    }
    group = json_digest(
        {
            "settings": settings,
            "code": code_digest(*(f"stages.{stage}" for stage in REPEATED_STAGES)),
            "data": {
                folder.as_posix(): lock_file.folder_md5s(folder, _all_files)
                for folder in (OUTLINES_DIR, DRAWINGS_DIR, TRAIN_DRAWINGS_DIR)
            },
        }
    )
    folder = scratch_dir() / "repeat" / group[:16]
    label = " ".join(overrides) or PLAIN_LABEL
    with file_lock.exclusive_lock(scratch_dir() / "repeat.lock"):
        atomic_io.write_json(folder / "group.json", {"group": group, "label": label})
        names = {f"repeat-{group[:8]}-{index}": index for index in range(count)}
        missing = {name: index for name, index in names.items() if not (folder / f"{index}.json").is_file()}
        queued = _experiments(root)
        for name in [name for name in missing if name in queued]:
            _keep_result(root, name, missing.pop(name), folder)
        if missing:
            _run_queue(root, {name: [*overrides, *_seed_overrides(settings, index)] for name, index in missing.items()})
            for name, index in missing.items():
                _keep_result(root, name, index, folder)
        result = _read_group(folder, range(count))
        assert len(result.results) == count
    flat = dict(lock_file.flatten_params(settings))
    summary = {name: {**asdict(each), "count": None} for name, each in result.summary().items()}
    try:
        with store.connect() as connection, store.store_lock():
            note = "\n".join(markdown_table(summary_rows(result)))
            seed_groups.log_group(connection, group, label, flat, result.results, summary, note)
    except StoreUnavailable as error:
        warn(f"not logged, nothing is lost: {error}; the same command does it later")
    return result


def _all_files(folder: Path) -> list[Path]:
    names = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return [path for path in names if not any(part.startswith(".") for part in path.relative_to(folder).parts)]


def _seed_overrides(settings: Mapping[str, Mapping[str, Any]], index: int) -> list[str]:
    return [f"{name}.seed={section['seed'] + index}" for name, section in settings.items() if "seed" in section]


def _experiments(root: Path) -> dict[str, str]:
    """The commits of DVC's finished experiments by name."""
    lines = git_output(root, "for-each-ref", "--format=%(objectname) %(refname)", "refs/exps").splitlines()
    pairs = (line.split(" ") for line in lines)
    return {name.rpartition("/")[2]: sha for sha, name in pairs if not name.startswith("refs/exps/celery")}


def _run_queue(root: Path, wanted: Mapping[str, Sequence[str]]) -> None:
    """Queue the experiments that are not queued yet, run the queue, and wait. Raises UserError if one fails."""
    status = _queue_status(root)
    failed = [name for name in wanted if status.get(name) in ("Failed", "Success")]
    if failed:
        _dvc(root, "queue", "remove", *failed)
    copied = [
        word for folder in (DRAWINGS_DIR, TRAIN_DRAWINGS_DIR) if _has_drawings(folder) for word in ("-C", str(folder))
    ]
    for name, overrides in wanted.items():
        if name in failed or name not in status:
            words = [word for override in overrides for word in ("-S", override)]
            _dvc(root, "exp", "run", "--queue", "--name", name, *copied, *words, LAST_STAGE)
    try:
        # DVC's own words go to stderr; the experiments run one after the other, in a process of its worker
        command = [sys.executable, "-m", "dvc", "exp", "run", "--run-all"]
        subprocess.run(command, cwd=root, env=_environment(), stdout=sys.stderr, check=False)
    except KeyboardInterrupt:
        _cancel(root, wanted)
        raise
    missing = [name for name in wanted if name not in _experiments(root)]
    if missing:
        raise UserError(
            f"{len(missing)} of {len(wanted)} seeds did not finish; `dvc queue logs {missing[0]}` says why, and the"
            " same command runs them again"
        )


def _has_drawings(folder: Path) -> bool:
    return any(path.name != "README.md" for path in _all_files(folder))


def _cancel(root: Path, names: Iterable[str]) -> None:
    """Take what has not begun out of the queue, and stop what runs: the worker would go on in the background."""
    status = _queue_status(root)
    waiting = [name for name in names if status.get(name) == "Queued"]
    running = [name for name in names if status.get(name) == "Running"]
    with contextlib.suppress(UserError):
        if waiting:
            _dvc(root, "queue", "remove", *waiting)
    with contextlib.suppress(UserError):
        if running:
            _dvc(root, "queue", "kill", *running)


def _queue_status(root: Path) -> dict[str, str]:
    """Queued, Running, Failed or Success by the names of the experiments in DVC's queue."""
    from dvc.repo import Repo

    with Repo(str(root)) as repo:
        return {str(entry["name"]): str(entry["status"]) for entry in repo.experiments.celery_queue.status()}


def _environment() -> dict[str, str]:
    """For DVC: this environment's commands first, and no analytics."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "DVC_NO_ANALYTICS": "1"}


def _dvc(root: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "dvc", *arguments]
    done = subprocess.run(command, cwd=root, env=_environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"dvc {' '.join(arguments[:2])} failed: {one_line(done.stderr or done.stdout)}")


def _keep_result(root: Path, name: str, index: int, folder: Path) -> None:
    """Keep the numbers and predictions of a finished experiment. Raises UserError if DVC's cache has lost them."""
    from dvc.api import DVCFileSystem

    sha = _experiments(root)[name]
    prefix = git_output(root, "rev-parse", "--show-prefix")
    lock = lock_file.parse_lock(git(root, "show", f"{sha}:./{DVC_LOCK_FILE}").decode())
    test = lock["generate"].outs[(PAINTINGS_DIR / "test").as_posix()]
    top = git_output(root, "rev-parse", "--show-toplevel")
    try:
        with contextlib.closing(DVCFileSystem(top, rev=sha, subrepos=bool(prefix))) as filesystem:
            metrics = json.loads(filesystem.read_text(f"{prefix}{(REPORT_DIR / 'metrics.json').as_posix()}"))
            config = json.loads(filesystem.read_text(f"{prefix}{(MODEL_DIR / 'config.json').as_posix()}"))
            predictions = filesystem.read_bytes(f"{prefix}{(REPORT_DIR / 'predictions.parquet').as_posix()}")
    except OSError as error:
        raise UserError(
            f"the results of experiment {name} are gone ({one_line(error, 80)}); `dvc exp remove {name}`, then the same"
            " command runs it again"
        ) from None
    with atomic_io.atomic_replace(folder / f"{index}.parquet") as fresh:
        fresh.write_bytes(predictions)
    result = SeedResult(index, config["fingerprint"], test, dict(lock_file.flatten_params(metrics)))
    atomic_io.write_json(folder / f"{index}.json", asdict(result))  # last: it says that the seed is complete


def _read_group(folder: Path, indices: Iterable[int]) -> SeedGroup:
    about = json.loads((folder / "group.json").read_text(encoding="utf-8"))
    paths = [path for index in indices if (path := folder / f"{index}.json").is_file()]
    results = [SeedResult(**json.loads(path.read_text(encoding="utf-8"))) for path in paths]
    return SeedGroup(about["group"], about["label"], tuple(results))


def find_groups(names: Sequence[str], own: SeedGroup) -> list[SeedGroup]:
    """The groups with these labels or beginnings of their digests; without names the one of params.yaml, if it ran.

    Raises UserError if there is no such group.
    """
    folders = sorted(
        (scratch_dir() / "repeat").glob("*/group.json"), key=lambda path: path.stat().st_mtime, reverse=True
    )
    groups = [_read_group(path.parent, range(len(list(path.parent.glob("*.parquet"))))) for path in folders]
    others = [group for group in groups if group.group != own.group and group.results]
    if not names:
        return [group for group in others if group.label == PLAIN_LABEL][:1]
    chosen = []
    for name in names:
        found = [group for group in others if group.label == name or (len(name) >= 4 and group.group.startswith(name))]
        if not found:
            known = ", ".join(f"{group.label} ({group.group[:8]})" for group in others) or "none"
            raise UserError(f"--against {name!r} is no other group; there are: {known}")
        chosen.append(found[0])
    return chosen


def compare_groups(own: SeedGroup, others: Sequence[SeedGroup]) -> list[FigureComparison]:
    """Every figure of the CNN against every other group, paired by seed, and by painting within a seed.

    The p values are corrected for all comparisons together. Raises UserError if two groups share fewer than two seeds
    with the same test paintings.
    """
    pairs: list[tuple[SeedGroup, str, SeedComparison]] = []
    for other in others:
        theirs = {result.index: result for result in other.results}
        both = [(mine, theirs[mine.index]) for mine in own.results if mine.index in theirs]
        same = [(mine, other_result) for mine, other_result in both if mine.test == other_result.test]
        if len(same) < 2:
            reason = (
                "their test paintings differ, so that no difference could be paired"
                if len(both) > len(same)
                else f"they have {len(both)} seeds in common, and two are the least"
            )
            raise UserError(f"{own.label} and {other.label} cannot be compared: {reason}")
        for name in sorted(own.summary().keys() & other.summary().keys()):
            if name.split(".")[0] in ("cnn", "drawings") and not name.endswith(".baseline"):
                mine_values, their_values = ([pair[side].metrics[name] for pair in same] for side in (0, 1))
                pairs.append((other, name, seeds.compare_seeds(mine_values, their_values)))
    corrected = seeds.holm_adjust([numbers.p for _, _, numbers in pairs])
    return [
        FigureComparison(other.label, name, numbers, p, _verdict(name, numbers, p))
        for (other, name, numbers), p in zip(pairs, corrected, strict=True)
    ]


def _verdict(figure: str, numbers: SeedComparison, p: float) -> str:
    if p >= SIGNIFICANCE:
        return "not shown"
    lower_is_better = any(part in figure for part in LOWER_IS_BETTER)
    return "better" if (numbers.difference > 0) != lower_is_better else "worse"


def summary_rows(group: SeedGroup) -> list[tuple[str, ...]]:
    """The summary as rows of a table, heading first."""
    rows: list[tuple[str, ...]] = [("figure", "mean", "deviation", "95 % interval of the mean")]
    for name, each in group.summary().items():
        deviation = "" if each.deviation is None else f"{each.deviation:.4f}"
        interval = "" if each.low is None else f"{each.low:.4f} to {each.high:.4f}"
        rows.append((name, f"{each.mean:.4f}", deviation, interval))
    return rows


def comparison_rows(comparisons: Sequence[FigureComparison]) -> list[tuple[str, ...]]:
    """The comparisons as rows of a table, heading first."""
    rows: list[tuple[str, ...]] = [("against", "figure", "difference", "95 % interval", "p, corrected", "verdict")]
    for each in comparisons:
        numbers = each.numbers
        interval = f"{numbers.low:+.4f} to {numbers.high:+.4f}"
        rows.append(
            (each.against, each.figure, f"{numbers.difference:+.4f}", interval, f"{each.corrected_p:.2g}", each.verdict)
        )
    return rows
