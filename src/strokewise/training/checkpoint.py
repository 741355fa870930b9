"""Tensors and a little text ↔ one file, `.strokewise/checkpoints/<training digest>/checkpoint.safetensors`.

The file is replaced by a rename, so it is either complete or the previous one; a digest over all tensors finds a
damaged one. An unusable checkpoint is set aside with a warning and training starts anew. No pickle: safetensors, with
the text as JSON in its one metadata key.
"""

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from strokewise.errors import one_line
from strokewise.support import atomic_io, progress
from strokewise.support.paths import scratch_dir

CHECKPOINT_FILE = "checkpoint.safetensors"
LOCK_FILE = "lock"
MAX_CHECKPOINTS = 8  # trainings whose checkpoints are kept, the newest; each is a few MB
HEADER_LENGTH_BYTES = 8  # before a safetensors header, its length


@dataclass(frozen=True)
class Checkpoint:
    """Where a training stands: its tensors by name, and the rest as JSON values."""

    tensors: dict[str, Tensor]
    progress: dict[str, Any]


def checkpoint_dir(training_digest: str) -> Path:
    """Where the training of this digest keeps its checkpoint and its lock."""
    return scratch_dir() / "checkpoints" / training_digest


def pack_checkpoint(checkpoint: Checkpoint, training_digest: str) -> bytes:
    """The bytes of a checkpoint file."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in checkpoint.tensors.items()}
    state = {
        "training_digest": training_digest,
        "torch": torch.__version__,  # another release may go on to other bytes
        "progress": checkpoint.progress,
    }
    signed = {**state, "digest": _state_digest(tensors, state)}
    return safetensors.torch.save(tensors, {"state": json.dumps(signed, sort_keys=True)})


def unpack_checkpoint(content: bytes, training_digest: str) -> Checkpoint:
    """The checkpoint in `content`. Raises ValueError, saying why, if it is damaged or of another training."""
    try:
        tensors = safetensors.torch.load(content)
        length = int.from_bytes(content[:HEADER_LENGTH_BYTES], "little")
        header = json.loads(content[HEADER_LENGTH_BYTES : HEADER_LENGTH_BYTES + length])
        state = json.loads(header["__metadata__"]["state"])
        owner, torch_version, saved = state["training_digest"], state["torch"], state["progress"]
        digest = state.pop("digest")
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"it is damaged: {one_line(error, 120)}") from None
    if owner != training_digest:
        raise ValueError("it belongs to another training")
    if torch_version != torch.__version__:
        raise ValueError(f"it was made by torch {torch_version}, this is {torch.__version__}")
    if digest != _state_digest(tensors, state):
        raise ValueError("it is damaged: its numbers are not those that were written")
    return Checkpoint(tensors, saved)


def write_checkpoint(folder: Path, content: bytes) -> None:
    """Replace the last packed checkpoint, safe from a kill and from a power cut.

    A full disk costs the checkpoint, not the training: a warning is printed and the last checkpoint stays.
    """
    try:
        with atomic_io.atomic_replace(folder / CHECKPOINT_FILE) as fresh, fresh.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        progress.warn(f"no checkpoint could be written to {folder}: {error.strerror}; training goes on without")


def read_checkpoint(folder: Path, training_digest: str) -> bytes:
    """The packed checkpoint of this training, empty if there is none to use; an unusable one is set aside."""
    file = folder / CHECKPOINT_FILE
    try:
        content = file.read_bytes()
        unpack_checkpoint(content, training_digest)
    except FileNotFoundError:
        return b""
    except (OSError, ValueError) as error:
        fate = f"set aside as {CHECKPOINT_FILE}.set-aside"
        try:
            file.replace(folder / f"{CHECKPOINT_FILE}.set-aside")
        except OSError as obstacle:
            fate = f"not set aside ({obstacle.strerror})"
        progress.warn(f"the checkpoint in {folder} cannot be used: {error}; {fate}, training starts anew")
        return b""
    return content


def prune_checkpoints(keep: int = MAX_CHECKPOINTS) -> None:
    """Delete the checkpoints of all but the `keep` trainings that wrote last; a running one is among them."""
    folders = [path for path in (scratch_dir() / "checkpoints").glob("*") if path.is_dir()]
    newest_first = sorted(folders, key=lambda path: (-path.stat().st_mtime_ns, path))
    for path in newest_first[keep:]:
        shutil.rmtree(path, ignore_errors=True)


def _state_digest(tensors: dict[str, Tensor], state: dict[str, Any]) -> str:
    total = hashlib.sha256(json.dumps(state, sort_keys=True).encode())
    for name, value in sorted(tensors.items()):
        total.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        total.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    return total.hexdigest()
