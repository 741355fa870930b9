"""One training on N processes (torchrun): who does what, sums over all of them, and batch normalisation in step.

The same global batch gives the same learning curve on one process as on many: each process takes its part of every
batch, gradients are summed (each loss is already divided by the size of the whole batch), and batch normalisation
measures the whole batch. gloo on CPUs, NCCL on GPUs. One process needs nothing of this and pays nothing for it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, distributed, nn

from strokewise.errors import UserError

TIMEOUT = timedelta(minutes=5)  # no step takes that long: whoever is silent for longer is gone


@dataclass(frozen=True)
class Team:
    """The processes of one training, seen from one of them."""

    rank: int
    size: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == 0

    def part(self, count: int) -> slice:
        """This process's part of `count` things: all parts together are everything once, as even as can be."""
        return slice(count * self.rank // self.size, count * (self.rank + 1) // self.size)


@contextmanager
def team(device: str) -> Iterator[Team]:
    """The team that torchrun started, or one process alone; `device` is "cpu" or "cuda"."""
    size, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    place = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if device == "cuda" else torch.device("cpu")
    if place.type == "cuda":
        torch.cuda.set_device(place)
    if size == 1:
        yield Team(0, 1, place)
        return
    distributed.init_process_group("nccl" if device == "cuda" else "gloo", timeout=TIMEOUT)
    try:
        yield Team(rank, size, place)
    finally:
        distributed.destroy_process_group()


def add(team: Team, value: Tensor) -> Tensor:
    """Replace `value`, in place, by its sum over all processes."""
    if team.size > 1:
        with _together(team):
            distributed.all_reduce(value)
    return value


def tell(team: Team, content: bytes) -> bytes:
    """The leader's `content`, on every process."""
    if team.size == 1:
        return content
    with _together(team):
        length = torch.tensor([len(content)], device=team.device)
        distributed.broadcast(length, 0)
        text = torch.zeros(int(length), dtype=torch.uint8)
        if team.leads and content:
            text = torch.frombuffer(bytearray(content), dtype=torch.uint8)
        text = text.to(team.device)
        if len(text):
            distributed.broadcast(text, 0)
    return text.cpu().numpy().tobytes()


def add_gradients(team: Team, network: nn.Module, *figures: Tensor) -> list[Tensor]:
    """Sum all gradients over the processes, in place, and the scalar `figures`, which are returned: one message."""
    if team.size == 1:
        return list(figures)
    gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    sums = add(team, torch.cat([value.reshape(-1).float() for value in (*gradients, *figures)]))
    parts = torch.split(sums, [value.numel() for value in (*gradients, *figures)])
    for gradient, part in zip(gradients, parts, strict=False):
        gradient.copy_(part.view(gradient.shape))
    return [part.view(()) for part in parts[len(gradients) :]]


def synchronise(team: Team, network: nn.Module) -> None:
    """Let every batch normalisation of `network` measure the whole batch; alone, it does already.

    torch's own SyncBatchNorm refuses CPUs.
    """
    if team.size == 1:
        return
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if type(child) is nn.BatchNorm2d:
                setattr(parent, name, _TeamBatchNorm(child, team))


class _TeamBatchNorm(nn.BatchNorm2d):
    """Batch normalisation over the parts of a batch that lie on several processes; same parameters and names."""

    def __init__(self, alone: nn.BatchNorm2d, team: Team) -> None:
        super().__init__(alone.num_features, alone.eps, alone.momentum)
        self.weight, self.bias = alone.weight, alone.bias
        self.running_mean, self.running_var = alone.running_mean, alone.running_var
        self.num_batches_tracked = alone.num_batches_tracked
        self.team = team

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, H, W) -> the same, each map with mean 0 and variance 1 over all processes, then scaled."""
        if not self.training:
            return super().forward(maps)
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        wide = maps.float()
        here = torch.cat([wide.sum((0, 2, 3)), wide.square().sum((0, 2, 3)), wide.new_tensor([wide[:, 0].numel()])])
        total: Tensor = _Sum.apply(here, self.team)  # type: ignore[no-untyped-call]
        count = total[-1].detach()
        mean, square = (total[:-1] / count).chunk(2)
        variance = (square - mean.square()).clamp(min=0)
        with torch.no_grad():
            self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * count / (count - 1), self.momentum)
        scale = self.weight * (variance + self.eps).rsqrt()
        return (wide * scale.view(1, -1, 1, 1) + (self.bias - mean * scale).view(1, -1, 1, 1)).to(maps.dtype)


class _Sum(torch.autograd.Function):
    """A sum over the processes, through which gradients flow: their sum over the processes."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, team: Team) -> Tensor:
        ctx.team = team
        return add(team, value.clone())

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return add(ctx.team, gradient.clone()), None


@contextmanager
def _together(team: Team) -> Iterator[None]:
    """A message to or from all processes; fails when one of them is gone."""
    try:
        yield
    except RuntimeError as error:
        raise UserError(
            f"process {team.rank} of {team.size} lost the others ({' '.join(str(error).split())[:120]}); look at what "
            "they said, then start the same command again: it goes on from the last checkpoint"
        ) from None
