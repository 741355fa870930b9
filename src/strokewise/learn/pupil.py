"""What changes while a network learns, all of it, and how it becomes a checkpoint and back.

Randomness does not: every order and every augmentation has its own child seed of `(seed, purpose, epoch, step)`, so
where a training stands is told by its step alone.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from strokewise.learn import distributed
from strokewise.learn.checkpoint import Checkpoint
from strokewise.learn.distributed import Team
from strokewise.network import Network
from strokewise.params import Network as Architecture
from strokewise.params import Train

WEIGHTS, ORDER, AMOUNTS = range(3)  # what a child seed is for
COLUMNS = ("epoch", "loss", "accuracy", "validation_loss", "validation_accuracy", "learning_rate")


@dataclass
class Pupil:
    """A network on its way. `history` has a row of `COLUMNS` for each epoch that is over."""

    network: Network
    average: Network  # of the network over its last steps: the model in the end
    optimiser: torch.optim.AdamW
    step: int = 0
    sums: list[float] = field(default_factory=lambda: [0.0, 0.0])  # of this epoch: loss and right answers, a painting
    history: list[list[float]] = field(default_factory=list)


def generator(*key: int) -> torch.Generator:
    """The randomness that belongs to `(seed, purpose, epoch, step)`, independent of any other's."""
    state = np.random.SeedSequence(key).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state) >> 1)


def begin(shapes: Sequence[str], architecture: Architecture, settings: Train, team: Team) -> Pupil:
    """A pupil that knows nothing yet, the same on every process."""
    with torch.random.fork_rng(devices=[]):  # layers take their first weights from the global generator
        torch.manual_seed(generator(settings.seed, WEIGHTS).initial_seed())
        network = Network(shapes, architecture)
    network = network.to(team.device)
    average = copy.deepcopy(network).eval()
    distributed.synchronise(team, network)
    parameters = list(network.parameters())
    groups: list[dict[str, Any]] = [
        {"params": [value for value in parameters if value.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [value for value in parameters if value.ndim <= 1]},  # biases and scales do not decay
    ]
    optimiser = torch.optim.AdamW(groups, lr=settings.learning_rate, weight_decay=0.0, fused=True)
    return Pupil(network.train(), average, optimiser)


def record(pupil: Pupil) -> Checkpoint:
    """Where the pupil stands."""
    tensors = {f"network.{name}": value for name, value in pupil.network.state_dict().items()}
    tensors |= {f"average.{name}": value for name, value in pupil.average.state_dict().items()}
    for number, parameter in _parameters(pupil):
        for name, value in pupil.optimiser.state[parameter].items():
            tensors[f"optimiser.{number}.{name}"] = value
    return Checkpoint(tensors, {"step": pupil.step, "sums": pupil.sums, "history": pupil.history})


def restore(pupil: Pupil, checkpoint: Checkpoint) -> None:
    """Put a pupil that has just begun where the checkpoint stands, to the bit."""
    for part, network in (("network.", pupil.network), ("average.", pupil.average)):
        named = {name: value for name, value in checkpoint.tensors.items() if name.startswith(part)}
        network.load_state_dict({name.removeprefix(part): value for name, value in named.items()})
    for number, parameter in _parameters(pupil):
        start = f"optimiser.{number}."
        for name, value in checkpoint.tensors.items():
            if name.startswith(start):
                # moments lie in memory as their parameter does: another layout would round sums in another order
                held = torch.empty_like(parameter) if value.shape == parameter.shape else torch.empty_like(value)
                pupil.optimiser.state[parameter][name.removeprefix(start)] = held.detach().copy_(value)
    pupil.step = checkpoint.progress["step"]
    pupil.sums = checkpoint.progress["sums"]
    pupil.history = checkpoint.progress["history"]


def _parameters(pupil: Pupil) -> list[tuple[int, Tensor]]:
    """The parameters, numbered as the optimiser goes through them."""
    return list(enumerate(value for group in pupil.optimiser.param_groups for value in group["params"]))
