"""The training loop on arrays: recorded losses, the schedule, every painting once an epoch."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from strokewise.params import Params
from strokewise.training import state, trainer
from strokewise.training.augment_params import AugmentLimits
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
    *(0.7004, 0.6951, 0.6848, 0.6826, 0.6737, 0.6546, 0.6620, 0.6508, 0.6680, 0.6459),
    *(0.6154, 0.6209, 0.5965, 0.6171, 0.6011, 0.5983, 0.5910, 0.6262, 0.5880, 0.5828),
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
    interior = torch.zeros(count, 16, 16, dtype=torch.bool)
    limits = AugmentLimits(-turn, turn, torch.ones(count, dtype=torch.bool), zero, zero, zero, interior)
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


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        (("a", "other", "b"), [0.4, 0.2, 0.4]),
        (("a", "b", "c", "d"), [0.25] * 4),
        (("other",), [1.0]),
    ],
)
def test_priors_of_the_shapes(shapes: tuple[str, ...], expected: list[float]) -> None:
    assert trainer.shape_priors(shapes, 0.2) == pytest.approx(expected)


def test_prior_and_not_the_share_of_the_paintings_decides_what_is_said(root: Path) -> None:
    pictures, labels = np.zeros((16, 16, 16), np.uint8), np.array([0] * 4 + [1] * 12)  # nothing to tell them by
    said = {}
    for prior in (0.5, 0.9):
        priors = np.array([prior, 1 - prior])
        data = DeviceDataset.of(pictures, labels, ONE_PROCESS, priors=priors)
        trained = train(root, data, "train.label_smoothing=0.0", "train.epochs=120", "train.augment_strength=0.0")
        said[prior] = trained.ema_model(torch.zeros(1, 1, 16, 16)).detach().softmax(1)[0, 0].item()
    assert said[0.5] == pytest.approx(0.5, abs=0.1)
    assert said[0.9] == pytest.approx(0.9, abs=0.1)


def test_shape_without_paintings_leaves_the_loss_finite(root: Path) -> None:
    data = DeviceDataset.of(np.zeros((4, 16, 16), np.uint8), np.zeros(4, np.int64), ONE_PROCESS, priors=np.full(2, 0.5))
    assert np.isfinite([row[1] for row in train(root, data).history]).all()
