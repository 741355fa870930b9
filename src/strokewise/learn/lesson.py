"""A pupil, uint8 (N, G, G) pictures and int64 (N,) labels -> the same pupil, taught: plain PyTorch, in its order.

Every epoch looks at every painting once, in a new order and each changed anew. The learning rate rises and falls
back to nothing, and the model is the running average of the weights at the end: no epoch is picked by its luck on a
few hundred validation paintings, which are only watched.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from strokewise import network, progress
from strokewise.errors import UserError
from strokewise.learn import augment, distributed
from strokewise.learn.augment import Freedom
from strokewise.learn.distributed import Team
from strokewise.learn.pupil import AMOUNTS, ORDER, Pupil, generator
from strokewise.params import Train

YOUNG = 10  # steps after which the running average no longer mostly holds the first, random weights


@dataclass(frozen=True)
class Lesson:
    """A split as one tensor on the device, so that a batch is an index, not a read."""

    pictures: Tensor  # uint8 (N, G, G)
    labels: Tensor  # int64 (N,)
    freedom: Freedom | None = None  # of each painting, on the CPU

    @classmethod
    def of(
        cls, pictures: NDArray[np.uint8], labels: NDArray[np.int64], team: Team, freedom: Freedom | None = None
    ) -> "Lesson":
        """A split's arrays on the team's device."""
        return cls(torch.tensor(pictures, device=team.device), torch.tensor(labels, device=team.device), freedom)

    def __len__(self) -> int:
        return len(self.labels)


def teach(pupil: Pupil, settings: Train, lesson: Lesson, unseen: Lesson, team: Team, save: Callable[[], None]) -> None:
    """Take all the steps that are left; `save` is called after each, when the pupil is whole.

    Raises UserError before an update that would not be finite.
    """
    steps = math.ceil(len(lesson) / settings.batch_size)  # an epoch, of batches as even as can be
    looks, before = settings.epochs * len(lesson), len(lesson) * pupil.step // steps
    with progress.bar(looks, "train", "paintings", silent=not team.leads, done=before) as bar:
        for epoch in range(pupil.step // steps, settings.epochs):
            order = torch.randperm(len(lesson), generator=generator(settings.seed, ORDER, epoch))
            for step in range(pupil.step % steps, steps):
                if step == 0:
                    pupil.sums = [0.0, 0.0]
                chosen = order[len(lesson) * step // steps : len(lesson) * (step + 1) // steps]
                rate = learning_rate(settings, pupil.step, settings.epochs * steps)
                _update(pupil, settings, lesson, chosen, rate, team, (epoch, step))
                pupil.step += 1
                if step == steps - 1:
                    seen = [total / len(lesson) for total in pupil.sums]
                    pupil.history.append([epoch + 1, *seen, *validate(pupil, settings, unseen, team), rate])
                save()
                bar.set_postfix_str(_figures(pupil, (step + 1) / steps * len(lesson)), refresh=False)
                bar.update(len(chosen))


def learning_rate(settings: Train, step: int, total: int) -> float:
    """From nothing up to the highest over the share `warmup` of the steps, then down to nothing along a cosine."""
    rise = settings.warmup * total
    if step + 1 <= rise:
        return settings.learning_rate * (step + 1) / rise
    fallen = (step + 1 - rise) / (total - rise)
    return settings.learning_rate * (1 + math.cos(math.pi * min(fallen, 1.0))) / 2


def _update(
    pupil: Pupil, settings: Train, lesson: Lesson, chosen: Tensor, rate: float, team: Team, at: tuple[int, int]
) -> None:
    """One step on the paintings `chosen`, of which this process takes its part."""
    part = team.part(len(chosen))
    mine = chosen[part].to(team.device)
    pictures, labels = network.batch(lesson.pictures[mine]), lesson.labels[mine]
    if settings.augment > 0:
        randomness = generator(settings.seed, AMOUNTS, *at)
        freedom = lesson.freedom.part(chosen) if lesson.freedom else None
        amounts = augment.draw(len(chosen), pictures.shape[-1], randomness, settings.augment, freedom)
        pictures = augment.apply(pictures, amounts.part(part).on(team.device))
    with _precision(settings, team):
        logits = pupil.network(pictures).float()
    losses = functional.cross_entropy(logits, labels, reduction="sum", label_smoothing=settings.smoothing)
    loss = losses / len(chosen)  # of the whole batch, so that the processes' gradients are to be summed
    pupil.optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    right = (logits.argmax(1) == labels).sum()
    total, correct = distributed.add_gradients(team, pupil.network, loss.detach(), right)
    _check_finite(pupil, total, at, settings)
    for group in pupil.optimiser.param_groups:
        group["lr"] = rate
    pupil.optimiser.step()
    _follow(pupil, settings.averaging)
    pupil.sums[0] += float(total) * len(chosen)
    pupil.sums[1] += float(correct)


def _precision(settings: Train, team: Team) -> torch.autocast:
    """Where convolutions and matrix products take numbers of 16 bits, if so set; weights and sums keep 32."""
    assert settings.precision != "auto"
    return torch.autocast(team.device.type, torch.bfloat16, enabled=settings.precision == "bfloat16")


def _check_finite(pupil: Pupil, loss: Tensor, at: tuple[int, int], settings: Train) -> None:
    gradients = [value.grad for value in pupil.network.parameters() if value.grad is not None]
    if not torch.isfinite(loss + torch.nn.utils.get_total_norm(gradients)):
        raise UserError(
            f"training stopped before an update that is not finite: epoch {at[0] + 1}, step {at[1] + 1}, loss "
            f"{float(loss):.4g}; lower train.learning_rate (it is {settings.learning_rate:g}) or raise train.warmup"
        )


@torch.no_grad()
def _follow(pupil: Pupil, averaging: float) -> None:
    """Move the average towards the network, faster at first, when there is little to average."""
    stays = min(averaging, (pupil.step + 1) / (pupil.step + 1 + YOUNG))
    now = pupil.network.state_dict()
    for name, value in pupil.average.state_dict().items():
        if value.is_floating_point():
            value.lerp_(now[name], 1 - stays)
        else:
            value.copy_(now[name])


@torch.inference_mode()
def validate(pupil: Pupil, settings: Train, unseen: Lesson, team: Team) -> tuple[float, float]:
    """Loss and accuracy of the averaged weights: sums over the processes' parts, then one division."""
    part = team.part(len(unseen))
    sums = torch.zeros(2, dtype=torch.float64, device=team.device)
    for start in range(part.start, part.stop, settings.batch_size):
        some = slice(start, min(start + settings.batch_size, part.stop))
        with _precision(settings, team):
            logits = pupil.average(network.batch(unseen.pictures[some])).float()
        labels = unseen.labels[some]
        sums[0] += functional.cross_entropy(logits, labels, reduction="sum")
        sums[1] += (logits.argmax(1) == labels).sum()
    loss, right = (distributed.add(team, sums) / len(unseen)).tolist()
    return loss, right


def _figures(pupil: Pupil, seen: float) -> str:
    validated = f", validation {pupil.history[-1][4]:.1%}" if pupil.history else ""
    return f"loss {pupil.sums[0] / seen:.3f}{validated}"
