"""How far paintings are from people's drawings: a two-sample test, and a contact sheet of both.

    python benchmarks/realism.py [DRAWINGS] [--sheet sheet.png] [--set generate.hand.bow=0.5 ...]

DRAWINGS holds folders named after shapes of the catalogue, with files `<shape>.<writer>.<number>.png`. For each shape,
a small CNN learns to distinguish paintings from the drawings of most writers and is tested on the other writers: at
50 % it cannot distinguish them, at 100 % it always can. Both are preprocessed and blurred a little, so that the hand is
compared and not the renderer; paper, fillings and pens are left out for the same reason. The CNNs are discarded.
"""

import argparse
import itertools
import os
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from strokewise.data.shards import OTHER
from strokewise.params import GenerateParams, InkStrengths, Params
from strokewise.preprocessing.preprocess import preprocess
from strokewise.synthesis import outlines, render

ROOT = Path(__file__).parents[1]
IMAGE_SIZE, FOLDS, EPOCHS, BATCH_SIZE, MAX_SAMPLES = 64, 3, 12, 64, 900
COLUMNS = 22  # pictures in a row of the contact sheet
PLAIN_INK = dict.fromkeys(InkStrengths.model_fields, 0.0)  # one pen on white paper


def load_drawings(folder: Path) -> tuple[NDArray[np.uint8], NDArray[np.str_]]:
    """Pictures (N, G, G) and the writer of each (N,), without exact duplicates."""
    drawings = {}
    for path in sorted(folder.glob("*.png")):
        picture = preprocess(path, IMAGE_SIZE)
        drawings.setdefault(picture.tobytes(), (picture, path.name.split(".")[1]))
    pictures, writers = zip(*drawings.values(), strict=True)
    return np.stack(pictures), np.array(writers)


def paint(catalogue: outlines.Catalogue, generate: GenerateParams, shape: str, count: int) -> NDArray[np.uint8]:
    """`count` paintings of a shape, preprocessed: (count, G, G)."""
    label = catalogue.shapes.index(shape)
    indices = (index for index in itertools.count() if render.class_of(catalogue, index)[0] == label)
    paintings = [
        render.render_painting(catalogue, generate, "preview", index) for index in itertools.islice(indices, count)
    ]
    return np.stack([preprocess(painting.scene, IMAGE_SIZE) for painting in paintings])


def two_sample_accuracy(paintings: NDArray[np.uint8], drawings: NDArray[np.uint8], writers: NDArray[np.str_]) -> float:
    """Balanced accuracy of distinguishing paintings from drawings, cross-validated over `FOLDS` groups of writers."""
    names = sorted(set(writers.tolist()))
    accuracies = []
    for fold in range(min(FOLDS, len(names))):
        test_drawings = np.isin(writers, names[fold::FOLDS])
        test_paintings = np.arange(len(paintings)) % FOLDS == fold
        train_samples = np.concatenate([paintings[~test_paintings], drawings[~test_drawings]])
        model = train_classifier(train_samples, int((~test_paintings).sum()))
        with torch.inference_mode():
            painting_rate, drawing_rate = (
                (model(to_blurred_tensor(samples)) > 0).float().mean().item()  # share taken for paintings
                for samples in (paintings[test_paintings], drawings[test_drawings])
            )
        accuracies.append((painting_rate + 1 - drawing_rate) / 2)
    return float(np.mean(accuracies))


def train_classifier(samples: NDArray[np.uint8], positives: int) -> nn.Module:
    """A small CNN whose output is positive for the first `positives` samples and negative for the others."""
    torch.manual_seed(0)
    channels = [(1, 12), (12, 24), (24, 48)]
    blocks = [
        nn.Sequential(nn.Conv2d(a, b, 3, padding=1), nn.MaxPool2d(2), nn.BatchNorm2d(b), nn.ReLU()) for a, b in channels
    ]
    model = nn.Sequential(*blocks, nn.Flatten(), nn.Dropout(0.3), nn.Linear(48 * 16, 1), nn.Flatten(0))
    x = to_blurred_tensor(samples)
    y = (torch.arange(len(samples)) < positives).float()
    weight = torch.where(y > 0, 1 / positives, 1 / (len(samples) - positives)) * len(samples) / 2
    steps = EPOCHS * -(-len(samples) // BATCH_SIZE)
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3, weight_decay=0.05)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps + EPOCHS)
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(samples)).split(BATCH_SIZE):
            if len(batch) < 2:
                continue
            loss = functional.binary_cross_entropy_with_logits(model(x[batch]), y[batch], weight[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            scheduler.step()
    return model.eval()


def to_blurred_tensor(pictures: NDArray[np.uint8]) -> torch.Tensor:
    """Pictures (N, 64, 64) uint8 → (N, 1, 32, 32) float32 in [0, 1], blurred."""
    blurred = [cv2.GaussianBlur(picture, (0, 0), 1.2) for picture in pictures]
    small = [cv2.resize(picture, (32, 32), interpolation=cv2.INTER_AREA) for picture in blurred]
    return torch.from_numpy(np.stack(small)).unsqueeze(1) / 255


def save_sheet(groups: list[NDArray[np.uint8]], path: Path) -> None:
    """Save a contact sheet with two rows of each group, at most `COLUMNS` pictures in a row."""
    rows = []
    for pictures in groups:
        tiles = [
            cv2.copyMakeBorder(255 - picture, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=150)
            for picture in pictures[: 2 * COLUMNS]
        ]
        rows += [np.hstack(tiles[:COLUMNS]), np.hstack(tiles[COLUMNS:])]
    cv2.imwrite(str(path), np.vstack(rows))


def main() -> None:
    """Print the accuracy of each shape, and their mean."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("drawings", type=Path, nargs="?")
    parser.add_argument(
        "--sheet", type=Path, help="save a contact sheet: per shape two rows of paintings, two of drawings"
    )
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    arguments = parser.parse_args()
    if arguments.drawings is None:
        print("no drawings to compare with; name a folder of them")
        return
    torch.set_num_threads(1)
    generate = Params.load(ROOT / "params.yaml", arguments.overrides).generate
    generate = generate.model_copy(update={"ink": InkStrengths.model_validate(PLAIN_INK)})
    catalogue = outlines.load_catalogue(ROOT / "data" / "outlines")
    groups, accuracies = [], []
    for folder in sorted(path for path in arguments.drawings.iterdir() if path.name in catalogue.shapes):
        drawings, writers = load_drawings(folder)
        paintings = paint(catalogue, generate, folder.name, min(MAX_SAMPLES, len(drawings)))
        groups += [paintings, drawings[np.random.default_rng(0).permutation(len(drawings))]]
        if folder.name != OTHER:
            accuracy = two_sample_accuracy(paintings, drawings, writers)
            accuracies.append(accuracy)
            counts = f"{len(paintings)} paintings, {len(drawings)} drawings"
            print(f"{folder.name}: distinguished {accuracy:.1%} ({counts})", flush=True)
    print(f"mean: {np.mean(accuracies):.1%}")
    if arguments.sheet:
        save_sheet(groups, arguments.sheet)


if __name__ == "__main__":
    main()
