"""The training loop on arrays: recorded losses, the schedule, every painting once an epoch."""

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

ONE_PROCESS = DistributedContext(0, 1, torch.device("cpu"))
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
RECORDED_LOSSES = [
    *(0.7152, 0.6975, 0.6874, 0.6704, 0.6480, 0.5933, 0.5820, 0.5610, 0.5253, 0.5586),
    *(0.5156, 0.4539, 0.4554, 0.4793, 0.4974, 0.4090, 0.4314, 0.4407, 0.4220, 0.4158),
]


def stripes(count: int) -> DeviceDataset:
    """Two kinds of pictures: two stripes across, or two down."""
    rng = np.random.default_rng(0)
    pictures = np.zeros((count, 16, 16), np.uint8)
    labels = np.arange(count) % 2
    for picture, label in zip(pictures, labels, strict=True):
        for at in rng.integers(1, 15, 2):
            (picture if label else picture.T)[at] = 255
    turn = torch.full((count,), 0.2)
    zero = torch.zeros(count)
    limits = AugmentLimits(-turn, turn, torch.ones(count, dtype=torch.bool), zero, zero, zero)
    return DeviceDataset.of(pictures, labels, ONE_PROCESS, limits)


def train(root: Path, data: DeviceDataset, *more: str) -> state.TrainState:
    params = Params.load(root / "params.yaml", [*SMALL, *more])
    train_state = state.init_state(("across", "down"), params.network, params.train, ONE_PROCESS)
    trainer.fit(train_state, params.train, data, data, ONE_PROCESS, lambda: None)
    return train_state


def test_losses_equal_those_recorded(root: Path) -> None:
    trained = train(root, stripes(16))
    losses = [row[1] for row in trained.history]
    assert losses == pytest.approx(RECORDED_LOSSES, abs=2e-3), np.round(losses, 4).tolist()


def test_each_epoch_shuffles_all_paintings(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    batches: list[torch.Tensor] = []
    update = trainer.train_step

    def recording_step(*arguments: Any) -> None:
        batches.append(arguments[3])
        update(*arguments)

    monkeypatch.setattr(trainer, "train_step", recording_step)
    train(root, stripes(37), "train.epochs=2")  # 37 in batches of at most 16
    assert [len(batch) for batch in batches] == [12, 12, 13] * 2
    epochs = [torch.cat(batches[:3]), torch.cat(batches[3:])]
    assert all(sorted(epoch.tolist()) == list(range(37)) for epoch in epochs)
    assert not torch.equal(*epochs)


def test_learning_rate_warms_up_and_falls_to_zero(root: Path) -> None:
    params = Params.load(root / "params.yaml", ["train.learning_rate=0.01", "train.warmup=0.25"]).train
    rates = [trainer.learning_rate(params, step, 100) for step in range(100)]
    assert rates[0] == pytest.approx(0.01 / 25)
    assert rates[24] == max(rates) == pytest.approx(0.01)
    assert np.all(np.diff(rates[24:]) < 0)
    assert rates[-1] == pytest.approx(0, abs=1e-12)
    bare = Params.load(root / "params.yaml", ["train.warmup=0"]).train
    assert all(trainer.learning_rate(bare, step, 1) >= 0 for step in range(1))


def test_without_decay_the_average_equals_the_weights(root: Path) -> None:
    trained = train(root, stripes(16), "train.ema_decay=0")
    for weight, average in zip(
        trained.model.state_dict().values(), trained.ema_model.state_dict().values(), strict=True
    ):
        assert torch.equal(weight, average)
