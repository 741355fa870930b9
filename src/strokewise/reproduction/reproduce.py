"""`strokewise reproduce`: make a registered model, or the results of a commit, again, and compare stage by stage."""

import dataclasses
import json
import os
import platform
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from strokewise.code_digest import json_digest
from strokewise.errors import UserError
from strokewise.registry import origins
from strokewise.registry.artifacts import git_output
from strokewise.registry.origins import VersionOrigin
from strokewise.registry.store import StoreUnavailable
from strokewise.reproduction import checkout, comparison, environment, lock_file
from strokewise.reproduction.comparison import Difference, Outcome, StageComparison
from strokewise.reproduction.lock_file import StageLock, parse_lock
from strokewise.reproduction.pipeline_files import git, open_pipeline
from strokewise.support.paths import DVC_LOCK_FILE, MODEL_DIR
from strokewise.support.progress import warn

CONFIG_PATH = (MODEL_DIR / "config.json").as_posix()
REGISTERED_STAGE = "registered"  # beside the stages: whether the version's files are those of the commit


@dataclass(frozen=True)
class Reproduction:
    """A result that was made again."""

    target: str
    commit: str
    version: str | None  # "version 3, champion", on which the outcome is written
    outcome: Outcome
    stages: tuple[StageComparison, ...]
    environment: str
    machine: str
    at: str  # UTC, ISO 8601
    fresh: bool

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return dataclasses.asdict(self)


def reproduce_target(root: Path, target: str, fresh: bool) -> Reproduction:
    """Run the pipeline of the commit behind `target` apart from the working tree, and compare.

    Args:
        root: the checkout.
        target: an alias or number of a version, or a revision of git, or a DVC experiment.
        fresh: take nothing from DVC's run cache.

    The outcome is written onto the version in MLflow, if there is one. Raises UserError, with the reason, if the target
    cannot be made again.
    """
    origin = origins.find_origin(target)
    sha = checkout.resolve_commit(root, target) if origin is None else _commit_of(root, origin)
    expected = _read_commit_lock(root, sha)
    with open_pipeline(root) as present:
        cache = present.cache
    with checkout.lay_out(root, sha, None if fresh else cache) as laid_out:
        python, described = environment.environment_for(laid_out.root, root)
        print(f"{sha[:8]} is made again in {laid_out.root}, in {described}", file=sys.stderr, flush=True)
        how = checkout.run_pipeline(laid_out, expected, python)
        with open_pipeline(laid_out.root) as made:
            files = dataclasses.replace(made, cache=cache)
            stages = comparison.compare_stages(files, expected, how, sha)
        fingerprint = _fingerprint(root, sha, expected, laid_out.root)
    if origin is not None:
        stages.append(_compare_registered(origin, expected))
    machine = describe_machine()
    result = Reproduction(
        target=target,
        commit=sha,
        version=None,
        outcome=comparison.worst([stage.outcome for stage in stages]),
        stages=tuple(stages),
        environment=described,
        machine=machine,
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        fresh=fresh,
    )
    return dataclasses.replace(result, version=_record(result, fingerprint))


def _commit_of(root: Path, origin: VersionOrigin) -> str:
    """The commit whose `dvc.lock` names the version's own config.json, which holds all that decided the model.

    Raises UserError if there is none.
    """
    digest = lock_file.file_md5(origin.folder / "config.json")
    recorded, _, changes = origin.commit.partition(" ")
    for sha in (*filter(None, [recorded]), *checkout.commits_with_lock(root)):
        if digest in git(root, "show", f"{sha}:./{DVC_LOCK_FILE}").decode(errors="replace"):
            return git_output(root, "rev-parse", sha)
    made = f"from uncommitted changes on {recorded[:8]}" if changes else f"from {recorded[:8] or 'outside git'}"
    raise UserError(
        f"{origin.status} was registered {made}, and no commit here has its model in {DVC_LOCK_FILE}: the code and"
        " parameters that made it are in no commit, so it cannot be made again; commit, `dvc repro`, commit dvc.lock"
    )


def _read_commit_lock(root: Path, sha: str) -> dict[str, StageLock]:
    text = git(root, "show", f"{sha}:./{DVC_LOCK_FILE}")
    if not text:
        raise UserError(f"{sha[:8]} has no {DVC_LOCK_FILE}: there is no result to compare with; name another commit")
    return parse_lock(text.decode())


def _compare_registered(origin: VersionOrigin, expected: dict[str, StageLock]) -> StageComparison:
    """Whether the registered files are, byte by byte, those that the commit's `dvc.lock` names."""
    outs = {path: digest for stage in expected.values() for path, digest in stage.outs.items()}
    differences = [
        Difference(f"{origin.status}: {path.name}", "not the file that dvc.lock names", tolerable=False)
        for path in sorted(origin.folder.iterdir())
        if outs.get(f"{MODEL_DIR.as_posix()}/{path.name}") not in (None, lock_file.file_md5(path))
    ]
    outcome: Outcome = "DIFFERENT" if differences else "SAME"
    return StageComparison(REGISTERED_STAGE, outcome, "compared", tuple(differences))


def _fingerprint(root: Path, sha: str, expected: dict[str, StageLock], made: Path) -> str:
    """The fingerprint of the commit's model: from its config.json in the cache, else of the one that was made."""
    digest = next((stage.outs[CONFIG_PATH] for stage in expected.values() if CONFIG_PATH in stage.outs), "")
    with open_pipeline(root) as files:
        cached = lock_file.cache_path(files.cache, digest)
        content = cached.read_bytes() if digest and cached.is_file() else (made / CONFIG_PATH).read_bytes()
    return str(json.loads(content)["fingerprint"])


def _record(result: Reproduction, fingerprint: str) -> str | None:
    """Write the outcome onto the version; a store that fails costs a warning."""
    summary = f"{result.outcome} on {result.machine}, {result.at[:10]}"
    record = {
        "outcome": result.outcome,
        "machine": result.machine,
        "at": result.at,
        "commit": result.commit,
        "fresh": result.fresh,
        "stages": {stage.stage: stage.outcome for stage in result.stages},
    }
    try:
        return origins.record_verdict(fingerprint, json_digest(result.machine)[:8], record, summary)
    except StoreUnavailable as error:
        warn(f"the outcome is not written onto the version: {error}")
        return None


def describe_machine() -> str:
    """Host, system, processor and Python of this machine."""
    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        processor = names[0] if names else processor
    cores = os.cpu_count()
    return f"{platform.node()} ({platform.system()}, {processor}, {cores} cores, Python {platform.python_version()})"
