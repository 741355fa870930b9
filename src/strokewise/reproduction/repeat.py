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
import tempfile
import time
from collections.abc import Callable, Collection, Mapping, Sequence
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
    PARAMS_FILE,
    REPORT_DIR,
    TRAIN_DRAWINGS_DIR,
    scratch_dir,
)
from strokewise.support.progress import warn
from strokewise.support.text_tables import markdown_table

LAST_STAGE = "evaluate"
REPEATED_STAGES = ("generate", "train", "baseline", LAST_STAGE)
REPEATED_SECTIONS = ("generate", "network", "train", "baseline", "evaluate")  # of params.yaml
STATES = QUEUED, RUNNING, ENDED = ("queued", "running", "ended")  # of an entry of DVC's queue
CANCEL_S = 15.0  # for stopping what runs: less than `signals.CLEANUP_S`
PLAIN_LABEL = "params.yaml"  # the group without -S
LOWER_IS_BETTER = ("loss", "error", "rejections", "residual", "distance", "wrongly")  # in a figure's name
MIN_PAIRS = 2  # seeds with the same test paintings


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
    verdict: str


def repeat_pipeline(
    root: Path, overrides: Sequence[str], count: int, against: Sequence[str]
) -> tuple[SeedGroup, list[FigureComparison]]:
    """Run what is missing of `count` seeds, log the group in MLflow, and compare it with others.

    Args:
        root: the checkout, which is the working directory.
        overrides: of params.yaml, section.key=value, as DVC's -S takes them.
        count: of seeds.
        against: the labels, or beginnings of the digests, of other groups; without any it is the last one of
            params.yaml that has the same test paintings, if there is one.

    Raises UserError if an override or a group is wrong, before anything runs, or if a seed fails.
    """
    other = [text for text in overrides if "=" in text and text.split(".")[0] not in REPEATED_SECTIONS]
    settings = _settings(Params.load(PARAMS_FILE, overrides))
    if other:
        raise UserError(
            f"-S {other[0]} decides nothing about the seeds' results; give one of {', '.join(REPEATED_SECTIONS)}"
        )
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
    label = PLAIN_LABEL if settings == _settings(Params.load(PARAMS_FILE)) else " ".join(overrides)
    others = _other_groups(group, against)
    with file_lock.exclusive_lock(scratch_dir() / "repeat.lock"):
        atomic_io.write_json(folder / "group.json", {"group": group, "label": label})
        names = {f"repeat-{group[:8]}-{index}": index for index in range(count)}
        missing = {name: index for name, index in names.items() if not _result_file(folder, index).is_file()}
        finished = _experiments(root)
        _run_queue(
            root,
            {
                name: [*overrides, *_seed_overrides(settings, index)]
                for name, index in missing.items()
                if name not in finished
            },
        )
        for name, index in missing.items():
            _keep_result(root, name, index, folder)
        everything, result = _read_group(folder), _read_group(folder, count)
        assert len(result.results) == count
    _log_group(everything, settings)
    if not against:
        pairs = [len(seed_groups.pair_results(result.results, each.results)) for each in others]
        others = [each for each, number in zip(others, pairs, strict=True) if number >= MIN_PAIRS][:1]
    return result, compare_groups(result, others)


def _log_group(group: SeedGroup, settings: Mapping[str, Any]) -> None:
    """Log all that there is of a group in MLflow; a store that cannot be used is a warning."""
    summary = {name: {**asdict(each), "count": None} for name, each in group.summary().items()}
    note = "\n".join(markdown_table(summary_rows(group)))
    flat = dict(lock_file.flatten_params(settings))
    try:
        with store.connect() as connection, store.store_lock():
            seed_groups.log_group(connection, group.group, group.label, flat, group.results, summary, note)
    except StoreUnavailable as error:
        warn(f"not logged, nothing is lost: {error}; the same command does it later")


def _settings(params: Params) -> dict[str, dict[str, Any]]:
    return {name: getattr(params, name).model_dump() for name in REPEATED_SECTIONS}


def _result_file(folder: Path, index: int) -> Path:
    return folder / f"{index}.json"


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
    if not wanted:
        return
    from dvc.repo import Repo

    copied = [
        word for folder in (DRAWINGS_DIR, TRAIN_DRAWINGS_DIR) if _has_drawings(folder) for word in ("-C", str(folder))
    ]
    with Repo(str(root)) as repo:
        queue = repo.experiments.celery_queue
        try:
            if _queue_entries(queue, wanted, RUNNING) and not _has_worker(queue, 10):
                _cancel(queue, wanted)  # what a killed worker left: nobody would collect it
            _change_queue(queue.remove, _queue_entries(queue, wanted, ENDED))  # failed, or its result was removed
            there = {entry.name for entry in _queue_entries(queue, wanted)}
            for name, overrides in wanted.items():
                if name not in there:
                    words = [word for override in overrides for word in ("-S", override)]
                    _dvc(root, "exp", "run", "--queue", "--name", name, *copied, *words, LAST_STAGE)
            _wait_for_queue(root, queue, wanted)
        except BaseException:
            _cancel(queue, wanted)
            raise
    missing = wanted.keys() - _experiments(root).keys()
    if missing:
        raise UserError(
            f"{len(missing)} of {len(wanted)} seeds did not finish; `dvc queue logs {min(missing)}` says why, and the"
            " same command runs them again"
        )


def _has_drawings(folder: Path) -> bool:
    return any(path.name != "README.md" for path in _all_files(folder))


def _queue_entries(queue: Any, names: Collection[str], *states: str) -> list[Any]:
    """The entries of DVC's queue with these names, in these states (default: in any), the latest state last.

    They are read in the order in which an entry goes from one state to the next, so that none is missed.
    """
    entries = {
        entry.name: (entry, state)
        for state, entries_of in ((QUEUED, queue.iter_queued), (RUNNING, queue.iter_active))
        for entry in entries_of()
    }
    entries |= {done.entry.name: (done.entry, ENDED) for done in queue.iter_done()}
    return [entry for entry, state in entries.values() if entry.name in names and state in (states or STATES)]


def _wait_for_queue(root: Path, queue: Any, names: Collection[str]) -> None:
    """Have the experiments run, one after the other, and copy what they print to stderr.

    DVC's own `exp run --run-all` would wait for ever where its worker was killed, or ended just as it was asked.
    """
    printed: dict[str, int] = {}  # bytes of each file with an experiment's output
    while open_entries := _queue_entries(queue, names, QUEUED, RUNNING):
        for entry in open_entries:
            if (process := queue.proc.get(entry.stash_rev)) is not None:
                printed.setdefault(process.stdout, 0)
        _print_new(printed)
        running = _queue_entries(queue, names, RUNNING)
        if _has_worker(queue, 10 if running else 1):
            continue
        if running:
            lost = [entry for entry in running if not _is_alive(queue.proc.get(entry.stash_rev))]
            _change_queue(queue.kill, lost)  # marks it as failed
        else:
            _dvc(root, "queue", "start")
            _has_worker(queue, 60)  # until it answers: DVC would start a second one
    _print_new(printed)


def _has_worker(queue: Any, patience: int) -> bool:
    """Whether DVC's worker answers within so many seconds; it takes longer than one at times."""
    return any(queue.worker_status() for _ in range(patience))


def _print_new(printed: dict[str, int]) -> None:
    for path, start in printed.items():
        with Path(path).open("rb") as file:
            file.seek(start)
            sys.stderr.write(file.read().decode(errors="replace"))
            printed[path] = file.tell()
    sys.stderr.flush()


def _is_alive(process: Any) -> bool:
    try:
        os.kill(process.pid, 0)
    except (AttributeError, ProcessLookupError):  # none was started, or it ended
        return False
    return True


def _cancel(queue: Any, names: Collection[str]) -> None:
    """Take what has not begun out of the queue, and stop what runs: the worker would go on in the background."""
    deadline = time.monotonic() + CANCEL_S
    while (entries := _queue_entries(queue, names, QUEUED, RUNNING)) and time.monotonic() < deadline:
        waiting = _queue_entries(queue, names, QUEUED)
        _change_queue(queue.remove, waiting)
        if not waiting:
            _change_queue(queue.kill, entries)
            time.sleep(1)


def _change_queue(change: Callable[[list[str]], object], entries: Sequence[Any]) -> None:
    """Remove entries from DVC's queue, or kill them: interrupt them, or mark them as failed if they run no more."""
    from dvc.exceptions import DvcException

    with contextlib.suppress(DvcException), contextlib.redirect_stdout(sys.stderr):  # one may have begun or ended
        if entries:
            change([entry.name for entry in entries])


def _environment() -> dict[str, str]:
    """For DVC: this environment's commands first, and no analytics."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "DVC_NO_ANALYTICS": "1"}


def _dvc(root: Path, *arguments: str) -> None:
    with tempfile.TemporaryFile() as output:  # no pipe: DVC's worker would keep it open
        command = [sys.executable, "-m", "dvc", *arguments]
        done = subprocess.run(
            command, cwd=root, env=_environment(), stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False
        )
        output.seek(0)
        text = output.read().decode(errors="replace")
    if done.returncode:
        raise UserError(f"dvc {' '.join(arguments[:2])} failed: {one_line(text)}")


def _keep_result(root: Path, name: str, index: int, folder: Path) -> None:
    """Keep the numbers of a finished experiment. Raises UserError if DVC's cache has lost them."""
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
    except OSError as error:
        raise UserError(
            f"the results of experiment {name} are gone ({one_line(error, 80)}); `dvc exp remove {name}`, then the same"
            " command runs it again"
        ) from None
    result = SeedResult(index, config["fingerprint"], test, dict(lock_file.flatten_params(metrics)))
    atomic_io.write_json(_result_file(folder, index), asdict(result))


def _read_group(folder: Path, count: int | None = None) -> SeedGroup:
    """What is there of a group, or of its first `count` seeds."""
    about = json.loads((folder / "group.json").read_text(encoding="utf-8"))
    indices = sorted(int(path.stem) for path in folder.glob("*.json") if path.stem.isdecimal())[:count]
    results = [SeedResult(**json.loads(_result_file(folder, index).read_text(encoding="utf-8"))) for index in indices]
    return SeedGroup(about["group"], about["label"], tuple(results))


def _other_groups(own: str, names: Sequence[str]) -> list[SeedGroup]:
    """The groups with these labels or beginnings of their digests; without names those of params.yaml, newest first.

    Raises UserError if there is no such group.
    """
    folders = sorted(
        (scratch_dir() / "repeat").glob("*/group.json"), key=lambda path: path.stat().st_mtime, reverse=True
    )
    others = [group for group in map(_read_group, (path.parent for path in folders)) if group.group != own]
    if not names:
        return [group for group in others if group.label == PLAIN_LABEL]
    chosen = []
    for name in names:
        found = [group for group in others if group.label == name or (len(name) >= 4 and group.group.startswith(name))]
        if not found:
            known = ", ".join(f"{group.label} ({group.group[:8]})" for group in others) or "none"
            raise UserError(f"--against {name!r} is no other group; there are: {known}")
        chosen.append(found[0])
    return chosen


def compare_groups(own: SeedGroup, others: Sequence[SeedGroup]) -> list[FigureComparison]:
    """Every figure of the CNN against every other group, paired by seed and test paintings.

    Intervals and p values are corrected for all comparisons together. Raises UserError if two groups share fewer than
    two seeds with the same test paintings.
    """
    pairs: list[tuple[str, str, list[float], list[float]]] = []
    for other in others:
        both = seed_groups.pair_results(own.results, other.results)
        if len(both) < MIN_PAIRS:
            raise UserError(
                f"{own.label} and {other.label} cannot be compared: {len(both)} of their {len(own.results)} and"
                f" {len(other.results)} seeds have the same test paintings, and {MIN_PAIRS} are the least; run the same"
                " seeds of both, with the same parameters of the test paintings"
            )
        against = other.label if other.label != own.label else f"{other.label} ({other.group[:8]})"
        for name in sorted(own.summary().keys() & other.summary().keys()):
            if name.split(".")[0] not in ("baseline", "difference") and not name.endswith(".baseline"):
                values, other_values = ([pair[side].metrics[name] for pair in both] for side in (0, 1))
                pairs.append((against, name, values, other_values))
    return [
        _compare_figure(against, name, seeds.compare_seeds(values, other_values, comparisons=len(pairs)))
        for against, name, values, other_values in pairs
    ]


def _compare_figure(against: str, figure: str, numbers: SeedComparison) -> FigureComparison:
    lower_is_better = any(part in figure for part in LOWER_IS_BETTER)
    verdict = {0: "not shown", 1: "better", -1: "worse"}[-numbers.sign if lower_is_better else numbers.sign]
    return FigureComparison(against, figure, numbers, verdict)


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
    rows: list[tuple[str, ...]] = [
        ("against", "figure", "difference", "interval, corrected", "p, corrected", "verdict")
    ]
    for each in comparisons:
        numbers = each.numbers
        interval = "no spread" if numbers.low is None else f"{numbers.low:+.4f} to {numbers.high:+.4f}"
        rows.append(
            (each.against, each.figure, f"{numbers.difference:+.4f}", interval, f"{numbers.p:.2g}", each.verdict)
        )
    return rows
