"""The state of a training: reproducible from its seed, and restored exactly from a checkpoint."""

from pathlib import Path

import torch

from strokewise.params import Params
from strokewise.training import state
from strokewise.training.distributed import DistributedContext
from strokewise.training.state import TrainState

ONE_PROCESS = DistributedContext(0, 1, torch.device("cpu"))


def new_state(root: Path, seed: int) -> TrainState:
    params = Params.load(
        root / "params.yaml", ["network.image_size=16", "network.base_channels=4", f"train.seed={seed}"]
    )
    return state.init_state(("a", "b"), params.network, params.train, ONE_PROCESS)


def take_step(train_state: TrainState) -> None:
    train_state.model(torch.ones(4, 1, 16, 16)).square().sum().backward()
    for optimizer in train_state.optimizers:
        optimizer.step()
    train_state.step += 1
    train_state.history.append([1.0, 0.5, 0.5, 0.5, 0.5, 0.001])


def test_child_generators_are_independent() -> None:
    keys = [(0, 1, 2), (0, 1, 3), (0, 2, 1), (1, 1, 2), (0, 1, 2, 0, 1)]
    assert len({float(torch.rand(1, generator=state.child_generator(*key))) for key in keys}) == len(keys)
    first, again = (torch.rand(5, generator=state.child_generator(0, 1, 2)) for _ in range(2))
    assert torch.equal(first, again)


def test_init_state_depends_on_the_seed_and_leaves_the_global_generator(root: Path) -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    models = [new_state(root, seed).model for seed in (0, 0, 1)]
    assert torch.equal(torch.rand(3), expected)
    weights = [torch.cat([value.reshape(-1) for value in model.parameters()]) for model in models]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_state_dict_round_trip_is_exact(root: Path) -> None:
    trained = new_state(root, seed=0)
    take_step(trained)
    restored = new_state(root, seed=1)
    state.load_state_dict(restored, state.state_dict(trained))
    assert (restored.step, restored.epoch_sums, restored.history) == (1, [0.0, 0.0], trained.history)
    before, after = state.state_dict(trained).tensors, state.state_dict(restored).tensors
    assert before.keys() == after.keys()
    assert any(name.startswith("optimizer.") for name in before)
    assert all(torch.equal(before[name], after[name]) for name in before)
