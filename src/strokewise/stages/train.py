"""data/paintings, data/drawings-train -> data/model: the CNN, its `config.json`, its curves in `history.csv`.

Where the defaults come from (2026-11-22): 600 paintings, judged on 5,400 others (standard error 0.6 points; one seed
each, so what differs by less than 2 points does not differ). On an earlier, harder painter, 60 epochs:

    64.1 %  32-64-128 maps, one fully connected layer, rate 0.003, small changes only
    69.2    + each painting turned and mirrored as far as its like were painted (`augment.Freedom`)
    71.2    + rate 0.01             71.5  group normalisation instead           65.5  strided, 120 epochs
    74.4    + 64 hidden units, 32-64-96 maps                                    75.3  both this and rate 0.01
    76.5    + a fourth stage, 2×2 maps at the end
    79.5    + 100 epochs: nothing else helped as much, so a network that is cheaper to train wins

From 75.3, nothing came of batches of 32 (75.5), SiLU (75.9), 64 maps and 128 hidden units (75.9), a strength of 1.5
(74.5), average pooling (71.0) or group normalisation (74.2); from 76.5, nothing of rate 0.02 (76.8) or weight decay
0.3 (77.0). On the present painter, at about the same CPU time: 32 maps and 100 epochs 89.1 %, 24 and 120 90.1,
16 and 160 89.5, 24 and 100 with a stronger warp 89.3. 24 maps, 100: 89.9 and 89.0.

On 2,400 test paintings (2026-11-25, one seed each; in brackets the recall of `other`, the weakest class): 89.2 % (60).
Stretched as far as their like were (`augment.Freedom`) 89.3 (55), and on thin shapes of hasty writers a point better.
Two paintings put on one sheet as `other` at each seventh look 87.6 (49): worse, it costs the shapes and gains nothing.
Doodles painted twice as often as a shape (`painter.DOODLES`) 89.2 (76), three times 89.1 (82), but then other shapes
are turned away. 6,000 paintings 93.1 (74): what the defaults lack is paintings, not a better way to learn from them.

Made cheaper (2026-11-26, seeds 0 to 3, mean on 2,400 test paintings; CPU seconds; hasty writers' drawings right):

    24 maps, 12 extra line filters      88.3 %  112 s  82.0 %
    24 maps,  4 extra                   87.8    101    81.5
    20 maps,  4 extra (the defaults)    87.7     84    81.6
    24 maps, 12 extra, 75 epochs        87.3     82    79.0

In the same time fewer maps do better than fewer epochs. Threads that spin before they sleep (GOMP_SPINCOUNT=10000)
are a tenth faster on a quiet machine and half as fast beside a busy neighbour: left out. A hand that moves on while it
draws, so that the end of an outline misses its beginning, changed nothing (6,000 paintings, hasty writers 87.1 and
87.4 % without): what is wrong there is mostly ellipse against `other`, heart and triangle, not the three among
themselves.

Larger batches (2026-11-26, on the present painter, two looks, seeds 0 to 3; two threads share a step of 200 better, an
Intel Xeon trains 1,303, 1,754 and 1,981 paintings a second with batches of 60, 120 and 200; test, careful, hasty):

     64, 100 epochs, rate 0.010, averaging 0.98     90.8 %  98.9 %  82.8 %
    120, 100         0.012           0.96           90.9    99.0    82.8
    120, 130         0.012           0.96           91.0    98.9    85.5
    200, 150         0.014           0.93           91.2    99.4    84.7    (the defaults: as fast as the first)

Two looks at each picture, turned by 8.5° either way (`network.probabilities`; seeds 0 to 3): drawings of careful
writers 97.9 -> 99.1 %, of hasty ones 81.3 -> 84.1, of Quick, Draw! 90.7 -> 91.5. Three looks with the straight one gain
no more, shifts by a pixel and small stretches less, a mirror more, but not every shape may be mirrored. Nothing came
of dropout before the fully connected layers (0.25: hasty 79.0 against 82.1 without) or of mixing paintings (mixup,
beta 0.3: 79.5). What the painter does hardly moves the hasty writers: more haste, heavier bends, trapezoids, thinner
shapes, more flying ends and blunt corners all left them at 87 % (3,000 paintings, 20 epochs), each within a point.

Evened by the door (`pictures._evening`): a drawing n times as long as wide becomes n to a power less (2026-11-26, seeds
0 to 3, one thread; test, careful, hasty). It is worth as much as five times as many paintings:

    n (not evened)   91.2 %  99.4 %  84.7 %
    n^0.65           92.6    99.8    87.1
    n^0.5            92.4    99.9    87.6    (the defaults; by moments of the ink, not of its hull, 87.0)
    n^0.25           91.9    99.8    84.8    (moments of the ink)

Lines made thin again after evening changed nothing (92.4, 99.8, 87.3), nor did evening by at most five times (92.5,
99.8, 87.0) or a grid of 48 with 260 epochs, as fast, but hasty writers' other drawings 89.8 % right instead of 91.5.

In bfloat16, on an Intel Xeon with AMX, training takes four fifths of the time and is as good (2026-11-26, seeds 0 to
3; test, careful, hasty):

    float32          92.2 %  99.9 %  87.7 %
    bfloat16         92.4    99.9    87.2
      190 epochs     92.8    99.8    88.0
      24 maps        92.5    99.8    88.0
      24 to 128      92.6    99.9    88.4
      16 maps, 190   92.5    99.8    87.5

so nothing certain comes of the time saved, and the defaults stay what other processors can do in a minute, too. Half
of what convolutions still take is the weights' gradients, at which AMX is no faster. Going from convolution to pooling
in pieces of a batch that fit the cache is slower by 5 to 40 %.
"""

import ctypes
import hashlib
import json
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

from strokewise import dataset, disk, locking, network, sources
from strokewise.errors import ModelError, ParamsError, UserError
from strokewise.learn import checkpoint, diary, distributed, lesson, material, pupil
from strokewise.learn.distributed import Team
from strokewise.learn.lesson import Lesson
from strokewise.learn.pupil import Pupil
from strokewise.params import Params
from strokewise.params import Train as Settings

FOLDER = Path("data/model")
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h
LARGEST = 2**30  # bytes: no batch is larger
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
        with locking.exclusive(place / checkpoint.LOCK) if team.leads else nullcontext():
            learner = pupil.begin(paintings.shapes, params.network, settings, team)
            _go_on(learner, place, fingerprint, team)
            if team.leads:
                diary.begin(place, {**decided, "fingerprint": fingerprint}, learner.history)
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
                _write(learner, folder, {**decided, "fingerprint": fingerprint})
                checkpoint.prune()
    return Trained(folder, fingerprint, learner.history[-1][pupil.COLUMNS.index("validation_accuracy")])


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


def _write(learner: Pupil, folder: Path, known: dict[str, Any]) -> None:
    """The model folder, whole or not at all."""
    versions = {name: version(name) for name in ("numpy", "strokewise", "torch")}
    try:
        with disk.replacing(folder) as fresh:
            network.save(learner.average, fresh, {**known, "versions": versions})
            (fresh / diary.CURVES).write_text(diary.text(learner.history), encoding="utf-8")
    except OSError as error:
        raise ModelError(
            f"{folder} cannot be written: {error.strerror}; make room, then start the same command again: it goes on "
            "from the last checkpoint that could be written"
        ) from None
