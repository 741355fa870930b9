"""Speed of training and prediction: share of the machine's peak, against a typical loop, and how the cost grows.

    python benchmarks/training.py [--set network.base_channels=48 ...] [--rounds 3] [--plot cost.png] [--cpu]

Peak: floating-point operations a second of a large matrix product of 32-bit numbers, in this process, measured between
the rounds. The typical loop is what one finds in most repositories: a Dataset of PNG files, a DataLoader with two
workers, each picture augmented by itself, the same network and optimizer, all in 32 bits. Both sides take turns; the
best round of each counts. Ours uses the precision that `train` takes on this machine, or `--set
train.precision=float32`. Needs no paintings: what a step costs does not depend on what is drawn.
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

ROOT = Path(__file__).parents[1]
SHAPES = tuple(f"shape {number}" for number in range(12))
ONE_PROCESS = DistributedContext(0, 1, torch.device("cpu"))
PASSES_PER_STEP = 3  # a step costs a forward pass, and twice that backward
MATRIX_SIZE = 2048
clock = time.perf_counter


def best_time(function: Callable[[], object], rounds: int) -> float:
    """Seconds of the best of some rounds, after one to warm up."""
    function()
    times = []
    for _ in range(rounds):
        start = clock()
        function()
        times.append(clock() - start)
    return min(times)


def random_pictures(count: int, image_size: int) -> np.ndarray:
    """Random polygons: uint8 (count, image_size, image_size)."""
    rng = np.random.default_rng(0)
    pictures = np.zeros((count, image_size, image_size), np.uint8)
    for picture in pictures:
        points = rng.integers(0, image_size, (6, 2)).astype(np.int32)
        cv2.polylines(picture, [points], True, 255, 2, cv2.LINE_AA)
    return pictures


def random_dataset(count: int, image_size: int) -> DeviceDataset:
    """A training set of `count` pictures, of which at most 2000 differ."""
    pictures = np.resize(random_pictures(min(count, 2000), image_size), (count, image_size, image_size))
    return DeviceDataset.of(pictures, np.arange(count) % len(SHAPES), ONE_PROCESS)


def our_epoch(params: Params, dataset: DeviceDataset) -> Callable[[], None]:
    """One epoch of our training, without validation."""
    train_state = state.init_state(SHAPES, params.network, params.train, ONE_PROCESS)
    steps = -(-len(dataset) // params.train.batch_size)

    def run() -> None:
        for step in range(steps):
            batch = torch.arange(len(dataset) * step // steps, len(dataset) * (step + 1) // steps)
            trainer.train_step(train_state, params.train, dataset, batch, 1e-3, ONE_PROCESS, (0, step))

    return run


class PngDataset(Dataset[tuple[Tensor, int]]):
    """PNG files in a folder, each read and augmented by itself."""

    def __init__(self, folder: Path, count: int) -> None:
        self.folder, self.count = folder, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        picture = cv2.imread(str(self.folder / f"{index}.png"), cv2.IMREAD_GRAYSCALE)
        batch = to_tensor(torch.from_numpy(picture).unsqueeze(0))
        return augmentation.augment(batch, torch.Generator().manual_seed(index))[0], index % len(SHAPES)


def typical_epoch(params: Params, folder: Path, count: int) -> Callable[[], None]:
    """One epoch of the typical loop over the PNG files in `folder`."""
    cnn = CNN(SHAPES, params.network)
    optimizer = torch.optim.AdamW(cnn.parameters())
    loader = DataLoader(PngDataset(folder, count), params.train.batch_size, shuffle=True, num_workers=2)

    def run() -> None:
        for pictures, labels in loader:
            optimizer.zero_grad()
            functional.cross_entropy(cnn(pictures), labels).backward()
            optimizer.step()

    return run


def compare_with_peak(params: Params, rounds: int) -> None:
    dataset = random_dataset(600, params.network.image_size)
    matrix = torch.rand(MATRIX_SIZE, MATRIX_SIZE)
    peak, epoch_time = 0.0, float("inf")
    epoch = our_epoch(params, dataset)
    for _ in range(rounds):  # in turns: the machine is never equally quiet for long
        peak = max(peak, 2 * MATRIX_SIZE**3 / best_time(lambda: matrix @ matrix, 3))
        epoch_time = min(epoch_time, best_time(epoch, 1))
    layers = build_layers(params.network, len(SHAPES))
    operations = 2 * PASSES_PER_STEP * count_multiply_adds(layers)
    train_state = state.init_state(SHAPES, params.network, params.train, ONE_PROCESS)
    pictures, labels = to_tensor(dataset.pictures[: params.train.batch_size]), dataset.labels[: params.train.batch_size]

    def forward_backward() -> None:
        with trainer._autocast(params.train, ONE_PROCESS):
            logits = train_state.model(pictures).float()
        functional.cross_entropy(logits, labels).backward()

    network_time = best_time(forward_backward, rounds)
    augment_time = best_time(lambda: augmentation.augment(pictures, torch.Generator()), rounds)
    rate, network_rate = len(dataset) / epoch_time, len(pictures) / network_time
    print(f"parameters {count_parameters(layers):,}, a step {operations / 1e6:.1f} MFLOP a painting")
    print(
        f"peak {peak / 1e9:.0f} GFLOP/s; training in {params.train.precision} {rate:.0f} paintings/s = "
        f"{rate * operations / peak:.0%} of the peak"
    )
    print(f"  network alone {network_rate:.0f}/s = {network_rate * operations / peak:.0%}", end="; ")
    print(f"augmentation {1e6 * augment_time / len(pictures):.0f} µs of {1e6 / rate:.0f} µs a painting")


def compare_with_typical_loop(params: Params, rounds: int) -> None:
    dataset = random_dataset(600, params.network.image_size)
    with tempfile.TemporaryDirectory() as folder:
        for index, picture in enumerate(dataset.pictures.numpy()):
            cv2.imwrite(f"{folder}/{index}.png", picture)
        ours, typical = our_epoch(params, dataset), typical_epoch(params, Path(folder), len(dataset))
        times = [(best_time(ours, 1), best_time(typical, 1)) for _ in range(rounds)]
    our_rate, typical_rate = (len(dataset) / min(side) for side in zip(*times, strict=True))
    print(
        f"typical loop {typical_rate:.0f} paintings/s, ours {our_rate:.0f}: {our_rate / typical_rate:.1f} times as fast"
    )


def measure_prediction(params: Params, rounds: int) -> None:
    cnn = CNN(SHAPES, params.network).eval()
    pictures = random_pictures(1024, params.network.image_size)
    one = best_time(lambda: predict_proba(cnn, pictures[:1]), 20 * rounds)
    many = best_time(lambda: predict_proba(cnn, pictures), rounds)
    print(f"one picture {1e3 * one:.2f} ms, batches {len(pictures) / many:,.0f} pictures/s")


def measure_growth(params: Params, plot: Path) -> None:
    """Print and draw seconds a painting for image sizes, and for numbers of paintings."""
    by_size = []
    for size in (64, 128, 256, 512):
        sized = params.model_copy(update={"network": params.network.model_copy(update={"image_size": size})})
        count = max(8, min(256, 64 * 64 * 256 // size**2))
        by_size.append((size, best_time(our_epoch(sized, random_dataset(count, size)), 1) / count))
    print("a painting, by image size: " + ", ".join(f"{size} px {1e3 * cost:.2f} ms" for size, cost in by_size))
    print("  and a million pixels: " + ", ".join(f"{1e9 * cost / size**2:.0f} ms" for size, cost in by_size))
    by_count = []
    for count in (600, 6000, 60_000):
        dataset = random_dataset(count, params.network.image_size)
        steps = min(count, 2400) // params.train.batch_size  # the rest of a longer epoch is the same again
        train_state = state.init_state(SHAPES, params.network, params.train, ONE_PROCESS)
        batches = torch.randperm(count, generator=torch.Generator().manual_seed(0)).split(params.train.batch_size)
        start = clock()
        for step, batch in enumerate(batches[:steps]):
            trainer.train_step(train_state, params.train, dataset, batch, 1e-3, ONE_PROCESS, (0, step))
        by_count.append((count, (clock() - start) / steps / params.train.batch_size))
    print("a painting, by count: " + ", ".join(f"{count:,} {1e3 * cost:.2f} ms" for count, cost in by_count))
    draw_growth(by_size, by_count, plot)
    print(f"  drawn in {plot}")


def draw_growth(by_size: list[tuple[int, float]], by_count: list[tuple[int, float]], plot: Path) -> None:
    from matplotlib.figure import Figure

    from strokewise import plots

    figure = Figure((8, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.loglog([size**2 for size, _ in by_size], [1e3 * cost for _, cost in by_size], "o-")
    left.set(title="a step", xlabel="pixels", ylabel="ms a painting")
    right.loglog([count for count, _ in by_count], [count * cost for count, cost in by_count], "o-")
    right.set(title="an epoch", xlabel="paintings", ylabel="seconds")
    plots.save_figure(figure, plot)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--plot", type=Path, default=ROOT / ".strokewise" / "cost.png")
    parser.add_argument("--cpu", action="store_true", help="count CPU time: for a busy machine, and not for the loop")
    options = parser.parse_args()
    params = Params.load(ROOT / "params.yaml", ["train.device=cpu", *options.set])
    params = params.model_copy(update={"train": resolve_auto(params.train)})
    clock = time.process_time if options.cpu else time.perf_counter
    torch.set_num_threads(params.train.threads)
    compare_with_peak(params, options.rounds)
    compare_with_typical_loop(params, options.rounds)
    measure_prediction(params, options.rounds)
    measure_growth(params, options.plot)
