"""Training and prediction in numbers: share of the machine's peak, against a usual loop, and how the cost grows.

    python tests/bench/training.py [--set network.base_channels=48 ...] [--rounds 3] [--plot .strokewise/cost.png] [--cpu]

Peak: floating-point operations a second of a large matrix product of 32-bit numbers, in this process, measured between
the rounds. The usual loop is what one finds in most repositories: a Dataset of PNG files, a DataLoader with two
workers, each picture augmented by itself, the same network and optimiser, all in 32 bits. Both sides take turns; the
best round of each counts. Ours goes in the precision that `train` takes on this machine, unless told another (`--set
train.precision=float32`).
Needs no paintings: what a step costs does not depend on what is drawn.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from strokewise.model.cnn import CNN
from strokewise.model.inference import predict_proba, to_tensor
from strokewise.model.layers import build_layers, count_multiply_adds, count_parameters
from strokewise.params import Params
from strokewise.stages.train import resolve_auto
from strokewise.training import augmentation, state, trainer
from strokewise.training.distributed import DistributedContext
from strokewise.training.trainer import DeviceDataset

ROOT = Path(__file__).parents[2]
SHAPES = tuple(f"shape {number}" for number in range(12))
ALONE = DistributedContext(0, 1, torch.device("cpu"))
BACK_AND_FORTH = 3  # a step costs a forward pass, and twice that backward
MATRIX = 2048
clock = time.perf_counter


def seconds(work: Callable[[], object], rounds: int) -> float:
    """The best of some rounds, after one to warm up."""
    work()
    times = []
    for _ in range(rounds):
        start = clock()
        work()
        times.append(clock() - start)
    return min(times)


def scribbles(count: int, grid: int) -> np.ndarray:
    """Something drawn: uint8 (count, grid, grid)."""
    lot = np.random.default_rng(0)
    pictures = np.zeros((count, grid, grid), np.uint8)
    for picture in pictures:
        cv2.polylines(picture, [lot.integers(0, grid, (6, 2)).astype(np.int32)], True, 255, 2, cv2.LINE_AA)
    return pictures


def data(count: int, grid: int) -> DeviceDataset:
    pictures = scribbles(min(count, 2000), grid)
    return DeviceDataset.of(np.resize(pictures, (count, grid, grid)), np.arange(count) % len(SHAPES), ALONE)


def epoch(params: Params, held: DeviceDataset) -> Callable[[], None]:
    """One epoch of our training, without validation."""
    learner = state.init_state(SHAPES, params.network, params.train, ALONE)
    steps = -(-len(held) // params.train.batch_size)

    def work() -> None:
        for step in range(steps):
            chosen = torch.arange(len(held) * step // steps, len(held) * (step + 1) // steps)
            trainer.train_step(learner, params.train, held, chosen, 1e-3, ALONE, (0, step))

    return work


class Files(Dataset[tuple[Tensor, int]]):
    """PNG files in a folder, each read and augmented by itself."""

    def __init__(self, folder: Path, count: int) -> None:
        self.folder, self.count = folder, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        picture = cv2.imread(str(self.folder / f"{index}.png"), cv2.IMREAD_GRAYSCALE)
        batch = to_tensor(torch.from_numpy(picture).unsqueeze(0))
        return augmentation.augment(batch, torch.Generator().manual_seed(index))[0], index % len(SHAPES)


def usual(params: Params, folder: Path, count: int) -> Callable[[], None]:
    """One epoch of the usual loop over the PNG files in `folder`."""
    net = CNN(SHAPES, params.network)
    optimiser = torch.optim.AdamW(net.parameters())
    loader = DataLoader(Files(folder, count), params.train.batch_size, shuffle=True, num_workers=2)

    def work() -> None:
        for pictures, labels in loader:
            optimiser.zero_grad()
            functional.cross_entropy(net(pictures), labels).backward()
            optimiser.step()

    return work


def against_peak(params: Params, rounds: int) -> None:
    held = data(600, params.network.image_size)
    matrix = torch.rand(MATRIX, MATRIX)
    peak, ours = 0.0, float("inf")
    work = epoch(params, held)
    for _ in range(rounds):  # in turns: the machine is never equally quiet for long
        peak = max(peak, 2 * MATRIX**3 / seconds(lambda: matrix @ matrix, 3))
        ours = min(ours, seconds(work, 1))
    layers = build_layers(params.network, len(SHAPES))
    operations = 2 * BACK_AND_FORTH * count_multiply_adds(layers)
    learner = state.init_state(SHAPES, params.network, params.train, ALONE)
    pictures, labels = to_tensor(held.pictures[: params.train.batch_size]), held.labels[: params.train.batch_size]

    def forth_and_back() -> None:
        with trainer._autocast(params.train, ALONE):
            logits = learner.network(pictures).float()
        functional.cross_entropy(logits, labels).backward()

    bare = seconds(forth_and_back, rounds)
    changed = seconds(lambda: augmentation.augment(pictures, torch.Generator()), rounds)
    rate = len(held) / ours
    print(f"parameters {count_parameters(layers):,}, a step {operations / 1e6:.1f} MFLOP a painting")
    print(
        f"peak {peak / 1e9:.0f} GFLOP/s; training in {params.train.precision} {rate:.0f} paintings/s = "
        f"{rate * operations / peak:.0%} of the peak"
    )
    print(f"  network alone {len(pictures) / bare:.0f}/s = {len(pictures) / bare * operations / peak:.0%}", end="; ")
    print(f"augmentation {1e6 * changed / len(pictures):.0f} µs of {1e6 * ours / len(held):.0f} µs a painting")


def against_usual(params: Params, rounds: int) -> None:
    held = data(600, params.network.image_size)
    with tempfile.TemporaryDirectory() as folder:
        for index, picture in enumerate(held.pictures.numpy()):
            cv2.imwrite(f"{folder}/{index}.png", picture)
        ours, theirs = epoch(params, held), usual(params, Path(folder), len(held))
        pairs = [(seconds(ours, 1), seconds(theirs, 1)) for _ in range(rounds)]
    best, other = (len(held) / min(times) for times in zip(*pairs, strict=True))
    print(f"usual loop {other:.0f} paintings/s, ours {best:.0f}: {best / other:.1f} times as fast")


def prediction(params: Params, rounds: int) -> None:
    net = CNN(SHAPES, params.network).eval()
    pictures = scribbles(1024, params.network.image_size)
    one = seconds(lambda: predict_proba(net, pictures[:1]), 20 * rounds)
    many = seconds(lambda: predict_proba(net, pictures), rounds)
    print(f"one picture {1e3 * one:.2f} ms, batches {len(pictures) / many:,.0f} pictures/s")


def growth(params: Params, plot: Path) -> None:
    """Milliseconds a painting over grids, and a share of an epoch's time over counts."""
    grids = []
    for grid in (64, 128, 256, 512):
        sized = params.model_copy(update={"network": params.network.model_copy(update={"grid": grid})})
        count = max(8, min(256, 64 * 64 * 256 // grid**2))
        grids.append((grid, seconds(epoch(sized, data(count, grid)), 1) / count))
    print("a painting, by grid: " + ", ".join(f"{grid} px {1e3 * cost:.2f} ms" for grid, cost in grids))
    print("  and a million pixels: " + ", ".join(f"{1e9 * cost / grid**2:.0f} ms" for grid, cost in grids))
    counts = []
    for count in (600, 6000, 60_000):
        held = data(count, params.network.image_size)
        steps = min(count, 2400) // params.train.batch_size  # the rest of a longer epoch is the same again
        learner = state.init_state(SHAPES, params.network, params.train, ALONE)
        order = torch.randperm(count, generator=torch.Generator().manual_seed(0)).split(params.train.batch_size)
        start = clock()
        for step, chosen in enumerate(order[:steps]):
            trainer.train_step(learner, params.train, held, chosen, 1e-3, ALONE, (0, step))
        counts.append((count, (clock() - start) / steps / params.train.batch_size))
    print("a painting, by count: " + ", ".join(f"{count:,} {1e3 * cost:.2f} ms" for count, cost in counts))
    draw(grids, counts, plot)
    print(f"  drawn in {plot}")


def draw(grids: list[tuple[int, float]], counts: list[tuple[int, float]], plot: Path) -> None:
    from matplotlib.figure import Figure

    from strokewise import plots

    figure = Figure((8, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.loglog([grid**2 for grid, _ in grids], [1e3 * cost for _, cost in grids], "o-")
    left.set(title="a step", xlabel="pixels", ylabel="ms a painting")
    right.loglog([count for count, _ in counts], [count * cost for count, cost in counts], "o-")
    right.set(title="an epoch", xlabel="paintings", ylabel="seconds")
    plots.save_figure(figure, plot)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--plot", type=Path, default=ROOT / ".strokewise" / "cost.png")
    parser.add_argument("--cpu", action="store_true", help="count CPU time: for a busy machine, and not for the loop")
    given = parser.parse_args()
    chosen = Params.load(ROOT / "params.yaml", ["train.device=cpu", *given.set])
    chosen = chosen.model_copy(update={"train": resolve_auto(chosen.train)})
    clock = time.process_time if given.cpu else time.perf_counter
    torch.set_num_threads(chosen.train.threads)
    against_peak(chosen, given.rounds)
    against_usual(chosen, given.rounds)
    prediction(chosen, given.rounds)
    growth(chosen, given.plot)
