"""All that changes while a CNN is trained, and how it becomes a checkpoint and back.

Randomness is no part of it: every shuffle and every augmentation has its own child seed of `(seed, purpose, epoch,
step)`, so the step alone says where a training stands.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from strokewise.model.cnn import CNN
from strokewise.params import NetworkParams, TrainParams
from strokewise.training import distributed
from strokewise.training.checkpoint import Checkpoint
from strokewise.training.distributed import DistributedContext
from strokewise.training.muon import Muon
from strokewise.training.snapshots import Snapshots, flatten_snapshots, unflatten_snapshots

INIT_SEED, SHUFFLE_SEED, AUGMENT_SEED = range(3)  # the purposes of child seeds
HISTORY_COLUMNS = ("epoch", "loss", "accuracy", "validation_loss", "validation_accuracy", "learning_rate")


@dataclass
class TrainState:
    """A CNN in training. `history` has a row of `HISTORY_COLUMNS` for each finished epoch."""

    model: CNN
    ema_model: CNN
    """Exponential moving average of the weights: the model in the end."""
    optimizers: tuple[torch.optim.Optimizer, ...]
    """Muon for the hidden layers, AdamW for the others."""
    step: int = 0
    epoch_sums: list[float] = field(default_factory=lambda: [0.0, 0.0])
    """Loss and number of correct answers, summed over the paintings of this epoch so far."""
    history: list[list[float]] = field(default_factory=list)
    snapshots: Snapshots = field(default_factory=dict)
    """The averaged weights at those of `SNAPSHOT_SHARES` that are passed."""


def child_generator(*key: int) -> torch.Generator:
    """The random generator that belongs to `(seed, purpose, epoch, step)`, independent of all others."""
    state = np.random.SeedSequence(key).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state) >> 1)


def init_state(
    shapes: Sequence[str], network: NetworkParams, params: TrainParams, context: DistributedContext
) -> TrainState:
    """The state before the first step, the same on every process.

    Args:
        shapes: names by label.
        network: `network` of params.yaml.
        params: `train` of params.yaml.
        context: the processes that train together.

    Raises ParamsError if the architecture's parameters do not fit together.
    """
    with torch.random.fork_rng(devices=[]):  # layers are initialised from the global generator
        torch.manual_seed(child_generator(params.seed, INIT_SEED).initial_seed())
        model = CNN(shapes, network)
    model = model.to(context.device)
    ema_model = copy.deepcopy(model).eval()
    distributed.convert_sync_batchnorm(context, model)
    hidden = [value for name, value in model.named_parameters() if value.ndim > 1 and _is_hidden(model, name)]
    others = [value for value in model.parameters() if all(value is not weight for weight in hidden)]
    groups: list[dict[str, Any]] = [
        {"params": [value for value in others if value.ndim > 1], "weight_decay": params.weight_decay},
        {"params": [value for value in others if value.ndim <= 1]},  # biases and scales do not decay
    ]
    muon = Muon(hidden, params.learning_rate, params.weight_decay)
    return TrainState(
        model.train(),
        ema_model,
        (muon, torch.optim.AdamW(groups, lr=params.learning_rate, weight_decay=0.0, fused=True)),
    )


def _is_hidden(model: CNN, name: str) -> bool:
    """Whether a parameter belongs neither to the line filters nor to the last layer, whose scores it decides."""
    last = [layer for layer, module in model.named_modules() if isinstance(module, torch.nn.Linear)][-1]
    return not name.startswith(("lines.", f"{last}."))


def state_dict(state: TrainState) -> Checkpoint:
    """The state as a checkpoint."""
    tensors = {f"model.{name}": value for name, value in state.model.state_dict().items()}
    tensors |= {f"ema_model.{name}": value for name, value in state.ema_model.state_dict().items()}
    for number, optimizer, parameter in _numbered_parameters(state):
        for name, value in optimizer.state[parameter].items():
            tensors[f"optimizer.{number}.{name}"] = value
    tensors |= {f"snapshot.{name}": value for name, value in flatten_snapshots(state.snapshots).items()}
    return Checkpoint(tensors, {"step": state.step, "epoch_sums": state.epoch_sums, "history": state.history})


def load_state_dict(state: TrainState, checkpoint: Checkpoint) -> None:
    """Bring a fresh state to where the checkpoint stands, to the bit."""
    for prefix, model in (("model.", state.model), ("ema_model.", state.ema_model)):
        model.load_state_dict(_without_prefix(checkpoint.tensors, prefix))
    for number, optimizer, parameter in _numbered_parameters(state):
        prefix = f"optimizer.{number}."
        for name, value in checkpoint.tensors.items():
            if name.startswith(prefix):
                # moments lie in memory as their parameter does: another layout would round sums in another order
                held = torch.empty_like(parameter) if value.shape == parameter.shape else torch.empty_like(value)
                optimizer.state[parameter][name.removeprefix(prefix)] = held.detach().copy_(value)
    state.snapshots = unflatten_snapshots(_without_prefix(checkpoint.tensors, "snapshot."))
    state.step = checkpoint.progress["step"]
    state.epoch_sums = checkpoint.progress["epoch_sums"]
    state.history = checkpoint.progress["history"]


def _without_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Those whose names begin with `prefix`, without it."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _numbered_parameters(state: TrainState) -> list[tuple[int, torch.optim.Optimizer, Tensor]]:
    """The parameters, numbered in the optimizers' order."""
    held = [
        (optimizer, value)
        for optimizer in state.optimizers
        for group in optimizer.param_groups
        for value in group["params"]
    ]
    return [(number, *pair) for number, pair in enumerate(held)]
