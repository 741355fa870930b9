"""Tensors and a little text <-> one file, `.strokewise/checkpoints/<fingerprint>/checkpoint.safetensors`.

The file is replaced by a rename, so it is whole or the one before; a digest over all tensors tells a damaged one.
What cannot be used is set aside with a line of warning and training begins anew: a checkpoint is a saving, never a
need. No pickle: safetensors, with the text as JSON in its one metadata key.
"""

import hashlib
import json
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from strokewise import disk

FILE = "checkpoint.safetensors"
LOCK = "lock"
KEPT = 8  # trainings whose checkpoints stay, the newest; each is a few MB
LENGTH = 8  # bytes before a safetensors header that tell its length


@dataclass(frozen=True)
class Checkpoint:
    """Where a training stands: its tensors by name, and what else it must know, as JSON values."""

    tensors: dict[str, Tensor]
    progress: dict[str, Any]


def folder(fingerprint: str) -> Path:
    """Where the training of this fingerprint keeps its checkpoint and its lock."""
    return disk.home() / disk.SCRATCH / "checkpoints" / fingerprint


def pack(checkpoint: Checkpoint, fingerprint: str) -> bytes:
    """The bytes of a checkpoint file."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in checkpoint.tensors.items()}
    state = {
        "fingerprint": fingerprint,
        "torch": torch.__version__,  # another release may train on to other bytes
        "progress": checkpoint.progress,
    }
    whole = {**state, "digest": _digest(tensors, state)}
    return safetensors.torch.save(tensors, {"state": json.dumps(whole, sort_keys=True)})


def unpack(content: bytes, fingerprint: str) -> Checkpoint:
    """The checkpoint in `content`. Raises ValueError, saying why, if it is damaged or of another training."""
    try:
        tensors = safetensors.torch.load(content)
        length = int.from_bytes(content[:LENGTH], "little")
        state = json.loads(json.loads(content[LENGTH : LENGTH + length])["__metadata__"]["state"])
        found, torch_version, progress = state["fingerprint"], state["torch"], state["progress"]
        digest = state.pop("digest")
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"it is damaged: {' '.join(str(error).split())[:120]}") from None
    if found != fingerprint:
        raise ValueError("it belongs to another training")
    if torch_version != torch.__version__:
        raise ValueError(f"it was made by torch {torch_version}, this is {torch.__version__}")
    if digest != _digest(tensors, state):
        raise ValueError("it is damaged: its numbers are not those that were written")
    return Checkpoint(tensors, progress)


def write(path: Path, content: bytes) -> None:
    """Put a packed checkpoint in the place of the last one, safe from a kill and from a power cut.

    A full disk costs the checkpoint, not the training: it is told in a line, and the last one still stands.
    """
    try:
        with disk.replacing(path / FILE) as fresh, fresh.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        _warn(f"no checkpoint could be written to {path}: {error.strerror}; training goes on without")


def read(path: Path, fingerprint: str) -> bytes:
    """The packed checkpoint of this training, empty if there is none to use; a bad one is set aside."""
    try:
        content = (path / FILE).read_bytes()
        unpack(content, fingerprint)
    except FileNotFoundError:
        return b""
    except (OSError, ValueError) as error:
        kept = f"set aside as {FILE}.set-aside"
        try:
            (path / FILE).replace(path / f"{FILE}.set-aside")
        except OSError as hindrance:  # a checkpoint is a saving, never a need
            kept = f"not set aside ({hindrance.strerror})"
        _warn(f"the checkpoint in {path} cannot be used: {error}; {kept}, training starts anew")
        return b""
    return content


def prune(kept: int = KEPT) -> None:
    """Delete the checkpoints of all but the `kept` trainings that wrote last; one that is going on is among them."""
    everything = [path for path in (disk.home() / disk.SCRATCH / "checkpoints").glob("*") if path.is_dir()]
    newest_first = sorted(everything, key=lambda path: (-path.stat().st_mtime_ns, path))
    for path in newest_first[kept:]:
        shutil.rmtree(path, ignore_errors=True)


def _digest(tensors: dict[str, Tensor], state: dict[str, Any]) -> str:
    total = hashlib.sha256(json.dumps(state, sort_keys=True).encode())
    for name, value in sorted(tensors.items()):
        total.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        total.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    return total.hexdigest()


def _warn(message: str) -> None:
    print(f"strokewise: {message}", file=sys.stderr, flush=True)
