"""Checkpoints: damage, other trainings, other versions of torch, a full disk."""

import resource
import signal
from pathlib import Path

import pytest
import torch

from strokewise.training import checkpoint
from strokewise.training.checkpoint import Checkpoint

CHECKPOINT = Checkpoint(
    {
        "weight": torch.arange(6, dtype=torch.float32).view(2, 3),
        "statistic": torch.tensor(0.1, dtype=torch.float64),
        "steps": torch.tensor(7),
        "none": torch.zeros(0, 1, 2, 2),
    },
    {"step": 3, "epoch_sums": [0.1, 1e-300], "history": [[1.0, 0.30000000000000004]]},
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return checkpoint.checkpoint_dir("ours")


def test_written_checkpoint_is_read_back_to_the_bit(folder: Path) -> None:
    checkpoint.write_checkpoint(folder, checkpoint.pack_checkpoint(CHECKPOINT, "ours"))
    loaded = checkpoint.unpack_checkpoint(checkpoint.read_checkpoint(folder, "ours"), "ours")
    assert loaded.progress == CHECKPOINT.progress
    assert loaded.tensors.keys() == CHECKPOINT.tensors.keys()
    for name, value in CHECKPOINT.tensors.items():
        assert loaded.tensors[name].dtype == value.dtype
        assert torch.equal(loaded.tensors[name], value)
    assert checkpoint.pack_checkpoint(loaded, "ours") == checkpoint.pack_checkpoint(CHECKPOINT, "ours")


def test_missing_checkpoint_prints_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert checkpoint.read_checkpoint(folder, "ours") == b""
    assert capsys.readouterr().err == ""


def _truncated(content: bytes) -> bytes:
    return content[:-1]


def _half(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _flipped(content: bytes) -> bytes:
    return content[:-20] + bytes([content[-20] ^ 1]) + content[-19:]


def _other_step(content: bytes) -> bytes:
    at = content.index(b"progress")
    digit = next(folder for folder in range(at, len(content)) if 48 <= content[folder] <= 57)
    return content[:digit] + bytes([content[digit] ^ 1]) + content[digit + 1 :]


def _rubbish(content: bytes) -> bytes:
    return b"\xff" * len(content)


def _weights_only(content: bytes) -> bytes:
    return checkpoint.safetensors.torch.save(CHECKPOINT.tensors)


@pytest.mark.parametrize("damage", [_truncated, _half, _flipped, _other_step, _rubbish, _weights_only, lambda _: b""])
def test_damaged_checkpoint_is_set_aside(folder: Path, damage, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint.write_checkpoint(folder, damage(checkpoint.pack_checkpoint(CHECKPOINT, "ours")))
    assert checkpoint.read_checkpoint(folder, "ours") == b""
    assert "cannot be used: it is damaged" in capsys.readouterr().err
    assert sorted(path.name for path in folder.iterdir()) == ["checkpoint.safetensors.set-aside"]
    assert checkpoint.read_checkpoint(folder, "ours") == b""  # and is not read again


def test_checkpoint_that_cannot_be_set_aside_is_ignored(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint.write_checkpoint(folder, _half(checkpoint.pack_checkpoint(CHECKPOINT, "ours")))
    (folder / "checkpoint.safetensors.set-aside" / "something").mkdir(parents=True)
    assert checkpoint.read_checkpoint(folder, "ours") == b""
    assert "not set aside (Is a directory), training starts anew" in capsys.readouterr().err


def test_checkpoint_of_another_training_is_set_aside(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint.write_checkpoint(folder, checkpoint.pack_checkpoint(CHECKPOINT, "theirs"))
    assert checkpoint.read_checkpoint(folder, "ours") == b""
    assert "it belongs to another training" in capsys.readouterr().err


def test_checkpoint_of_another_torch_is_set_aside(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint.write_checkpoint(folder, checkpoint.pack_checkpoint(CHECKPOINT, "ours"))
    monkeypatch.setattr(torch, "__version__", "9.9")
    assert checkpoint.read_checkpoint(folder, "ours") == b""
    assert "it was made by torch 2." in capsys.readouterr().err


def test_full_disk_keeps_the_last_checkpoint(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = checkpoint.pack_checkpoint(CHECKPOINT, "ours")
    checkpoint.write_checkpoint(folder, good)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1][1]))
    try:
        checkpoint.write_checkpoint(folder, checkpoint.pack_checkpoint(CHECKPOINT, "ours") + b"more")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before[1])
        signal.signal(signal.SIGXFSZ, before[0])
    assert "no checkpoint could be written" in capsys.readouterr().err
    assert [path.name for path in folder.iterdir()] == ["checkpoint.safetensors"]
    assert checkpoint.read_checkpoint(folder, "ours") == good


def test_prune_keeps_the_newest_checkpoints(folder: Path) -> None:
    for number in range(5):
        checkpoint.write_checkpoint(
            checkpoint.checkpoint_dir(str(number)), checkpoint.pack_checkpoint(CHECKPOINT, str(number))
        )
    checkpoint.prune_checkpoints(keep=2)
    assert sorted(path.name for path in folder.parent.iterdir()) == ["3", "4"]
