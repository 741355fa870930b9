"""data/paintings, data/drawings-train → data/model: the CNN and its curves.

    model.safetensors       the weights
    model.onnx              all that prediction needs, the outlines among it
    config.json             architecture, shapes, parameters, fingerprint
    history.csv             loss and accuracy, an epoch a row
    snapshots.safetensors   the weights at five shares of the training, to look at

Where the defaults come from: `docs/experiments.md`.
"""

import ctypes
import hashlib
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

from strokewise.code_digest import code_digest, json_digest
from strokewise.data.dataset import load_paintings
from strokewise.data.outline_files import read_outlines
from strokewise.data.training_set import load_training_set
from strokewise.errors import ModelError, ParamsError, UserError
from strokewise.model.model_files import save_model, weights_bytes
from strokewise.params import Params, TrainParams
from strokewise.support import atomic_io, file_lock, progress, training_times
from strokewise.support.paths import HISTORY_FILE, MODEL_DIR, SNAPSHOTS_FILE
from strokewise.training import checkpoint, distributed, finished, trainer
from strokewise.training import state as train_state
from strokewise.training.augment_params import augment_limits
from strokewise.training.distributed import DistributedContext
from strokewise.training.history import append_epochs, history_csv, start_history
from strokewise.training.snapshots import snapshots_bytes
from strokewise.training.state import HISTORY_COLUMNS, TrainState
from strokewise.training.trainer import DeviceDataset

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h
MALLOC_THRESHOLD = 2**30  # bytes: no batch is larger
CHECKPOINT_EVERY_S = 5.0  # a crash costs no more; writing one takes some 20 ms
LIBRARIES = ("numpy", "strokewise", "torch")  # that the weights may depend on


@dataclass(frozen=True)
class TrainResult:
    """Where the model lies, and its accuracy on the validation paintings."""

    folder: Path
    fingerprint: str
    training_digest: str
    validation_accuracy: float


def train(
    params: Params,
    folder: Path = MODEL_DIR,
    paintings_per_shape: int | None = None,
    on_start: Callable[[Path], None] | None = None,
) -> TrainResult:
    """Train the CNN of `params.network` as `params.train` says, alone or together with torchrun's other processes.

    A finished training of the same paintings, parameters and code is taken up, a killed one resumed.

    Args:
        params: of params.yaml.
        folder: the model folder to write.
        paintings_per_shape: train on the first so many paintings of each shape alone; None: all, and all drawings.
        on_start: called before the first step with the folder in which `history.csv` grows.

    Raises DatasetError, ParamsError, ModelError where `folder` cannot be written, and UserError for a training that
    cannot go on.
    """
    config = resolve_auto(params.train)
    folder = atomic_io.replaceable(folder)  # before hours of work
    _keep_freed_memory()
    with distributed.init_distributed(config.device) as context, _deterministic(config.threads, config.device):
        training_set = load_training_set(params.network.image_size, paintings_per_shape)
        train_split, validation = training_set.split, load_paintings("validation", params.network.image_size)
        _check_batch(params, len(train_split.labels), context)
        decided = {
            "paintings": {"train": train_split.digest, "validation": validation.digest},
            **training_set.identity,
            "network": params.network.model_dump(),
            "training": {**config.model_dump(), "processes": context.world_size},
        }
        training_digest = json_digest({**decided, "code": code_digest("stages.train")})
        _check_same_training(training_digest, context)
        outlines = read_outlines()
        outlines_digest = json_digest(outlines)
        model_config = {
            **decided,
            "outlines": outlines_digest,
            "training_digest": training_digest,
            "fingerprint": json_digest({"training": training_digest, "outlines": outlines_digest}),
            "versions": {name: version(name) for name in LIBRARIES},
        }
        scratch = checkpoint.checkpoint_dir(training_digest)

        with file_lock.exclusive_lock(scratch / checkpoint.LOCK_FILE) if context.is_main else nullcontext():
            history = _take_up_finished(model_config, outlines, folder, on_start) if context.is_main else []
            if not distributed.broadcast(context, b"finished" if history else b""):
                state = train_state.init_state(train_split.shapes, params.network, config, context)
                _resume(state, scratch, training_digest, context)
                if context.is_main:
                    training_times.record_start(training_digest)
                    _announce(model_config, state.history, on_start)
                limits = augment_limits(training_set.factors, train_split.pictures, training_set.num_drawings)
                priors = trainer.shape_priors(train_split.shapes, config.other_prior)
                with _explain_memory_errors():
                    trainer.fit(
                        state,
                        config,
                        DeviceDataset.of(train_split.pictures, train_split.labels, context, limits, priors),
                        DeviceDataset.of(validation.pictures, validation.labels, context),
                        context,
                        on_step=_checkpoint_callback(state, scratch, training_digest, context),
                    )
                weights = hashlib.sha256(weights_bytes(state.model)).digest()
                assert distributed.broadcast(context, weights) == weights, "the processes have drifted apart"
                if context.is_main:
                    content = checkpoint.pack_checkpoint(train_state.state_dict(state), training_digest)
                    checkpoint.write_checkpoint(scratch, content)
                    _write_model(state, model_config, outlines, folder)
                    training_times.record_end(training_digest)
                    checkpoint.prune_checkpoints()
                history = state.history
    accuracy = history[-1][HISTORY_COLUMNS.index("validation_accuracy")] if history else float("nan")
    return TrainResult(folder, model_config["fingerprint"], training_digest, accuracy)


def resolve_auto(config: TrainParams) -> TrainParams:
    """The same parameters with `auto` resolved for this machine, in device and precision.

    Raises ParamsError where cuda was asked for and there is none.
    """
    device, precision = config.device, config.precision
    if device == "cuda" and not torch.cuda.is_available():
        raise ParamsError("train.device is cuda, but torch finds no GPU here; take cpu or auto")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if precision == "auto":
        precision = "bfloat16" if _has_bfloat16_units(device) else "float32"
    return config.model_copy(update={"device": device, "precision": precision})


def _has_bfloat16_units(device: str) -> bool:
    """Whether the device multiplies bfloat16 in hardware: without, rounding to 16 bits costs more than it saves."""
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu.get_capabilities().get("amx_bf16"))


@contextmanager
def _deterministic(threads: int, device: str) -> Iterator[None]:
    """The same bytes each time on the same machine: a fixed number of threads, and deterministic algorithms.

    A GPU may have none for a layer; then torch warns and goes on.
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


def _keep_freed_memory() -> None:
    """Let glibc keep the memory of one step for the next instead of giving it back: a tenth less time a step."""
    with suppress(OSError, AttributeError):  # another C library has no such call
        c_library = ctypes.CDLL(None)
        c_library.mallopt(M_MMAP_THRESHOLD, MALLOC_THRESHOLD)
        c_library.mallopt(M_TRIM_THRESHOLD, MALLOC_THRESHOLD)


def _check_batch(params: Params, paintings: int, context: DistributedContext) -> None:
    per_process = 2 if params.network.normalisation == "batch" else 1  # batch statistics need two
    batch_size, needed = params.train.batch_size, per_process * context.world_size
    if min(batch_size, paintings) < needed:
        raise ParamsError(
            f"train.batch_size is {batch_size}, with {paintings} paintings on {context.world_size} processes; each "
            f"needs {per_process} at every step: take at least {needed} of both, or fewer processes"
        )


def _check_same_training(training_digest: str, context: DistributedContext) -> None:
    main = distributed.broadcast(context, training_digest.encode())
    differs = torch.tensor([float(main != training_digest.encode())]).to(context.device)
    others = round(float(distributed.all_reduce(context, differs)))  # so that all know, and stop, at once
    if others:
        raise UserError(
            f"{others} of {context.world_size} processes would train another model than the first: give all the same "
            "code, params.yaml, paintings and drawings; if their processors differ, set train.precision instead of auto"
        )


def _announce(
    model_config: dict[str, Any], history: list[list[float]], on_start: Callable[[Path], None] | None
) -> None:
    """Write what is trained, and the epochs so far, and report where."""
    scratch = checkpoint.checkpoint_dir(model_config["training_digest"])
    start_history(scratch, {name: value for name, value in model_config.items() if name != "versions"}, history)
    if on_start:
        on_start(scratch)


def _take_up_finished(
    model_config: dict[str, Any],
    outlines: dict[str, dict[str, str]],
    folder: Path,
    on_start: Callable[[Path], None] | None,
) -> list[list[float]]:
    """Bring back the finished training of this digest; its history, empty if there is none."""
    history = finished.find_finished(model_config["training_digest"], model_config["versions"])
    if history is None:
        return []
    _announce(model_config, history, on_start)
    with _explain_write_errors(folder):
        finished.publish_finished(model_config, outlines, folder)
    with progress.progress_bar(len(history), "train", "epochs", done=len(history)):
        return history


def _resume(state: TrainState, scratch: Path, training_digest: str, context: DistributedContext) -> None:
    """Load the checkpoint, if there is one: only the main process needs the disk that it lies on."""
    content = checkpoint.read_checkpoint(scratch, training_digest) if context.is_main else b""
    content = distributed.broadcast(context, content)
    if content:
        train_state.load_state_dict(state, checkpoint.unpack_checkpoint(content, training_digest))


def _checkpoint_callback(
    state: TrainState, scratch: Path, training_digest: str, context: DistributedContext
) -> Callable[[], None]:
    """Logs each epoch, and writes a checkpoint when the last is old enough: the clock decides when, never what."""
    last = time.monotonic()
    logged = len(state.history)

    def on_step() -> None:
        nonlocal last, logged
        if context.is_main and len(state.history) > logged:
            append_epochs(scratch, state.history[logged:])
            logged = len(state.history)
        if context.is_main and time.monotonic() - last > CHECKPOINT_EVERY_S:
            content = checkpoint.pack_checkpoint(train_state.state_dict(state), training_digest)
            checkpoint.write_checkpoint(scratch, content)
            last = time.monotonic()

    return on_step


def _write_model(
    state: TrainState, model_config: dict[str, Any], outlines: dict[str, dict[str, str]], folder: Path
) -> None:
    """The averaged weights, their snapshots and the history, kept for the next time and published as a model folder."""
    with _explain_write_errors(folder):
        with finished.write_finished(model_config["training_digest"]) as fresh:
            history = history_csv(state.history).encode()
            described = {**model_config, "history": hashlib.sha256(history).hexdigest()}
            save_model(state.ema_model, fresh, described, outlines)
            (fresh / HISTORY_FILE).write_bytes(history)
            (fresh / SNAPSHOTS_FILE).write_bytes(snapshots_bytes(state.snapshots))
        finished.publish_finished(model_config, outlines, folder)


@contextmanager
def _explain_memory_errors() -> Iterator[None]:
    """Too little memory is for the user to fix; torch has no exception of its own for a CPU's."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError | torch.OutOfMemoryError) and "alloc" not in str(error):
            raise
        raise UserError(
            "there is too little memory for one step; lower train.batch_size, network.image_size or "
            "network.base_channels"
        ) from None


@contextmanager
def _explain_write_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ModelError(
            f"{folder} cannot be written: {error.strerror}; make room, then start the same command again: it goes on "
            "from the last checkpoint that could be written"
        ) from None
