"""The training loop: a state, pictures uint8 (N, G, G) and labels int64 (N,) → the trained state.

Every epoch goes through every painting once, shuffled and augmented anew. The learning rate rises and falls back to
zero, and the model is the moving average of the weights at the end. No epoch is chosen by its accuracy on the few
hundred validation paintings, which would be luck: they are for monitoring alone.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from strokewise.data.shapes import OTHER
from strokewise.errors import UserError
from strokewise.model.inference import to_tensor
from strokewise.params import TrainParams
from strokewise.support import progress
from strokewise.training import augment_params, augmentation, distributed
from strokewise.training.augment_params import AugmentLimits
from strokewise.training.distributed import DistributedContext
from strokewise.training.snapshots import keep_snapshot
from strokewise.training.state import AUGMENT_SEED, SHUFFLE_SEED, TrainState, child_generator

EMA_WARMUP = 10  # steps in which the moving average follows faster: it would mostly hold the first, random weights


@dataclass(frozen=True)
class DeviceDataset:
    """A split as one tensor on the device, so that a batch is an index, not a read."""

    pictures: Tensor  # uint8 (N, G, G)
    labels: Tensor  # int64 (N,)
    limits: AugmentLimits | None = None  # of each painting, on the CPU
    log_ratio: Tensor | float = 0.0  # (C,): logarithm of each shape's share of the labels over its prior

    @classmethod
    def of(
        cls,
        pictures: NDArray[np.uint8],
        labels: NDArray[np.int64],
        context: DistributedContext,
        limits: AugmentLimits | None = None,
        priors: NDArray[np.float64] | None = None,
    ) -> "DeviceDataset":
        """Move a split's arrays to the context's device.

        Args:
            pictures: uint8 (N, G, G).
            labels: int64 (N,).
            context: the processes that train together.
            limits: of the augmentation; None: no picture is mirrored or rotated far.
            priors: (C,), how frequent each shape is where the network will be used; None: as frequent as here.
        """
        log_ratio: Tensor | float = 0.0
        if priors is not None:
            shares = np.bincount(labels, minlength=len(priors)).clip(1) / len(labels)
            log_ratio = torch.tensor(np.log(shares / priors), dtype=torch.float32, device=context.device)
        pictures_tensor, labels_tensor = (torch.tensor(array, device=context.device) for array in (pictures, labels))
        return cls(pictures_tensor, labels_tensor, limits, log_ratio)

    def __len__(self) -> int:
        return len(self.labels)


def fit(
    state: TrainState,
    params: TrainParams,
    train_set: DeviceDataset,
    validation_set: DeviceDataset,
    context: DistributedContext,
    on_step: Callable[[], None],
) -> None:
    """Take all steps that are left.

    Args:
        state: is updated in place.
        params: `train` of params.yaml, with `auto` resolved.
        train_set, validation_set: on the context's device.
        context: the processes that train together.
        on_step: called after each step, when the state is complete.

    Raises UserError before an update that would not be finite.
    """
    total = len(train_set)
    steps = math.ceil(total / params.batch_size)  # an epoch, in batches as even as can be
    done = total * state.step // steps
    keep_snapshot(state.snapshots, state.ema_model, state.step, params.epochs * steps)
    with progress.progress_bar(
        params.epochs * total, "train", "paintings", silent=not context.is_main, done=done
    ) as bar:
        for epoch in range(state.step // steps, params.epochs):
            order = torch.randperm(total, generator=child_generator(params.seed, SHUFFLE_SEED, epoch))
            for step in range(state.step % steps, steps):
                if step == 0:
                    state.epoch_sums = [0.0, 0.0]
                batch = order[total * step // steps : total * (step + 1) // steps]
                rate = learning_rate(params, state.step, params.epochs * steps)
                train_step(state, params, train_set, batch, rate, context, (epoch, step))
                state.step += 1
                keep_snapshot(state.snapshots, state.ema_model, state.step, params.epochs * steps)
                if step == steps - 1:
                    means = [value / total for value in state.epoch_sums]
                    validation = validate(state, params, validation_set, context)
                    state.history.append([epoch + 1, *means, *validation, rate])
                on_step()
                bar.set_postfix_str(_progress_text(state, (step + 1) / steps * total), refresh=False)
                bar.update(len(batch))


def shape_priors(shapes: tuple[str, ...], other_prior: float) -> NDArray[np.float64]:
    """The prior of each shape, (C,): `other` as given, all others alike."""
    if len(shapes) == 1 or OTHER not in shapes:
        return np.full(len(shapes), 1 / len(shapes))
    return np.where(np.array(shapes) == OTHER, other_prior, (1 - other_prior) / (len(shapes) - 1))


def learning_rate(params: TrainParams, step: int, total: int) -> float:
    """The rate of step `step` (from 0) of `total`: linear warm-up over the share `warmup`, then a cosine to zero."""
    warmup = params.warmup * total
    if step + 1 <= warmup:
        return params.learning_rate * (step + 1) / warmup
    decay = (step + 1 - warmup) / (total - warmup)
    return params.learning_rate * (1 + math.cos(math.pi * min(decay, 1.0))) / 2


def train_step(
    state: TrainState,
    params: TrainParams,
    train_set: DeviceDataset,
    batch: Tensor,
    rate: float,
    context: DistributedContext,
    at: tuple[int, int],
) -> None:
    """Take one optimizer step.

    Args:
        state: is updated in place.
        params: `train` of params.yaml, with `auto` resolved.
        train_set: on the context's device.
        batch: indices (B,) of the paintings of this step, of which this process takes its shard.
        rate: learning rate.
        context: the processes that train together.
        at: (epoch, step within it), from 0; decides the augmentation.

    Raises UserError before an update that would not be finite.
    """
    shard = context.shard(len(batch))
    mine = batch[shard].to(context.device)
    pictures, labels = to_tensor(train_set.pictures[mine]), train_set.labels[mine]
    if params.augment_strength > 0:
        generator = child_generator(params.seed, AUGMENT_SEED, *at)
        limits = train_set.limits.subset(batch) if train_set.limits else None
        amounts = augment_params.sample_augment(
            len(batch), pictures.shape[-1], generator, params.augment_strength, limits
        )
        pictures = augmentation.apply_augment(pictures, amounts.subset(shard).to(context.device))
    with _autocast(params, context):
        logits = state.model(pictures).float()
    logits = logits + train_set.log_ratio  # logit adjustment, Menon et al. 2021: without it, the logits have the priors
    losses = functional.cross_entropy(logits, labels, reduction="sum", label_smoothing=params.label_smoothing)
    loss = losses / len(batch)  # of the whole batch: the processes' gradients are summed
    state.model.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    correct = (logits.argmax(1) == labels).sum()
    total_loss, total_correct = distributed.all_reduce_gradients(context, state.model, loss.detach(), correct)
    _check_finite(state, total_loss, at, params)
    for optimizer in state.optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
    update_ema(state, params.ema_decay)
    state.epoch_sums[0] += float(total_loss) * len(batch)
    state.epoch_sums[1] += float(total_correct)


@torch.no_grad()
def update_ema(state: TrainState, decay: float) -> None:
    """Move the average towards the model, faster during the first steps."""
    decay = min(decay, (state.step + 1) / (state.step + 1 + EMA_WARMUP))
    current = state.model.state_dict()
    for name, value in state.ema_model.state_dict().items():
        if value.is_floating_point():
            value.lerp_(current[name], 1 - decay)
        else:
            value.copy_(current[name])


@torch.inference_mode()
def validate(
    state: TrainState, params: TrainParams, validation_set: DeviceDataset, context: DistributedContext
) -> tuple[float, float]:
    """Loss and accuracy of the averaged weights: sums over the processes' shards, then one division.

    Args:
        state: its `ema_model` is evaluated.
        params: for the batch size and the precision.
        validation_set: on the context's device.
        context: the processes that train together.
    """
    shard = context.shard(len(validation_set))
    sums = torch.zeros(2, dtype=torch.float64, device=context.device)
    for start in range(shard.start, shard.stop, params.batch_size):
        batch = slice(start, min(start + params.batch_size, shard.stop))
        with _autocast(params, context):
            logits = state.ema_model(to_tensor(validation_set.pictures[batch])).float()
        labels = validation_set.labels[batch]
        sums[0] += functional.cross_entropy(logits, labels, reduction="sum")
        sums[1] += (logits.argmax(1) == labels).sum()
    loss, accuracy = (distributed.all_reduce(context, sums) / len(validation_set)).tolist()
    return loss, accuracy


def _autocast(params: TrainParams, context: DistributedContext) -> torch.autocast:
    """With bfloat16, convolutions and matrix products take 16-bit numbers; weights and sums keep 32."""
    assert params.precision != "auto"
    return torch.autocast(context.device.type, torch.bfloat16, enabled=params.precision == "bfloat16")


def _check_finite(state: TrainState, loss: Tensor, at: tuple[int, int], params: TrainParams) -> None:
    gradients = [value.grad for value in state.model.parameters() if value.grad is not None]
    if not torch.isfinite(loss + torch.nn.utils.get_total_norm(gradients)):
        raise UserError(
            f"training stopped before an update that is not finite: epoch {at[0] + 1}, step {at[1] + 1}, loss "
            f"{float(loss):.4g}; lower train.learning_rate (it is {params.learning_rate:g}) or raise train.warmup"
        )


def _progress_text(state: TrainState, paintings: float) -> str:
    validation = f", validation {state.history[-1][4]:.1%}" if state.history else ""
    return f"loss {state.epoch_sums[0] / paintings:.3f}{validation}"
