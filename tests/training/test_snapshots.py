"""Snapshots: kept at their shares of the training, the same after a resumption, and read back from their file."""

import json
from pathlib import Path

import pytest
import safetensors
import torch

from strokewise.model.cnn import CNN
from strokewise.params import Params
from strokewise.training.snapshots import (
    SNAPSHOT_SHARES,
    Snapshots,
    flatten_snapshots,
    keep_snapshot,
    snapshots_bytes,
    unflatten_snapshots,
)


@pytest.fixture
def model(root: Path) -> CNN:
    params = Params.load(root / "params.yaml", ["network.image_size=16", "network.base_channels=4"])
    return CNN(("ellipse", "other"), params.network)


@pytest.mark.parametrize("steps", [1, 7, 100, 9000])
def test_every_share_is_kept_once_in_its_order(model: CNN, steps: int) -> None:
    kept: Snapshots = {}
    for step in range(steps + 1):
        keep_snapshot(kept, model, step, steps)
    assert tuple(kept) == SNAPSHOT_SHARES


def test_snapshot_is_a_copy_in_half_precision(model: CNN) -> None:
    kept: Snapshots = {}
    keep_snapshot(kept, model, 0, 10)
    before = model.state_dict()
    assert {name: value.shape for name, value in kept[0.0].items()} == {n: v.shape for n, v in before.items()}
    for name, value in kept[0.0].items():
        if before[name].is_floating_point():
            assert value.dtype == torch.float16
            torch.testing.assert_close(value.float(), before[name], rtol=1e-3, atol=1e-6)
    first = next(iter(kept[0.0]))
    saved = kept[0.0][first].clone()
    with torch.no_grad():
        next(model.parameters()).add_(1)
    assert torch.equal(kept[0.0][first], saved)


def test_tensors_and_file_hold_the_same(model: CNN, tmp_path: Path) -> None:
    kept: Snapshots = {}
    for step in range(11):
        keep_snapshot(kept, model, step, 10)
    again = unflatten_snapshots(flatten_snapshots(kept))
    assert tuple(again) == tuple(kept)
    assert snapshots_bytes(again) == snapshots_bytes(kept)
    (tmp_path / "file").write_bytes(snapshots_bytes(kept))
    with safetensors.safe_open(tmp_path / "file", "pt") as file:
        assert json.loads(file.metadata()["shares"]) == list(SNAPSHOT_SHARES)
        assert set(file.keys()) == set(flatten_snapshots(kept))
