"""The training loop on arrays: a recorded curve, the schedule, and every sample once an epoch."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from strokewise.params import Params
from strokewise.training import state, trainer
from strokewise.training.augmentation import AugmentLimits
from strokewise.training.distributed import DistributedContext
from strokewise.training.trainer import DeviceDataset

ALONE = DistributedContext(0, 1, torch.device("cpu"))
SMALL = [
    *(
        "network.image_size=16",
        "network.line_filters=seeded",
        "network.extra_filters=2",
        "network.depth=null",
        "network.base_channels=8",
    ),
    *(
        "network.max_channels=16",
        "network.kernel_size=3",
        "network.stride=1",
        "network.padding=zero",
        "network.pooling=max",
    ),
    *("network.activation=relu", "network.normalisation=batch", "network.hidden_units=8"),
    *("train.seed=0", "train.epochs=20", "train.batch_size=16", "train.learning_rate=0.005", "train.weight_decay=0.05"),
    *(
        "train.warmup=0.2",
        "train.label_smoothing=0.1",
        "train.ema_decay=0.9",
        "train.augment_strength=1",
        "train.precision=float32",
    ),
]

# Losses of twenty steps, as recorded: a change that should not alter numbers proves it here.
CURVE = [
    *(0.7152, 0.6975, 0.6874, 0.6704, 0.6480, 0.5933, 0.5820, 0.5610, 0.5253, 0.5586),
    *(0.5156, 0.4539, 0.4554, 0.4793, 0.4974, 0.4090, 0.4314, 0.4407, 0.4220, 0.4158),
]


def stripes(count: int) -> DeviceDataset:
    """Two kinds of pictures: two stripes across, or two down."""
    lot = np.random.default_rng(0)
    pictures = np.zeros((count, 16, 16), np.uint8)
    labels = np.arange(count) % 2
    for picture, label in zip(pictures, labels, strict=True):
        for at in lot.integers(1, 15, 2):
            (picture if label else picture.T)[at] = 255
    turn = torch.full((count,), 0.2)
    nothing = torch.zeros(count)
    freedom = AugmentLimits(-turn, turn, torch.ones(count, dtype=torch.bool), nothing, nothing, nothing)
    return DeviceDataset.of(pictures, labels, ALONE, freedom)


def taught(root: Path, data: DeviceDataset, *more: str) -> state.TrainState:
    params = Params.load(root / "params.yaml", [*SMALL, *more])
    learner = state.init_state(("across", "down"), params.network, params.train, ALONE)
    trainer.fit(learner, params.train, data, data, ALONE, lambda: None)
    return learner


def test_the_first_twenty_steps_are_those_recorded(root: Path) -> None:
    found = taught(root, stripes(16))
    losses = [row[1] for row in found.history]
    assert losses == pytest.approx(CURVE, abs=2e-3), np.round(losses, 4).tolist()


def test_every_painting_once_an_epoch_in_a_new_order(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[torch.Tensor] = []
    update = trainer.train_step

    def watched(*arguments: Any) -> None:
        chosen.append(arguments[3])
        update(*arguments)

    monkeypatch.setattr(trainer, "_update", watched)
    taught(root, stripes(37), "train.epochs=2")  # 37 in batches of at most 16
    assert [len(batch) for batch in chosen] == [12, 12, 13] * 2
    epochs = [torch.cat(chosen[:3]), torch.cat(chosen[3:])]
    assert all(sorted(epoch.tolist()) == list(range(37)) for epoch in epochs)
    assert not torch.equal(*epochs)


def test_the_rate_rises_and_falls_back_to_nothing(root: Path) -> None:
    settings = Params.load(root / "params.yaml", ["train.learning_rate=0.01", "train.warmup=0.25"]).train
    rates = [trainer.learning_rate(settings, step, 100) for step in range(100)]
    assert rates[0] == pytest.approx(0.01 / 25)
    assert rates[24] == max(rates) == pytest.approx(0.01)
    assert np.all(np.diff(rates[24:]) < 0)
    assert rates[-1] == pytest.approx(0, abs=1e-12)
    bare = Params.load(root / "params.yaml", ["train.warmup=0"]).train
    assert all(trainer.learning_rate(bare, step, 1) >= 0 for step in range(1))


def test_the_average_ends_beside_the_weights(root: Path) -> None:
    found = taught(root, stripes(16), "train.ema_decay=0")
    for now, kept in zip(found.network.state_dict().values(), found.average.state_dict().values(), strict=True):
        assert torch.equal(now, kept)


@pytest.mark.parametrize(("rank", "part"), [(0, slice(0, 3)), (1, slice(3, 6)), (2, slice(6, 10))])
def test_the_parts_of_a_team_are_the_whole_once(rank: int, part: slice) -> None:
    assert DistributedContext(rank, 3, torch.device("cpu")).part(10) == part
