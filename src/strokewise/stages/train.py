"""data/paintings, data/drawings-train -> data/model: the CNN, its `config.json`, its curves in `history.csv`.

Where the defaults come from: `docs/experiments.md`.
"""

import ctypes
import hashlib
import json
import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import torch.utils.deterministic

from strokewise import dataset, locking, network, progress, sources
from strokewise.errors import ModelError, ParamsError, UserError
from strokewise.learn import checkpoint, diary, distributed, finished, lesson, material, pupil
from strokewise.learn.distributed import Team
from strokewise.learn.lesson import Lesson
from strokewise.learn.pupil import Pupil
from strokewise.params import Params
from strokewise.params import Train as Settings

FOLDER = Path("data/model")
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h
LARGEST = 2**30  # bytes: no batch is larger
ACCURACY = pupil.COLUMNS.index("validation_accuracy")
CHECKPOINT_EVERY_S = 5.0  # a crash costs no more; writing one takes some 20 ms


@dataclass(frozen=True)
class Trained:
    """What came of it: where the model lies, and how it did on the validation paintings."""

    folder: Path
    fingerprint: str
    validation_accuracy: float


def train(
    params: Params,
    folder: Path = FOLDER,
    shown: int | None = None,
    begun: Callable[[Path], None] | None = None,
) -> Trained:
    """Train the CNN of `params.network` as `params.train` says, alone or together with torchrun's other processes.

    Learns from all paintings and drawings, or from the first `shown` paintings of each shape alone. Goes on where a
    killed training of the same fingerprint stood. `begun` is told the folder in which the curves grow (`diary.py`),
    before the first step. Raises DatasetError, ParamsError, and UserError for a training that cannot go on.
    """
    settings = resolved(params.train)
    _keep_memory()
    with distributed.team(settings.device) as team, _reproducible(settings.threads, settings.device):
        learned = material.gather(params.network.grid, shown)
        paintings, unseen = learned.split, dataset.load("validation", params.network.grid)
        _check_batch(params, len(paintings.labels), team)
        decided = {
            "paintings": {"train": paintings.digest, "validation": unseen.digest},
            **learned.besides,
            "network": params.network.model_dump(),
            "training": {**settings.model_dump(), "processes": team.size},
        }
        fingerprint = _digest({**decided, "code": sources.digest("stages.train")})
        _check_agreed(fingerprint, team)
        place = checkpoint.folder(fingerprint)
        known = {**decided, "fingerprint": fingerprint}
        with locking.exclusive(place / checkpoint.LOCK) if team.leads else nullcontext():
            history = finished.find(fingerprint, _versions()) if team.leads else None
            if distributed.tell(team, b"" if history is None else b"finished"):
                if history is not None:
                    _take_up(history, known, folder, place, begun)
                return Trained(folder, fingerprint, history[-1][ACCURACY] if history else math.nan)
            learner = pupil.begin(paintings.shapes, params.network, settings, team)
            _go_on(learner, place, fingerprint, team)
            if team.leads:
                diary.begin(place, known, learner.history)
                if begun:
                    begun(place)
            with _memory_told():
                lesson.teach(
                    learner,
                    settings,
                    Lesson.of(paintings.pictures, paintings.labels, team, learned.freedom),
                    Lesson.of(unseen.pictures, unseen.labels, team),
                    team,
                    _saver(learner, place, fingerprint, team),
                )
            same = hashlib.sha256(network.weights(learner.network)).digest()
            assert distributed.tell(team, same) == same, "the processes have drifted apart"
            if team.leads:
                checkpoint.write(place, checkpoint.pack(pupil.record(learner), fingerprint))
                with _full_disk_told(folder):
                    with finished.written(fingerprint) as fresh:
                        network.save(learner.average, fresh, {**known, "versions": _versions()})
                        (fresh / diary.CURVES).write_text(diary.text(learner.history), encoding="utf-8")
                    finished.publish(fingerprint, folder)
                checkpoint.prune()
    return Trained(folder, fingerprint, learner.history[-1][ACCURACY])


def resolved(settings: Settings) -> Settings:
    """The same settings with what `auto` comes to on this machine, for device and precision.

    Raises ParamsError where cuda was asked for and there is none.
    """
    device, precision = settings.device, settings.precision
    if device == "cuda" and not torch.cuda.is_available():
        raise ParamsError("train.device is cuda, but torch finds no GPU here; take cpu or auto")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if precision == "auto":
        precision = "bfloat16" if _multiplies_bfloat16(device) else "float32"
    return settings.model_copy(update={"device": device, "precision": precision})


def _multiplies_bfloat16(device: str) -> bool:
    """Whether it has units for that: else to round to 16 bits costs more than it saves."""
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu.get_capabilities().get("amx_bf16"))


@contextmanager
def _reproducible(threads: int, device: str) -> Iterator[None]:
    """The same bytes each time on the same machine: this many threads, and no algorithm that races.

    A GPU may know no such algorithm for a layer; then it warns and races.
    """
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    memory: Any = torch.utils.deterministic  # its types lack the attribute
    fills = memory.fill_uninitialized_memory
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS refuses to be deterministic
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=device == "cuda")
    memory.fill_uninitialized_memory = False  # which no layer reads, and costs a twentieth of the time
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(before[1])
        memory.fill_uninitialized_memory = fills


def _keep_memory() -> None:
    """Let glibc keep the memory of one step for the next instead of giving it back: a tenth less time a step."""
    with suppress(OSError, AttributeError):  # another C library has no such call and goes as fast as it goes
        c_library = ctypes.CDLL(None)
        c_library.mallopt(M_MMAP_THRESHOLD, LARGEST)
        c_library.mallopt(M_TRIM_THRESHOLD, LARGEST)


def _check_batch(params: Params, paintings: int, team: Team) -> None:
    each = 2 if params.network.normalisation == "batch" else 1  # which measures a spread
    batch_size, needed = params.train.batch_size, each * team.size
    if min(batch_size, paintings) < needed:
        raise ParamsError(
            f"train.batch_size is {batch_size}, with {paintings} paintings on {team.size} processes; each needs {each} "
            f"at every step: take at least {needed} of both, or fewer processes"
        )


@contextmanager
def _memory_told() -> Iterator[None]:
    """Too little of it is the user's to mend; torch has no class of its own for the memory of a CPU."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError | torch.OutOfMemoryError) and "alloc" not in str(error):
            raise
        raise UserError(
            "there is too little memory for one step; lower train.batch_size, network.grid or network.width"
        ) from None


def _check_agreed(fingerprint: str, team: Team) -> None:
    other = torch.tensor([float(distributed.tell(team, fingerprint.encode()) != fingerprint.encode())])
    others = round(float(distributed.add(team, other.to(team.device))))  # so that all know, and stop, at once
    if others:
        raise UserError(
            f"{others} of {team.size} processes would train another model than the first: give all the same code, "
            "params.yaml, paintings and drawings; if their processors differ, set train.precision instead of auto"
        )


def _digest(decided: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(decided, sort_keys=True).encode()).hexdigest()


def _go_on(learner: Pupil, place: Path, fingerprint: str, team: Team) -> None:
    """Take up the checkpoint, if there is one: only the leader needs the disk that it lies on."""
    content = distributed.tell(team, checkpoint.read(place, fingerprint) if team.leads else b"")
    if content:
        pupil.restore(learner, checkpoint.unpack(content, fingerprint))


def _saver(learner: Pupil, place: Path, fingerprint: str, team: Team) -> Callable[[], None]:
    """Shows each epoch, and writes a checkpoint when the last is old enough: the clock decides when, never what."""
    last = time.monotonic()
    shown = len(learner.history)

    def save() -> None:
        nonlocal last, shown
        if team.leads and len(learner.history) > shown:
            diary.add(place, learner.history[shown:])
            shown = len(learner.history)
        if team.leads and time.monotonic() - last > CHECKPOINT_EVERY_S:
            checkpoint.write(place, checkpoint.pack(pupil.record(learner), fingerprint))
            last = time.monotonic()

    return save


def _take_up(
    history: list[list[float]], known: dict[str, Any], folder: Path, place: Path, begun: Callable[[Path], None] | None
) -> None:
    """Bring back what a training of the same fingerprint ended with."""
    diary.begin(place, known, history)
    if begun:
        begun(place)
    with _full_disk_told(folder):
        finished.publish(known["fingerprint"], folder)
    with progress.bar(len(history), "train", "epochs", done=len(history)):
        pass


def _versions() -> dict[str, str]:
    return {name: version(name) for name in ("numpy", "strokewise", "torch")}


@contextmanager
def _full_disk_told(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ModelError(
            f"{folder} cannot be written: {error.strerror}; make room, then start the same command again: it goes on "
            "from the last checkpoint that could be written"
        ) from None
