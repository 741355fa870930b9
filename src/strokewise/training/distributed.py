"""One training on several processes (torchrun): who does what, sums over all of them, synchronised batch normalisation.

The same global batch gives the same learning curve on one process as on many: each process takes its shard of every
batch, gradients are summed (each loss is already divided by the size of the whole batch), and batch normalisation
measures the whole batch. gloo on CPUs, NCCL on GPUs. A single process does none of this and pays nothing for it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, distributed, nn

from strokewise.errors import UserError, one_line

COLLECTIVE_TIMEOUT = timedelta(minutes=5)  # no step takes that long: a process that is silent for longer is gone


@dataclass(frozen=True)
class DistributedContext:
    """The processes of one training, seen from one of them."""

    rank: int
    world_size: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == 0

    def shard(self, count: int) -> slice:
        """This process's part of `count` items: all parts together are everything once, as even as can be."""
        return slice(count * self.rank // self.world_size, count * (self.rank + 1) // self.world_size)


@contextmanager
def init_distributed(device: str) -> Iterator[DistributedContext]:
    """The processes that torchrun started, or one process alone; `device` is "cpu" or "cuda"."""
    world_size, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    local = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if device == "cuda" else torch.device("cpu")
    if local.type == "cuda":
        torch.cuda.set_device(local)
    if world_size == 1:
        yield DistributedContext(0, 1, local)
        return
    distributed.init_process_group("nccl" if device == "cuda" else "gloo", timeout=COLLECTIVE_TIMEOUT)
    try:
        yield DistributedContext(rank, world_size, local)
    finally:
        distributed.destroy_process_group()


def all_reduce(context: DistributedContext, value: Tensor) -> Tensor:
    """Replace `value`, in place, by its sum over all processes. Raises UserError if a process is gone."""
    if context.world_size > 1:
        with _collective(context):
            distributed.all_reduce(value)
    return value


def broadcast(context: DistributedContext, content: bytes) -> bytes:
    """The main process's `content`, on every process. Raises UserError if a process is gone."""
    if context.world_size == 1:
        return content
    with _collective(context):
        length = torch.tensor([len(content)], device=context.device)
        distributed.broadcast(length, 0)
        data = torch.zeros(int(length), dtype=torch.uint8)
        if context.is_main and content:
            data = torch.frombuffer(bytearray(content), dtype=torch.uint8)
        data = data.to(context.device)
        if len(data):
            distributed.broadcast(data, 0)
    return data.cpu().numpy().tobytes()


def all_reduce_gradients(context: DistributedContext, model: nn.Module, *scalars: Tensor) -> list[Tensor]:
    """Sum all gradients over the processes, in place, and the `scalars`, which are returned: one message."""
    if context.world_size == 1:
        return list(scalars)
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    sums = all_reduce(context, torch.cat([value.reshape(-1).float() for value in (*gradients, *scalars)]))
    parts = torch.split(sums, [value.numel() for value in (*gradients, *scalars)])
    for gradient, part in zip(gradients, parts, strict=False):
        gradient.copy_(part.view(gradient.shape))
    return [part.view(()) for part in parts[len(gradients) :]]


def convert_sync_batchnorm(context: DistributedContext, model: nn.Module) -> None:
    """Let every batch normalisation of `model` measure the whole batch, in place; alone, it does already.

    torch's own SyncBatchNorm refuses CPUs.
    """
    if context.world_size == 1:
        return
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if type(child) is nn.BatchNorm2d:
                setattr(parent, name, _SyncBatchNorm(child, context))


class _SyncBatchNorm(nn.BatchNorm2d):
    """Batch normalisation over the shards of a batch on several processes; the same parameters and names."""

    def __init__(self, alone: nn.BatchNorm2d, context: DistributedContext) -> None:
        super().__init__(alone.num_features, alone.eps, alone.momentum)
        self.weight, self.bias = alone.weight, alone.bias
        self.running_mean, self.running_var = alone.running_mean, alone.running_var
        self.num_batches_tracked = alone.num_batches_tracked
        self.context = context

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, H, W) → the same, each map with mean 0 and variance 1 over all processes, then scaled."""
        if not self.training:
            return super().forward(maps)
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        wide = maps.float()
        here = torch.cat([wide.sum((0, 2, 3)), wide.square().sum((0, 2, 3)), wide.new_tensor([wide[:, 0].numel()])])
        total: Tensor = _AllReduceSum.apply(here, self.context)  # type: ignore[no-untyped-call]
        count = total[-1].detach()
        mean, square = (total[:-1] / count).chunk(2)
        variance = (square - mean.square()).clamp(min=0)
        with torch.no_grad():
            self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * count / (count - 1), self.momentum)
        scale = self.weight * (variance + self.eps).rsqrt()
        return (wide * scale.view(1, -1, 1, 1) + (self.bias - mean * scale).view(1, -1, 1, 1)).to(maps.dtype)


class _AllReduceSum(torch.autograd.Function):
    """A sum over the processes, through which gradients flow: their sum over the processes."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, context: DistributedContext) -> Tensor:
        ctx.context = context
        return all_reduce(context, value.clone())

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return all_reduce(ctx.context, gradient.clone()), None


@contextmanager
def _collective(context: DistributedContext) -> Iterator[None]:
    """A message to or from all processes; fails when one of them is gone."""
    try:
        yield
    except RuntimeError as error:
        raise UserError(
            f"process {context.rank} of {context.world_size} lost the others ({one_line(error, 120)}); look at what "
            "they printed, then start the same command again: it goes on from the last checkpoint"
        ) from None
