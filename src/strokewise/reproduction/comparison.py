"""A pipeline that was run again → stage by stage, whether it came to the same: SAME, WITHIN TOLERANCE or DIFFERENT.

Another machine rounds otherwise: its weights are others, and what follows from them. That is tolerable if the paintings
are equal, what the stages read from git is equal, and the accuracy of both models lies in the interval that was
reported. Anything else that differs is a difference.
"""

import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import safetensors.numpy

from strokewise.data.dataset import load_factors, load_scenes
from strokewise.errors import one_line
from strokewise.reproduction import lock_file
from strokewise.reproduction.lock_file import StageLock
from strokewise.reproduction.pipeline_files import PipelineFiles, git, join_some
from strokewise.reproduction.predictions import read_predictions
from strokewise.support.paths import PAINTINGS_DIR, REPORT_DIR

Outcome = Literal["SAME", "WITHIN TOLERANCE", "DIFFERENT"]
SEVERITY: tuple[Outcome, ...] = ("SAME", "WITHIN TOLERANCE", "DIFFERENT")
DETAILS_FILE = (REPORT_DIR / "details.json").as_posix()


@dataclass(frozen=True)
class Difference:
    """What differs at a path or parameter, by how much, and whether another machine's rounding could explain it."""

    where: str
    what: str
    tolerable: bool


@dataclass(frozen=True)
class StageComparison:
    """A stage that was run again."""

    stage: str
    outcome: Outcome
    how: str  # "ran", "run cache"
    differences: tuple[Difference, ...]


def compare_stages(
    files: PipelineFiles, expected: Mapping[str, StageLock], how: Mapping[str, str], old_commit: str
) -> list[StageComparison]:
    """Compare what a run has made in `files.root` with what the commit's `dvc.lock` names.

    Args:
        files: the pipeline that was run; its cache is the one that may hold the old files.
        expected: the stages of the commit's `dvc.lock`.
        how: how each stage came about.
        old_commit: whose git blobs are the old versions of outputs that git keeps.
    """
    old = OldFiles(files, old_commit)
    inputs = {name: list(_input_differences(files, name, stage)) for name, stage in expected.items()}
    changed = {
        name: {path: digest for path, digest in stage.outs.items() if files.digest(path) != digest}
        for name, stage in expected.items()
    }
    paintings = {
        path: _compare_paintings(files, old, path, digest)
        for outs in changed.values()
        for path, digest in outs.items()
        if path.startswith(f"{PAINTINGS_DIR}/")
    }
    explicable = (
        not any(inputs.values())
        and all(difference.tolerable for difference in paintings.values())
        and _accuracy_holds(files, old, expected)
    )
    compared = []
    for name, stage in expected.items():
        if not stage.outs:  # it acts on the outside world, and was not run
            continue
        differences = inputs[name] + [
            paintings.get(path) or Difference(path, old.describe(path, digest), explicable)
            for path, digest in changed[name].items()
        ]
        outcomes: list[Outcome] = ["WITHIN TOLERANCE" if each.tolerable else "DIFFERENT" for each in differences]
        how_made = how.get(name, "ran before the interruption")
        compared.append(StageComparison(name, worst(outcomes), how_made, tuple(differences)))
    return compared


def worst(outcomes: Sequence[Outcome]) -> Outcome:
    """The most severe of them; SAME if there are none."""
    return max(outcomes, key=SEVERITY.index, default="SAME")


def _input_differences(files: PipelineFiles, name: str, expected: StageLock) -> Iterator[Difference]:
    """What a stage read from git or from the user that is not what the commit's `dvc.lock` says it ran with."""
    actual = files.lock.get(name)
    if actual is None:
        if expected.outs:
            yield Difference(name, "this stage is not in dvc.yaml", tolerable=False)
        return
    if actual.command != expected.command:
        yield Difference("dvc.yaml", f"the command is {actual.command!r}, was {expected.command!r}", tolerable=False)
    made = {out for stage in files.lock.values() for out in stage.outs}
    for path in sorted(expected.deps.keys() | actual.deps.keys()):
        if any(path == out or path.startswith(f"{out}/") or out.startswith(f"{path}/") for out in made):
            continue
        was, now = expected.deps.get(path), actual.deps.get(path)
        if was != now:
            where = files.describe_change(path, was) if was and now else path
            yield Difference(where, "not what dvc.lock says the stage ran with", tolerable=False)
    for key in sorted(expected.params.keys() | actual.params.keys()):
        was, now = expected.params.get(key, "not there"), actual.params.get(key, "not there")
        if was != now:
            yield Difference(key, f"{json.dumps(now)} in params.yaml, {json.dumps(was)} in dvc.lock", tolerable=False)


@dataclass(frozen=True)
class OldFiles:
    """The contents that outputs had, from DVC's cache, or from git where git keeps them; and the new ones."""

    files: PipelineFiles
    commit: str

    def content(self, path: str, digest: str) -> bytes | None:
        """The old bytes of a file; None if neither has them."""
        blob = git(self.files.root, "show", f"{self.commit}:./{path}")
        return blob if blob and lock_file.bytes_md5(blob) == digest else self.files.content(path, digest)

    def listing(self, path: str, digest: str) -> dict[str, str] | None:
        """The old files of a folder with their digests, or of a file itself; None if unknown."""
        if digest.endswith(lock_file.FOLDER_SUFFIX):
            return lock_file.cached_listing(self.files.cache, digest)
        return {"": digest}

    def pairs(self, path: str, digest: str) -> Iterator[tuple[str, bytes | None, bytes | None]]:
        """(path, old bytes, new bytes) of every file of an output that differs."""
        listing = self.listing(path, digest)
        place = self.files.root / path
        if listing is None:
            yield path, None, None
            return
        is_folder = digest.endswith(lock_file.FOLDER_SUFFIX)
        new = (
            {file.relative_to(place).as_posix(): file for file in self.files.list_files(place)}
            if is_folder
            else {"": place}
        )
        for name in sorted(listing.keys() | new):
            full = f"{path}/{name}" if name else path
            file = new.get(name)
            content = file.read_bytes() if file is not None and file.is_file() else None
            if content is None or lock_file.bytes_md5(content) != listing.get(name):
                yield full, self.content(full, listing[name]) if name in listing else None, content

    def describe(self, path: str, digest: str) -> str:
        """What differs in an output, and by how much."""
        found = [(file, _describe_file(file, old, new)) for file, old, new in self.pairs(path, digest)]
        return join_some([what if file == path else f"{Path(file).name} {what}" for file, what in found])


def _describe_file(path: str, old: bytes | None, new: bytes | None) -> str:
    if new is None:
        return "is missing"
    if old is None:
        return "other bytes; the old ones are not in the cache"
    try:
        match Path(path).suffix:
            case ".json":
                return _describe_json(json.loads(old), json.loads(new))
            case ".safetensors":
                return _describe_weights(old, new)
            case ".parquet":
                return _describe_predictions(old, new)
    except (ValueError, LookupError) as error:
        return f"cannot be compared: {one_line(error, 80)}"
    offset = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    return f"from byte {offset + 1:,} of {len(new):,} on"


def _describe_json(old: Any, new: Any) -> str:
    before, after = (dict(lock_file.flatten_params(value)) for value in (old, new))
    changed = [key for key in sorted(before.keys() | after) if before.get(key, ...) != after.get(key, ...)]
    shown_keys = [
        key for key in changed if not isinstance(after.get(key), list | dict | str) or len(str(after[key])) < 40
    ]
    shown = [
        f"{key} {_short(after.get(key, 'gone'))}, was {_short(before.get(key, 'not there'))}" for key in shown_keys
    ]
    return join_some(shown) or f"{len(changed)} values, {changed[0] if changed else 'none'} first"


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _describe_weights(old: bytes, new: bytes) -> str:
    before, after = safetensors.numpy.load(old), safetensors.numpy.load(new)
    if {name: value.shape for name, value in before.items()} != {name: value.shape for name, value in after.items()}:
        return "another architecture"
    largest = max(
        float(np.abs(before[name].astype(float) - after[name].astype(float)).max(initial=0)) for name in before
    )
    return f"weights differ by up to {largest:.2g}"


def _describe_predictions(old: bytes, new: bytes) -> str:
    before, after = (read_predictions(content) for content in (old, new))
    if len(before["label"]) != len(after["label"]):
        return f"{len(after['label'])} predictions, were {len(before['label'])}"
    counts = [
        f"{int((before[kind] != after[kind]).sum())} of {len(after[kind]):,} predictions of the {kind}"
        for kind in ("cnn", "baseline")
    ]
    return f"{' and '.join(counts)} differ"


def _compare_paintings(files: PipelineFiles, old: OldFiles, path: str, digest: str) -> Difference:
    """A split is the same if its pictures are, pixel by pixel: another library may pack them into other bytes."""
    if not digest.endswith(lock_file.FOLDER_SUFFIX):
        return Difference(path, old.describe(path, digest), tolerable=path.endswith(".png"))
    listing = old.listing(path, digest) or {}
    contents = {name: old.content(f"{path}/{name}", each) for name, each in listing.items()}
    if not contents or None in contents.values():
        return Difference(path, "other bytes; the old ones are not in the cache", tolerable=False)
    split = Path(path).name
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / split
        folder.mkdir()
        for name, content in contents.items():
            (folder / name).write_bytes(content or b"")
        before, after = (_scene_digests(split, place.parent) for place in (folder, files.root / path))
    if len(before) != len(after):
        return Difference(path, f"{len(after):,} paintings, were {len(before):,}", tolerable=False)
    count = sum(a != b for a, b in zip(before, after, strict=True))
    if count:
        return Difference(path, f"{count:,} of {len(after):,} paintings differ", tolerable=False)
    return Difference(path, "the same pictures in other bytes", tolerable=True)


def _scene_digests(split: str, folder: Path) -> list[str]:
    indices = range(len(next(iter(load_factors(split, folder).values()))))
    return [hashlib.sha256(scene.tobytes()).hexdigest() for scene in load_scenes(split, indices, folder)]


def _accuracy_holds(files: PipelineFiles, old: OldFiles, expected: Mapping[str, StageLock]) -> bool:
    """Whether the accuracy of both models lies in the interval that the old report gives."""
    digest = next((stage.outs[DETAILS_FILE] for stage in expected.values() if DETAILS_FILE in stage.outs), None)
    place = files.root / DETAILS_FILE
    content = old.content(DETAILS_FILE, digest) if digest else None
    if content is None or not place.is_file():
        return False
    before, after = json.loads(content), json.loads(place.read_bytes())
    return all(before[kind]["low"] <= after[kind]["accuracy"] <= before[kind]["high"] for kind in ("cnn", "baseline"))
